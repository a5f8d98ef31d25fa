//! Exact search among a few vectors, for a cache of answers.

use super::Index;
use super::chosen::{Filter, chosen};
use super::read::{Matches, matches};
use crate::budget::Budget;
use crate::errors::{RowError, SearchError};
use crate::options::{Dtype, Rerank};
use crate::search::allowed::Allowed;
use crate::search::query::{Memory, NO_HIT, Search};
use crate::search::strategy::Strategy;
use crate::storage::bitset::Bitset;
use crate::storage::check;
use crate::work::Work;

/// The vectors to search among.
#[derive(Clone, Copy, Debug)]
pub struct Among<'a> {
    /// Number of results.
    pub k: usize,
    /// Ids of vectors to search; unknown ones are ignored.
    pub candidates: &'a [u64],
    /// An [`Index::version`]; vectors added since are searched too.
    pub since: u64,
    /// The most that may have been added.
    pub limit: usize,
    /// Which of all these may be found.
    pub filter: Option<Filter<'a>>,
}

impl Index {
    /// Find the nearest of some vectors and of all that were added since a version, in full
    /// precision. Return them with the current version; `None` if too many may have been added.
    pub fn search_among(
        &self,
        query: &[f32],
        among: &Among<'_>,
        work: &Work<'_>,
    ) -> Result<Option<(Matches, u64)>, SearchError> {
        check::check("query", query, self.options(), Dtype::F32, work)??;
        let (dim, values) = (self.options().dim, query.len());
        if values != dim {
            return Err(RowError::Ragged { argument: "query", dim, values }.into());
        }
        let state = self.state();
        let version = state.version;
        let added = version.checked_sub(among.since).and_then(|added| usize::try_from(added).ok());
        let Some(added) = added.filter(|added| *added <= among.limit) else { return Ok(None) };
        let mut some = Bitset::new(state.slots());
        state.ids.each_slot(among.candidates, &state.dead, |slot| some.insert(slot));
        let fresh = state.slots().saturating_sub(added)..state.slots();
        fresh.filter(|slot| !state.dead.contains(*slot)).for_each(|slot| some.insert(slot));
        if let Some(chosen) = chosen(&state, among.filter.as_ref())? {
            some.intersect(&chosen);
        }
        let k = among.k.min(state.ids.len());
        if k == 0 {
            return Ok(Some((Matches { k, ids: vec![], distances: vec![], counts: vec![0], exact: true }, version)));
        }
        let (level, strategy, allowed) = (self.level, Strategy::Exact, Allowed::Only(&some));
        let search =
            Search { state: &state, level, k, strategy, allowed, rerank: Rerank::Full, budget: Budget::default() };
        let (mut direction, mut hits) = (Vec::new(), vec![NO_HIT; k]);
        check::direction(query, self.options().metric, &mut direction);
        let watch = state.rows.watch();
        search.one(&direction, &mut Memory::default(), &mut hits, work)?;
        watch.check()?;
        Ok(Some((matches(k, &hits, !state.rows.are_coded()), version)))
    }
}
