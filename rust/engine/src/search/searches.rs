//! Searches of a collection, one or many.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::collection::Collection;
use crate::errors::QueryError;
use crate::filter::Filter;
use crate::search::expand::Expand;
use crate::search::found::Found;
use crate::search::passing::passing;
use crate::search::plan::Plan;
use crate::search::request::Search;
use crate::search::run::Candidates;
use crate::search::run::Run;
use crate::search::select::select;
use crate::search::select::unknown;
use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;
use tiercel_index::{Work, check_vectors};

/// Queries that a thread takes at a time.
const CHUNK: usize = 8;

impl Collection {
    /// Find the best `k` records.
    pub fn search(&self, search: &Search<'_>) -> Result<Found, QueryError> {
        self.candidates(search)?.finish(search)
    }

    /// Run the first half of a search, up to what a reranker sees.
    pub fn candidates(&self, search: &Search<'_>) -> Result<Candidates, QueryError> {
        if let Some(vector) = search.vector {
            self.check("vector", vector)?;
        }
        let (snapshot, passing, plan) = self.plan(search)?;
        let stop = &AtomicBool::new(false);
        Run { snapshot: &snapshot, search, passing, stop, alone: true }.candidates(plan)
    }

    /// Run the second half, and return the results.
    pub fn results(&self, search: &Search<'_>, candidates: Candidates) -> Result<Found, QueryError> {
        candidates.finish(search)
    }

    /// Run many searches in one snapshot, split over threads: `like` with each of the vectors,
    /// which are concatenated, with each of the texts, or with each pair of both, which must be
    /// equally many.
    pub fn search_many(
        &self,
        vectors: Option<&[f32]>,
        texts: Option<&[String]>,
        like: &Search<'_>,
        work: &Work<'_>,
    ) -> Result<Vec<Found>, QueryError> {
        self.many(vectors, texts, like, work, |search, candidates| candidates.finish(search))
    }

    /// Run the first halves of many searches.
    pub fn candidates_many(
        &self,
        vectors: Option<&[f32]>,
        texts: Option<&[String]>,
        like: &Search<'_>,
        work: &Work<'_>,
    ) -> Result<Vec<Candidates>, QueryError> {
        self.many(vectors, texts, like, work, |_, candidates| Ok(candidates))
    }

    fn many<T: Send>(
        &self,
        vectors: Option<&[f32]>,
        texts: Option<&[String]>,
        like: &Search<'_>,
        work: &Work<'_>,
        end: impl Fn(&Search<'_>, Candidates) -> Result<T, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let dim = vectors.map_or(Ok(1), |vectors| self.check("vectors", vectors))?;
        let count = texts.map_or_else(|| vectors.map_or(0, |vectors| vectors.len() / dim), <[String]>::len);
        let (snapshot, passing, plan) = self.plan(like)?;
        let one = |at: usize| {
            let vector = vectors.map(|vectors| &vectors[at * dim..][..dim]);
            let text = texts.map(|texts| texts[at].as_str());
            let search = &Search { vector, text, ..like.clone() };
            let passing = passing.clone();
            let run = Run { snapshot: &snapshot, search, passing, stop: work.stop, alone: false };
            end(search, run.candidates(plan.clone())?)
        };
        let mut found: Vec<Option<Result<T, QueryError>>> = (0..count).map(|_| None).collect();
        work.fill(&mut found, 1, CHUNK, || (), |(), at, out| out[0] = Some(one(at)))?;
        found.into_iter().flatten().collect()
    }

    /// Check query vectors, and return their dim.
    pub(crate) fn check(&self, argument: &'static str, vectors: &[f32]) -> Result<usize, QueryError> {
        let config = self.config();
        let dim = config.dim.ok_or(QueryError::NoVectors)?;
        check_vectors(argument, vectors, &config.options(dim))?;
        Ok(dim)
    }

    /// Return what a search sees: the newest snapshot, its rows that pass the filter, and the plan
    /// so far.
    pub(crate) fn plan(&self, search: &Search<'_>) -> Result<(Arc<Snapshot>, Option<Passing>, Plan), QueryError> {
        let field = search.expand.and_then(Expand::field);
        field.map_or(Ok(()), |field| self.config().schema.check_field("expand", field))?;
        let (snapshot, passing, mut plan) = match search.filter {
            None => (self.core.snapshot(), None, Plan::default()),
            Some(filter) => {
                let (snapshot, rows, plan) = passing(&self.core, filter)?;
                (snapshot, Some(rows), plan)
            }
        };
        if search.explain {
            let filter = search.filter.map(Filter::from_text).transpose()?;
            let fields = filter.iter().flat_map(Filter::fields).chain(field);
            plan.unknown_fields = unknown(&self.core, fields)?;
        }
        Ok((snapshot, passing, plan))
    }

    /// Count the records that pass a filter.
    pub fn count(&self, filter: Option<&Filter>) -> Result<u64, QueryError> {
        filter.map_or_else(|| Ok(self.len()), |filter| Ok(select(&self.core, filter)?.1.len()))
    }
}
