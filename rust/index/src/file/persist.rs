//! The content of each section of a file, and the checks that it must pass.
//! `docs/reference/format-index.md` lists the sections.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use tiercel_container::{
    Kind, SectionReader, SectionWriter, Tag, VfsFile, VfsReader, file_len, open_through_links, read_through_links,
    replace_file,
};
use tiercel_quant::{Parameters, ParametersError, Rotation};
use tiercel_simd::{Chunked, Level};

use super::efforts::{self, EFFORTS};
use super::keep::{Keep, Place};
use super::meta::{META, META_LEN, Meta, UNTRAINED, wrong};
use super::norms::{NORMS, norms_len, read_norms, write_norms};
use super::partitions::{self, CENTROIDS, LISTS, PROBE};
use crate::errors::{Corruption, LoadError};
use crate::graph::Graph;
use crate::graph::layers::Layer;
use crate::index::Index;
use crate::options::{Kind as How, Options, Raw, Rerank, Storage};
use crate::state::{Coding, State};
use crate::storage::bitset::Bitset;
use crate::storage::codes::Trial;
use crate::storage::codes::{Codes, geometry};
use crate::storage::ids::Ids;
use crate::storage::ranks::{Ranks, TARGETS};
use crate::storage::rows::Rows;
use crate::storage::staying::Staying;

const KIND: Kind = Kind { magic: *b"TIERCEL\0", name: "a tiercel index", versions: &[(1, 0)] };

const LEVELS: Tag = *b"LEVL";
const IDS: Tag = *b"IDS_";
const DEAD: Tag = *b"DEAD";
const VECTORS: Tag = *b"VECT";
/// The codec's own section, named after what the first codecs keep in it.
const CODEC: Tag = *b"MEAN";
const CODES: Tag = *b"CODE";
const BASE: Tag = *b"LNK0";
const UPPER: Tag = *b"LNKU";
/// The slots at the last survey of the graph and at the last check of the codec. Early versions did
/// not write them, and skip them.
const LAST: Tag = *b"last";
/// The ranks of the codec's trial. Early versions did not write them, and skip them.
const RANKS: Tag = *b"rank";
/// The number of parts of the requested codec. Only files with such a codec have it.
const PARTS: Tag = *b"part";
/// How the nearest vectors are found, if not by walking through a graph. Early versions did not write
/// it, and skip it.
const HOW: Tag = *b"kind";
const TAGS: [Tag; 18] = [
    META, PARTS, LEVELS, IDS, DEAD, VECTORS, CODEC, CODES, BASE, UPPER, LAST, RANKS, HOW, PROBE, CENTROIDS, LISTS,
    NORMS, EFFORTS,
];

/// Sections that are only in files of some indexes.
const SOMETIMES: [Tag; 7] = [PARTS, HOW, PROBE, CENTROIDS, LISTS, NORMS, EFFORTS];

/// Return the number of a kind in [`HOW`], if it is written.
const fn number_of(kind: How) -> Option<u64> {
    match kind {
        How::Graph => None,
        How::Flat => Some(1),
        How::Partitions => Some(2),
    }
}

/// Values of [`RANKS`]: the number of vectors ranked, and a rank for each target.
const RANKS_LEN: usize = 1 + TARGETS.len();

/// Return the number of parts of the requested codec, if it has any.
fn parts(options: &Options) -> Option<u64> {
    let Storage::Codes(kind) = options.storage else { return None };
    kind.parts(options.dim).map(|(parts, _)| parts as u64)
}

