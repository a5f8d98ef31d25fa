//! Reading records by id, and statistics.

use tiercel_index as index;
use tiercel_store::Record;

use crate::collection::{Access, Collection};
use crate::errors::{QueryError, WriteError};
use crate::search::request::Include;
use crate::state::checkpoint::last_checkpoint;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::trouble::Trouble;

/// A record that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// The id.
    pub id: String,
    /// The batch that last wrote it, for the conditions of later writes.
    pub sequence: u64,
    /// Its text, if requested and present.
    pub text: Option<String>,
    /// Its metadata, if requested and present.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if requested and present.
    pub vector: Option<Vec<f32>>,
}

/// Sizes of a collection.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The number of records.
    pub records: u64,
    /// Rows assigned so far, including those of replaced and removed records.
    pub rows: u32,
    /// Batches applied.
    pub sequence: u64,
    /// Vectors that are not in the graph yet.
    pub fresh_vectors: usize,
    /// Graphs with vectors.
    pub graphs: usize,
    /// Rows below this are in the files of the last checkpoint.
    pub checkpoint_rows: u32,
    /// Text segments.
    pub text_segments: usize,
    /// Bytes of memory used by the text index.
    pub text_bytes: usize,
    /// Bytes of memory used by the indexes over metadata.
    pub field_bytes: usize,
    /// Bytes on disk of the record database and its log; 0 for a reader that cannot see them.
    pub disk_records: u64,
    /// Bytes on disk of the checkpoint's files; 0 for a reader that cannot see them.
    pub disk_segments: u64,
    /// Statistics of the first graph; all bytes include those of vectors in other graphs and in none.
    pub index: Option<index::Stats>,
    /// Live records known to have unreadable text or metadata.
    pub damaged: u64,
    /// The last failure that no call reported, see [`Collection::troubles`].
    pub trouble: Option<Trouble>,
}

impl Collection {
    /// Return the records with these ids, in order; `None` for an id without a record. An
    /// unreadable text or metadata is an error if it is requested.
    pub fn get(&self, ids: &[String], include: Include) -> Result<Vec<Option<Got>>, QueryError> {
        let snapshot = self.core.snapshot();
        let one = |id: &String| {
            let Some((row, record)) = snapshot.reader.get(id)? else { return Ok(None) };
            let (text, metadata) = include.of(&record);
            snapshot.damage.check(row, id, text, metadata)?;
            got(Some(&snapshot), row, record, include).map(Some)
        };
        ids.iter().map(one).collect()
    }

    /// Whether there is a record with an id.
    pub fn contains(&self, id: &str) -> Result<bool, QueryError> {
        Ok(self.core.snapshot().reader.row(id)?.is_some())
    }

    /// Return statistics of the collection.
    pub fn stats(&self) -> Result<Stats, QueryError> {
        let snapshot = self.core.snapshot();
        let sizes = match &self.access {
            Access::Write(writer, _) => writer.store.sizes().map_err(|error| QueryError::Io(error.into()))?,
            // A reader whose directory is gone goes on; `trouble` says what is wrong.
            Access::Read(viewer) => viewer.view().sizes().unwrap_or_default(),
        };
        let checkpoint_rows = last_checkpoint(&snapshot.reader).map_err(QueryError::from)?.rows;
        Ok(Stats {
            records: snapshot.live,
            rows: snapshot.rows,
            sequence: snapshot.sequence,
            fresh_vectors: snapshot.vectors.as_ref().map_or(0, Vectors::fresh),
            graphs: snapshot.vectors.iter().flat_map(Vectors::graphs).filter(|graph| !graph.is_empty()).count(),
            checkpoint_rows,
            text_segments: snapshot.text.segments().len(),
            text_bytes: snapshot.text.memory_bytes(),
            field_bytes: snapshot.fields.bytes(),
            disk_records: sizes.records + sizes.log,
            disk_segments: sizes.segments,
            index: snapshot.vectors.as_ref().map(Vectors::stats),
            damaged: snapshot.damaged(),
            trouble: self.core.troubles.last(),
        })
    }

    /// Read everything on disk, and return all damage.
    pub fn verify(&self) -> Result<Vec<tiercel_store::Corruption>, QueryError> {
        let mut found = match &self.access {
            Access::Write(writer, _) => writer.store.verify()?,
            Access::Read(viewer) => viewer.view().verify()?,
        };
        if found.is_empty() {
            // Everything can be read: now check the texts and the metadata.
            let snapshot = self.core.snapshot();
            snapshot.reader.scan(0, |row, record| {
                found.extend(snapshot.damage.check(row, record.id, record.text, record.metadata).err());
                Ok::<_, QueryError>(())
            })?;
        }
        Ok(found)
    }

    /// Write a complete copy of the committed state to a new or empty directory.
    pub fn backup(&self, directory: &std::path::Path) -> Result<(), WriteError> {
        Ok(self.writer()?.store.backup(directory)?)
    }
}

/// Return the requested parts of a record that was checked; its vector comes from the snapshot.
pub(crate) fn got(snapshot: Option<&Snapshot>, row: u32, record: Record, include: Include) -> Result<Got, QueryError> {
    let wanted = snapshot.filter(|_| include.vector && record.vector);
    Ok(Got {
        id: record.id,
        sequence: record.sequence,
        text: record.text.filter(|_| include.text).and_then(|text| String::from_utf8(text).ok()),
        metadata: record.metadata.filter(|_| include.metadata),
        vector: wanted.map(|snapshot| snapshot.vector(row)).transpose()?.flatten(),
    })
}
