//! Which id lies in which slot.

use hashbrown::HashTable;

use crate::errors::AddError;
use crate::pool::MAX_SLOTS;

/// The id that pads short results, and is none.
pub(crate) const PADDING: u64 = u64::MAX;

/// Ids by slot, and slots by id. The table holds slots alone: ids are looked up by slot, so an entry is 5 bytes, not 17.
#[derive(Clone, Default)]
pub(crate) struct Ids {
    by_slot: Vec<u64>,
    slots: HashTable<u32>,
    /// The id that counting goes on from; `None` once it has passed the largest.
    next: Option<u64>,
}

/// A well mixed hash of an id (the finalizer of `SplitMix64`).
fn hash(id: u64) -> u64 {
    let mut state = id;
    tiercel_quant::split_mix(&mut state)
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { next: Some(0), ..Self::default() }
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
        self.slots.find(hash(id), |slot| self.by_slot[*slot as usize] == id).map(|slot| *slot as usize)
    }

    /// The ids for `rows` new vectors: those given, once checked, or counted on.
    pub(crate) fn plan(&self, rows: usize, given: Option<&[u64]>) -> Result<Vec<u64>, AddError> {
        let got = self.slots() + rows;
        if got > MAX_SLOTS {
            return Err(AddError::TooMany { limit: MAX_SLOTS, got });
        }
        let Some(given) = given else {
            let exhausted = AddError::Exhausted { last: PADDING - 1 };
            let first = if rows == 0 { 0 } else { self.next.ok_or(exhausted.clone())? };
            let end = first.checked_add(rows as u64).ok_or(exhausted)?;
            return Ok((first..end).collect());
        };
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
        for &id in ids {
            let slot = self.by_slot.len() as u32;
            self.by_slot.push(id);
            self.slots.insert_unique(hash(id), slot, |slot| hash(self.by_slot[*slot as usize]));
            if self.next.is_some_and(|next| id >= next) {
                self.next = id.checked_add(1).filter(|next| *next != PADDING);
            }
        }
    }

    /// Forget an id; gives the slot it had.
    pub(crate) fn remove(&mut self, id: u64) -> Option<usize> {
        let entry = self.slots.find_entry(hash(id), |slot| self.by_slot[*slot as usize] == id).ok()?;
        Some(entry.remove().0 as usize)
    }

    /// Take back the slots from `len` on, and count on from `next`.
    pub(crate) fn truncate(&mut self, len: usize, next: Option<u64>) {
        for slot in len..self.by_slot.len() {
            self.remove(self.by_slot[slot]);
        }
        self.by_slot.truncate(len);
        self.next = next;
    }

    pub(crate) const fn next(&self) -> Option<u64> {
        self.next
    }

    pub(crate) fn by_slot(&self) -> &[u64] {
        &self.by_slot
    }

    /// Ids from a file: those of the slots that are not dead. `None` when an id stands twice or is the padding.
    pub(crate) fn from_parts(by_slot: Vec<u64>, dead: impl Fn(usize) -> bool, next: Option<u64>) -> Option<Self> {
        let mut slots = HashTable::with_capacity(by_slot.len());
        for (slot, &id) in by_slot.iter().enumerate() {
            if dead(slot) {
                continue;
            }
            let counted = next.is_none_or(|next| id < next);
            if id == PADDING || !counted || slots.find(hash(id), |s: &u32| by_slot[*s as usize] == id).is_some() {
                return None;
            }
            slots.insert_unique(hash(id), slot as u32, |slot| hash(by_slot[*slot as usize]));
        }
        Some(Self { by_slot, slots, next })
    }

    /// Give back spare memory.
    pub(crate) fn shrink(&mut self) {
        self.by_slot.shrink_to_fit();
        self.slots.shrink_to_fit(|slot| hash(self.by_slot[*slot as usize]));
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.by_slot.capacity() * size_of::<u64>() + self.slots.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Ids by slot, and the slots of those that can be found.
    #[derive(Default)]
    struct Model {
        by_slot: Vec<u64>,
        slots: HashMap<u64, usize>,
    }

    impl Model {
        fn push(&mut self, ids: &[u64]) {
            for id in ids {
                self.slots.insert(*id, self.by_slot.len());
                self.by_slot.push(*id);
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
        fn are_a_map(
            steps in prop::collection::vec(
                (0..5u8, 0..20usize, prop::collection::vec(prop_oneof![0..40u64, any::<u64>()], 0..8)), 0..40,
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
                        let next = ids.next();
                        if let Ok(planned) = ids.plan(count, None) {
                            prop_assert!(planned.iter().all(|id| !model.by_slot.contains(id) && *id != PADDING));
                            let before = ids.slots();
                            ids.push(&planned);
                            if count % 2 == 0 {
                                ids.truncate(before, next);
                                prop_assert_eq!(ids.next(), next);
                            } else {
                                model.push(&planned);
                            }
                        }
                    }
                    2 => {
                        let len = count.min(ids.slots());
                        ids.truncate(len, ids.next());
                        model.truncate(len);
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
        assert!(from(&[5, 9, 5, 1], Some(10)) && from(&[5, 9, PADDING, 1], None));
        assert!(!from(&[5, 9, 5, 1], Some(9)), "an id that is yet to be counted");
        assert!(!from(&[5, 9, 5, 9], Some(10)), "an id twice");
        assert!(!from(&[5, PADDING, 5, 9], None), "the padding");
    }
}
