//! Searches: choosing between vector, text and both, and putting the result together.

use std::thread;
use std::time::Instant;

use roaring::RoaringBitmap;
use tiercel_index::{Metric, check_vectors};
use tiercel_text::Query;

use crate::collection::{Collection, Core};
use crate::config::Config;
use crate::errors::QueryError;
use crate::filter::Filter;
use crate::fuse::{Fusion, Scored, fuse};
use crate::select::select;
use crate::snapshot::Snapshot;
use crate::vectors::{Near, options};

/// What to look for. Without a vector and a text, nothing is found.
#[derive(Clone, Debug, Default)]
pub struct Search<'a> {
    /// Find records with vectors near this one.
    pub vector: Option<&'a [f32]>,
    /// Find records with these words.
    pub text: Option<&'a str>,
    /// Only among the records that pass.
    pub filter: Option<&'a Filter>,
    /// Results wanted.
    pub k: usize,
    /// Share of the true nearest wanted; 1 is exact search.
    pub recall: Option<f32>,
    /// How two rankings become one.
    pub fusion: Fusion,
    /// What each result brings along.
    pub include: Include,
}

/// What a result brings along besides id and score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// The text.
    pub text: bool,
    /// The metadata.
    pub metadata: bool,
    /// The vector.
    pub vector: bool,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: String,
    /// Larger is better: the fused score, that of the text, or of the vector alone.
    pub score: f32,
    /// Distance of its vector, if that was how it was found.
    pub distance: Option<f32>,
    /// Its text, if wanted.
    pub text: Option<String>,
    /// Its metadata, if wanted.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if wanted.
    pub vector: Option<Vec<f32>>,
}

/// What was found, and how.
#[derive(Clone, Debug)]
pub struct Found {
    /// Best first.
    pub matches: Vec<Match>,
    /// Whether these are what an exact search finds.
    pub exact: bool,
    /// How it was found.
    pub plan: Plan,
}

/// How a search went.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `vector`, `text`, `hybrid` or `nothing`.
    pub way: &'static str,
    /// Share of the records that passed the filter.
    pub selectivity: Option<f64>,
    /// The stages in the order they ended.
    pub stages: Vec<Stage>,
}

/// A stage of a search.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What it did.
    pub name: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// Records that came out of it.
    pub count: usize,
}

/// Candidates that each ranking gives to a fusion: as many times the results wanted, and not fewer than `DEPTH`.
const DEEPER: usize = 4;
const DEPTH: usize = 100;

impl Collection {
    /// Find the best `k` records.
    pub fn search(&self, search: &Search<'_>) -> Result<Found, QueryError> {
        if let Some(vector) = search.vector {
            let Config { dim, metric, .. } = self.core.config;
            check_vectors("vector", vector, &options(dim.ok_or(QueryError::NoVectors)?, metric))?;
        }
        let snapshot = self.core.snapshot();
        Run { core: &self.core, snapshot: &snapshot, search }.run()
    }

    /// Records that pass a filter.
    pub fn count(&self, filter: Option<&Filter>) -> Result<u64, QueryError> {
        let snapshot = self.core.snapshot();
        filter.map_or(Ok(snapshot.live), |filter| Ok(select(&self.core, &snapshot, filter)?.len()))
    }
}

struct Run<'a> {
    core: &'a Core,
    snapshot: &'a Snapshot,
    search: &'a Search<'a>,
}

/// What the filter leaves.
struct Allowed {
    rows: RoaringBitmap,
    /// The same as the index wants it.
    ids: Vec<u64>,
}

/// The nearest by vector: rows and distances, and whether they are the true ones.
type Nearest = (Vec<(u32, f32)>, bool);

