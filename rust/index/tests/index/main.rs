//! The promises of an index, tested through its public interface.

mod among;
mod budget;
mod coarse;
mod codecs;
mod common;
mod concurrent;
mod damaged;
mod exact;
mod filters;
mod forgotten;
mod hostile;
mod ids;
mod interrupted;
mod lists;
mod model;
mod on_disk;
mod range;
mod reachable;
mod recall;
mod refusals;
mod same_graph;
mod surveys;
mod upsert;
