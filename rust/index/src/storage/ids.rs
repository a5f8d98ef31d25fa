//! The ids of slots, and the slots of ids.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;
use tiercel_simd::Chunked;

use crate::errors::AddError;
use crate::storage::bitset::Bitset;
use crate::storage::candidate::MAX_SLOTS;

/// The value that pads short results; it is not a valid id.
pub(crate) const PADDING: u64 = u64::MAX;

/// Ids in a part of the table, until there are [`SHARDS`] parts. A change copies a part while a
/// clone holds it.
const SHARD: usize = 2048;

/// Most parts of the table; a clone costs a pointer per part.
const SHARDS: usize = 256;

/// A part of the table of slots by id. An entry is a slot, whose id is looked up, so it takes 5
/// bytes, not 17. Nothing may depend on the order of entries, which differs between processes.
type Shard = HashTable<u32>;

/// Ids by slot, and slots by id. Clones share what neither has changed.
#[derive(Clone)]
pub(crate) struct Ids {
    by_slot: Chunked<u64>,
    /// Parts of the table, by bits of the hash of the id; their number is a power of two.
    shards: Vec<Arc<Shard>>,
    /// Number of ids that can be found.
    len: usize,
    hasher: SeedableRandomState,
    /// The next id to count, or [`PADDING`] once none is left. It only grows, so that an id that
    /// was counted once, even by an interrupted addition, is never counted again.
    next: u64,
    /// No id is below this.
    first: u64,
    /// See [`Self::numbering`].
    numbering: u64,
}

/// Return a number that no other ids have.
fn new_numbering() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Return a hasher that nobody can predict, so that nobody can choose ids with colliding hashes.
fn seeded() -> SeedableRandomState {
    let secret = std::hash::RandomState::new().hash_one(0);
    SeedableRandomState::with_seed(secret, SharedSeed::global_random())
}

impl Ids {
    pub(crate) fn new() -> Self {
        let (shards, numbering) = (vec![Arc::default()], new_numbering());
        Self { by_slot: Chunked::new(1), shards, len: 0, hasher: seeded(), next: 0, first: PADDING, numbering }
    }

    /// Return the same slots with other ids, one for each slot that is not dead. Dead slots keep
    /// none.
    pub(crate) fn replaced(&self, ids: &[u64], dead: impl Fn(usize) -> bool) -> Result<Self, AddError> {
        let planned = Self::new().plan(self.len(), Some(ids))?;
        let mut replaced = Self::new();
        let mut planned = planned.into_iter();
        for slot in 0..self.slots() {
            match if dead(slot) { None } else { planned.next() } {
                Some(id) => replaced.push(&[id]),
                None => replaced.by_slot.extend_from_slice(&[0]),
            }
        }
        Ok(replaced)
    }

    /// Return the same without slots. Counting continues.
    pub(crate) fn emptied(&self) -> Self {
        Self { next: self.next, ..Self::new() }
    }

    /// Number of slots, including those of removed ids.
    pub(crate) const fn slots(&self) -> usize {
        self.by_slot.len()
    }

    /// Return the number of this numbering of slots. Clones share it, so if two of them go on to get
    /// different slots, one must [`Self::part`] from the other.
    pub(crate) const fn numbering(&self) -> u64 {
        self.numbering
    }

    /// Take another number for what comes, since another clone goes on, too.
    pub(crate) fn part(&mut self) {
        self.numbering = new_numbering();
    }

    /// Number of ids that can be found.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Return the id that a slot has or had.
    #[inline]
    pub(crate) fn id(&self, slot: usize) -> u64 {
        self.by_slot.row(slot)[0]
    }

