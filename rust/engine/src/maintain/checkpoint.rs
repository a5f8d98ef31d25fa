//! Writing a checkpoint.

use std::sync::Arc;

use tiercel_index::{Index, Raw};
use tiercel_store::Publication;
use tiercel_text::{ANALYZER, Segment};

use crate::config::Config;
use crate::errors::{QueryError, WriteError};
use crate::maintain::upkeep::{merge_text, move_growing};
use crate::state::checkpoint::Checkpoint;
use crate::state::checkpoint::INDEX;
use crate::state::checkpoint::META;
use crate::state::checkpoint::Maintenance;
use crate::state::checkpoint::TEXT;
use crate::state::checkpoint::Written;
use crate::state::load::CONFIG;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;

/// Write a checkpoint of everything that was committed before this call.
pub(crate) fn checkpoint(writer: &Writer, maintenance: &mut Maintenance) -> Result<(), WriteError> {
    maintenance.recover(&writer.store)?;
    merge_text(writer)?;
    let sealed = move_growing(writer)?;
    let mut next = Checkpoint { rows: sealed.rows, analyzer: ANALYZER, ..Checkpoint::default() };
    let graphs = write_graphs(writer, maintenance, &sealed)?;
    next.graphs = graphs.iter().map(|(name, _)| name.clone()).collect();
    let mut texts = Vec::new();
    for segment in sealed.text.segments() {
        let is_there =
            |(old, name): &&(Arc<Segment>, String)| Arc::ptr_eq(old, segment) && maintenance.last.texts.contains(name);
        let name = if let Some((_, name)) = maintenance.texts.iter().find(is_there) {
            name.clone()
        } else {
            writer.faults.meet("write texts")?;
            let (name, bytes) = (maintenance.name("text"), segment.to_bytes());
            writer.store.write_segment(&name, &[(TEXT, bytes.len() as u64)], |file| {
                file.section(TEXT, |out| out.write_all(&bytes))
            })?;
            name
        };
        next.texts.push(name.clone());
        texts.push((Arc::clone(segment), name));
    }
    next.number = maintenance.number();
    writer.faults.meet("publish")?;
    publish(writer, &maintenance.last, &next, &sealed.config)?;
    writer.faults.meet("published")?;
    writer.core.events.info(format!("a checkpoint has everything up to batch {}", sealed.sequence));
    let is_old = |(name, _): &&(String, Arc<Index>)| maintenance.last.graphs.contains(name);
    let new: Vec<_> = graphs.iter().filter(|graph| !is_old(graph)).cloned().collect();
    let written = graphs.iter().map(|(name, graph)| Written::new(name.clone(), graph)).collect();
    maintenance.published(next, written, texts);
    let mut settled = Ok(());
    for (name, graph) in &new {
        let done = settle(writer, name, graph);
        if done.is_err() {
            // The next checkpoint writes it again, and tries again.
            maintenance.graphs.retain(|written| written.name != *name);
        }
        settled = settled.and(done);
    }
    settled
}

/// Write the graphs that are not in files, and return all with the names of their files.
fn write_graphs(
    writer: &Writer,
    maintenance: &mut Maintenance,
    sealed: &Snapshot,
) -> Result<Vec<(String, Arc<Index>)>, WriteError> {
    let mut graphs = Vec::new();
    for graph in sealed.vectors.iter().flat_map(Vectors::graphs).filter(|graph| !graph.is_empty()) {
        let is_there = |file: &&Written| file.is(graph) && maintenance.last.graphs.contains(&file.name);
        let name = if let Some(file) = maintenance.graphs.iter().find(is_there) {
            file.name.clone()
        } else {
            writer.faults.meet("write a graph")?;
            let name = maintenance.name("index");
            writer.store.write_segment(&name, &[(INDEX, graph.file_len())], |file| {
                file.section(INDEX, |out| graph.write_to(out))
            })?;
            name
        };
        graphs.push((name, Arc::clone(graph)));
    }
    Ok(graphs)
}

/// Let full vectors on disk stay in the new file, so that the old one and the temporary one can go.
fn settle(writer: &Writer, name: &str, graph: &Index) -> Result<(), WriteError> {
    if writer.snapshot().placement.raw() != Raw::Disk {
        return Ok(());
    }
    writer.faults.meet("settle")?;
    let segment = writer.store.open_segment(name).map_err(QueryError::from)?;
    let place = segment.place(INDEX).map_err(QueryError::from)?;
    let Some(place) = writer.snapshot().placement.within(place) else { return Ok(()) };
    let input = segment.reader(INDEX).map_err(QueryError::from)?;
    let settled = graph.settle(input, segment.len(INDEX).unwrap_or(0), &place);
    settled.map_err(|error| WriteError::Query(QueryError::Failed(format!("{name}: {error}"))))
}

fn publish(writer: &Writer, last: &Checkpoint, next: &Checkpoint, config: &Config) -> Result<(), WriteError> {
    let old: Vec<&str> = last.files().collect();
    let new: Vec<&str> = next.files().collect();
    let add: Vec<&str> = new.iter().filter(|name| !old.contains(name)).copied().collect();
    let remove: Vec<&str> = old.iter().filter(|name| !new.contains(name)).copied().collect();
    // Until now the vectors in the store implied the dim. They are removed, so the configuration
    // states it from now on.
    let (config, checkpoint) = (config.to_bytes(), next.to_bytes());
    let meta = [(CONFIG, config.as_slice()), (META, checkpoint.as_slice())];
    let publication = Publication { add: &add, remove: &remove, drop_fresh_below: next.rows, meta: &meta };
    Ok(writer.store.publish_segments(&publication, |_| writer.renew_reader())?)
}
