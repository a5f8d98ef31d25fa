//! Names of the files that the directory of a collection has exactly one of.

/// The record database.
pub(crate) const RECORDS_FILE: &str = "records";
/// Says where the last view of the record database begins.
pub(crate) const VIEW_FILE: &str = "view";
/// Locked while a store is open; holds the process id of the opener.
pub(crate) const LOCK_FILE: &str = "LOCK";
