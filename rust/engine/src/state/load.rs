//! Reading a snapshot from disk.

use std::mem;
use std::sync::Arc;
use std::thread;

use tiercel_index::{Index, LoadError};
use tiercel_store::{FreshChunk, ReadError, Reader, SegmentFile};
use tiercel_text::{BuildError, Segment, TextIndex, Tokenizer};

use crate::config::Config;
use crate::errors::{OpenError, RawStorageError};
use crate::filter::FieldIndexes;
use crate::state::checkpoint::{Checkpoint, INDEX, Maintenance, TEXT, Written, last_checkpoint};
use crate::state::damage::Damage;
use crate::state::placement::Placement;
use crate::state::snapshot::{Snapshot, next_reading};
use crate::state::vectors::{GRAPHS, Vectors, new_index};
use crate::state::visibility::Visibility;

/// The meta entry of the configuration.
pub(crate) const CONFIG: &str = "config";

/// A function that opens a segment file by name.
type Files<'a> = &'a (dyn Fn(&str) -> Result<SegmentFile, ReadError> + Sync);

pub(crate) fn config_of(reader: &Reader) -> Result<Config, OpenError> {
    Config::from_bytes(&reader.meta(CONFIG)?.ok_or(OpenError::Config("is missing"))?)
}

/// Read the newest committed state. Take graphs of these files as they are in memory; rows of theirs that
/// died meanwhile stay in them.
pub(crate) fn read(
    reader: Reader,
    files: Files<'_>,
    config: &Config,
    placement: &Arc<Placement>,
    known: &[Written],
) -> Result<(Snapshot, Maintenance), OpenError> {
    placement.check(config.storage)?;
    let last = last_checkpoint(&reader)?;
    let rows = reader.next_row();
    let options = config.dim.map(|dim| config.options(dim));
    let damage = Arc::new(Damage::default());
    let (graphs, (visibility, (text, texts))) = both(
        || options.as_ref().map(|options| read_graphs(files, &last, options, placement, known)).transpose(),
        || {
            let visibility = read_visibility(&reader)?;
            let texts = read_texts(files, &reader, &last, &visibility, config, &damage)?;
            Ok((visibility, texts))
        },
    )?;
    let written = last.graphs.iter().zip(graphs.iter().flatten());
    let written: Vec<Written> = written.map(|(name, graph)| Written::new(name.clone(), graph)).collect();
    let vectors = read_vectors(graphs, known, config, placement, &reader, &last, &visibility)?;
    let snapshot = Snapshot {
        // Before the first checkpoint, only the vectors themselves tell their dim.
        config: Arc::new(Config { dim: vectors.as_ref().map(Vectors::dim), ..config.clone() }),
        reading: next_reading(),
        sequence: reader.sequence(),
        metadata_sequence: reader.sequence(),
        rows,
        live: reader.len(),
        visibility,
        placement: Arc::clone(placement),
        vectors,
        text,
        fields: Arc::new(FieldIndexes::new(rows)),
        rows_before_fields: rows,
        changed: Arc::default(),
        reader,
        damage,
    };
    Ok((snapshot, Maintenance::new(last, written, texts)))
}

/// Read which rows are live. Rows may far outnumber records, so dead rows take next to no memory.
fn read_visibility(reader: &Reader) -> Result<Visibility, OpenError> {
    let mut visibility = Visibility::of_dead(reader.next_row());
    reader.scan(0, |row, _| {
        visibility.revive(row);
        Ok::<_, OpenError>(())
    })?;
    Ok(visibility)
}

/// Run two jobs at once, or one after the other if no thread can start.
fn both<A: Send, B>(
    one: impl Fn() -> Result<A, OpenError> + Sync,
    other: impl FnOnce() -> Result<B, OpenError>,
) -> Result<(A, B), OpenError> {
    thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, &one);
        let other = other()?;
        let one = match beside {
            Ok(beside) => beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => one(),
        };
        Ok((one?, other))
    })
}