/// Return the lengths of all sections.
fn lengths(options: &Options, state: &State) -> Vec<(Tag, u64)> {
    let (codec, codes) = match &state.coding {
        Coding::Codes(codes) => (codes.codec.parameters().section.len(), codes.bytes.len() * codes.bytes.width()),
        _ => (0, 0),
    };
    let upper = &state.graph.layers[1..];
    let upper_values: usize = upper.iter().map(|layer| 2 * layer.len() + layer.values()).sum();
    let parts = if parts(options).is_some() { size_of::<u64>() } else { 0 };
    let [probe, centroids, lists] = partitions::lengths(state.partitions.as_deref());
    let lengths = [
        META_LEN as usize,
        parts,
        8 * upper.len(),
        8 * state.slots(),
        8 * state.slots().div_ceil(64),
        state.rows.file_bytes(),
        codec,
        codes,
        4 * state.graph.layers[0].values(),
        4 * upper_values,
        2 * size_of::<u64>(),
        if matches!(state.coding, Coding::Codes(_)) { 4 * RANKS_LEN } else { 0 },
        if number_of(options.kind).is_some() { size_of::<u64>() } else { 0 },
        probe,
        centroids,
        lists,
        norms_len(&state.rows),
        efforts::length(state),
    ];
    let all = TAGS.iter().zip(lengths).map(|(tag, len)| (*tag, len as u64));
    all.filter(|(tag, len)| !SOMETIMES.contains(tag) || *len > 0).collect()
}

fn write<W: Write>(options: &Options, state: &State, out: W) -> io::Result<W> {
    let upper = &state.graph.layers[1..];
    let mut writer = SectionWriter::new(out, &KIND, &[], &lengths(options, state))?;
    writer.section(META, |out| out.write_all(&Meta::of(options, state).to_bytes()))?;
    if let Some(parts) = parts(options) {
        writer.section(PARTS, |out| out.write_all(&parts.to_le_bytes()))?;
    }
    writer
        .section(LEVELS, |out| upper.iter().try_for_each(|layer| out.write_all(&(layer.len() as u64).to_le_bytes())))?;
    writer.section(IDS, |out| state.ids.by_slot().try_for_each(|ids| out.write_all(bytemuck::cast_slice(ids))))?;
    writer.section(DEAD, |out| {
        let dead = state.dead.words();
        let missing = vec![0u64; state.slots().div_ceil(64) - dead.len()];
        [dead, &missing].into_iter().try_for_each(|words| out.write_all(bytemuck::cast_slice(words)))
    })?;
    writer.section(VECTORS, |out| state.rows.each_bytes(|bytes| out.write_all(bytes)))?;
    let codes = match &state.coding {
        Coding::Codes(codes) => Some(codes),
        _ => None,
    };
    let section = codes.map(|codes| codes.codec.parameters().section).unwrap_or_default();
    writer.section(CODEC, |out| out.write_all(&section))?;
    writer.section(CODES, |out| {
        codes.map_or(Ok(()), |codes| codes.bytes.runs().try_for_each(|bytes| out.write_all(bytes)))
    })?;
    writer.section(BASE, |out| write_values(&state.graph.layers[0].links, out))?;
    writer.section(UPPER, |out| {
        upper.iter().try_for_each(|layer| {
            [&layer.members, &layer.below, &layer.links].into_iter().try_for_each(|values| write_values(values, out))
        })
    })?;
    let last = [state.surveyed, state.checked].map(|slots| slots as u64);
    writer.section(LAST, |out| out.write_all(bytemuck::cast_slice(&last)))?;
    writer.section(RANKS, |out| {
        codes.map_or(Ok(()), |Codes { trial: Trial { ranks, .. }, .. }| {
            out.write_all(&ranks.among.to_le_bytes())?;
            out.write_all(bytemuck::cast_slice(&ranks.by_target))
        })
    })?;
    if let Some(number) = number_of(options.kind) {
        writer.section(HOW, |out| out.write_all(&number.to_le_bytes()))?;
    }
    if let Some(lists) = &state.partitions {
        partitions::write(lists, &mut writer)?;
    }
    if norms_len(&state.rows) > 0 {
        writer.section(NORMS, |out| write_norms(&state.rows, out))?;
    }
    if efforts::length(state) > 0 {
        writer.section(EFFORTS, |out| efforts::write(&state.efforts, out))?;
    }
    writer.finish()
}

fn write_values(values: &Chunked<u32>, out: &mut dyn Write) -> io::Result<()> {
    values.runs().try_for_each(|run| out.write_all(bytemuck::cast_slice(run)))
}

/// Bytes of full vectors that are read at a time if they stay in their file.
const PART: usize = 1 << 20;

