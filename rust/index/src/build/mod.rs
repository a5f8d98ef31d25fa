//! The work after an addition: fit a codec, link vectors, survey the graph.

pub(crate) mod budget;
pub(crate) mod link;
mod survey;
mod train;
