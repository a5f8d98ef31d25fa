//! Which id lies in which slot.

use std::hash::BuildHasher;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;

use crate::errors::AddError;
use crate::storage::candidate::MAX_SLOTS;

/// The id that pads short results, and is none.
pub(crate) const PADDING: u64 = u64::MAX;

/// Ids by slot, and slots by id. The table holds slots alone: ids are looked up by slot, so an entry is 5 bytes, not 17.
#[derive(Clone)]
pub(crate) struct Ids {
    by_slot: Vec<u64>,
    /// Nothing may depend on the order of its entries, which differs from one process to the next.
    slots: HashTable<u32>,
    hasher: SeedableRandomState,
    /// The id that counting continues from, or [`PADDING`] once none is left. It only ever grows, so that an id that was counted
    /// once, by an addition that was taken back even, is never counted again.
    next: u64,
}

/// Ids come from outside. With a hash that nobody can predict, nobody can choose ids that all fall together.
fn seeded() -> SeedableRandomState {
    let secret = std::hash::RandomState::new().hash_one(0);
    SeedableRandomState::with_seed(secret, SharedSeed::global_random())
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { by_slot: Vec::new(), slots: HashTable::new(), hasher: seeded(), next: 0 }
    }

    /// The same slots with other ids, one for each slot that is not dead. The dead keep none.
    pub(crate) fn replaced(&self, ids: &[u64], dead: impl Fn(usize) -> bool) -> Result<Self, AddError> {
        let planned = Self::new().plan(self.len(), Some(ids))?;
        let mut replaced = Self::new();
        let mut planned = planned.into_iter();
        for slot in 0..self.slots() {
            match if dead(slot) { None } else { planned.next() } {
                Some(id) => replaced.push(&[id]),
                None => replaced.by_slot.push(0),
            }
        }
        Ok(replaced)
    }

    /// The same without slots: counting continues.
    pub(crate) fn emptied(&self) -> Self {
        Self { next: self.next, ..Self::new() }
    }

    /// Slots, those of removed ids among them.
    pub(crate) const fn slots(&self) -> usize {
        self.by_slot.len()
    }

    /// Ids that can be found.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The id that a slot has or had.
    #[inline]
    pub(crate) fn id(&self, slot: usize) -> u64 {
        self.by_slot[slot]
    }

    /// The slot of an id.
    pub(crate) fn slot(&self, id: u64) -> Option<usize> {
        let slot = self.slots.find(self.hasher.hash_one(id), |slot| self.by_slot[*slot as usize] == id);
        slot.map(|slot| *slot as usize)
    }

    /// The ids for `rows` new vectors: those given, once checked, or counted ones.
    pub(crate) fn plan(&self, rows: usize, given: Option<&[u64]>) -> Result<Vec<u64>, AddError> {
        let got = self.slots().saturating_add(rows);
        if got > MAX_SLOTS {
            return Err(AddError::TooMany { limit: MAX_SLOTS, got });
        }
        let Some(given) = given else {
            // The padding itself is no id, so it may be where they end.
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
        let Self { by_slot, slots, hasher, next } = self;
        for &id in ids {
            let slot = by_slot.len() as u32;
            by_slot.push(id);
            slots.insert_unique(hasher.hash_one(id), slot, |slot| hasher.hash_one(by_slot[*slot as usize]));
            *next = (*next).max(id.saturating_add(1));
        }
    }

    /// Forget an id; gives the slot it had.
    pub(crate) fn remove(&mut self, id: u64) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        let entry = self.slots.find_entry(hash, |slot| self.by_slot[*slot as usize] == id).ok()?;
        Some(entry.remove().0 as usize)
    }

    /// Take back the slots from `len` on. Searches may have found their ids, so counting does not go back.
    pub(crate) fn truncate(&mut self, len: usize) {
        for slot in len..self.by_slot.len() {
            self.remove(self.by_slot[slot]);
        }
        self.by_slot.truncate(len);
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn by_slot(&self) -> &[u64] {
        &self.by_slot
    }

    /// Ids from a file: those of the slots that are not dead. `None` when an id stands twice or is the padding, or when counting
    /// would come to one that is there.
    pub(crate) fn from_parts(by_slot: Vec<u64>, dead: impl Fn(usize) -> bool, next: u64) -> Option<Self> {
        let mut ids = Self::new();
        ids.slots.reserve(by_slot.len(), |_| 0);
        // Files of earlier versions may count on from below the id of a vector that an interrupted addition left dead.
        ids.next = by_slot.iter().fold(next, |next, id| next.max(id.saturating_add(1)));
        for (slot, &id) in by_slot.iter().enumerate() {
            if dead(slot) {
                continue;
            }
            let hash = ids.hasher.hash_one(id);
            if id >= next || ids.slots.find(hash, |slot| by_slot[*slot as usize] == id).is_some() {
                return None;
            }
            ids.slots.insert_unique(hash, slot as u32, |slot| ids.hasher.hash_one(by_slot[*slot as usize]));
        }
        ids.by_slot = by_slot;
        Some(ids)
    }

    /// Give back spare memory.
    pub(crate) fn shrink(&mut self) {
        self.by_slot.shrink_to_fit();
        self.slots.shrink_to_fit(|slot| self.hasher.hash_one(self.by_slot[*slot as usize]));
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.by_slot.capacity() * size_of::<u64>() + self.slots.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Ids by slot, the slots of those that can be found, and all that there ever were.
    #[derive(Default)]
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

        fn truncate(&mut self, len: usize) {
            self.by_slot.truncate(len);
            self.slots.retain(|_, slot| *slot < len);
        }

        fn assert_is(&self, ids: &Ids) {
            assert_eq!(
                (ids.by_slot(), ids.slots(), ids.len()),
                (&self.by_slot[..], self.by_slot.len(), self.slots.len())
            );
            for (slot, id) in self.by_slot.iter().enumerate() {
                assert_eq!((ids.id(slot), ids.slot(*id)), (*id, self.slots.get(id).copied()));
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
                            let before = ids.slots();
                            ids.push(&planned);
                            model.push(&planned);
                            if count % 2 == 0 {
                                ids.truncate(before);
                                model.truncate(before);
                            }
                        }
                    }
                    2 => {
                        let len = count.min(ids.slots());
                        ids.truncate(len);
                        model.truncate(len);
                    }
                    3 if count == 0 => {
                        ids = ids.emptied();
                        model.truncate(0);
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
                let again = Ids::from_parts(ids.by_slot().to_vec(), |slot| model.is_dead(slot), ids.next());
                model.assert_is(&again.expect("parts of ids"));
            }
        }
    }

    #[test]
    fn parts_that_are_no_ids_are_refused() {
        let from = |by_slot: &[u64], next| Ids::from_parts(by_slot.to_vec(), |slot| slot == 2, next).is_some();
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
        // An interrupted addition of an earlier version left slot 2 so.
        let ids = Ids::from_parts(vec![5, 9, 12], |slot| slot == 2, 10).expect("parts of ids");
        assert_eq!(ids.plan(2, None), Ok(vec![13, 14]));
    }

    #[test]
    fn counting_ends_before_the_padding() {
        let mut ids = Ids::new();
        ids.push(&[PADDING - 3]);
        assert_eq!(ids.plan(2, None), Ok(vec![PADDING - 2, PADDING - 1]));
        assert_eq!(ids.plan(3, None), Err(AddError::Exhausted { last: PADDING - 1 }));
        ids.push(&[PADDING - 1]);
        ids.truncate(1);
        assert_eq!(ids.plan(1, None), Err(AddError::Exhausted { last: PADDING - 1 }));
        assert_eq!(ids.plan(0, None), Ok(vec![]));
    }
}
