//! The HNSW graph (Malkov and Yashunin 2016, arXiv 1603.09320).

pub(crate) mod insert;
pub(crate) mod layers;
mod mutual;
pub(crate) mod pool;
pub(crate) mod reach;
pub(crate) mod select;
pub(crate) mod stream;
pub(crate) mod walk;

pub(crate) use layers::Graph;
