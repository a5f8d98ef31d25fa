//! Which records pass a filter.

use roaring::RoaringBitmap;

use crate::collection::Core;
use crate::errors::QueryError;
use crate::filter::{Filter, MetadataError};
use crate::snapshot::Snapshot;

/// The living rows of a snapshot that pass a filter.
pub(crate) fn select(core: &Core, snapshot: &Snapshot, filter: &Filter) -> Result<RoaringBitmap, QueryError> {
    core.config.schema.check_filter(filter)?;
    let view = loop {
        if let Some(view) = snapshot.fields.view(filter) {
            break view;
        }
        if let Some(mut build) = snapshot.fields.build(filter.fields()) {
            // Taken after the build began, so that it has all rows that the build asks for.
            let newest = core.snapshot();
            newest.reader.scan(0, |row, record| {
                let metadata = record.metadata.map(text).transpose()?;
                metadata.map_or(Ok(()), |metadata| build.add(row, metadata)).map_err(damaged)
            })?;
            build.finish();
        }
    };
    let mut rows = view.evaluate(snapshot.rows);
    rows -= &*snapshot.changed;
    let covered = view.rows_covered().min(snapshot.rows);
    for row in snapshot.changed.iter().take_while(|row| *row < covered).chain(covered..snapshot.rows) {
        let record = snapshot.reader.record(row)?;
        if record.is_some_and(|record| passes(filter, record.metadata.as_deref())) {
            rows.insert(row);
        }
    }
    let dead: Vec<u32> = rows.iter().filter(|row| !snapshot.lives(*row)).collect();
    for row in dead {
        rows.remove(row);
    }
    Ok(rows)
}

fn passes(filter: &Filter, metadata: Option<&[u8]>) -> bool {
    let value = metadata.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    filter.matches(&value)
}

fn text(bytes: &[u8]) -> Result<&str, QueryError> {
    std::str::from_utf8(bytes).map_err(|_| QueryError::Failed("records: metadata that is not UTF-8".into()))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn damaged(error: MetadataError) -> QueryError {
    QueryError::Failed(format!("records: {error}"))
}
