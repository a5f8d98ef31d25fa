//! The HNSW graph (Malkov and Yashunin 2016, arXiv 1603.09320).

pub(crate) mod build;
pub(crate) mod graph;
pub(crate) mod reach;
pub(crate) mod select;
pub(crate) mod walk;

pub(crate) use graph::Graph;
