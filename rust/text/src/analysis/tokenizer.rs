//! Turn a text into the terms that are indexed.

use std::ops::Range;

use super::cuts::is_abbreviation;
use super::fold::{Casing, fold};
use super::language::Language;
use super::words::for_each_word;

/// The version of the rules that turn texts into terms. A segment built by other rules misses
/// documents and must be built again from its texts.
pub const ANALYZER: u64 = 3;

/// Longer words, in bytes, are not indexed: they are hashes, keys and encoded data rather than
/// words.
pub const MAX_WORD_BYTES: usize = 255;

/// Turns a text into terms: its Unicode words (UAX #29), cut further, without stop words, stemmed.
///
/// - `os.path.join`, `foo_bar`, `key:value` and `1003,7,8` are several words, `3.14` and `1,000`
///   are one: see the module `cuts`.
/// - An abbreviation, such as `U.S.A.` or `e.g.`, is one word, equal to the one without dots, and
///   never a stop word.
/// - Words are compared without regard to case and to forms of one letter: see the module `fold`.
/// - Chinese and Japanese are indexed by character, katakana by run; a phrase finds a word of
///   several characters.
/// - Signs and emoji are not words.
/// - A word of more than [`MAX_WORD_BYTES`] is left out.
///
/// A word that is left out keeps its place: `state of the art` without stop words is `state`, and
/// `art` three places later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// Index the stems of this language.
    pub stemming: Option<Language>,
    /// Leave out the stop words of this language.
    pub stop_words: Option<Language>,
}

/// An indexed word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The indexed term.
    pub term: String,
    /// Number of words before it in the text, including those left out.
    pub position: usize,
    /// The place of the word in the text, in bytes.
    pub range: Range<usize>,
}

impl Default for Tokenizer {
    /// English stems without English stop words: inflected words are found, and frequent words,
    /// which say little, cost no time.
    fn default() -> Self {
        Self { stemming: Some(Language::English), stop_words: Some(Language::English) }
    }
}

impl Tokenizer {
    /// Unchanged words, except for case and forms of letters.
    pub const PLAIN: Self = Self { stemming: None, stop_words: None };

    /// Return the terms of `text`, in its order.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut position = 0;
        for_each_word(text, |start, word| {
            if let Some(term) = self.term(word) {
                tokens.push(Token { term, position, range: start..start + word.len() });
            }
            position += 1;
        });
        tokens
    }

    /// Return the term of a word in a text; `None` if it is left out.
    pub(crate) fn term(self, word: &str) -> Option<String> {
        if is_too_long(word) {
            return None;
        }
        let is_abbreviation = is_abbreviation(word);
        let mut word = fold(word, self.casing());
        if self.stemming == Some(Language::Turkish) {
            // The ending of a name follows an apostrophe; stemmers do not know it.
            word.truncate(word.find('\'').filter(|at| *at > 0).unwrap_or(word.len()));
        }
        if word.is_empty() || word.len() > MAX_WORD_BYTES {
            return None;
        }
        if is_abbreviation {
            // `U.S.` is not the stop word `us`.
            word.retain(|letter| letter != '.');
        } else if self.stop_words.is_some_and(|language| language.is_stop_word(&word)) {
            return None;
        }
        let Some(stemmer) = self.stemming.and_then(Language::stemmer) else { return Some(word) };
        let stem = stemmer.stem(&word);
        // An empty stem would be one term for unrelated words.
        Some(if stem.is_empty() { word } else { stem.into_owned() })
    }

    fn casing(self) -> Casing {
        let is_turkic = |language: Option<Language>| language.is_some_and(Language::is_turkic);
        if is_turkic(self.stemming) || is_turkic(self.stop_words) { Casing::Turkic } else { Casing::Common }
    }
}

