//! Rebuilding graphs without the slots of dead rows, or with another storage.

use std::sync::Arc;

use tiercel_index::{Index, Options, Storage};

use crate::config::{Config, check_storage};
use crate::errors::WriteError;
use crate::maintain::upkeep::{is_mostly_dead, is_sparse, move_growing, take_out_dead};
use crate::state::vectors::{GRAPHS, Vectors, new_index};
use crate::state::writer::Writer;

/// Vectors that are copied at a time.
const COPIED: usize = 1 << 14;

/// Rebuild the graphs that have dead rows or another storage than this one, and gather graphs that are not
/// full. Without a graph, the storage stays as it is.
pub(crate) fn rebuild(writer: &Writer, storage: Storage) -> Result<(), WriteError> {
    move_growing(writer)?;
    take_out_dead(writer)?;
    writer.change(|snapshot| {
        snapshot.renew_fields();
        Ok::<_, WriteError>(())
    })?;
    let now = writer.snapshot();
    let Some(vectors) = &now.vectors else { return Ok(()) };
    check_storage(storage, Some(vectors.dim()))?;
    let pays = what_pays(vectors, writer.most, storage);
    let is_needed = !pays.is_empty() || now.config.storage != storage;
    if is_needed { rebuild_these(writer, &pays, storage) } else { Ok(()) }
}

/// Return about how many more bytes a compaction holds at its peak.
pub(crate) fn bytes_to_rebuild(writer: &Writer, storage: Storage) -> Result<usize, WriteError> {
    take_out_dead(writer)?;
    let now = writer.snapshot();
    let Some(vectors) = &now.vectors else { return Ok(0) };
    let all: Vec<_> = vectors.graphs().cloned().collect();
    let living = |graphs: &[Arc<Index>]| graphs.iter().map(|graph| graph.len()).sum::<usize>();
    let copied = if is_sparse(&now) || storage != now.config.storage {
        // Renumbering reads all graphs again, and a change of storage publishes the new ones together.
        living(&all)
    } else {
        // A graph goes once all of it is in new ones, of which the last may be full by then.
        let pays = what_pays(vectors, writer.most, storage);
        let largest = pays.iter().map(|graph| graph.len()).max().unwrap_or(0);
        living(&pays).min(largest + most_of_new(vectors, &pays, writer.most))
    };
    let total =
        |graph: &Arc<Index>| graph.stats().bytes.iter().find(|(part, _)| *part == "total").map_or(0, |part| part.1);
    let slots: usize = all.iter().map(|graph| graph.slots()).sum();
    Ok(all.iter().map(total).sum::<usize>() / slots.max(1) * copied)
}

/// Return the graphs that have dead rows or another storage, and, if there are several, those that are not
/// full.
fn what_pays(vectors: &Vectors, most: usize, storage: Storage) -> Vec<Arc<Index>> {
    let is_stale = |graph: &Arc<Index>| graph.slots() > graph.len() || graph.options().storage != storage;
    let is_small = |graph: &Arc<Index>| graph.len() < most;
    let pays: Vec<_> = vectors.graphs().filter(|graph| is_stale(graph) || is_small(graph)).cloned().collect();
    if pays.len() > 1 || pays.iter().any(is_stale) { pays } else { Vec::new() }
}

/// Return the vectors of a new graph if these graphs are rebuilt, so that there are not too many.
fn most_of_new(vectors: &Vectors, old: &[Arc<Index>], most: usize) -> usize {
    let count: usize = old.iter().map(|graph| graph.len()).sum();
    let kept = vectors.graphs().count().saturating_sub(old.len());
    most.max(count.div_ceil(GRAPHS.saturating_sub(kept).max(1)))
}

/// Rebuild the graphs of which most slots are rows that were taken out.
pub(crate) fn fill_up(writer: &Writer) -> Result<(), WriteError> {
    let is_hollow = |graph: &&Arc<Index>| is_mostly_dead(graph.slots() as u64, graph.len() as u64);
    let now = writer.snapshot();
    let hollow: Vec<_> = now.vectors.iter().flat_map(Vectors::graphs).filter(is_hollow).cloned().collect();
    if hollow.is_empty() { Ok(()) } else { rebuild_these(writer, &hollow, writer.storage()) }
}

/// Copy the vectors of some graphs into new ones, which take their places. Each new one is published when
/// it is full, and old ones go as soon as all of their vectors are in new ones, so that not all are in
/// memory twice. Graphs with another storage are published together, with the configuration.
fn rebuild_these(writer: &Writer, old: &[Arc<Index>], storage: Storage) -> Result<(), WriteError> {
    let now = writer.snapshot();
    let Some(vectors) = &now.vectors else { return Ok(()) };
    let is_old = |graph: &&Arc<Index>| old.iter().any(|old| Arc::ptr_eq(old, graph));
    // An earlier attempt may have copied some of their rows.
    let kept: Vec<_> = vectors.graphs().filter(|graph| !is_old(graph)).collect();
    let most = most_of_new(vectors, old, writer.most);
    let options = Options { storage, ..vectors.options().clone() };
    let empty = || new_index(options.clone()).map_err(WriteError::Unsearchable);
    let (mut new, mut made, mut published, mut emptied) = (empty()?, Vec::new(), 0, Vec::new());
    for graph in old {
        let mut rows = graph.ids();
        let others = || kept.iter().copied().chain(&made).chain([&new]);
        rows.retain(|row| !others().any(|other| other.contains(*row)));
        let mut rows = &rows[..];
        if rows.is_empty() {
            emptied.push(Arc::clone(graph));
        }
        while !rows.is_empty() {
            writer.faults.meet("rebuild")?;
            let (some, later) = rows.split_at(rows.len().min(COPIED).min(most - new.slots()));
            new.add(graph.get(some)?, Some(some), &writer.work())?;
            rows = later;
            if rows.is_empty() {
                emptied.push(Arc::clone(graph));
            }
            if new.slots() == most {
                made.push(std::mem::replace(&mut new, empty()?));
                if storage == now.config.storage {
                    writer.faults.meet("rebuilt some")?;
                    publish(writer, &made[published..], &emptied)?;
                    (published, emptied) = (made.len(), Vec::new());
                }
            }
        }
    }
    writer.faults.meet("rebuilt")?;
    made.push(new);
    writer.change(|snapshot| {
        let with = |vectors: &Vectors| vectors.with_graphs(&made[published..], &emptied);
        snapshot.vectors = snapshot.vectors.as_ref().map(with);
        snapshot.config = Arc::new(Config { storage, ..(*snapshot.config).clone() });
        Ok(())
    })
}

/// Let a new graph take the place of others.
fn publish(writer: &Writer, new: &[Arc<Index>], emptied: &[Arc<Index>]) -> Result<(), WriteError> {
    writer.change(|snapshot| {
        snapshot.vectors = snapshot.vectors.as_ref().map(|vectors| vectors.with_graphs(new, emptied));
        Ok(())
    })
}
