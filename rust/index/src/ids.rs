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
