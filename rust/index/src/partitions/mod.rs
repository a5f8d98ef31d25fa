//! Vectors in lists, each of those nearest to a centroid, so that a search compares only the vectors
//! of the nearest lists (an inverted file; Jégou, Douze and Schmid 2011).

mod assign;
pub(crate) mod centroids;
pub(crate) mod fit;
mod means;
pub(crate) mod reach;

use std::sync::Arc;

use crate::partitions::centroids::Centroids;
use crate::partitions::reach::Reach;

/// Lists per square root of the number of vectors, as measured (`docs/design/performance.md`,
/// "IVF").
const LISTS: usize = 4;

/// Most vectors per list that centroids are fitted to; at least half as many, if there are.
const SAMPLED: usize = 64;

/// A list with this many times the mean is divided: neither a cluster nor a repeated vector may make
/// searches compare everything.
const LARGE: usize = 4;

/// The first slots of an index, each in one list. A clone shares the lists, and a change to the
/// clone copies only those that change.
#[derive(Clone)]
pub(crate) struct Partitions {
    centroids: Arc<Centroids>,
    /// The slots of each centroid, in order.
    lists: Vec<Arc<Vec<u32>>>,
    /// Number of slots in lists.
    assigned: usize,
    /// Number of slots when the centroids were fitted.
    pub(crate) fitted: usize,
    /// Number of slots in lists when [`Self::reach`] was measured; 0 if it was not.
    pub(crate) surveyed: usize,
    /// How many lists hold the true neighbours.
    pub(crate) reach: Reach,
}

/// Return about how many lists `slots` slots are divided into; large lists are divided further, into
/// at most as many again.
pub(crate) fn lists_for(slots: usize) -> usize {
    (LISTS * slots.isqrt()).clamp(1, slots.max(1))
}

/// Return the members of `count` lists, given the list of each.
fn members(lists: &[u32], count: usize) -> Vec<Vec<u32>> {
    let mut sizes = vec![0; count];
    for list in lists {
        sizes[*list as usize] += 1;
    }
    let mut members: Vec<Vec<u32>> = sizes.into_iter().map(Vec::with_capacity).collect();
    for (member, list) in (0..).zip(lists) {
        members[*list as usize].push(member);
    }
    members
}

impl Partitions {
    /// Make partitions of the list of each of the first slots; `None` if a list has no centroid.
    pub(crate) fn of(
        centroids: Centroids,
        list_of: &[u32],
        fitted: usize,
        surveyed: usize,
        reach: Reach,
    ) -> Option<Self> {
        if list_of.iter().any(|list| *list as usize >= centroids.len()) {
            return None;
        }
        let lists = members(list_of, centroids.len()).into_iter().map(Arc::new).collect();
        Some(Self { centroids: Arc::new(centroids), lists, assigned: list_of.len(), fitted, surveyed, reach })
    }

    pub(crate) fn centroids(&self) -> &Centroids {
        &self.centroids
    }

    /// Number of lists.
    pub(crate) const fn len(&self) -> usize {
        self.lists.len()
    }

    /// Number of slots in lists, which are the first ones.
    pub(crate) const fn assigned(&self) -> usize {
        self.assigned
    }

    /// Return the slots of a list, all below [`Self::assigned`].
    pub(crate) fn list(&self, list: usize) -> &[u32] {
        &self.lists[list]
    }

    /// Return the list of each slot.
    pub(crate) fn list_of_each(&self) -> Vec<u32> {
        let mut out = vec![0; self.assigned];
        for (at, list) in (0..).zip(&self.lists) {
            for slot in &**list {
                out[*slot as usize] = at;
            }
        }
        out
    }

    /// Memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let slots: usize = self.lists.iter().map(|list| list.capacity() * size_of::<u32>()).sum();
        slots + self.lists.capacity() * LIST_BYTES + self.centroids.bytes()
    }

    /// Give back spare memory.
    pub(crate) fn shrink(&mut self) {
        self.lists.shrink_to_fit();
        for list in self.lists.iter_mut().filter(|list| list.capacity() > list.len()) {
            Arc::make_mut(list).shrink_to_fit();
        }
    }
}

/// Bytes of a list beside its slots: a pointer to it, two counts of pointers, and the list itself.
const LIST_BYTES: usize = size_of::<Arc<Vec<u32>>>() + 2 * size_of::<usize>() + size_of::<Vec<u32>>();

/// Return the most bytes of partitions of `slots` slots without spare memory.
pub(crate) fn most_bytes(slots: usize, dim: usize) -> usize {
    // A value in full precision and one in bytes, and two floats.
    let centroid = dim * (size_of::<f32>() + 1) + 2 * size_of::<f32>();
    slots * size_of::<u32>() + 2 * lists_for(slots) * (LIST_BYTES + centroid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Metric;

    fn partitions(list_of: &[u32]) -> Option<Partitions> {
        let centroids = Centroids::new(vec![0.0, 1.0, 2.0], 1, Metric::L2);
        Partitions::of(centroids, list_of, list_of.len(), 0, Reach::default())
    }

    #[test]
    fn lists_are_read_as_they_were_written() {
        let list_of = [2, 0, 2, 2, 0];
        let partitions = partitions(&list_of).expect("lists with centroids");
        assert_eq!([0, 1, 2].map(|list| partitions.list(list)), [&[1, 4][..], &[], &[0, 2, 3]]);
        assert_eq!(partitions.list_of_each(), list_of);
        assert_eq!((partitions.len(), partitions.assigned()), (3, 5));
    }

    #[test]
    fn a_list_without_a_centroid_is_refused() {
        assert!(partitions(&[0, 3]).is_none());
    }
}
