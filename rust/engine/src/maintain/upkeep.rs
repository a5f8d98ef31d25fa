//! The steps of upkeep: moving fresh vectors into the graph, merging text segments, taking out
//! dead rows.

use std::sync::Arc;
use std::time::Instant;

use tiercel_index::{Index, Options, Storage};

use crate::config::{Config, check_storage};
use crate::errors::WriteError;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;

/// Dead rows that are tolerated, however few rows are live.
const SPARE: u64 = 8192;
/// Growing segments that are moved at a time. A graph that has grown by an eighth is surveyed, which
/// costs as much as linking thousands of vectors, and links lead back at the end of a move, so a graph
/// grows by many at a time: by one, building 200,000 took a quarter longer, by two a fourteenth. A large
/// graph takes longer to link them, and writers wait for that.
pub(super) const MOVED: usize = 4;
/// Vectors of a graph that is large.
const LARGE: usize = 100_000;
/// Vectors that are copied at a time while an index is rebuilt.
const REBUILT: usize = 1 << 16;

/// Apply the log to the record database.
pub(crate) fn apply(writer: &Writer) -> Result<(), WriteError> {
    writer.faults.meet("apply")?;
    writer.store.apply(|| writer.renew_reader())?;
    writer.faults.meet("applied")
}

/// Move the vectors of all growing segments into the main index. Return the snapshot whose vectors
/// are all there now.
pub(crate) fn move_growing(writer: &Writer) -> Result<Snapshot, WriteError> {
    let (sealed, segments) = seal(writer)?;
    move_sealed(writer, &sealed, &segments)?;
    Ok(sealed)
}

/// Seal the growing segments that have vectors, so that nothing is added to them any more. Return a
/// snapshot with these segments, and the segments.
pub(super) fn seal(writer: &Writer) -> Result<(Snapshot, Vec<Arc<Index>>), WriteError> {
    writer.faults.meet("seal segments")?;
    let mut sealed = None;
    writer
        .change(|snapshot| {
            let full = snapshot.clone();
            // Chosen while nobody writes: the next batch goes to an empty last segment, which is
            // not one of these.
            let segments = full.vectors.iter().flat_map(|vectors| &vectors.growing);
            let segments = segments.filter(|segment| segment.slots() > 0).map(Arc::clone).collect();
            snapshot.vectors = snapshot.vectors.as_ref().map(Vectors::with_new_segment).transpose()?;
            sealed = Some((full, segments));
            Ok(())
        })
        .map_err(WriteError::Unsearchable)?;
    sealed.ok_or_else(|| WriteError::Unsearchable("no snapshot".into()))
}

/// Move the vectors of sealed segments into the main index, and drop these segments.
pub(super) fn move_sealed(
    writer: &Writer,
    sealed: &Snapshot,
    sealed_segments: &[Arc<Index>],
) -> Result<(), WriteError> {
    let Some(vectors) = &sealed.vectors else { return Ok(()) };
    let at_once = if vectors.main.slots() < LARGE { MOVED } else { MOVED / 2 };
    for segments in sealed_segments.chunks(at_once) {
        writer.faults.meet("move segments")?;
        let began = Instant::now();
        let (rows, values) = missing(writer, &vectors.main, segments)?;
        vectors.main.add(values, Some(&rows), &writer.work())?;
        writer.faults.meet("drop segments")?;
        writer.change(|snapshot| {
            snapshot.vectors = snapshot.vectors.as_ref().map(|vectors| vectors.without(segments));
            Ok::<_, WriteError>(())
        })?;
        writer.pace.moved(rows.len(), began.elapsed());
    }
    Ok(())
}

/// Return the live rows of growing segments that no earlier attempt has moved to the main index,
/// and their vectors.
fn missing(writer: &Writer, main: &Index, segments: &[Arc<Index>]) -> Result<(Vec<u64>, Vec<f32>), WriteError> {
    let now = writer.snapshot();
    let (mut all, mut values) = (Vec::new(), Vec::new());
    for segment in segments {
        let mut rows = segment.ids();
        rows.retain(|row| now.lives(*row as u32) && !main.contains(*row));
        values.extend(segment.get(&rows)?);
        all.extend(rows);
    }
    Ok((all, values))
}

