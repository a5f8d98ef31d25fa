//! Searches: what can be asked, and what comes back.

use tiercel_store::Record;

use crate::search::expand::Expand;
use crate::search::fuse::Fusion;

/// What to look for. Without a vector and a text, nothing is found.
#[derive(Clone, Debug, Default)]
pub struct Search<'a> {
    /// Find records with vectors near this one.
    pub vector: Option<&'a [f32]>,
    /// Find records with these words.
    pub text: Option<&'a str>,
    /// What signs and quotes in the text mean.
    pub syntax: Syntax,
    /// Only among the records that pass this filter, in its JSON form.
    pub filter: Option<&'a str>,
    /// Results wanted.
    pub k: usize,
    /// Share of the true nearest wanted; 1 is exact search.
    pub recall: Option<f32>,
    /// How two rankings become one.
    pub fusion: Fusion,
    /// Go on from what was found.
    pub expand: Option<&'a Expand>,
    /// How many candidates a reranker is to see, between [`crate::Collection::candidates`] and [`crate::Collection::results`].
    pub rerank: Option<usize>,
    /// Choose for diversity: the weight of relevance, from 0 to 1.
    pub mmr: Option<f32>,
    /// What each result brings along.
    pub include: Include,
    /// Whether the plan is to name the fields that no record has.
    pub explain: bool,
}

/// What signs and quotes in a text mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Nothing: all words are looked for, and none must be there.
    #[default]
    Plain,
    /// `"a phrase"`, `+required`, `-excluded`. Beside a vector, what the text requires, excludes and quotes holds for every result.
    Operators,
}

impl Search<'_> {
    /// Whether there is a ranking by vector, and one by text.
    pub(crate) fn rankings(&self) -> (bool, bool) {
        match (self.vector.is_some(), self.text.is_some()) {
            (true, true) => self.fusion.counts(),
            given => given,
        }
    }
}

/// What a result brings along besides id and score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
pub struct Include {
    /// The text.
    pub text: bool,
    /// The metadata.
    pub metadata: bool,
    /// The vector.
    pub vector: bool,
    /// Where the words of the query stand in the text.
    pub highlights: bool,
}

impl Include {
    /// The text and the metadata of a record, as far as they are needed.
    pub(crate) fn of(self, record: &Record) -> (Option<&[u8]>, Option<&[u8]>) {
        let text = record.text.as_deref().filter(|_| self.text || self.highlights);
        (text, record.metadata.as_deref().filter(|_| self.metadata))
    }
}
