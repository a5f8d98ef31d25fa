//! The options of a search, as `tiercel.Collection` passes them. Python has checked names,
//! strings and numbers.

use std::time::Instant;

use pyo3::prelude::*;
use tiercel_engine::{Candidates, Expand, Fusion, Include, Search, Syntax, Walk, deep};

use super::found::included;
use crate::arguments::{at_least_one, recall};
use crate::gil::{Many, Turns, list};

/// The options of a search, as `tiercel.search.options` makes them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Options<'py> {
    filter: Option<String>,
    k: Bound<'py, PyAny>,
    recall: Option<Bound<'py, PyAny>>,
    rrf_k: f32,
    alpha: Option<f32>,
    include: (bool, bool, bool, bool),
    expand: Option<(Option<String>, usize, usize, f32)>,
    mmr: Option<f32>,
    rerank_depth: Option<usize>,
    explain: bool,
    has_operators: bool,
}

/// The same, checked.
pub(super) struct Asked {
    filter: Option<String>,
    k: usize,
    recall: Option<f32>,
    fusion: Fusion,
    syntax: Syntax,
    pub(super) include: Include,
    expand: Option<Expand>,
    mmr: Option<f32>,
    rerank_depth: Option<usize>,
    pub(super) explain: bool,
}

impl Asked {
    pub(super) fn of(options: Options<'_>) -> PyResult<Self> {
        let expand = options.expand.map(|(field, neighbours, hops, decay)| {
            let walk = field.map_or(Walk::Neighbours(neighbours), Walk::Field);
            Expand { walk, hops, decay }
        });
        let rrf = Fusion::Rrf { k: options.rrf_k };
        Ok(Self {
            filter: options.filter,
            k: at_least_one(&options.k, "k")?,
            recall: options.recall.as_ref().map(recall).transpose()?,
            fusion: options.alpha.map_or(rrf, |alpha| Fusion::Weighted { alpha }),
            syntax: if options.has_operators { Syntax::Operators } else { Syntax::Plain },
            include: included(options.include),
            expand,
            mmr: options.mmr,
            rerank_depth: options.rerank_depth,
            explain: options.explain,
        })
    }

    /// Make a search for a vector, a text or both; `reranks` if a reranker is to see its
    /// candidates.
    pub(super) fn search<'a>(&'a self, vector: Option<&'a [f32]>, text: Option<&'a str>, reranks: bool) -> Search<'a> {
        Search {
            vector,
            text,
            syntax: self.syntax,
            filter: self.filter.as_deref(),
            k: self.k,
            recall: self.recall,
            fusion: self.fusion,
            expand: self.expand.as_ref(),
            rerank: reranks.then(|| self.rerank_depth.unwrap_or_else(|| deep(self.k))),
            mmr: self.mmr,
            include: self.include,
            explain: self.explain,
        }
    }
}

/// Have `reranker(at, texts)` score the candidates of query `at`. It may do anything, since no
/// lock is held.
pub(super) fn rerank(candidates: &mut Candidates, reranker: &Bound<'_, PyAny>, at: usize) -> PyResult<()> {
    let begin = Instant::now();
    let texts = candidates.texts();
    let has_text: Vec<bool> = texts.iter().map(Option::is_some).collect();
    let py = reranker.py();
    let given = list(py, &mut Turns::new(), texts.into_iter().flatten(), Ok)?;
    let mut scores = Vec::new();
    if !given.is_empty() {
        Many(scores) = reranker.call1((at, given))?.extract()?;
    }
    let mut scores = scores.into_iter();
    let scores: Vec<Option<f32>> = has_text.into_iter().map(|has| if has { scores.next() } else { None }).collect();
    candidates.rerank(&scores, begin);
    Ok(())
}
