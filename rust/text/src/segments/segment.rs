//! Documents that are searched together and never change.

use super::dictionary::{Dictionary, hash};
use super::postings::{List, Postings, Runs};
use super::varint::{self, Entries};

/// An immutable part of a text index: the documents of some rows.
///
/// Documents are numbered from 0 in the order of their rows, and terms by decreasing document
/// frequency, then by their characters. Equal documents therefore make equal segments, however they
/// were built, and the frequent terms of a document come first in its list.
///
/// ```text
/// by term      dictionary | postings
/// by document  rows | lengths | forward: entries (term, tf), see `varint`
///              | places: term + 1 of each word, 0 for one left out
/// ```
#[derive(Clone, Debug, Default)]
pub struct Segment {
    pub(crate) rows: Vec<u32>,
    /// Number of terms in each document.
    pub(crate) lengths: Vec<u32>,
    pub(crate) tokens: u64,
    pub(crate) dictionary: Dictionary,
    pub(crate) postings: Postings,
    pub(crate) forward: Runs,
    pub(crate) places: Runs,
}

/// A word that is not indexed, in `places`.
pub(crate) const LEFT_OUT: u32 = u32::MAX;

impl Segment {
    /// Add `first` to every row, for a segment that was built before its rows were known.
    #[must_use]
    pub fn moved(mut self, first: u32) -> Self {
        for row in &mut self.rows {
            *row += first;
        }
        self
    }

    /// Return the number of documents in the segment.
    pub fn documents(&self) -> usize {
        self.rows.len()
    }

    /// Return the number of terms in all documents.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Return the number of distinct terms.
    pub const fn terms(&self) -> usize {
        self.dictionary.len()
    }

    /// Return the rows of the documents, in increasing order.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Return the bytes of memory that the segment takes.
    pub fn memory_bytes(&self) -> usize {
        (self.rows.capacity() + self.lengths.capacity()) * size_of::<u32>()
            + self.dictionary.memory_bytes()
            + self.postings.memory_bytes()
            + self.forward.memory_bytes()
            + self.places.memory_bytes()
    }

    /// Return the term of each word of a document, in the order of the text; [`LEFT_OUT`] for words
    /// left out.
    pub(crate) fn places(&self, document: usize) -> impl Iterator<Item = u32> {
        let mut bytes = self.places.get(document);
        std::iter::from_fn(move || varint::take(&mut bytes)).map(|value| (value as u32).wrapping_sub(1))
    }

    /// Return the distinct terms of a document, in increasing order, and how often it has each.
    #[inline]
    pub(crate) fn forward(&self, document: u32) -> Entries<'_> {
        Entries::new(self.forward.get(document as usize))
    }

    #[inline]
    pub(crate) fn list(&self, term: u32) -> List<'_> {
        self.postings.list(term)
    }

    /// Return the number of a term, and how many documents have it.
    pub(crate) fn term(&self, hash: u64, term: &str) -> Option<(u32, u32)> {
        let id = self.dictionary.id(hash, term)?;
        Some((id, self.postings.dfs[id as usize]))
    }

    /// Return the number of the document of a row.
    pub(crate) fn document(&self, row: u32) -> Option<u32> {
        self.rows.binary_search(&row).ok().map(|at| at as u32)
    }

    /// Return how many documents have a term.
    pub fn document_frequency(&self, term: &str) -> u32 {
        self.term(hash(term), term).map_or(0, |(_, df)| df)
    }
}
