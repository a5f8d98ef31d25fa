//! Documents that are searched together, once written never changed.

use super::dictionary::{Dictionary, hash};
use super::postings::{List, Postings, Runs};
use super::varint::{self, Entries};

/// An immutable part of a text index: the documents of some rows.
///
/// Documents are numbered from 0 in the order of their rows, and terms by falling document frequency, those of equal
/// frequency by their characters. So the same documents give the same segment, however it came about, and the frequent
/// terms of a document are the first in its list.
///
/// ```text
/// by term      dictionary | postings
/// by document  rows | lengths | forward: entries (term, tf), see `varint`
///              | places: term + 1 of each word, 0 for one left out
/// ```
#[derive(Clone, Debug, Default)]
pub struct Segment {
    pub(crate) rows: Vec<u32>,
    /// Terms of each document.
    pub(crate) lengths: Vec<u32>,
    pub(crate) tokens: u64,
    pub(crate) dictionary: Dictionary,
    pub(crate) postings: Postings,
    pub(crate) forward: Runs,
    pub(crate) places: Runs,
}

/// In `places`, a word that is not indexed.
pub(crate) const LEFT_OUT: u32 = u32::MAX;

impl Segment {
    /// With every row larger by `first`: a segment that was built before its rows were known.
    #[must_use]
    pub fn moved(mut self, first: u32) -> Self {
        for row in &mut self.rows {
            *row += first;
        }
        self
    }

    /// Documents in the segment.
    pub fn documents(&self) -> usize {
        self.rows.len()
    }

    /// Terms of all its documents.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Different terms.
    pub const fn terms(&self) -> usize {
        self.dictionary.len()
    }

    /// The rows of its documents, which rise.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        (self.rows.capacity() + self.lengths.capacity()) * size_of::<u32>()
            + self.dictionary.memory_bytes()
            + self.postings.memory_bytes()
            + self.forward.memory_bytes()
            + self.places.memory_bytes()
    }

    /// The terms of a document with the words left out among them, in the order of the text: the term or [`LEFT_OUT`].
    pub(crate) fn places(&self, document: usize) -> impl Iterator<Item = u32> {
        let mut bytes = self.places.get(document);
        std::iter::from_fn(move || varint::take(&mut bytes)).map(|value| (value as u32).wrapping_sub(1))
    }

    /// The different terms of a document, which rise, and how often it has them.
    #[inline]
    pub(crate) fn forward(&self, document: u32) -> Entries<'_> {
        Entries::new(self.forward.get(document as usize))
    }

    #[inline]
    pub(crate) fn list(&self, term: u32) -> List<'_> {
        self.postings.list(term)
    }

    /// The number of a term, and in how many documents it is.
    pub(crate) fn term(&self, hash: u64, term: &str) -> Option<(u32, u32)> {
        let id = self.dictionary.id(hash, term)?;
        Some((id, self.postings.dfs[id as usize]))
    }

    /// The number of the document of a row.
    pub(crate) fn document(&self, row: u32) -> Option<u32> {
        self.rows.binary_search(&row).ok().map(|at| at as u32)
    }

    /// In how many of its documents a term is.
    pub fn document_frequency(&self, term: &str) -> u32 {
        self.term(hash(term), term).map_or(0, |(_, df)| df)
    }
}
