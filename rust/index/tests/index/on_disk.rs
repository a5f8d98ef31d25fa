//! Full vectors on disk: the same answers as from memory, and an error instead of a wrong one.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::NamedTempFile;
use tiercel_container::{OsVfs, Vfs, VfsFile};
use tiercel_index::{
    AddError, BuildError, CodecKind, Dtype, GetError, Index, LoadError, Metric, NewError, Options, Raw, RawError,
    Rerank, SearchError, SearchSettings, Storage,
};

use crate::common::container::Container;
use crate::common::data::clustered;
use crate::common::{FLAT, METRICS, add, built, exact, new, optimize, options, quietly, search, walked};

const DIM: usize = 12;
const ROWS: usize = FLAT + 900;

fn vectors() -> Vec<f32> {
    clustered(ROWS, DIM, 40, 1)
}

fn queries() -> Vec<f32> {
    clustered(9, DIM, 40, 2)
}

/// Options of a small graph with codes of 8 bits.
fn small(metric: Metric, dtype: Dtype, raw: Raw) -> Options {
    let storage = Storage::Codes(CodecKind::Sq8);
    Options { m: 8, ef_construction: 40, dtype, raw, storage, ..options(DIM, metric) }
}

fn saved(index: &Index) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    index.save(file.path()).unwrap();
    file
}

/// Compare everything that two indexes answer.
fn assert_same(one: &Index, other: &Index) {
    let queries = queries();
    assert!(one.ids() == other.ids());
    assert!(one.get(&one.ids()) == other.get(&one.ids()));
    assert_eq!(one.norms(), other.norms());
    for settings in [
        SearchSettings { k: 10, ef_search: Some(40), ..SearchSettings::default() },
        SearchSettings { k: 300, recall: Some(0.9), ..SearchSettings::default() },
    ] {
        assert_eq!(search(one, &queries, &settings), search(other, &queries, &settings));
    }
    let (found, same) = (exact(one, &queries, 10, None), exact(other, &queries, 10, None));
    assert!(found == same);
    // Few queries are compared row by row in memory, and in tiles from disk, which round
    // differently.
    let radius = found.distances[9] + 0.001 * found.distances[9].abs();
    let within = |index: &Index| {
        let found = quietly(|work| index.range_search(&queries, radius, None, work)).unwrap();
        let mut ids: Vec<Vec<u64>> =
            found.offsets.windows(2).map(|ends| found.ids[ends[0] as usize..ends[1] as usize].to_vec()).collect();
        for ids in &mut ids {
            ids.sort_unstable();
        }
        ids
    };
    assert!(within(one) == within(other));
    let (one, other) = (one.to_bytes().unwrap(), other.to_bytes().unwrap());
    assert!(Container::of(&one).without_time() == Container::of(&other).without_time());
}

#[test]
fn an_index_is_the_same_wherever_its_vectors_are() {
    for metric in METRICS {
        for dtype in [Dtype::F32, Dtype::F16] {
            let [memory, disk] = [Raw::Memory, Raw::Disk].map(|raw| {
                let index = built(small(metric, dtype, raw), &vectors());
                optimize(&index);
                index
            });
            assert_same(&memory, &disk);
            let file = saved(&disk);
            let loaded = Index::load(file.path(), Raw::Disk, Rerank::Full).unwrap();
            assert_eq!((memory.options().raw, loaded.options().raw), (Raw::Memory, Raw::Disk));
            assert_same(&memory, &loaded);
            // More vectors lie elsewhere. Neither a new file with the same name nor none matters.
            loaded.save(file.path()).unwrap();
            drop(file);
            for index in [&memory, &loaded] {
                index.delete(&[3, 5, 4000]);
                let more = clustered(700, DIM, 40, 3);
                quietly(|work| index.upsert(more, &(600..1300).collect::<Vec<u64>>(), work)).unwrap();
                optimize(index);
            }
            assert_same(&memory, &loaded);
        }
    }
}

#[test]
fn coarse_codes_are_linked_alike_wherever_the_vectors_are() {
    let vectors = clustered(9000, DIM, 40, 1);
    let [memory, disk] = [Raw::Memory, Raw::Disk].map(|raw| {
        let storage = Storage::from_name("rabitq1").unwrap();
        let index = built(Options { storage, ..small(Metric::L2, Dtype::F32, raw) }, &vectors);
        // These are too few to code all vectors with 8 bits for.
        quietly(|work| index.add(clustered(70, DIM, 40, 4), None, work)).unwrap();
        optimize(&index);
        index
    });
    assert_same(&memory, &disk);
    assert!(memory.stats().graph_recall.unwrap() > 0.95);
}

