//! The steps of upkeep: moving fresh vectors into a graph, merging text segments, taking out dead
//! rows.

use std::sync::Arc;
use std::time::Instant;

use tiercel_index::Index;

use crate::errors::WriteError;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::{GRAPHS, SEGMENT, Vectors};
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
/// Vectors that are merged at a time: fresh ones wait meanwhile.
pub(super) const MERGED: usize = SEGMENT;

/// Apply the log to the record database.
pub(crate) fn apply(writer: &Writer) -> Result<(), WriteError> {
    writer.faults.meet("apply")?;
    writer.store.apply(|| writer.renew_reader())?;
    writer.faults.meet("applied")
}

/// Move the vectors of all growing segments into the graph that is being filled. Return the snapshot at the
/// time of sealing, but with the current graphs, which by now hold all of its vectors.
pub(crate) fn move_growing(writer: &Writer) -> Result<Snapshot, WriteError> {
    let (mut sealed, segments) = seal(writer)?;
    move_sealed(writer, &segments)?;
    sealed.vectors.clone_from(&writer.snapshot().vectors);
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

/// Move the vectors of sealed segments into the graph that is being filled, and drop these segments.
pub(super) fn move_sealed(writer: &Writer, mut segments: &[Arc<Index>]) -> Result<(), WriteError> {
    while !segments.is_empty() {
        let Some(graph) = to_fill(writer)? else { return Ok(()) };
        let at_once = if graph.slots() < LARGE { MOVED } else { MOVED / 2 };
        let (now, later) = segments.split_at(at_once.min(segments.len()));
        writer.faults.meet("move segments")?;
        let began = Instant::now();
        let (rows, values) = missing(writer, now)?;
        graph.add(values, Some(&rows), &writer.work())?;
        writer.faults.meet("drop segments")?;
        writer.change(|snapshot| {
            snapshot.vectors = snapshot.vectors.as_ref().map(|vectors| vectors.without(now));
            Ok::<_, WriteError>(())
        })?;
        writer.pace.moved(rows.len(), began.elapsed());
        segments = later;
    }
    Ok(())
}

/// Return the graph that takes vectors, a new one if the last is full and there may be more.
fn to_fill(writer: &Writer) -> Result<Option<Arc<Index>>, WriteError> {
    let is_full = |vectors: &Vectors| vectors.filling.slots() >= writer.most && vectors.full.len() + 1 < GRAPHS;
    if writer.snapshot().vectors.as_ref().is_some_and(is_full) {
        writer.faults.meet("start a graph")?;
        writer
            .change(|snapshot| {
                snapshot.vectors = snapshot.vectors.as_ref().map(Vectors::with_new_graph).transpose()?;
                Ok(())
            })
            .map_err(WriteError::Unsearchable)?;
    }
    Ok(writer.snapshot().vectors.as_ref().map(|vectors| Arc::clone(&vectors.filling)))
}

/// Return the live rows of growing segments that no earlier attempt has moved to a graph, and their
/// vectors.
fn missing(writer: &Writer, segments: &[Arc<Index>]) -> Result<(Vec<u64>, Vec<f32>), WriteError> {
    let now = writer.snapshot();
    let is_linked = |row| now.vectors.as_ref().is_some_and(|vectors| vectors.is_linked(row));
    let (mut all, mut values) = (Vec::new(), Vec::new());
    for segment in segments {
        let mut rows = segment.ids();
        rows.retain(|row| now.lives(*row as u32) && !is_linked(*row));
        values.extend(segment.get(&rows)?);
        all.extend(rows);
    }
    Ok((all, values))
}

/// Move some vectors of the smallest full graph into another if another place is needed for a graph, and
/// drop it once it has none left. Return whether there is more to do.
pub(crate) fn merge_graphs(writer: &Writer) -> Result<bool, WriteError> {
    let now = writer.snapshot();
    let Some(vectors) = &now.vectors else { return Ok(false) };
    let Some((from, into)) = vectors.merge(writer.most) else { return Ok(false) };
    let others = vectors.graphs().filter(|graph| !Arc::ptr_eq(graph, from)).collect::<Vec<_>>();
    let mut rows = from.ids();
    rows.retain(|row| now.lives(*row as u32) && !others.iter().any(|graph| graph.contains(*row)));
    rows.truncate(MERGED);
    if !rows.is_empty() {
        writer.faults.meet("merge graphs")?;
        into.add(from.get(&rows)?, Some(&rows), &writer.work())?;
        return Ok(true);
    }
    writer.faults.meet("drop a graph")?;
    writer.change(|snapshot| {
        let without = |vectors: &Vectors| vectors.with_graphs(&[], std::slice::from_ref(from));
        snapshot.vectors = snapshot.vectors.as_ref().map(without);
        Ok::<_, WriteError>(())
    })?;
    Ok(true)
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

/// Whether enough rows are dead that renumbering the live ones pays.
pub(crate) fn is_sparse(snapshot: &Snapshot) -> bool {
    is_mostly_dead(u64::from(snapshot.rows), snapshot.live)
}

/// Whether enough rows are dead that a rebuild pays.
pub(crate) const fn is_mostly_dead(all: u64, live: u64) -> bool {
    all > 2 * live + SPARE
}
