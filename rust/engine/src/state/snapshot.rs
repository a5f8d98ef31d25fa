//! What a search sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roaring::RoaringBitmap;
use tiercel_store::Reader;
use tiercel_text::TextIndex;

use crate::config::Config;
use crate::filter::FieldIndexes;
use crate::state::damage::{Damage, Field};
use crate::state::vectors::Vectors;
use crate::state::visibility::Visibility;

/// A collection as it was after one batch. It never changes: a search that holds one is not touched by later writes, and
/// does not hold them up.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// What the collection is made with, so far.
    pub(crate) config: Arc<Config>,
    /// Numbers what was read from the disk, by opening or by going on to a newer state: row numbers and sequences of one such reading
    /// mean nothing in another, for another collection may lie there.
    pub(crate) reading: u64,
    /// The last batch that it has.
    pub(crate) sequence: u64,
    /// The last batch that changed metadata of rows that were there.
    pub(crate) metadata_sequence: u64,
    /// All its rows are below.
    pub(crate) rows: u32,
    /// Records that live.
    pub(crate) live: u64,
    pub(crate) visibility: Visibility,
    /// `None` until the configuration has a dim.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) text: TextIndex,
    pub(crate) fields: Arc<FieldIndexes>,
    /// The rows that there were when `fields` was made.
    pub(crate) rows_before_fields: u32,
    /// Rows whose metadata was replaced: `fields` may have what they had before.
    pub(crate) changed: Arc<RoaringBitmap>,
    pub(crate) reader: Reader,
    /// Shared by all snapshots of a reading.
    pub(crate) damage: Arc<Damage>,
}

/// A number for a new reading of what is on the disk.
pub(crate) fn next_reading() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Snapshot {
    /// Whether a row is one of its living records.
    pub(crate) fn lives(&self, row: u32) -> bool {
        row < self.rows && self.visibility.lives(row, self.sequence)
    }

    /// Go on with a configuration that has more than the present one.
    pub(crate) fn take_config(&mut self, config: Config) -> Result<(), String> {
        if let (Some(dim), None) = (config.dim, &self.vectors) {
            self.vectors = Some(Vectors::empty(dim, config.metric)?);
        }
        self.config = Arc::new(config);
        Ok(())
    }

    /// Begin with new indexes over metadata, which are built of the living records when a filter asks for them.
    pub(crate) fn renew_fields(&mut self) {
        self.fields = Arc::new(FieldIndexes::new(self.rows));
        self.rows_before_fields = self.rows;
        self.changed = Arc::default();
    }

    /// Living records that are known to be damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.living(&(self.damage.rows(Field::Text) | self.damage.rows(Field::Metadata)))
    }

    /// How many of some rows live.
    pub(crate) fn living(&self, rows: &RoaringBitmap) -> u64 {
        rows.iter().filter(|row| self.lives(*row)).count() as u64
    }
}
