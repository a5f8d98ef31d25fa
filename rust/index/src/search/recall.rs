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

/// Return the number of candidates to keep for a target recall, given what walks need, how codes
/// rank and the number of slots; `None` for exact search.
pub(crate) fn ef_for(recall: Option<f32>, k: usize, efforts: &Efforts, ranks: &Ranks, slots: usize) -> Option<usize> {
    let target = target_of(recall)?;
    // The number that a walk needs beyond k grows far more slowly than k.
    let beyond = BEYOND[target] * efforts.percent(target) / 100;
    Some((k + beyond).saturating_add(ranks.beyond(target, k, slots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(by_target: u32, among: u32) -> Ranks {
        Ranks { by_target: [by_target; TARGETS.len()], among }
    }

    #[test]
    fn codes_that_rank_like_vectors_need_no_more() {
        for ranks in [Ranks::default(), ranks(10, 5000), ranks(20, 5000)] {
            for (recall, beyond) in TARGETS.into_iter().zip(BEYOND) {
                assert_eq!(ef_for(Some(recall), 10, &Efforts::USUAL, &ranks, 5000), Some(10 + beyond));
            }
        }
        let ef = |recall, by_target, slots| ef_for(recall, 10, &Efforts::USUAL, &ranks(by_target, 5000), slots);
        assert_eq!(ef(None, 10, 0), ef(Some(DEFAULT), 10, 0));
        assert_eq!(ef(Some(1.0), 50, 5000), None);
    }

    #[test]
    fn coarse_codes_need_what_their_ranks_say() {
        let ef = |k, slots| ef_for(Some(0.95), k, &Efforts::USUAL, &ranks(50, 5000), slots).expect("a walk");
        let more = |k, slots| ef(k, slots) - k - BEYOND[1];
        assert_eq!([more(1, 5000), more(10, 5000), more(100, 5000)], [30, 30, 390]);
        assert_eq!([more(10, 100), more(10, 4 * 5000)], [30, 70], "by the square root of the growth");
    }

    #[test]
    fn a_survey_finds_the_least_effort_for_each_target() {
        // Walks reach what takes fewer candidates than they keep.
        let needed = [100, 250, 100, 400, 7000];
        let mut tried = Vec::new();
        let found = Efforts::search(|efforts, target| {
            tried.push((target, efforts.0[target]));
            let kept = ef_for(Some(TARGETS[target]), 10, efforts, &Ranks::default(), 5000).expect("a walk");
            Ok::<_, ()>(kept >= needed[target])
        });
        assert_eq!(found, Ok(Efforts([300, 600, 600, 600, Efforts::NEVER])));
        assert_eq!(
            tried.len(),
            Efforts::TRIED.len() + TARGETS.len() - 1,
            "what one target needed, the next begins with"
        );
    }
}
