//! The batches in the groups of the log.

use std::path::Path;

use tiercel_container::Vfs;
use tiercel_container::log::{LogFile, LogFiles, LoggedGroup, verify};

use crate::errors::ReadError;
use crate::log::batch::{self as log_batch, LoggedBatch};

/// Visit the batches of a group, each with its number and its first row.
pub(crate) fn for_each_batch<E: From<ReadError>>(
    file: &LogFile,
    group: &LoggedGroup,
    mut each: impl FnMut(u64, u32, &LoggedBatch<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = group.batches.as_slice();
    let mut first = group.first_row;
    for sequence in group.sequence..=group.last() {
        let batch = log_batch::decode(&mut rest);
        let batch = batch.ok_or_else(|| file.corrupt(&format!("expected batch {sequence}"), group.start))?;
        each(sequence, first, &batch)?;
        first = first.saturating_add(batch.upserts());
    }
    Ok(())
}

/// Read the files of the log up to `end` in the last one, and decode every batch.
pub(crate) fn verify_log(vfs: &dyn Vfs, dir: &Path, files: &LogFiles, end: u64) -> Result<(), ReadError> {
    verify(vfs, dir, files, end, |file, group| for_each_batch(file, group, |_, _, _| Ok(())))
}
