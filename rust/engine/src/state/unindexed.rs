//! Metadata on its way into the indexes of fields.
//!
//! Parsing metadata is the slowest part of publishing a batch. So the publication only queues it
//! here, and each writer indexes what is queued after its commit, while other commits go on. Until
//! then a search reads the records of these rows one by one, so it never misses one.

use std::error::Error;
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use tiercel_store::Reader;

use crate::filter::FieldIndexes;
use crate::state::core::Core;
use crate::state::snapshot::Snapshot;
use crate::trouble::caught;

/// Why metadata was not indexed.
type Failure = Box<dyn Error + Send + Sync>;

/// Metadata of published rows that no index of a field has yet.
#[derive(Default)]
pub(crate) struct Unindexed {
    /// In the order of their rows.
    batches: Mutex<Vec<NewMetadata>>,
    /// Held while batches are indexed, so that they are indexed in their order.
    indexing: Mutex<()>,
}

/// The metadata of the last rows of a snapshot, and the rows whose metadata it has replaced.
pub(crate) struct NewMetadata {
    /// The indexes of that snapshot. If others take their place meanwhile, these rows have other
    /// numbers there, or are read from the records.
    fields: Arc<FieldIndexes>,
    /// The rows end below this.
    end: u32,
    metadata: Vec<Option<String>>,
    changed: RoaringBitmap,
    /// The last batch, and its records.
    sequence: u64,
    reader: Reader,
}

impl Unindexed {
    /// Queue a batch after those that were published before it.
    pub(crate) fn queue(&self, batch: NewMetadata) {
        self.batches.lock().push(batch);
    }

    /// Index what is queued, unless another thread has taken it.
    pub(crate) fn index(&self, core: &Core) {
        if self.batches.lock().is_empty() {
            return;
        }
        let _indexing = self.indexing.lock();
        let batches = std::mem::take(&mut *self.batches.lock());
        for batch in batches {
            batch.index(core);
        }
    }
}

impl NewMetadata {
    /// One entry for each of the last rows of `snapshot`.
    pub(crate) fn of(snapshot: &Snapshot, metadata: Vec<Option<String>>, changed: RoaringBitmap) -> Self {
        let (fields, reader) = (Arc::clone(&snapshot.fields), snapshot.reader.clone());
        Self { fields, end: snapshot.rows, metadata, changed, sequence: snapshot.sequence, reader }
    }

    /// Put it into the indexes.
    pub(crate) fn index(&self, core: &Core) {
        let first = self.end - self.metadata.len() as u32;
        // A build of indexes that began after these rows were published has read them itself.
        let covered = self.fields.rows_covered();
        let records = (first..).zip(&self.metadata).filter(|(row, _)| *row >= covered);
        let records = records.filter_map(|(row, metadata)| Some((row, metadata.as_deref()?)));
        if caught(|| self.fields.insert(self.end, records)).is_err() || caught(|| self.patch()).is_err() {
            // Indexes that lack rows, or may be half changed, give way to new ones, which read the
            // records when a filter needs them.
            core.renew_fields(&self.fields);
        }
    }

    /// Put changes into the indexes.
    fn patch(&self) -> Result<(), Failure> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let metadata = |row: u32| -> Result<Option<(u32, String)>, Failure> {
            let Some(metadata) = self.reader.record(row)?.and_then(|record| record.metadata) else { return Ok(None) };
            Ok(Some((row, String::from_utf8(metadata)?)))
        };
        let records = self.changed.iter().filter_map(|row| metadata(row).transpose());
        self.fields.patch(self.sequence, self.changed.clone(), records)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tempfile::TempDir;
    use tiercel_store::Durability;

    use crate::collection::{Access, Collection};
    use crate::config::OpenOptions;
    use crate::filter::Filter;
    use crate::open::Running;
    use crate::state::writer::Writer;
    use crate::write::upsert::NewRecord;

    fn open() -> (TempDir, Collection) {
        let directory = tempfile::tempdir().unwrap();
        let running = Running::new(Durability::Interval);
        let collection = Collection::open(directory.path(), OpenOptions::default(), running).unwrap();
        (directory, collection)
    }

    fn writer(collection: &Collection) -> &Writer {
        let Access::Write(writer, _) = &collection.access else { panic!("open to write") };
        writer
    }

    fn upsert(collection: &Collection, id: &str, n: u32) {
        let metadata = Some(format!("{{\"n\": {n}}}"));
        collection.upsert(vec![NewRecord { id: id.into(), metadata, ..NewRecord::default() }], vec![]).unwrap();
    }

    fn count(collection: &Collection, n: u32) -> u64 {
        collection.count(Some(&Filter::from_text(&format!("{{\"n\": {n}}}")).unwrap())).unwrap()
    }

    /// Write while another thread is busy indexing; look at what is published, and let it go on.
    fn beside_indexing(collection: &Collection, writes: impl FnOnce() + Send, look: impl FnOnce()) {
        let before = collection.sequence();
        let busy = writer(collection).unindexed.indexing.lock();
        thread::scope(|scope| {
            scope.spawn(writes);
            while collection.sequence() == before {
                thread::yield_now();
            }
            look();
            drop(busy);
        });
    }

    #[test]
    fn metadata_that_is_not_indexed_yet_is_found() {
        let (_directory, collection) = open();
        upsert(&collection, "a", 1);
        assert_eq!(count(&collection, 1), 1);
        let covered = || collection.core.snapshot().fields.rows_covered();
        beside_indexing(
            &collection,
            || upsert(&collection, "b", 1),
            || assert_eq!((count(&collection, 1), covered()), (2, 1)),
        );
        assert_eq!((count(&collection, 1), covered()), (2, 2));
    }

    #[test]
    fn rows_that_were_renumbered_meanwhile_are_not_indexed_under_their_old_numbers() {
        let (_directory, collection) = open();
        upsert(&collection, "a", 1);
        upsert(&collection, "b", 2);
        collection.delete(vec!["a".into()]).unwrap();
        assert_eq!(count(&collection, 2), 1);
        let renumber = || collection.renumber().unwrap();
        beside_indexing(&collection, || upsert(&collection, "c", 3), renumber);
        upsert(&collection, "d", 4);
        assert_eq!([1, 2, 3, 4].map(|n| count(&collection, n)), [0, 1, 1, 1]);
    }
}
