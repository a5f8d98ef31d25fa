//! Build segments from texts, or from other segments.

use std::cmp::Reverse;
use std::iter;

use super::dictionary::{Dictionary, hash};
use super::postings::{Postings, Runs};
use super::segment::{LEFT_OUT, Segment};
use super::varint::{self, EntryWriter};
use crate::analysis::tokenizer::{Tokenizer, is_too_long};
use crate::analysis::words::for_each_word;
use crate::errors::BuildError;

/// Most bytes of text in a segment, and of its different terms, which may be longer than the words
/// of the text. The text holds at most half as many words, each of which takes at most 6 bytes in
/// the longest array, so that all offsets stay below 2^32.
const MAX_BYTES: usize = 1 << 30;

/// The documents of a future segment, with terms numbered as they came.
#[derive(Default)]
struct Draft {
    dictionary: Dictionary,
    rows: Vec<u32>,
    /// The end of each document's words.
    ends: Vec<u32>,
    /// The terms of all documents, or [`LEFT_OUT`].
    words: Vec<u32>,
}

impl Segment {
    /// Build a segment of documents from their rows, which must increase, and their texts.
    pub fn build<'a>(
        documents: impl Iterator<Item = (u32, &'a str)>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, BuildError> {
        Self::build_up_to(documents, *tokenizer, MAX_BYTES)
    }

    /// Build a segment of up to `limit` bytes of text, and of terms.
    fn build_up_to<'a>(
        documents: impl Iterator<Item = (u32, &'a str)>,
        tokenizer: Tokenizer,
        limit: usize,
    ) -> Result<Self, BuildError> {
        let mut draft = Draft::default();
        // Each distinct word is folded and stemmed only once.
        let mut words = Dictionary::default();
        let mut term_of_word = Vec::new();
        let mut bytes = 0_usize;
        for (row, text) in documents {
            bytes = bytes.saturating_add(text.len());
            if bytes > limit {
                return Err(BuildError::TooLarge { limit });
            }
            for_each_word(text, |_, word| {
                // Even one text may have more than offsets can count.
                if is_too_long(word) || draft.dictionary.text_bytes() > limit {
                    draft.words.push(LEFT_OUT);
                    return;
                }
                let id = words.add(word) as usize;
                if id == term_of_word.len() {
                    let term = tokenizer.term(word).map_or(LEFT_OUT, |term| draft.dictionary.add(&term));
                    term_of_word.push(term);
                }
                draft.words.push(term_of_word[id]);
            });
            if draft.dictionary.text_bytes() > limit {
                return Err(BuildError::TooManyTerms { limit });
            }
            draft.end(row)?;
        }
        Ok(draft.into_segment())
    }

    /// Whether the documents of all `segments` fit in one segment.
    pub(crate) fn fit_in_one(segments: &[&Self]) -> bool {
        Self::fit_up_to(segments, MAX_BYTES)
    }

    fn fit_up_to(segments: &[&Self], limit: usize) -> bool {
        // A merge may write longer numbers of terms than it read, so the places of a segment may
        // exceed the limit. They still fit: at most 2^29 words have numbers, of up to 5 bytes, and
        // at most 2^30 are left out, which take one byte each.
        if segments.len() <= 1 {
            return true;
        }
        let sum = |bytes: fn(&Self) -> usize| segments.iter().map(|segment| bytes(segment)).sum::<usize>();
        segments.iter().map(|segment| segment.tokens).sum::<u64>() <= limit as u64 / 2
            && sum(|segment| segment.dictionary.text_bytes()) <= limit
            && sum(|segment| segment.places.bytes.len()) <= limit
    }

    /// Build the segment that `build` would make of the documents of all `segments` except the dead
    /// ones. `dead` takes the numbers of the segment and of the document. Rows must increase from
    /// one segment to the next.
    pub(crate) fn merge(segments: &[&Self], dead: impl Fn(usize, u32) -> bool) -> Result<Self, BuildError> {
        Self::merge_up_to(segments, dead, MAX_BYTES)
    }

    fn merge_up_to(segments: &[&Self], dead: impl Fn(usize, u32) -> bool, limit: usize) -> Result<Self, BuildError> {
        let mut draft = Draft::default();
        if !Self::fit_up_to(segments, limit) {
            return Err(BuildError::TooLarge { limit });
        }
        for (number, segment) in segments.iter().enumerate() {
            let terms: Vec<u32> =
                (0..segment.terms()).map(|id| draft.dictionary.add(segment.dictionary.term(id as u32))).collect();
            for (document, row) in segment.rows.iter().enumerate() {
                if dead(number, document as u32) {
                    continue;
                }
                let places = segment.places(document);
                draft.words.extend(places.map(|term| if term == LEFT_OUT { term } else { terms[term as usize] }));
                draft.end(*row)?;
            }
        }
        Ok(draft.into_segment())
    }
}

impl Draft {
    /// End the document whose words were appended since the last end.
    fn end(&mut self, row: u32) -> Result<(), BuildError> {
        match self.rows.last() {
            Some(last) if *last >= row => return Err(BuildError::Order { last: *last, got: row }),
            _ => self.rows.push(row),
        }
        self.ends.push(self.words.len() as u32);
        Ok(())
    }

