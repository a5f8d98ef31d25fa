//! Putting in, changing and removing records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tiercel_store::{Applied, Batch, Change, CommitError, Condition, SharedBytes};
use tiercel_text::Segment;

use crate::collection::Collection;
use crate::config::Config;
use crate::errors::WriteError;
use crate::state::apply::{Fresh, Packed, merge_few};
use crate::state::damage::why;
use crate::state::placement::Placement;
use crate::trouble::caught;
use crate::write::publish::publish;

/// The maximum number of bytes in an id.
pub const MAX_ID: usize = 512;

/// A record to put in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRecord {
    /// The id.
    pub id: String,
    /// Whether the next of the packed vectors belongs to it.
    pub vector: bool,
    /// Its text.
    pub text: Option<String>,
    /// Its metadata: a JSON object, as text.
    pub metadata: Option<String>,
}

impl Collection {
    /// Put in records, all or none; a record replaces an existing one with the same id. For equal
    /// ids in `records`, the last wins. `vectors` has the vectors of the records with a vector, in
    /// order. Return the number of records put in.
    pub fn upsert(&self, records: Vec<NewRecord>, vectors: Vec<f32>) -> Result<usize, WriteError> {
        self.upsert_if(records, vectors, Vec::new())
    }

    /// Do the same if all conditions hold just before; otherwise return a conflict and change
    /// nothing.
    pub fn upsert_if(
        &self,
        records: Vec<NewRecord>,
        vectors: Vec<f32>,
        conditions: Vec<Condition>,
    ) -> Result<usize, WriteError> {
        // A later configuration may have a dim.
        let config = self.config();
        let dim = self.check_records(&config, &records, &vectors)?;
        let (records, vectors) = last_of_each(records, vectors, dim);
        let texts = records.iter().enumerate().filter_map(|(at, record)| Some((at as u32, record.text.as_deref()?)));
        let segment = Segment::build(texts, &config.tokenizer)?;
        let count = records.len();
        let vectors = Arc::new(Packed(vectors));
        let (width, shared) = (dim * size_of::<f32>(), SharedBytes::of(Arc::clone(&vectors)));
        let mut batch = Batch { conditions, changes: Vec::with_capacity(count), width, vectors: shared };
        let mut fresh = Fresh { vectors, segment: Some(segment), ..Fresh::default() };
        for NewRecord { id, vector, text, metadata } in records {
            fresh.with_vector.push(vector);
            fresh.metadata.push(metadata.clone());
            let (text, metadata) = (text.map(String::into_bytes), metadata.map(String::into_bytes));
            batch.changes.push(Change::Upsert { id, vector, text, metadata });
        }
        if batch.vectors.is_empty() || config.dim.is_some() {
            self.commit(batch, fresh)?;
        } else {
            self.commit_first_vectors(batch, fresh, dim)?;
        }
        Ok(count)
    }

    /// Replace the metadata of records, all or none. Return how many of the ids exist.
    pub fn set_metadata(&self, records: Vec<(String, Option<String>)>) -> Result<usize, WriteError> {
        self.set_metadata_if(records, Vec::new())
    }

    /// Do the same if all conditions hold just before; otherwise return a conflict and change
    /// nothing.
    pub fn set_metadata_if(
        &self,
        records: Vec<(String, Option<String>)>,
        conditions: Vec<Condition>,
    ) -> Result<usize, WriteError> {
        self.check_ids(records.iter().map(|(id, _)| id.as_str()))?;
        let metadata = records.iter().map(|(id, metadata)| (id.as_str(), metadata.as_deref()));
        self.check_metadata(metadata)?;
        let change = |(id, metadata): (String, Option<String>)| Change::SetMetadata {
            id,
            metadata: metadata.map(String::into_bytes),
        };
        let batch = Batch { conditions, changes: records.into_iter().map(change).collect(), ..Batch::default() };
        let applied = self.commit(batch, Fresh::default())?;
        let there: HashSet<u32> = applied.rows.iter().filter_map(|row| row.new).collect();
        Ok(there.len())
    }

    /// Remove records, all or none. Return how many existed.
    pub fn delete(&self, ids: Vec<String>) -> Result<usize, WriteError> {
        self.delete_if(ids, Vec::new())
    }

    /// Do the same if all conditions hold just before; otherwise return a conflict and change
    /// nothing.
    pub fn delete_if(&self, ids: Vec<String>, conditions: Vec<Condition>) -> Result<usize, WriteError> {
        self.check_ids(ids.iter().map(String::as_str))?;
        let changes = ids.into_iter().map(|id| Change::Delete { id }).collect();
        let batch = Batch { conditions, changes, ..Batch::default() };
        let applied = self.commit(batch, Fresh::default())?;
        Ok(applied.rows.iter().filter(|row| row.old.is_some()).count())
    }

