//! What an index promises, tested from outside.

mod common;
mod concurrent;
mod exact;
mod filters;
mod ids;
mod interrupted;
mod range;
mod reachable;
mod recall;
mod refusals;
mod same_graph;
