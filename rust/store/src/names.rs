//! Names of the files of which the directory of a collection has one each.

/// The record database.
pub(crate) const RECORDS_FILE: &str = "records";
/// Says where the last view of the record database begins.
pub(crate) const VIEW_FILE: &str = "view";
/// Is locked while a store is open, and holds the process id of the opener.
pub(crate) const LOCK_FILE: &str = "LOCK";
