//! Search without required terms, among the documents whose sums of scores can reach the floor.
//!
//! The documents of a segment are processed window by window. In a window, the lists of the query
//! add their scores to the sums of their documents, starting with the highest bound, that of a rare
//! word. After each list, the k-th best sum is a floor for the rest. A document without a sum gets
//! one only if its score and the bounds of the remaining lists can reach the floor together. A
//! block whose bound cannot reach it only updates existing sums.
//!
//! At some point the remaining lists cannot reach the floor by themselves. From then on, documents
//! that cannot reach it with their help are dropped after each list. Reading lists ends when the
//! next one, that of a frequent word, costs more than reading the terms of the documents left.

use super::best::{Best, Hit};
use super::query::Occur;
use super::scorer::Scorer;
use crate::bm25::Saturation;
use crate::segments::postings::{Decoded, List, LongList};
use crate::segments::segment::Segment;

/// Documents in a window, so that their sums stay in the cache.
const WINDOW: u32 = 1 << 14;

/// Scores by document, from one word or phrase.
struct Scored<'a> {
    source: Source<'a>,
    /// An upper bound of the scores.
    bound: f32,
    /// How much has been read, in entries of a list or in blocks.
    at: usize,
}

enum Source<'a> {
    /// All scores, if they are few.
    Listed(Vec<(u32, f32)>),
    Blocks(LongList<'a>, f32),
}

pub(crate) fn search(scorer: &mut Scorer<'_>, best: &mut Best, live: &impl Fn(u32) -> bool) {
    let segment = scorer.segment;
    let mut lists = lists(scorer);
    if lists.is_empty() {
        return;
    }
    lists.sort_by(|a, b| b.bound.total_cmp(&a.bound));
    let slack = 1.0 + f32::EPSILON * (2 * lists.len() + 16) as f32;
    let rest = bounds_of_rest(&lists, slack);
    let excluded = scorer.with_any(&scorer.query.clauses_that(Occur::Excluded));
    let cost_of_score = cost_of_score(segment);
    let mut window = Window::new(segment.documents());
    let mut candidates = Vec::new();
    for base in (0..segment.documents() as u32).step_by(WINDOW as usize) {
        window.base = base;
        let lives = |document: u32| live(segment.rows[document as usize]) && excluded.binary_search(&document).is_err();
        let mut floor = best.floor();
        let mut read = 0;
        while read < lists.len() {
            if rest[read] < floor {
                window.drop_below(floor, slack, rest[read]);
                if window.touched.len() * cost_of_score <= lists[read].len() * window.sums.len() / segment.documents() {
                    break;
                }
            }
            let needed = (floor - rest[read + 1]) / slack;
            lists[read].add_to(&mut window, scorer, needed, &lives);
            read += 1;
            floor = floor.max(window.kth_best(best.k(), floor) / slack);
        }
        candidates.clear();
        window.take(|document, sum| {
            if sum * slack + rest[read] >= floor {
                candidates.push((sum, document));
            }
        });
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (sum, document) in &candidates {
            if sum * slack + rest[read] < best.floor() {
                break;
            }
            if let Some(score) = scorer.score(*document) {
                best.push(Hit { row: segment.rows[*document as usize], score });
            }
        }
    }
}

/// Return how many postings of a list can be read while one document is scored by its own terms,
/// each of which takes little more than a byte.
fn cost_of_score(segment: &Segment) -> usize {
    4 + segment.forward.bytes.len() / segment.documents()
}

/// Return the lists of all words and phrases of the query.
fn lists<'a>(scorer: &mut Scorer<'a>) -> Vec<Scored<'a>> {
    let (saturation, lengths) = (scorer.saturation, &scorer.segment.lengths);
    let mut lists: Vec<_> =
        scorer.words().map(|(weight, list)| Scored::of_word(weight, list, saturation, lengths)).collect();
    let query = scorer.query;
    for clause in query.clauses.iter().filter(|clause| clause.occur == Occur::Optional) {
        let Some((_, rarest)) = scorer.rarest(clause) else { continue };
        let mut scores = Vec::new();
        rarest.for_each_document(|document| {
            if let Some(score) = scorer.phrase_score(document, clause) {
                scores.push((document, score));
            }
        });
        lists.push(Scored::listed(scores));
    }
    lists
}

