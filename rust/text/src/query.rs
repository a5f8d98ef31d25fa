//! What a search looks for.

use crate::dictionary::{Dictionary, hash};
use crate::tokenizer::Tokenizer;

/// Words and phrases to look for. Every string is a query:
///
/// - A word is found in documents that have it, and a document that has more of the words is better.
/// - `"several words"` is found where they stand in this order, one after the other; it scores as much as its words. A
///   quote without a partner is a space.
/// - `+` right before a word or a phrase requires it, `-` excludes it, if a space, a quote or nothing is before the sign.
/// - What is several words to the tokenizer, as `wide-open`, is each of them by itself; behind a sign it is a phrase.
/// - A word that the tokenizer leaves out is left out here, too: it neither requires nor excludes. Within a phrase any
///   word may stand in its place.
/// - A word that occurs twice counts twice.
///
/// A query that looks for nothing, or only excludes, finds nothing.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub(crate) terms: Dictionary,
    /// Of each term.
    pub(crate) hashes: Vec<u64>,
    pub(crate) clauses: Vec<Clause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occur {
    Optional,
    Required,
    Excluded,
}

/// A word, or the words of a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) occur: Occur,
    pub(crate) words: Vec<PhraseWord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhraseWord {
    /// Places after the first word.
    pub(crate) offset: usize,
    /// The number of the term in the query.
    pub(crate) term: usize,
}

impl Clause {
    pub(crate) const fn is_phrase(&self) -> bool {
        self.words.len() > 1
    }
}

impl Query {
    /// Read a query.
    pub fn parse(text: &str, tokenizer: &Tokenizer) -> Self {
        Self::read(text, *tokenizer, Occur::Optional)
    }

    /// Read a query of which everything in quotes is required, unless it is excluded.
    pub fn parse_strict(text: &str, tokenizer: &Tokenizer) -> Self {
        Self::read(text, *tokenizer, Occur::Required)
    }

    /// `quoted_occur` is how quotes without a sign are taken.
    fn read(text: &str, tokenizer: Tokenizer, quoted_occur: Occur) -> Self {
        let mut query = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let occur = match rest.as_bytes()[0] {
                b'+' => Occur::Required,
                b'-' => Occur::Excluded,
                _ => Occur::Optional,
            };
            rest = if occur == Occur::Optional { rest } else { &rest[1..] };
            let quoted = rest.strip_prefix('"');
            let chunk;
            if let Some((inner, after)) = quoted.and_then(|quoted| quoted.split_once('"')) {
                (chunk, rest) = (inner, after);
                let occur = if occur == Occur::Optional { quoted_occur } else { occur };
                query.push(occur, tokenizer, chunk, true);
            } else {
                let open = quoted.unwrap_or(rest);
                (chunk, rest) = open.split_at(open.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(open.len()));
                query.push(occur, tokenizer, chunk, occur != Occur::Optional);
            }
            rest = rest.trim_start();
        }
        query
    }

    /// Whether it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.clauses.iter().all(|clause| clause.occur == Occur::Excluded)
    }

    /// Whether something is required or excluded.
    pub fn constrains(&self) -> bool {
        self.clauses.iter().any(|clause| clause.occur != Occur::Optional)
    }

    /// The number of a term, if it is in the query.
    pub(crate) fn term(&self, term: &str) -> Option<usize> {
        self.terms.id(hash(term), term).map(|id| id as usize)
    }

    /// Add the words of `chunk`, as a phrase or each by itself.
    fn push(&mut self, occur: Occur, tokenizer: Tokenizer, chunk: &str, phrase: bool) {
        let tokens = tokenizer.tokens(chunk);
        let Some(first) = tokens.first().map(|token| token.position) else { return };
        let words = tokens.iter().map(|token| {
            let term = self.terms.add(&token.term) as usize;
            if term == self.hashes.len() {
                self.hashes.push(hash(&token.term));
            }
            PhraseWord { offset: token.position - first, term }
        });
        if phrase {
            let words = words.collect();
            self.clauses.push(Clause { occur, words });
        } else {
            let clauses: Vec<_> =
                words.map(|word| Clause { occur, words: vec![PhraseWord { offset: 0, ..word }] }).collect();
            self.clauses.extend(clauses);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::language::Language;

    /// A query as text: the sign, and the words with their offsets.
    fn parsed(text: &str) -> Vec<String> {
        let tokenizer = Tokenizer { stemming: None, stop_words: Some(Language::English) };
        let query = Query::parse(text, &tokenizer);
        let clause = |clause: &Clause| {
            let sign = match clause.occur {
                Occur::Optional => "",
                Occur::Required => "+",
                Occur::Excluded => "-",
            };
            let words =
                clause.words.iter().map(|word| format!("{}{}", query.terms.term(word.term as u32), word.offset));
            format!("{sign}{}", words.collect::<Vec<_>>().join(" "))
        };
        query.clauses.iter().map(clause).collect()
    }

    #[test]
    fn every_string_is_a_query() {
        let cases: [(&str, &[&str]); 15] = [
            ("", &[]),
            ("  \" ", &[]),
            ("+ - \"\" -\"\" +\"the\"", &[]),
            ("red red", &["red0", "red0"]),
            ("\"red wine\" glass", &["red0 wine1", "glass0"]),
            ("+red -\"white wine\"", &["+red0", "-white0 wine1"]),
            ("\"state of the art\"", &["state0 art3"]),
            ("wide-open +wide-open -x", &["wide0", "open0", "+wide0 open1", "-x0"]),
            ("12\" vinyl", &["120", "vinyl0"]),
            ("red \"wine", &["red0", "wine0"]),
            ("-\"wine red", &["-wine0", "red0"]),
            ("a\"b c\"d", &["b0 c1", "d0"]),
            ("\"b c\"-d", &["b0 c1", "-d0"]),
            ("--b +-c", &["-b0", "+c0"]),
            ("+the red", &["red0"]),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_are_required_where_the_query_is_strict() {
        let strict = |text| Query::parse_strict(text, &Tokenizer::PLAIN).clauses;
        assert_eq!(
            strict("\"red wine\" a \"b\" -\"c\""),
            Query::parse("+\"red wine\" a +\"b\" -\"c\"", &Tokenizer::PLAIN).clauses
        );
        assert!(!Query::parse_strict("12\" wide-open", &Tokenizer::PLAIN).constrains());
    }

    #[test]
    fn a_query_that_only_excludes_is_empty() {
        assert!(Query::parse("-red", &Tokenizer::PLAIN).is_empty());
        assert!(!Query::parse("-red wine", &Tokenizer::PLAIN).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn any_characters_are_a_query(text in any::<String>(), signs in "[-+\" ab\u{e9}\u{3000}]{0,20}") {
            for text in [text, signs] {
                let query = Query::parse(&text, &Tokenizer::PLAIN);
                prop_assert!(query.clauses.iter().all(|clause| !clause.words.is_empty()));
            }
        }
    }
}
