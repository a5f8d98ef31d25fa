//! Removing what passes a filter, as one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use tiercel_store::{Batch, Change};

use crate::collection::Collection;
use crate::errors::{QueryError, WriteError};
use crate::filter::Filter;
use crate::select::{select, select_in};
use crate::snapshot::Snapshot;
use crate::write::{Fresh, publish};

/// Ids by row.
type Ids = HashMap<u32, String>;

impl Collection {
    /// Remove the records that pass a filter; gives how many. They are those that pass when the batch is committed: no other write
    /// comes in between.
    pub fn delete_where(&self, filter: &Filter) -> Result<usize, WriteError> {
        let writer = self.writer()?;
        // Other writers wait for the second look. This one builds the indexes that it needs, and reads most of the ids.
        let (snapshot, rows) = select(&self.core, filter)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut ids = Ids::new();
        for row in rows {
            ids.extend(id(&snapshot, row)?.map(|id| (row, id)));
        }
        drop(snapshot);
        let make = || {
            self.check_searchable()?;
            let newest = writer.snapshot();
            let mut changes = Vec::with_capacity(ids.len());
            for row in select_in(&newest, filter)? {
                // A row keeps its id.
                let id = ids.remove(&row).map_or_else(|| id(&newest, row), |id| Ok(Some(id)))?;
                changes.extend(id.map(|id| Change::Delete { id }));
            }
            Ok((!changes.is_empty()).then(|| Batch { changes, ..Batch::default() }))
        };
        let shared = Arc::clone(writer);
        let publish = move |applied: &_| publish(&shared, applied, Fresh::default());
        let Some(applied) = writer.store.commit_made::<WriteError>(make, publish)? else { return Ok(0) };
        self.check_published(&applied)?;
        Ok(applied.rows.len())
    }
}

fn id(snapshot: &Snapshot, row: u32) -> Result<Option<String>, QueryError> {
    Ok(snapshot.reader.record(row)?.map(|record| record.id))
}
