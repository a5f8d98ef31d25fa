//! What every walk does at a node: meet its neighbours, and prefetch.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::flat::{Flat, LINE, NONE};

/// Gather the neighbours that the walk meets for the first time; return their number.
#[inline(always)]
pub fn meet(row: &[u32], stamps: &mut [u8], stamp: u8, fresh: &mut [u32]) -> usize {
    let mut count = 0;
    for &other in row {
        if other == NONE {
            break;
        }
        // SAFETY: links are nodes, each of which has a stamp; `fresh` has room for a row.
        unsafe {
            let met = stamps.get_unchecked_mut(other as usize);
            *fresh.get_unchecked_mut(count) = other;
            count += usize::from(*met != stamp);
            *met = stamp;
        }
    }
    count
}

#[inline(always)]
pub fn prefetch_codes<const BLOCKS: usize>(flat: &Flat, node: u32) {
    for line in 0..BLOCKS {
        prefetch(flat.codes(node).wrapping_add(line * LINE));
    }
}

#[inline(always)]
pub fn prefetch_row(flat: &Flat, node: u32) {
    for line in flat.row(node).chunks_exact(16) {
        prefetch(line.as_ptr().cast());
    }
}

#[inline(always)]
pub fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address is harmless.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}
