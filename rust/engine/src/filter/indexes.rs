//! The indexes of all fields that filters have asked for.
//!
//! Locks, in the order in which they are taken; a thread that holds one takes only those below it:
//!
//! ```text
//! building   one build at a time, from the first record to the last
//! writing    changes of the state: an insert, the start and the end of a build
//! state      held only to copy or swap its content
//! ```
//!
//! A search takes only `state`, so it does not wait for the others unless it must build a field.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};
use roaring::RoaringBitmap;

use super::condition::Filter;
use super::errors::MetadataError;
use super::evaluate::FieldView;
use super::extract::FieldNames;
use super::field::{Field, NewValues};
use super::ordered::Values;

/// The most fields that are indexed, more than one filter can name. Each makes every insert a
/// little slower.
const MAX_FIELDS: usize = 256;

/// Indexes over metadata fields, for rows that are numbered from 0 and only ever added.
///
/// Rows of records that are gone stay; the caller masks them. After a renumbering, start with new
/// indexes.
///
/// A field is built from the records after one batch, and may lack records that existed only
/// before. So each field stores that batch, and [`FieldView::since`] says for which states a view
/// may answer.
#[derive(Debug, Default)]
pub struct FieldIndexes {
    building: Mutex<()>,
    writing: Mutex<()>,
    state: RwLock<State>,
    /// Counts views, to find the least recently used field.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Rows below this are in every index.
    rows: u32,
    /// The last batch whose changes of metadata are in every index.
    patched_to: u64,
    fields: BTreeMap<String, Indexed>,
    /// Fields that are being built, with their rows since the build began.
    pending: BTreeMap<String, Field>,
}

type NamedFields = Vec<(String, Field)>;

#[derive(Debug)]
struct Indexed {
    field: Field,
    /// The batch whose records it was built from.
    since: u64,
    used: AtomicU64,
}

impl FieldIndexes {
    /// Start without indexed fields; builds must index the `rows` that already exist.
    pub fn new(rows: u32) -> Self {
        Self { state: RwLock::new(State { rows, ..State::default() }), ..Self::default() }
    }

    /// Rows below this are in every index.
    pub fn rows_covered(&self) -> u32 {
        self.state.read().rows
    }

    /// Return the last batch whose changes of metadata are in every index.
    pub fn patched_to(&self) -> u64 {
        self.state.read().patched_to
    }

    /// Replace the metadata of rows, as batch `sequence` has changed it. `records` is as in
    /// [`Self::insert`], and is read only if there are indexes. On an error nothing changes.
    pub fn patch<T: AsRef<str>, E: From<MetadataError>>(
        &self,
        sequence: u64,
        rows: RoaringBitmap,
        records: impl IntoIterator<Item = Result<(u32, T), E>>,
    ) -> Result<(), E> {
        let _writing = self.writing.lock();
        let (_, mut indexed, mut pending) = self.state.read().copy();
        let names: Vec<String> = indexed.iter().chain(&pending).map(|(name, _)| name.clone()).collect();
        let records = Some(records).filter(|_| !names.is_empty()).into_iter().flatten();
        let mut new = NewRecords::new(names);
        for record in records {
            let (row, text) = record?;
            new.push(row, text.as_ref())?;
        }
        let rows = Arc::new(rows);
        for ((_, field), values) in indexed.iter_mut().chain(&mut pending).zip(new.values) {
            field.patch(Arc::clone(&rows), values);
        }
        self.replace(indexed, pending, |state| state.patched_to = state.patched_to.max(sequence));
        Ok(())
    }

    /// Let changed fields take the place of those that there are.
    fn replace(&self, indexed: NamedFields, pending: NamedFields, change: impl FnOnce(&mut State)) {
        // Drop replaced fields only after the lock: freeing much memory takes time.
        let mut replaced = Vec::new();
        let mut state = self.state.write();
        for (name, field) in indexed {
            replaced.extend(state.fields.get_mut(&name).map(|old| std::mem::replace(&mut old.field, field)));
        }
        state.pending.extend(pending);
        change(&mut state);
        drop(state);
    }

    /// Index new rows, so that all below `rows` are covered. `records` has pairs of a row and its
    /// metadata as JSON text; rows that are missing there have no metadata. On an error nothing
    /// changes.
    pub fn insert<T: AsRef<str>>(
        &self,
        rows: u32,
        records: impl IntoIterator<Item = (u32, T)>,
    ) -> Result<(), MetadataError> {
        let _writing = self.writing.lock();
        let (mut next, mut indexed, mut pending) = self.state.read().copy();
        let names = indexed.iter().chain(&pending).map(|(name, _)| name.clone()).collect();
        let mut new = NewRecords::new(names);
        for (row, text) in records {
            if row < next || row >= rows {
                return Err(MetadataError::Row { row, from: next, to: rows });
            }
            new.push(row, text.as_ref())?;
            next = row + 1;
        }
        for ((_, field), values) in indexed.iter_mut().chain(&mut pending).zip(new.values) {
            field.append(values.into_runs());
        }
        self.replace(indexed, pending, |state| state.rows = state.rows.max(rows));
        Ok(())
    }

