//! The vectors of a collection: graphs with most of them, and growing segments with the newest.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tiercel_index::{
    Budget, Filter, Index, Kind, Options, Raw, RawError, Rerank, SearchSettings, Stats, Storage, Trace, Work,
};

use crate::errors::QueryError;
use crate::state::passing::Passing;

/// The most vectors in a growing segment, which a search compares one by one, by codes if there are many.
pub(crate) const SEGMENT: usize = 8192;

/// Return work settings that nobody stops.
pub(crate) fn work(threads: usize) -> Work<'static> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    Work::quiet(threads, &NEVER)
}

/// The most graphs that a search meets.
pub(crate) const GRAPHS: usize = 4;

/// The indexes of the vectors, by row. Clones share the indexes.
///
/// ```text
/// growing  flat, up to 8,192 vectors each, with     the newest rows; new vectors go into the last
///          codes from 1,025 on
///             |  moved in the background
/// filling  a graph, full at 262,144 vectors         rows moved last
///             |  once it is full
/// full     at most three graphs                     older rows; the smallest is merged into the
///                                                   others when the filling one is full, too
/// ```
///
/// A row may be in two of them for a moment while it moves.
#[derive(Clone)]
pub(crate) struct Vectors {
    pub(crate) full: Vec<Arc<Index>>,
    pub(crate) filling: Arc<Index>,
    pub(crate) growing: Vec<Arc<Index>>,
}

/// A row and its distance.
pub(crate) type Neighbour = (u32, f32);

/// A search by vector.
#[derive(Clone, Copy)]
pub(crate) struct Near<'a> {
    pub(crate) query: &'a [f32],
    pub(crate) k: usize,
    pub(crate) recall: Option<f32>,
    /// The rows that may be found.
    pub(crate) allowed: Option<&'a Passing>,
    /// Set to stop the search.
    pub(crate) stop: &'a AtomicBool,
    /// Whether to time the stages.
    pub(crate) timed: bool,
}

/// The nearest rows, nearest first.
pub(crate) struct Nearest {
    pub(crate) rows: Vec<Neighbour>,
    /// Whether an exact search would return the same.
    pub(crate) exact: bool,
    /// The cost of the search.
    pub(crate) trace: Trace,
    /// The part of it among vectors outside the graphs.
    pub(crate) fresh: Trace,
}

impl Nearest {
    /// Return the result of a search without vectors.
    pub(crate) fn none() -> Self {
        Self { rows: Vec::new(), exact: true, trace: Trace::default(), fresh: Trace::default() }
    }
}

fn new_segment(like: &Index) -> Result<Arc<Index>, String> {
    let storage = if like.options().storage == Storage::Raw { Storage::Raw } else { Storage::Auto };
    let options =
        Options { storage, kind: Kind::Flat, raw: Raw::Memory, rerank: Rerank::Full, ..like.options().clone() };
    new_index(options)
}

/// Return an empty index.
pub(crate) fn new_index(options: Options) -> Result<Arc<Index>, String> {
    Index::new(options).map(Arc::new).map_err(|error| error.to_string())
}

impl Vectors {
    /// Start with these graphs, of which the last takes new vectors; `None` if there are none.
    pub(crate) fn new(mut graphs: Vec<Arc<Index>>) -> Option<Self> {
        let filling = graphs.pop()?;
        Some(Self { full: graphs, filling, growing: Vec::new() })
    }

    /// Start without vectors.
    pub(crate) fn empty(options: Options) -> Result<Self, String> {
        Ok(Self { full: Vec::new(), filling: new_index(options)?, growing: Vec::new() })
    }

    /// Return the options of the graphs.
    pub(crate) fn options(&self) -> &Options {
        self.filling.options()
    }

    /// Return the statistics of the first graph, with the vectors and the bytes of all indexes.
    pub(crate) fn stats(&self) -> Stats {
        let mut indexes = self.indexes();
        let mut stats = indexes.next().map_or_else(|| self.filling.stats(), |index| index.stats());
        for more in indexes.map(|index| index.stats()) {
            stats.len += more.len;
            stats.tombstones += more.tombstones;
            stats.linked += more.linked;
            stats.disk_bytes += more.disk_bytes;
            for ((_, bytes), (_, more)) in stats.bytes.iter_mut().zip(more.bytes) {
                *bytes += more;
            }
        }
        let beside = stats.bytes.iter().filter(|(part, _)| !["vectors", "total"].contains(part));
        let slots: usize = self.indexes().map(|index| index.slots()).sum();
        stats.bytes_per_vector = beside.map(|(_, bytes)| *bytes as f64).sum::<f64>() / slots.max(1) as f64;
        stats
    }

