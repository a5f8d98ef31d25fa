//! Writing a checkpoint.

use std::sync::Arc;

use tiercel_index::Raw;
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
use crate::state::load::CONFIG;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;

/// Write a checkpoint of everything that was committed before this call.
pub(crate) fn checkpoint(writer: &Writer, maintenance: &mut Maintenance) -> Result<(), WriteError> {
    maintenance.recover(&writer.store)?;
    merge_text(writer)?;
    let sealed = move_growing(writer)?;
    let mut next = Checkpoint { rows: sealed.rows, analyzer: ANALYZER, ..Checkpoint::default() };
    if let Some(vectors) = sealed.vectors.as_ref().filter(|vectors| !vectors.main.is_empty()) {
        writer.faults.meet("write the index")?;
        let name = maintenance.name("index");
        let index = &vectors.main;
        writer.store.write_segment(&name, &[(INDEX, index.file_len())], |file| {
            file.section(INDEX, |out| index.write_to(out))
        })?;
        next.index = Some(name);
    }
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
    let index = next.index.clone();
    maintenance.published(next, texts);
    match (index, &sealed.vectors) {
        (Some(name), Some(vectors)) => settle(writer, &name, vectors),
        _ => Ok(()),
    }
}

/// Let full vectors on disk stay in the new file, so that the old one and the temporary one can go.
fn settle(writer: &Writer, name: &str, vectors: &Vectors) -> Result<(), WriteError> {
    if writer.snapshot().placement.raw() != Raw::Disk {
        return Ok(());
    }
    writer.faults.meet("settle")?;
    let segment = writer.store.open_segment(name).map_err(QueryError::from)?;
    let place = segment.place(INDEX).map_err(QueryError::from)?;
    let Some(place) = writer.snapshot().placement.within(place) else { return Ok(()) };
    let input = segment.reader(INDEX).map_err(QueryError::from)?;
    let settled = vectors.main.settle(input, segment.len(INDEX).unwrap_or(0), &place);
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
