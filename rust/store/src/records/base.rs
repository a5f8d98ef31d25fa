//! The content of the record database, as one of its transactions left it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition};

use crate::errors::ReadError;
use crate::records::database::Db;
use crate::records::pages::header::Header;
use crate::records::tables::{Counters, IDS, META, OBSOLETE, RECORDS, SEGMENTS};
use crate::segment;

/// An immutable state of the record database. Its pages are kept on the disk for as long as it
/// lives.
pub(crate) struct Base {
    // `None` during the drop, because the database drops it.
    state: Option<State>,
    counters: Counters,
    db: Arc<Db>,
}

/// The objects of redb behind it. The tables end before the transaction.
struct State {
    ids: ReadOnlyTable<&'static str, u32>,
    records: ReadOnlyTable<u32, &'static [u8]>,
    transaction: ReadTransaction,
}

impl Base {
    /// Read what is committed now.
    pub(crate) fn new(db: &Arc<Db>) -> Result<Self, ReadError> {
        let (state, counters) = db.run(|| {
            let transaction = db.begin_read()?;
            let (ids, records) = (transaction.open_table(IDS)?, transaction.open_table(RECORDS)?);
            let counters = Counters::read(&transaction)?;
            Ok((State { ids, records, transaction }, counters))
        })?;
        Ok(Self { state: Some(state), counters, db: Arc::clone(db) })
    }

    fn state(&self) -> Result<&State, redb::Error> {
        self.state.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// The header of the records file from which this state is read.
    pub(crate) fn header(&self) -> Header {
        self.db.file().header()
    }

    /// Whether the records file of this state still has this name.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.db.file().is_at(path)
    }

    /// The row of an id.
    pub(crate) fn row(&self, id: &str) -> Result<Option<u32>, ReadError> {
        self.db.run(|| Ok(self.state()?.ids.get(id)?.map(|row| row.value())))
    }

    /// Apply `with` to the bytes of the record in a row.
    pub(crate) fn record<T>(&self, row: u32, with: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, ReadError> {
        self.db.run(|| Ok(self.state()?.records.get(row)?.map(|bytes| with(bytes.value()))))
    }

    /// Visit the bytes of records from a row on, ascending, until `each` returns an error.
    pub(crate) fn scan<E: From<ReadError>>(
        &self,
        from: u32,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut entries = self.db.run(|| Ok(self.state()?.records.range(from..)?))?;
        let result = loop {
            match self.db.run(|| Ok(entries.next().transpose()?)) {
                Ok(Some((row, bytes))) => match each(row.value(), bytes.value()) {
                    Ok(()) => {}
                    error => break error,
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.db.release(entries);
        result
    }

    pub(crate) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.db.run(|| Ok(self.table(META)?.get(name)?.map(|bytes| bytes.value().to_vec())))
    }

    pub(crate) fn segments(&self) -> Result<Vec<String>, ReadError> {
        self.names(SEGMENTS)
    }

    pub(crate) fn obsolete(&self) -> Result<Vec<String>, ReadError> {
        self.names(OBSOLETE)
    }

    fn names(&self, definition: TableDefinition<'_, &'static str, ()>) -> Result<Vec<String>, ReadError> {
        let names: Vec<String> = self.db.run(|| match self.table(definition) {
            Ok(table) => table.range::<&str>(..)?.map(|entry| Ok(entry?.0.value().to_owned())).collect(),
            // The first format lacks some tables.
            Err(redb::Error::TableDoesNotExist(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        })?;
        names.iter().try_for_each(|name| segment::check_stored_name(name))?;
        Ok(names)
    }

    pub(crate) fn table<K: redb::Key, V: redb::Value>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, redb::Error> {
        Ok(self.state()?.transaction.open_table(definition)?)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.db.release(self.state.take());
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Base").field("counters", &self.counters).finish_non_exhaustive()
    }
}
