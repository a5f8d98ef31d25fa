//! The options of a search.

use tiercel_store::Record;

use crate::search::expand::Expand;
use crate::search::fuse::Fusion;

/// A search. Without a vector and a text, it finds nothing.
#[derive(Clone, Debug, Default)]
pub struct Search<'a> {
    /// Find records with vectors near this one.
    pub vector: Option<&'a [f32]>,
    /// Find records with these words.
    pub text: Option<&'a str>,
    /// How to read signs and quotes in the text.
    pub syntax: Syntax,
    /// Find only records that pass this filter, in its JSON form.
    pub filter: Option<&'a str>,
    /// The number of results.
    pub k: usize,
    /// The target recall; 1 is an exact search.
    pub recall: Option<f32>,
    /// How to fuse two rankings.
    pub fusion: Fusion,
    /// How to expand the found records.
    pub expand: Option<&'a Expand>,
    /// How many candidates a reranker sees, between [`crate::Collection::candidates`] and
    /// [`crate::Collection::results`].
    pub rerank: Option<usize>,
    /// The weight of relevance when choosing for diversity, from 0 to 1.
    pub mmr: Option<f32>,
    /// The parts that each result includes.
    pub include: Include,
    /// Whether to list the fields that no record has in the plan.
    pub explain: bool,
}

/// The syntax of a text query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// Signs and quotes mean nothing; all words are searched for, and none is required.
    #[default]
    Plain,
    /// `"a phrase"`, `+required`, `-excluded`. With a vector, these constraints of the text apply
    /// to every result.
    Operators,
}

impl Search<'_> {
    /// Return whether there is a ranking by vector, and whether there is one by text.
    pub(crate) fn rankings(&self) -> (bool, bool) {
        match (self.vector.is_some(), self.text.is_some()) {
            (true, true) => self.fusion.counts(),
            given => given,
        }
    }
}

/// The parts of a record that a result includes, besides id and score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is requested separately")]
pub struct Include {
    /// The text.
    pub text: bool,
    /// The metadata.
    pub metadata: bool,
    /// The vector.
    pub vector: bool,
    /// The places of the query words in the text.
    pub highlights: bool,
}

impl Include {
    /// Return the text and the metadata of a record, as far as they are needed.
    pub(crate) fn of(self, record: &Record) -> (Option<&[u8]>, Option<&[u8]>) {
        let text = record.text.as_deref().filter(|_| self.text || self.highlights);
        (text, record.metadata.as_deref().filter(|_| self.metadata))
    }
}