/// Whether a word has too many bytes in any form of its letters.
pub(crate) const fn is_too_long(word: &str) -> bool {
    // A composed form of letters has at least a quarter of the bytes.
    word.len() > if word.is_ascii() { MAX_WORD_BYTES } else { 4 * MAX_WORD_BYTES }
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
    fn words_are_folded() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("The FBI, F.B.I. and O'Reilly's", &["the", "fbi", "fbi", "and", "o'reilly's"]),
            ("don\u{2019}t", &["don't"]),
            ("\u{c9}COLE stra\u{df}e \u{1e9e} \u{130}", &["\u{e9}cole", "strasse", "ss", "i"]),
            ("\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}", &["\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c3}"]),
            ("\u{6771}\u{4eac} \u{30bf}\u{30ef}\u{30fc}", &["\u{6771}", "\u{4eac}", "\u{30bf}\u{30ef}\u{30fc}"]),
            ("ok \u{1f600} \u{1f469}\u{200d}\u{1f680}!", &["ok"]),
            ("cafe\u{301} caf\u{e9}", &["caf\u{e9}", "caf\u{e9}"]),
            ("1,000.50 3D x_y", &["1,000.50", "3d", "x", "y"]),
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
    fn long_words_are_left_out_in_any_form() {
        let (longest, longer) = ("x".repeat(MAX_WORD_BYTES), "y".repeat(MAX_WORD_BYTES + 1));
        let tokens = Tokenizer::PLAIN.tokens(&format!("{longer} {longest}"));
        assert_eq!(tokens.len(), 1);
        assert_eq!((tokens[0].term.as_str(), tokens[0].position), (longest.as_str(), 1));
        for (letters, fits) in [(127, true), (128, false)] {
            let (composed, decomposed) = ("\u{e9}".repeat(letters), "e\u{301}".repeat(letters));
            assert_eq!(terms(Tokenizer::PLAIN, &composed), terms(Tokenizer::PLAIN, &decomposed));
            assert_eq!(terms(Tokenizer::PLAIN, &composed).len(), usize::from(fits));
        }
        assert_eq!(terms(Tokenizer::PLAIN, &"\u{e9}".repeat(1 << 20)), [""; 0]);
    }

    #[test]
    fn case_is_that_of_the_language() {
        let of = |language, text| terms(Tokenizer { stemming: None, stop_words: Some(language) }, text);
        for language in [Language::Turkish, Language::Azerbaijani] {
            assert_eq!(of(language, "I\u{15e}IK \u{130}stanbul"), ["\u{131}\u{15f}\u{131}k", "istanbul"]);
        }
        assert_eq!(of(Language::Lithuanian, "LI\u{300}TS li\u{307}\u{300}ts"), ["l\u{ec}ts"; 2]);
    }

    /// Words that a reader considers the same have one term.
    #[test]
    fn forms_of_a_word_have_one_term_in_its_language() {
        for (language, words) in [
            (Language::German, ["Stra\u{df}en", "STRASSE", "strasse"]),
            (
                Language::Greek,
                ["\u{39f}\u{394}\u{39f}\u{3a3}", "\u{3bf}\u{3b4}\u{3cc}\u{3c2}", "\u{39f}\u{3b4}\u{3bf}\u{301}\u{3c2}"],
            ),
            (Language::Turkish, ["KITABI", "k\u{131}tab\u{131}", "K\u{131}tab\u{131}"]),
            (Language::Turkish, ["\u{130}stanbul'da", "\u{130}STANBUL\u{2019}UN", "istanbul"]),
            (Language::French, ["\u{c9}T\u{c9}S", "e\u{301}te\u{301}s", "\u{e9}t\u{e9}s"]),
            (Language::Russian, ["\u{401}\u{416}", "\u{415}\u{308}\u{436}", "\u{451}\u{436}"]),
            (Language::Azerbaijani, ["QIZIL", "q\u{131}z\u{131}l", "Q\u{131}z\u{131}l"]),
        ] {
            let tokenizer = Tokenizer { stemming: Some(language), stop_words: None };
            let terms = terms(tokenizer, &words.join(" "));
            assert!(terms.len() == 3 && terms.iter().all(|term| *term == terms[0]), "{language:?} {terms:?}");
        }
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
                let word = fold(&text[token.range.clone()], Casing::Common);
                let is_abbreviation = is_abbreviation(&text[token.range]);
                prop_assert_eq!(if is_abbreviation { word.replace('.', "") } else { word }, token.term);
            }
        }

        /// Stemmers are generated for words of their language, but must take any word.
        #[test]
        fn every_word_has_a_stem(word in "[a-zäåßæøüőıéñçа-яα-ωஅ-ஹا-ي'’y0-9\u{301}\u{4eac}_]{1,12}") {
            for language in Language::ALL {
                let tokenizer = Tokenizer { stemming: Some(*language), stop_words: None };
                prop_assert!(tokenizer.term(&word).is_some_and(|term| !term.is_empty()));
            }
        }
    }
}