#[test]
fn vectors_on_disk_take_no_memory() {
    let index = built(small(Metric::Cosine, Dtype::F32, Raw::Disk), &vectors());
    let stats = index.stats();
    assert!(stats.bytes.contains(&("vectors", 0)));
    assert_eq!(stats.disk_bytes, ROWS * DIM * 4);
    index.clear();
    assert_eq!(index.stats().disk_bytes, 0);
}

#[test]
fn clones_grow_apart() {
    let index = built(small(Metric::L2, Dtype::F32, Raw::Disk), &vectors()[..100 * DIM]);
    let clone = index.clone();
    let (one, other) = (clustered(300, DIM, 4, 7), clustered(200, DIM, 4, 8));
    for step in 0..10 {
        add(&index, &one[step * 30 * DIM..][..30 * DIM], None);
        add(&clone, &other[step * 20 * DIM..][..20 * DIM], None);
    }
    let tail = |index: &Index| index.get(&index.ids()[100..]).unwrap();
    assert!(tail(&index) == one && tail(&clone) == other);
    assert_eq!(index.get(&(0..100).collect::<Vec<u64>>()), clone.get(&(0..100).collect::<Vec<u64>>()));
}

/// Where the vectors of a file begin.
fn place_of_vectors(path: &Path) -> u64 {
    let file = std::fs::read(path).unwrap();
    let wanted: Vec<u8> = vectors()[..DIM].iter().flat_map(|value| value.to_le_bytes()).collect();
    file.windows(wanted.len()).position(|bytes| bytes == wanted).unwrap() as u64
}

#[test]
fn a_changed_vector_is_an_error_wherever_it_is_read() {
    let file = saved(&built(small(Metric::L2, Dtype::F32, Raw::Memory), &vectors()));
    let index = Index::load(file.path(), Raw::Disk, Rerank::Full).unwrap();
    let place = place_of_vectors(file.path()) + (77 * DIM * 4) as u64;
    let mut writer = OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
    let mut byte = [0];
    writer.seek(SeekFrom::Start(place)).unwrap();
    writer.read_exact(&mut byte).unwrap();
    writer.seek(SeekFrom::Start(place)).unwrap();
    writer.write_all(&[byte[0] ^ 4]).unwrap();
    let changed = RawError::Changed { offset: place };
    let query = &vectors()[77 * DIM..][..DIM];
    let settings = SearchSettings { k: 5, ef_search: Some(50), ..SearchSettings::default() };
    assert_eq!(quietly(|work| index.search(query, &settings, work)), Err(SearchError::Raw(changed.clone())));
    assert_eq!(index.get(&[77]), Err(GetError::Raw(changed.clone())));
    assert_eq!(index.vectors(&[77]), Err(changed.clone()));
    assert!(quietly(|work| index.range_search(query, 1.0, None, work)).is_err());
    assert_eq!(index.to_bytes().unwrap_err().kind(), io::ErrorKind::InvalidData);
    let (before, more) = (index.len(), clustered(ROWS, DIM, 40, 5));
    assert_eq!(quietly(|work| index.add(more, None, work)), Err(AddError::Raw(changed.clone())));
    assert_eq!(index.len(), before);
    // What does not read it goes on.
    assert_eq!(index.get(&[76]).unwrap(), &vectors()[76 * DIM..][..DIM]);
    assert!(Index::load(file.path(), Raw::Disk, Rerank::Full).is_err());
    // A new vector for its id hides it; fitting codes again would still read it.
    quietly(|work| index.upsert(query.to_vec(), &[77], work)).unwrap();
    assert_eq!(search(&index, query, &settings).ids[0], 77);
    assert_eq!(quietly(|work| index.optimize(work)), Err(BuildError::Raw(changed)));
}

#[test]
fn a_file_that_is_cut_is_an_error() {
    let file = saved(&built(small(Metric::Dot, Dtype::F32, Raw::Memory), &vectors()));
    let index = Index::load(file.path(), Raw::Disk, Rerank::Full).unwrap();
    let place = place_of_vectors(file.path());
    OpenOptions::new().write(true).open(file.path()).unwrap().set_len(place + 100).unwrap();
    let Err(GetError::Raw(RawError::Io { kind, .. })) = index.get(&[50]) else { panic!("read past the end") };
    assert_eq!(kind, io::ErrorKind::UnexpectedEof);
    assert!(index.get(&[1]).is_ok());
}