/// Read the graphs of the last checkpoint, or make an empty one.
fn read_graphs(
    files: Files<'_>,
    last: &Checkpoint,
    options: &tiercel_index::Options,
    placement: &Placement,
    known: &[Written],
) -> Result<Vec<Arc<Index>>, OpenError> {
    if last.graphs.is_empty() {
        return Ok(vec![new_index(placement.of(options)).map_err(OpenError::Simd)?]);
    }
    let read = |name: &String| match known.iter().find(|known| known.name == *name).and_then(Written::graph) {
        Some(graph) => Ok(graph),
        None => read_graph(files, name, options, placement).map(Arc::new),
    };
    let mut graphs = Vec::new();
    for names in last.graphs.chunks(GRAPHS) {
        graphs.extend(all(names, read)?);
    }
    Ok(graphs)
}

/// Do a job for each name at once, or one after the other where no thread can start.
fn all<T: Send>(names: &[String], job: impl Fn(&String) -> Result<T, OpenError> + Sync) -> Result<Vec<T>, OpenError> {
    let ([first, others @ ..], job) = (names, &job) else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let beside = |name| thread::Builder::new().spawn_scoped(scope, move || job(name)).map_err(|_| name);
        let others: Vec<_> = others.iter().map(beside).collect();
        let joined = others.into_iter().map(|job_beside| match job_beside {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(name) => job(name),
        });
        std::iter::once_with(|| job(first)).chain(joined).collect()
    })
}

fn read_graph(
    files: Files<'_>,
    name: &str,
    options: &tiercel_index::Options,
    placement: &Placement,
) -> Result<Index, OpenError> {
    let segment = files(name)?;
    segment.check_known(&[INDEX])?;
    let damaged = |what: String| OpenError::Damaged { file: name.to_owned(), what };
    let place = placement.within(segment.place(INDEX)?);
    let len = segment.len(INDEX).unwrap_or(0);
    let index = Index::read_verified(segment.reader(INDEX)?, len, place.as_ref(), placement.rerank());
    let index = index.map_err(|error| match error {
        LoadError::Compared { .. } => RawStorageError.into(),
        LoadError::Half(_) => OpenError::Halves,
        error => damaged(error.to_string()),
    })?;
    // The options for building a graph may differ between versions and are not compared. Nor is the
    // storage: earlier builds drop it from the configuration. Compacting makes both the same.
    let of = |options: &tiercel_index::Options| (options.dim, options.metric, options.dtype);
    if of(index.options()) == of(options) { Ok(index) } else { Err(damaged("an index of another collection".into())) }
}

/// Return the live vectors, from the graphs and from the store; `None` if there was never a vector and no
/// dim is configured.
fn read_vectors(
    graphs: Option<Vec<Arc<Index>>>,
    known: &[Written],
    config: &Config,
    placement: &Placement,
    reader: &Reader,
    last: &Checkpoint,
    visibility: &Visibility,
) -> Result<Option<Vectors>, OpenError> {
    let damaged = |what: String| OpenError::Damaged { file: "records".into(), what };
    let lives = |row: &u64| visibility.lives(*row as u32, 0);
    for (graph, name) in graphs.iter().flatten().zip(&last.graphs) {
        if known.iter().any(|known| known.is(graph)) {
            continue;
        }
        let ids = graph.ids();
        if let Some(row) = ids.iter().find(|row| **row >= u64::from(last.rows)) {
            let what = format!("expected rows below {}, got {row}", last.rows);
            return Err(OpenError::Damaged { file: name.clone(), what });
        }
        let dead: Vec<u64> = ids.into_iter().filter(|row| !lives(row)).collect();
        graph.delete(&dead);
    }
    let mut vectors = graphs.and_then(Vectors::new);
    reader.fresh(last.rows, |chunk: FreshChunk<'_>| {
        let strange = || damaged(format!("vectors of {} bytes", chunk.width));
        let (dim, rest) = (chunk.width / size_of::<f32>(), chunk.width % size_of::<f32>());
        let before = if let Some(vectors) = &vectors {
            vectors.clone()
        } else {
            let options = config.first_options(dim).map_err(|_| strange())?;
            Vectors::empty(placement.of(&options)).map_err(OpenError::Simd)?
        };
        if (before.dim(), 0) != (dim, rest) {
            return Err(strange());
        }
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for (row, bytes) in chunk.rows().map(u64::from).zip(chunk.vectors.chunks_exact(chunk.width)) {
            if lives(&row) {
                rows.push(row);
                values.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
        }
        placement.check_halves(&values, before.options())?;
        vectors = Some(before.with(&rows, &values).map_err(damaged)?);
        Ok(())
    })?;
    Ok(vectors)
}

