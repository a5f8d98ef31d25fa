//! Records to write, in columns as Python passes them.

use pyo3::prelude::*;
use tiercel_engine::{Condition, NewRecord};

use super::handle::Handle;
use super::vectors::new_rows;
use crate::gil::Many;

/// A column that may be absent or have gaps.
type Column = Option<Many<Option<String>>>;

/// Ids, vectors, which ids have a vector (absent if all or none have), texts, metadata.
pub(super) type Batch<'py> = (Many<String>, Option<Bound<'py, PyAny>>, Option<Many<bool>>, Column, Column);

/// A batch that has been read and no longer needs any Python object.
pub(super) struct Batched {
    ids: Vec<String>,
    with_vector: Vec<bool>,
    vectors: Vec<f32>,
    texts: Column,
    metadata: Column,
}

impl Batched {
    /// Read a batch for the collection of a handle, whose vectors have its length.
    pub(super) fn read(batch: Batch<'_>, handle: &Handle) -> PyResult<Self> {
        let (Many(ids), vectors, with_vector, texts, metadata) = batch;
        let with_vector = with_vector.map_or_else(|| vec![vectors.is_some(); ids.len()], |with| with.0);
        let wanted = with_vector.iter().filter(|with| **with).count();
        let vectors = match vectors {
            Some(vectors) if wanted > 0 || handle.dim(vectors.py())?.is_some() => new_rows(handle, &vectors, wanted)?,
            _ => Vec::new(),
        };
        Ok(Self { ids, with_vector, vectors, texts, metadata })
    }

    /// Return the number of vectors.
    pub(super) fn vectors(&self) -> usize {
        self.with_vector.iter().filter(|with| **with).count()
    }

    /// Return the records, their vectors without gaps, and the conditions on stored records.
    pub(super) fn into_records(self, if_sequence: Option<Many<u64>>) -> (Vec<NewRecord>, Vec<f32>, Vec<Condition>) {
        let conditions = conditions(&self.ids, if_sequence);
        let each = |column: Column| column.into_iter().flat_map(|column| column.0);
        let (mut texts, mut metadata) = (each(self.texts), each(self.metadata));
        let record =
            |(id, vector)| NewRecord { id, vector, text: texts.next().flatten(), metadata: metadata.next().flatten() };
        (self.ids.into_iter().zip(self.with_vector).map(record).collect(), self.vectors, conditions)
    }
}

/// Return the conditions on the stored records, if any.
pub(super) fn conditions(ids: &[String], if_sequence: Option<Many<u64>>) -> Vec<Condition> {
    let sequences = if_sequence.map(|sequences| sequences.0).unwrap_or_default();
    ids.iter().zip(sequences).map(|(id, sequence)| Condition { id: id.clone(), sequence }).collect()
}