    /// Return the words of each document.
    fn documents(&self) -> impl Iterator<Item = &[u32]> {
        let starts = iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.words[start as usize..*end as usize])
    }

    fn into_segment(mut self) -> Segment {
        let (dictionary, dfs) = self.number_terms();
        let mut forward = Runs::default();
        let mut places = Runs::default();
        let mut lengths = Vec::with_capacity(self.rows.len());
        let mut lists = Lists::new(&dfs);
        let mut sorted = Vec::new();
        for (document, words) in self.documents().enumerate() {
            sorted.clear();
            for word in words {
                varint::push(&mut places.bytes, u64::from(word.wrapping_add(1)));
                if *word != LEFT_OUT {
                    sorted.push(*word);
                }
            }
            places.end();
            lengths.push(sorted.len() as u32);
            sorted.sort_unstable();
            let mut writer = EntryWriter::default();
            for same in sorted.chunk_by(|a, b| a == b) {
                writer.push(&mut forward.bytes, same[0], same.len() as u32);
                lists.push(same[0], document as u32, same.len() as u32);
            }
            forward.end();
        }
        forward.bytes.shrink_to_fit();
        places.bytes.shrink_to_fit();
        let tokens = lengths.iter().map(|length| u64::from(*length)).sum();
        let postings = lists.into_postings(&dfs, &lengths);
        Segment { rows: self.rows, lengths, tokens, dictionary, postings, forward, places }
    }

    /// Number the terms by decreasing document frequency. Return the dictionary and the
    /// frequencies, without terms that no document has.
    fn number_terms(&mut self) -> (Dictionary, Vec<u32>) {
        let mut df_of = vec![0_u32; self.dictionary.len()];
        let mut last_seen = vec![u32::MAX; self.dictionary.len()];
        for (document, words) in self.documents().enumerate() {
            for term in words.iter().filter(|term| **term != LEFT_OUT) {
                let seen = &mut last_seen[*term as usize];
                df_of[*term as usize] += u32::from(*seen != document as u32);
                *seen = document as u32;
            }
        }
        let mut order: Vec<u32> = (0..self.dictionary.len() as u32).filter(|id| df_of[*id as usize] > 0).collect();
        order.sort_unstable_by_key(|id| (Reverse(df_of[*id as usize]), self.dictionary.term(*id)));
        let mut dictionary = Dictionary::with_capacity(order.len(), self.dictionary.text_bytes());
        let mut new_id = last_seen;
        for id in &order {
            let term = self.dictionary.term(*id);
            new_id[*id as usize] = dictionary.add_new(hash(term), term);
        }
        for word in self.words.iter_mut().filter(|word| **word != LEFT_OUT) {
            *word = new_id[*word as usize];
        }
        (dictionary, order.iter().map(|id| df_of[*id as usize]).collect())
    }
}

/// The lists of all terms, one after the other, while they are filled.
struct Lists {
    /// The place for the next document of each term.
    next: Vec<u32>,
    documents: Vec<u32>,
    tfs: Vec<u32>,
}

impl Lists {
    fn new(dfs: &[u32]) -> Self {
        let mut total = 0;
        let mut next = Vec::with_capacity(dfs.len());
        for df in dfs {
            next.push(total);
            total += df;
        }
        Self { next, documents: vec![0; total as usize], tfs: vec![0; total as usize] }
    }

    fn push(&mut self, term: u32, document: u32, tf: u32) {
        let next = &mut self.next[term as usize];
        self.documents[*next as usize] = document;
        self.tfs[*next as usize] = tf;
        *next += 1;
    }

    fn into_postings(self, dfs: &[u32], lengths: &[u32]) -> Postings {
        let mut postings = Postings::default();
        for (end, df) in self.next.iter().zip(dfs) {
            let range = (end - df) as usize..*end as usize;
            postings.push(&self.documents[range.clone()], &self.tfs[range], lengths);
        }
        postings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(texts: &[String]) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(texts.iter().map(String::as_str))
    }

    #[test]
    fn words_that_grow_when_they_are_folded_count_as_what_they_become() {
        // This letter takes 3 bytes, and 33 in the form that is compared.
        let texts: Vec<String> = (0..10).map(|word| format!("\u{fdfa}{word}")).collect();
        let built = |limit| Segment::build_up_to(documents(&texts), Tokenizer::PLAIN, limit);
        let terms = built(MAX_BYTES).expect("few texts").dictionary.text_bytes();
        assert!(terms > 5 * texts.iter().map(String::len).sum::<usize>(), "{terms} bytes");
        assert!(built(terms).is_ok());
        let limit = terms - 1;
        assert_eq!(built(limit).err(), Some(BuildError::TooManyTerms { limit }));
    }

    #[test]
    fn one_segment_can_always_be_merged() {
        // In a segment of its own, each term has a number of one byte; among all, of two.
        let text = |first: u32| (first..first + 100).map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
        let texts: Vec<String> = (0..20).map(|at| text(100 * at)).collect();
        let limit = 6 * 20 * 100;
        let segments: Vec<Segment> = (0..)
            .zip(&texts)
            .map(|(row, text)| Segment::build([(row, text.as_str())].into_iter(), &Tokenizer::PLAIN).expect("a text"))
            .collect();
        let places = |segments: &[Segment]| segments.iter().map(|segment| segment.places.bytes.len()).sum::<usize>();
        let all: Vec<&Segment> = segments.iter().collect();
        let merged = Segment::merge_up_to(&all, |_, _| false, limit).expect("segments that fit");
        let limit = places(&segments);
        assert!(merged.places.bytes.len() > limit, "renumbered terms take more bytes");
        let again = Segment::merge_up_to(&[&merged], |_, _| false, limit).expect("one segment");
        assert!(again.to_bytes() == merged.to_bytes());
    }
}
