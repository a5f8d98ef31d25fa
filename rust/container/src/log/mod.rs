//! A log: files that are only appended to, in groups under checksums, with group commit.
//!
//! Batches that are committed together form one group, which one of the waiting threads appends.
//! The log does not look into batches: it numbers them, and knows a bound on the rows in each file.

mod file;
mod group;
#[cfg(test)]
mod model;
mod new_group;
mod read;
mod rewrite;
mod sync;
mod writer;

pub use file::{
    FIRST, GROUP, LogFile, LogFiles, LogHeader, LoggedGroup, MAX_NUMBER, Mark, PREFIX, chain, file_name, number_of,
};
pub use group::Group;
pub use new_group::{NewGroup, SealedGroup};
pub use read::{Place, end, read_until, verify, walk};
pub use writer::{AppendError, LogWriter, Part, create};
