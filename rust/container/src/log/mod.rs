//! A log: files that are only added to, in groups under checksums, and group commit.
//!
//! What is committed together is one group of batches, brought by one of the threads that wait. What a batch holds is the
//! business of who writes it: the log numbers batches, and knows up to which row those of a file reach.

mod file;
mod group;
#[cfg(test)]
mod model;
mod new_group;
mod read;
mod sync;
mod writer;

pub use file::{
    FIRST, GROUP, LogFile, LogFiles, LogHeader, LoggedGroup, MAX_NUMBER, Mark, PREFIX, chain, file_name, number_of,
};
pub use group::Group;
pub use new_group::{NewGroup, SealedGroup};
pub use read::{Place, end, read_until, verify, walk};
pub use writer::{AppendError, LogWriter, Part, create};
