//! Full vectors that are forgotten once there are codes, and copies in half precision.

use tempfile::NamedTempFile;
use tiercel_index::{
    AddError, CodecKind, Dtype, Index, LoadError, Matches, Metric, NewError, Options, Raw, Rerank, RowError,
    SearchSettings, Storage,
};

use crate::common::container::Container;
use crate::common::data::clustered;
use crate::common::{FLAT, METRICS, add, built, exact, new, optimize, options, quietly, search};

const DIM: usize = 24;
const ROWS: usize = FLAT + 900;

/// Return vectors, and queries from the same clusters.
fn data() -> (Vec<f32>, Vec<f32>) {
    let mut vectors = clustered(ROWS + 20, DIM, 40, 1);
    let queries = vectors.split_off(ROWS * DIM);
    (vectors, queries)
}

fn vectors() -> Vec<f32> {
    data().0
}

fn queries() -> Vec<f32> {
    data().1
}

/// Return the share of true neighbours that were found.
fn shared(found: &Matches, truth: &Matches) -> f64 {
    let rows = truth.ids.chunks(truth.k).zip(found.ids.chunks(found.k));
    let hits = rows.map(|(truth, found)| found.iter().filter(|id| truth.contains(id)).count());
    hits.sum::<usize>() as f64 / truth.ids.len() as f64
}

fn small(metric: Metric, storage: &str) -> Options {
    let storage = Storage::from_name(storage).expect(storage);
    Options { m: 8, ef_construction: 40, storage, ..options(DIM, metric) }
}

fn forgetful(metric: Metric, storage: &str) -> Options {
    Options { raw: Raw::Nothing, rerank: Rerank::Nothing, ..small(metric, storage) }
}

fn saved(index: &Index) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    index.save(file.path()).unwrap();
    file
}

fn settings(k: usize) -> SearchSettings<'static> {
    SearchSettings { k, recall: Some(0.95), ..SearchSettings::default() }
}

