//! The languages whose words can be stemmed.

use rust_stemmers::{Algorithm, Stemmer};

use crate::stop_words;

macro_rules! languages {
    ($($language:ident $name:literal),+ $(,)?) => {
        /// A language whose words can be stemmed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum Language {
            $($language),+
        }

        impl Language {
            /// All languages.
            pub const ALL: &[Self] = &[$(Self::$language),+];

            /// Its English name in lower case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$language => $name),+
                }
            }

            /// A stemmer is a pointer to a function, so it is made when it is wanted.
            pub(crate) fn stemmer(self) -> Stemmer {
                Stemmer::create(match self {
                    $(Self::$language => Algorithm::$language),+
                })
            }
        }
    };
}

languages! {
    Arabic "arabic",
    Danish "danish",
    Dutch "dutch",
    English "english",
    Finnish "finnish",
    French "french",
    German "german",
    Greek "greek",
    Hungarian "hungarian",
    Italian "italian",
    Norwegian "norwegian",
    Portuguese "portuguese",
    Romanian "romanian",
    Russian "russian",
    Spanish "spanish",
    Swedish "swedish",
    Tamil "tamil",
    Turkish "turkish",
}

impl Language {
    /// The language of an English name in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|language| language.name() == name)
    }

    /// Words that stand in most texts of the language and tell little about them, sorted. Dutch, English, French, German,
    /// Italian, Portuguese, Spanish and Swedish have a list; it is empty for the others.
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

    pub(crate) fn is_stop_word(self, word: &str) -> bool {
        self.stop_words().binary_search(&word).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_found_by_name() {
        for language in Language::ALL {
            assert_eq!(Language::from_name(language.name()), Some(*language));
        }
        assert_eq!(Language::from_name("English"), None);
    }

    #[test]
    fn stop_words_are_sorted_and_in_lower_case() {
        for language in Language::ALL {
            let words = language.stop_words();
            assert!(words.is_sorted_by(|a, b| a < b), "{language:?}");
            assert!(words.iter().all(|word| **word == word.to_lowercase()), "{language:?}");
        }
        assert!(Language::English.is_stop_word("the"));
        assert!(!Language::English.is_stop_word("word"));
    }
}
