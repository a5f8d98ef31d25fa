//! The query of a search.

use std::collections::HashMap;

use crate::analysis::tokenizer::{Token, Tokenizer};
use crate::errors::QueryError;
use crate::segments::dictionary::{Dictionary, hash};

/// Most different phrases. Each is searched for in the texts of all documents with its rarest word.
const MAX_PHRASES: usize = 64;

/// Most words in different phrases and after different signs.
const MAX_WORDS: usize = 1024;

/// Words and phrases to search for. Any string of any length is a query if it has at most 64
/// different phrases, and at most 1,024 words in different phrases and after different signs:
///
/// - A word finds the documents that contain it, and a document with more of the words is better.
/// - `"several words"` finds these words in this order, one directly after the other, and scores as
///   much as its words. A quote without a partner is a space.
/// - `+` right before a word or a phrase requires it, `-` excludes it, if a space, a quote or
///   nothing is before the sign.
/// - Text that the tokenizer splits into several words, such as `wide-open`, is each of them
///   separately; after a sign it is a phrase.
/// - A word that the tokenizer leaves out is also left out here: it neither requires nor excludes.
///   Within a phrase, any word may take its place.
/// - A word or a phrase that occurs twice counts twice.
///
/// A query without words, or one that only excludes, finds nothing.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub(crate) terms: Dictionary,
    /// The hash of each term.
    pub(crate) hashes: Vec<u64>,
    /// How often each term occurs as a single word without a sign.
    pub(crate) plain: Vec<u32>,
    /// Phrases and words after signs, without duplicates.
    pub(crate) clauses: Vec<Clause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Occur {
    Optional,
    Required,
    Excluded,
}

/// A word after a sign, or the words of a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) occur: Occur,
    pub(crate) words: Vec<PhraseWord>,
    /// How often it occurs in the query.
    pub(crate) times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Make a query of all words of a text, none of them required; signs and quotes mean nothing.
    pub fn plain(text: &str, tokenizer: &Tokenizer) -> Self {
        let mut reader = Reader::new(tokenizer, Occur::Optional);
        reader.push_words(&tokenizer.tokens(text));
        reader.query
    }

    /// Return the clauses that occur so.
    pub(crate) fn clauses_that(&self, occur: Occur) -> Vec<&Clause> {
        self.clauses.iter().filter(|clause| clause.occur == occur).collect()
    }

    /// Read a query.
    pub fn parse(text: &str, tokenizer: &Tokenizer) -> Result<Self, QueryError> {
        Reader::new(tokenizer, Occur::Optional).read(text)
    }

    /// Read a query in which everything in quotes is required, unless it is excluded.
    pub fn parse_strict(text: &str, tokenizer: &Tokenizer) -> Result<Self, QueryError> {
        Reader::new(tokenizer, Occur::Required).read(text)
    }

    /// Whether the query can find nothing.
    pub fn is_empty(&self) -> bool {
        self.plain.iter().all(|times| *times == 0) && self.clauses.iter().all(|clause| clause.occur == Occur::Excluded)
    }

    /// Whether something is required or excluded.
    pub fn constrains(&self) -> bool {
        self.clauses.iter().any(|clause| clause.occur != Occur::Optional)
    }

    /// Return the number of a term, if it is in the query.
    pub(crate) fn term(&self, term: &str) -> Option<usize> {
        self.terms.id(hash(term), term).map(|id| id as usize)
    }

    /// Return how often each term is searched for as a single word, without excluded ones.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, u32)> {
        let signed = self.clauses.iter().filter(|clause| clause.occur != Occur::Excluded && !clause.is_phrase());
        let signed = signed.map(|clause| (clause.words[0].term, clause.times));
        self.plain.iter().copied().enumerate().filter(|(_, times)| *times > 0).chain(signed)
    }
}

/// A partly read query.
struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    /// The meaning of quotes without a sign.
    quoted_occur: Occur,
    query: Query,
    /// The place of each clause in the query.
    known: HashMap<(Occur, Vec<PhraseWord>), usize>,
    phrases: usize,
    words: usize,
}

