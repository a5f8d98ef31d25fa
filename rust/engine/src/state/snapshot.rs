//! Snapshots: what a search sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roaring::RoaringBitmap;
use tiercel_store::Reader;
use tiercel_text::TextIndex;

use crate::config::Config;
use crate::errors::QueryError;
use crate::filter::FieldIndexes;
use crate::state::damage::{Damage, Field};
use crate::state::placement::Placement;
use crate::state::vectors::Vectors;
use crate::state::visibility::Visibility;

/// The state of a collection after one batch. It never changes: later writes do not affect a search
/// that holds one, and the search does not delay them.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The configuration at that moment.
    pub(crate) config: Arc<Config>,
    /// The number of the reading from disk, by opening or by advancing to a newer state. Row
    /// numbers and sequences of one reading mean nothing in another, since another collection may
    /// be there.
    pub(crate) reading: u64,
    /// The last batch in it.
    pub(crate) sequence: u64,
    /// The last batch that changed the metadata of existing rows.
    pub(crate) metadata_sequence: u64,
    /// All its row numbers are below this.
    pub(crate) rows: u32,
    /// The number of records.
    pub(crate) live: u64,
    pub(crate) visibility: Visibility,
    /// Where the session keeps full vectors.
    pub(crate) placement: Arc<Placement>,
    /// `None` until the configuration has a dim.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) text: TextIndex,
    pub(crate) fields: Arc<FieldIndexes>,
    /// The number of rows when `fields` was made.
    pub(crate) rows_before_fields: u32,
    /// Rows whose metadata was replaced: `fields` may have what they had before, see
    /// [`Self::unsure`].
    pub(crate) changed: Arc<RoaringBitmap>,
    pub(crate) reader: Reader,
    /// Shared by all snapshots of a reading.
    pub(crate) damage: Arc<Damage>,
}

/// Return a number for a new reading from disk.
pub(crate) fn next_reading() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Snapshot {
    /// Whether a row is a live record of this snapshot.
    pub(crate) fn lives(&self, row: u32) -> bool {
        row < self.rows && self.visibility.lives(row, self.sequence)
    }

    /// Return the rows, ascending, whose metadata must be read from their records, given that the
    /// indexes have the changes up to a batch and cover some rows.
    pub(crate) fn unsure(&self, patched_to: u64, covered: u32) -> impl Iterator<Item = u32> {
        let covered = covered.min(self.rows);
        let is_patched = patched_to >= self.metadata_sequence;
        let changed = Some(&self.changed).filter(|_| !is_patched).into_iter().flat_map(|changed| changed.iter());
        changed.take_while(move |row| *row < covered).chain(covered..self.rows)
    }

    /// Return the vector of a row, if it has one.
    pub(crate) fn vector(&self, row: u32) -> Result<Option<Vec<f32>>, QueryError> {
        Ok(self.vectors.as_ref().map(|vectors| vectors.get(row)).transpose()?.flatten())
    }

    /// Replace the configuration with one that extends it.
    pub(crate) fn take_config(&mut self, config: Config) -> Result<(), String> {
        if let (Some(dim), None) = (config.dim, &self.vectors) {
            self.vectors = Some(Vectors::empty(self.placement.of(&config.options(dim)))?);
        }
        self.config = Arc::new(config);
        Ok(())
    }

    /// Start new indexes over metadata, which are built from the live records when a filter needs
    /// them.
    pub(crate) fn renew_fields(&mut self) {
        self.fields = Arc::new(FieldIndexes::new(self.rows));
        self.rows_before_fields = self.rows;
        self.changed = Arc::default();
    }

    /// Count the live records known to be damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.living(&(self.damage.rows(Field::Text) | self.damage.rows(Field::Metadata)))
    }

    /// Count the live ones among some rows.
    pub(crate) fn living(&self, rows: &RoaringBitmap) -> u64 {
        rows.iter().filter(|row| self.lives(*row)).count() as u64
    }
}
