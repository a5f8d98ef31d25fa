//! One search, from its rankings to the records.
//!
//! ```text
//! filter, constraints -> rows that may be found
//! vector, text        -> a ranking each
//! fusion              -> one ranking
//! expand              -> with the records it leads to
//! rerank, mmr         -> another order
//! records             -> the best k
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use roaring::RoaringBitmap;
use tiercel_index::Metric;
use tiercel_store::Record;
use tiercel_text::{Query, highlight};

use crate::errors::QueryError;
use crate::search::expand::{self, Reach};
use crate::search::found::{Found, Match};
use crate::search::fuse::{Scored, fuse};
use crate::search::mmr::{self, Unit};
use crate::search::nearest::nearest;
use crate::search::plan::{Depths, Plan, Way};
use crate::search::request::{Search, Syntax};
use crate::search::scope::Scope;
use crate::state::damage::Field;
use crate::state::passing::Passing;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{Near, Nearest, Neighbour};

/// A search in one snapshot.
pub(crate) struct Run<'a> {
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) search: &'a Search<'a>,
    /// The rows that pass its filter, if it has one.
    pub(crate) passing: Option<Passing>,
    /// Set to stop the search.
    pub(crate) stop: &'a AtomicBool,
    /// Whether it may use a second thread.
    pub(crate) alone: bool,
}

/// The candidates from the rankings of a search, from which later stages make the results.
pub struct Candidates {
    snapshot: Arc<Snapshot>,
    /// Best first.
    scored: Vec<Scored>,
    /// Distances of the candidates found by vector.
    near: Vec<Neighbour>,
    /// Their records, if a reranker sees them.
    records: HashMap<u32, Record>,
    query: Option<Query>,
    exact: bool,
    plan: Plan,
}

