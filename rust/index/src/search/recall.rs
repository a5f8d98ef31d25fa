//! From a target recall to the settings of a search.

use crate::storage::efforts::Efforts;
use crate::storage::ranks::{Ranks, TARGETS};

/// The default target recall.
const DEFAULT: f32 = 0.95;

/// Candidates beyond k for each of [`TARGETS`], as measured at k = 10 on 117,659 text embeddings of
/// 384 dimensions, with a margin of a third. Where the vectors of an index need more, a survey says
/// so (see [`Efforts`]).
const BEYOND: [usize; TARGETS.len()] = [32, 56, 110, 180, 640];

/// Return the place of the least of [`TARGETS`] that is no less than a target recall; `None` for
/// exact search.
pub(crate) fn target_of(recall: Option<f32>) -> Option<usize> {
    let recall = recall.unwrap_or(DEFAULT);
    TARGETS.iter().position(|reached| recall <= *reached)
}

/// Return the usual number of candidates to keep for a target recall, given how codes rank and the
/// number of slots; `None` for exact search.
pub(crate) fn ef_for(recall: Option<f32>, k: usize, ranks: &Ranks, slots: usize) -> Option<usize> {
    Some(walk_for(target_of(recall)?, k, &Efforts::USUAL, ranks, slots))
}

/// Return the number of candidates that a walk keeps for a target, the place of a recall in
/// [`TARGETS`].
pub(crate) fn walk_for(target: usize, k: usize, efforts: &Efforts, ranks: &Ranks, slots: usize) -> usize {
    // The number that a walk needs beyond k grows far more slowly than k.
    let beyond = BEYOND[target] * efforts.percent(target) / 100;
    (k + beyond).saturating_add(ranks.beyond(target, k, slots))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::efforts::Attempt;

    fn ranks(by_target: u32, among: u32) -> Ranks {
        Ranks { by_target: [by_target; TARGETS.len()], among }
    }

    #[test]
    fn codes_that_rank_like_vectors_need_no_more() {
        for ranks in [Ranks::default(), ranks(10, 5000), ranks(20, 5000)] {
            for (recall, beyond) in TARGETS.into_iter().zip(BEYOND) {
                assert_eq!(ef_for(Some(recall), 10, &ranks, 5000), Some(10 + beyond));
            }
        }
        let ef = |recall, by_target, slots| ef_for(recall, 10, &ranks(by_target, 5000), slots);
        assert_eq!(ef(None, 10, 0), ef(Some(DEFAULT), 10, 0));
        assert_eq!(ef(Some(1.0), 50, 5000), None);
    }

    #[test]
    fn coarse_codes_need_what_their_ranks_say() {
        let ef = |k, slots| ef_for(Some(0.95), k, &ranks(50, 5000), slots).expect("a walk");
        let more = |k, slots| ef(k, slots) - k - BEYOND[1];
        assert_eq!([more(1, 5000), more(10, 5000), more(100, 5000)], [30, 30, 390]);
        assert_eq!([more(10, 100), more(10, 4 * 5000)], [30, 70], "by the square root of the growth");
    }

    /// Return the efforts found, and the number of attempts. A walk finds enough for a target if it
    /// keeps the number of candidates in `needed`, and costs too much if it keeps `costly` or more.
    fn searched(needed: [usize; 5], costly: usize) -> (Efforts, usize) {
        let mut tried = 0;
        let found = Efforts::search(|efforts, target| {
            tried += 1;
            Ok::<_, ()>(match walk_for(target, 10, efforts, &Ranks::default(), 5000) {
                kept if kept >= costly => Attempt::TooCostly,
                kept if kept >= needed[target] => Attempt::Enough,
                _ => Attempt::TooFew,
            })
        });
        (found.expect("no error"), tried)
    }

    #[test]
    fn a_survey_finds_the_least_effort_for_each_target() {
        let (found, tried) = searched([100, 250, 100, 400, 7000], usize::MAX);
        assert_eq!(found, Efforts([300, 600, 600, 600, Efforts::NEVER]));
        assert_eq!(tried, Efforts::TRIED.len() + TARGETS.len() - 1, "what one target needed, the next begins with");
        assert_eq!((found.first_missed(), found.suffice(3), found.suffice(4)), (Some(4), true, false));
        assert_eq!(found.walk_anyway(), Efforts([300, 600, 600, 600, 800]));
    }

    #[test]
    fn what_costs_more_than_a_scan_is_not_called_hopeless() {
        let (found, _) = searched([100, 250, 1200, 1200, 7000], 600);
        assert_eq!(found, Efforts([300, 600, 600, 600, 600]));
        assert_eq!(searched([0; 5], 0).0, Efforts::USUAL);
    }
}
