//! Score one document from its own list of terms.

use super::query::{Clause, Occur, Query};
use crate::bm25::Saturation;
use crate::segments::postings::List;
use crate::segments::segment::Segment;

/// The weights of the terms of a query in a search.
pub(crate) struct Weights {
    /// The weight of each term, before occurrences saturate.
    idf: Vec<f32>,
    /// The weight of each term times how often it is searched for as a single word.
    words: Vec<f32>,
}

impl Weights {
    pub(crate) fn new(query: &Query, idf: Vec<f32>) -> Self {
        let mut words = vec![0.0; idf.len()];
        for (term, times) in query.words() {
            words[term] += times as f32 * idf[term];
        }
        Self { idf, words }
    }
}

/// Scores documents of a segment for a query.
pub(crate) struct Scorer<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) query: &'a Query,
    pub(crate) saturation: Saturation,
    weights: &'a Weights,
    ids: Vec<Option<u32>>,
    /// The terms in the segment: (number in the segment, number in the query), in increasing order.
    known: Vec<(u32, u32)>,
    /// How often the last read document has each term.
    tfs: Vec<u32>,
    places: Vec<u32>,
}

impl<'a> Scorer<'a> {
    /// Make a scorer; `ids` has the number in the segment of each term of the query, if it is
    /// there.
    pub(crate) fn new(
        segment: &'a Segment,
        query: &'a Query,
        ids: Vec<Option<u32>>,
        weights: &'a Weights,
        saturation: Saturation,
    ) -> Self {
        let mut known: Vec<_> = (0..).zip(&ids).filter_map(|(term, id)| Some(((*id)?, term))).collect();
        known.sort_unstable();
        let tfs = vec![0; ids.len()];
        Self { segment, query, saturation, weights, ids, known, tfs, places: Vec::new() }
    }

    /// Return the weights and lists of the terms that are searched for as single words and are in
    /// the segment.
    pub(crate) fn words(&self) -> impl Iterator<Item = (f32, List<'a>)> {
        let terms = self.weights.words.iter().zip(&self.ids).filter(|(weight, _)| **weight > 0.0);
        terms.filter_map(|(weight, id)| Some((*weight, self.segment.list((*id)?))))
    }

    /// Return the list of the rarest word of a clause; `None` if one of its words is not in the
    /// segment.
    pub(crate) fn rarest(&self, clause: &Clause) -> Option<(u32, List<'a>)> {
        // Terms are numbered by decreasing frequency.
        let mut highest = 0;
        for word in &clause.words {
            highest = highest.max(self.ids[word.term]?);
        }
        Some((highest, self.segment.list(highest)))
    }

    /// Return the list of the rarest word of all clauses; `None` if one of their words is not in
    /// the segment.
    pub(crate) fn rarest_of(&self, clauses: &[&Clause]) -> Option<List<'a>> {
        let lists: Option<Vec<_>> = clauses.iter().map(|clause| self.rarest(clause)).collect();
        // Terms are numbered by decreasing frequency.
        lists?.into_iter().max_by_key(|(term, _)| *term).map(|(_, list)| list)
    }

    /// Return the documents with any of these words and phrases, in increasing order.
    pub(crate) fn with_any(&mut self, clauses: &[&Clause]) -> Vec<u32> {
        let mut found = Vec::new();
        for clause in clauses {
            let Some((_, rarest)) = self.rarest(clause) else { continue };
            rarest.for_each_document(|document| {
                if !clause.is_phrase() || self.has_all(document, &[clause]) {
                    found.push(document);
                }
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Return the score of a document, if the query finds it.
    pub(crate) fn score(&mut self, document: u32) -> Option<f32> {
        self.read(document);
        let (query, length) = (self.query, self.segment.lengths[document as usize]);
        let mut score = 0.0;
        for clause in &query.clauses {
            let holds = self.holds(document, clause);
            match clause.occur {
                Occur::Excluded if holds => return None,
                Occur::Required if !holds => return None,
                Occur::Required | Occur::Optional if holds && clause.is_phrase() => {
                    score += self.phrase(clause, length);
                }
                _ => {}
            }
        }
        for (weight, tf) in self.weights.words.iter().zip(&self.tfs) {
            if *tf > 0 {
                score += weight * self.saturation.part(*tf, length);
            }
        }
        (score > 0.0).then_some(score)
    }

    /// Whether a document has all these words and phrases.
    pub(crate) fn has_all(&mut self, document: u32, clauses: &[&Clause]) -> bool {
        self.read(document);
        clauses.iter().all(|clause| self.holds(document, clause))
    }

    /// Return the score that a phrase adds to a document, if it has the phrase.
    pub(crate) fn phrase_score(&mut self, document: u32, clause: &Clause) -> Option<f32> {
        self.read(document);
        self.holds(document, clause).then(|| self.phrase(clause, self.segment.lengths[document as usize]))
    }

    fn phrase(&self, clause: &Clause, length: u32) -> f32 {
        let part = |term: usize| self.weights.idf[term] * self.saturation.part(self.tfs[term], length);
        clause.times as f32 * clause.words.iter().map(|word| part(word.term)).sum::<f32>()
    }

    /// Read how often a document has each term.
    #[inline]
    fn read(&mut self, document: u32) {
        self.tfs.fill(0);
        let Some((last, _)) = self.known.last() else { return };
        let mut known = self.known.iter();
        let mut wanted = known.next();
        for (id, tf) in self.segment.forward(document) {
            while let Some((known_id, term)) = wanted
                && *known_id <= id
            {
                if *known_id == id {
                    self.tfs[*term as usize] = tf;
                }
                wanted = known.next();
            }
            if id >= *last {
                break;
            }
        }
    }

    /// Whether the last read document has the word, or the words in this order.
    fn holds(&mut self, document: u32, clause: &Clause) -> bool {
        if clause.words.iter().any(|word| self.tfs[word.term] == 0) {
            return false;
        }
        if !clause.is_phrase() {
            return true;
        }
        self.places.clear();
        self.places.extend(self.segment.places(document as usize));
        let (places, ids) = (&self.places, &self.ids);
        (0..places.len())
            .any(|start| clause.words.iter().all(|word| places.get(start + word.offset).copied() == ids[word.term]))
    }
}
