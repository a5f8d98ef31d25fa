//! Applying a committed batch to a snapshot.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_store::{Applied, Reader};
use tiercel_text::Segment;

use crate::config::Config;
use crate::state::core::Core;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;

/// Concatenated vectors. A batch of the store shares them, so the log and an index copy them from
/// the same memory.
#[derive(Default)]
pub(crate) struct Packed(pub(crate) Vec<f32>);

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// The data of a committed batch's new rows that searches need.
#[derive(Default)]
pub(crate) struct Fresh {
    /// For each new row, whether it has a vector.
    pub(crate) with_vector: Vec<bool>,
    pub(crate) vectors: Arc<Packed>,
    /// The vectors of the collection with these, if somebody has added them before.
    pub(crate) grown: Option<Vectors>,
    /// The texts, by index among the new rows.
    pub(crate) segment: Option<Segment>,
    /// The metadata of each new row.
    pub(crate) metadata: Vec<Option<String>>,
}

/// Apply a committed batch to a snapshot, or several batches as if they were the last one; `reader`
/// shows the records after it. Return the rows that died.
pub(crate) fn apply(
    snapshot: &mut Snapshot,
    applied: &Applied,
    fresh: Fresh,
    reader: Reader,
) -> Result<Vec<u32>, String> {
    let (sequence, first) = (applied.sequence, snapshot.rows);
    let new = fresh.with_vector.len() as u32;
    snapshot.sequence = sequence;
    snapshot.rows = first + new;
    snapshot.visibility.grow(snapshot.rows);
    snapshot.reader = reader;
    snapshot.live += u64::from(new);
    let dead: Vec<u32> = applied.rows.iter().filter(|row| row.new != row.old).filter_map(|row| row.old).collect();
    for row in &dead {
        snapshot.visibility.bury(*row, sequence);
    }
    snapshot.live -= dead.len() as u64;
    change_metadata(snapshot, changed(applied).collect());
    if fresh.grown.is_some() {
        snapshot.vectors = fresh.grown;
    }
    let vectors = &fresh.vectors.0;
    let count = fresh.with_vector.iter().filter(|with| **with).count();
    if let Some(dim) = vectors.len().checked_div(count).filter(|_| snapshot.vectors.is_none()) {
        // The first vectors set the dim.
        snapshot.take_config(Config { dim: Some(dim), ..(*snapshot.config).clone() })?;
    }
    if let Some(searched) = snapshot.vectors.as_ref().filter(|_| !vectors.is_empty()) {
        let with_vector = (u64::from(first)..).zip(&fresh.with_vector).filter(|(_, with)| **with);
        let rows: Vec<u64> = with_vector.map(|(row, _)| row).collect();
        snapshot.vectors = Some(searched.with(&rows, vectors)?);
    }
    if let Some(segment) = fresh.segment {
        snapshot.text = snapshot.text.with(Arc::new(segment.moved(first))).map_err(|error| error.to_string())?;
    }
    if !dead.is_empty() {
        snapshot.text = snapshot.text.without(&dead);
    }
    Ok(dead)
}

/// The most documents that a committing or following thread merges; larger merges are left to the
/// background.
const MERGED_AT_ONCE: usize = 4096;

/// Merge the small text segments that batches leave. Each merge runs concurrently with commits and
/// is published quickly.
pub(crate) fn merge_few(core: &Core) -> Result<(), String> {
    let next = || core.snapshot().text.plan_merge().filter(|merge| merge.documents() <= MERGED_AT_ONCE);
    while let Some(merge) = next() {
        let merged = Arc::new(merge.run().map_err(|error| error.to_string())?);
        let mut done = false;
        core.change(|snapshot| {
            // Another thread may have merged some of them meanwhile.
            if let Some(text) = snapshot.text.merged(&merge, merged) {
                (snapshot.text, done) = (text, true);
            }
            Ok::<_, String>(())
        })?;
        if !done {
            break;
        }
    }
    Ok(())
}

/// Return the rows whose metadata a batch has replaced.
pub(crate) fn changed(applied: &Applied) -> impl Iterator<Item = u32> {
    applied.rows.iter().filter(|row| row.new == row.old).filter_map(|row| row.new)
}

/// Record that the last batch replaced the metadata of rows.
fn change_metadata(snapshot: &mut Snapshot, rows: Vec<u32>) {
    if rows.is_empty() {
        return;
    }
    let is_patched = snapshot.fields.patched_to() >= snapshot.metadata_sequence;
    let mut changed = if is_patched { RoaringBitmap::new() } else { snapshot.changed.as_ref().clone() };
    snapshot.metadata_sequence = snapshot.sequence;
    changed.extend(&rows);
    snapshot.damage.forget(rows);
    snapshot.changed = Arc::new(changed);
}
