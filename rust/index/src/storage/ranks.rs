//! How far down true neighbours rank by code.

/// The target recalls with settings of their own; a search for more is exact.
pub(crate) const TARGETS: [f32; 5] = [0.90, 0.95, 0.98, 0.99, 0.999];

/// Neighbours whose ranks are measured.
pub(crate) const RANKED_K: usize = 10;

/// Candidates that every search keeps for the mistakes of codes.
const SPARE: f64 = 10.0;

/// The ranks of true neighbours by code, as measured when the codes were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranks {
    /// For each of [`TARGETS`], the rank by which all but half of the neighbours that may be missed
    /// have come; 0 if unknown. The other half is left to the walk.
    pub(crate) by_target: [u32; TARGETS.len()],
    /// Number of vectors that were ranked.
    pub(crate) among: u32,
}

impl Ranks {
    /// Summarize the ranks, counted from 1, of true neighbours among `among` vectors. No neighbour
    /// ranks below the last of these, and a file with such a rank would be refused.
    pub(crate) fn of(mut ranks: Vec<u32>, among: usize) -> Self {
        for rank in &mut ranks {
            *rank = (*rank).min(among as u32);
        }
        ranks.sort_unstable();
        let by_target = TARGETS.map(|recall| {
            let missed = ((1.0 - recall) / 2.0 * ranks.len() as f32).round() as usize;
            ranks.len().checked_sub(missed + 1).map_or(0, |last| ranks[last])
        });
        Self { by_target, among: among as u32 }
    }

    /// Return how many candidates codes need beyond `k` and the spare ones, in an index of `slots`
    /// slots. `target` is the place of the recall in [`TARGETS`]. Most codecs need none.
    ///
    /// What ranks before the k-th neighbour by mistake lies at about its distance, within the error
    /// of codes. Its number is proportional to k. With more vectors it grows, but no faster than the
    /// square root of their number as long as the error is smaller than that distance.
    pub(crate) fn beyond(&self, target: usize, k: usize, slots: usize) -> usize {
        let growth = (slots as f64 / f64::from(self.among.max(1))).sqrt().max(1.0);
        // The ranks of fewer neighbours were not measured; they are no larger.
        let k = k.max(RANKED_K) as f64;
        let mistaken = k * (f64::from(self.by_target[target]) / RANKED_K as f64 - 1.0) * growth;
        (mistaken - SPARE).max(0.0).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_may_be_missed_ranks_lower() {
        let all: Vec<u32> = (1..=4000).rev().collect();
        assert_eq!(Ranks::of(all, 5000), Ranks { by_target: [3800, 3900, 3960, 3980, 3998], among: 5000 });
        assert_eq!(Ranks::of(vec![], 7), Ranks { by_target: [0; 5], among: 7 });
        assert_eq!(Ranks::of(vec![3], 7), Ranks { by_target: [3; 5], among: 7 });
    }

    #[test]
    fn no_rank_is_below_the_last_vector() {
        assert_eq!(Ranks::of(vec![9], 7), Ranks { by_target: [7; 5], among: 7 });
    }
}
