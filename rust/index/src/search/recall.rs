//! From a target recall to the settings of a search.

/// The default target recall.
const DEFAULT: f32 = 0.95;

/// Candidates by recall, as measured at k = 10 on 117,659 text embeddings of 384 dimensions, with a
/// margin of a third. The table is fixed and does not depend on the vectors of an index.
const TABLE: [(f32, usize); 5] = [(0.90, 32), (0.95, 56), (0.98, 110), (0.99, 180), (0.999, 640)];

/// Candidates of the table at k = 10 for the default target.
const USUAL: usize = 10 + TABLE[1].1;

/// Codes with the ten nearest among the first so many need no more candidates than full vectors do.
const SHALLOW: usize = 20;

/// Return the candidates to keep in place of `ef` for codes that have nearly all of the ten nearest
/// among the first `depth`. A walk must find these, too, so they are added to what it needs by
/// itself; for a higher target than the default, in proportion.
pub(crate) fn widened(ef: usize, k: usize, depth: usize) -> usize {
    if depth <= SHALLOW {
        return ef;
    }
    let of_k = depth.saturating_mul(k.max(10)).div_ceil(10);
    ef.saturating_add(of_k.saturating_mul(ef.max(USUAL)).div_ceil(USUAL))
}

/// Return the candidates to keep for a target recall; `None` for exact search.
pub(crate) fn ef_for(recall: Option<f32>, k: usize) -> Option<usize> {
    let recall = recall.unwrap_or(DEFAULT);
    let (_, at_ten) = TABLE.iter().find(|(reached, _)| recall <= *reached)?;
    // The number that a walk needs beyond k grows far more slowly than k.
    Some(k + at_ten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_codes_widen_a_search_by_their_depth() {
        assert_eq!([0, 10, 20].map(|depth| widened(66, 10, depth)), [66, 66, 66]);
        assert_eq!(widened(42, 10, 100), 142);
        assert_eq!(widened(66, 10, 100), 166);
        assert_eq!(widened(132, 10, 100), 332);
        assert_eq!(widened(66, 40, 100), 466);
        assert_eq!(widened(usize::MAX, 10, 100), usize::MAX);
    }
}