impl Run<'_> {
    fn run(&self) -> Result<Found, QueryError> {
        let mut plan = Plan::default();
        let allowed = self.allowed(&mut plan)?;
        let allowed = allowed.as_ref();
        let k = self.search.k;
        let (scored, (nearest, exact)) = match (self.search.vector, self.search.text) {
            (Some(vector), None) => {
                plan.way = "vector";
                let nearest = staged(&mut plan, "vector", || self.near(vector, k, allowed))?;
                (self.scores(&nearest.0), nearest)
            }
            (None, Some(text)) => {
                plan.way = "text";
                (staged(&mut plan, "text", || Ok(self.by_text(text, k, allowed)))?, (Vec::new(), true))
            }
            (Some(vector), Some(text)) => {
                plan.way = "hybrid";
                self.hybrid(vector, text, allowed, &mut plan)?
            }
            (None, None) => {
                plan.way = "nothing";
                (Vec::new(), (Vec::new(), true))
            }
        };
        let matches = staged(&mut plan, "records", || self.matches(&scored, &nearest))?;
        Ok(Found { matches, exact, plan })
    }

    fn allowed(&self, plan: &mut Plan) -> Result<Option<Allowed>, QueryError> {
        let Some(filter) = self.search.filter else { return Ok(None) };
        let rows = staged(plan, "filter", || select(self.core, self.snapshot, filter))?;
        plan.selectivity = Some(rows.len() as f64 / self.snapshot.live.max(1) as f64);
        let ids = if self.search.vector.is_some() { rows.iter().map(u64::from).collect() } else { Vec::new() };
        Ok(Some(Allowed { rows, ids }))
    }

    fn near(&self, query: &[f32], k: usize, allowed: Option<&Allowed>) -> Result<Nearest, QueryError> {
        let Some(vectors) = &self.snapshot.vectors else { return Ok((Vec::new(), true)) };
        let allowed = allowed.map(|allowed| allowed.ids.as_slice());
        let near = Near { query, k, recall: self.search.recall, allowed };
        vectors.search(&near, |row| self.snapshot.lives(row))
    }

    fn by_text(&self, text: &str, k: usize, allowed: Option<&Allowed>) -> Vec<Scored> {
        let query = Query::parse(text, &self.core.config.tokenizer);
        let hits = match allowed {
            Some(allowed) => self.snapshot.text.search(&query, k, |row| allowed.rows.contains(row)),
            None => self.snapshot.text.search(&query, k, |row| self.snapshot.lives(row)),
        };
        hits.into_iter().map(|hit| (hit.row, hit.score)).collect()
    }

    /// Both at once, then fused.
    fn hybrid(
        &self,
        vector: &[f32],
        text: &str,
        allowed: Option<&Allowed>,
        plan: &mut Plan,
    ) -> Result<(Vec<Scored>, Nearest), QueryError> {
        let depth = (self.search.k.saturating_mul(DEEPER)).max(DEPTH);
        let mut of_text = Plan::default();
        let (nearest, by_text) = thread::scope(|scope| {
            let by_text = || staged(&mut of_text, "text", || Ok(self.by_text(text, depth, allowed)));
            let nearest = |plan: &mut Plan| staged(plan, "vector", || self.near(vector, depth, allowed));
            match thread::Builder::new().spawn_scoped(scope, by_text) {
                Ok(beside) => {
                    let nearest = nearest(plan);
                    let by_text = beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    (nearest, by_text)
                }
                // Without a thread, one after the other.
                Err(_) => (nearest(plan), Ok(self.by_text(text, depth, allowed))),
            }
        });
        plan.stages.extend(of_text.stages);
        let ((nearest, exact), by_text) = (nearest?, by_text?);
        let by_vector = self.scores(&nearest);
        let fused = staged(plan, "fusion", || Ok(fuse(&by_vector, &by_text, self.search.fusion, self.search.k)))?;
        Ok((fused, (nearest, exact)))
    }

    /// Distances as scores.
    fn scores(&self, nearest: &[(u32, f32)]) -> Vec<Scored> {
        let highest = if self.core.config.metric == Metric::Cosine { 1.0 } else { 0.0 };
        nearest.iter().map(|(row, distance)| (*row, highest - distance)).collect()
    }

    fn matches(&self, scored: &[Scored], nearest: &[(u32, f32)]) -> Result<Vec<Match>, QueryError> {
        let rows: Vec<u32> = scored.iter().map(|(row, _)| *row).collect();
        let records = self.snapshot.reader.records(&rows)?;
        let include = self.search.include;
        let whole = |((row, score), record): (&Scored, Option<tiercel_store::Record>)| {
            // A record that a later batch of the same commit removed is gone already.
            let record = record?;
            let vectors = self.snapshot.vectors.as_ref().filter(|_| include.vector);
            Some(Match {
                id: record.id,
                score: *score,
                distance: nearest.iter().find(|(near, _)| near == row).map(|(_, distance)| *distance),
                text: record.text.filter(|_| include.text),
                metadata: record.metadata.filter(|_| include.metadata),
                vector: vectors.and_then(|vectors| vectors.get(*row)),
            })
        };
        Ok(scored.iter().zip(records).filter_map(whole).collect())
    }
}

/// Run a stage and note how long it took and how much came out.
fn staged<T: Size>(
    plan: &mut Plan,
    name: &'static str,
    run: impl FnOnce() -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let begin = Instant::now();
    let out = run()?;
    plan.stages.push(Stage { name, seconds: begin.elapsed().as_secs_f64(), count: out.size() });
    Ok(out)
}

trait Size {
    fn size(&self) -> usize;
}

impl<T> Size for Vec<T> {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Size for Nearest {
    fn size(&self) -> usize {
        self.0.len()
    }
}

impl Size for RoaringBitmap {
    fn size(&self) -> usize {
        self.len() as usize
    }
}
