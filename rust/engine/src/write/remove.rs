//! Removing the records that pass a filter, or all records, in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_store::{Applied, Batch, Change};

use crate::collection::Collection;
use crate::errors::{QueryError, WriteError};
use crate::filter::Filter;
use crate::search::select::{select, select_in, unknown};
use crate::state::apply::Fresh;
use crate::state::snapshot::Snapshot;
use crate::write::publish::publish;

/// Ids by row, read from a snapshot before a removal.
struct Ids {
    /// The reading whose row numbers these are. A renumbering begins another one.
    reading: u64,
    by_row: HashMap<u32, String>,
}

impl Ids {
    fn new(snapshot: &Snapshot) -> Self {
        Self { reading: snapshot.reading, by_row: HashMap::new() }
    }

    /// Take the ids that rows of `newest` have.
    fn valid_in(self, newest: &Snapshot) -> HashMap<u32, String> {
        if self.reading == newest.reading { self.by_row } else { HashMap::new() }
    }
}

impl Collection {
    /// Remove the records that pass a filter when the batch is committed, with no other write in
    /// between. Return their number. Refuse a filter without an effective condition, which holds
    /// for every record.
    pub fn delete_where(&self, filter: &Filter) -> Result<usize, WriteError> {
        self.writer()?;
        if filter.is_empty() {
            return Err(WriteError::AllRecords);
        }
        let config = self.config();
        let filter = &*config.schema.typed(filter).map_err(QueryError::from)?;
        // Other writers wait for the second evaluation. This first one builds its indexes and reads
        // most of the ids.
        let (snapshot, rows) = select(&self.core, filter)?;
        if rows.is_empty() {
            return Ok(0);
        }
        self.check_fields(&snapshot, filter, &rows)?;
        let mut ids = Ids::new(&snapshot);
        for row in rows {
            ids.by_row.extend(id(&snapshot, row)?.map(|id| (row, id)));
        }
        drop(snapshot);
        self.remove(ids, |newest| select_in(newest, filter))
    }

    /// Refuse a filter that rows pass only because no record has one of its fields: a typo is more
    /// likely than intent.
    fn check_fields(&self, snapshot: &Snapshot, filter: &Filter, rows: &RoaringBitmap) -> Result<(), WriteError> {
        let unknown = unknown(&self.core, filter.compared())?;
        if unknown.is_empty() || rows.is_subset(&select_in(snapshot, &filter.if_held(&unknown))?) {
            return Ok(());
        }
        Err(WriteError::NoSuchField(unknown[0].clone()))
    }

    /// Remove all records, and return their number.
    pub fn clear(&self) -> Result<usize, WriteError> {
        let ids = self.all_ids()?;
        self.remove(ids, |newest| Ok(newest.visibility.living(newest.rows, newest.sequence)))
    }

    /// Return the ids of all records.
    fn all_ids(&self) -> Result<Ids, WriteError> {
        let snapshot = self.writer()?.snapshot();
        let mut ids = Ids::new(&snapshot);
        snapshot.reader.scan(0, |row, record| {
            ids.by_row.insert(row, record.id.to_owned());
            Ok::<_, QueryError>(())
        })?;
        Ok(ids)
    }

    /// Remove the rows that `select` chooses from the newest state, which nobody changes meanwhile.
    /// `known` has most of their ids.
    fn remove(
        &self,
        known: Ids,
        select: impl FnOnce(&Snapshot) -> Result<RoaringBitmap, QueryError>,
    ) -> Result<usize, WriteError> {
        let writer = self.writer()?;
        let make = || {
            self.check_searchable()?;
            let newest = writer.snapshot();
            let mut known = known.valid_in(&newest);
            let mut changes = Vec::with_capacity(known.len());
            for row in select(&newest)? {
                // Within a reading, a row keeps its id.
                let id = known.remove(&row).map_or_else(|| id(&newest, row), |id| Ok(Some(id)))?;
                changes.extend(id.map(|id| Change::Delete { id }));
            }
            let shared = Arc::clone(writer);
            let publish = move |applied: &Applied| publish(&shared, applied, Fresh::default());
            Ok((!changes.is_empty()).then(|| (Batch { changes, ..Batch::default() }, publish)))
        };
        let Some(applied) = self.noted(writer.store.commit_made::<WriteError, _>(&[], make))? else { return Ok(0) };
        self.check_published(&applied)?;
        Ok(applied.rows.len())
    }
}

fn id(snapshot: &Snapshot, row: u32) -> Result<Option<String>, QueryError> {
    Ok(snapshot.reader.record(row)?.map(|record| record.id))
}

#[cfg(test)]
mod tests {
    use tiercel_store::Durability;

    use super::*;
    use crate::collection::Access;
    use crate::config::OpenOptions;
    use crate::maintain::renumber::renumber;
    use crate::open::Running;
    use crate::write::upsert::NewRecord;

    #[test]
    fn ids_read_before_a_renumbering_do_not_decide_what_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let running = Running::new(Durability::Interval);
        let collection = Collection::open(directory.path(), OpenOptions::default(), running).unwrap();
        let record = |id: &str| NewRecord { id: id.into(), ..NewRecord::default() };
        collection.upsert(vec![record("a"), record("b"), record("c")], vec![]).unwrap();
        collection.delete(vec!["a".into()]).unwrap();
        let known = collection.all_ids().unwrap();
        let Access::Write(writer, _) = &collection.access else { panic!("open to write") };
        renumber(writer, &mut writer.maintenance.lock(), writer.storage()).unwrap();
        let last = |newest: &Snapshot| Ok(RoaringBitmap::from([newest.rows - 1]));
        assert_eq!(collection.remove(known, last).unwrap(), 1);
        assert_eq!(["b", "c"].map(|id| collection.contains(id).unwrap()), [true, false]);
    }
}
