//! The index of a field: runs and patches, which grow by merging.

use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::gather::Gather;
use super::key;
use super::run::{Pairs, Run};

/// The pairs and the bytes of keys at which a new run is cut off, to bound the memory of building
/// one.
const PAIRS: usize = 1 << 24;
const BYTES: usize = 1 << 28;

/// Keys from the first one, inclusive, to the second, exclusive.
pub(super) type Span = (Vec<u8>, Vec<u8>);

/// The index of a field. Runs are shared and immutable, so a copy costs next to nothing and never
/// changes.
///
/// ```text
/// runs      rows in the order of writing, with the values that they had first
/// patches   rows whose values were replaced, oldest first, with the values that they got
/// ```
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// Each has rows above those of the previous one. The previous one is at least twice as large,
    /// unless both would not fit into one run.
    runs: Vec<Arc<Run>>,
    /// Each has less than half as many rows as the previous one, unless that one is full.
    patches: Vec<Patch>,
}

/// Rows with other values than before.
#[derive(Clone, Debug)]
struct Patch {
    /// What the earlier runs and patches say of these rows no longer holds.
    rows: Arc<RoaringBitmap>,
    runs: Vec<Arc<Run>>,
}

impl Patch {
    /// Return a patch that does the same as this one and a newer one.
    fn merge(&self, newer: &Self) -> Self {
        let mut pairs = Pairs::default();
        for run in &self.runs {
            run.each(|key, row| {
                if !newer.rows.contains(row) {
                    pairs.push(key, row);
                }
            });
        }
        for run in &newer.runs {
            run.each(|key, row| pairs.push(key, row));
        }
        Self { rows: Arc::new(&*self.rows | &*newer.rows), runs: vec![Arc::new(pairs.into_run())] }
    }

    fn size(&self) -> usize {
        self.runs.iter().map(|run| run.size()).sum()
    }
}

impl Field {
    /// Append runs with rows above all others. The cost is the size of the change times the
    /// logarithm of the whole.
    pub(super) fn append(&mut self, runs: impl IntoIterator<Item = Arc<Run>>) {
        for run in runs {
            let mut last = run;
            while let Some(before) =
                self.runs.pop_if(|before| before.size() < 2 * last.size() && before.can_merge(&last))
            {
                last = Arc::new(before.merge(&last));
            }
            self.runs.push(last);
        }
    }

    /// Replace the values of rows. Those that `values` lacks no longer have the field.
    pub(super) fn patch(&mut self, rows: Arc<RoaringBitmap>, values: NewValues) {
        let mut last = Patch { rows, runs: values.into_runs() };
        let merges = |before: &mut Patch, last: &Patch| {
            before.rows.len() < 2 * last.rows.len() && before.size() + last.size() < PAIRS
        };
        while let Some(before) = self.patches.pop_if(|before| merges(before, &last)) {
            last = before.merge(&last);
        }
        self.patches.push(last);
    }

    /// Append what another index of the field has of later rows and changes.
    pub(super) fn follow(&mut self, later: Self) {
        self.append(later.runs);
        self.patches.extend(later.patches);
    }

    /// Return the rows below `bound` of the keys in some spans.
    pub(super) fn rows_in(&self, spans: &[Span], bound: u32) -> RoaringBitmap {
        let of = |runs: &[Arc<Run>]| {
            let mut rows = Gather::new(bound);
            for (low, high) in spans {
                for run in runs {
                    run.rows(run.span(low, high)).for_each(|part| rows.add(part));
                }
            }
            rows.finish()
        };
        let patched = |rows: RoaringBitmap, patch: &Patch| (rows - &*patch.rows) | of(&patch.runs);
        self.patches.iter().fold(of(&self.runs), patched)
    }

    /// Return all runs, each with the rows of which it no longer tells the values.
    pub(super) fn layers(&self) -> Vec<(Arc<Run>, Arc<RoaringBitmap>)> {
        let mut replaced = Arc::<RoaringBitmap>::default();
        let mut layers = Vec::new();
        for patch in self.patches.iter().rev() {
            layers.extend(patch.runs.iter().map(|run| (Arc::clone(run), Arc::clone(&replaced))));
            replaced = Arc::new(&*replaced | &*patch.rows);
        }
        layers.extend(self.runs.iter().map(|run| (Arc::clone(run), Arc::clone(&replaced))));
        layers
    }

    /// Return the memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        let patches = self.patches.iter();
        let of_patches = patches.clone().map(|patch| patch.rows.serialized_size()).sum::<usize>();
        let runs = self.runs.iter().chain(patches.flat_map(|patch| &patch.runs));
        of_patches + runs.map(|run| run.memory()).sum::<usize>()
    }
}

/// Values of new rows, to be indexed.
#[derive(Debug, Default)]
pub(super) struct NewValues {
    pairs: Pairs,
    full: Vec<Arc<Run>>,
    scratch: Vec<u8>,
}

impl NewValues {
    /// Add the value of a row above all earlier ones.
    pub(super) fn push(&mut self, row: u32, value: &Value) {
        if self.pairs.len() >= PAIRS || self.pairs.bytes() >= BYTES {
            self.full.push(Arc::new(std::mem::take(&mut self.pairs).into_run()));
        }
        key::keys_of(value, &mut self.scratch, |key| self.pairs.push(key, row));
    }

    pub(super) fn into_runs(mut self) -> Vec<Arc<Run>> {
        if self.pairs.len() > 0 {
            self.full.push(Arc::new(self.pairs.into_run()));
        }
        self.full
    }
}
