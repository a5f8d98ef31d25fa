//! Renumbering rows without the gaps that dead rows left, so that row numbers never run out.
//!
//! Commits wait while the graphs, the texts and the records are written, as a checkpoint and a
//! compaction also write them, and are read back, as opening does. Searches go on in the snapshots
//! that they hold.
//!
//! ```text
//! meta "renumbered"   numbering, u32, little endian; a bitmap, in roaring format, of the rows that
//!                     were live before
//! ```
//!
//! With this entry a scan resumes from a position with an older number. It covers the last
//! renumbering only.

use std::sync::Arc;

use roaring::RoaringBitmap;
use tiercel_index::{Index, Storage};
use tiercel_store::{Quiet, Reader};
use tiercel_text::ANALYZER;

use crate::config::Config;
use crate::errors::{QueryError, WriteError};
use crate::maintain::rebuild::rebuild;
use crate::maintain::upkeep::apply;
use crate::maintain::upkeep::{is_sparse, move_growing};
use crate::state::checkpoint::{Checkpoint, INDEX, META, Maintenance, TEXT};
use crate::state::load::{CONFIG, read};
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;
use crate::trouble::caught;

const RENUMBERED: &str = "renumbered";

/// Rows at which the background renumbers them: half of the possible ones.
const MANY: u32 = if cfg!(test) { 1 << 14 } else { 1 << 31 };

/// Whether rows must be renumbered before they run out.
pub(crate) fn is_due(snapshot: &Snapshot) -> bool {
    snapshot.rows >= MANY && is_sparse(snapshot)
}

/// Renumber the live rows, and write a checkpoint of all of them. The graphs have this storage
/// afterwards.
pub(crate) fn renumber(writer: &Writer, maintenance: &mut Maintenance, storage: Storage) -> Result<(), WriteError> {
    maintenance.recover(&writer.store)?;
    // Do most of the preparation while commits go on.
    move_growing(writer)?;
    apply(writer)?;
    let quiet = writer.store.quiet()?;
    if let Some(why) = writer.failure.lock().clone() {
        return Err(WriteError::Unsearchable(why));
    }
    if writer.storage() != storage {
        // The first vectors have come in since the last look.
        rebuild(writer, storage)?;
    }
    let sealed = move_growing(writer)?;
    let config = Config { storage, ..(*sealed.config).clone() };
    let next = Checkpoint {
        rows: quiet.rows().len() as u32,
        graphs: write_graphs(writer, &quiet, maintenance, &sealed)?,
        texts: write_texts(writer, &quiet, maintenance, &sealed)?,
        analyzer: ANALYZER,
        number: maintenance.number(),
    };
    let (stored, checkpoint) = (config.to_bytes(), next.to_bytes());
    let before = to_bytes(sealed.reader.numbering() + 1, quiet.rows());
    let meta = [(CONFIG, stored.as_slice()), (META, checkpoint.as_slice()), (RENUMBERED, before.as_slice())];
    let segments: Vec<&str> = next.files().collect();
    writer.faults.meet("renumber")?;
    quiet.renumber(&segments, &meta, |reader| {
        *maintenance = caught(|| take(writer, reader, &config))?;
        Ok(())
    })?;
    writer.core.events.info(format!("renumbered {} records", next.rows));
    Ok(())
}

/// Publish the content of the store, read as when a collection is opened. Nothing may be written
/// before: a later batch would use other row numbers than the snapshot.
fn take(writer: &Writer, reader: Reader, config: &Config) -> Result<Maintenance, String> {
    let placement = Arc::clone(&writer.snapshot().placement);
    let (snapshot, maintenance) = read(reader, &|name| writer.store.open_segment(name), config, &placement, &[])
        .map_err(|error| format!("the records were renumbered, but could not be read afterwards: {error}"))?;
    writer.change(|now| {
        *now = snapshot;
        Ok::<_, String>(())
    })?;
    writer.buried.lock().clear();
    Ok(maintenance)
}

/// Write the graphs with the new numbers, and return the names of their files.
fn write_graphs(
    writer: &Writer,
    quiet: &Quiet<'_>,
    maintenance: &mut Maintenance,
    sealed: &Snapshot,
) -> Result<Vec<String>, WriteError> {
    let place = |row: u64| quiet.rows().binary_search(&(row as u32)).ok().map(|place| place as u64);
    let mut names = Vec::new();
    for graph in sealed.vectors.iter().flat_map(Vectors::graphs) {
        let mut graph = Index::clone(graph);
        // Searches may still need the dead rows of the old graph.
        let dead: Vec<u64> = graph.ids().into_iter().filter(|row| place(*row).is_none()).collect();
        graph.delete(&dead);
        if graph.is_empty() {
            continue;
        }
        let ids: Vec<u64> = graph.ids().into_iter().filter_map(place).collect();
        graph.set_ids(&ids).map_err(|error| WriteError::Unsearchable(error.to_string()))?;
        writer.faults.meet("write a graph")?;
        let name = maintenance.name("index");
        let parts = [(INDEX, graph.file_len())];
        quiet.write_segment(&name, &parts, |file| file.section(INDEX, |out| graph.write_to(out)))?;
        names.push(name);
    }
    Ok(names)
}

/// Write the texts with the new numbers, and return the names of their files.
fn write_texts(
    writer: &Writer,
    quiet: &Quiet<'_>,
    maintenance: &mut Maintenance,
    sealed: &Snapshot,
) -> Result<Vec<String>, WriteError> {
    let mut names = Vec::new();
    for segment in sealed.text.renumbered(quiet.rows())? {
        writer.faults.meet("write texts")?;
        let (name, bytes) = (maintenance.name("text"), segment.to_bytes());
        quiet.write_segment(&name, &[(TEXT, bytes.len() as u64)], |file| {
            file.section(TEXT, |out| out.write_all(&bytes))
        })?;
        names.push(name);
    }
    Ok(names)
}

fn to_bytes(numbering: u32, rows: &[u32]) -> Vec<u8> {
    let mut bytes = numbering.to_le_bytes().to_vec();
    let mut rows = RoaringBitmap::from_sorted_iter(rows.iter().copied()).unwrap_or_default();
    rows.optimize();
    // Writing to memory cannot fail.
    let _ = rows.serialize_into(&mut bytes);
    bytes
}

/// Return the first row after `row`, which is a row number of an earlier or the current numbering.
pub(crate) fn first_after(reader: &Reader, numbering: u32, row: u32) -> Result<u32, QueryError> {
    let now = reader.numbering();
    if numbering == now {
        return Ok(row.saturating_add(1));
    }
    let bytes = reader.meta(RENUMBERED)?.unwrap_or_default();
    let rows = bytes.split_first_chunk().filter(|(kept, _)| u32::from_le_bytes(**kept) == now);
    let rows = rows.and_then(|(_, rows)| RoaringBitmap::deserialize_from(rows).ok());
    match rows {
        Some(rows) if numbering.checked_add(1) == Some(now) => Ok(rows.rank(row) as u32),
        _ => Err(QueryError::OldPosition),
    }
}
