//! Checkpoints: the data that searches need, written to immutable files, so that opening reads it
//! instead of building it.
//!
//! ```text
//! index-<n>   INDX   a graph, as `tiercel_index` writes it: vectors, codes, links
//! text-<n>    TEXT   a segment of texts
//! meta "checkpoint"  {"number", "rows", "index", "texts", "analyzer"}: rows below `rows` are in
//!                    these files, later ones in the store
//! ```
//!
//! The field "index" has the name of the file of the graph, an array of names if there are several, or
//! null. A file is written again only if its graph has new vectors; rows that died since then are left
//! out when it is read.
//!
//! The field "analyzer" is the version of the rules that made the terms. Texts of another version
//! are not read: opening makes their terms again.

use std::sync::{Arc, Weak};

use serde_json::{Value, json};
use tiercel_container::Tag;
use tiercel_index::Index;
use tiercel_store::{Reader, Store, is_segment_name};
use tiercel_text::{ANALYZER, Segment};

use crate::errors::{OpenError, QueryError, WriteError};
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;

pub(crate) const META: &str = "checkpoint";
pub(crate) const INDEX: Tag = *b"INDX";
pub(crate) const TEXT: Tag = *b"TEXT";

/// Bytes of fresh vectors in the store at which a checkpoint is due.
const FRESH: u64 = 64 << 20;

/// The last checkpoint and its files. Every thread that moves, merges or writes a checkpoint locks
/// this.
#[derive(Default)]
pub(crate) struct Maintenance {
    pub(crate) last: Checkpoint,
    /// The graphs that are in files.
    pub(crate) graphs: Vec<Written>,
    /// The text segments that are in files, with the names of the files.
    pub(crate) texts: Vec<(Arc<Segment>, String)>,
    /// Also counts the files of failed checkpoints, so that no name is used twice.
    number: u64,
    /// Files of the checkpoint being written, or of one that failed.
    written: Vec<String>,
}

/// A graph and the file that it is in.
pub(crate) struct Written {
    pub(crate) name: String,
    graph: Weak<Index>,
    slots: usize,
}

impl Written {
    pub(crate) fn new(name: String, graph: &Arc<Index>) -> Self {
        Self { name, graph: Arc::downgrade(graph), slots: graph.slots() }
    }

    /// Return the graph if it is still in memory.
    pub(crate) fn graph(&self) -> Option<Arc<Index>> {
        self.graph.upgrade()
    }

    /// Whether the file has this graph, with all its vectors.
    pub(crate) fn is(&self, graph: &Arc<Index>) -> bool {
        std::ptr::eq(self.graph.as_ptr(), Arc::as_ptr(graph)) && self.slots == graph.slots()
    }
}

/// The content of the meta entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The number of files ever written.
    pub(crate) number: u64,
    /// Rows below this are in the files.
    pub(crate) rows: u32,
    pub(crate) graphs: Vec<String>,
    pub(crate) texts: Vec<String>,
    /// The version of the rules that made the terms of the texts.
    pub(crate) analyzer: u64,
}

impl Checkpoint {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Self { number, rows, graphs, texts, analyzer } = self;
        // Versions that know of one graph only read one name, and refuse several.
        let index = match &graphs[..] {
            [] => Value::Null,
            [name] => json!(name),
            names => json!(names),
        };
        json!({"number": number, "rows": rows, "index": index, "texts": texts, "analyzer": analyzer})
            .to_string()
            .into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        let read = || {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            let name = |value: &Value| value.as_str().filter(|name| is_segment_name(name)).map(str::to_owned);
            Some(Self {
                number: value["number"].as_u64()?,
                rows: u32::try_from(value["rows"].as_u64()?).ok()?,
                graphs: match &value["index"] {
                    Value::Null => Vec::new(),
                    Value::Array(several) => several.iter().map(name).collect::<Option<_>>()?,
                    one => vec![name(one)?],
                },
                texts: value["texts"].as_array()?.iter().map(name).collect::<Option<_>>()?,
                // Checkpoints did not record it before the second version.
                analyzer: if value["analyzer"].is_null() { 1 } else { value["analyzer"].as_u64()? },
            })
        };
        read().ok_or(OpenError::Config("has an invalid checkpoint"))
    }

    /// Return the text files whose terms follow the rules of this version.
    pub(crate) fn readable_texts(&self) -> &[String] {
        if self.analyzer == ANALYZER { &self.texts } else { &[] }
    }

    /// Whether its texts must be rewritten because their terms are outdated.
    pub(crate) fn is_outdated(&self) -> bool {
        self.readable_texts().len() < self.texts.len()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.graphs.iter().chain(&self.texts).map(String::as_str)
    }
}

/// Return the last checkpoint that a reader shows.
pub(crate) fn last_checkpoint(reader: &Reader) -> Result<Checkpoint, OpenError> {
    let Some(bytes) = reader.meta(META)? else { return Ok(Checkpoint::default()) };
    let last = Checkpoint::from_bytes(&bytes)?;
    // Leave room to count up from `number`.
    if last.rows > reader.next_row() || last.number >= 1 << 62 {
        return Err(OpenError::Config("has a checkpoint whose rows or number are out of range"));
    }
    Ok(last)
}

