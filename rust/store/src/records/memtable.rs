//! The memtable: what is in the log and not yet in the record database, in memory.
//!
//! A [`Layer`] keeps all versions that batches made, each under the number of its batch: a reader
//! sees those up to its own while writers add more. Changes are added to the last layer; the
//! earlier ones are on their way into the database.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

/// The value that a batch set; `None` if it removed the id or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version<T>(pub(crate) Option<T>);

/// Versions of one thing, and the batch that made each, ascending.
type History<T> = Vec<(u64, Version<T>)>;

/// The bytes of a record, as they stand in the record database.
pub(crate) type Bytes = Arc<[u8]>;

/// Approximate memory of an entry besides its id and its record, in bytes.
const ENTRY: usize = 200;

/// Changes to ids and rows.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    ids: HashMap<Box<str>, History<u32>>,
    rows: BTreeMap<u32, History<Bytes>>,
    bytes: usize,
}

impl Changes {
    pub(crate) fn set_row(&mut self, sequence: u64, id: &str, row: Option<u32>) {
        self.bytes += id.len() + ENTRY;
        match self.ids.get_mut(id) {
            Some(history) => history.push((sequence, Version(row))),
            None => drop(self.ids.insert(id.into(), vec![(sequence, Version(row))])),
        }
    }

    pub(crate) fn set_record(&mut self, sequence: u64, row: u32, record: Option<Bytes>) {
        self.bytes += record.as_ref().map_or(0, |record| record.len()) + ENTRY;
        self.rows.entry(row).or_default().push((sequence, Version(record)));
    }

    /// The row of an id after batch `sequence`; `None` if no batch up to it changed the row.
    pub(crate) fn row(&self, id: &str, sequence: u64) -> Option<Version<u32>> {
        at(self.ids.get(id)?, sequence).copied()
    }

    /// The record of a row after batch `sequence`; `None` if no batch up to it changed the record.
    pub(crate) fn record(&self, row: u32, sequence: u64) -> Option<Version<Bytes>> {
        at(self.rows.get(&row)?, sequence).cloned()
    }

    fn add(&mut self, later: Self) {
        for (id, history) in later.ids {
            self.ids.entry(id).or_default().extend(history);
        }
        for (row, history) in later.rows {
            self.rows.entry(row).or_default().extend(history);
        }
        self.bytes += later.bytes;
    }

    /// The changes of batches after `sequence`.
    fn after(&self, sequence: u64) -> Self {
        fn later<T: Clone>(history: &History<T>, sequence: u64) -> Option<History<T>> {
            let from = history.partition_point(|(made, _)| *made <= sequence);
            (from < history.len()).then(|| history[from..].to_vec())
        }
        let ids = self.ids.iter().filter_map(|(id, history)| Some((id.clone(), later(history, sequence)?)));
        let mut after = Self { ids: ids.collect(), ..Self::default() };
        after.bytes = after.ids.iter().map(|(id, history)| (id.len() + ENTRY) * history.len()).sum();
        for (row, history) in &self.rows {
            for (made, Version(record)) in later(history, sequence).into_iter().flatten() {
                after.set_record(made, *row, record);
            }
        }
        after
    }

    /// The last row of each id that changed, by id.
    pub(crate) fn last_rows(&self) -> Vec<(&str, Option<u32>)> {
        let mut ids: Vec<_> = self.ids.iter().filter_map(|(id, history)| Some((&**id, history.last()?.1.0))).collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids
    }

    /// The last record of each row that changed, by row.
    pub(crate) fn last_records(&self) -> impl Iterator<Item = (u32, Option<&Bytes>)> {
        self.rows.iter().filter_map(|(row, history)| Some((*row, history.last()?.1.0.as_ref())))
    }
}

/// Changes that readers share with a writer.
#[derive(Debug, Default)]
pub(crate) struct Layer(RwLock<Changes>);

impl Layer {
    /// Add the changes of later batches. Readers of earlier ones do not see them.
    pub(crate) fn add(&self, later: Changes) {
        self.0.write().add(later);
    }

    /// A layer with the changes of batches after `sequence`.
    pub(crate) fn after(&self, sequence: u64) -> Self {
        Self(RwLock::new(self.0.read().after(sequence)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Changes> {
        self.0.read()
    }

    /// Approximate bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.read().bytes
    }

    /// Collect the records of rows from `from` on that changed up to batch `sequence`, with `None`
    /// for those that are gone.
    pub(crate) fn collect(&self, from: u32, sequence: u64, into: &mut BTreeMap<u32, Option<Bytes>>) {
        let changes = self.0.read();
        let seen =
            changes.rows.range(from..).filter_map(|(row, history)| Some((*row, at(history, sequence)?.0.clone())));
        into.extend(seen);
    }
}

/// The last version up to batch `sequence`.
fn at<T>(history: &History<T>, sequence: u64) -> Option<&Version<T>> {
    history.iter().rev().find(|(made, _)| *made <= sequence).map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_has_its_own_view() {
        let record = |byte: u8| Bytes::from([byte]);
        let mut changes = Changes::default();
        changes.set_row(5, "a", Some(1));
        changes.set_record(5, 1, Some(record(1)));
        changes.set_row(7, "a", None);
        changes.set_record(7, 1, None);
        let layer = Layer::default();
        layer.add(changes);
        let mut later = Changes::default();
        later.set_row(8, "a", Some(9));
        later.set_record(8, 9, Some(record(9)));
        layer.add(later);
        let rows: Vec<_> = (4..9).map(|sequence| layer.read().row("a", sequence).map(|row| row.0)).collect();
        assert_eq!(rows, [None, Some(Some(1)), Some(Some(1)), Some(None), Some(Some(9))]);
        assert_eq!(layer.read().record(1, 6), Some(Version(Some(record(1)))));
        let mut seen = BTreeMap::new();
        layer.collect(0, 7, &mut seen);
        assert_eq!(seen, BTreeMap::from([(1, None)]));
        assert_eq!(layer.read().last_rows(), [("a", Some(9))]);
        assert_eq!(layer.read().last_records().collect::<Vec<_>>(), [(1, None), (9, Some(&record(9)))]);
    }
}