/// A file whose next reads fail.
#[derive(Debug)]
struct Failing {
    file: Box<dyn VfsFile>,
    left: Arc<AtomicUsize>,
}

impl VfsFile for Failing {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let fails = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if fails.is_ok() { Err(io::Error::from_raw_os_error(5)) } else { self.file.read_at(offset, out) }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocated(&self) -> io::Result<u64> {
        self.file.allocated()
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.file.is_at(path)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

#[test]
fn a_read_that_fails_is_tried_again() {
    let memory = built(small(Metric::L2, Dtype::F32, Raw::Memory), &vectors());
    let file = saved(&memory);
    let left = Arc::new(AtomicUsize::new(0));
    let failing = Failing { file: OsVfs.open_to_read(file.path()).unwrap(), left: Arc::clone(&left) };
    let index = Index::load_from(&(Arc::new(failing) as Arc<dyn VfsFile>), Raw::Disk, Rerank::Full).unwrap();
    left.store(2, Ordering::Relaxed);
    walked(&index, &queries(), 10, 40);
    assert_eq!(left.load(Ordering::Relaxed), 0, "the search has met the failures");
    left.store(usize::MAX, Ordering::Relaxed);
    let settings = SearchSettings { k: 10, ef_search: Some(40), ..SearchSettings::default() };
    let failed = quietly(|work| index.search(&queries(), &settings, work)).unwrap_err();
    assert!(matches!(failed, SearchError::Raw(RawError::Io { code: Some(5), .. })), "{failed}");
    left.store(0, Ordering::Relaxed);
    assert_same(&memory, &index);
}

#[test]
fn vectors_that_searches_compare_stay_in_memory() {
    let raw = Options { raw: Raw::Disk, storage: Storage::Raw, ..options(DIM, Metric::L2) };
    assert_eq!(Index::new(raw.clone()).err(), Some(NewError::Compared { raw: "disk" }));
    let file = saved(&built(Options { raw: Raw::Memory, ..raw }, &vectors()[..2000 * DIM]));
    assert!(matches!(Index::load(file.path(), Raw::Disk, Rerank::Full), Err(LoadError::Compared { .. })));
    // Data that no codec suits gets codes of 8 bits anyway.
    let auto = new(Options { raw: Raw::Disk, ..options(2, Metric::L2) });
    add(&auto, &clustered(2000, 2, 40, 1), None);
    assert_eq!(auto.stats().storage, "sq8");
}

#[test]
fn without_reranking_distances_are_those_of_codes() {
    for metric in METRICS {
        let full = built(small(metric, Dtype::F32, Raw::Memory), &vectors());
        let file = saved(&full);
        let left = Arc::new(AtomicUsize::new(0));
        let failing = Failing { file: OsVfs.open_to_read(file.path()).unwrap(), left: Arc::clone(&left) };
        let coded = Index::load_from(&(Arc::new(failing) as Arc<dyn VfsFile>), Raw::Disk, Rerank::Nothing).unwrap();
        let truth = exact(&full, &queries(), 10, None);
        // No vector is read.
        left.store(usize::MAX, Ordering::Relaxed);
        let found = walked(&coded, &queries(), 10, 60);
        let hits = found.ids.chunks(10).zip(truth.ids.chunks(10));
        let hits: usize = hits.map(|(found, truth)| found.iter().filter(|id| truth.contains(id)).count()).sum();
        assert!(hits >= 75, "{hits} of 90");
        for distances in found.distances.chunks(10) {
            assert!(distances.is_sorted() && (metric == Metric::Dot || distances[0] >= 0.0));
        }
        let off = found.distances.iter().zip(&truth.distances).map(|(one, other)| (one - other).abs());
        let scale = truth.distances.iter().fold(0f32, |most, distance| most.max(distance.abs()));
        assert!(off.sum::<f32>() <= 0.05 * scale * truth.distances.len() as f32, "{metric:?}");
        // An exact search compares full vectors.
        left.store(0, Ordering::Relaxed);
        assert!(exact(&coded, &queries(), 10, None) == truth);
    }
}
