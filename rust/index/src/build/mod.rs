//! What follows an addition: a codec is fitted, vectors are linked, the graph is looked over.

pub(crate) mod link;
mod survey;
mod train;