    /// Return a copy with the vectors of new rows added. The vectors must have been checked.
    pub(crate) fn with(&self, rows: &[u64], vectors: &[f32]) -> Result<Self, String> {
        let mut with = self.clone();
        let dim = self.dim();
        let (mut rows, mut vectors) = (rows, vectors);
        while !rows.is_empty() {
            let room = with.growing.last().map_or(0, |segment| SEGMENT.saturating_sub(segment.slots()));
            if room == 0 {
                with.growing.push(new_segment(&self.filling)?);
                continue;
            }
            let (now, later) = rows.split_at(room.min(rows.len()));
            let (values, rest) = vectors.split_at(now.len() * dim);
            if let Some(segment) = with.growing.last() {
                segment.add(values, Some(now), &work(1)).map_err(|error| error.to_string())?;
            }
            (rows, vectors) = (later, rest);
        }
        Ok(with)
    }

    /// Return a copy whose last growing segment is empty, so that nothing is added to the earlier
    /// ones.
    pub(crate) fn with_new_segment(&self) -> Result<Self, String> {
        let mut with = self.clone();
        if with.growing.last().is_some_and(|segment| segment.slots() > 0) {
            with.growing.push(new_segment(&self.filling)?);
        }
        Ok(with)
    }

    /// Return a copy whose filling graph is empty.
    pub(crate) fn with_new_graph(&self) -> Result<Self, String> {
        let filling = new_index(self.options().clone())?;
        let mut with = self.clone();
        with.full.push(std::mem::replace(&mut with.filling, filling));
        Ok(with)
    }

    /// Return the smallest full graph, whose vectors should go into the second smallest, which is returned,
    /// too; `None` unless there are as many graphs as may be and the filling one has `most` slots. Until
    /// all are moved, the first is the same, since the others only grow.
    pub(crate) fn merge(&self, most: usize) -> Option<(&Arc<Index>, &Arc<Index>)> {
        if self.full.len() + 1 < GRAPHS || self.filling.slots() < most {
            return None;
        }
        let from = self.full.iter().min_by_key(|graph| graph.slots())?;
        let others = self.full.iter().filter(|graph| !Arc::ptr_eq(graph, from));
        Some((from, others.min_by_key(|graph| graph.slots())?))
    }

    /// Return a copy in which `new` graphs take the place of `replaced` ones, of the filling one by the last.
    /// Other new graphs without vectors are left out.
    pub(crate) fn with_graphs(&self, new: &[Arc<Index>], replaced: &[Arc<Index>]) -> Self {
        let mut with = self.clone();
        let is_replaced = |graph: &Arc<Index>| replaced.iter().any(|replaced| Arc::ptr_eq(replaced, graph));
        let mut new = new.to_vec();
        if is_replaced(&with.filling)
            && let Some(last) = new.pop()
        {
            with.filling = last;
        }
        with.full.retain(|graph| !is_replaced(graph));
        with.full.extend(new.into_iter().filter(|graph| !graph.is_empty()));
        with
    }

    /// Whether a graph has a row.
    pub(crate) fn is_linked(&self, row: u64) -> bool {
        self.graphs().any(|graph| graph.contains(row))
    }

    /// Count the vectors outside the graphs.
    pub(crate) fn fresh(&self) -> usize {
        self.growing.iter().map(|segment| segment.len()).sum()
    }

    /// Return the bytes that a search reads of each of them.
    pub(crate) fn scanned_bytes(&self) -> usize {
        let Options { dim, storage, .. } = self.options();
        if *storage == Storage::Raw { dim * size_of::<f32>() } else { *dim }
    }

    /// Return a copy without these growing segments.
    pub(crate) fn without(&self, moved: &[Arc<Index>]) -> Self {
        let mut without = self.clone();
        without.growing.retain(|segment| !moved.iter().any(|moved| Arc::ptr_eq(moved, segment)));
        without
    }

    /// Return the length of each vector.
    pub(crate) fn dim(&self) -> usize {
        self.options().dim
    }

    /// Return the smallest and the largest norm, including dead vectors; infinity and 0 if there
    /// are none, and under l2.
    pub(crate) fn norms(&self) -> (f64, f64) {
        let wider = |(least, most): (f64, f64), (low, high): (f64, f64)| (least.min(low), most.max(high));
        self.indexes().map(|index| index.norms()).fold((f64::INFINITY, 0.0), wider)
    }