/// Rebuild the main index without its dead rows, to reclaim their slots, and with this storage, if
/// it has dead rows or another storage. Without a main index, the storage stays as it is.
pub(crate) fn rebuild(writer: &Writer, storage: Storage) -> Result<(), WriteError> {
    let sealed = move_growing(writer)?;
    take_out_dead(writer)?;
    writer.change(|snapshot| {
        snapshot.renew_fields();
        Ok::<_, WriteError>(())
    })?;
    let Some(old) = sealed.vectors.map(|vectors| vectors.main) else { return Ok(()) };
    let options = Options { storage, ..old.options().clone() };
    if old.slots() == old.len() && old.options().storage == storage && sealed.config.storage == storage {
        return Ok(());
    }
    check_storage(storage, Some(options.dim))?;
    let new = Index::new(options).map_err(|error| WriteError::Unsearchable(error.to_string()))?;
    let rows = old.ids();
    for rows in rows.chunks(REBUILT) {
        writer.faults.meet("rebuild")?;
        new.add(old.get(rows)?, Some(rows), &writer.work())?;
    }
    let new = Arc::new(new);
    writer.faults.meet("rebuilt")?;
    writer.change(|snapshot| {
        if let Some(vectors) = &mut snapshot.vectors {
            vectors.main = new;
        }
        snapshot.config = Arc::new(Config { storage, ..(*snapshot.config).clone() });
        Ok(())
    })
}

/// Merge text segments until there are few.
pub(crate) fn merge_text(writer: &Writer) -> Result<(), WriteError> {
    while let Some(merge) = writer.snapshot().text.plan_merge() {
        writer.faults.meet("merge texts")?;
        let merged = Arc::new(merge.run()?);
        let mut done = true;
        writer.change(|snapshot| {
            writer.faults.meet("merged texts")?;
            match snapshot.text.merged(&merge, merged) {
                Some(text) => snapshot.text = text,
                // A writer has merged some of these segments meanwhile.
                None => done = false,
            }
            Ok::<_, WriteError>(())
        })?;
        if !done {
            return Ok(());
        }
    }
    Ok(())
}

/// Take dead rows out of the indexes, so that searches need not skip them, and free the memory of
/// their chunks.
pub(crate) fn take_out_dead(writer: &Writer) -> Result<(), WriteError> {
    // A search that began before a record was replaced still needs the old row.
    let seen = writer.seen_by_all();
    let buried = writer.buried.lock().clone();
    let dead: Vec<u64> = buried.into_iter().filter(|(_, died)| *died <= seen).map(|(row, _)| row).collect();
    for index in writer.snapshot().vectors.iter().flat_map(Vectors::indexes) {
        writer.faults.meet("take out the dead")?;
        index.delete(&dead);
    }
    // Only after the removal: a failure half-way must not leave rows that nobody takes out.
    writer.buried.lock().retain(|(_, died)| *died > seen);
    writer.faults.meet("forget the dead")?;
    writer.change(|snapshot| {
        snapshot.visibility.forget(seen);
        if is_mostly_dead(u64::from(snapshot.rows - snapshot.rows_before_fields), snapshot.live) {
            snapshot.renew_fields();
        }
        Ok(())
    })
}

/// Whether enough rows are dead that a rebuild pays.
pub(crate) const fn is_mostly_dead(all: u64, live: u64) -> bool {
    all > 2 * live + SPARE
}

/// Rebuild the main index if most of its slots are rows that were taken out.
pub(crate) fn fill_up(writer: &Writer) -> Result<(), WriteError> {
    let is_hollow = |vectors: &Vectors| is_mostly_dead(vectors.main.slots() as u64, vectors.main.len() as u64);
    if writer.snapshot().vectors.as_ref().is_some_and(is_hollow) { rebuild(writer, writer.storage()) } else { Ok(()) }
}