/// Read an index.
fn read<R: Read>(mut reader: SectionReader<R>, keep: Keep<'_>) -> Result<(Options, State), LoadError> {
    let meta = read_meta(&mut reader)?;
    let mut options = keep.options(&meta)?;
    let mut state = State::new(&options);
    let nodes: Vec<u64> = reader.read_vec(LEVELS, u64::from(meta.levels) - 1)?;
    if nodes.iter().any(|nodes| *nodes > meta.linked) {
        return wrong(LEVELS, "number of nodes");
    }
    let by_slot: Vec<u64> = reader.read_vec(IDS, meta.slots)?;
    let words: Vec<u64> = reader.read_vec(DEAD, meta.slots.div_ceil(64))?;
    let Some(dead) = Bitset::from_words(words, by_slot.len()) else { return wrong(DEAD, "slots") };
    let Some(ids) = Ids::from_parts(&by_slot, |slot| dead.contains(slot), meta.next) else {
        return wrong(IDS, "ids");
    };
    state.ids = ids;
    if dead.count() > 0 {
        state.dead = Arc::new(dead);
    }
    if meta.are_forgotten {
        reader.read_into(VECTORS, &mut [])?;
    } else {
        state.rows = read_rows(&mut reader, &meta.options, meta.slots, keep.place_for(&options, &meta))?;
    }
    state.coding = read_coding(&mut reader, &meta)?;
    (state.trained, state.build_seconds) = (meta.trained as usize, meta.build_seconds);
    // Early versions counted replaced vectors, and could save a recall above 1.
    state.graph_recall = meta.graph_recall.min(1.0);
    state.graph = Arc::new(read_graph(&mut reader, &meta, &nodes)?);
    (state.surveyed, state.checked) = read_last(&mut reader, &meta)?;
    if let Coding::Codes(codes) = &mut state.coding {
        codes.trial.ranks = read_ranks(&mut reader, &meta)?;
    } else if reader.has(RANKS) {
        reader.read_into(RANKS, &mut [])?;
    }
    if reader.has(HOW) {
        let kind: Vec<u64> = reader.read_vec(HOW, 1)?;
        let known = [How::Flat, How::Partitions].into_iter().find(|known| number_of(*known) == Some(kind[0]));
        let Some(known) = known else { return wrong(HOW, format!("number {}", kind[0])) };
        options.kind = known;
    }
    state.partitions = partitions::read(&mut reader, &options, state.slots())?.map(Arc::new);
    if meta.are_forgotten {
        read_norms(&mut reader, &options, meta.slots, &mut state.rows)?;
    }
    efforts::read(&mut reader, &mut state)?;
    reader.finish()?;
    state.fill_halves(&options)?;
    if options.kept() != meta.options.dtype {
        state.keep_halves_alone(&options)?;
    }
    state.forget_full(&options);
    Ok((options, state))
}

fn read_meta(reader: &mut SectionReader<impl Read>) -> Result<Meta, LoadError> {
    let mut bytes = [0; META_LEN as usize];
    reader.read_into(META, &mut bytes)?;
    Meta::from_bytes(&bytes, read_parts(reader)?)
}

/// Read the full vectors, or check them and leave them where they are.
fn read_rows(
    reader: &mut SectionReader<impl Read>,
    options: &Options,
    slots: u64,
    place: Option<&Place>,
) -> Result<Rows, LoadError> {
    const NAME: &str = "section VECT";
    let row_bytes = options.row_bytes();
    reader.expect_len(VECTORS, slots, row_bytes)?;
    let rows = if let Some(Place { file, offset, spill }) = place {
        let options = Options { raw: Raw::Disk, spill: spill.clone(), ..options.clone() };
        let mut staying = Staying::new(&options, Arc::clone(file), offset + reader.start(VECTORS));
        let mut part = vec![0; (PART / row_bytes).max(1) * row_bytes];
        reader.read_parts(VECTORS, &mut part, |part| staying.take(part, &options, NAME))?;
        staying.end()
    } else {
        let rows = Rows::from_file(options, slots as usize, |pieces| reader.read_pieces(VECTORS, pieces))?;
        rows.unfit(NAME).map_or(Ok(rows), Err)
    };
    rows.map_err(|(row, error)| {
        let offset = reader.start(VECTORS) + (row * row_bytes) as u64;
        Corruption { what: error.to_string(), offset }.into()
    })
}

