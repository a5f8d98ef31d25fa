//! Choose how to find the neighbours of queries: an exact scan, a scan of codes, a walk, or a probe of
//! lists. Costs are counted in codes that a scan compares.

use crate::search::probe::{Reached, Wanted, reached};
use crate::search::recall::walk_for;
use crate::state::{Coding, State};

/// With this many vectors to choose from, an exact scan costs no more than a walk.
pub(crate) const FEW: usize = 1024;

/// Codes scanned in order for the price of one candidate of a walk, whose neighbours' codes lie
/// anywhere: 40 where everything is cached, twice as many in a large index.
const SCANNED_PER_CANDIDATE: usize = 48;

/// Queries for each core from which on an exact scan in tiles of bytes pays: it reads full vectors once
/// for all of them.
const TOGETHER: usize = 128;

/// An exact scan in tiles compares four full vectors with a query in the time of three codes.
const IN_TILES: (usize, usize) = (3, 4);

/// It costs more the more results it keeps: with 50 it took half as long again as codes, with these no
/// longer.
const MOST_RESULTS: usize = 16;

/// It compares the vectors that a filter leaves out, too, so one in this many must be allowed.
const MOST_SKIPPED: usize = 4;

/// A walk keeps its candidates in a sorted array, and each insertion moves some of them. With this
/// many candidates, each costs as much as one more code.
const MOVED_PER_CODE: usize = 128;

/// Share of true neighbours that walks must have found when the graph was surveyed. With less, the
/// graph cannot be trusted: it has many equal vectors, clusters without links between them, or an
/// inner product under which neighbours are not alike.
const GOOD: f32 = 0.95;

/// A scan by code keeps at least twice as many candidates as results, and this many more; an exact
/// scan of several queries keeps this many more.
pub(super) const SPARE: usize = 8;

/// How to find the neighbours of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Compare every allowed vector in full precision.
    Exact,
    /// Compare every allowed code, then the best in full precision.
    Scan {
        /// Candidates kept.
        ef: usize,
    },
    /// Walk the graph, then compare the best in full precision.
    Walk {
        /// Candidates kept.
        ef: usize,
    },
    /// Compare the codes of the nearest lists, then the best in full precision.
    Probe {
        /// Candidates kept.
        ef: usize,
        /// How far to go.
        reached: Reached,
    },
}

/// What a search asks for, as far as the strategy depends on it.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// Results per query.
    pub(crate) k: usize,
    /// The usual candidates for a search of all vectors; `None` for an exact search.
    pub(crate) ef: Option<usize>,
    /// The place of the recall that was asked for; `None` if `ef` was.
    pub(crate) target: Option<usize>,
    /// How many slots may be found.
    pub(crate) available: usize,
    /// The queries for each core, which a thread may compare in tiles of bytes; 0 without these.
    pub(crate) together: usize,
}

impl Strategy {
    /// Choose the cheapest strategy that keeps the promised recall.
    pub(crate) fn choose(state: &State, asked: Asked) -> Self {
        let chosen = Self::of_each(state, asked);
        let tiles = asked.target.is_some()
            && asked.together >= TOGETHER
            && asked.k <= MOST_RESULTS
            && state.rows.are_in_memory()
            && asked.available.saturating_mul(MOST_SKIPPED) >= state.slots();
        let costs_less = state.slots() * IN_TILES.0 / IN_TILES.1 < chosen.codes(asked.available);
        if tiles && costs_less { Self::Exact } else { chosen }
    }

    /// Return the codes that a scan compares in the time of this.
    fn codes(self, available: usize) -> usize {
        match self {
            Self::Exact => 0,
            Self::Scan { .. } => available,
            Self::Walk { ef } => codes_of_walk(ef),
            Self::Probe { reached, .. } => reached.codes,
        }
    }

    /// Choose for queries that are answered one by one.
    fn of_each(state: &State, Asked { k, ef, target, available, .. }: Asked) -> Self {
        let Some(ef) = ef else { return Self::Exact };
        let ef = ef.max(k);
        // From a disk, a full vector costs as much as many codes.
        let few = if state.rows.are_on_disk() { 0 } else { FEW };
        if available <= few || matches!(state.coding, Coding::Untrained) || ef.saturating_mul(2) >= available {
            return Self::Exact;
        }
        let kept = ef.max(2 * k + SPARE);
        if let Some(partitions) = &state.partitions {
            let wanted = target.map_or(Wanted::Vectors(ef.saturating_mul(SCANNED_PER_CANDIDATE)), Wanted::Recall);
            let reached = reached(state, partitions, k, wanted, available);
            return reached.map_or(Self::Scan { ef: kept }, |reached| Self::Probe { ef: kept, reached });
        }
        let suffices = target.is_none_or(|target| state.efforts.suffice(target));
        let walks = state.graph.len() * 2 > state.slots() && state.graph_recall >= GOOD && suffices;
        let wanted = target.map(|target| walk_for(target, k, &state.efforts, &state.ranks(), state.slots()));
        match walked(wanted.unwrap_or(ef).max(ef), state.slots(), available) {
            Some(ef) if walks => Self::Walk { ef },
            _ => Self::Scan { ef: kept },
        }
    }
}

/// Return the candidates that a walk keeps to find as many as `ef` among all: only a share of the
/// nodes it meets is allowed. `None` if a scan of the `available` codes costs less.
pub(crate) fn walked(ef: usize, slots: usize, available: usize) -> Option<usize> {
    let walked = ef.saturating_mul(slots).div_ceil(available.max(1));
    (available > codes_of_walk(walked)).then_some(walked)
}

/// Return the codes that a scan compares in the time of a walk that keeps `ef` candidates.
fn codes_of_walk(ef: usize) -> usize {
    ef.saturating_mul(SCANNED_PER_CANDIDATE + ef / MOVED_PER_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_costs_more_per_candidate_the_more_it_keeps() {
        let million = 1_000_000;
        assert_eq!(walked(66, million, million), Some(66));
        assert_eq!(walked(66, million, million / 10), Some(660));
        assert_eq!(walked(66, million, million / 100), None);
        // Per candidate, these walks read far fewer codes than a scan does.
        for (ef, slots) in [(10_056, million), (50_056, 10 * million)] {
            assert!(ef * SCANNED_PER_CANDIDATE < slots);
            assert_eq!(walked(ef, slots, slots), None, "{ef} of {slots}");
        }
    }
}
