//! After any sequence of operations, an index answers like a list of the same vectors.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_index::{Dtype, Filter, Index, Kind, Options, Raw, Rerank, SearchSettings, Storage};

use crate::common::data::{Random, clustered};
use crate::common::model::Model;
use crate::common::{FLAT, METRICS, add, exact, new, optimize, options, search};

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    /// This many vectors, under counted ids.
    Add(usize),
    /// Vectors under these ids; ids in use are left out.
    AddUnder(Vec<u64>),
    /// Every id with this remainder, modulo this.
    Remove(u64, u64),
    /// Some ids, most of them unknown.
    RemoveThese(Vec<u64>),
    SaveAndLoad,
    Clone,
    Optimize,
}

struct Pair {
    index: Index,
    model: Model,
    dim: usize,
    random: Random,
}

impl Pair {
    fn new(options: &Options, seed: u64) -> Self {
        Self { index: new(options.clone()), model: Model::new(options), dim: options.dim, random: Random(seed) }
    }

    fn vectors(&mut self, rows: usize) -> Vec<f32> {
        clustered(rows, self.dim, 8, self.random.below(1 << 30) as u64)
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Add(rows) => {
                let vectors = self.vectors(*rows);
                let ids = add(&self.index, &vectors, None);
                assert!(ids.iter().all(|id| !self.model.ids().contains(id)));
                self.model.add(&ids, &vectors);
            }
            Step::AddUnder(ids) => {
                let mut ids: Vec<u64> = ids.iter().copied().filter(|id| !self.index.contains(*id)).collect();
                ids.sort_unstable();
                ids.dedup();
                let vectors = self.vectors(ids.len());
                assert_eq!(add(&self.index, &vectors, Some(&ids)), ids);
                self.model.add(&ids, &vectors);
            }
            Step::Remove(modulus, remainder) => {
                let ids: Vec<u64> = self.model.ids().into_iter().filter(|id| id % modulus == *remainder).collect();
                assert_eq!(self.index.delete(&ids), self.model.remove(&ids));
            }
            Step::RemoveThese(ids) => assert_eq!(self.index.delete(ids), self.model.remove(ids)),
            Step::SaveAndLoad => self.index = reloaded(&self.index),
            Step::Clone => self.index = self.index.clone(),
            Step::Optimize => optimize(&self.index),
        }
    }

    /// Check that all queries return the same as the model.
    fn assert_equal(&mut self, queries: usize) {
        let Self { index, model, .. } = self;
        assert_eq!((index.len(), index.ids()), (model.len(), model.ids()));
        assert_eq!(index.get(&model.ids()), Ok(model.vectors()));
        let queries = self.vectors(queries);
        let Self { index, model, .. } = self;
        model.assert_nearest(&queries, 5, |_| true, &exact(index, &queries, 5, None));
        let allowed = |id: u64| id % 3 == 1;
        let mask: Vec<u8> = model.ids().into_iter().map(|id| u8::from(allowed(id))).collect();
        let found = exact(index, &queries, 5, Some(Filter::Mask(&mask)));
        model.assert_nearest(&queries, 5, allowed, &found);
        // An approximate answer is also full, and contains only existing vectors.
        let settings = SearchSettings { k: 5, filter: Some(Filter::Mask(&mask)), ..SearchSettings::default() };
        let approximate = search(index, &queries, &settings);
        assert_eq!(approximate.counts, found.counts);
        assert!(approximate.ids.iter().all(|id| *id == u64::MAX || (allowed(*id) && index.contains(*id))));
    }
}

/// Save an index and load it again. Vectors on disk come from the new file then.
fn reloaded(index: &Index) -> Index {
    let &Options { raw, rerank, .. } = index.options();
    if (raw, rerank) == (Raw::Memory, Rerank::Full) {
        return Index::from_bytes(&index.to_bytes().unwrap()).expect("its own file");
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    index.save(file.path()).expect("a file that can be written");
    Index::load(file.path(), raw, rerank).expect("its own file")
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(prop_oneof![0..60u64, any::<u64>().prop_map(|id| id >> 1)], 0..12);
    prop_oneof![
        4 => (0..30usize).prop_map(Step::Add),
        1 => (300..800usize).prop_map(Step::Add),
        2 => ids().prop_map(Step::AddUnder),
        2 => (1..6u64, 0..6u64).prop_map(|(modulus, remainder)| Step::Remove(modulus, remainder)),
        2 => ids().prop_map(Step::RemoveThese),
        1 => Just(Step::SaveAndLoad),
        1 => Just(Step::Clone),
        1 => Just(Step::Optimize),
    ]
}

fn any_options() -> impl Strategy<Value = Options> {
    let dtypes = prop::sample::select(vec![Dtype::F32, Dtype::F16]);
    let coarse = ["pq1x8", "opq1x4", "rq2x8"].map(|name| Storage::from_name(name).expect(name));
    let storages = prop::sample::select(Storage::all().chain(coarse).collect::<Vec<Storage>>());
    let metrics = prop::sample::select(METRICS.to_vec());
    let raws = prop::sample::select(vec![Raw::Memory, Raw::Disk]);
    let reranks = prop::sample::select(vec![Rerank::Full, Rerank::Half, Rerank::Nothing]);
    let kept = (dtypes, raws, storages).prop_filter("full vectors on disk are not compared", |(_, raw, storage)| {
        *raw == Raw::Memory || *storage != Storage::Raw
    });
    let kinds = prop::sample::select(vec![Kind::Graph, Kind::Partitions, Kind::Flat]);
    let all = (1..6usize, metrics, kept, (reranks, kinds), any::<u64>());
    all.prop_map(|(dim, metric, (dtype, raw, storage), (rerank, kind), seed)| Options {
        dtype,
        raw,
        rerank,
        storage,
        kind,
        seed,
        ..options(dim, metric)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence(options in any_options(), steps in prop::collection::vec(step(), 1..16), seed in any::<u64>()) {
        let mut pair = Pair::new(&options, seed);
        for step in &steps {
            pair.apply(step);
            pair.assert_equal(2);
        }
    }
}

#[test]
fn a_sequence_that_grows_a_graph() {
    for index in grown(Kind::Graph) {
        assert!(index.stats().linked > FLAT);
    }
}

#[test]
fn a_sequence_that_grows_lists() {
    for index in grown(Kind::Partitions) {
        assert!(index.stats().lists > 100);
    }
}

fn grown(kind: Kind) -> Vec<Index> {
    let mut indexes = Vec::new();
    for (metric, raw) in METRICS.into_iter().zip([Raw::Memory, Raw::Disk, Raw::Memory]) {
        let mut pair = Pair::new(&Options { raw, kind, m: 4, ef_construction: 30, ..options(5, metric) }, 3);
        for step in [
            Step::Add(900),
            Step::Add(200),
            Step::Remove(5, 2),
            Step::Add(FLAT - 900),
            Step::SaveAndLoad,
            Step::Remove(7, 1),
            Step::Add(100),
            Step::AddUnder((0..300).map(|at| 5 * at + 2).collect()),
            Step::Clone,
            Step::Optimize,
            Step::Add(1500),
            Step::Remove(2, 0),
            Step::SaveAndLoad,
            Step::Remove(3, 0),
            Step::Remove(1, 0),
            Step::Add(40),
        ] {
            pair.apply(&step);
            pair.assert_equal(2);
        }
        indexes.push(pair.index);
    }
    indexes
}