impl<'a> Reader<'a> {
    fn new(tokenizer: &'a Tokenizer, quoted_occur: Occur) -> Self {
        Self { tokenizer, quoted_occur, query: Query::default(), known: HashMap::new(), phrases: 0, words: 0 }
    }

    fn read(mut self, text: &str) -> Result<Query, QueryError> {
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
                let occur = if occur == Occur::Optional { self.quoted_occur } else { occur };
                self.push(occur, chunk, true)?;
            } else {
                let open = quoted.unwrap_or(rest);
                (chunk, rest) = open.split_at(open.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(open.len()));
                self.push(occur, chunk, occur != Occur::Optional)?;
            }
            rest = rest.trim_start();
        }
        Ok(self.query)
    }

    /// Add the words of `chunk`, as a phrase or as single words.
    fn push(&mut self, occur: Occur, chunk: &str, phrase: bool) -> Result<(), QueryError> {
        let tokens = self.tokenizer.tokens(chunk);
        let Some(first) = tokens.first().map(|token| token.position) else { return Ok(()) };
        // A quoted word without a sign is a single word.
        if phrase && (tokens.len() > 1 || occur != Occur::Optional) {
            let word = |token: &Token| PhraseWord { offset: token.position - first, term: self.term(token) };
            let words = tokens.iter().map(word).collect();
            return self.push_clause(occur, words);
        }
        self.push_words(&tokens);
        Ok(())
    }

    fn push_words(&mut self, tokens: &[Token]) {
        for token in tokens {
            let term = self.term(token);
            let times = &mut self.query.plain[term];
            *times = times.saturating_add(1);
        }
    }

    /// Return the number of a term in the query, adding it if it is new.
    fn term(&mut self, token: &Token) -> usize {
        let term = self.query.terms.add(&token.term) as usize;
        if term == self.query.hashes.len() {
            self.query.hashes.push(hash(&token.term));
            self.query.plain.push(0);
        }
        term
    }

    fn push_clause(&mut self, occur: Occur, words: Vec<PhraseWord>) -> Result<(), QueryError> {
        let new = self.query.clauses.len();
        let clause = Clause { occur, words: words.clone(), times: 1 };
        let at = *self.known.entry((occur, words)).or_insert(new);
        if at < new {
            let times = &mut self.query.clauses[at].times;
            *times = times.saturating_add(1);
            return Ok(());
        }
        self.phrases += usize::from(clause.is_phrase());
        self.words += clause.words.len();
        self.query.clauses.push(clause);
        if self.phrases > MAX_PHRASES {
            return Err(QueryError::TooManyPhrases { limit: MAX_PHRASES });
        }
        if self.words > MAX_WORDS { Err(QueryError::TooManyWords { limit: MAX_WORDS }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::analysis::language::Language;

    /// Format a query: plain words, then signs and words with their offsets; and how often, if more
    /// than once.
    fn parsed(text: &str) -> Vec<String> {
        let tokenizer = Tokenizer { stemming: None, stop_words: Some(Language::English) };
        let query = Query::parse(text, &tokenizer).unwrap();
        let often = |times: u32| if times == 1 { String::new() } else { format!(" x{times}") };
        let plain = |(term, times): (usize, &u32)| format!("{}{}", query.terms.term(term as u32), often(*times));
        let clause = |clause: &Clause| {
            let sign = match clause.occur {
                Occur::Optional => "",
                Occur::Required => "+",
                Occur::Excluded => "-",
            };
            let words =
                clause.words.iter().map(|word| format!("{}{}", query.terms.term(word.term as u32), word.offset));
            format!("{sign}{}{}", words.collect::<Vec<_>>().join(" "), often(clause.times))
        };
        let plain = query.plain.iter().enumerate().filter(|(_, times)| **times > 0).map(plain);
        plain.chain(query.clauses.iter().map(clause)).collect()
    }

    #[test]
    fn every_string_is_a_query() {
        let cases: [(&str, &[&str]); 17] = [
            ("", &[]),
            ("  \" ", &[]),
            ("+ - \"\" -\"\" +\"the\"", &[]),
            ("red red", &["red x2"]),
            ("\"red wine\" glass", &["glass", "red0 wine1"]),
            ("+red -\"white wine\"", &["+red0", "-white0 wine1"]),
            ("\"state of the art\"", &["state0 art3"]),
            ("wide-open +wide-open -x", &["wide", "open", "+wide0 open1", "-x0"]),
            ("12\" vinyl", &["12", "vinyl"]),
            ("red \"wine", &["red", "wine"]),
            ("-\"wine red", &["red", "-wine0"]),
            ("a\"b c\"d", &["d", "b0 c1"]),
            ("\"b c\"-d", &["b0 c1", "-d0"]),
            ("--b +-c", &["-b0", "+c0"]),
            ("+the red", &["red"]),
            ("\"b\" +b -b b +b", &["b x2", "+b0 x2", "-b0"]),
            ("\"b c\" \"c b\" \"b c\" +b-c", &["b0 c1 x2", "c0 b1", "+b0 c1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn signs_and_quotes_of_a_plain_query_mean_nothing() {
        let often = |text: &str| {
            let query = Query::plain(text, &Tokenizer::PLAIN);
            assert!(query.clauses.is_empty() && !query.constrains());
            (0..).zip(&query.plain).map(|(term, times)| (query.terms.term(term).to_owned(), *times)).collect::<Vec<_>>()
        };
        assert_eq!(
            often("git push --force +x -y"),
            ["git", "push", "force", "x", "y"].map(|word| (word.to_owned(), 1))
        );
        assert_eq!(often("\"red wine\", -\"red"), [("red".to_owned(), 2), ("wine".to_owned(), 1)]);
        let long = (0..2000).map(|at| format!("\"a b{at}\" -c{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(often(&long)[0], ("a".to_owned(), 2000), "no limit of phrases");
    }

    #[test]
    fn quotes_are_required_where_the_query_is_strict() {
        let strict = |text| Query::parse_strict(text, &Tokenizer::PLAIN).unwrap();
        assert_eq!(
            strict("\"red wine\" a \"b\" -\"c\"").clauses,
            Query::parse("+\"red wine\" a +\"b\" -\"c\"", &Tokenizer::PLAIN).unwrap().clauses
        );
        assert!(!strict("12\" wide-open").constrains());
    }

    #[test]
    fn a_query_that_only_excludes_is_empty() {
        let is_empty = |text| Query::parse(text, &Tokenizer::PLAIN).unwrap().is_empty();
        assert!(is_empty("-red") && is_empty(""));
        assert!(!is_empty("-red wine") && !is_empty("\"red wine\"") && !is_empty("+red"));
    }

    #[test]
    fn different_phrases_and_signs_are_limited_and_equal_ones_are_one() {
        let parse = |text: String| Query::parse(&text, &Tokenizer::PLAIN);
        let each = |form: fn(usize) -> String, count| (0..count).map(form).collect::<Vec<_>>().join(" ");
        let phrases = |count| each(|at| format!("\"a w{at}\""), count);
        let clauses = |count| each(|at| format!("+w{at}"), count);
        for (fine, different) in [
            ("\"cat dog\" -\"cat dog\" ".repeat(100_000), 2),
            ("+cat -dog ".repeat(100_000), 2),
            (phrases(64).repeat(100), 64),
            (clauses(1024), 1024),
            (each(|at| format!("w{at}"), 100_000), 0),
            (format!("+\"{}\"", each(|at| format!("w{at}"), 1024)), 1),
        ] {
            assert_eq!(parse(fine).map(|query| query.clauses.len()), Ok(different));
        }
        assert_eq!(parse(phrases(65)).err(), Some(QueryError::TooManyPhrases { limit: 64 }));
        for long in [clauses(1025), format!("-\"{}\"", each(|at| format!("w{at}"), 1025))] {
            assert_eq!(parse(long).err(), Some(QueryError::TooManyWords { limit: 1024 }));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn any_characters_are_a_query(text in any::<String>(), signs in "[-+\" ab\u{e9}\u{3000}]{0,20}") {
            for text in [text, signs] {
                let query = Query::parse(&text, &Tokenizer::PLAIN).unwrap();
                prop_assert!(query.clauses.iter().all(|clause| !clause.words.is_empty()));
            }
        }
    }
}