    /// Return the slot of an id.
    pub(crate) fn slot(&self, id: u64) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        let slot = self.shards[self.shard(hash)].find(hash, |slot| self.id(*slot as usize) == id);
        slot.map(|slot| *slot as usize)
    }

    /// Call `each` with the slots of those of `ids` that can be found. `dead` are the slots whose ids
    /// cannot.
    ///
    /// First guess that slots and ids differ by the same offset as at the previous hit. The filter
    /// of a collection passes thousands of ids in the order of their slots, and each lookup in the
    /// table would miss the caches.
    pub(crate) fn each_slot(&self, ids: &[u64], dead: &Bitset, mut each: impl FnMut(usize)) {
        let mut offset = 0_u64;
        for &id in ids {
            let guess = usize::try_from(id.wrapping_add(offset)).unwrap_or(usize::MAX);
            if guess < self.slots() && self.id(guess) == id && !dead.contains(guess) {
                each(guess);
            } else if let Some(slot) = self.slot(id) {
                offset = (slot as u64).wrapping_sub(id);
                each(slot);
            }
        }
    }

    /// Return the ids for `rows` new vectors: the `given` ones, after checks, or counted ones.
    pub(crate) fn plan(&self, rows: usize, given: Option<&[u64]>) -> Result<Vec<u64>, AddError> {
        let got = self.slots().saturating_add(rows);
        if got > MAX_SLOTS {
            return Err(AddError::TooMany { limit: MAX_SLOTS, got });
        }
        let Some(given) = given else {
            // The range may end at the padding, which is not an id.
            let end = self.next.checked_add(rows as u64).ok_or(AddError::Exhausted { last: PADDING - 1 })?;
            return Ok((self.next..end).collect());
        };
        if given.len() != rows {
            return Err(AddError::Ids { expected: rows, got: given.len() });
        }
        let hash = |id: u64| self.hasher.hash_one(id);
        let mut seen: HashTable<u32> = HashTable::with_capacity(rows);
        for (row, &id) in given.iter().enumerate() {
            if id == PADDING {
                return Err(AddError::Reserved { row });
            }
            if self.slot(id).is_some() {
                return Err(AddError::Taken { id, row });
            }
            if let Some(first) = seen.find(hash(id), |first| given[*first as usize] == id) {
                return Err(AddError::Repeated { id, first: *first as usize, second: row });
            }
            seen.insert_unique(hash(id), row as u32, |row| hash(given[*row as usize]));
        }
        Ok(given.to_vec())
    }

    /// Append planned ids.
    pub(crate) fn push(&mut self, ids: &[u64]) {
        let first = self.slots();
        self.by_slot.extend_from_slice(ids);
        self.make_room(ids.len());
        for (row, &id) in ids.iter().enumerate() {
            self.enter(id, first + row);
        }
        self.count_past(ids);
    }

    /// Return what includes all ids.
    pub(crate) const fn span(&self) -> Range<u64> {
        self.first..self.next
    }

    /// Continue counting after these ids, so that none of them is counted again.
    pub(crate) fn count_past(&mut self, ids: &[u64]) {
        self.first = ids.iter().fold(self.first, |first, id| first.min(*id));
        self.next = ids.iter().fold(self.next, |next, id| next.max(id.saturating_add(1)));
    }

    /// Put the slot of an id in the table.
    fn enter(&mut self, id: u64, slot: usize) {
        let hash = self.hasher.hash_one(id);
        let shard = self.shard(hash);
        let Self { by_slot, shards, len, hasher, .. } = self;
        let rehash = |slot: &u32| hasher.hash_one(by_slot.row(*slot as usize)[0]);
        Arc::make_mut(&mut shards[shard]).insert_unique(hash, slot as u32, rehash);
        *len += 1;
    }

    /// Return the part of the table for an id with this hash. The parts themselves use the lowest
    /// and the highest bits.
    fn shard(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    /// Split the table further if `more` ids would make its parts large.
    fn make_room(&mut self, more: usize) {
        let parts = (self.len + more).div_ceil(SHARD).next_power_of_two().min(SHARDS);
        if parts <= self.shards.len() {
            return;
        }
        let slots: Vec<u32> = self.shards.iter().flat_map(|shard| shard.iter().copied()).collect();
        self.shards = vec![Arc::default(); parts];
        self.len = 0;
        for slot in slots {
            self.enter(self.id(slot as usize), slot as usize);
        }
    }

    /// Forget an id, and return the slot it had.
    pub(crate) fn remove(&mut self, id: u64) -> Option<usize> {
        self.slot(id)?;
        let hash = self.hasher.hash_one(id);
        let shard = self.shard(hash);
        let Self { by_slot, shards, len, .. } = self;
        let entry = Arc::make_mut(&mut shards[shard]).find_entry(hash, |slot| by_slot.row(*slot as usize)[0] == id);
        *len -= 1;
        Some(entry.ok()?.remove().0 as usize)
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Ids by slot, including former ones, chunk by chunk.
    pub(crate) fn by_slot(&self) -> impl Iterator<Item = &[u64]> {
        self.by_slot.runs()
    }

    /// Make ids from a file, for the slots that are not dead. `None` if an id occurs twice or is
    /// the padding, or if counting would reach one that is present.
    pub(crate) fn from_parts(by_slot: &[u64], dead: impl Fn(usize) -> bool, next: u64) -> Option<Self> {
        let mut ids = Self::new();
        ids.by_slot.extend_from_slice(by_slot);
        ids.make_room(by_slot.len());
        // In files of earlier versions, `next` may be below the id of a vector that an interrupted
        // addition left dead.
        ids.next = next;
        ids.count_past(by_slot);
        for (slot, &id) in by_slot.iter().enumerate() {
            if dead(slot) {
                continue;
            }
            if id >= next || ids.slot(id).is_some() {
                return None;
            }
            ids.enter(id, slot);
        }
        Some(ids)
    }

    /// Free spare memory.
    pub(crate) fn shrink(&mut self) {
        let Self { by_slot, shards, hasher, .. } = self;
        by_slot.shrink();
        for shard in shards.iter_mut().filter(|shard| !shard.is_empty()) {
            Arc::make_mut(shard).shrink_to_fit(|slot| hasher.hash_one(by_slot.row(*slot as usize)[0]));
        }
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|shard| shard.allocation_size()).sum();
        self.by_slot.bytes() + shards + self.shards.len() * size_of::<Arc<Shard>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Ids by slot, the slots of ids that can be found, and all ids ever used.
    #[derive(Clone, Default)]
    struct Model {
        by_slot: Vec<u64>,
        slots: HashMap<u64, usize>,
        used: HashSet<u64>,
    }

    impl Model {
        fn push(&mut self, ids: &[u64]) {
            for id in ids {
                self.slots.insert(*id, self.by_slot.len());
                self.by_slot.push(*id);
                self.used.insert(*id);
            }
        }

        fn assert_is(&self, ids: &Ids) {
            let by_slot: Vec<u64> = ids.by_slot().flatten().copied().collect();
            assert_eq!((&by_slot, ids.slots(), ids.len()), (&self.by_slot, self.by_slot.len(), self.slots.len()));
            for (slot, id) in self.by_slot.iter().enumerate() {
                assert_eq!((ids.id(slot), ids.slot(*id)), (*id, self.slots.get(id).copied()));
            }
            self.assert_finds_many(ids);
        }

        /// Look for all ids ever used and their neighbours, in the order of slots and backwards.
        fn assert_finds_many(&self, ids: &Ids) {
            let mut dead = Bitset::new(self.by_slot.len());
            (0..self.by_slot.len()).filter(|slot| self.is_dead(*slot)).for_each(|slot| dead.insert(slot));
            let around = |id: &u64| [*id, id.wrapping_add(1)];
            let mut asked: Vec<u64> = self.by_slot.iter().chain(&self.used).flat_map(around).collect();
            for _ in 0..2 {
                let expected: Vec<usize> = asked.iter().filter_map(|id| self.slots.get(id).copied()).collect();
                let mut found = Vec::new();
                ids.each_slot(&asked, &dead, |slot| found.push(slot));
                assert_eq!(found, expected);
                asked.reverse();
            }
        }

        fn is_dead(&self, slot: usize) -> bool {
            self.slots.get(&self.by_slot[slot]) != Some(&slot)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn are_a_map_that_counts_no_id_twice(
            steps in prop::collection::vec(
                (0..6u8, 0..20usize, prop::collection::vec(prop_oneof![0..40u64, any::<u64>()], 0..8)), 0..40,
            ),
        ) {
            let (mut ids, mut model) = (Ids::new(), Model::default());
            let mut held: Option<(Ids, Model)> = None;
            for (step, count, some) in steps {
                match step {
                    0 => {
                        for id in some {
                            prop_assert_eq!(ids.remove(id), model.slots.remove(&id));
                        }
                    }
                    1 => {
                        if let Ok(planned) = ids.plan(count, None) {
                            prop_assert!(planned.iter().all(|id| !model.used.contains(id) && *id != PADDING));
                            if count % 2 == 0 {
                                // A failed addition, whose ids still count as used.
                                ids.count_past(&planned);
                                model.used.extend(planned);
                            } else {
                                ids.push(&planned);
                                model.push(&planned);
                            }
                        }
                    }
                    2 => held = Some((ids.clone(), model.clone())),
                    3 if count == 0 => {
                        ids = ids.emptied();
                        (model.by_slot, model.slots) = Default::default();
                    }
                    _ => {
                        let mut distinct = some.clone();
                        distinct.sort_unstable();
                        distinct.dedup();
                        let new = distinct.len() == some.len()
                            && some.iter().all(|id| *id != PADDING && !model.slots.contains_key(id));
                        let planned = ids.plan(some.len(), Some(&some));
                        prop_assert_eq!(planned.is_ok(), new, "{:?}", planned);
                        if let Ok(planned) = planned {
                            ids.push(&planned);
                            model.push(&planned);
                        }
                    }
                }
                model.assert_is(&ids);
                if let Some((ids, model)) = &held {
                    model.assert_is(ids);
                }
                let again = Ids::from_parts(&model.by_slot, |slot| model.is_dead(slot), ids.next());
                model.assert_is(&again.expect("parts of ids"));
            }
        }
    }

    #[test]
    fn a_large_table_is_parted_and_a_clone_keeps_its_own() {
        let mut ids = Ids::new();
        ids.push(&[7]);
        let held = ids.clone();
        let many: Vec<u64> = (100..100 + 5 * SHARD as u64).collect();
        ids.push(&many);
        assert_eq!((ids.shards.len(), held.shards.len()), (8, 1));
        assert_eq!((ids.slot(7), ids.slot(100), ids.slot(many[many.len() - 1])), (Some(0), Some(1), Some(many.len())));
        assert_eq!((held.len(), held.slot(7), held.slot(100)), (1, Some(0), None));
    }

    #[test]
    fn parts_that_are_no_ids_are_refused() {
        let from = |by_slot: &[u64], next| Ids::from_parts(by_slot, |slot| slot == 2, next).is_some();
        assert!(from(&[5, 9, 5, 1], 10) && from(&[5, 9, PADDING, 1], PADDING));
        assert!(!from(&[5, 9, 5, 1], 9), "an id that is yet to be counted");
        assert!(!from(&[5, 9, 5, 9], 10), "an id twice");
        assert!(!from(&[5, PADDING, 5, 9], PADDING), "the padding");
    }

    #[test]
    fn ids_are_replaced_slot_by_slot() {
        let mut ids = Ids::new();
        ids.push(&[5, 9, 12]);
        ids.remove(9);
        let replaced = ids.replaced(&[0, 1], |slot| slot == 1).unwrap();
        assert_eq!((replaced.slot(0), replaced.slot(1), replaced.slots(), replaced.next()), (Some(0), Some(2), 3, 2));
        assert_eq!((replaced.id(2), replaced.slot(9)), (1, None));
        let twice = ids.replaced(&[4, 4], |slot| slot == 1).err();
        assert_eq!(twice, Some(AddError::Repeated { id: 4, first: 0, second: 1 }));
        assert_eq!(ids.replaced(&[4], |slot| slot == 1).err(), Some(AddError::Ids { expected: 2, got: 1 }));
    }

    #[test]
    fn counting_passes_the_ids_of_the_dead_in_a_file() {
        // An interrupted addition of an earlier version left slot 2 like this.
        let ids = Ids::from_parts(&[5, 9, 12], |slot| slot == 2, 10).expect("parts of ids");
        assert_eq!(ids.plan(2, None), Ok(vec![13, 14]));
    }

    #[test]
    fn counting_ends_before_the_padding() {
        let mut ids = Ids::new();
        ids.push(&[PADDING - 3]);
        assert_eq!(ids.plan(2, None), Ok(vec![PADDING - 2, PADDING - 1]));
        assert_eq!(ids.plan(3, None), Err(AddError::Exhausted { last: PADDING - 1 }));
        ids.count_past(&[PADDING - 1]);
        assert_eq!(ids.plan(1, None), Err(AddError::Exhausted { last: PADDING - 1 }));
        assert_eq!(ids.plan(0, None), Ok(vec![]));
    }
}
