//! The index of a field: runs, which grow by merging.

use std::sync::Arc;

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
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// Each has rows above those of the previous one. The previous one is at least twice as large,
    /// unless both would not fit into one run.
    runs: Vec<Arc<Run>>,
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

    /// Append runs without merging them; they may have any rows.
    pub(super) fn push(&mut self, runs: Vec<Arc<Run>>) {
        self.runs.extend(runs);
    }

    /// Return the runs, oldest first.
    pub(super) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// Return the runs, oldest first.
    pub(super) fn into_runs(self) -> Vec<Arc<Run>> {
        self.runs
    }

    /// Gather the rows of the keys in the span.
    pub(super) fn gather<'r>(&'r self, span: &Span, rows: &mut Gather<'r>) {
        gather(&self.runs, span, rows);
    }

    /// Return the memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.runs.iter().map(|run| run.memory()).sum()
    }
}

/// Gather the rows that some runs have for the keys in the span.
pub(super) fn gather<'r>(runs: &'r [Arc<Run>], (low, high): &Span, rows: &mut Gather<'r>) {
    for run in runs {
        run.rows(run.span(low, high)).for_each(|part| rows.add(part));
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
