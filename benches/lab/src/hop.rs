//! What every walk does at a node: meet its neighbours, and prefetch.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::flat::{Flat, LINE, NONE};

/// The nodes that a walk has met: those with its stamp.
pub struct Met<'a> {
    pub stamps: &'a mut [u8],
    pub stamp: u8,
}

/// Gather the neighbours in a row that were not met, and mark them if told to; return their number.
#[inline(always)]
pub fn gather(row: &[u32], met: &mut Met<'_>, fresh: &mut [u32], mark: bool) -> usize {
    assert!(row.len() <= fresh.len(), "room for a row");
    let mut count = 0;
    for &other in row {
        if other == NONE {
            break;
        }
        // SAFETY: links are nodes, each of which has a stamp; there is room for a row.
        unsafe {
            let stamp = met.stamps.get_unchecked_mut(other as usize);
            *fresh.get_unchecked_mut(count) = other;
            count += usize::from(*stamp != met.stamp);
            if mark {
                *stamp = met.stamp;
            }
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