/// Return the most that the lists from each on can add together, and a final zero.
fn bounds_of_rest(lists: &[Scored<'_>], slack: f32) -> Vec<f32> {
    let mut rest = vec![0.0; lists.len() + 1];
    for (i, list) in lists.iter().enumerate().rev() {
        rest[i] = rest[i + 1] + list.bound * slack;
    }
    rest
}

impl<'a> Scored<'a> {
    fn listed(scores: Vec<(u32, f32)>) -> Self {
        let bound = scores.iter().map(|(_, score)| *score).fold(0.0, f32::max);
        Self { source: Source::Listed(scores), bound, at: 0 }
    }

    fn of_word(weight: f32, list: List<'a>, saturation: Saturation, lengths: &[u32]) -> Self {
        match list {
            List::Short(entries) => Self::listed(
                entries
                    .map(|(document, tf)| (document, weight * saturation.part(tf, lengths[document as usize])))
                    .collect(),
            ),
            List::Long(list) => {
                Self { source: Source::Blocks(list, weight), bound: weight * list.bound.part(saturation), at: 0 }
            }
        }
    }

    /// Return the number of documents in the list.
    fn len(&self) -> usize {
        match &self.source {
            Source::Listed(scores) => scores.len(),
            Source::Blocks(list, _) => list.df as usize,
        }
    }

    /// Add the scores of the documents in the window. Documents without a sum get one if their
    /// score is at least `needed`.
    fn add_to(&mut self, window: &mut Window, scorer: &Scorer<'_>, needed: f32, lives: &impl Fn(u32) -> bool) {
        let end = window.base.saturating_add(WINDOW);
        match &self.source {
            Source::Listed(scores) => {
                self.at += scores[self.at..].partition_point(|(document, _)| *document < window.base);
                for (document, score) in scores[self.at..].iter().take_while(|(document, _)| *document < end) {
                    window.add(*document, *score, needed, lives);
                }
            }
            Source::Blocks(list, weight) => {
                self.at = list.block_of(window.base, self.at);
                let mut decoded = Decoded::new();
                for (number, block) in list.blocks.iter().enumerate().skip(self.at) {
                    list.read(number, &mut decoded);
                    let (documents, tfs) = decoded.within(window.base, end);
                    let known_only = weight * block.bound.part(scorer.saturation) < needed;
                    for (document, tf) in documents.iter().zip(tfs) {
                        if known_only && window.sums[(document - window.base) as usize] == 0.0 {
                            continue;
                        }
                        let length = scorer.segment.lengths[*document as usize];
                        window.add(*document, weight * scorer.saturation.part(*tf, length), needed, lives);
                    }
                    if block.last >= end {
                        break;
                    }
                }
            }
        }
    }
}

/// The sums of scores of the documents in a window.
struct Window {
    base: u32,
    /// Sum of each document; zero if it has none yet, and minus infinity if it must not be found.
    sums: Vec<f32>,
    /// The documents that have a sum, as offsets from `base`.
    touched: Vec<u32>,
    kept: Vec<f32>,
}

impl Window {
    fn new(documents: usize) -> Self {
        let sums = vec![0.0; documents.min(WINDOW as usize)];
        Self { base: 0, sums, touched: Vec::new(), kept: Vec::new() }
    }

    #[inline]
    fn add(&mut self, document: u32, score: f32, needed: f32, lives: &impl Fn(u32) -> bool) {
        let slot = document - self.base;
        let sum = &mut self.sums[slot as usize];
        if *sum != 0.0 {
            *sum += score;
        } else if score >= needed {
            self.touched.push(slot);
            *sum = if lives(document) { score } else { f32::NEG_INFINITY };
        }
    }

    /// Forget the documents that cannot reach the floor even with `rest`.
    fn drop_below(&mut self, floor: f32, slack: f32, rest: f32) {
        self.touched.retain(|slot| {
            let sum = &mut self.sums[*slot as usize];
            let reaches = *sum * slack + rest >= floor;
            *sum = if reaches { *sum } else { 0.0 };
            reaches
        });
    }

    /// Return the k-th best sum if it is above `floor`, else 0.
    fn kth_best(&mut self, k: usize, floor: f32) -> f32 {
        self.kept.clear();
        let sums = self.touched.iter().map(|slot| self.sums[*slot as usize]);
        self.kept.extend(sums.filter(|sum| *sum > floor));
        if self.kept.len() < k {
            return 0.0;
        }
        *self.kept.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
    }

    /// Pass all documents that may be found to `found`, with their sums, and forget them.
    fn take(&mut self, mut found: impl FnMut(u32, f32)) {
        for slot in self.touched.drain(..) {
            let sum = std::mem::take(&mut self.sums[slot as usize]);
            if sum > 0.0 {
                found(self.base + slot, sum);
            }
        }
    }
}
