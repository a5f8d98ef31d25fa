//! Reading a collection: searches, scans, and records by id.

pub(crate) mod among;
pub(crate) mod expand;
pub(crate) mod found;
pub(crate) mod fuse;
#[cfg(test)]
mod isolation;
pub(crate) mod mmr;
pub(crate) mod nearest;
mod ordering;
pub(crate) mod passing;
pub(crate) mod plan;
pub(crate) mod position;
pub(crate) mod read;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod scope;
mod searches;
pub(crate) mod select;
