//! The tables of the record database, and how changes get into them.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};
use tiercel_container::log::MAX_NUMBER;

use crate::records::memtable::Changes;

/// Rows by id: the live records.
pub(crate) const IDS: TableDefinition<&str, u32> = TableDefinition::new("ids");
/// Records by row. Missing rows are dead.
pub(crate) const RECORDS: TableDefinition<u32, &[u8]> = TableDefinition::new("records");
/// Entries of the engine, by name.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Names of the segment files.
pub(crate) const SEGMENTS: TableDefinition<&str, ()> = TableDefinition::new("segments");
/// Names of segment files that no longer belong to the store, or never did, and may still exist.
pub(crate) const OBSOLETE: TableDefinition<&str, ()> = TableDefinition::new("obsolete");
/// The counters.
pub(crate) const COUNTERS: TableDefinition<(), [u8; 32]> = TableDefinition::new("counters");

/// The counters: 32 bytes, little endian, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Number of the last batch.
    pub(crate) sequence: u64,
    /// Live records.
    pub(crate) records: u64,
    /// Number of the first log file that is needed.
    pub(crate) log: u64,
    /// The row of the next upsert.
    pub(crate) next_row: u32,
    /// The vectors of rows below this are in segments.
    pub(crate) covered: u32,
}

impl Counters {
    /// The counters of an empty database.
    pub(crate) const NEW: Self = Self { sequence: 0, records: 0, log: 1, next_row: 0, covered: 0 };

    /// Read the counters of a database.
    pub(crate) fn read(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        let bytes = transaction.open_table(COUNTERS)?.get(())?.map(|bytes| bytes.value());
        let counters = bytes.and_then(|bytes| Self::decode(&bytes));
        counters.ok_or_else(|| redb::Error::Corrupted("expected counters".to_owned()))
    }

    /// Decode counters.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self {
            sequence: u64_at(0)?,
            records: u64_at(8)?,
            log: u64_at(16)?,
            next_row: u32_at(24)?,
            covered: u32_at(28)?,
        })
    }

    /// Whether a store can have reached these counters.
    pub(crate) fn are_sound(&self) -> bool {
        self.sequence < MAX_NUMBER
            && (1..MAX_NUMBER).contains(&self.log)
            && self.covered <= self.next_row
            && self.records <= u64::from(self.next_row)
    }

    pub(crate) fn write(self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.next_row.to_le_bytes());
        bytes[28..].copy_from_slice(&self.covered.to_le_bytes());
        transaction.open_table(COUNTERS)?.insert((), bytes)?;
        Ok(())
    }
}

/// Make all tables, so that a reader finds them, and write the first counters.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(IDS)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(META)?;
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(OBSOLETE)?;
    Counters::NEW.write(transaction)
}

/// Put changes into the tables in the order of their keys, which costs a fraction of any other
/// order.
pub(crate) fn apply(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut ids = transaction.open_table(IDS)?;
    for (id, row) in changes.last_rows() {
        match row {
            Some(row) => drop(ids.insert(id, row)?),
            None => drop(ids.remove(id)?),
        }
    }
    let mut records = transaction.open_table(RECORDS)?;
    for (row, record) in changes.last_records() {
        match record {
            Some(record) => drop(records.insert(row, &**record)?),
            None => drop(records.remove(row)?),
        }
    }
    Ok(())
}
