//! The results of a search.

use crate::search::plan::Plan;

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The id.
    pub id: String,
    /// The batch that last wrote it, for the conditions of later writes.
    pub sequence: u64,
    /// The score from the last stage that scores; larger is better.
    pub score: f32,
    /// Distance of its vector, if it was found by vector.
    pub distance: Option<f32>,
    /// Its text, if requested.
    pub text: Option<String>,
    /// Its metadata, if requested.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if requested.
    pub vector: Option<Vec<f32>>,
    /// Begin and end, in characters, of each query word in the text, if requested.
    pub highlights: Option<Vec<(usize, usize)>>,
}

/// The results, and how they were found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Best first.
    pub matches: Vec<Match>,
    /// Whether an exact search would find the same.
    pub exact: bool,
    /// Records that may be missing, because their text or metadata cannot be read.
    pub damaged: u64,
    /// How they were found.
    pub plan: Plan,
}
