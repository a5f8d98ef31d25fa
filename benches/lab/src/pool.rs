//! The candidates of a walk: one sorted array, as in the library.

use core::arch::x86_64::{
    _mm512_cmpgt_epu64_mask, _mm512_loadu_si512, _mm512_mask_cmpgt_epu64_mask, _mm512_mask_storeu_epi64,
    _mm512_maskz_loadu_epi64, _mm512_set1_epi64, _mm512_storeu_si512,
};

/// Marks an expanded candidate.
pub const EXPANDED: u64 = 1;

/// A candidate: its key in order, its node, and whether it is expanded.
#[inline(always)]
pub fn candidate(key: i32, node: u32) -> u64 {
    u64::from(key as u32 ^ 0x8000_0000) << 32 | u64::from(node) << 1
}

#[inline(always)]
pub fn node_of(candidate: u64) -> u32 {
    candidate as u32 >> 1
}

#[inline(always)]
pub fn key_of(candidate: u64) -> i32 {
    ((candidate >> 32) as u32 ^ 0x8000_0000) as i32
}

/// Up to `limit` candidates, nearest first.
#[derive(Default)]
pub struct Pool {
    entries: Vec<u64>,
    limit: usize,
    room: usize,
    cursor: usize,
}

impl Pool {
    pub fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.entries.reserve(limit + 1);
        (self.limit, self.room, self.cursor) = (limit, limit, 0);
    }

    /// Keep up to `limit` candidates, or what the pool has room for.
    #[inline(always)]
    pub fn keep(&mut self, limit: usize) {
        self.limit = limit.min(self.room);
        self.entries.truncate(self.limit);
    }

    pub fn entries(&self) -> &[u64] {
        &self.entries
    }

    /// Keys below this one will be kept.
    #[inline(always)]
    pub fn bound(&self) -> i32 {
        if self.entries.len() < self.limit { i32::MAX } else { key_of(self.entries[self.limit - 1]) }
    }

    /// Insert in order. Return whether the candidate will be expanded soon.
    #[inline(always)]
    pub fn insert(&mut self, entry: u64) -> bool {
        let len = self.entries.len();
        let is_full = len == self.limit;
        if is_full && self.entries.last().is_none_or(|last| *last < entry) {
            return false;
        }
        assert!(len < self.entries.capacity(), "room for one more than the limit");
        // SAFETY: the entries are sorted, with room for one more; the laboratory runs only where
        // there is AVX-512.
        let at = unsafe {
            let at = make_room(self.entries.as_mut_ptr(), len, entry);
            self.entries.as_mut_ptr().add(at).write(entry);
            if !is_full {
                self.entries.set_len(len + 1);
            }
            at
        };
        let soon = at <= self.cursor + 1;
        self.cursor = self.cursor.min(at);
        soon
    }

    /// Mark the nearest unexpanded candidate as expanded, and return it.
    #[inline(always)]
    pub fn expand_next(&mut self) -> Option<u64> {
        while self.cursor < self.entries.len() {
            let entry = self.entries[self.cursor];
            self.cursor += 1;
            if entry & EXPANDED == 0 {
                self.entries[self.cursor - 1] |= EXPANDED;
                return Some(entry);
            }
        }
        None
    }

    /// The place of the candidate that was expanded last.
    #[inline(always)]
    pub fn place(&self) -> usize {
        self.cursor - 1
    }

    /// The unexpanded candidates, nearest first.
    #[inline(always)]
    pub fn unexpanded(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries[self.cursor.min(self.entries.len())..].iter().copied().filter(|entry| entry & EXPANDED == 0)
    }
}

/// Move every value that is greater up one place; return the place that is free now.
///
/// # Safety
///
/// The machine has AVX-512; the `n` values are sorted, and there is room for one more.
#[inline(always)]
unsafe fn make_room(values: *mut u64, n: usize, value: u64) -> usize {
    // SAFETY: as the caller promises; masked lanes are neither read nor written.
    unsafe {
        let limit = _mm512_set1_epi64(value as i64);
        let mut end = n;
        while end >= 8 {
            let block = _mm512_loadu_si512(values.add(end - 8).cast());
            let greater = _mm512_cmpgt_epu64_mask(block, limit);
            if greater != 0xff {
                _mm512_mask_storeu_epi64(values.add(end - 7).cast(), greater, block);
                return end - greater.count_ones() as usize;
            }
            _mm512_storeu_si512(values.add(end - 7).cast(), block);
            end -= 8;
        }
        let lanes = ((1_u32 << end) - 1) as u8;
        let block = _mm512_maskz_loadu_epi64(lanes, values.cast());
        let greater = _mm512_mask_cmpgt_epu64_mask(lanes, block, limit);
        _mm512_mask_storeu_epi64(values.add(1).cast(), greater, block);
        end - greater.count_ones() as usize
    }
}
