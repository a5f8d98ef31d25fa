//! The contract of an index: a list that is searched one by one, in double precision.

use half::f16;
use tiercel_index::{Dtype, Matches, Metric, Options, RangeMatches};

/// Ids and vectors in the order they were added.
#[derive(Clone)]
pub(crate) struct Model {
    options: Options,
    rows: Vec<(u64, Vec<f32>)>,
}

/// A distance, and how far a single-precision one may be from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distance {
    pub(crate) value: f64,
    pub(crate) tolerance: f64,
}

impl Model {
    pub(crate) fn new(options: &Options) -> Self {
        Self { options: options.clone(), rows: Vec::new() }
    }

    /// Make a model of vectors under ids that count from 0.
    pub(crate) fn of(options: &Options, vectors: &[f32]) -> Self {
        let mut model = Self::new(options);
        let ids: Vec<u64> = (0..(vectors.len() / options.dim) as u64).collect();
        model.add(&ids, vectors);
        model
    }

    pub(crate) fn add(&mut self, ids: &[u64], vectors: &[f32]) {
        let kept = vectors.chunks_exact(self.options.dim).map(|row| kept(row, self.options.dtype));
        self.rows.extend(ids.iter().copied().zip(kept));
    }

    pub(crate) fn remove(&mut self, ids: &[u64]) -> usize {
        let before = self.rows.len();
        self.rows.retain(|(id, _)| !ids.contains(id));
        before - self.rows.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.rows.iter().map(|(id, _)| *id).collect()
    }

    /// Return the vectors of all ids, one after the other.
    pub(crate) fn vectors(&self) -> Vec<f32> {
        self.rows.iter().flat_map(|(_, row)| row).copied().collect()
    }

    /// Return all allowed ids with their distances, nearest first.
    fn ranked(&self, query: &[f32], allowed: impl Fn(u64) -> bool) -> Vec<(u64, Distance)> {
        let rows = self.rows.iter().filter(|(id, _)| allowed(*id));
        let mut ranked: Vec<_> = rows.map(|(id, row)| (*id, distance(self.options.metric, query, row))).collect();
        ranked.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
        ranked
    }

    /// Check the answer to an exact search, where equal distances may come in any order.
    pub(crate) fn assert_nearest(&self, queries: &[f32], k: usize, allowed: impl Fn(u64) -> bool, found: &Matches) {
        let width = k.min(self.len());
        let count = queries.len() / self.options.dim;
        assert_eq!((found.k, found.counts.len(), found.ids.len()), (width, count, count * width), "shape");
        for (at, query) in queries.chunks_exact(self.options.dim).enumerate() {
            let ranked = self.ranked(query, &allowed);
            let real = width.min(ranked.len());
            assert_eq!(found.counts[at], real as u64, "results of query {at}");
            let row = at * width..(at + 1) * width;
            let (ids, distances) = (&found.ids[row.clone()], &found.distances[row]);
            assert_hits(&ranked, &ids[..real], &distances[..real]);
            for (id, truth) in ids[..real].iter().zip(&ranked) {
                let Distance { value, tolerance } = find(&ranked, *id);
                let expected = truth.1.value + truth.1.tolerance + tolerance;
                assert!(value <= expected, "query {at}: id {id} at {value} is in the place of {truth:?}");
            }
            assert!(ids[real..].iter().all(|id| *id == u64::MAX), "padding ids of query {at}");
            assert!(distances[real..].iter().all(|d| *d == f32::INFINITY), "padding distances of query {at}");
        }
    }

    /// Check the answer to a range search, where a distance at the radius may be on either side.
    pub(crate) fn assert_within(
        &self,
        queries: &[f32],
        radius: f32,
        allowed: impl Fn(u64) -> bool,
        found: &RangeMatches,
    ) {
        let count = queries.len() / self.options.dim;
        assert_eq!((found.offsets.len(), found.offsets[0]), (count + 1, 0));
        assert_eq!((found.ids.len() as u64, found.distances.len()), (found.offsets[count], found.ids.len()));
        for (at, query) in queries.chunks_exact(self.options.dim).enumerate() {
            let ranked = self.ranked(query, &allowed);
            let row = found.offsets[at] as usize..found.offsets[at + 1] as usize;
            let (ids, distances) = (&found.ids[row.clone()], &found.distances[row]);
            assert_hits(&ranked, ids, distances);
            assert!(distances.iter().all(|distance| *distance <= radius), "query {at}");
            for (id, Distance { value, tolerance }) in ranked {
                if value + tolerance <= f64::from(radius) {
                    assert!(ids.contains(&id), "query {at}: id {id} at {value} is missing");
                }
            }
        }
    }
}

/// Check that ids are distinct, among those ranked, and nearest first, each with its distance.
fn assert_hits(ranked: &[(u64, Distance)], ids: &[u64], distances: &[f32]) {
    assert!(distances.is_sorted(), "nearest first: {distances:?}");
    let mut distinct = ids.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "distinct ids: {ids:?}");
    for (id, got) in ids.iter().zip(distances) {
        find(ranked, *id).assert_near(*got);
    }
}

fn find(ranked: &[(u64, Distance)], id: u64) -> Distance {
    ranked.iter().find(|(other, _)| *other == id).unwrap_or_else(|| panic!("id {id} is not allowed")).1
}

impl Distance {
    pub(crate) fn assert_near(self, got: f32) {
        let Self { value, tolerance } = self;
        assert!(
            (f64::from(got) - value).abs() <= tolerance,
            "distance {got:e}, expected {value:e} within {tolerance:e}"
        );
    }
}

/// Return a vector as an index keeps it.
pub(crate) fn kept(row: &[f32], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => row.to_vec(),
        Dtype::F16 => row.iter().map(|value| f16::from_f32(*value).to_f32()).collect(),
    }
}

pub(crate) fn distance(metric: Metric, a: &[f32], b: &[f32]) -> Distance {
    let sum =
        |term: fn(f64, f64) -> f64| -> f64 { a.iter().zip(b).map(|(x, y)| term(f64::from(*x), f64::from(*y))).sum() };
    let (product, products) = (sum(|x, y| x * y), sum(|x, y| (x * y).abs()));
    let (value, magnitude) = match metric {
        Metric::Dot => (-product, products),
        Metric::L2 => {
            let square = sum(|x, y| (x - y).powi(2));
            (square, square)
        }
        Metric::Cosine => {
            let norms = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
            (1.0 - product / norms, 1.0 + products / norms)
        }
    };
    // Besides the sum, differences or directions are rounded.
    Distance { value, tolerance: tiercel_simd::tolerance(a.len() + 6, magnitude) }
}
