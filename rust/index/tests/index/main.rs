//! What an index promises, tested from outside.

mod common;
mod recall;
