//! The candidates of a walk: one sorted array, as in the library.

/// Marks an expanded candidate.
const EXPANDED: u64 = 1;

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
    merged: Vec<u64>,
    limit: usize,
    cursor: usize,
}

impl Pool {
    pub fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.entries.reserve(limit + 1);
        (self.limit, self.cursor) = (limit, 0);
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

    /// Merge the candidates of a hop, which are sorted here, in one pass from the far end.
    #[inline(always)]
    pub fn merge(&mut self, fresh: &mut [u64]) {
        if fresh.is_empty() {
            return;
        }
        fresh.sort_unstable();
        let (mut old, mut new) = (0, 0);
        self.merged.clear();
        let first = self.entries.partition_point(|other| *other < fresh[0]);
        self.merged.extend_from_slice(&self.entries[..first]);
        old += first;
        while self.merged.len() < self.limit && (old < self.entries.len() || new < fresh.len()) {
            let take_new = new < fresh.len() && (old == self.entries.len() || fresh[new] < self.entries[old]);
            self.merged.push(if take_new { fresh[new] } else { self.entries[old] });
            new += usize::from(take_new);
            old += usize::from(!take_new);
        }
        self.cursor = self.cursor.min(first);
        std::mem::swap(&mut self.entries, &mut self.merged);
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

    /// The unexpanded candidates, nearest first.
    #[inline(always)]
    pub fn unexpanded(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries[self.cursor.min(self.entries.len())..].iter().copied().filter(|entry| entry & EXPANDED == 0)
    }
}
