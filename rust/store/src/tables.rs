//! The tables of the record database, and what a batch does to them.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::batch::{Applied, Batch, Change, RowChange};
use crate::fresh;
use crate::record::RecordRef;

/// Rows by id: the live records.
pub(crate) const IDS: TableDefinition<&str, u32> = TableDefinition::new("ids");
/// Records by row, and the counters. Rows that are not there are dead.
pub(crate) const RECORDS: TableDefinition<u32, &[u8]> = TableDefinition::new("records");
/// Chunks of vectors that are in no segment, by their first row.
pub(crate) const FRESH: TableDefinition<u32, &[u8]> = TableDefinition::new("fresh");
/// What the engine keeps, by name.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Names of the segment files.
pub(crate) const SEGMENTS: TableDefinition<&str, ()> = TableDefinition::new("segments");
/// Where the counters stand among the records: a row that is never given out. It comes behind the last record, in a page
/// that a batch of upserts changes in any case, so that they cost no page of their own.
pub(crate) const COUNTERS: u32 = u32::MAX;

/// What is counted: 20 bytes, little endian, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Number of the last batch.
    pub(crate) sequence: u64,
    /// Live records.
    pub(crate) records: u64,
    /// The row of the next upsert.
    pub(crate) next_row: u32,
}

impl Counters {
    /// Those in a database.
    pub(crate) fn read(transaction: &redb::ReadTransaction) -> Result<Self, redb::Error> {
        let table = transaction.open_table(RECORDS)?;
        let bytes = table.get(COUNTERS)?;
        let bytes = bytes.as_ref().map(redb::AccessGuard::value).unwrap_or_default();
        let counters = bytes.split_first_chunk().zip(bytes.last_chunk()).and_then(|((sequence, rest), next_row)| {
            Some((sequence, rest.first_chunk().filter(|_| bytes.len() == 20)?, next_row))
        });
        let (sequence, records, next_row) =
            counters.ok_or_else(|| redb::Error::Corrupted("expected counters behind the records".to_owned()))?;
        Ok(Self {
            sequence: u64::from_le_bytes(*sequence),
            records: u64::from_le_bytes(*records),
            next_row: u32::from_le_bytes(*next_row),
        })
    }

    fn write(self, records: &mut Table<'_, u32, &'static [u8]>) -> Result<(), redb::Error> {
        let mut bytes = Vec::with_capacity(20);
        bytes.extend(self.sequence.to_le_bytes());
        bytes.extend(self.records.to_le_bytes());
        bytes.extend(self.next_row.to_le_bytes());
        records.insert(COUNTERS, bytes.as_slice())?;
        Ok(())
    }
}

/// Make all tables, so that a reader finds them, and begin to count.
pub(crate) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(IDS)?;
    Counters::default().write(&mut transaction.open_table(RECORDS)?)?;
    transaction.open_table(FRESH)?;
    transaction.open_table(META)?;
    transaction.open_table(SEGMENTS)?;
    Ok(())
}

/// Applies batches within one transaction.
pub(crate) struct Writer<'a> {
    ids: Table<'a, &'static str, u32>,
    records: Table<'a, u32, &'static [u8]>,
    fresh: Table<'a, u32, &'static [u8]>,
    counters: Counters,
    /// A record before it is copied into its page.
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(transaction: &'a WriteTransaction, counters: Counters) -> Result<Self, redb::Error> {
        Ok(Self {
            ids: transaction.open_table(IDS)?,
            records: transaction.open_table(RECORDS)?,
            fresh: transaction.open_table(FRESH)?,
            counters,
            bytes: Vec::new(),
        })
    }

    /// How many upserts there is room for.
    pub(crate) fn rows_left(&self) -> usize {
        (COUNTERS - self.counters.next_row) as usize
    }

    /// Keep the counters, and return them.
    pub(crate) fn finish(mut self) -> Result<Counters, redb::Error> {
        self.counters.write(&mut self.records)?;
        Ok(self.counters)
    }

    /// Apply a batch for whose upserts there is room.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<Applied, redb::Error> {
        let mut with_vector = Vec::new();
        let mut rows = Vec::with_capacity(batch.changes.len());
        for change in &batch.changes {
            rows.push(match change {
                Change::Upsert { id, vector, text, metadata } => {
                    let record =
                        RecordRef { id, vector: *vector, text: text.as_deref(), metadata: metadata.as_deref() };
                    let change = self.upsert(record)?;
                    with_vector.extend(change.new.filter(|_| *vector));
                    change
                }
                Change::SetMetadata { id, metadata } => self.set_metadata(id, metadata.as_deref())?,
                Change::Delete { id } => self.delete(id)?,
            });
        }
        for (first, bytes) in fresh::chunks(&with_vector, batch.width, &batch.vectors) {
            self.fresh.insert(first, bytes.as_slice())?;
        }
        self.counters.sequence += 1;
        Ok(Applied { sequence: self.counters.sequence, rows })
    }

    fn upsert(&mut self, record: RecordRef<'_>) -> Result<RowChange, redb::Error> {
        let row = self.counters.next_row;
        self.counters.next_row += 1;
        let old = self.ids.insert(record.id, row)?.map(|old| old.value());
        match old {
            Some(old) => drop(self.records.remove(old)?),
            None => self.counters.records += 1,
        }
        record.encode(&mut self.bytes);
        self.records.insert(row, self.bytes.as_slice())?;
        Ok(RowChange { old, new: Some(row) })
    }

    fn set_metadata(&mut self, id: &str, metadata: Option<&[u8]>) -> Result<RowChange, redb::Error> {
        let row = self.ids.get(id)?.map(|row| row.value());
        let Some(row) = row else { return Ok(RowChange { old: None, new: None }) };
        {
            let old = self.records.get(row)?;
            let old = old.as_ref().and_then(|old| RecordRef::decode(old.value()));
            let old = old.ok_or_else(|| redb::Error::Corrupted(format!("row {row}: expected a record")))?;
            RecordRef { metadata, ..old }.encode(&mut self.bytes);
        }
        self.records.insert(row, self.bytes.as_slice())?;
        Ok(RowChange { old: Some(row), new: Some(row) })
    }

    fn delete(&mut self, id: &str) -> Result<RowChange, redb::Error> {
        let old = self.ids.remove(id)?.map(|old| old.value());
        if let Some(old) = old {
            self.records.remove(old)?;
            self.counters.records -= 1;
        }
        Ok(RowChange { old, new: None })
    }
}
