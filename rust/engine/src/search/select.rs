//! Which records pass a filter.
//!
//! An answer is for one snapshot, but many snapshots share the indexes over metadata. The index of
//! a field is built from the newest snapshot when a filter first asks for it. It may lack values
//! that an older snapshot still has, so it answers only for that snapshot and later ones. A search
//! therefore builds indexes first and takes its snapshot afterwards; a caller with an older
//! snapshot reads its records.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::errors::QueryError;
use crate::filter::{FieldView, Filter, MetadataError};
use crate::state::core::Core;
use crate::state::damage::Field;
use crate::state::snapshot::Snapshot;

/// The most times that a search builds the indexes it needs. They are lost again if all indexes are
/// renewed meanwhile, or if other fields evict them.
pub(crate) const BUILDS: usize = 4;

/// Return the newest snapshot, and its live rows that pass a filter.
pub(crate) fn select(core: &Core, filter: &Filter) -> Result<(Arc<Snapshot>, RoaringBitmap), QueryError> {
    let mut snapshot = core.snapshot();
    let config = Arc::clone(&snapshot.config);
    let filter = &*config.schema.typed(filter)?;
    for _ in 0..BUILDS {
        if let Some(view) = view(&snapshot, filter) {
            let rows = indexed(&snapshot, filter, &view)?;
            return Ok((snapshot, rows));
        }
        build(core, &snapshot, filter.fields())?;
        snapshot = core.snapshot();
    }
    let rows = select_in(&snapshot, filter)?;
    Ok((snapshot, rows))
}

/// Return those of the fields that no record has.
pub(crate) fn unknown<'a>(core: &Core, fields: impl Iterator<Item = &'a str>) -> Result<Vec<String>, QueryError> {
    let mut unknown = Vec::new();
    for field in fields {
        let filter = Filter::from_text(&json!({ field: { "$exists": true } }).to_string())?;
        if select(core, &filter)?.1.is_empty() {
            unknown.push(field.to_owned());
        }
    }
    Ok(unknown)
}

/// Return the live rows of any snapshot that pass a filter. Build nothing: if no index answers for
/// this snapshot, read all of its records.
pub(crate) fn select_in(snapshot: &Snapshot, filter: &Filter) -> Result<RoaringBitmap, QueryError> {
    match view(snapshot, filter) {
        Some(view) => indexed(snapshot, filter, &view),
        None => one_by_one(snapshot, filter),
    }
}

/// Return the indexes of the filter's fields, if they answer for this snapshot.
fn view<'f>(snapshot: &Snapshot, filter: &'f Filter) -> Option<FieldView<'f>> {
    snapshot.fields.view(filter).filter(|view| view.since() <= snapshot.sequence)
}

/// Index those of the fields that are not indexed yet.
pub(crate) fn build<'f>(
    core: &Core,
    snapshot: &Snapshot,
    fields: impl IntoIterator<Item = &'f str>,
) -> Result<(), QueryError> {
    let Some(mut build) = snapshot.fields.build(fields) else { return Ok(()) };
    // Taken after the build began, so it has all rows that the build needs.
    let newest = core.snapshot();
    if !Arc::ptr_eq(&newest.fields, &snapshot.fields) {
        // Changes before the indexes were renewed are no longer known, and nobody will use the old
        // indexes again.
        return Ok(());
    }
    newest.reader.scan(0, |row, record| {
        let Some(metadata) = record.metadata else { return Ok(()) };
        match str::from_utf8(metadata).map(|metadata| build.add(row, metadata)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ MetadataError::Row { .. })) => Err(QueryError::Failed(format!("records: {error}"))),
            // The record has no values to filter by, and is left out below.
            Ok(Err(_)) | Err(_) => {
                newest.damage.is_sound(row, record.id, None, record.metadata);
                Ok(())
            }
        }
    })?;
    build.finish(newest.sequence);
    Ok(())
}

fn indexed(snapshot: &Snapshot, filter: &Filter, view: &FieldView<'_>) -> Result<RoaringBitmap, QueryError> {
    let unsure = snapshot.unsure(view.patched_to(), view.rows_covered());
    checked(snapshot, filter, view.evaluate(snapshot.rows), unsure)
}

/// Return the live rows of a snapshot that pass a filter, given those of an earlier one, and the rows
/// that have come since. No other metadata may have changed.
pub(crate) fn later(
    snapshot: &Snapshot,
    filter: &Filter,
    before: &RoaringBitmap,
    new: Range<u32>,
) -> Result<RoaringBitmap, QueryError> {
    checked(snapshot, &*snapshot.config.schema.typed(filter)?, before.clone(), new)
}

/// Read the records of rows that may or may not pass, and take out what does not live or is damaged.
fn checked(
    snapshot: &Snapshot,
    filter: &Filter,
    mut rows: RoaringBitmap,
    unsure: impl Iterator<Item = u32>,
) -> Result<RoaringBitmap, QueryError> {
    for row in unsure {
        rows.remove(row);
        let record = snapshot.reader.record(row)?;
        if record.is_some_and(|record| passes(snapshot, filter, row, &record.id, record.metadata.as_deref())) {
            rows.insert(row);
        }
    }
    // It is unknown whether these would pass.
    rows -= snapshot.damage.rows(Field::Metadata);
    snapshot.visibility.remove_dead(&mut rows, snapshot.sequence);
    Ok(rows)
}

fn one_by_one(snapshot: &Snapshot, filter: &Filter) -> Result<RoaringBitmap, QueryError> {
    let mut rows = RoaringBitmap::new();
    snapshot.reader.scan(0, |row, record| {
        if snapshot.lives(row) && passes(snapshot, filter, row, record.id, record.metadata) {
            rows.insert(row);
        }
        Ok::<_, QueryError>(())
    })?;
    Ok(rows)
}

fn passes(snapshot: &Snapshot, filter: &Filter, row: u32, id: &str, metadata: Option<&[u8]>) -> bool {
    let Some(metadata) = metadata else { return filter.matches(&Value::Null) };
    serde_json::from_slice(metadata).map_or_else(
        |_| {
            snapshot.damage.is_sound(row, id, None, Some(metadata));
            false
        },
        |value| filter.matches(&value),
    )
}
