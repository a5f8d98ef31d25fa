//! The log: its files, what stands in them, who adds to them and who reads them.
//!
//! The log knows nothing of the record database. What is committed together is one group of batches in
//! it, brought by one of the threads that wait.

pub(crate) mod batch;
pub(crate) mod file;
pub(crate) mod fresh;
pub(crate) mod group;
#[cfg(test)]
mod model;
pub(crate) mod read;
mod sync;
pub(crate) mod writer;