    /// Check everything about records that does not depend on existing ones. Return the dim, as
    /// [`check_vectors`] does.
    pub(crate) fn check_records(
        &self,
        config: &Config,
        records: &[NewRecord],
        vectors: &[f32],
    ) -> Result<usize, WriteError> {
        self.check_ids(records.iter().map(|record| record.id.as_str()))?;
        let dim = check_vectors(&self.core.snapshot().placement, config, records, vectors)?;
        self.check_metadata(records.iter().map(|record| (record.id.as_str(), record.metadata.as_deref())))?;
        Ok(dim)
    }

    pub(crate) fn check_ids<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<(), WriteError> {
        self.check_searchable()?;
        for (at, id) in ids.enumerate() {
            if id.is_empty() || id.len() > MAX_ID {
                return Err(WriteError::Id { limit: MAX_ID, got: id.len(), at });
            }
        }
        Ok(())
    }

    /// Check that everything that was committed is searchable.
    pub(crate) fn check_searchable(&self) -> Result<(), WriteError> {
        self.writer()?.failure.lock().clone().map_or(Ok(()), |why| Err(WriteError::Unsearchable(why)))
    }

    fn check_metadata<'a>(
        &self,
        metadata: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
    ) -> Result<(), WriteError> {
        check_json(metadata.clone())?;
        self.check_schema(metadata)
    }

    /// Check that metadata, each with the id of its record, agrees with the schema.
    pub(crate) fn check_schema<'a>(
        &self,
        metadata: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(), WriteError> {
        Ok(self.config().schema.check_metadata(metadata)?)
    }

    /// Commit a batch with the first vectors, which set the dim. No other batch comes between the
    /// check that they are the first and the commit, so of two callers with different dims one is
    /// refused.
    fn commit_first_vectors(&self, batch: Batch, fresh: Fresh, dim: usize) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let make = || {
            self.check_searchable()?;
            let config = Arc::clone(&writer.snapshot().config);
            match config.dim {
                Some(expected) if expected != dim => Err(WriteError::Dim { expected, got: dim }),
                _ => {
                    // A compaction may have changed the storage meanwhile.
                    config.first_options(dim)?;
                    let shared = Arc::clone(writer);
                    Ok(Some((batch, move |applied: &Applied| publish(&shared, applied, fresh))))
                }
            }
        };
        let applied = self.noted(writer.store.commit_made::<WriteError, _>(&[], make))?;
        applied.map_or(Ok(()), |applied| self.check_published(&applied))
    }

    fn commit(&self, batch: Batch, fresh: Fresh) -> Result<Applied, WriteError> {
        if batch.changes.is_empty() {
            return Ok(Applied { sequence: self.sequence(), rows: vec![] });
        }
        let writer = self.writer()?;
        let shared = Arc::clone(writer);
        let committed = writer.store.commit(batch, move |applied| publish(&shared, applied, fresh));
        let applied = self.noted(committed.map_err(WriteError::from))?;
        self.check_published(&applied)?;
        Ok(applied)
    }

    /// Report whether there was room for a batch, and return the result of its commit.
    pub(crate) fn noted<T>(&self, committed: Result<T, WriteError>) -> Result<T, WriteError> {
        match &committed {
            Ok(_) => self.core.events.room(),
            Err(WriteError::Commit(CommitError::NoRoom(why))) => self.core.events.no_room(&why.to_string()),
            Err(_) => {}
        }
        committed
    }

    /// Check that a committed batch is searchable. Then index the metadata and merge the texts that
    /// it and others have left, unless another thread does.
    pub(crate) fn check_published(&self, applied: &Applied) -> Result<(), WriteError> {
        let writer = self.writer()?;
        if self.sequence() >= applied.sequence {
            writer.unindexed.index(&writer.core);
            if let Some(_merging) = writer.merging.try_lock() {
                // The background repeats a failed merge, and records its failure.
                let _ = caught(|| merge_few(&writer.core));
            }
            return Ok(());
        }
        let why = writer.failure.lock().clone();
        Err(WriteError::Unpublished(why.unwrap_or_else(|| "a panic".into())))
    }
}

/// Check that metadata, each with the id of its record, can be read.
pub(crate) fn check_json<'a>(metadata: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<(), WriteError> {
    for (at, (id, metadata)) in metadata.enumerate() {
        if let Some((why, _)) = metadata.and_then(|metadata| why(metadata.as_bytes())) {
            return Err(WriteError::Metadata { at, id: id.to_owned(), why });
        }
    }
    Ok(())
}

