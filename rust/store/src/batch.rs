//! Changes that are committed together.

use crate::errors::CommitError;
use crate::shared_bytes::SharedBytes;

/// Changes that are committed together or not at all, in this order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Conditions that must hold just before the first change; otherwise nothing is changed.
    pub conditions: Vec<Condition>,
    /// The changes.
    pub changes: Vec<Change>,
    /// Bytes of one vector; 0 without vectors.
    pub width: usize,
    /// The vectors of the upserts that have one, in order and without gaps.
    pub vectors: SharedBytes,
}

/// Requires a record to be as one batch left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its id.
    pub id: String,
    /// The batch that must have written it last, see [`crate::Record::sequence`]; 0 if the record
    /// must not exist.
    pub sequence: u64,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put a record under an id, in a new row. It replaces an older record of the id.
    Upsert {
        /// Its id.
        id: String,
        /// Whether the next of the packed vectors belongs to it.
        vector: bool,
        /// Its text.
        text: Option<Vec<u8>>,
        /// Its metadata.
        metadata: Option<Vec<u8>>,
    },
    /// Replace the metadata of a record; row, vector and text stay. An unknown id is ignored.
    SetMetadata {
        /// Its id.
        id: String,
        /// The new metadata.
        metadata: Option<Vec<u8>>,
    },
    /// Remove a record. An unknown id is ignored.
    Delete {
        /// Its id.
        id: String,
    },
}

/// The result of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number: 1 for the first batch of a store, then without gaps.
    pub sequence: u64,
    /// The rows of each change. The upserts of a batch have consecutive new rows.
    pub rows: Vec<RowChange>,
}

/// The rows that a change touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The row of the id before the change.
    pub old: Option<u32>,
    /// The row of the id after it: a new one after an upsert, the same after a change of metadata.
    pub new: Option<u32>,
}

/// Maximum bytes of an id.
const MAX_ID: usize = u16::MAX as usize;
/// Maximum bytes of a text or of metadata.
const MAX_FIELD: usize = 1 << 30;

impl Batch {
    /// Check all that does not depend on the store.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        let mut vectors = 0;
        for change in &self.changes {
            let (id, text, metadata) = match change {
                Change::Upsert { id, vector, text, metadata } => {
                    vectors += usize::from(*vector);
                    (id, text.as_ref().map_or(0, Vec::len), metadata.as_ref())
                }
                Change::SetMetadata { id, metadata } => (id, 0, metadata.as_ref()),
                Change::Delete { id } => (id, 0, None),
            };
            if id.is_empty() || id.len() > MAX_ID {
                return invalid(format!("ids: expected 1 to {MAX_ID} bytes, got {}", id.len()));
            }
            let longest = text.max(metadata.map_or(0, Vec::len));
            if longest > MAX_FIELD {
                return invalid(format!("expected at most {MAX_FIELD} bytes of text or metadata, got {longest}"));
            }
        }
        if vectors > 0 && (self.width == 0 || self.width > MAX_FIELD) {
            return invalid(format!("width: expected 1 to {MAX_FIELD} bytes per vector, got {}", self.width));
        }
        if vectors.checked_mul(self.width) != Some(self.vectors.len()) {
            let (width, got) = (self.width, self.vectors.len());
            return invalid(format!("vectors: expected {vectors} of {width} bytes, got {got} bytes"));
        }
        Ok(())
    }
}

fn invalid(message: String) -> Result<(), CommitError> {
    Err(CommitError::Invalid(message))
}
