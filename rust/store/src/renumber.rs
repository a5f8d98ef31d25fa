//! Renumbering the rows, so that their numbers do not run out and dead rows cost nothing.
//!
//! A row is never used again, so dead rows leave gaps. The live rows get numbers without gaps, in
//! their order, which is the order of writing:
//!
//! ```text
//! row       3   7   8   12     the next is 20
//! number    0   1   2    3     the next is  4
//! ```
//!
//! Row numbers are in the record database, in the segments and in the log. So commits wait during
//! the renumbering, and the log is empty. The owner of the store writes its segments with the new
//! numbers. Then a record database with the new numbers, which names those segments and an unused
//! file of the log, replaces the old one by a rename. A crash before the rename leaves the old
//! numbers everywhere, a crash after it the new ones. The header of the database counts the
//! renumberings, so followers notice.

use std::sync::Arc;
use std::{fmt, io};

use parking_lot::MutexGuard;
use tiercel_container::{NoRoom, Tag};

use crate::errors::{CommitError, ReadError};
use crate::records::copy::{self, Renumbered};
use crate::records::reader::Reader;
use crate::records::tables::Counters;
use crate::records::transactions::Records;
use crate::segment::SegmentWriter;
use crate::store::Store;
use crate::writer::Writer;

/// A store whose commits wait. Everything that was committed is in the record database.
pub struct Quiet<'a> {
    store: &'a Store,
    records: MutexGuard<'a, Records>,
    writer: MutexGuard<'a, Writer>,
    /// The file of the log from which on the log is empty.
    log: u64,
    rows: Vec<u32>,
}

impl Store {
    /// Make commits wait for as long as this is held. It first waits until the log is in the record
    /// database, so do most of that before.
    pub fn quiet(&self) -> Result<Quiet<'_>, CommitError> {
        self.guarded(|| self.begin_quiet())
    }

    fn begin_quiet(&self) -> Result<Quiet<'_>, CommitError> {
        let mut records = self.records.lock();
        let mut writer = self.writer.lock();
        writer.begin_file()?;
        // Without room for a file, nothing begins.
        let log = writer.log.unused().ok_or(NoRoom::Disk)?;
        self.apply_quietly(&mut records, &mut writer)?;
        let mut rows = Vec::new();
        records.base().scan(0, |row, _| {
            rows.push(row);
            Ok::<_, ReadError>(())
        })?;
        Ok(Quiet { store: self, records, writer, log, rows })
    }
}

impl Quiet<'_> {
    /// The live rows, ascending. The position of each is its new number.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// As [`Store::write_segment`].
    pub fn write_segment(
        &self,
        name: &str,
        sections: &[(Tag, u64)],
        fill: impl FnOnce(&mut SegmentWriter<'_>) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        self.store.make_segment(name, sections, fill)
    }

    /// Renumber the rows. From now on the store names only these segments, which have the vectors
    /// of all rows. The entries of `meta` replace those of the same names. `publish` runs before
    /// the next commit; if it fails, all further writes are refused. After any other error it has
    /// not run, and either nothing is changed or all further writes are refused.
    pub fn renumber(
        self,
        segments: &[&str],
        meta: &[(&str, &[u8])],
        publish: impl FnOnce(Reader) -> Result<(), String>,
    ) -> Result<(), CommitError> {
        let store = self.store;
        store.guarded(|| {
            let obsolete = self.change(segments, meta, publish)?;
            store.replace_segments(segments, &obsolete);
            Ok(())
        })
    }

    /// Renumber, and return the segments that are obsolete then. Nothing is locked after that.
    fn change(
        self,
        segments: &[&str],
        meta: &[(&str, &[u8])],
        publish: impl FnOnce(Reader) -> Result<(), String>,
    ) -> Result<Vec<String>, CommitError> {
        let Self { store, mut records, mut writer, log, rows } = self;
        let base = Arc::clone(records.base());
        let count = rows.len() as u32;
        let counters = Counters { log, next_row: count, covered: count, ..base.counters() };
        let mut obsolete = base.segments()?;
        obsolete.extend(base.obsolete()?);
        obsolete.retain(|name| !segments.contains(&&**name));
        let new = Renumbered { counters, rows: &rows, segments, obsolete: &obsolete, meta };
        let copy = copy::renumber_aside(store.place(), &base, &new, &records.header())?;
        drop(base);
        if let Err(error) = store.put_in_place(&mut records, &copy) {
            return store.install_for(&mut writer, &records, 0, Err(error), |_| ()).map(|()| Vec::new());
        }
        writer.restart(Arc::clone(records.base()));
        let reader = writer.reader().clone();
        *store.published.write() = reader.clone();
        writer.note_writes(records.header().writes)?;
        let published = publish(reader).map_err(|why| CommitError::Failed { why });
        writer.latch(published.map(|()| obsolete))
    }
}

impl fmt::Debug for Quiet<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Quiet").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::batch::{Batch, Change};
    use crate::limits::MAX_ROWS;
    use crate::options::Options;
    use tiercel_container::sim::SimVfs;

    const DIR: &str = "/collection";

    fn upsert(store: &Store, id: &str) -> Result<Option<u32>, CommitError> {
        let change = Change::Upsert { id: id.into(), vector: false, text: None, metadata: None };
        let batch = Batch { changes: vec![change], ..Batch::default() };
        store.commit(batch, |_| ()).map(|applied| applied.rows[0].new)
    }

    #[test]
    fn a_store_whose_rows_ran_out_takes_records_again() {
        let vfs = SimVfs::new();
        let store = Store::create(Arc::new(vfs.clone()), Path::new(DIR), Options::default(), &[]).unwrap();
        for id in ["a", "b", "c"] {
            upsert(&store, id).unwrap();
        }
        store.apply(|| ()).unwrap();
        let counters = Counters { next_row: MAX_ROWS - 1, ..store.reader().counters() };
        store.records.lock().transact(|transaction| counters.write(transaction)).unwrap();
        store.close().unwrap();
        let store = Store::open(Arc::new(vfs.clone()), Path::new(DIR), Options::default()).unwrap();
        assert_eq!(upsert(&store, "b").unwrap(), Some(MAX_ROWS - 1));
        assert!(matches!(upsert(&store, "d"), Err(CommitError::RowsExhausted)));
        let before = store.reader();
        let quiet = store.quiet().unwrap();
        assert_eq!(quiet.rows(), [0, 2, MAX_ROWS - 1]);
        quiet.renumber(&[], &[], |_| Ok(())).unwrap();
        assert_eq!(upsert(&store, "d").unwrap(), Some(3));
        let rows = |reader: &Reader| ["a", "b", "c", "d"].map(|id| reader.row(id).unwrap());
        assert_eq!(rows(&store.reader()), [Some(0), Some(2), Some(1), Some(3)]);
        assert_eq!(rows(&before), [Some(0), Some(MAX_ROWS - 1), Some(2), None], "a reader keeps its numbers");
        assert_eq!((before.numbering(), store.reader().numbering()), (0, 1));
        drop(store);
        let store = Store::open(Arc::new(vfs), Path::new(DIR), Options::default()).unwrap();
        assert_eq!((rows(&store.reader()), store.reader().numbering()), ([Some(0), Some(2), Some(1), Some(3)], 1));
        assert_eq!(store.verify().unwrap(), []);
    }
}