/// Check the vectors of a batch, and return the dim; 0 if there are no vectors and none is
/// configured.
fn check_vectors(
    placement: &Placement,
    config: &Config,
    records: &[NewRecord],
    vectors: &[f32],
) -> Result<usize, WriteError> {
    let count = records.iter().filter(|record| record.vector).count();
    let length = vectors.len().checked_div(count).unwrap_or(0);
    let dim = config.dim.unwrap_or(length);
    if vectors.len() != count * length {
        return Err(WriteError::Length { expected: count * dim, got: vectors.len() });
    }
    if count > 0 && length != dim {
        return Err(WriteError::Dim { expected: dim, got: length });
    }
    if count > 0 {
        let options = placement.of(&config.first_options(dim)?);
        tiercel_index::check_vectors("vectors", vectors, &options)?;
    }
    Ok(dim)
}

/// Keep the last of records with equal ids.
fn last_of_each(records: Vec<NewRecord>, vectors: Vec<f32>, dim: usize) -> (Vec<NewRecord>, Vec<f32>) {
    let last: HashMap<&str, usize> = records.iter().enumerate().map(|(at, record)| (record.id.as_str(), at)).collect();
    if last.len() == records.len() {
        return (records, vectors);
    }
    let keep: Vec<bool> = records.iter().enumerate().map(|(at, record)| last[record.id.as_str()] == at).collect();
    let mut kept_vectors = Vec::new();
    let mut rest = vectors.as_slice();
    for (_, keep) in records.iter().zip(&keep).filter(|(record, _)| record.vector) {
        let (own, later) = rest.split_at(dim);
        rest = later;
        if *keep {
            kept_vectors.extend_from_slice(own);
        }
    }
    let kept = records.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(record, _)| record).collect();
    (kept, kept_vectors)
}

#[cfg(test)]
mod tests {
    use tiercel_store::Durability;

    use super::*;
    use crate::config::OpenOptions;
    use crate::open::Running;

    fn record(id: &str, vector: bool, text: &str) -> NewRecord {
        NewRecord { id: id.into(), vector, text: Some(text.into()), metadata: None }
    }

    #[test]
    fn the_last_of_equal_ids_wins() {
        let records =
            vec![record("a", true, "1"), record("b", true, "2"), record("a", false, "3"), record("c", true, "4")];
        let (records, vectors) = last_of_each(records, vec![1.0, 2.0, 4.0], 1);
        let texts: Vec<_> = records.iter().map(|record| record.text.as_deref().unwrap()).collect();
        assert_eq!(texts, ["2", "3", "4"]);
        assert_eq!(vectors, [2.0, 4.0]);
    }

    #[test]
    fn different_ids_are_left_alone() {
        let records = vec![record("a", true, "1"), record("b", false, "2")];
        assert_eq!(last_of_each(records.clone(), vec![1.0], 1), (records, vec![1.0]));
    }

    #[test]
    fn a_batch_that_cannot_be_shown_is_an_error_and_is_there_after_opening_again() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = || OpenOptions { dim: Some(2), ..OpenOptions::default() };
        let running = Running::new(Durability::Always);
        let collection = Collection::open(directory.path(), wanted(), running).unwrap();
        collection.upsert(vec![record("a", true, "one")], vec![1.0, 0.0]).unwrap();
        let change = Change::Upsert { id: "b".into(), vector: false, text: Some("two".into()), metadata: None };
        // A vector that the index refuses, as it refuses any vector when memory runs out.
        let fresh = Fresh {
            with_vector: vec![true],
            vectors: Arc::new(Packed(vec![0.0, 0.0])),
            metadata: vec![None],
            ..Fresh::default()
        };
        let error = collection.commit(Batch { changes: vec![change], ..Batch::default() }, fresh).unwrap_err();
        assert!(matches!(error, WriteError::Unpublished(_)), "{error}");
        assert!(error.to_string().starts_with("the batch is on disk, but not searchable until"), "{error}");
        let refused = collection.upsert(vec![record("c", false, "three")], vec![]).unwrap_err();
        assert!(matches!(refused, WriteError::Unsearchable(_)), "{refused}");
        // Later work of the store does not expose its half of the batch to readers.
        collection.checkpoint().unwrap();
        assert_eq!((collection.len(), collection.contains("b").unwrap()), (1, false));
        collection.close().unwrap();
        let collection = Collection::open(directory.path(), wanted(), running).unwrap();
        assert_eq!(collection.len(), 2);
        assert!(collection.contains("b").unwrap());
    }
}