impl Run<'_> {
    /// Rank, fuse and expand.
    pub(crate) fn candidates(&self, mut plan: Plan) -> Result<Candidates, QueryError> {
        let (by_vector, by_text) = self.search.rankings();
        let vector = self.search.vector.filter(|_| by_vector);
        let query = self.search.text.map(|text| self.query(text)).transpose()?;
        let scope = self.scope(query.as_ref(), &mut plan);
        let depths = Depths::of(self.search, scope.count());
        let way = Way::of(vector, query.as_ref().filter(|_| by_text), scope.count());
        plan.way = way.name();
        let (mut scored, nearest) = match way {
            Way::Nothing => (Vec::new(), Nearest::none()),
            Way::Vector(vector) => {
                let nearest = self.near(vector, depths.ranking, &scope, &mut plan)?;
                (self.scores(&nearest.rows), nearest)
            }
            Way::Text(query) => (self.by_text(query, depths.ranking, &scope, &mut plan), Nearest::none()),
            Way::Hybrid(vector, query) => self.hybrid(vector, query, depths, &scope, &mut plan)?,
        };
        let Nearest { rows: near, mut exact, .. } = nearest;
        if let Some(how) = self.search.expand {
            let begin = Instant::now();
            let reach = Reach { snapshot: self.snapshot, scope: &scope, recall: self.search.recall, stop: self.stop };
            exact &= expand::expand(&mut scored, how, &reach)?;
            plan.note("expand", begin, scored.len());
        }
        let mut records = HashMap::new();
        if let Some(depth) = self.search.rerank {
            scored.truncate(depth.max(self.search.k));
            let rows = rows(&scored);
            let read = self.snapshot.reader.records(&rows)?;
            records.extend(rows.into_iter().zip(read).filter_map(|(row, record)| Some((row, record?))));
        }
        Ok(Candidates { snapshot: Arc::clone(self.snapshot), scored, near, records, query, exact, plan })
    }

    /// Parse the text.
    fn query(&self, text: &str) -> Result<Query, QueryError> {
        let tokenizer = &self.snapshot.config.tokenizer;
        match self.search.syntax {
            Syntax::Plain => Ok(Query::plain(text, tokenizer)),
            Syntax::Operators if self.search.rankings().0 => Ok(Query::parse_strict(text, tokenizer)?),
            Syntax::Operators => Ok(Query::parse(text, tokenizer)?),
        }
    }

    /// Return the rows that may be found. The ranking by text already applies the text's
    /// constraints, so they matter here only if records can be found in another way.
    fn scope(&self, query: Option<&Query>, plan: &mut Plan) -> Scope<'_> {
        let mut scope = Scope::new(self.snapshot, self.passing.clone());
        let otherwise = self.search.vector.is_some() || self.search.expand.is_some();
        if let Some(query) = query.filter(|query| otherwise && query.constrains()) {
            let begin = Instant::now();
            scope.narrow(self.snapshot.text.constraints(query));
            plan.note("constraints", begin, scope.count());
        }
        scope
    }

    fn near(&self, query: &[f32], k: usize, scope: &Scope<'_>, plan: &mut Plan) -> Result<Nearest, QueryError> {
        let begin = Instant::now();
        let Search { recall, explain: timed, .. } = *self.search;
        let near = Near { query, k, recall, allowed: None, stop: self.stop, timed };
        let nearest = nearest(self.snapshot, scope, near)?;
        plan.note("vector", begin, nearest.rows.len());
        (plan.trace, plan.fresh) = (Some(nearest.trace), Some(nearest.fresh));
        Ok(nearest)
    }

    fn by_text(&self, query: &Query, k: usize, scope: &Scope<'_>, plan: &mut Plan) -> Vec<Scored> {
        let begin = Instant::now();
        let hits = self.snapshot.text.search(query, k, |row| scope.holds(row));
        plan.note("text", begin, hits.len());
        hits.into_iter().map(|hit| (hit.row, hit.score)).collect()
    }

    /// Rank by vector and by text, and fuse the rankings.
    fn hybrid(
        &self,
        vector: &[f32],
        query: &Query,
        depths: Depths,
        scope: &Scope<'_>,
        plan: &mut Plan,
    ) -> Result<(Vec<Scored>, Nearest), QueryError> {
        let mut of_text = Plan::default();
        let (nearest, by_text) = thread::scope(|scoped| {
            let by_text = || self.by_text(query, depths.ranking, scope, &mut of_text);
            let beside = self.alone.then(|| thread::Builder::new().spawn_scoped(scoped, by_text));
            let nearest = self.near(vector, depths.ranking, scope, plan);
            let by_text = beside
                .and_then(Result::ok)
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            (nearest, by_text)
        });
        // Among other searches, or if no thread started: one ranking after the other.
        let by_text = by_text.unwrap_or_else(|| self.by_text(query, depths.ranking, scope, &mut of_text));
        plan.stages.append(&mut of_text.stages);
        let nearest = nearest?;
        let begin = Instant::now();
        let fused = fuse(&self.scores(&nearest.rows), &by_text, self.search.fusion, depths.fused);
        plan.note("fusion", begin, fused.len());
        Ok((fused, nearest))
    }

    /// Convert distances to scores.
    fn scores(&self, nearest: &[Neighbour]) -> Vec<Scored> {
        let highest = if self.snapshot.config.metric == Metric::Cosine { 1.0 } else { 0.0 };
        nearest.iter().map(|(row, distance)| (*row, highest - distance)).collect()
    }
}

impl Candidates {
    /// Return the texts of the candidates, best first; `None` for a record without a readable text.
    pub fn texts(&self) -> Vec<Option<String>> {
        let text = |row| String::from_utf8(self.records.get(row)?.text.clone()?).ok();
        self.scored.iter().map(|(row, _)| text(row)).collect()
    }

    /// Sort the candidates by new scores, one each. Candidates without a score come last, in their
    /// old order.
    pub fn rerank(&mut self, scores: &[Option<f32>], begin: Instant) {
        for ((_, score), new) in self.scored.iter_mut().zip(scores) {
            *score = new.unwrap_or(f32::NEG_INFINITY);
        }
        self.scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        self.plan.note("rerank", begin, self.scored.len());
    }

