//! What a search finds.

use crate::search::plan::Plan;

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: String,
    /// The batch that wrote it last, for the conditions of later writes.
    pub sequence: u64,
    /// Larger is better: that of the last stage that gives scores.
    pub score: f32,
    /// Distance of its vector, if it was found by that.
    pub distance: Option<f32>,
    /// Its text, if wanted.
    pub text: Option<String>,
    /// Its metadata, if wanted.
    pub metadata: Option<Vec<u8>>,
    /// Its vector, if wanted.
    pub vector: Option<Vec<f32>>,
    /// Where the words of the query stand in the text, if wanted: begin and end in characters.
    pub highlights: Option<Vec<(usize, usize)>>,
}

/// What was found, and how.
#[derive(Clone, Debug)]
pub struct Found {
    /// Best first.
    pub matches: Vec<Match>,
    /// Whether these are what an exact search finds.
    pub exact: bool,
    /// Records that may be missing, because their text or metadata cannot be read.
    pub damaged: u64,
    /// How it was found.
    pub plan: Plan,
}
