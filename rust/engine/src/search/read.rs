//! Reading records by id, and what is known of the collection.

use tiercel_index as index;
use tiercel_store::Record;

use crate::collection::{Access, Collection};
use crate::errors::{QueryError, WriteError};
use crate::search::request::Include;
use crate::state::checkpoint::last_checkpoint;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::trouble::Trouble;

/// A record that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// Its id.
    pub id: String,
    /// The batch that wrote it last, for the conditions of later writes.
    pub sequence: u64,
    /// Its text, if wanted and there.
    pub text: Option<String>,
    /// Its metadata, if wanted and there.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if wanted and there.
    pub vector: Option<Vec<f32>>,
}

/// Sizes of a collection.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Records that live.
    pub records: u64,
    /// Rows given out, those of replaced and removed records among them.
    pub rows: u32,
    /// Batches applied.
    pub sequence: u64,
    /// Vectors that wait to be moved into the graph.
    pub fresh_vectors: usize,
    /// Rows below this are in the files of the last checkpoint.
    pub checkpoint_rows: u32,
    /// Text segments.
    pub text_segments: usize,
    /// Bytes of memory of the texts' index.
    pub text_bytes: usize,
    /// Bytes of memory of the indexes over metadata.
    pub field_bytes: usize,
    /// Bytes on disk: the record database and its log; 0 for a reader that cannot look.
    pub disk_records: u64,
    /// Bytes on disk: the files of the checkpoint; likewise.
    pub disk_segments: u64,
    /// Of the main index.
    pub index: Option<index::Stats>,
    /// Living records that were met and whose text or metadata cannot be read.
    pub damaged: u64,
    /// The last failure that no call returned, see [`Collection::troubles`].
    pub trouble: Option<Trouble>,
}

impl Collection {
    /// The records of ids, in their order; `None` where there is none. One whose text or metadata is wanted and cannot be read is an
    /// error.
    pub fn get(&self, ids: &[String], include: Include) -> Result<Vec<Option<Got>>, QueryError> {
        let snapshot = self.core.snapshot();
        let one = |id: &String| {
            let Some((row, record)) = snapshot.reader.get(id)? else { return Ok(None) };
            let (text, metadata) = include.of(&record);
            snapshot.damage.check(row, id, text, metadata)?;
            Ok(Some(got(Some(&snapshot), row, record, include)))
        };
        ids.iter().map(one).collect()
    }

    /// Whether there is a record with an id.
    pub fn contains(&self, id: &str) -> Result<bool, QueryError> {
        Ok(self.core.snapshot().reader.row(id)?.is_some())
    }

    /// What is known of the collection.
    pub fn stats(&self) -> Result<Stats, QueryError> {
        let snapshot = self.core.snapshot();
        let sizes = match &self.access {
            Access::Write(writer, _) => writer.store.sizes().map_err(|error| QueryError::Io(error.into()))?,
            // A reader whose directory is gone goes on, and what is wrong stands in `trouble`.
            Access::Read(viewer) => viewer.view().sizes().unwrap_or_default(),
        };
        let checkpoint_rows = last_checkpoint(&snapshot.reader).map_err(QueryError::from)?.rows;
        Ok(Stats {
            records: snapshot.live,
            rows: snapshot.rows,
            sequence: snapshot.sequence,
            fresh_vectors: snapshot.vectors.as_ref().map_or(0, Vectors::fresh),
            checkpoint_rows,
            text_segments: snapshot.text.segments().len(),
            text_bytes: snapshot.text.memory_bytes(),
            field_bytes: snapshot.fields.bytes(),
            disk_records: sizes.records + sizes.log,
            disk_segments: sizes.segments,
            index: snapshot.vectors.as_ref().map(|vectors| vectors.main.stats()),
            damaged: snapshot.damaged(),
            trouble: self.core.troubles.last(),
        })
    }

    /// Read everything on disk; gives what is damaged.
    pub fn verify(&self) -> Result<Vec<tiercel_store::Corruption>, QueryError> {
        let mut found = match &self.access {
            Access::Write(writer, _) => writer.store.verify()?,
            Access::Read(viewer) => viewer.view().verify()?,
        };
        if found.is_empty() {
            // What cannot be read at all has been found by then.
            let snapshot = self.core.snapshot();
            snapshot.reader.scan(0, |row, record| {
                found.extend(snapshot.damage.check(row, record.id, record.text, record.metadata).err());
                Ok::<_, QueryError>(())
            })?;
        }
        Ok(found)
    }

    /// Write a complete copy of what is committed to a directory that is new or empty.
    pub fn backup(&self, directory: &std::path::Path) -> Result<(), WriteError> {
        Ok(self.writer()?.store.backup(directory)?)
    }
}

/// What is wanted of a record that was checked; its vector is in the snapshot.
pub(crate) fn got(snapshot: Option<&Snapshot>, row: u32, record: Record, include: Include) -> Got {
    let wanted = snapshot.filter(|_| include.vector && record.vector);
    let vectors = wanted.and_then(|snapshot| snapshot.vectors.as_ref());
    Got {
        id: record.id,
        sequence: record.sequence,
        text: record.text.filter(|_| include.text).and_then(|text| String::from_utf8(text).ok()),
        metadata: record.metadata.filter(|_| include.metadata),
        vector: vectors.and_then(|vectors| vectors.get(row)),
    }
}
