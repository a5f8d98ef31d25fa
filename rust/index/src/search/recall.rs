//! From a target recall to the settings of a search.

/// The default target recall.
const DEFAULT: f32 = 0.95;

/// Candidates by recall, as measured at k = 10 on 117,659 text embeddings of 384 dimensions, with a
/// margin of a third. The table is fixed and does not depend on the vectors of an index.
const TABLE: [(f32, usize); 5] = [(0.90, 32), (0.95, 56), (0.98, 110), (0.99, 180), (0.999, 640)];

/// Return the candidates to keep for a target recall; `None` for exact search.
pub(crate) fn ef_for(recall: Option<f32>, k: usize) -> Option<usize> {
    let recall = recall.unwrap_or(DEFAULT);
    let (_, at_ten) = TABLE.iter().find(|(reached, _)| recall <= *reached)?;
    // The number that a walk needs beyond k grows far more slowly than k.
    Some(k + at_ten)
}
