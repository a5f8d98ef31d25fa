//! Writes: putting records in, changing and removing them, and making that visible.

mod patch;
mod publish;
mod remove;
mod update;
pub(crate) mod upsert;
