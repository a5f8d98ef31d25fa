//! Searches: what can be asked, and what comes back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tiercel_index::{Work, check_vectors};
use tiercel_store::Record;

use crate::collection::Collection;
use crate::config::Config;
use crate::errors::QueryError;
use crate::expand::Expand;
use crate::filter::Filter;
use crate::fuse::Fusion;
use crate::plan::{Passing, Plan};
use crate::run::{Candidates, Run};
use crate::select::{select, unknown};
use crate::snapshot::Snapshot;
use crate::vectors::options;

/// What to look for. Without a vector and a text, nothing is found.
#[derive(Clone, Debug, Default)]
pub struct Search<'a> {
    /// Find records with vectors near this one.
    pub vector: Option<&'a [f32]>,
    /// Find records with these words.
    pub text: Option<&'a str>,
    /// What signs and quotes in the text mean.
    pub syntax: Syntax,
    /// Only among the records that pass this filter, in its JSON form.
    pub filter: Option<&'a str>,
    /// Results wanted.
    pub k: usize,
    /// Share of the true nearest wanted; 1 is exact search.
    pub recall: Option<f32>,
    /// How two rankings become one.
    pub fusion: Fusion,
    /// Go on from what was found.
    pub expand: Option<&'a Expand>,
    /// How many candidates a reranker is to see, between [`Collection::candidates`] and [`Collection::results`].
    pub rerank: Option<usize>,
    /// Choose for diversity: the weight of relevance, from 0 to 1.
    pub mmr: Option<f32>,
    /// What each result brings along.
    pub include: Include,
    /// Whether the plan is to name the fields that no record has.
    pub explain: bool,
}

/// What signs and quotes in a text mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Nothing: all words are looked for, and none must be there.
    #[default]
    Plain,
    /// `"a phrase"`, `+required`, `-excluded`. Beside a vector, what the text requires, excludes and quotes holds for every result.
    Operators,
}

impl Search<'_> {
    /// Whether there is a ranking by vector, and one by text.
    pub(crate) fn rankings(&self) -> (bool, bool) {
        match (self.vector.is_some(), self.text.is_some()) {
            (true, true) => self.fusion.counts(),
            given => given,
        }
    }
}

/// What a result brings along besides id and score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub struct Include {
    /// The text.
    pub text: bool,
    /// The metadata.
    pub metadata: bool,
    /// The vector.
    pub vector: bool,
    /// Where the words of the query stand in the text.
    pub highlights: bool,
}

impl Include {
    /// The text and the metadata of a record, as far as they are needed.
    pub(crate) fn of(self, record: &Record) -> (Option<&[u8]>, Option<&[u8]>) {
        let text = record.text.as_deref().filter(|_| self.text || self.highlights);
        (text, record.metadata.as_deref().filter(|_| self.metadata))
    }
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: String,
    /// The batch that wrote it last, for the conditions of later writes.
    pub sequence: u64,
    /// Larger is better: that of the last stage that gives scores.
    pub score: f32,
    /// Distance of its vector, if it was found by that.
    pub distance: Option<f32>,
    /// Its text, if wanted.
    pub text: Option<String>,
    /// Its metadata, if wanted.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if wanted.
    pub vector: Option<Vec<f32>>,
    /// Where the words of the query stand in the text, if wanted: begin and end in characters.
    pub highlights: Option<Vec<(usize, usize)>>,
}

/// What was found, and how.
#[derive(Clone, Debug)]
pub struct Found {
    /// Best first.
    pub matches: Vec<Match>,
    /// Whether these are what an exact search finds.
    pub exact: bool,
    /// Records that may be missing, because their text or metadata cannot be read.
    pub damaged: u64,
    /// How it was found.
    pub plan: Plan,
}

/// Queries a thread takes at a time.
const CHUNK: usize = 8;

impl Collection {
    /// Find the best `k` records.
    pub fn search(&self, search: &Search<'_>) -> Result<Found, QueryError> {
        self.candidates(search)?.finish(search)
    }

    /// The first half of a search: what a reranker is to see.
    pub fn candidates(&self, search: &Search<'_>) -> Result<Candidates, QueryError> {
        if let Some(vector) = search.vector {
            self.check("vector", vector)?;
        }
        let (snapshot, passing, plan) = self.plan(search)?;
        let stop = &AtomicBool::new(false);
        Run { snapshot: &snapshot, search, passing, stop, alone: true }.candidates(plan)
    }

    /// The second half: the results.
    pub fn results(&self, search: &Search<'_>, candidates: Candidates) -> Result<Found, QueryError> {
        candidates.finish(search)
    }

    /// Many searches of one moment, split over threads: `like` with each of the vectors, one after the other, each of the texts, or each
    /// of both, which must be as many.
    pub fn search_many(
        &self,
        vectors: Option<&[f32]>,
        texts: Option<&[String]>,
        like: &Search<'_>,
        work: &Work<'_>,
    ) -> Result<Vec<Found>, QueryError> {
        self.many(vectors, texts, like, work, |search, candidates| candidates.finish(search))
    }

    /// The first halves of many searches.
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

    /// Check query vectors; gives the length of each.
    pub(crate) fn check(&self, argument: &'static str, vectors: &[f32]) -> Result<usize, QueryError> {
        let Config { dim, metric, .. } = *self.config();
        let dim = dim.ok_or(QueryError::NoVectors)?;
        check_vectors(argument, vectors, &options(dim, metric))?;
        Ok(dim)
    }

    /// What a search sees: the newest snapshot, the rows of it that pass the filter, and the plan so far.
    pub(crate) fn plan(&self, search: &Search<'_>) -> Result<(Arc<Snapshot>, Option<Passing>, Plan), QueryError> {
        let field = search.expand.and_then(Expand::field);
        field.map_or(Ok(()), |field| self.config().schema.check_field("expand", field))?;
        let (snapshot, passing, mut plan) = match search.filter {
            None => (self.core.snapshot(), None, Plan::default()),
            Some(filter) => {
                let (snapshot, passing, plan) = self.core.filters.passing(&self.core, filter)?;
                (snapshot, Some(passing), plan)
            }
        };
        if search.explain {
            let filter = search.filter.map(Filter::from_text).transpose()?;
            let fields = filter.iter().flat_map(Filter::fields).chain(field);
            plan.unknown_fields = unknown(&self.core, fields)?;
        }
        Ok((snapshot, passing, plan))
    }

    /// Records that pass a filter.
    pub fn count(&self, filter: Option<&Filter>) -> Result<u64, QueryError> {
        filter.map_or_else(|| Ok(self.len()), |filter| Ok(select(&self.core, filter)?.1.len()))
    }
}
