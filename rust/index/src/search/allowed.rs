//! The slots that a search may find.

use crate::state::State;
use crate::storage::bitset::Bitset;

/// The slots that a search may find.
#[derive(Clone, Copy)]
pub(crate) enum Allowed<'a> {
    /// All slots of the state.
    All,
    /// All but these.
    Except(&'a Bitset),
    /// Only these.
    Only(&'a Bitset),
}

impl<'a> Allowed<'a> {
    /// Return the slots that a caller chose, or all that are not dead.
    pub(crate) fn of(state: &'a State, chosen: Option<&'a Bitset>) -> Self {
        match chosen {
            Some(chosen) => Self::Only(chosen),
            None if state.dead.count() == 0 => Self::All,
            None => Self::Except(&state.dead),
        }
    }

    /// Whether a slot may be found.
    #[inline(always)]
    pub(crate) fn contains(self, slot: usize) -> bool {
        match self {
            Self::All => true,
            Self::Except(dead) => !dead.contains(slot),
            Self::Only(chosen) => chosen.contains(slot),
        }
    }

    /// Return how many of `slots` may be found.
    pub(crate) const fn count(self, slots: usize) -> usize {
        match self {
            Self::All => slots,
            Self::Except(dead) => slots - dead.count(),
            Self::Only(chosen) => chosen.count(),
        }
    }

    /// Whether the caller left slots out, which is not the same as having deleted them.
    pub(crate) const fn is_filter(self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Whether every slot that may be found is below `slots`, provided that those of the state are.
    pub(crate) const fn is_within(self, slots: usize) -> bool {
        match self {
            Self::All | Self::Except(_) => true,
            Self::Only(chosen) => chosen.len() <= slots,
        }
    }
}
