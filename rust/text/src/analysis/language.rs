//! The supported languages.

use rust_stemmers::{Algorithm, Stemmer};

use super::stop_words;

macro_rules! languages {
    ($($language:ident $name:literal $stemmer:expr),+ $(,)?) => {
        /// The language of texts, which determines stemming, stop words and the rules of case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum Language {
            $($language),+
        }

        impl Language {
            /// All languages.
            pub const ALL: &[Self] = &[$(Self::$language),+];

            /// Return its English name in lower case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$language => $name),+
                }
            }

            /// Make the stemmer, which is only a pointer to a function; `None` if the language has
            /// none.
            pub(crate) fn stemmer(self) -> Option<Stemmer> {
                let algorithm = match self {
                    $(Self::$language => $stemmer),+
                };
                algorithm.map(Stemmer::create)
            }
        }
    };
}

languages! {
    Arabic "arabic" Some(Algorithm::Arabic),
    Azerbaijani "azerbaijani" None,
    Danish "danish" Some(Algorithm::Danish),
    Dutch "dutch" Some(Algorithm::Dutch),
    English "english" Some(Algorithm::English),
    Finnish "finnish" Some(Algorithm::Finnish),
    French "french" Some(Algorithm::French),
    German "german" Some(Algorithm::German),
    Greek "greek" Some(Algorithm::Greek),
    Hungarian "hungarian" Some(Algorithm::Hungarian),
    Italian "italian" Some(Algorithm::Italian),
    Lithuanian "lithuanian" None,
    Norwegian "norwegian" Some(Algorithm::Norwegian),
    Portuguese "portuguese" Some(Algorithm::Portuguese),
    Romanian "romanian" Some(Algorithm::Romanian),
    Russian "russian" Some(Algorithm::Russian),
    Spanish "spanish" Some(Algorithm::Spanish),
    Swedish "swedish" Some(Algorithm::Swedish),
    Tamil "tamil" Some(Algorithm::Tamil),
    Turkish "turkish" Some(Algorithm::Turkish),
}

impl Language {
    /// Return the language of an English name in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|language| language.name() == name)
    }

    /// Return the stop words of the language, sorted. Dutch, English, French, German, Italian,
    /// Portuguese, Spanish and Swedish have a list; it is empty for the others.
    pub const fn stop_words(self) -> &'static [&'static str] {
        match self {
            Self::Dutch => &stop_words::DUTCH,
            Self::English => &stop_words::ENGLISH,
            Self::French => &stop_words::FRENCH,
            Self::German => &stop_words::GERMAN,
            Self::Italian => &stop_words::ITALIAN,
            Self::Portuguese => &stop_words::PORTUGUESE,
            Self::Spanish => &stop_words::SPANISH,
            Self::Swedish => &stop_words::SWEDISH,
            _ => &[],
        }
    }

    /// Whether `I` is the capital of `ı`, and `İ` that of `i`.
    pub(crate) const fn is_turkic(self) -> bool {
        matches!(self, Self::Turkish | Self::Azerbaijani)
    }

    pub(crate) fn is_stop_word(self, word: &str) -> bool {
        self.stop_words().binary_search(&word).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fold::{Casing, fold};

    #[test]
    fn languages_are_found_by_name() {
        for language in Language::ALL {
            assert_eq!(Language::from_name(language.name()), Some(*language));
        }
        assert_eq!(Language::from_name("English"), None);
    }

    #[test]
    fn stop_words_are_sorted_and_folded() {
        for language in Language::ALL {
            let words = language.stop_words();
            assert!(words.is_sorted_by(|a, b| a < b), "{language:?}");
            assert!(words.iter().all(|word| **word == fold(word, Casing::Common)), "{language:?}");
        }
        assert!(Language::English.is_stop_word("the"));
        assert!(!Language::English.is_stop_word("word"));
    }
}