impl Maintenance {
    /// Whether a checkpoint pays because much is only in the store, or the log is long.
    pub(crate) fn is_due(&self, snapshot: &Snapshot, log: u64) -> bool {
        let width = snapshot.vectors.as_ref().map_or(0, |vectors| 4 * vectors.dim() as u64);
        let rows = snapshot.rows - self.last.rows;
        // Half of what a checkpoint writes is new then, so each vector is written twice, on average.
        let much = FRESH.max(self.rewritten(snapshot) * width / 2);
        let fresh = if width == 0 { rows > 100_000 } else { u64::from(rows) * width > much };
        fresh || log > 2 * much || self.last.is_outdated()
    }

    /// Whether enough is only in the store that a clean close should write a checkpoint.
    pub(crate) fn is_due_at_close(&self, snapshot: &Snapshot) -> bool {
        snapshot.rows - self.last.rows > 1024.max(self.last.rows / 16) || self.last.is_outdated()
    }
}

impl Maintenance {
    pub(crate) fn new(last: Checkpoint, graphs: Vec<Written>, texts: Vec<(Arc<Segment>, String)>) -> Self {
        Self { number: last.number, last, graphs, texts, written: Vec::new() }
    }

    /// Count the vectors in graphs that have grown since the last checkpoint.
    fn rewritten(&self, snapshot: &Snapshot) -> u64 {
        let graphs = snapshot.vectors.iter().flat_map(Vectors::graphs);
        let grown = graphs.filter(|graph| !self.graphs.iter().any(|written| written.is(graph)));
        grown.map(|graph| graph.len() as u64).sum()
    }

    /// Return the number of files ever written, including those of a checkpoint being written.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Return a file name that no checkpoint of this session has used. After a crash, a file that
    /// nothing refers to may have it.
    pub(crate) fn name(&mut self, kind: &str) -> String {
        self.number += 1;
        let name = format!("{kind}-{}", self.number);
        self.written.push(name.clone());
        name
    }

    /// Note that the files of this checkpoint are published.
    pub(crate) fn published(
        &mut self,
        checkpoint: Checkpoint,
        graphs: Vec<Written>,
        texts: Vec<(Arc<Segment>, String)>,
    ) {
        self.last = checkpoint;
        self.graphs = graphs;
        self.texts = texts;
        self.written.clear();
    }

    /// Resume from the state of the store, since the last checkpoint may have failed before or
    /// after it was published.
    pub(crate) fn recover(&mut self, store: &Store) -> Result<(), WriteError> {
        if self.written.is_empty() {
            return Ok(());
        }
        let reader = store.reader();
        self.last = last_checkpoint(&reader).map_err(QueryError::from)?;
        store.discard_segments(&self.written)?;
        self.written.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back() {
        for graphs in [vec![], vec!["index-6".to_owned()], vec!["index-2".into(), "index-6".into()]] {
            let checkpoint = Checkpoint { number: 7, rows: 12, graphs, texts: vec!["text-7".into()], analyzer: 3 };
            assert_eq!(Checkpoint::from_bytes(&checkpoint.to_bytes()).unwrap(), checkpoint);
        }
        assert!(Checkpoint::from_bytes(b"{}").is_err());
    }

    #[test]
    fn one_graph_is_written_as_versions_before_several_did() {
        let checkpoint = Checkpoint { graphs: vec!["index-6".into()], ..Checkpoint::default() };
        let value: Value = serde_json::from_slice(&checkpoint.to_bytes()).unwrap();
        assert_eq!(value["index"], "index-6");
    }

    #[test]
    fn texts_of_other_rules_are_not_read() {
        let of = |analyzer: &str| {
            let bytes = format!(r#"{{"number": 1, "rows": 2, "index": null, "texts": ["text-1"]{analyzer}}}"#);
            let checkpoint = Checkpoint::from_bytes(bytes.as_bytes()).unwrap();
            (checkpoint.readable_texts().len(), checkpoint.is_outdated())
        };
        assert_eq!(of(""), (0, true));
        assert_eq!(of(r#", "analyzer": 1"#), (0, true));
        assert_eq!(of(&format!(r#", "analyzer": {}"#, ANALYZER + 1)), (0, true), "of a later version");
        assert_eq!(of(&format!(r#", "analyzer": {ANALYZER}"#)), (1, false));
        assert!(!Checkpoint::default().is_outdated());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let elsewhere = || "../elsewhere".to_owned();
        let index = Checkpoint { graphs: vec![elsewhere()], ..Checkpoint::default() };
        let text = Checkpoint { texts: vec![elsewhere()], ..Checkpoint::default() };
        for checkpoint in [index, text] {
            assert!(Checkpoint::from_bytes(&checkpoint.to_bytes()).is_err(), "{checkpoint:?}");
        }
    }
}
