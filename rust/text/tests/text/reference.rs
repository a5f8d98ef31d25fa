//! BM25 by the book: every document is read for every query.

use std::collections::{BTreeMap, HashSet};

use tiercel_text::{B, Hit, K1, Tokenizer};

/// A clause of a query: its sign and its words.
pub(crate) type Clause = (Sign, Vec<&'static str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    None,
    Plus,
    Minus,
}

/// Return the query as a user writes it.
pub(crate) fn written(clauses: &[Clause]) -> String {
    let clause = |(sign, words): &Clause| {
        let sign = match sign {
            Sign::None => "",
            Sign::Plus => "+",
            Sign::Minus => "-",
        };
        if words.len() == 1 { format!("{sign}{}", words[0]) } else { format!("{sign}\"{}\"", words.join(" ")) }
    };
    clauses.iter().map(clause).collect::<Vec<_>>().join(" ")
}

/// The live documents.
#[derive(Clone, Default)]
pub(crate) struct Reference {
    /// The terms of each row, with their places.
    documents: BTreeMap<u32, Vec<(usize, String)>>,
}

fn terms(tokenizer: Tokenizer, text: &str) -> Vec<(usize, String)> {
    tokenizer.tokens(text).into_iter().map(|token| (token.position, token.term)).collect()
}

impl Reference {
    pub(crate) fn add(&mut self, row: u32, text: &str, tokenizer: Tokenizer) {
        self.documents.insert(row, terms(tokenizer, text));
    }

    pub(crate) fn remove(&mut self, row: u32) {
        self.documents.remove(&row);
    }

    pub(crate) fn has(&self, row: u32) -> bool {
        self.documents.contains_key(&row)
    }

    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Return the scores of all documents that are found, by row.
    pub(crate) fn scores(
        &self,
        clauses: &[Clause],
        tokenizer: Tokenizer,
        allowed: impl Fn(u32) -> bool,
    ) -> BTreeMap<u32, f64> {
        let clauses: Vec<_> = clauses.iter().map(|(sign, words)| (*sign, terms(tokenizer, &words.join(" ")))).collect();
        let clauses: Vec<_> = clauses.into_iter().filter(|(_, words)| !words.is_empty()).collect();
        let lengths: usize = self.documents.values().map(Vec::len).sum();
        let average = lengths as f64 / self.documents.len() as f64;
        let idf: BTreeMap<&str, f64> =
            clauses.iter().flat_map(|(_, words)| words).map(|(_, term)| (term.as_str(), self.idf(term))).collect();
        let mut scores = BTreeMap::new();
        for (row, document) in self.documents.iter().filter(|(row, _)| allowed(**row)) {
            let length = document.len() as f64;
            let places: HashSet<(usize, &str)> = document.iter().map(|(at, term)| (*at, term.as_str())).collect();
            let holds = |words: &[(usize, String)]| {
                let mut starts = document.iter().filter(|(_, term)| *term == words[0].1);
                starts.any(|(start, _)| {
                    words.iter().all(|(at, term)| places.contains(&(start + at - words[0].0, term.as_str())))
                })
            };
            let score = |words: &[(usize, String)]| {
                let of_term = |term: &str| {
                    let tf = document.iter().filter(|(_, other)| other == term).count() as f64;
                    let (k1, b) = (f64::from(K1), f64::from(B));
                    idf[term] * tf / (tf + k1 * (1.0 - b + b * length / average))
                };
                words.iter().map(|(_, term)| of_term(term)).sum::<f64>()
            };
            if clauses.iter().any(|(sign, words)| match sign {
                Sign::None => false,
                Sign::Plus => !holds(words),
                Sign::Minus => holds(words),
            }) {
                continue;
            }
            let wanted = clauses.iter().filter(|(sign, words)| *sign != Sign::Minus && holds(words));
            let total: f64 = wanted.map(|(_, words)| score(words)).sum();
            if total > 0.0 {
                scores.insert(*row, total);
            }
        }
        scores
    }

    fn idf(&self, term: &str) -> f64 {
        let n = self.documents.len() as f64;
        let df = self.documents.values().filter(|words| words.iter().any(|(_, other)| other == term)).count() as f64;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    }
}

/// Check that `hits` are the best `k` of `scores`, in order.
pub(crate) fn check(hits: &[Hit], scores: &BTreeMap<u32, f64>, k: usize) {
    assert_eq!(hits.len(), k.min(scores.len()), "{hits:?} {scores:?}");
    let in_order = |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)).is_lt();
    assert!(hits.is_sorted_by(in_order), "{hits:?}");
    let mut best: Vec<f64> = scores.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    for (hit, best) in hits.iter().zip(best) {
        let right = scores.get(&hit.row).is_some_and(|score| (score - f64::from(hit.score)).abs() < 1e-4);
        assert!(right && (best - f64::from(hit.score)).abs() < 1e-4, "{hit:?}, best {best}, {scores:?}");
    }
}