/// Return the length of the difference of all vectors, as a share of the length of all.
fn apart(vectors: &[f32], others: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let apart = square(&mut vectors.iter().zip(others).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (apart / square(&mut vectors.iter().map(|value| f64::from(*value)))).sqrt()
}

/// Compare everything that two indexes answer.
fn assert_same(one: &Index, other: &Index) {
    assert!(one.ids() == other.ids() && one.get(&one.ids()) == other.get(&one.ids()));
    assert_eq!((one.norms(), one.raw()), (other.norms(), other.raw()));
    for settings in [settings(10), SearchSettings { recall: Some(1.0), ..settings(10) }] {
        assert_eq!(search(one, &queries(), &settings), search(other, &queries(), &settings));
    }
}

#[test]
fn codes_stand_for_forgotten_vectors() {
    let vectors = vectors();
    for metric in METRICS {
        let truth = exact(&built(small(metric, "sq8"), &vectors), &queries(), 10, None);
        for (storage, far, least) in
            [("sq8", 0.02, 0.9), ("f16", 0.001, 0.95), ("bf16", 0.005, 0.9), ("rabitq4", 0.1, 0.6)]
        {
            let index = built(forgetful(metric, storage), &vectors);
            let stats = index.stats();
            assert_eq!((stats.bytes[0], stats.linked, stats.disk_bytes), (("vectors", 0), ROWS, 0), "{storage}");
            let kept = index.get(&index.ids()).unwrap();
            assert!(apart(&vectors, &kept) < far, "{metric:?} {storage}: {}", apart(&vectors, &kept));
            // Even a search of all of them is not exact.
            let all = search(&index, &queries(), &SearchSettings { recall: Some(1.0), ..settings(10) });
            for found in [search(&index, &queries(), &settings(10)), all] {
                let share = shared(&found, &truth);
                assert!(!found.exact && share > least, "{metric:?} {storage}: {share}");
            }
        }
    }
}

#[test]
fn coarse_codes_are_linked_by_full_vectors_while_these_are_there() {
    let vectors = vectors();
    for storage in ["rabitq1", "pq12x8"] {
        let index = built(forgetful(Metric::L2, storage), &vectors[..8600 * DIM]);
        assert!(index.stats().graph_recall > Some(0.5), "{storage}");
        // Vectors that are added later are compared with what the codes of the others stand for.
        add(&index, &vectors[8600 * DIM..], None);
        let found = search(&index, &vectors[(ROWS - 9) * DIM..], &settings(5));
        assert!(found.counts.iter().all(|count| *count == 5), "{storage}");
        assert_eq!((index.len(), index.stats().linked), (ROWS, ROWS));
    }
}

#[test]
fn few_vectors_are_not_forgotten() {
    let some = &vectors()[..500 * DIM];
    let index = built(forgetful(Metric::Cosine, "sq4"), some);
    assert_eq!(index.get(&index.ids()).unwrap(), some);
    assert!(search(&index, &queries(), &settings(3)).exact);
    let loaded = Index::load(saved(&index).path(), Raw::Nothing, Rerank::Full).unwrap();
    assert_same(&index, &loaded);
    for index in [&index, &loaded] {
        add(index, &vectors()[500 * DIM..], None);
        assert_eq!((index.stats().bytes[0], index.raw()), (("vectors", 0), Raw::Nothing));
    }
    // Without vectors, nothing needs codes.
    index.delete(&index.ids());
    optimize(&index);
    add(&index, some, None);
    assert_eq!(index.get(&index.ids()).unwrap(), some);
}

#[test]
fn changes_reach_forgotten_vectors() {
    let vectors = vectors();
    let index = built(forgetful(Metric::Cosine, "sq8"), &vectors[..3000 * DIM]);
    assert_eq!(index.delete(&[1, 2, 3]), 3);
    let replaced: Vec<f32> = vectors[4000 * DIM..4100 * DIM].iter().map(|value| 3.0 * value).collect();
    let ids: Vec<u64> = (100..200).collect();
    quietly(|work| index.upsert(replaced.clone(), &ids, work)).unwrap();
    // Their lengths are kept, too.
    assert!(apart(&replaced, &index.get(&ids).unwrap()) < 0.01);
    let found = search(&index, &replaced, &settings(1));
    assert!(found.ids == ids && found.distances.iter().all(|distance| *distance < 0.01));
    let (before, copy) = (index.get(&index.ids()).unwrap(), index.clone());
    optimize(&index);
    assert_eq!(before, index.get(&index.ids()).unwrap(), "nothing is coded a second time");
    assert_same(&index, &copy);
}

#[test]
fn files_without_full_vectors() {
    let vectors = vectors();
    for metric in METRICS {
        for dtype in [Dtype::F32, Dtype::F16] {
            let forgetful = Options { dtype, ..forgetful(metric, "sq8") };
            let full = built(Options { raw: Raw::Memory, rerank: Rerank::Full, ..forgetful.clone() }, &vectors);
            let index = built(forgetful, &vectors);
            let file = saved(&index);
            assert!(file.path().metadata().unwrap().len() < full.file_len() - (ROWS * DIM) as u64);
            for raw in [Raw::Memory, Raw::Disk, Raw::Nothing] {
                let loaded = Index::load(file.path(), raw, Rerank::Full).unwrap();
                assert_eq!((loaded.options().rerank, loaded.options().dtype), (Rerank::Nothing, dtype));
                assert_same(&index, &loaded);
                assert_same(&index, &Index::from_bytes(&loaded.to_bytes().unwrap()).unwrap());
            }
            assert!(matches!(Index::load(file.path(), Raw::Memory, Rerank::Half), Err(LoadError::Forgotten)));
            // The codes of a file are forgetful enough.
            let loaded = Index::load(saved(&full).path(), Raw::Nothing, Rerank::Full).unwrap();
            assert_eq!(loaded.stats().bytes[0], ("vectors", 0));
            assert_same(&index, &loaded);
        }
    }
}

#[test]
fn damaged_norms() {
    for (metric, sizes) in [(Metric::Cosine, 16 + 4 * 1100), (Metric::Dot, 16)] {
        let index = built(forgetful(metric, "sq8"), &vectors()[..1100 * DIM]);
        let file = Container::of(&index.to_bytes().unwrap());
        assert_eq!(file.section(*b"norm").len(), sizes);
        let refused = |change: &dyn Fn(&mut Container)| {
            let mut damaged = file.clone();
            change(&mut damaged);
            assert!(matches!(Index::from_bytes(&damaged.seal()), Err(LoadError::Corrupt(_))));
        };
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            refused(&|file| file.patch(*b"norm", 0, &value.to_le_bytes()));
            refused(&|file| file.patch(*b"norm", 8, &value.to_le_bytes()));
        }
        refused(&|file| file.section_mut(*b"norm").truncate(12));
        refused(&|file| file.section_mut(*b"norm").extend([0; 4]));
        refused(&|file| file.section_mut(*b"VECT").extend([0; 4 * DIM]));
        // Full vectors are not where the file says they are.
        refused(&|file| file.patch(*b"META", 5, &[0]));
        refused(&|file| file.patch(*b"META", 5, &[4]));
        if metric == Metric::Cosine {
            for value in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
                refused(&|file| file.patch(*b"norm", 16 + 40, &value.to_le_bytes()));
            }
        }
    }
}

