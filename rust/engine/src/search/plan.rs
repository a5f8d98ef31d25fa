//! The decisions before a search, which way it takes and how deep its rankings are, and the report
//! on how it went.
//!
//! Way and depths follow from the request by simple arithmetic. The rows that pass its filter come
//! from [`super::passing`].

use std::time::Instant;

use tiercel_index::Trace;
use tiercel_text::Query;

use crate::search::request::Search;

/// A report on a search.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `vector`, `text`, `hybrid` or `nothing`.
    pub way: &'static str,
    /// The share of the records that passed the filter.
    pub selectivity: Option<f64>,
    /// Whether an earlier search had found the rows that pass the filter.
    pub cached: bool,
    /// Fields in the request that no record has; looked up only if the search asks for an
    /// explanation.
    pub unknown_fields: Vec<String>,
    /// The cost of the vector search, if there was one.
    pub trace: Option<Trace>,
    /// The part of it among vectors that are not in a graph yet.
    pub fresh: Option<Trace>,
    /// The stages in the order they ended.
    pub stages: Vec<Stage>,
}

/// A stage of a search.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Its duration in seconds.
    pub seconds: f64,
    /// The records it returned.
    pub count: usize,
}

impl Plan {
    /// Record a stage that started at `begin` and ends now.
    pub(crate) fn note(&mut self, name: &'static str, begin: Instant, count: usize) {
        self.stages.push(Stage { name, seconds: begin.elapsed().as_secs_f64(), count });
    }
}

/// The source of the results of a search.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// The request is empty, or no record may be found.
    Nothing,
    Vector(&'a [f32]),
    Text(&'a Query),
    Hybrid(&'a [f32], &'a Query),
}

impl<'a> Way<'a> {
    /// Choose the way, where `available` records may be found.
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

/// The candidates for a stage that chooses among them, unless the request asks for more: four times
/// the results, at least a hundred.
pub const fn deep(k: usize) -> usize {
    let deep = k.saturating_mul(4);
    if deep < 100 { 100 } else { deep }
}

/// How many records pass from stage to stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depths {
    /// From each ranking.
    pub(crate) ranking: usize,
    /// From fusion.
    pub(crate) fused: usize,
}

impl Depths {
    /// Choose the depths of a search, where `available` records may be found.
    pub(crate) fn of(search: &Search<'_>, available: usize) -> Self {
        let deep = deep(search.k);
        let chooses = search.rerank.is_some() || search.mmr.is_some();
        let fused = if chooses { search.rerank.unwrap_or(deep).max(search.k) } else { search.k };
        let ranking = if search.rankings() == (true, true) { deep.max(fused) } else { fused };
        Self { ranking: ranking.min(available), fused: fused.min(available) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::fuse::Fusion;

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
}
