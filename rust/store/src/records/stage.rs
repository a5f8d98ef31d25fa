//! The changes of batches, worked out before anything is written.

use crate::batch::{Applied, Batch, Change, Condition, RowChange};
use crate::errors::{CommitError, ReadError};
use crate::limits::MAX_ROWS;
use crate::record::RecordRef;
use crate::records::memtable::{Bytes, Changes};
use crate::records::reader::{Reader, no_record};
use crate::records::tables::Counters;

/// Batches on top of what is committed; dropped if they cannot be committed.
pub(crate) struct Stage<'a> {
    below: &'a Reader,
    pub(crate) counters: Counters,
    pub(crate) changes: Changes,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(below: &'a Reader) -> Self {
        Self { below, counters: below.counters(), changes: Changes::default() }
    }

    /// Apply a batch. The inner error concerns only this batch, which has then changed nothing.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<Result<Applied, CommitError>, ReadError> {
        match self.conflict(&batch.conditions)? {
            Some(conflict) => Ok(Err(conflict)),
            None => self.change_all(&batch.changes),
        }
    }

    /// The error of the first condition that is not met.
    pub(crate) fn conflict(&self, conditions: &[Condition]) -> Result<Option<CommitError>, ReadError> {
        for Condition { id, sequence: expected } in conditions {
            let actual = self.written(id)?;
            if actual != *expected {
                return Ok(Some(CommitError::Conflict { id: id.clone(), expected: *expected, actual }));
            }
        }
        Ok(None)
    }

    /// Apply changes whose conditions are met, or were met when they were committed.
    pub(crate) fn change_all(&mut self, changes: &[Change]) -> Result<Result<Applied, CommitError>, ReadError> {
        let upserts = changes.iter().filter(|change| matches!(change, Change::Upsert { .. })).count();
        if upserts > (MAX_ROWS - self.counters.next_row) as usize {
            return Ok(Err(CommitError::RowsExhausted));
        }
        self.counters.sequence += 1;
        let rows = changes.iter().map(|change| self.change(change)).collect::<Result<_, _>>()?;
        Ok(Ok(Applied { sequence: self.counters.sequence, rows }))
    }

    fn change(&mut self, change: &Change) -> Result<RowChange, ReadError> {
        match change {
            Change::Upsert { id, vector, text, metadata } => {
                let (text, metadata) = (text.as_deref(), metadata.as_deref());
                self.upsert(RecordRef { id, sequence: self.counters.sequence, vector: *vector, text, metadata })
            }
            Change::SetMetadata { id, metadata } => self.set_metadata(id, metadata.as_deref()),
            Change::Delete { id } => self.delete(id),
        }
    }

    fn upsert(&mut self, record: RecordRef<'_>) -> Result<RowChange, ReadError> {
        let (sequence, row, old) = (self.counters.sequence, self.counters.next_row, self.row(record.id)?);
        self.counters.next_row += 1;
        match old {
            Some(old) => self.changes.set_record(sequence, old, None),
            None => self.counters.records += 1,
        }
        self.changes.set_row(sequence, record.id, Some(row));
        self.changes.set_record(sequence, row, Some(record.encode().into()));
        Ok(RowChange { old, new: Some(row) })
    }

    fn set_metadata(&mut self, id: &str, metadata: Option<&[u8]>) -> Result<RowChange, ReadError> {
        let Some(row) = self.row(id)? else { return Ok(RowChange { old: None, new: None }) };
        let bytes = self.record(row)?.ok_or_else(|| no_record(row))?;
        let old = RecordRef::decode(&bytes).ok_or_else(|| no_record(row))?;
        let new = RecordRef { metadata, sequence: self.counters.sequence, ..old }.encode();
        self.changes.set_record(self.counters.sequence, row, Some(new.into()));
        Ok(RowChange { old: Some(row), new: Some(row) })
    }

    fn delete(&mut self, id: &str) -> Result<RowChange, ReadError> {
        let old = self.row(id)?;
        if let Some(old) = old {
            self.changes.set_row(self.counters.sequence, id, None);
            self.changes.set_record(self.counters.sequence, old, None);
            self.counters.records -= 1;
        }
        Ok(RowChange { old, new: None })
    }

    /// The batch that last wrote the record of an id; 0 if there is no record.
    fn written(&self, id: &str) -> Result<u64, ReadError> {
        let Some(row) = self.row(id)? else { return Ok(0) };
        let bytes = self.record(row)?.ok_or_else(|| no_record(row))?;
        Ok(RecordRef::decode(&bytes).ok_or_else(|| no_record(row))?.sequence)
    }

    fn row(&self, id: &str) -> Result<Option<u32>, ReadError> {
        self.changes.row(id, self.counters.sequence).map_or_else(|| self.below.row(id), |version| Ok(version.0))
    }

    fn record(&self, row: u32) -> Result<Option<Bytes>, ReadError> {
        self.changes.record(row, self.counters.sequence).map_or_else(|| self.below.bytes(row), |version| Ok(version.0))
    }
}
