//! What is decided before a search begins: which way it goes, how deep its rankings are, and among which rows.
//!
//! Way and depths follow from the shape of a search by a little arithmetic. What planning costs is its filter: reading it, and finding the
//! rows that pass. Both are kept for the filters that were asked lately, by their own text; the rows count for as long as no batch has
//! changed the collection.

use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use tiercel_text::Query;

use crate::collection::Core;
use crate::errors::QueryError;
use crate::filter::{FieldIndexes, Filter};
use crate::search::Search;
use crate::select::select;
use crate::snapshot::Snapshot;

/// How a search went.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `vector`, `text`, `hybrid` or `nothing`.
    pub way: &'static str,
    /// Share of the records that passed the filter.
    pub selectivity: Option<f64>,
    /// Whether an earlier search had found the rows that pass the filter.
    pub cached: bool,
    /// Fields that the search asks for and no record has; found out only for a search that is to be explained.
    pub unknown_fields: Vec<String>,
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

impl Plan {
    /// Note a stage that began then.
    pub(crate) fn note(&mut self, name: &'static str, begin: Instant, count: usize) {
        self.stages.push(Stage { name, seconds: begin.elapsed().as_secs_f64(), count });
    }
}

/// Where the results of a search come from.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Nothing is asked for, or nothing may be found.
    Nothing,
    Vector(&'a [f32]),
    Text(&'a Query),
    Hybrid(&'a [f32], &'a Query),
}

impl<'a> Way<'a> {
    /// The way to what is asked for, if so many records may be found.
    pub(crate) const fn of(vector: Option<&'a [f32]>, text: Option<&'a Query>, available: usize) -> Self {
        match (vector, text) {
            _ if available == 0 => Self::Nothing,
            (Some(vector), Some(text)) => Self::Hybrid(vector, text),
            (Some(vector), None) => Self::Vector(vector),
            (None, Some(text)) => Self::Text(text),
            (None, None) => Self::Nothing,
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Vector(_) => "vector",
            Self::Text(_) => "text",
            Self::Hybrid(..) => "hybrid",
        }
    }
}

/// Candidates for a stage that chooses among them, unless it asks for more: four times the results, and not fewer than a hundred.
pub const fn deep(k: usize) -> usize {
    let deep = k.saturating_mul(4);
    if deep < 100 { 100 } else { deep }
}

/// How many records go from stage to stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depths {
    /// Out of each ranking.
    pub(crate) ranking: usize,
    /// Out of fusion.
    pub(crate) fused: usize,
}

impl Depths {
    /// The depths of a search that may find so many records.
    pub(crate) fn of(search: &Search<'_>, available: usize) -> Self {
        let deep = deep(search.k);
        let chooses = search.rerank.is_some() || search.mmr.is_some();
        let fused = if chooses { search.rerank.unwrap_or(deep).max(search.k) } else { search.k };
        let ranking = if search.rankings() == (true, true) { deep.max(fused) } else { fused };
        Self { ranking: ranking.min(available), fused: fused.min(available) }
    }
}

/// From this share on, the rows that a filter leaves are picked from a longer ranking of all.
const BROAD: f64 = 0.25;

/// How many of the nearest of all to ask for, one try after the other, to find `k` of a given share. When none is left, and for a small
/// share at once, the index looks at that share alone: the query may be far from it.
pub(crate) fn among_all(k: usize, share: f64) -> impl Iterator<Item = usize> {
    let likely = ((k as f64 * 1.25 / share) as usize).saturating_add(8);
    [likely, likely.saturating_mul(4)].into_iter().filter(move |_| share >= BROAD)
}

/// Filters that are kept, and the longest.
const FILTERS: usize = 32;
const LONGEST: usize = 1 << 16;

/// The rows of a snapshot that pass a filter.
pub(crate) type Passing = Arc<RoaringBitmap>;

/// Filters that were asked lately, the latest last.
#[derive(Default)]
pub(crate) struct Filters {
    known: Mutex<Vec<Known>>,
}

struct Known {
    text: Box<str>,
    filter: Arc<Filter>,
    rows: Passing,
    moment: Moment,
}

/// What the rows that pass depend on: the last batch and, where another collection can take the place of this one on the disk, which
/// one it was read from.
struct Moment {
    sequence: u64,
    fields: Weak<FieldIndexes>,
}