    /// Return the vector of a row, if it has one.
    pub(crate) fn get(&self, row: u32) -> Result<Option<Vec<f32>>, RawError> {
        for index in self.indexes() {
            if let Some(vector) = index.vectors(&[u64::from(row)])?.pop().flatten() {
                return Ok(Some(vector));
            }
        }
        Ok(None)
    }

    /// Return the graphs; the last takes what is moved.
    pub(crate) fn graphs(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.full.iter().chain(std::iter::once(&self.filling))
    }

    /// Return the graphs and all growing segments.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.graphs().chain(&self.growing)
    }

    /// Return the nearest rows for which `lives` returns true.
    pub(crate) fn search(&self, near: &Near<'_>, lives: impl Fn(u32) -> bool) -> Result<Nearest, QueryError> {
        let mut nearest = Nearest::none();
        for graph in self.graphs().filter(|graph| !graph.is_empty()) {
            let chosen = near.allowed.map(|passing| passing.chosen(graph));
            search_one(graph, near, chosen.as_deref().map(Filter::Chosen), &lives, &mut nearest)?;
        }
        let of_graphs = std::mem::take(&mut nearest.trace);
        for index in self.growing.iter().filter(|index| !index.is_empty()) {
            let ids = near.allowed.map(|passing| passing.within(index));
            search_one(index, near, ids.as_deref().map(Filter::Ids), &lives, &mut nearest)?;
        }
        nearest.fresh = nearest.trace;
        nearest.trace.add(&of_graphs);
        let Nearest { rows, .. } = &mut nearest;
        if self.indexes().nth(1).is_some() {
            // A row that moves is in two indexes for a moment. The distances of a growing segment are exact,
            // those of a graph perhaps not.
            let mut seen = HashSet::new();
            rows.reverse();
            rows.retain(|(row, _)| seen.insert(*row));
        }
        rows.sort_unstable_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        rows.truncate(near.k);
        Ok(nearest)
    }
}

/// Append the nearest rows of one index.
fn search_one(
    index: &Index,
    near: &Near<'_>,
    filter: Option<Filter<'_>>,
    lives: impl Fn(u32) -> bool,
    nearest: &mut Nearest,
) -> Result<(), QueryError> {
    let Nearest { rows: found, exact, trace, .. } = nearest;
    let budget = Budget { timed: near.timed, ..Budget::default() };
    let before = found.len();
    let mut k = near.k;
    loop {
        let settings = SearchSettings { k, ef_search: None, recall: near.recall, filter };
        let (matches, took) = index.search_within(near.query, &settings, budget, &Work::quiet(1, near.stop))?;
        trace.add(&took);
        let count = matches.counts.first().map_or(0, |count| *count as usize);
        let pairs = matches.ids.iter().zip(&matches.distances).take(count);
        found.extend(pairs.map(|(row, distance)| (*row as u32, *distance)).filter(|(row, _)| lives(*row)));
        // Dead rows stay in an index until the background takes them out: ask for more rows, to
        // find enough live ones.
        if found.len() - before >= near.k || count < k {
            *exact &= matches.exact;
            return Ok(());
        }
        found.truncate(before);
        k = k.saturating_mul(4).saturating_add(16);
    }
}

#[cfg(test)]
mod tests {
    use tiercel_index::Metric;

    use super::*;
    use crate::config::OpenOptions;

    fn vectors(rows: std::ops::Range<u64>) -> Vectors {
        let config = OpenOptions { metric: Some(Metric::L2), ..OpenOptions::default() }.into_config();
        let empty = Vectors::empty(config.options(2)).unwrap();
        let values: Vec<f32> = rows.clone().flat_map(|row| [row as f32, 0.0]).collect();
        empty.with(&rows.collect::<Vec<_>>(), &values).unwrap()
    }

