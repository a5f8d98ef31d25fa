//! The rows that pass a filter, with the vectors of graphs that have them.

use std::ops::Range;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use tiercel_index::{Chosen, Index};

/// Rows that pass a filter. Clones share them.
#[derive(Clone)]
pub(crate) struct Passing(Arc<Shared>);

struct Shared {
    rows: RoaringBitmap,
    /// To choose vectors takes a lookup for each row, so later searches use the same choice.
    picked: Mutex<Vec<Picked>>,
}

/// A choice of vectors of a graph.
#[derive(Clone)]
struct Picked {
    graph: Weak<Index>,
    chosen: Arc<Chosen>,
    /// Rows that were among the passing ones and no longer are, or the other way round.
    changed: RoaringBitmap,
}

/// Choose the vectors of a filter from scratch if more than one row in this many has changed.
const CHANGED: u64 = 8;

impl Passing {
    pub(crate) fn new(rows: RoaringBitmap) -> Self {
        Self(Arc::new(Shared { rows, picked: Mutex::default() }))
    }

    pub(crate) fn rows(&self) -> &RoaringBitmap {
        &self.0.rows
    }

    /// Take over the choice of earlier rows, as far as they are the same.
    pub(crate) fn follow(&self, earlier: &Self) {
        let mut picked = earlier.0.picked.lock().clone();
        if picked.is_empty() {
            return;
        }
        let changed = self.rows() ^ earlier.rows();
        for picked in &mut picked {
            picked.changed ^= &changed;
        }
        picked.retain(|picked| picked.changed.len() * CHANGED <= self.rows().len());
        *self.0.picked.lock() = picked;
    }

    /// Return those of the rows that a growing segment may have, whose rows ascend.
    pub(crate) fn within(&self, segment: &Index) -> Vec<u64> {
        let Some((first, last)) = segment.ends() else { return Vec::new() };
        self.rows().range(first as u32..=last as u32).map(u64::from).collect()
    }

    /// Choose from scratch, among the rows that the graph may have.
    fn choose(&self, graph: &Index) -> Chosen {
        loop {
            let span = graph.span();
            let ids: Vec<u64> = self.between(&span).collect();
            let chosen = graph.choose(&ids);
            // Rows that came in meanwhile would be missing for as long as this choice is used.
            if graph.span() == span {
                return chosen;
            }
        }
    }

    /// Return those of the rows that are in a range.
    fn between(&self, span: &Range<u64>) -> impl Iterator<Item = u64> {
        let row = |id: u64| u32::try_from(id).unwrap_or(u32::MAX);
        let last = span.end.checked_sub(1).filter(|last| *last >= span.start);
        let rows = last.map(|last| self.rows().range(row(span.start)..=row(last)));
        rows.into_iter().flatten().map(u64::from)
    }

    /// Return the vectors of a graph that have these rows.
    pub(crate) fn chosen(&self, graph: &Arc<Index>) -> Arc<Chosen> {
        let mut picked = self.0.picked.lock();
        let known = picked.iter().position(|picked| std::ptr::eq(picked.graph.as_ptr(), Arc::as_ptr(graph)));
        let chosen = match known.map(|place| picked.swap_remove(place)) {
            Some(Picked { chosen, changed, .. }) if changed.is_empty() && graph.has_all(&chosen) => chosen,
            Some(Picked { chosen, changed, .. }) => {
                let passes = |row| u32::try_from(row).is_ok_and(|row| self.rows().contains(row));
                Arc::new(graph.choose_again(&chosen, changed.iter().map(u64::from), passes))
            }
            None => Arc::new(self.choose(graph)),
        };
        picked.retain(|picked| picked.graph.strong_count() > 0);
        let (graph, changed) = (Arc::downgrade(graph), RoaringBitmap::new());
        picked.push(Picked { graph, chosen: Arc::clone(&chosen), changed });
        chosen
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tiercel_index::{Filter, Metric, Options};

    use super::*;
    use crate::state::vectors::work;

    fn index(ids: std::ops::Range<u64>) -> Arc<Index> {
        let index = Index::new(Options::new(1, Metric::L2)).unwrap();
        add(&index, ids);
        Arc::new(index)
    }

    fn add(index: &Index, ids: std::ops::Range<u64>) {
        let ids: Vec<u64> = ids.collect();
        index.add(vec![1.0; ids.len()], Some(&ids), &work(1)).unwrap();
    }

    fn count(passing: &Passing, index: &Arc<Index>) -> usize {
        index.count(Some(&Filter::Chosen(&passing.chosen(index)))).unwrap()
    }

    #[test]
    fn a_choice_follows_the_rows_and_the_index() {
        let main = index(0..100);
        let passing = Passing::new((0..1000).step_by(2).collect());
        assert_eq!(count(&passing, &main), 50);
        // What was chosen stays chosen.
        assert!(Arc::ptr_eq(&passing.chosen(&main), &passing.chosen(&main)));
        add(&main, 100..200);
        assert_eq!(count(&passing, &main), 100);
        main.delete(&[0, 2, 3]);
        assert_eq!(count(&passing, &main), 98);
        // Some rows no longer pass, others do now; twice, before anyone chooses.
        let mut rows = passing.rows().clone();
        rows.remove_range(0..20);
        let next = Passing::new(rows.clone());
        next.follow(&passing);
        rows.extend([5, 7, 1001]);
        rows.insert(10);
        let last = Passing::new(rows);
        last.follow(&next);
        add(&main, 1001..1002);
        assert_eq!(count(&last, &main), 90 + 3 + 1);
        assert_eq!(count(&passing, &main), 98);
        // Another index has other vectors.
        assert_eq!(count(&last, &index(0..20)), 3);
    }

    #[test]
    fn rows_that_come_in_while_a_graph_is_asked_are_chosen() {
        let graph = index(0..1);
        let rows: RoaringBitmap = (0..20_000).collect();
        let mut made = vec![Passing::new(rows.clone())];
        thread::scope(|scope| {
            let adding = scope.spawn(|| (1..200).for_each(|batch| add(&graph, 100 * batch..100 * (batch + 1))));
            while !adding.is_finished() {
                let passing = Passing::new(rows.clone());
                passing.chosen(&graph);
                made.push(passing);
            }
        });
        for passing in made {
            assert_eq!(count(&passing, &graph), graph.len());
        }
    }

    #[test]
    fn rows_that_have_little_in_common_are_chosen_anew() {
        let main = index(0..100);
        let passing = Passing::new((0..40).collect());
        assert_eq!(count(&passing, &main), 40);
        let other = Passing::new((50..60).collect());
        other.follow(&passing);
        assert!(other.0.picked.lock().is_empty());
        assert_eq!(count(&other, &main), 10);
    }
}
