//! Writes: putting in, changing and removing records, and making the changes visible.

mod pace;
mod patch;
mod publish;
mod remove;
mod update;
pub(crate) mod upsert;