    /// Return a filter with the current indexes of its fields. Return `None` if one of them has no
    /// index: build it and ask again.
    pub fn view<'f>(&self, filter: &'f Filter) -> Option<FieldView<'f>> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let state = self.state.read();
        let mut since = state.patched_to;
        let use_of = |name: &str| {
            let indexed = state.fields.get(name)?;
            indexed.used.store(now, Ordering::Relaxed);
            since = since.max(indexed.since);
            Some(indexed.field.clone())
        };
        let fields = filter.fields().map(use_of).collect::<Option<_>>()?;
        Some(FieldView::new(filter, fields, state.rows, (since, state.patched_to)))
    }

    /// Return the index of a field; `None` if it has none: build it and ask again.
    pub(crate) fn values(&self, name: &str) -> Option<Values> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let state = self.state.read();
        let indexed = state.fields.get(name)?;
        indexed.used.store(now, Ordering::Relaxed);
        Some(Values::new(indexed.field.clone(), state.rows, (indexed.since.max(state.patched_to), state.patched_to)))
    }

    /// Start to index those of the fields that have no index yet; `None` if all have one.
    ///
    /// Only one build runs at a time; another caller waits here for its end. Searches and inserts
    /// go on.
    pub fn build<'n>(&self, fields: impl IntoIterator<Item = &'n str>) -> Option<FieldBuild<'_>> {
        let building = self.building.lock();
        let _writing = self.writing.lock();
        let mut state = self.state.write();
        let missing = fields.into_iter().filter(|name| !state.fields.contains_key(*name));
        let pending: BTreeMap<String, Field> = missing.map(|name| (name.to_owned(), Field::default())).collect();
        if pending.is_empty() {
            return None;
        }
        let new = NewRecords::new(pending.keys().cloned().collect());
        state.pending = pending;
        Some(FieldBuild { indexes: self, new, rows: state.rows, next: 0, _building: building })
    }

    /// Return the names of the indexed fields. Beyond 256, the least recently used ones are
    /// evicted.
    pub fn fields(&self) -> Vec<String> {
        self.state.read().fields.keys().cloned().collect()
    }

    /// Return the memory used by the indexes, in bytes.
    pub fn bytes(&self) -> usize {
        let (_, indexed, pending) = self.state.read().copy();
        indexed.iter().chain(&pending).map(|(name, field)| name.len() + field.memory()).sum()
    }
}

impl State {
    /// Return the number of rows, the indexed fields, and the fields being built.
    fn copy(&self) -> (u32, NamedFields, NamedFields) {
        let indexed = self.fields.iter().map(|(name, indexed)| (name.clone(), indexed.field.clone())).collect();
        let pending = self.pending.iter().map(|(name, field)| (name.clone(), field.clone())).collect();
        (self.rows, indexed, pending)
    }

    /// Remove the least recently used field.
    fn evict(&mut self) -> Option<Indexed> {
        let used = |indexed: &Indexed| indexed.used.load(Ordering::Relaxed);
        let (name, _) = self.fields.iter().min_by_key(|(_, indexed)| used(indexed))?;
        let name = name.clone();
        self.fields.remove(&name)
    }
}

/// A build of indexes for the rows that existed when it began. If it is dropped before it is
/// finished, nothing remains of it.
#[derive(Debug)]
pub struct FieldBuild<'i> {
    indexes: &'i FieldIndexes,
    new: NewRecords,
    rows: u32,
    /// The smallest row that can come next.
    next: u32,
    _building: MutexGuard<'i, ()>,
}

impl FieldBuild<'_> {
    /// Return the number of rows to pass to [`Self::add`], ascending; rows without metadata may be
    /// omitted.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Index the metadata of a row, as JSON text. Rows from [`Self::rows`] on are skipped: inserts
    /// add them.
    pub fn add(&mut self, row: u32, metadata: &str) -> Result<(), MetadataError> {
        if row >= self.rows {
            return Ok(());
        }
        if row < self.next {
            return Err(MetadataError::Row { row, from: self.next, to: self.rows });
        }
        self.new.push(row, metadata)?;
        self.next = row + 1;
        Ok(())
    }

    /// Let filters use the fields. `since` is the batch whose records were added; none of them may
    /// be missing.
    pub fn finish(mut self, since: u64) {
        let new = std::mem::take(&mut self.new);
        let mut built = BTreeMap::new();
        for (name, values) in new.wanted.into_names().into_iter().zip(new.values) {
            let mut field = Field::default();
            field.append(values.into_runs());
            built.insert(name, field);
        }
        let _writing = self.indexes.writing.lock();
        let pending = std::mem::take(&mut self.indexes.state.write().pending);
        for (name, since) in pending {
            built.entry(name).or_default().follow(since);
        }
        let now = self.indexes.clock.fetch_add(1, Ordering::Relaxed);
        let mut evicted = Vec::new();
        let mut state = self.indexes.state.write();
        while state.fields.len() + built.len() > MAX_FIELDS {
            let Some(field) = state.evict() else { break };
            evicted.push(field);
        }
        let built = built.into_iter().map(|(name, field)| (name, Indexed { field, since, used: AtomicU64::new(now) }));
        state.fields.extend(built);
        drop(state);
    }
}

impl Drop for FieldBuild<'_> {
    fn drop(&mut self) {
        let _writing = self.indexes.writing.lock();
        self.indexes.state.write().pending.clear();
    }
}

/// Values of several fields for new rows.
#[derive(Debug, Default)]
struct NewRecords {
    wanted: FieldNames,
    /// In the order of the names in `wanted`.
    values: Vec<NewValues>,
}

impl NewRecords {
    fn new(names: Vec<String>) -> Self {
        let values = names.iter().map(|_| NewValues::default()).collect();
        Self { wanted: FieldNames::new(names), values }
    }

    fn push(&mut self, row: u32, metadata: &str) -> Result<(), MetadataError> {
        if self.values.is_empty() {
            return Ok(());
        }
        self.wanted.extract(row, metadata, |at, value| self.values[at].push(row, value))
    }
}