    fn near(k: usize) -> Near<'static> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Near { query: &[0.0, 0.0], k, recall: None, allowed: None, stop: &NEVER, timed: false }
    }

    #[test]
    fn the_dead_do_not_take_the_place_of_the_living() {
        let found = vectors(0..1000).search(&near(3), |row| row >= 900).unwrap();
        assert_eq!(found.rows.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [900, 901, 902]);
        assert!(found.exact);
        assert!(found.trace.distances >= 1000, "failed tries count, too");
    }

    #[test]
    fn fewer_than_k_is_an_answer() {
        let found = vectors(0..10).search(&near(20), |row| row != 3).unwrap();
        assert_eq!(found.rows.len(), 9);
    }

    #[test]
    fn many_vectors_take_several_segments() {
        let vectors = vectors(0..SEGMENT as u64 + 1);
        assert_eq!(vectors.growing.iter().map(|segment| segment.len()).collect::<Vec<_>>(), [SEGMENT, 1]);
        assert_eq!(vectors.get(SEGMENT as u32), Ok(Some(vec![SEGMENT as f32, 0.0])));
        assert_eq!(vectors.get(SEGMENT as u32 + 1), Ok(None));
    }

    #[test]
    fn many_growing_vectors_are_compared_by_codes_and_then_in_full_precision() {
        const DIM: usize = 32;
        let config = OpenOptions { metric: Some(Metric::L2), ..OpenOptions::default() }.into_config();
        let value = |at: usize| ((at * 7919) % 1009) as f32;
        let values: Vec<f32> = (0..3000 * DIM).map(value).collect();
        let rows: Vec<u64> = (0..3000).collect();
        let vectors = Vectors::empty(config.options(DIM)).unwrap().with(&rows, &values).unwrap();
        assert!(["sq4", "sq8"].contains(&&*vectors.growing[0].stats().storage));
        let (mut found, k) = (0, 10);
        for query in values.chunks_exact(DIM).step_by(100) {
            let distance = |vector: &[f32]| query.iter().zip(vector).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            let all = values.chunks_exact(DIM).map(distance);
            let mut truth: Vec<(u32, f32)> = (0..).zip(all).collect();
            truth.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            let nearest = vectors.search(&Near { query, ..near(k) }, |_| true).unwrap().rows;
            for (row, got) in nearest {
                let wanted = distance(&values[row as usize * DIM..][..DIM]);
                assert!((got - wanted).abs() <= 1e-4 * wanted, "row {row}: {got}, not {wanted}");
                found += usize::from(got <= truth[k - 1].1 * 1.000_1);
            }
        }
        assert!(found * 100 >= 98 * 30 * k, "{found} of {}", 30 * k);
    }

    #[test]
    fn the_smallest_full_graph_is_merged_into_the_next_once_there_are_as_many_as_may_be() {
        let grown = |vectors: Vectors, count: usize| {
            let first = vectors.graphs().map(|graph| graph.slots()).sum::<usize>() as u64;
            let rows: Vec<u64> = (first..first + count as u64).collect();
            vectors.filling.add(vec![1.0; 2 * count], Some(&rows), &work(1)).unwrap();
            vectors
        };
        let mut vectors = grown(vectors(0..0), 7);
        for count in [5, 6, 4] {
            assert!(vectors.merge(5).is_none());
            vectors = grown(vectors.with_new_graph().unwrap(), count);
        }
        assert!(vectors.merge(5).is_none(), "the filling one is not full");
        let vectors = grown(vectors, 1);
        let (from, into) = vectors.merge(5).unwrap();
        assert_eq!((from.slots(), into.slots()), (5, 6));
        let merged = vectors.with_graphs(&[], &[Arc::clone(from)]);
        assert_eq!(merged.graphs().map(|graph| graph.slots()).collect::<Vec<_>>(), [7, 6, 5]);
        assert!(merged.merge(5).is_none());
        let last = vectors.with_new_graph().unwrap().filling;
        let replaced = merged.with_graphs(&[last], &[Arc::clone(&merged.filling)]);
        assert_eq!(replaced.graphs().map(|graph| graph.slots()).collect::<Vec<_>>(), [7, 6, 0]);
    }

    #[test]
    fn a_row_in_two_indexes_is_found_once() {
        let vectors = vectors(0..5);
        // As by codes, the graph tells other distances: rows 1 and 2 change places.
        vectors.filling.add(vec![2.1, 0.0, 0.9, 0.0], Some(&[1, 2]), &work(1)).unwrap();
        let found = vectors.search(&near(10), |_| true).unwrap();
        assert_eq!(found.rows, [(0, 0.0), (1, 1.0), (2, 4.0), (3, 9.0), (4, 16.0)]);
        // The exact distance of row 2 is not among the first two of the segment.
        let rows = |vectors: &Vectors, k| {
            let found = vectors.search(&near(k), |_| true).unwrap();
            found.rows.iter().map(|(row, _)| *row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&vectors, 2), [0, 2]);
        // As while graphs are merged.
        let merging = vectors.with_new_graph().unwrap();
        merging.filling.add(vec![0.9, 0.0, 7.0, 0.0], Some(&[2, 7]), &work(1)).unwrap();
        assert_eq!(rows(&merging, 10), [0, 1, 2, 3, 4, 7]);
    }
}
