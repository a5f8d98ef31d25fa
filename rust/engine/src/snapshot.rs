//! What a search sees.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_store::Reader;
use tiercel_text::TextIndex;

use crate::filter::FieldIndexes;
use crate::stamps::Stamps;
use crate::vectors::Vectors;

/// A collection as it was after one batch. It never changes: a search that holds one is not touched by later writes, and
/// does not hold them up.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The last batch that it has.
    pub(crate) sequence: u64,
    /// All its rows are below.
    pub(crate) rows: u32,
    /// Records that live.
    pub(crate) live: u64,
    pub(crate) stamps: Stamps,
    /// `None` in a collection without vectors.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) text: TextIndex,
    pub(crate) fields: Arc<FieldIndexes>,
    /// Rows whose metadata was replaced after `fields` had taken them in.
    pub(crate) changed: Arc<RoaringBitmap>,
    pub(crate) reader: Reader,
}

impl Snapshot {
    /// Whether a row is one of its living records.
    pub(crate) fn lives(&self, row: u32) -> bool {
        row < self.rows && self.stamps.lives(row, self.sequence)
    }
}
