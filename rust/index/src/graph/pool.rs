//! The nearest candidates of a walk, in one sorted array.

use tiercel_simd::Isa;

use crate::storage::candidate::{EXPANDED, key_of};

/// Up to `limit` candidates, nearest first.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    entries: Vec<u64>,
    limit: usize,
    /// Every candidate before this place is expanded.
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

    /// Keys below this one will be kept.
    #[inline(always)]
    pub(crate) fn bound(&self) -> i32 {
        if self.entries.len() < self.limit { i32::MAX } else { key_of(self.entries[self.limit - 1]) }
    }

    /// Insert a candidate in order, dropping the farthest if the pool is full. Return whether it
    /// will be expanded soon.
    #[inline(always)]
    pub(crate) fn insert<I: Isa>(&mut self, entry: u64) -> bool {
        let len = self.entries.len();
        let is_full = len == self.limit;
        if is_full && self.entries.last().is_none_or(|last| *last < entry) {
            return false;
        }
        assert!(len < self.entries.capacity(), "room for one more than the limit");
        // SAFETY: the entries are sorted, and there is room for one more, as checked above. The
        // place is below the length of a full pool, whose last entry is greater. An `Isa` exists
        // only in a loop that checked the instruction set.
        let at = unsafe {
            let entries = self.entries.as_mut_ptr();
            let at = I::make_room(entries, len, entry);
            entries.add(at).write(entry);
            if !is_full {
                self.entries.set_len(len + 1);
            }
            at
        };
        let soon = at <= self.cursor + 1;
        self.cursor = self.cursor.min(at);
        soon
    }

    /// Mark the nearest unexpanded candidate as expanded and return it, if it is among the nearest
    /// `breadth`.
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

    /// The unexpanded candidates, nearest first.
    #[inline(always)]
    pub(crate) fn unexpanded(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries[self.cursor.min(self.entries.len())..].iter().copied().filter(|entry| entry & EXPANDED == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use tiercel_simd::{Level, Loop};

    use super::*;
    use crate::storage::candidate::{candidate, slot_of};

    /// Inserts a candidate under an instruction set.
    struct Insert<'a>(&'a mut Pool, u64);

    impl Loop for Insert<'_> {
        type Output = ();

        fn run<I: Isa>(self) {
            self.0.insert::<I>(self.1);
        }
    }

    /// The contract of a pool: sorted keys and slots, and whether each is expanded.
    #[derive(Default)]
    struct Model {
        entries: Vec<(i32, u32, bool)>,
        limit: usize,
    }

    impl Model {
        fn insert(&mut self, key: i32, slot: u32) {
            self.entries.push((key, slot, false));
            self.entries.sort_unstable();
            self.entries.truncate(self.limit);
        }

        fn expand_next(&mut self, breadth: usize) -> Option<(i32, u32)> {
            let (key, slot, expanded) = self.entries.iter_mut().take(breadth).find(|entry| !entry.2)?;
            *expanded = true;
            Some((*key, *slot))
        }

        fn assert_is(&self, pool: &Pool) {
            let entries = |expanded: bool| self.entries.iter().filter(move |entry| expanded || !entry.2);
            let parts = |entry: u64| (key_of(entry), slot_of(entry));
            assert!(pool.entries().iter().map(|entry| parts(*entry)).eq(entries(true).map(|entry| (entry.0, entry.1))));
            assert!(pool.unexpanded().map(parts).eq(entries(false).map(|entry| (entry.0, entry.1))));
            let full = self.entries.len() == self.limit;
            assert_eq!(pool.bound(), if full { self.entries[self.limit - 1].0 } else { i32::MAX });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn is_a_sorted_list(
            limits in prop::collection::vec(1..20usize, 1..4),
            steps in prop::collection::vec((prop_oneof![-3..3i32, any::<i32>()], 0..3u8, 1..30usize), 0..80),
        ) {
            let mut pool = Pool::default();
            for (level, limit) in Level::available().flat_map(|level| limits.iter().map(move |limit| (level, *limit))) {
                pool.reset(limit);
                let mut model = Model { limit, ..Model::default() };
                for (slot, (key, expand, breadth)) in steps.iter().enumerate() {
                    // Slots are distinct, unordered and as large as possible.
                    let slot = (slot as u32).reverse_bits() >> 1;
                    model.insert(*key, slot);
                    level.run(Insert(&mut pool, candidate(*key, slot)));
                    model.assert_is(&pool);
                    for _ in 0..*expand {
                        let next = pool.expand_next(*breadth).map(|entry| (key_of(entry), slot_of(entry)));
                        prop_assert_eq!(next, model.expand_next(*breadth));
                        model.assert_is(&pool);
                    }
                }
            }
        }
    }
}
