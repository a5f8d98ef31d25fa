//! The nearest candidates of a walk, in one sorted array.
//!
//! A candidate is one u64, so that comparing two is one instruction, ties go to the lower slot, and moving many is a copy:
//!
//! ```text
//! bit   63                            32 31                1      0
//!      +--------------------------------+------------------+----------+
//!      | key, as an unsigned in order   | slot             | expanded |
//!      +--------------------------------+------------------+----------+
//! ```

/// Most slots of an index: a slot has 31 bits in a candidate.
pub(crate) const MAX_SLOTS: usize = (1 << 31) - 1;

const EXPANDED: u64 = 1;

/// Key of a candidate: smaller is closer.
#[inline(always)]
pub(crate) const fn key_of(candidate: u64) -> i32 {
    ((candidate >> 32) as u32 ^ 0x8000_0000) as i32
}

/// Slot of a candidate.
#[inline(always)]
pub(crate) const fn slot_of(candidate: u64) -> u32 {
    candidate as u32 >> 1
}

/// The candidate of a key and a slot, not expanded.
#[inline(always)]
pub(crate) const fn candidate(key: i32, slot: u32) -> u64 {
    ((key as u32 ^ 0x8000_0000) as u64) << 32 | (slot as u64) << 1
}

/// Up to `limit` candidates, nearest first.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    entries: Vec<u64>,
    limit: usize,
    /// Every candidate before it is expanded.
    cursor: usize,
}

impl Pool {
    /// Forget everything and keep up to `limit` from now on.
    pub(crate) fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.entries.reserve(limit + 1);
        self.limit = limit;
        self.cursor = 0;
    }

    /// The candidates, nearest first.
    #[inline]
    pub(crate) fn entries(&self) -> &[u64] {
        &self.entries
    }

    /// Keys below this one have a place.
    #[inline(always)]
    pub(crate) fn bound(&self) -> i32 {
        if self.entries.len() < self.limit { i32::MAX } else { key_of(self.entries[self.limit - 1]) }
    }

    /// Put a candidate in its place; the farthest falls out when there is no room. Tells whether it will be expanded soon.
    #[inline(always)]
    pub(crate) fn insert(&mut self, entry: u64) -> bool {
        let at = self.entries.partition_point(|other| *other < entry);
        if self.entries.len() == self.limit {
            if at == self.limit {
                return false;
            }
            self.entries.pop();
        }
        self.entries.insert(at, entry);
        let soon = at <= self.cursor + 1;
        self.cursor = self.cursor.min(at);
        soon
    }

    /// The nearest candidate that is not expanded, if it is among the nearest `breadth`; marked expanded now.
    #[inline(always)]
    pub(crate) fn expand_next(&mut self, breadth: usize) -> Option<u64> {
        while self.cursor < self.entries.len().min(breadth) {
            let entry = self.entries[self.cursor];
            if entry & EXPANDED == 0 {
                self.entries[self.cursor] |= EXPANDED;
                self.cursor += 1;
                return Some(entry);
            }
            self.cursor += 1;
        }
        None
    }

    /// The candidates that are not expanded, nearest first.
    #[inline(always)]
    pub(crate) fn unexpanded(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries[self.cursor.min(self.entries.len())..].iter().copied().filter(|entry| entry & EXPANDED == 0)
    }
}
