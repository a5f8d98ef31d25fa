//! The pages of the record database, in a file under checksums.

pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod redb_header;
mod run;
pub(crate) mod state;
