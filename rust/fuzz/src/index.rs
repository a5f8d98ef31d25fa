//! Files of indexes, whose checksums would stop a fuzzer. Its bytes therefore stand for changes to
//! a file: the number of a file, then section, place and new bytes of each change; the checksums
//! are corrected afterwards. Bytes that begin like a file are read as they are.

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use tiercel_index::{
    Among, CodecKind, Dtype, Filter, Index, LoadError, Metric, Options, SearchSettings, Storage, Work,
};
use tiercel_quant::split_mix;

use container::Container;

#[expect(dead_code, reason = "tests of the index use all of it")]
#[path = "../../index/tests/index/common/container.rs"]
mod container;

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let made = [
        (Metric::L2, Dtype::F32, Storage::Codes(CodecKind::Sq8), 3, 8200),
        (Metric::Cosine, Dtype::F16, Storage::Codes(CodecKind::Sq4), 5, 1100),
        (Metric::Dot, Dtype::F32, Storage::Raw, 2, 1100),
        (Metric::Cosine, Dtype::F32, Storage::Auto, 4, 9),
        (Metric::L2, Dtype::F32, Storage::Auto, 1, 0),
        (Metric::L2, Dtype::F32, storage("opq2x4"), 3, 1100),
        (Metric::L2, Dtype::F32, storage("rq2x8"), 2, 1100),
    ];
    made.map(|(metric, dtype, storage, dim, rows)| {
        let options = Options { dtype, storage, m: 2, ef_construction: 10, ..Options::new(dim, metric) };
        let index = Index::new(options).expect("options in range");
        with_work(|work| index.add(numbers(dim * rows), None, work)).expect("vectors that can be added");
        index.delete(&[3]);
        index.to_bytes().expect("vectors in memory")
    })
    .to_vec()
});

fn storage(name: &str) -> Storage {
    Storage::from_name(name).expect("a storage")
}

fn numbers(count: usize) -> Vec<f32> {
    let mut state = 7;
    (0..count).map(|_| (split_mix(&mut state) >> 40) as f32 / (1 << 23) as f32 - 0.999).collect()
}

fn with_work<R>(call: impl FnOnce(&Work<'_>) -> R) -> R {
    call(&Work::quiet(1, &AtomicBool::new(false)))
}

/// Read a changed file of an index, and use it.
pub fn index_file(data: &[u8]) {
    let loaded = if data.starts_with(b"TIERCEL") { Index::from_bytes(data) } else { Index::from_bytes(&changed(data)) };
    match loaded {
        Ok(index) => use_all(&index),
        Err(error) => assert!(matches!(error, LoadError::Corrupt(_)), "{error}"),
    }
}

/// Return the file that changes make.
fn changed(data: &[u8]) -> Vec<u8> {
    let (which, mut rest) = data.split_first().map_or((0, data), |(which, rest)| (usize::from(*which), rest));
    let mut file = Container::of(&FILES[which % FILES.len()]);
    let tags = file.tags();
    // Section, three bytes of a place, number of bytes, and the bytes.
    while let [section, a, b, c, count, after @ ..] = rest {
        let payload = file.section_mut(tags[usize::from(*section) % tags.len()]);
        let (bytes, after) = after.split_at(after.len().min(usize::from(*count) % 9));
        rest = after;
        if *section >= 128 {
            // Change the length of a section.
            payload.resize(u32::from_le_bytes([*a, *b, *c, 0]) as usize % (2 * payload.len() + 64), 0);
        }
        if !payload.is_empty() {
            let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize % payload.len();
            let room = bytes.len().min(payload.len() - at);
            payload[at..at + room].copy_from_slice(&bytes[..room]);
        }
    }
    file.seal()
}

fn use_all(index: &Index) {
    let dim = index.options().dim;
    let (query, ids) = (numbers(dim), index.ids());
    assert_eq!(ids.len(), index.len());
    for filter in [None, Some(Filter::Ids(&ids[..ids.len() / 2]))] {
        search_otherwise(index, &query, &ids, filter);
        for (recall, ef_search) in [(Some(1.0), None), (None, Some(1)), (None, Some(50))] {
            let found = with_work(|work| {
                index.search(&query, &SearchSettings { k: 3, ef_search, recall, filter }, work).expect("a query")
            });
            let count = found.counts[0] as usize;
            assert!(found.distances[..count].is_sorted(), "{:?}", found.distances);
            assert!(found.ids[..count].iter().all(|id| ids.contains(id)));
        }
    }
    assert_eq!(index.get(&ids).map(|vectors| vectors.len()), Ok(dim * ids.len()));
    let _ = with_work(|work| index.add(numbers(dim), None, work));
    with_work(|work| index.optimize(work)).expect("nobody stops it");
    assert!(ids.iter().all(|id| index.contains(*id)));
    index.delete(&ids);
    assert!(Index::from_bytes(&index.to_bytes().unwrap()).is_ok());
}

/// Search within a radius, and among a few vectors. What a filter allows is near enough for both.
fn search_otherwise(index: &Index, query: &[f32], ids: &[u64], filter: Option<Filter<'_>>) {
    let allowed = filter.map_or(ids, |_| &ids[..ids.len() / 2]);
    let found = with_work(|work| index.range_search(query, f32::INFINITY, filter.as_ref(), work)).expect("a query");
    assert_eq!(found.ids.len(), allowed.len());
    assert!(found.distances.is_sorted() && found.ids.iter().all(|id| allowed.contains(id)));
    let candidates = &ids[..ids.len().min(7)];
    let among = Among { k: 3, candidates, since: index.version(), limit: 0, filter };
    let (found, _) = with_work(|work| index.search_among(query, &among, work)).expect("a query").expect("no additions");
    assert!(found.ids[..found.counts[0] as usize].iter().all(|id| candidates.contains(id) && allowed.contains(id)));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![FILES[3].clone(), FILES[4].clone()];
    for file in 0..FILES.len() as u8 {
        for section in 0..11 {
            seeds.push(vec![file, section, 8, 0, 0, 4, 255, 255, 255, 127, section + 128, 40, 0, 0, 1, 9]);
        }
    }
    seeds
}
