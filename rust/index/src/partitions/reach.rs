//! How many lists, nearest first, hold the true neighbours of a vector.

use crate::storage::ranks::TARGETS;

/// Numbers of neighbours whose lists are measured.
pub(crate) const FEW: usize = 10;
pub(crate) const MANY: usize = 100;

/// The share by which more lists are searched than measured, and lists beyond that: the sample is
/// small, and its vectors are in a list themselves.
const MARGIN: f64 = 1.25;
const BEYOND: f64 = 1.0;

/// For each of [`TARGETS`], the number of lists, nearest first, that hold all but half of the
/// neighbours that may be missed, as measured. The other half is left to codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Of the [`FEW`] nearest.
    pub(crate) few: [u32; TARGETS.len()],
    /// Of the [`MANY`] nearest.
    pub(crate) many: [u32; TARGETS.len()],
    /// Number of living vectors when this was measured.
    pub(crate) among: u32,
    /// Lists that divisions have added since. Each can push a neighbour one list further.
    pub(crate) added: u32,
}

impl Default for Reach {
    /// All lists: nothing was measured.
    fn default() -> Self {
        Self { few: [u32::MAX; TARGETS.len()], many: [u32::MAX; TARGETS.len()], among: 0, added: 0 }
    }
}

/// Return for each of [`TARGETS`] how many lists hold enough of the neighbours whose lists have these
/// ranks, counted from 1.
pub(crate) fn enough(mut ranks: Vec<u32>) -> [u32; TARGETS.len()] {
    ranks.sort_unstable();
    TARGETS.map(|recall| {
        let missed = ((1.0 - recall) / 2.0 * ranks.len() as f32).round() as usize;
        ranks.len().checked_sub(missed + 1).map_or(u32::MAX, |last| ranks[last])
    })
}

impl Reach {
    /// Return how many lists to search for the nearest `k` of `available` vectors; `target` is the
    /// place of the recall in [`TARGETS`].
    ///
    /// The `k` nearest of what deletions and a filter leave are as far away as more were of all.
    /// Between the two numbers of neighbours that were measured, the lists grow by a power of `k`.
    /// Beyond them they grow no faster than `k`.
    pub(crate) fn lists(&self, target: usize, k: usize, available: usize) -> usize {
        let k = k as f64 * (f64::from(self.among) / available.max(1) as f64).max(1.0);
        let (few, many) = (f64::from(self.few[target]), f64::from(self.many[target]).max(1.0));
        let share = (k / FEW as f64).ln() / (MANY as f64 / FEW as f64).ln();
        let measured = match share {
            ..=0.0 => few,
            0.0..=1.0 => few * (many / few.max(1.0)).max(1.0).powf(share),
            _ => many.max(few) * k / MANY as f64,
        };
        (measured * MARGIN + BEYOND).ceil() as usize + self.added as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_may_be_missed_is_in_other_lists() {
        assert_eq!(enough((1..=4000).rev().collect()), [3800, 3900, 3960, 3980, 3998]);
        assert_eq!(enough(vec![3]), [3; 5]);
        assert_eq!(enough(vec![]), Reach::default().few);
    }

    #[test]
    fn more_neighbours_are_in_more_lists() {
        let reach = Reach { few: [8; 5], many: [32; 5], among: 1000, added: 0 };
        assert_eq!([1, 10, 31, 100, 200].map(|k| reach.lists(1, k, 1000)), [11, 11, 21, 41, 81]);
        assert_eq!([2000, 500, 100, 10].map(|available| reach.lists(1, 10, available)), [11, 17, 41, 401]);
        assert_eq!(Reach { added: 3, ..reach }.lists(1, 10, 1000), 14);
        assert!(Reach::default().lists(0, 10, 1000) > u32::MAX as usize);
    }
}
