//! Lists of many blocks, segments of many windows, documents of megabytes.

use std::sync::Arc;

use tiercel_text::{Hit, Query, Segment, TextIndex, Tokenizer, highlight};

use crate::reference::{Reference, Sign, check};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize * bound) >> 31
    }

    /// Return a random word. Small numbers are frequent: word `n` is about `n` times as rare as the
    /// first.
    fn word(&mut self) -> String {
        let most = 1 + self.below(3_000);
        format!("w{}", self.below(most))
    }

    fn text(&mut self) -> String {
        let most = if self.below(50) == 0 { 300 } else { 20 };
        let words = 1 + self.below(most);
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn pruned_search_finds_what_reading_everything_finds() {
    let (mut random, tokenizer) = (Random(1), Tokenizer::PLAIN);
    let texts: Vec<String> = (0..40_000).map(|_| random.text()).collect();
    let mut reference = Reference::default();
    let mut index = TextIndex::new();
    for (number, batch) in texts.chunks(30_000).enumerate() {
        let documents = || (number as u32 * 30_000..).zip(batch.iter().map(String::as_str));
        for (row, text) in documents() {
            reference.add(row, text, tokenizer);
        }
        index = index.with(Arc::new(Segment::build(documents(), &tokenizer).unwrap())).unwrap();
    }
    let dead: Vec<u32> = (0..40_000).filter(|_| random.below(10) == 0).collect();
    for row in &dead {
        reference.remove(*row);
    }
    index = index.without(&dead);
    for words in ["w0 w1", "w0 w2 w40 w900", "w2999 w0 w1 w2 w3", "w7 w7 w11", "w500 w600 w700 w800"] {
        let query = Query::parse(words, &tokenizer).unwrap();
        let clauses: Vec<_> =
            words.split(' ').map(|word| (Sign::None, vec![&*String::leak(word.to_owned())])).collect();
        for every in [1, 2, 1_000] {
            let scores = reference.scores(&clauses, tokenizer, |row| row % every == 0);
            for k in [1, 10, 300, 50_000] {
                let hits = index.search(&query, k, |row| reference.has(row) && row % every == 0);
                check(&hits, &scores, k);
            }
        }
    }
}

#[test]
fn scores_do_not_depend_on_segments() {
    let (mut random, tokenizer) = (Random(2), Tokenizer::default());
    let texts: Vec<String> = (0..3_000).map(|_| random.text()).collect();
    let hits_of = |batch: usize| -> Vec<Vec<Hit>> {
        let mut index = TextIndex::new();
        for (number, batch_of) in texts.chunks(batch).enumerate() {
            let documents = ((number * batch) as u32..).zip(batch_of.iter().map(String::as_str));
            index = index.with(Arc::new(Segment::build(documents, &tokenizer).unwrap())).unwrap();
        }
        let queries = ["w0 w1 w2", "w5 w50 w500", "+w3 w9 -w4", "\"w0 w1\" w20", "w1 w1 w8"];
        queries.iter().map(|text| index.search(&Query::parse(text, &tokenizer).unwrap(), 50, |_| true)).collect()
    };
    let whole = hits_of(3_000);
    assert_eq!(hits_of(7), whole);
    assert_eq!(hits_of(500), whole);
}

#[test]
fn a_text_of_ten_megabytes_is_a_document() {
    let tokenizer = Tokenizer::default();
    let sentence = "the quick brown f\u{f6}x jumps over \u{6771}\u{4eac} and 1,000 lazy dogs. ";
    let long = sentence.repeat((10 << 20) / sentence.len()) + "the end";
    let texts = ["short", long.as_str(), ""];
    let segment = Segment::build((0..).zip(texts), &tokenizer).unwrap();
    let segment = Segment::from_bytes(&segment.to_bytes()).unwrap();
    let index = TextIndex::new().with(Arc::new(segment)).unwrap();
    for query in ["jumping dog", "\"lazy dogs the end\"", "+end -short"] {
        let hits = index.search(&Query::parse(query, &tokenizer).unwrap(), 10, |_| true);
        assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1], "{query}");
    }
    let lit = highlight(&long, &Query::parse("end", &tokenizer).unwrap(), &tokenizer);
    assert_eq!(lit.len(), 1);
    assert_eq!(lit[0], long.len() - 3..long.len());
}

#[test]
fn a_query_may_be_as_long_as_a_document() {
    let tokenizer = Tokenizer::default();
    let mut random = Random(3);
    let texts: Vec<String> = (0..500).map(|_| random.text()).collect();
    let segment = Segment::build((0..).zip(texts.iter().map(String::as_str)), &tokenizer).unwrap();
    let index = TextIndex::new().with(Arc::new(segment)).unwrap();
    let words: Vec<String> = (0..5_000).map(|_| random.word()).collect();
    let hits = index.search(&Query::parse(&words.join(" "), &tokenizer).unwrap(), 10, |_| true);
    assert_eq!(hits.len(), 10);
    let unknown = "zz ".repeat(1 << 20);
    assert_eq!(index.search(&Query::parse(&unknown, &tokenizer).unwrap(), 10, |_| true), []);
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let (tokenizer, query) = (Tokenizer::default(), Query::parse("dog", &Tokenizer::default()).unwrap());
    let search = |index: &TextIndex, k: usize| index.search(&query, k, |_| true);
    let empty = TextIndex::new();
    assert_eq!(search(&empty, 10), []);
    let segment = Segment::build([(0, ""), (1, "...")].into_iter(), &tokenizer).unwrap();
    let wordless = empty.with(Arc::new(segment)).unwrap();
    assert_eq!(search(&wordless, 10), []);
    let segment = Segment::build([(5, "dog")].into_iter(), &tokenizer).unwrap();
    let index = wordless.with(Arc::new(segment)).unwrap();
    assert_eq!((search(&index, 0), search(&index, usize::MAX).len()), (Vec::new(), 1));
    assert_eq!(search(&index.without(&[5, 6, 5]), 10), []);
    assert_eq!(index.search(&query, 10, |_| false), []);
    assert_eq!((index.documents(), index.tokens()), (3, 1));
}