#[test]
fn candidates_are_compared_in_half_precision() {
    let vectors = vectors();
    for metric in METRICS {
        let full = built(small(metric, "sq4"), &vectors);
        let truth = exact(&full, &queries(), 10, None);
        for raw in [Raw::Memory, Raw::Disk, Raw::Nothing] {
            let index = built(Options { raw, rerank: Rerank::Half, ..small(metric, "sq4") }, &vectors);
            let bytes = 2 * ROWS * DIM + if raw == Raw::Memory { 4 * ROWS * DIM } else { 0 };
            let taken = index.stats().bytes[0].1;
            assert!((bytes..bytes + bytes / 2).contains(&taken), "{raw:?}: {taken} bytes, not {bytes}");
            let found = search(&index, &queries(), &settings(10));
            assert!(shared(&found, &truth) > 0.9, "{metric:?} {raw:?}");
            let all = exact(&index, &queries(), 10, None);
            if raw != Raw::Nothing {
                assert_eq!((&all.ids, &all.distances), (&truth.ids, &truth.distances));
                assert_eq!(index.get(&index.ids()), full.get(&full.ids()));
            }
            // Distances are rounded, and no more than that.
            let pairs = found.distances.iter().zip(&truth.distances);
            assert!(pairs.clone().any(|(a, b)| a.to_bits() != b.to_bits()), "{metric:?} {raw:?}");
            assert!(pairs.filter(|(a, b)| (*a - *b).abs() < 0.01 * (1.0 + b.abs())).count() > 180);
            let loaded = Index::load(saved(&index).path(), raw, Rerank::Half).unwrap();
            assert_same(&index, &loaded);
            assert_eq!(loaded.stats().disk_bytes > 0, raw == Raw::Disk);
            let from_full = Index::load(saved(&full).path(), raw, Rerank::Half).unwrap();
            assert_eq!((from_full.len(), from_full.raw()), (ROWS, raw));
            let same = search(&from_full, &queries(), &settings(10));
            if raw == Raw::Nothing {
                // These codes were made of full vectors.
                assert!(shared(&same, &truth) > 0.9);
            } else {
                assert_eq!(same, found);
            }
        }
    }
}

#[test]
fn what_cannot_be_made() {
    let raw = |options: Options| Index::new(options).err();
    let forgetful = forgetful(Metric::L2, "raw");
    assert_eq!(raw(forgetful.clone()), Some(NewError::Compared { raw: "none" }));
    let auto = Options { storage: Storage::Auto, ..forgetful.clone() };
    assert_eq!(raw(Options { rerank: Rerank::Full, ..auto.clone() }), Some(NewError::Forgotten));
    assert_eq!(raw(Options { memory: Some(1 << 20), ..auto.clone() }), Some(NewError::Budget));
    // Where 4 bits do not rank well, 8 must do.
    let index = built(Options { dim: 2, ..auto }, &clustered(3000, 2, 9, 1));
    assert_eq!((index.stats().storage.as_ref(), index.stats().bytes[0]), ("sq8", ("vectors", 0)));
    let half = built(Options { rerank: Rerank::Half, ..index.options().clone() }, &clustered(3000, 2, 9, 1));
    assert_eq!((half.stats().storage.as_ref(), half.stats().bytes[0].1 > 0), ("sq8", true));
    assert_same(&half, &Index::load(saved(&half).path(), Raw::Nothing, Rerank::Half).unwrap());
    let compared = saved(&built(small(Metric::L2, "f32"), &vectors()[..2000 * DIM]));
    let loaded = Index::load(compared.path(), Raw::Nothing, Rerank::Full);
    assert!(matches!(loaded, Err(LoadError::Compared { raw: "none" })));
}

#[test]
fn values_beyond_half_precision() {
    let mut large = vectors()[..2000 * DIM].to_vec();
    large[30 * DIM + 2] = 7e4;
    let expected = |argument| RowError::Overflow { argument, row: 30, column: 2, value: 7e4 };
    let half = new(Options { rerank: Rerank::Half, ..small(Metric::L2, "sq8") });
    let refused = quietly(|work| half.add(large.clone(), None, work));
    assert_eq!(refused, Err(AddError::Row(expected("vectors"))));
    let file = saved(&built(small(Metric::L2, "sq8"), &large));
    for raw in [Raw::Memory, Raw::Disk, Raw::Nothing] {
        match Index::load(file.path(), raw, Rerank::Half) {
            Err(LoadError::Half(error)) => assert_eq!(error, expected("vectors")),
            other => panic!("{raw:?}: {:?}", other.map(|index| index.len())),
        }
    }
    // A codec is another matter: it has a scale.
    let huge: Vec<f32> = large.iter().map(|value| 1e6 * value).collect();
    let coded = built(Options { raw: Raw::Nothing, rerank: Rerank::Nothing, ..small(Metric::L2, "f16") }, &huge);
    assert!(apart(&huge, &coded.get(&coded.ids()).unwrap()) < 0.001);
    assert_eq!(coded.options().storage, Storage::Codes(CodecKind::F16));
}
