//! After any sequence of changes, an index finds the same as the reference.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_text::{Language, Query, Segment, TextIndex, Tokenizer};

use crate::reference::{Clause, Reference, Sign, check, written};

/// The first ones occur in most documents.
const WORDS: [&str; 14] = [
    "the",
    "of",
    "red",
    "wine",
    "dog",
    "dogs",
    "barking",
    "barks",
    "caf\u{e9}",
    "na\u{ef}ve",
    "\u{6771}",
    "x1",
    "1,000",
    "state",
];

const TOKENIZERS: [Tokenizer; 4] = [
    Tokenizer::PLAIN,
    Tokenizer { stemming: Some(Language::English), stop_words: None },
    Tokenizer { stemming: None, stop_words: Some(Language::English) },
    Tokenizer { stemming: Some(Language::English), stop_words: Some(Language::English) },
];

#[derive(Clone, Debug)]
enum Step {
    /// Documents, each with the number of rows skipped before it.
    Add(Vec<(u32, String)>),
    /// Rows counted from the last one.
    Remove(Vec<u32>),
    /// Plan a merge, remove rows meanwhile, then use the segment.
    Merge(Vec<u32>),
    /// Convert every segment to bytes and back.
    Reload,
    Search(Vec<Clause>, usize, u32),
}

fn word() -> impl Strategy<Value = &'static str> {
    // A choice up to a random choice, so that the first words are frequent.
    (1..=WORDS.len()).prop_flat_map(|most| (0..most).prop_map(|at| WORDS[at]))
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 0..20).prop_map(|words| words.join(" "))
}

fn clause() -> impl Strategy<Value = Clause> {
    let sign = prop_oneof![6 => Just(Sign::None), 1 => Just(Sign::Plus), 1 => Just(Sign::Minus)];
    let words = prop_oneof![4 => prop::collection::vec(word(), 1), 1 => prop::collection::vec(word(), 2..4)];
    (sign, words)
}

fn step() -> impl Strategy<Value = Step> {
    let rows = || prop::collection::vec(0..60_u32, 0..12);
    prop_oneof![
        3 => prop::collection::vec((0..3_u32, text()), 0..30).prop_map(Step::Add),
        2 => prop::collection::vec((0..3_u32, text()), 1).prop_map(Step::Add),
        2 => rows().prop_map(Step::Remove),
        2 => rows().prop_map(Step::Merge),
        1 => Just(Step::Reload),
        4 => (prop::collection::vec(clause(), 1..8), 0..20_usize, 1..4_u32).prop_map(|(clauses, k, every)| Step::Search(clauses, k, every)),
    ]
}

struct Model {
    tokenizer: Tokenizer,
    index: TextIndex,
    reference: Reference,
    next_row: u32,
}