/// Bytes of texts to collect before they become a segment.
const TEXTS_AT_ONCE: usize = 32 << 20;

/// Indexes texts that are in no file, in parts, since there may be any number of them.
struct FreshTexts<'a> {
    index: TextIndex,
    tokenizer: &'a Tokenizer,
    waiting: Vec<(u32, String)>,
    bytes: usize,
}

impl FreshTexts<'_> {
    fn add(&mut self, row: u32, text: &[u8]) -> Result<(), OpenError> {
        self.bytes += text.len();
        self.waiting.push((row, String::from_utf8_lossy(text).into_owned()));
        if self.bytes < TEXTS_AT_ONCE { Ok(()) } else { self.build() }
    }

    fn build(&mut self) -> Result<(), OpenError> {
        let damaged = |error: BuildError| OpenError::Damaged { file: "records".into(), what: error.to_string() };
        let texts = mem::take(&mut self.waiting);
        self.bytes = 0;
        let segments = match self.segment(&texts) {
            // Each was accepted by itself.
            Err(_) if texts.len() > 1 => texts.chunks(1).map(|text| self.segment(text)).collect(),
            segment => segment.map(|segment| vec![segment]),
        };
        for segment in segments.map_err(damaged)? {
            self.index = self.index.with(Arc::new(segment)).map_err(damaged)?;
        }
        Ok(())
    }

    fn segment(&self, texts: &[(u32, String)]) -> Result<Segment, BuildError> {
        Segment::build(texts.iter().map(|(row, text)| (*row, text.as_str())), self.tokenizer)
    }

    fn finish(mut self) -> Result<TextIndex, OpenError> {
        self.build()?;
        Ok(self.index)
    }
}

type Texts = (TextIndex, Vec<(Arc<Segment>, String)>);

fn read_texts(
    files: Files<'_>,
    reader: &Reader,
    last: &Checkpoint,
    visibility: &Visibility,
    config: &Config,
    damage: &Damage,
) -> Result<Texts, OpenError> {
    let mut text = TextIndex::new();
    let mut written = Vec::new();
    for name in last.readable_texts() {
        let damaged = |what: String| OpenError::Damaged { file: name.clone(), what };
        let file = files(name)?;
        file.check_known(&[TEXT])?;
        let bytes = file.read(TEXT)?;
        let segment = Arc::new(Segment::from_bytes(&bytes).map_err(|error| damaged(error.to_string()))?);
        text = text.with(Arc::clone(&segment)).map_err(|error| damaged(error.to_string()))?;
        written.push((segment, name.clone()));
    }
    let first = if last.is_outdated() { 0 } else { last.rows };
    let mut fresh = FreshTexts { index: text, tokenizer: &config.tokenizer, waiting: Vec::new(), bytes: 0 };
    reader.scan(first, |row, record| {
        // A text that cannot be read is not indexed.
        if damage.is_sound(row, record.id, record.text, None)
            && let Some(text) = record.text
        {
            fresh.add(row, text)?;
        }
        Ok::<_, OpenError>(())
    })?;
    let text = fresh.finish()?;
    let dead: Vec<u32> = text.rows().filter(|row| !visibility.lives(*row, 0)).collect();
    Ok((text.without(&dead), written))
}