    /// Return the results.
    pub(crate) fn finish(mut self, search: &Search<'_>) -> Result<Found, QueryError> {
        if let Some(lambda) = search.mmr {
            let begin = Instant::now();
            let mut failed = Ok(());
            let get = |row| kept(self.snapshot.vector(row), &mut failed);
            self.scored = mmr::choose(&self.scored, get, unit(self.snapshot.config.metric, search), lambda, search.k);
            failed?;
            self.plan.note("mmr", begin, self.scored.len());
        }
        self.scored.truncate(search.k);
        let begin = Instant::now();
        let (matches, left_out) = self.matches(search)?;
        self.plan.note("records", begin, matches.len());
        let damaged = self.snapshot.living(&(left_out | self.unknown(search)));
        Ok(Found { matches, exact: self.exact, damaged, plan: self.plan })
    }

    /// Return the rows that a filter or a ranking by text leaves out because their records cannot
    /// be read.
    fn unknown(&self, search: &Search<'_>) -> RoaringBitmap {
        let rows = |field, is_asked| if is_asked { self.snapshot.damage.rows(field) } else { RoaringBitmap::new() };
        rows(Field::Metadata, search.filter.is_some()) | rows(Field::Text, search.text.is_some())
    }

    /// Return the results, and the rows that are left out because a requested part cannot be read.
    fn matches(&mut self, search: &Search<'_>) -> Result<(Vec<Match>, RoaringBitmap), QueryError> {
        let records = if search.rerank.is_some() {
            self.scored.iter().map(|(row, _)| self.records.remove(row)).collect()
        } else {
            self.snapshot.reader.records(&rows(&self.scored))?
        };
        self.near.sort_unstable_by_key(|(row, _)| *row);
        let distance = |row: u32| {
            let at = self.near.binary_search_by_key(&row, |(near, _)| *near).ok()?;
            Some(self.near[at].1)
        };
        let include = search.include;
        let mut failed = Ok(());
        let lit = |text: Option<&str>| match (&self.query, text) {
            (Some(query), Some(text)) => in_characters(text, &highlight(text, query, &self.snapshot.config.tokenizer)),
            _ => Vec::new(),
        };
        let mut damaged = RoaringBitmap::new();
        let whole = |((row, score), record): (&Scored, Option<Record>)| {
            // A record that a later batch of the same commit removed is already gone.
            let record = record?;
            let (text, metadata) = include.of(&record);
            if !self.snapshot.damage.is_sound(*row, &record.id, text, metadata) {
                damaged.insert(*row);
                return None;
            }
            let text = record.text.and_then(|text| String::from_utf8(text).ok());
            Some(Match {
                id: record.id,
                sequence: record.sequence,
                score: *score,
                distance: distance(*row),
                highlights: include.highlights.then(|| lit(text.as_deref())),
                text: text.filter(|_| include.text),
                metadata: record.metadata.filter(|_| include.metadata),
                vector: if include.vector { kept(self.snapshot.vector(*row), &mut failed) } else { None },
            })
        };
        let matches = self.scored.iter().zip(records).filter_map(whole).collect();
        failed?;
        Ok((matches, damaged))
    }
}

/// Return a vector that was read; keep the error if it was not.
fn kept(vector: Result<Option<Vec<f32>>, QueryError>, failed: &mut Result<(), QueryError>) -> Option<Vec<f32>> {
    vector.unwrap_or_else(|error| {
        *failed = Err(error);
        None
    })
}

/// Return the unit of the scores for diversity.
fn unit(metric: Metric, search: &Search<'_>) -> Unit {
    match search.rankings() {
        _ if search.rerank.is_some() => Unit::Given,
        (true, false) => Unit::Similarity(metric),
        _ => Unit::ShareOfBest,
    }
}

fn rows(scored: &[Scored]) -> Vec<u32> {
    scored.iter().map(|(row, _)| *row).collect()
}

/// Convert ascending byte ranges of a text to character ranges.
fn in_characters(text: &str, ranges: &[std::ops::Range<usize>]) -> Vec<(usize, usize)> {
    let (mut bytes, mut characters) = (0, 0);
    let mut to = |end: usize| {
        characters += text[bytes..end].chars().count();
        bytes = end;
        characters
    };
    ranges.iter().map(|range| (to(range.start), to(range.end))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(in_characters("a \u{e9}\u{1f600}b c", &[2..4, 8..9, 10..11]), [(2, 3), (4, 5), (6, 7)]);
        assert_eq!(in_characters("", &[]), []);
    }
}