impl Moment {
    fn of(snapshot: &Snapshot) -> Self {
        Self { sequence: snapshot.sequence, fields: Arc::downgrade(&snapshot.fields) }
    }

    fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.sequence == snapshot.sequence && std::ptr::eq(self.fields.as_ptr(), Arc::as_ptr(&snapshot.fields))
    }
}

impl Filters {
    /// The newest snapshot, those of its living rows that pass a filter, and the plan of a search through it so far.
    pub(crate) fn passing(&self, core: &Core, text: &str) -> Result<(Arc<Snapshot>, Passing, Plan), QueryError> {
        let begin = Instant::now();
        let snapshot = core.snapshot();
        let (filter, known) = match self.recall(text, &snapshot) {
            Some(known) => known,
            None => (Arc::new(Filter::from_text(text)?), None),
        };
        let mut plan = Plan { cached: known.is_some(), ..Plan::default() };
        let (snapshot, rows) = if let Some(rows) = known {
            (snapshot, rows)
        } else {
            // A newer one, perhaps.
            let (snapshot, rows) = select(core, &filter)?;
            let (rows, moment) = (Arc::new(rows), Moment::of(&snapshot));
            self.keep(Known { text: text.into(), filter, rows: Arc::clone(&rows), moment });
            (snapshot, rows)
        };
        plan.note("filter", begin, rows.len() as usize);
        plan.selectivity = Some(rows.len() as f64 / snapshot.live.max(1) as f64);
        Ok((snapshot, rows, plan))
    }

    /// A filter by its text, and its rows if they are those of this moment.
    fn recall(&self, text: &str, snapshot: &Snapshot) -> Option<(Arc<Filter>, Option<Passing>)> {
        let mut all = self.known.lock();
        let at = all.iter().rposition(|known| *known.text == *text)?;
        all[at..].rotate_left(1);
        let known = all.last()?;
        Some((Arc::clone(&known.filter), known.moment.is_of(snapshot).then(|| Arc::clone(&known.rows))))
    }

    fn keep(&self, new: Known) {
        if new.text.len() > LONGEST {
            return;
        }
        let mut all = self.known.lock();
        let at = all.iter().position(|known| known.text == new.text);
        if at.is_some() || all.len() == FILTERS {
            all.remove(at.unwrap_or(0));
        }
        all.push(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::Fusion;

    #[test]
    fn ways_are_what_is_given_and_can_be_found() {
        let (vector, query) = ([1.0], Query::default());
        let name = |vector, text, available| Way::of(vector, text, available).name();
        assert_eq!(name(Some(&vector[..]), None, 9), "vector");
        assert_eq!(name(None, Some(&query), 9), "text");
        assert_eq!(name(Some(&vector[..]), Some(&query), 9), "hybrid");
        assert_eq!(name(Some(&vector[..]), Some(&query), 0), "nothing");
        assert_eq!(name(None, None, 9), "nothing");
    }

    #[test]
    fn depths_are_what_later_stages_need() {
        let vector = [1.0];
        let alone = Search { vector: Some(&vector), k: 10, ..Search::default() };
        let depths = |search: &Search<'_>, available| {
            let Depths { ranking, fused } = Depths::of(search, available);
            (ranking, fused)
        };
        assert_eq!(depths(&alone, 5000), (10, 10));
        assert_eq!(depths(&Search { text: Some("x"), ..alone.clone() }, 5000), (100, 10));
        assert_eq!(depths(&Search { mmr: Some(0.5), k: 50, ..alone.clone() }, 5000), (200, 200));
        assert_eq!(depths(&Search { rerank: Some(20), text: Some("x"), ..alone.clone() }, 5000), (100, 20));
        assert_eq!(depths(&Search { rerank: Some(500), text: Some("x"), ..alone.clone() }, 5000), (500, 500));
        let one = Fusion::Weighted { alpha: 1.0 };
        assert_eq!(depths(&Search { text: Some("x"), fusion: one, ..alone.clone() }, 5000), (10, 10), "one ranking");
        assert_eq!(depths(&Search { k: usize::MAX, text: Some("x"), ..alone.clone() }, 7), (7, 7));
        assert_eq!(depths(&Search { rerank: Some(3), ..alone }, 5000), (10, 10), "never fewer than the results");
    }

    #[test]
    fn a_broad_share_is_picked_from_a_longer_ranking() {
        assert!(among_all(10, 0.5).eq([33, 132]));
        assert_eq!(among_all(10, 0.2).count(), 0);
    }
}
