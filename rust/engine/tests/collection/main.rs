//! The promises to users of a collection.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod among;
mod bad_records;
mod concurrent;
mod crash;
mod crash_large;
mod damage;
mod failing;
mod isolated;
mod lasting;
mod long;
mod model;
mod on_disk;
mod scanning;
mod searching;
mod stages;
mod storing;
mod viewing;

use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::SimVfs;
use tiercel_engine::{
    Collection, Durability, Got, Include, NewRecord, OpenError, OpenOptions, Page, QueryError, Running, Scan, Search,
};

/// Everything that a result can include, except for highlights.
const ALL: Include = Include { text: true, metadata: true, vector: true, highlights: false };

fn open(path: &Path, dim: Option<usize>) -> Collection {
    let wanted = OpenOptions { dim, ..OpenOptions::default() };
    Collection::open(path, wanted, Running { threads: 2, ..Running::new(Durability::Always) }).unwrap()
}

/// Open the collection on a simulated disk, with vectors of length 3.
fn open_sim(vfs: &SimVfs) -> Result<Collection, OpenError> {
    open_sim_with(vfs, 3, Durability::Always)
}

fn open_sim_with(vfs: &SimVfs, dim: usize, durability: Durability) -> Result<Collection, OpenError> {
    // Graphs are full early, so that collections have several and merge them.
    open_sim_running(vfs, dim, Running { graph: 8, ..Running::new(durability) })
}

fn open_sim_running(vfs: &SimVfs, dim: usize, running: Running) -> Result<Collection, OpenError> {
    let wanted = OpenOptions { dim: Some(dim), ..OpenOptions::default() };
    Collection::open_on(Arc::new(vfs.clone()), Path::new("/collection"), wanted, running)
}

fn record(id: &str, text: &str, metadata: &str) -> NewRecord {
    NewRecord { id: id.into(), vector: true, text: Some(text.into()), metadata: Some(metadata.into()) }
}

/// Return three records with vectors along the axes.
fn animals() -> (Vec<NewRecord>, Vec<f32>) {
    let records = vec![
        record("cat", "a cat sleeps", r#"{"legs": 4, "kind": "mammal"}"#),
        record("hen", "a hen lays eggs", r#"{"legs": 2, "kind": "bird"}"#),
        record("eel", "an eel sleeps in mud", r#"{"legs": 0, "kind": "fish"}"#),
    ];
    (records, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
}

fn ids(collection: &Collection, search: &Search<'_>) -> Vec<String> {
    collection.search(search).unwrap().matches.into_iter().map(|found| found.id).collect()
}

/// Return all records of a scan.
fn scanned(collection: &Collection, page: &Page<'_>) -> Result<Vec<Got>, QueryError> {
    rest(&mut collection.scan(page)?)
}

/// Return the rest of a scan.
fn rest(scan: &mut Scan) -> Result<Vec<Got>, QueryError> {
    let mut all = Vec::new();
    loop {
        let chunk = scan.next_chunk()?;
        if chunk.is_empty() {
            return Ok(all);
        }
        all.extend(chunk);
    }
}