/// Return the number of parts of the requested codec, if the file has it.
fn read_parts(reader: &mut SectionReader<impl Read>) -> Result<Option<u64>, LoadError> {
    if !reader.has(PARTS) {
        return Ok(None);
    }
    let parts: Vec<u64> = reader.read_vec(PARTS, 1)?;
    Ok(Some(parts[0]))
}

fn read_coding(reader: &mut SectionReader<impl Read>, meta: &Meta) -> Result<Coding, LoadError> {
    let Some(kind) = meta.codec() else {
        reader.read_into(CODEC, &mut [])?;
        reader.read_into(CODES, &mut [])?;
        return Ok(if meta.coding == UNTRAINED { Coding::Untrained } else { Coding::Raw });
    };
    let options = &meta.options;
    let geometry = geometry(options.metric);
    let section: Vec<u8> = reader.read_vec(CODEC, kind.section_bytes(geometry, options.dim) as u64)?;
    let rotation = Rotation::new(options.dim, options.seed);
    let parameters = Parameters { step: meta.step, section: section.into() };
    let codec = kind.from_parameters(geometry, rotation, &parameters).or_else(|error| match error {
        ParametersError::Step(_) => wrong(META, error),
        ParametersError::Value { .. } => wrong(CODEC, error),
    })?;
    let stride = codec.stride();
    reader.expect_len(CODES, meta.slots, stride)?;
    let mut bytes = Chunked::new(stride).append_zeros(meta.slots as usize);
    reader.read_pieces(CODES, &mut bytes.runs_mut().map(|(_, run)| run))?;
    Ok(Coding::Codes(Codes { codec: Arc::new(codec), bytes, trial: meta.trial }))
}

fn read_graph(reader: &mut SectionReader<impl Read>, meta: &Meta, nodes: &[u64]) -> Result<Graph, LoadError> {
    let mut graph = Graph::new(meta.options.m, meta.options.seed);
    let base = &mut graph.layers[0];
    reader.expect_len(BASE, meta.linked, 4 * base.stride())?;
    base.links = base.links.clone().append_zeros(meta.linked as usize);
    reader.read_pieces(BASE, &mut base.links.runs_mut().map(|(_, run)| bytemuck::cast_slice_mut(run)))?;
    let width = 2 + Layer::new(meta.options.m).stride() as u64;
    let Some(values) = nodes.iter().sum::<u64>().checked_mul(width) else { return wrong(LEVELS, "number of nodes") };
    let values: Vec<u32> = reader.read_vec(UPPER, values)?;
    let mut rest = &values[..];
    for nodes in nodes {
        let nodes = *nodes as usize;
        let mut layer = Layer::new(meta.options.m);
        let (members, tail) = rest.split_at(nodes);
        let (below, tail) = tail.split_at(nodes);
        let (links, tail) = tail.split_at(nodes * layer.stride());
        rest = tail;
        layer.members.extend_from_slice(members);
        layer.below.extend_from_slice(below);
        layer.links.extend_from_slice(links);
        graph.layers.push(layer);
    }
    graph.entry = meta.entry;
    if !graph.is_sound() {
        return wrong(UPPER, "link to a missing node");
    }
    Ok(graph)
}

/// Return the number of slots at the last survey of the graph and at the last check of the codec.
fn read_last(reader: &mut SectionReader<impl Read>, meta: &Meta) -> Result<(usize, usize), LoadError> {
    if !reader.has(LAST) {
        // Nobody knows. With one node missing, `optimize` surveys the graph, but no addition does
        // before an eighth is new. Vectors that are newer than the codec count as unchecked.
        return Ok((meta.linked.saturating_sub(1) as usize, meta.trained as usize));
    }
    let last: Vec<u64> = reader.read_vec(LAST, 2)?;
    if last[0] > meta.linked || last[1] > meta.slots {
        return wrong(LAST, format!("{} slots surveyed, {} checked", last[0], last[1]));
    }
    Ok((last[0] as usize, last[1] as usize))
}

