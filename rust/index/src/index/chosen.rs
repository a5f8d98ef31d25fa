//! The slots that a filter allows.

use std::borrow::Cow;

use super::Index;
use crate::errors::SearchError;
use crate::state::State;
use crate::storage::bitset::Bitset;

/// Which vectors a search may find.
#[derive(Clone, Copy, Debug)]
pub enum Filter<'a> {
    /// A value for each of [`Index::ids`]; 0 forbids.
    Mask(&'a [u8]),
    /// The allowed ids; unknown ones are ignored.
    Ids(&'a [u64]),
    /// The vectors that were chosen before.
    Chosen(&'a Chosen),
}

/// Vectors of an index, chosen once for many searches.
#[derive(Debug)]
pub struct Chosen {
    slots: Bitset,
    /// The version of the index.
    version: u64,
    /// The numbering of its slots.
    numbering: u64,
}

impl Index {
    /// Choose vectors by their ids; unknown ones are ignored. Vectors that are added later are not
    /// chosen, and those that are removed are not found.
    pub fn choose(&self, ids: &[u64]) -> Chosen {
        let state = self.state();
        let mut slots = Bitset::new(state.slots());
        state.ids.each_slot(ids, &state.dead, |slot| slots.insert(slot));
        Chosen { slots, version: state.version, numbering: state.ids.numbering() }
    }

    /// Whether no vectors were added since these were chosen.
    pub fn has_all(&self, chosen: &Chosen) -> bool {
        let state = self.state();
        (chosen.slots.len(), chosen.numbering) == (state.slots(), state.ids.numbering())
    }

    /// Choose again: as before, but `changed` ids and vectors that were added since are chosen if
    /// `allowed` says so.
    pub fn choose_again(
        &self,
        before: &Chosen,
        changed: impl IntoIterator<Item = u64>,
        allowed: impl Fn(u64) -> bool,
    ) -> Chosen {
        let state = self.state();
        let numbering = state.ids.numbering();
        let mut slots = if before.numbering == numbering { before.slots.clone() } else { Bitset::default() };
        let added = slots.len()..state.slots();
        slots.resize(state.slots());
        for slot in added.filter(|slot| allowed(state.ids.id(*slot))) {
            slots.insert(slot);
        }
        for id in changed {
            match state.ids.slot(id) {
                Some(slot) if allowed(id) => slots.insert(slot),
                Some(slot) => slots.remove(slot),
                None => {}
            }
        }
        slots.subtract(&state.dead);
        Chosen { slots, version: state.version, numbering }
    }
}

impl Chosen {
    /// Return the chosen slots of a state.
    fn slots_of(&self, state: &State) -> Cow<'_, Bitset> {
        if self.numbering != state.ids.numbering() {
            // Of another index, or of vectors that were all removed.
            return Cow::Owned(Bitset::new(state.slots()));
        }
        if self.version == state.version {
            return Cow::Borrowed(&self.slots);
        }
        let mut slots = self.slots.clone();
        slots.subtract(&state.dead);
        Cow::Owned(slots)
    }
}

/// Refuse a mask that does not fit the index.
fn check_filter(state: &State, filter: Option<&Filter<'_>>) -> Result<(), SearchError> {
    match filter {
        Some(Filter::Mask(mask)) if mask.len() != state.ids.len() => {
            Err(SearchError::MaskLength { expected: state.ids.len(), got: mask.len() })
        }
        _ => Ok(()),
    }
}

/// Return the slots that a filter allows; `None` without a filter.
pub(crate) fn chosen<'a>(state: &State, filter: Option<&Filter<'a>>) -> Result<Option<Cow<'a, Bitset>>, SearchError> {
    check_filter(state, filter)?;
    let Some(filter) = filter else { return Ok(None) };
    let none = || Bitset::new(state.slots());
    let slots = match filter {
        Filter::Chosen(chosen) => return Ok(Some(chosen.slots_of(state))),
        Filter::Mask(mask) if state.dead.count() == 0 => Bitset::from_mask(mask),
        Filter::Mask(mask) => {
            let mut slots = none();
            let kept = state.living().zip(*mask).filter(|(_, value)| **value != 0);
            kept.for_each(|(slot, _)| slots.insert(slot));
            slots
        }
        Filter::Ids(ids) => {
            let mut slots = none();
            state.ids.each_slot(ids, &state.dead, |slot| slots.insert(slot));
            slots
        }
    };
    Ok(Some(Cow::Owned(slots)))
}
