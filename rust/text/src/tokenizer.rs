//! From a text to the terms that are indexed.

use std::borrow::Cow;
use std::ops::Range;

use crate::language::Language;
use crate::words::for_each_word;

/// Words of more bytes are not indexed: they are hashes, keys and encoded data, not words.
pub const MAX_WORD_BYTES: usize = 255;

/// Makes terms of a text: its Unicode words (UAX #29) in lower case, without stop words, stemmed.
///
/// - Chinese and Japanese are indexed a character at a time, katakana a run at a time; a phrase finds a word of several
///   characters.
/// - Signs and emoji are no words. A typographic apostrophe is a plain one.
/// - Nothing else is folded: accents stay, and a letter with a combining mark is not the same as the one composed letter.
/// - A word of more than [`MAX_WORD_BYTES`] is left out.
///
/// A word that is left out keeps its place: `state of the art` without stop words is `state`, and `art` three places on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// Index the stems of this language.
    pub stemming: Option<Language>,
    /// Leave out the stop words of this language.
    pub stop_words: Option<Language>,
}

/// A word of a text that is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What is indexed.
    pub term: String,
    /// Words before it in the text, those left out among them.
    pub position: usize,
    /// Where the word stands in the text, in bytes.
    pub range: Range<usize>,
}

impl Default for Tokenizer {
    /// English stems without English stop words: inflected words are found, and frequent words, which tell little, cost
    /// no time.
    fn default() -> Self {
        Self { stemming: Some(Language::English), stop_words: Some(Language::English) }
    }
}

impl Tokenizer {
    /// Words in lower case as they are.
    pub const PLAIN: Self = Self { stemming: None, stop_words: None };

    /// The terms of `text`, in its order.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut position = 0;
        for_each_lower_word(text, |range, word| {
            if let Some(term) = word.and_then(|word| self.term(word)) {
                tokens.push(Token { term: term.into_owned(), position, range });
            }
            position += 1;
        });
        tokens
    }

    /// The term of a word in lower case; `None` for a stop word.
    pub(crate) fn term(self, word: &str) -> Option<Cow<'_, str>> {
        if self.stop_words.is_some_and(|language| language.is_stop_word(word)) {
            return None;
        }
        let Some(language) = self.stemming else { return Some(Cow::Borrowed(word)) };
        let stem = language.stemmer().stem(word);
        // A stem of nothing would be one term for words that have nothing in common.
        Some(if stem.is_empty() { Cow::Borrowed(word) } else { stem })
    }
}

/// Call `found` with each word of `text`: where it stands, and itself in lower case if it is not too long.
pub(crate) fn for_each_lower_word(text: &str, mut found: impl FnMut(Range<usize>, Option<&str>)) {
    let mut lower = String::new();
    for_each_word(text, |start, word| {
        let range = start..start + word.len();
        if word.len() > MAX_WORD_BYTES {
            return found(range, None);
        }
        if word.is_ascii() {
            lower.clear();
            lower.push_str(word);
            lower.make_ascii_lowercase();
        } else {
            lower = word.to_lowercase().replace('\u{2019}', "'");
        }
        found(range, Some(&lower));
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn terms(tokenizer: Tokenizer, text: &str) -> Vec<String> {
        tokenizer.tokens(text).into_iter().map(|token| token.term).collect()
    }

    #[test]
    fn words_are_put_in_lower_case() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("The FBI, F.B.I. and O'Reilly's", &["the", "fbi", "f.b.i", "and", "o'reilly's"]),
            ("don\u{2019}t", &["don't"]),
            ("\u{c9}COLE stra\u{df}e \u{1e9e} \u{130}", &["\u{e9}cole", "stra\u{df}e", "\u{df}", "i\u{307}"]),
            ("\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}", &["\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c2}"]),
            ("\u{6771}\u{4eac} \u{30bf}\u{30ef}\u{30fc}", &["\u{6771}", "\u{4eac}", "\u{30bf}\u{30ef}\u{30fc}"]),
            ("ok \u{1f600} \u{1f469}\u{200d}\u{1f680}!", &["ok"]),
            ("cafe\u{301} caf\u{e9}", &["cafe\u{301}", "caf\u{e9}"]),
            ("1,000.50 3D x_y", &["1,000.50", "3d", "x_y"]),
            ("\u{0} \u{fffd} \u{feff} - _ a", &["a"]),
        ];
        for (text, expected) in cases {
            assert_eq!(terms(Tokenizer::PLAIN, text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_are_stemmed_and_stop_words_keep_their_place() {
        let english = Some(Language::English);
        let tokenizer = Tokenizer { stemming: english, stop_words: english };
        let tokens = tokenizer.tokens("The states of the arts");
        let found: Vec<_> =
            tokens.iter().map(|token| (token.term.as_str(), token.position, token.range.clone())).collect();
        assert_eq!(found, [("state", 1, 4..10), ("art", 4, 18..22)]);
    }

    #[test]
    fn long_words_are_left_out() {
        let (longest, longer) = ("x".repeat(MAX_WORD_BYTES), "y".repeat(MAX_WORD_BYTES + 1));
        let tokens = Tokenizer::PLAIN.tokens(&format!("{longer} {longest}"));
        assert_eq!(tokens.len(), 1);
        assert_eq!((tokens[0].term.as_str(), tokens[0].position), (longest.as_str(), 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn ranges_are_words_of_the_text(text in any::<String>()) {
            let tokens = Tokenizer::PLAIN.tokens(&text);
            prop_assert!(tokens.is_sorted_by(|a, b| a.range.end <= b.range.start && a.position < b.position));
            for token in tokens {
                prop_assert_eq!(text[token.range].to_lowercase().replace('\u{2019}', "'"), token.term);
            }
        }

        /// Stemmers are made by a generator for words of their language, and get any.
        #[test]
        fn every_word_has_a_stem(word in "[a-zäåßæøüőıéñçа-яα-ωஅ-ஹا-ي'’y0-9\u{301}\u{4eac}_]{1,12}") {
            for language in Language::ALL {
                let tokenizer = Tokenizer { stemming: Some(*language), stop_words: None };
                prop_assert!(tokenizer.term(&word.to_lowercase()).is_some_and(|term| !term.is_empty()));
            }
        }
    }
}
