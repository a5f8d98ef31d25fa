//! Snapshots of what is committed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tiercel_container::log::LogFiles;

use crate::errors::{ReadError, corrupt_records};
use crate::log::fresh::{self, FreshChunk};
use crate::record::{Record, RecordRef};
use crate::records::base::Base;
use crate::records::memtable::{Bytes, Layer, Version};
use crate::records::tables::Counters;

/// The records as one commit left them. Copies are cheap. What a snapshot shows is kept on the disk
/// for as long as it lives.
#[derive(Clone)]
pub struct Reader(Arc<Snapshot>);

struct Snapshot {
    base: Arc<Base>,
    /// Changes on top of the base, oldest first.
    layers: Vec<Arc<Layer>>,
    files: LogFiles,
    counters: Counters,
}

impl Reader {
    /// A reader of the record database alone, with the log that belongs to it.
    pub(crate) fn of_base(base: Arc<Base>, files: LogFiles) -> Self {
        let counters = base.counters();
        Self::new(base, Vec::new(), files, counters)
    }

    pub(crate) fn new(base: Arc<Base>, layers: Vec<Arc<Layer>>, files: LogFiles, counters: Counters) -> Self {
        Self(Arc::new(Snapshot { base, layers, files, counters }))
    }

    pub(crate) fn base(&self) -> &Arc<Base> {
        &self.0.base
    }

    pub(crate) fn files(&self) -> &LogFiles {
        &self.0.files
    }

    pub(crate) fn counters(&self) -> Counters {
        self.0.counters
    }

    /// Whether both are the same snapshot, read from the same files.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How often the rows were renumbered. Row numbers agree only between readers where this is
    /// equal.
    pub fn numbering(&self) -> u32 {
        self.0.base.header().numbering
    }

    /// Number of the last batch that it shows.
    pub fn sequence(&self) -> u64 {
        self.0.counters.sequence
    }

    /// All rows are below this.
    pub fn next_row(&self) -> u32 {
        self.0.counters.next_row
    }

    /// Number of records.
    pub fn len(&self) -> u64 {
        self.0.counters.records
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of an id.
    pub fn row(&self, id: &str) -> Result<Option<u32>, ReadError> {
        let fresh = self.0.layers.iter().rev().find_map(|layer| layer.read().row(id, self.sequence()));
        fresh.map_or_else(|| self.0.base.row(id), |version| Ok(version.0))
    }

    /// The record of an id, and its row.
    pub fn get(&self, id: &str) -> Result<Option<(u32, Record)>, ReadError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        match self.record(row)? {
            Some(record) if record.id == id => Ok(Some((row, record))),
            _ => Err(corrupt_records(format!("row {row}: expected the record of the id that names it"))),
        }
    }

    /// The record in a row.
    pub fn record(&self, row: u32) -> Result<Option<Record>, ReadError> {
        let decode = |bytes: &[u8]| RecordRef::decode(bytes).map(RecordRef::to_record).ok_or_else(|| no_record(row));
        match self.fresh_record(row) {
            Some(Version(record)) => record.map(|bytes| decode(&bytes)).transpose(),
            None => self.0.base.record(row, decode)?.transpose(),
        }
    }

    /// The bytes of the record in a row.
    pub(crate) fn bytes(&self, row: u32) -> Result<Option<Bytes>, ReadError> {
        let fresh = self.fresh_record(row);
        fresh.map_or_else(|| self.0.base.record(row, |bytes| Bytes::from(bytes)), |version| Ok(version.0))
    }

    /// The record of a row, if it differs from the base.
    fn fresh_record(&self, row: u32) -> Option<Version<Bytes>> {
        self.0.layers.iter().rev().find_map(|layer| layer.read().record(row, self.sequence()))
    }

    /// The records in these rows, in the order of the rows.
    pub fn records(&self, rows: &[u32]) -> Result<Vec<Option<Record>>, ReadError> {
        rows.iter().map(|row| self.record(*row)).collect()
    }

    /// Visit the records from a row on, ascending, until `each` returns an error.
    pub fn scan<E: From<ReadError>>(
        &self,
        from: u32,
        mut each: impl FnMut(u32, RecordRef<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut each = |row, bytes: &[u8]| each(row, RecordRef::decode(bytes).ok_or_else(|| no_record(row))?);
        let mut fresh = BTreeMap::new();
        for layer in &self.0.layers {
            layer.collect(from, self.sequence(), &mut fresh);
        }
        let mut fresh = fresh.into_iter().peekable();
        self.0.base.scan(from, |row, bytes| {
            while let Some((row, record)) = fresh.next_if(|(fresh, _)| *fresh < row) {
                record.map_or(Ok(()), |bytes| each(row, &bytes))?;
            }
            match fresh.next_if(|(fresh, _)| *fresh == row) {
                Some((_, record)) => record.map_or(Ok(()), |bytes| each(row, &bytes)),
                None => each(row, bytes),
            }
        })?;
        fresh.try_for_each(|(row, record)| record.map_or(Ok(()), |bytes| each(row, &bytes)))
    }

    /// Visit the vectors of rows from this one on that are in no segment, one chunk per batch,
    /// until `each` returns an error. They include vectors of records that are gone.
    pub fn fresh<E: From<ReadError>>(
        &self,
        from: u32,
        each: impl FnMut(FreshChunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        fresh::visit(&self.0.files, from.max(self.0.counters.covered), self.sequence(), each)
    }

    /// The entry under a name.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.base.meta(name)
    }

    /// Names of the segments, ascending.
    pub fn segments(&self) -> Result<Vec<String>, ReadError> {
        self.0.base.segments()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reader").field("counters", &self.0.counters).finish_non_exhaustive()
    }
}

pub(crate) fn no_record(row: u32) -> ReadError {
    corrupt_records(format!("row {row}: expected a record"))
}