/// Return the ranks of the codec's trial; unknown ranks if the file has none.
fn read_ranks(reader: &mut SectionReader<impl Read>, meta: &Meta) -> Result<Ranks, LoadError> {
    if !reader.has(RANKS) {
        return Ok(Ranks::default());
    }
    let values: Vec<u32> = reader.read_vec(RANKS, RANKS_LEN as u64)?;
    let (among, by_target) = (values[0], std::array::from_fn(|target| values[1 + target]));
    if u64::from(among) > meta.slots || by_target.iter().any(|rank| *rank > among) {
        return wrong(RANKS, format!("ranks {by_target:?} among {among}"));
    }
    Ok(Ranks { by_target, among })
}

impl Index {
    /// Write the index to a file, replacing the whole file or nothing.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let state = self.state();
        replace_file(path, |out| write(self.options(), &state, out).map(|_| ()))
    }

    /// Read an index from a file that [`Self::save`] wrote. Follow symbolic links, and refuse
    /// anything but a regular file. With [`Raw::Disk`], the full vectors stay in the file, which may
    /// be replaced or removed, but not changed. An index without full vectors is loaded as such,
    /// whatever is asked for.
    pub fn load(path: &Path, raw: Raw, rerank: Rerank) -> Result<Self, LoadError> {
        if raw != Raw::Memory {
            return Self::load_from(&open_through_links(path)?.into(), raw, rerank);
        }
        let file = read_through_links(path)?;
        let len = file.metadata()?.len();
        let keep = Keep { rerank, ..Keep::DEFAULT };
        Self::read_sections(SectionReader::new(file, len, &KIND, &TAGS)?, keep)
    }

    /// Read an index from a file, in which the full vectors stay, or are left behind.
    pub fn load_from(file: &Arc<dyn VfsFile>, raw: Raw, rerank: Rerank) -> Result<Self, LoadError> {
        let input = BufReader::with_capacity(PART, VfsReader::new(&**file)?);
        let reader = SectionReader::new(input, file.len()?, &KIND, &TAGS)?;
        let place = Place { file: Arc::clone(file), offset: 0, spill: None };
        Self::read_sections(reader, Keep { raw, rerank, place: Some(&place) })
    }

    /// Write the content of the file to `out`: [`Self::file_len`] bytes, unless the index changes.
    pub fn write_to(&self, out: impl Write) -> io::Result<()> {
        write(self.options(), &self.state(), out).map(|_| ())
    }

    /// Return the size in bytes of the file that [`Self::save`] would write now.
    pub fn file_len(&self) -> u64 {
        file_len(&KIND, &lengths(self.options(), &self.state())).unwrap_or(0)
    }

    /// Return the content of the file that [`Self::save`] would write.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let state = self.state();
        let len = file_len(&KIND, &lengths(self.options(), &state)).unwrap_or(0) as usize;
        write(self.options(), &state, Vec::with_capacity(len))
    }

    /// Make an index from the bytes of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::read_sections(SectionReader::new(bytes, bytes.len() as u64, &KIND, &TAGS)?, Keep::DEFAULT)
    }

    /// Make an index from `len` bytes that [`Self::write_to`] wrote, read through an input that
    /// returns only verified bytes, such as a section of another file, whose checksums suffice. With
    /// the place of these bytes, the full vectors stay there.
    pub fn read_verified(input: impl Read, len: u64, place: Option<&Place>, rerank: Rerank) -> Result<Self, LoadError> {
        let raw = if place.is_some() { Raw::Disk } else { Raw::Memory };
        let reader = SectionReader::of_verified(input, len, &KIND, &TAGS)?;
        Self::read_sections(reader, Keep { raw, rerank, place })
    }

    /// Let full vectors on disk stay at this place, where [`Self::write_to`] wrote the index, and give
    /// back the temporary file that they were in. Verified bytes are read from `input`, as many as
    /// needed of `len`.
    pub fn settle(&self, input: impl Read, len: u64, place: &Place) -> Result<(), LoadError> {
        let mut reader = SectionReader::of_verified(input, len, &KIND, &TAGS)?;
        let slots = read_meta(&mut reader)?.slots as usize;
        self.change(|state| state.rows.settle(slots, Arc::clone(&place.file), place.offset + reader.start(VECTORS)));
        Ok(())
    }

    fn read_sections(reader: SectionReader<impl Read>, keep: Keep<'_>) -> Result<Self, LoadError> {
        let level = Level::active()?;
        let (options, state) = read(reader, keep)?;
        Ok(Self::from_state(options, level, state))
    }
}