impl Model {
    fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, index: TextIndex::new(), reference: Reference::default(), next_row: 0 }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Add(documents) => self.add(documents),
            Step::Remove(rows) => self.remove(rows),
            Step::Merge(rows) => {
                let Some(merge) = self.index.plan_merge() else { return };
                self.remove(rows);
                let segment = Arc::new(merge.run().unwrap());
                self.index = self.index.merged(&merge, Arc::clone(&segment)).unwrap();
                assert!(self.index.merged(&merge, segment).is_none());
            }
            Step::Reload => self.reload(),
            Step::Search(clauses, k, every) => self.search(clauses, *k, *every),
        }
        assert_eq!(self.index.documents(), self.reference.len() as u64);
    }

    fn add(&mut self, documents: &[(u32, String)]) {
        let mut rows = Vec::new();
        for (gap, text) in documents {
            rows.push((self.next_row + gap, text.as_str()));
            self.reference.add(self.next_row + gap, text, self.tokenizer);
            self.next_row += gap + 1;
        }
        let segment = Segment::build(rows.into_iter(), &self.tokenizer).unwrap();
        self.index = self.index.with(Arc::new(segment)).unwrap();
    }

    fn remove(&mut self, rows: &[u32]) {
        let rows: Vec<u32> = rows.iter().filter_map(|back| self.next_row.checked_sub(*back)).collect();
        self.index = self.index.without(&rows);
        for row in rows {
            self.reference.remove(row);
        }
    }

    /// Take the index apart and put it together from bytes.
    fn reload(&mut self) {
        let mut index = TextIndex::new();
        for segment in self.index.segments() {
            let bytes = segment.to_bytes();
            let read = Segment::from_bytes(&bytes).unwrap();
            assert_eq!(read.to_bytes(), bytes);
            index = index.with(Arc::new(read)).unwrap();
        }
        let dead: Vec<u32> = (0..self.next_row).filter(|row| !self.reference.has(*row)).collect();
        self.index = index.without(&dead);
    }

    fn search(&self, clauses: &[Clause], k: usize, every: u32) {
        let query = Query::parse(&written(clauses), &self.tokenizer).unwrap();
        let hits = self.index.search(&query, k, |row| self.reference.has(row) && row % every == 0);
        check(&hits, &self.reference.scores(clauses, self.tokenizer, |row| row % every == 0), k);
        self.constraints(clauses);
    }

    /// Check that a strict query requires and excludes what the reference finds by each clause
    /// alone.
    fn constraints(&self, clauses: &[Clause]) {
        let query = Query::parse_strict(&written(clauses), &self.tokenizer).unwrap();
        let found = self.index.constraints(&query);
        let alone = |(_, words): &Clause| {
            let scores = self.reference.scores(&[(Sign::None, words.clone())], self.tokenizer, |_| true);
            scores.into_keys().collect::<BTreeSet<u32>>()
        };
        let living = |rows: &[u32]| -> BTreeSet<u32> {
            assert!(rows.is_sorted_by(|a, b| a < b), "{rows:?}");
            rows.iter().copied().filter(|row| self.reference.has(*row)).collect()
        };
        let counts = |clause: &&Clause| !self.tokenizer.tokens(&clause.1.join(" ")).is_empty();
        let mut required = clauses.iter().filter(counts).filter(|(sign, words)| match sign {
            Sign::Plus => true,
            Sign::None => words.len() > 1,
            Sign::Minus => false,
        });
        let all = required.next().map(|first| required.fold(alone(first), |all, clause| &all & &alone(clause)));
        assert_eq!(found.required.as_deref().map(living), all);
        let excluded = clauses.iter().filter(|(sign, _)| *sign == Sign::Minus);
        let any = excluded.filter(counts).fold(BTreeSet::new(), |any, clause| &any | &alone(clause));
        assert_eq!(living(&found.excluded), any);
        assert_eq!(
            query.constrains(),
            found.required.is_some() || clauses.iter().filter(counts).any(|(sign, _)| *sign == Sign::Minus)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence(tokenizer in 0..TOKENIZERS.len(), steps in prop::collection::vec(step(), 1..30)) {
        let mut model = Model::new(TOKENIZERS[tokenizer]);
        for step in &steps {
            model.apply(step);
        }
        model.search(&[(Sign::None, vec!["red"]), (Sign::None, vec!["the", "dog"]), (Sign::None, vec!["x1"])], 10, 1);
    }

    /// Merged segments equal those built from the live documents, byte for byte.
    #[test]
    fn a_merge_is_a_rebuild(texts in prop::collection::vec(text(), 8..200), removed in prop::collection::vec(0..200_u32, 0..80)) {
        let tokenizer = Tokenizer::default();
        let mut index = TextIndex::new();
        for (row, text) in (0..).zip(&texts) {
            let segment = Segment::build([(row, text.as_str())].into_iter(), &tokenizer).unwrap();
            index = index.with(Arc::new(segment)).unwrap();
            if row as usize == texts.len() - 2 {
                index = index.without(&removed);
            }
            if let Some(merge) = index.plan_merge() {
                index = index.merged(&merge, Arc::new(merge.run().unwrap())).unwrap();
            }
        }
        for segment in index.segments() {
            let documents = segment.rows().iter().map(|row| (*row, texts[*row as usize].as_str()));
            prop_assert_eq!(segment.to_bytes(), Segment::build(documents, &tokenizer).unwrap().to_bytes());
        }
    }
}

#[test]
fn segments_stay_few() {
    let mut index = TextIndex::new();
    let mut moved = 0;
    for row in 0..4_000 {
        let segment = Segment::build([(row, "red wine")].into_iter(), &Tokenizer::PLAIN).unwrap();
        index = index.with(Arc::new(segment)).unwrap();
        while let Some(merge) = index.plan_merge() {
            moved += merge.documents();
            index = index.merged(&merge, Arc::new(merge.run().unwrap())).unwrap();
        }
        assert!(index.segments().len() <= 7 * 6, "{}", index.segments().len());
    }
    assert!(moved <= 4_000 * 6, "{moved}");
}

#[test]
fn a_snapshot_is_not_touched_by_what_comes_later() {
    let tokenizer = Tokenizer::default();
    let build = |row, text| Arc::new(Segment::build([(row, text)].into_iter(), &tokenizer).unwrap());
    let before = TextIndex::new().with(build(3, "red wine")).unwrap();
    let after = before.with(build(4, "red dog")).unwrap().without(&[3]);
    let query = Query::parse("red", &tokenizer).unwrap();
    let found = |index: &TextIndex, dead: u32| {
        let hits = index.search(&query, 9, |row| row != dead);
        hits.iter().map(|hit| hit.row).collect::<Vec<_>>()
    };
    assert_eq!((found(&before, 9), found(&after, 3)), (vec![3], vec![4]));
    assert!(after.with(build(4, "again")).is_err());
}

#[test]
fn all_of_it_is_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<TextIndex>();
    is_shared::<Query>();
    is_shared::<Tokenizer>();
}
