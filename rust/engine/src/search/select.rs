//! Which records pass a filter.
//!
//! An answer is about one snapshot. The indexes over metadata are shared by many: a field is built when a filter first asks for it,
//! of the newest snapshot there is. What an older one still had may be missing from it by then, so it answers for that snapshot and
//! later ones alone. A search therefore builds first and takes its snapshot afterwards; whoever has an older one looks at its records.

use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::errors::QueryError;
use crate::filter::{FieldView, Filter, MetadataError};
use crate::state::core::Core;
use crate::state::damage::Field;
use crate::state::snapshot::Snapshot;

/// So often at most a search builds what it needs. It is gone again if the indexes are renewed meanwhile, or if so many other fields
/// are asked for that it must give way.
const BUILDS: usize = 4;

/// The newest snapshot, and those of its living rows that pass a filter.
pub(crate) fn select(core: &Core, filter: &Filter) -> Result<(Arc<Snapshot>, RoaringBitmap), QueryError> {
    let mut snapshot = core.snapshot();
    let config = Arc::clone(&snapshot.config);
    let filter = &*config.schema.typed(filter)?;
    for _ in 0..BUILDS {
        if let Some(view) = view(&snapshot, filter) {
            let rows = indexed(&snapshot, filter, &view)?;
            return Ok((snapshot, rows));
        }
        build(core, &snapshot, filter)?;
        snapshot = core.snapshot();
    }
    let rows = select_in(&snapshot, filter)?;
    Ok((snapshot, rows))
}

/// Those of these fields that no record has.
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

/// The living rows of any snapshot that pass a filter. Nothing is built: without an index that answers for this snapshot, all of its
/// records are read.
pub(crate) fn select_in(snapshot: &Snapshot, filter: &Filter) -> Result<RoaringBitmap, QueryError> {
    match view(snapshot, filter) {
        Some(view) => indexed(snapshot, filter, &view),
        None => one_by_one(snapshot, filter),
    }
}

/// The indexes of the filter's fields, if they answer for this snapshot.
fn view<'f>(snapshot: &Snapshot, filter: &'f Filter) -> Option<FieldView<'f>> {
    snapshot.fields.view(filter).filter(|view| view.since() <= snapshot.sequence)
}

/// Index those of the filter's fields that are not.
fn build(core: &Core, snapshot: &Snapshot, filter: &Filter) -> Result<(), QueryError> {
    let Some(mut build) = snapshot.fields.build(filter.fields()) else { return Ok(()) };
    // Taken after the build began, so that it has all rows that the build asks for.
    let newest = core.snapshot();
    if !Arc::ptr_eq(&newest.fields, &snapshot.fields) {
        // What changed before the indexes were renewed is no longer known, and nobody will ask these again.
        return Ok(());
    }
    newest.reader.scan(0, |row, record| {
        let Some(metadata) = record.metadata else { return Ok(()) };
        match str::from_utf8(metadata).map(|metadata| build.add(row, metadata)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ MetadataError::Row { .. })) => Err(QueryError::Failed(format!("records: {error}"))),
            // It has no values that a filter could look at, and is left out below.
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
    let mut rows = view.evaluate(snapshot.rows);
    rows -= &*snapshot.changed;
    let covered = view.rows_covered().min(snapshot.rows);
    for row in snapshot.changed.iter().take_while(|row| *row < covered).chain(covered..snapshot.rows) {
        let record = snapshot.reader.record(row)?;
        if record.is_some_and(|record| passes(snapshot, filter, row, &record.id, record.metadata.as_deref())) {
            rows.insert(row);
        }
    }
    // Nobody knows whether these would pass.
    rows -= snapshot.damage.rows(Field::Metadata);
    // Of all rows that there ever were, any number may be dead.
    if rows.len() > 4 * snapshot.live {
        rows &= snapshot.visibility.living(snapshot.rows, snapshot.sequence);
    }
    let dead: Vec<u32> = rows.iter().filter(|row| !snapshot.lives(*row)).collect();
    for row in dead {
        rows.remove(row);
    }
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
