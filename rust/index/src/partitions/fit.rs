//! Divide vectors into lists: fit centroids, append to lists, and divide lists that grow too large.

use std::sync::Arc;

use tiercel_simd::Level;

use super::assign::{gather, nearest};
use super::centroids::Centroids;
use super::means::Means;
use super::reach::Reach;
use super::{LARGE, Partitions, SAMPLED, lists_for, members};
use crate::errors::Interrupted;
use crate::storage::rows::Rows;
use crate::work::Work;

/// Slots that are appended before the progress is reported.
const PART: usize = 16_384;

/// Vectors to divide, and how.
#[derive(Clone, Copy)]
pub(crate) struct Divide<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) level: Level,
    pub(crate) work: &'a Work<'a>,
}

impl Divide<'_> {
    /// Fit centroids, and put all slots into lists.
    pub(crate) fn all(&self) -> Result<Partitions, Interrupted> {
        let slots: Vec<u32> = (0..self.rows.len() as u32).collect();
        (self.work.progress)(0, slots.len());
        let centroids = self.fit(&slots, lists_for(slots.len()))?;
        let mut partitions = Partitions {
            lists: vec![Arc::default(); centroids.len()],
            centroids: Arc::new(centroids),
            assigned: 0,
            fitted: slots.len(),
            surveyed: 0,
            reach: Reach::default(),
        };
        self.append(&mut partitions)?;
        Ok(partitions)
    }

    /// Put the slots that are in no list into lists, and divide lists that are too large.
    pub(crate) fn append(&self, partitions: &mut Partitions) -> Result<(), Interrupted> {
        let first = partitions.assigned;
        let slots: Vec<u32> = (first as u32..self.rows.len() as u32).collect();
        for part in slots.chunks(PART) {
            (self.work.progress)(partitions.assigned - first, slots.len());
            let lists = nearest(self.rows, part, &partitions.centroids, self.level, self.work)?;
            for (list, new) in partitions.lists.iter_mut().zip(members(&lists, partitions.centroids.len())) {
                if !new.is_empty() {
                    Arc::make_mut(list).extend(new.into_iter().map(|at| part[at as usize]));
                }
            }
            partitions.assigned += part.len();
        }
        self.balance(partitions)
    }

    /// Fit centroids to a sample of slots.
    fn fit(&self, slots: &[u32], count: usize) -> Result<Centroids, Interrupted> {
        let Self { rows, level, work } = *self;
        let step = slots.len().div_ceil(SAMPLED * count).max(1);
        let sample: Vec<u32> = slots.iter().copied().step_by(step).collect();
        let blocks = gather(rows, &sample, level, work)?;
        Means { blocks: &blocks, dim: rows.dim(), metric: rows.metric(), level, work }.fit(count.min(sample.len()))
    }

    /// Divide lists that are too large, and drop those without slots.
    fn balance(&self, partitions: &mut Partitions) -> Result<(), Interrupted> {
        let mean = partitions.assigned.div_ceil(partitions.len());
        let is_right = |list: &Arc<Vec<u32>>| !list.is_empty() && list.len() <= LARGE * mean;
        if partitions.lists.iter().all(is_right) {
            return Ok(());
        }
        let dim = self.rows.dim();
        let (mut lists, mut values) = (Vec::new(), Vec::new());
        for (at, list) in partitions.lists.iter().enumerate() {
            if list.len() <= LARGE * mean {
                if !list.is_empty() {
                    lists.push(Arc::clone(list));
                    values.extend_from_slice(partitions.centroids.of(at));
                }
                continue;
            }
            let centroids = self.fit(list, list.len().div_ceil(mean))?;
            let nearest = nearest(self.rows, list, &centroids, self.level, self.work)?;
            for (part, members) in members(&nearest, centroids.len()).iter().enumerate() {
                // What centroids cannot tell apart is divided by order.
                let together = if members.len() > LARGE * mean { mean } else { members.len().max(1) };
                for some in members.chunks(together) {
                    lists.push(Arc::new(some.iter().map(|at| list[*at as usize]).collect()));
                    values.extend_from_slice(centroids.of(part));
                }
            }
        }
        let added = lists.len().saturating_sub(partitions.lists.len()) as u32;
        partitions.reach.added = partitions.reach.added.saturating_add(added);
        partitions.lists = lists;
        partitions.centroids = Arc::new(Centroids::new(values, dim, self.rows.metric()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tiercel_quant::split_mix;

    use super::*;
    use crate::options::{Metric, Options};

    const DIM: usize = 6;

    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 7;
        (0..count).map(|_| split_mix(&mut state) as f32 / u64::MAX as f32 - 0.5).collect()
    }

    fn rows(metric: Metric, vectors: &[f32]) -> Rows {
        let stop = AtomicBool::new(false);
        let mut rows = Rows::new(&Options::new(DIM, metric));
        rows.append(vectors, &Work::quiet(1, &stop)).expect("memory");
        rows
    }

    fn divided(rows: &Rows, threads: usize, level: Level) -> Partitions {
        let stop = AtomicBool::new(false);
        Divide { rows, level, work: &Work::quiet(threads, &stop) }.all().expect("nobody stops it")
    }

    fn assert_balanced(partitions: &Partitions, slots: usize) {
        let mut all: Vec<u32> = (0..partitions.len()).flat_map(|list| partitions.list(list)).copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..slots as u32), "each slot is in one list");
        assert!(partitions.len() <= 2 * lists_for(slots), "{} lists", partitions.len());
        let largest = (0..partitions.len()).map(|list| partitions.list(list).len()).max();
        assert!(largest <= Some(LARGE * slots.div_ceil(lists_for(slots))), "{largest:?} in a list");
    }

    #[test]
    fn lists_are_the_same_for_all_threads_and_instruction_sets() {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let rows = rows(metric, &numbers(3000 * DIM));
            let expected = divided(&rows, 1, Level::Scalar);
            assert_balanced(&expected, 3000);
            for level in Level::available() {
                let other = divided(&rows, 3, level);
                assert_eq!(other.list_of_each(), expected.list_of_each(), "{level:?}");
                assert_eq!(other.centroids.values(), expected.centroids.values(), "{level:?}");
            }
        }
    }

    #[test]
    fn a_vector_is_in_the_list_of_its_nearest_centroid() {
        let rows = rows(Metric::L2, &numbers(2000 * DIM));
        let partitions = divided(&rows, 2, Level::Scalar);
        let (mut right, mut row) = (0, Vec::new());
        for (slot, list) in partitions.list_of_each().into_iter().enumerate() {
            rows.vector(slot, &mut row);
            let square = |list: usize| -> f32 {
                partitions.centroids.of(list).iter().zip(&row).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            // Bytes are not exact.
            right += usize::from((0..partitions.len()).all(|other| square(list as usize) <= 1.1 * square(other)));
        }
        assert!(right >= 1980, "{right} of 2000");
    }

    #[test]
    fn equal_vectors_are_divided_too() {
        let rows = rows(Metric::Cosine, &numbers(DIM).repeat(2500));
        assert_balanced(&divided(&rows, 2, Level::Scalar), 2500);
    }

    #[test]
    fn vectors_that_come_later_join_lists_that_are_divided_when_they_grow() {
        let stop = AtomicBool::new(false);
        let work = Work::quiet(2, &stop);
        let vectors = numbers(2000 * DIM);
        let mut all = rows(Metric::L2, &vectors);
        let before = divided(&all, 1, Level::Scalar);
        let mut after = before.clone();
        all.append(&vectors[..10 * DIM], &work).expect("memory");
        let divide = |rows: &Rows, partitions: &mut Partitions| {
            Divide { rows, level: Level::Scalar, work: &work }.append(partitions).expect("nobody stops it");
        };
        divide(&all, &mut after);
        assert_eq!((before.assigned(), after.assigned(), after.fitted), (2000, 2010, 2000));
        // Each is in the list of its equal.
        let lists = after.list_of_each();
        assert_eq!(lists[2000..], lists[..10]);
        let shared = before.lists.iter().zip(&after.lists).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert!(shared >= before.len() - 10, "the others are shared");
        all.append(&numbers(DIM).repeat(1000), &work).expect("memory");
        divide(&all, &mut after);
        assert_balanced(&after, 3010);
    }

    #[test]
    fn any_numbers_are_divided() {
        for scale in [f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.0] {
            let vectors: Vec<f32> = numbers(500 * DIM).iter().map(|value| value * scale).collect();
            for metric in [Metric::Dot, Metric::L2] {
                let rows = rows(metric, &vectors);
                let partitions = divided(&rows, 2, Level::Scalar);
                assert_balanced(&partitions, 500);
                assert!(partitions.centroids.values().iter().all(|value| value.is_finite()), "{scale}");
            }
        }
    }
}
