//! The statistics of an index.

use std::borrow::Cow;

use super::Index;
use crate::build::budget::why;
use crate::state::Coding;

/// Sizes and times of an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Number of vectors that can be found.
    pub len: usize,
    /// Number of slots of removed vectors.
    pub tombstones: usize,
    /// Number of slots in the graph.
    pub linked: usize,
    /// Number of lists that the vectors are in.
    pub lists: usize,
    /// The storage that searches compare: `none`, `raw`, or the name of a codec.
    pub storage: Cow<'static, str>,
    /// Share of true neighbours that the codec ranks high enough, on sampled rows.
    pub codec_recall: Option<f32>,
    /// Bytes by part, and their sum as `total`.
    pub bytes: Vec<(&'static str, usize)>,
    /// Bytes of full vectors on disk.
    pub disk_bytes: usize,
    /// Why a budget of memory led to this storage.
    pub why: Option<String>,
    /// Bytes per slot, without the full vectors but with a copy of them in half precision.
    pub bytes_per_vector: f64,
    /// Number of levels in the graph.
    pub levels: usize,
    /// Mean number of neighbours at level 0.
    pub mean_degree: f64,
    /// Instruction set in use.
    pub simd: &'static str,
    /// Share of the true neighbours of sampled rows that walks with 200 candidates found; `None`
    /// without a graph.
    pub graph_recall: Option<f32>,
    /// Time spent linking vectors, or putting them into lists, in seconds.
    pub build_seconds: f64,
}

impl Index {
    /// Return sizes and times.
    pub fn stats(&self) -> Stats {
        let state = self.state();
        let (storage, codec_recall) = match &state.coding {
            Coding::Untrained => (Cow::Borrowed("none"), None),
            Coding::Raw => (Cow::Borrowed("raw"), None),
            Coding::Codes(codes) => (codes.name(), Some(codes.trial.recall)),
        };
        let bytes = state.bytes();
        let (vectors, total) = (state.rows.bytes().0, bytes.total());
        let parts = bytes.0;
        Stats {
            len: state.ids.len(),
            tombstones: state.dead.count(),
            linked: state.graph.len(),
            lists: state.partitions.as_ref().map_or(0, |partitions| partitions.len()),
            storage,
            codec_recall,
            bytes: parts.into_iter().chain([("total", total)]).collect(),
            disk_bytes: if state.rows.are_on_disk() { state.rows.file_bytes() } else { 0 },
            why: why(self.options(), &state, total),
            bytes_per_vector: (total - vectors) as f64 / state.slots().max(1) as f64,
            levels: if state.graph.len() == 0 { 0 } else { state.graph.layers.len() },
            mean_degree: state.graph.mean_degree(),
            simd: self.level.name(),
            graph_recall: (state.graph.len() > 0).then_some(state.graph_recall),
            build_seconds: state.build_seconds,
        }
    }
}
