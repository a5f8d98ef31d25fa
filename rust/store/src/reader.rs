//! Snapshots of the record database.

use std::fmt;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition};

use crate::database::{Db, FILE};
use crate::errors::{Corruption, ReadError};
use crate::fresh::FreshChunk;
use crate::record::{Record, RecordRef};
use crate::tables::{COUNTERS, Counters, FRESH, IDS, META, RECORDS, SEGMENTS};

/// The records as one commit left them. A copy is cheap. What a snapshot shows is kept on the disk for as long as it lives.
#[derive(Clone)]
pub struct Reader(Arc<Snapshot>);

struct Snapshot {
    /// Declared before the database, so that it ends before it.
    transaction: ReadTransaction,
    counters: Counters,
    db: Arc<Db>,
}

impl Reader {
    /// What is committed now.
    pub(crate) fn new(db: &Arc<Db>) -> Result<Self, ReadError> {
        let counters = db.run(|| Counters::read(&db.begin_read()?))?;
        Self::counting(db, counters)
    }

    /// What is committed now, whose counters are known.
    pub(crate) fn counting(db: &Arc<Db>, counters: Counters) -> Result<Self, ReadError> {
        let transaction = db.run(|| db.begin_read())?;
        Ok(Self(Arc::new(Snapshot { transaction, counters, db: Arc::clone(db) })))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.0.counters
    }

    /// Number of the last batch that it shows.
    pub fn sequence(&self) -> u64 {
        self.0.counters.sequence
    }

    /// All rows are below.
    pub fn next_row(&self) -> u32 {
        self.0.counters.next_row
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.0.counters.records
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of an id.
    pub fn row(&self, id: &str) -> Result<Option<u32>, ReadError> {
        self.0.db.run(|| Ok(self.table(IDS)?.get(id)?.map(|row| row.value())))
    }

    /// The record of an id, and its row.
    pub fn get(&self, id: &str) -> Result<Option<(u32, Record)>, ReadError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        match self.record(row)? {
            Some(record) if record.id == id => Ok(Some((row, record))),
            _ => Err(corrupt(format!("row {row}: expected the record of the id that names it"))),
        }
    }

    /// The record in a row.
    pub fn record(&self, row: u32) -> Result<Option<Record>, ReadError> {
        Ok(self.records(&[row])?.pop().flatten())
    }

    /// The records in these rows, in the order of the rows.
    pub fn records(&self, rows: &[u32]) -> Result<Vec<Option<Record>>, ReadError> {
        let found = self.0.db.run(|| {
            let table = self.table(RECORDS)?;
            let get = |&row: &u32| {
                if row == COUNTERS {
                    return Ok(None);
                }
                let record = |bytes: &[u8]| RecordRef::decode(bytes).map(RecordRef::to_record).ok_or(row);
                Ok(table.get(row)?.map(|bytes| record(bytes.value())))
            };
            rows.iter().map(get).collect::<Result<Vec<_>, redb::Error>>()
        })?;
        found.into_iter().map(|record| record.transpose().map_err(no_record)).collect()
    }

    /// Visit the records from a row on, ascending; the first error of `each` ends it.
    pub fn scan<E: From<ReadError>>(
        &self,
        from: u32,
        mut each: impl FnMut(u32, RecordRef<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(RECORDS, from, |row, bytes| each(row, RecordRef::decode(bytes).ok_or_else(|| no_record(row))?))
    }

    /// Visit the chunks of vectors that are in no segment, from that with this first row on; the first error of `each` ends
    /// it. Rows of records that are gone are among them.
    pub fn fresh<E: From<ReadError>>(
        &self,
        from: u32,
        mut each: impl FnMut(FreshChunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(FRESH, from, |row, bytes| {
            let chunk = FreshChunk::decode(bytes);
            each(chunk.ok_or_else(|| corrupt(format!("row {row}: expected a chunk of vectors")))?)
        })
    }

    /// What is kept under a name.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.db.run(|| Ok(self.table(META)?.get(name)?.map(|bytes| bytes.value().to_vec())))
    }

    /// Names of the segments, ascending.
    pub fn segments(&self) -> Result<Vec<String>, ReadError> {
        self.0.db.run(|| {
            let table = self.table(SEGMENTS)?;
            table.range::<&str>(..)?.map(|entry| Ok(entry?.0.value().to_owned())).collect()
        })
    }

    pub(crate) fn table<K: redb::Key, V: redb::Value>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, redb::Error> {
        Ok(self.0.transaction.open_table(definition)?)
    }

    fn visit<E: From<ReadError>>(
        &self,
        definition: TableDefinition<'_, u32, &'static [u8]>,
        from: u32,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let db = &self.0.db;
        let mut entries = db.run(|| Ok(self.table(definition)?.range(from..COUNTERS)?))?;
        while let Some((row, bytes)) = db.run(|| Ok(entries.next().transpose()?))? {
            each(row.value(), bytes.value())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reader").field("counters", &self.0.counters).finish_non_exhaustive()
    }
}

fn no_record(row: u32) -> ReadError {
    corrupt(format!("row {row}: expected a record"))
}

fn corrupt(what: String) -> ReadError {
    Corruption { file: FILE.to_owned(), what, offset: 0 }.into()
}
