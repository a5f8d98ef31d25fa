//! Numbering the rows anew, without the gaps that the dead have left, so that row numbers never run out.
//!
//! Commits wait meanwhile: for the writing of the main index, the texts and the records, which a checkpoint and a compaction write
//! anyway, and for reading them as an opening does. Searches go on in the snapshots that they have.
//!
//! ```text
//! meta "renumbered"   numbering, u32, little endian; a bitmap of the rows that lived before, as the roaring format has it
//! ```
//!
//! A scan goes on from a position with an older number by that entry. It tells of the last numbering alone.

use roaring::RoaringBitmap;
use tiercel_index::Index;
use tiercel_store::{Quiet, Reader};
use tiercel_text::ANALYZER;

use crate::errors::{QueryError, WriteError};
use crate::maintain::upkeep::apply;
use crate::maintain::upkeep::{is_mostly_dead, move_growing};
use crate::state::checkpoint::{Checkpoint, INDEX, META, Maintenance, TEXT};
use crate::state::load::{CONFIG, read};
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;
use crate::trouble::caught;

const RENUMBERED: &str = "renumbered";

/// Rows from which on they are numbered anew in the background: a half of those that there can be.
const MANY: u32 = if cfg!(test) { 1 << 14 } else { 1 << 31 };

/// Whether so many rows are dead that numbering the living anew pays.
pub(crate) fn is_sparse(snapshot: &Snapshot) -> bool {
    is_mostly_dead(u64::from(snapshot.rows), snapshot.live)
}

/// Whether rows must be numbered anew, or they would run out.
pub(crate) fn is_due(snapshot: &Snapshot) -> bool {
    snapshot.rows >= MANY && is_sparse(snapshot)
}

/// Number the living rows anew, and write a checkpoint in which all of them are.
pub(crate) fn renumber(writer: &Writer, maintenance: &mut Maintenance) -> Result<(), WriteError> {
    maintenance.recover(&writer.store)?;
    // Most of what must be done first, while commits go on.
    move_growing(writer)?;
    apply(writer)?;
    let quiet = writer.store.quiet()?;
    if let Some(why) = writer.failure.lock().clone() {
        return Err(WriteError::Unsearchable(why));
    }
    let sealed = move_growing(writer)?;
    let next = Checkpoint {
        rows: quiet.rows().len() as u32,
        index: write_index(writer, &quiet, maintenance, &sealed)?,
        texts: write_texts(writer, &quiet, maintenance, &sealed)?,
        analyzer: ANALYZER,
        number: maintenance.number(),
    };
    let (config, checkpoint) = (sealed.config.to_bytes(), next.to_bytes());
    let before = to_bytes(sealed.reader.numbering() + 1, quiet.rows());
    let meta = [(CONFIG, config.as_slice()), (META, checkpoint.as_slice()), (RENUMBERED, before.as_slice())];
    let segments: Vec<&str> = next.files().collect();
    writer.faults.meet("renumber")?;
    quiet.renumber(&segments, &meta, |reader| {
        *maintenance = caught(|| take(writer, reader, &sealed))?;
        Ok(())
    })?;
    writer.core.events.info(format!("numbered {} records anew", next.rows));
    Ok(())
}

/// Show what the store has now, read as when a collection is opened. Until that is done nothing may be written: the rows of a later batch would be
/// others than those of the snapshot.
fn take(writer: &Writer, reader: Reader, sealed: &Snapshot) -> Result<Maintenance, String> {
    let (snapshot, maintenance) = read(reader, &|name| writer.store.open_segment(name), &sealed.config)
        .map_err(|error| format!("the records were numbered anew, and could not be read then: {error}"))?;
    writer.change(|now| {
        *now = snapshot;
        Ok::<_, String>(())
    })?;
    writer.buried.lock().clear();
    Ok(maintenance)
}

/// Write the main index with the new numbers; gives the name of its file.
fn write_index(
    writer: &Writer,
    quiet: &Quiet<'_>,
    maintenance: &mut Maintenance,
    sealed: &Snapshot,
) -> Result<Option<String>, WriteError> {
    let Some(main) = sealed.vectors.as_ref().map(|Vectors { main, .. }| main) else { return Ok(None) };
    let place = |row: u64| quiet.rows().binary_search(&(row as u32)).ok().map(|place| place as u64);
    let mut index = Index::clone(main);
    // Searches may still have a use for the dead in the old one.
    let dead: Vec<u64> = index.ids().into_iter().filter(|row| place(*row).is_none()).collect();
    index.remove(&dead);
    if index.is_empty() {
        return Ok(None);
    }
    let ids: Vec<u64> = index.ids().into_iter().filter_map(place).collect();
    index.set_ids(&ids).map_err(|error| WriteError::Unsearchable(error.to_string()))?;
    writer.faults.meet("write the index")?;
    let name = maintenance.name("index");
    quiet.write_segment(&name, &[(INDEX, index.file_len())], |file| file.section(INDEX, |out| index.write_to(out)))?;
    Ok(Some(name))
}

/// Write the texts with the new numbers; gives the names of their files.
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
    // Writing to memory does not fail.
    let _ = rows.serialize_into(&mut bytes);
    bytes
}

/// The first row behind a row, which had that number in some numbering.
pub(crate) fn first_behind(reader: &Reader, numbering: u32, row: u32) -> Result<u32, QueryError> {
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
