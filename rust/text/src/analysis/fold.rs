//! Fold the differences in a word that a search ignores: case, and forms of one letter.
//!
//! A word is converted to compatibility form (NFKC) with full case folding, as by `NFKC_Casefold`
//! of Unicode: `ß` is `ss`, a final `ς` is `σ`, the ligature `ﬁ` is `fi`, a full-width `Ａ` is `a`,
//! and `e` followed by an accent is `é`. Characters that Unicode ignores in words, such as soft
//! hyphens, are removed. Four rules are ours:
//!
//! - A dot above i or j means nothing: `İ` is `i`, and so is the `i̇` that other programs, and the
//!   rules of Lithuanian, make of it.
//! - A dotless `ı` is also `i`, since both are `I` in upper case. In Turkish and Azerbaijani,
//!   however, `I` is `ı`, and `İ` is `i`.
//! - Accents stay.
//! - A typographic apostrophe becomes a plain one.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The rules of case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Casing {
    Common,
    /// `I` is the capital of `ı`, `İ` that of `i`.
    Turkic,
}

const DOT_ABOVE: char = '\u{307}';
/// The combining class of marks above a letter.
const ABOVE: u8 = 230;

/// Convert a word to the form that is compared. It may be empty.
pub(crate) fn fold(word: &str, casing: Casing) -> String {
    if word.is_ascii() && (casing == Casing::Common || !word.contains('I')) {
        return word.to_ascii_lowercase();
    }
    let letters: Vec<char> = decomposed(word).collect();
    // The letter that the next marks belong to, as long as nothing but a dot is above it.
    let mut bare = None;
    let mut folded = Vec::with_capacity(letters.len());
    for (at, letter) in letters.iter().enumerate() {
        let class = canonical_combining_class(*letter);
        if *letter == DOT_ABOVE && bare.is_some_and(is_dotted) {
            continue;
        }
        match class {
            0 => bare = Some(*letter),
            ABOVE => bare = None,
            _ => {}
        }
        match letter {
            'I' | 'ı' if casing == Casing::Turkic => folded.push(if has_dot(&letters[at + 1..]) { 'i' } else { 'ı' }),
            '\u{2019}' => folded.push('\''),
            _ => folded.extend(fold_letter(*letter)),
        }
    }
    folded.into_iter().nfc().collect()
}

/// Return the letters and marks of a word, in canonical order.
fn decomposed(word: &str) -> impl Iterator<Item = char> {
    word.nfkd().filter(|letter| !is_ignored(*letter)).nfd()
}

/// Return the form that a letter shares with all letters equal to it in upper or in lower case.
fn fold_letter(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Whether a dot above this letter means nothing.
const fn is_dotted(letter: char) -> bool {
    matches!(letter, 'i' | 'I' | 'ı' | 'j' | 'J')
}

/// Whether the marks that follow put a dot above a letter before anything else.
fn has_dot(marks: &[char]) -> bool {
    let first = marks.iter().find(|mark| matches!(canonical_combining_class(**mark), 0 | ABOVE));
    first == Some(&DOT_ABOVE)
}

/// Whether Unicode ignores a letter (`Default_Ignorable_Code_Point`).
const fn is_ignored(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn common(word: &str) -> String {
        fold(word, Casing::Common)
    }

    fn turkic(word: &str) -> String {
        fold(word, Casing::Turkic)
    }

    #[test]
    fn forms_of_a_word_are_one() {
        let same: [(&str, &[&str]); 13] = [
            ("strasse", &["Straße", "STRASSE", "STRAẞE", "ſtraſſe"]),
            ("οδυσσεασ", &["ΟΔΥΣΣΕΑΣ", "οδυσσεας", "Οδυσσεασ"]),
            ("café", &["CAFE\u{301}", "cafe\u{301}", "Caf\u{e9}", "ＣＡＦÉ"]),
            ("istanbul", &["İstanbul", "I\u{307}STANBUL", "i\u{307}stanbul", "ISTANBUL", "ıstanbul"]),
            ("lìts", &["Lìts", "LÌTS", "li\u{307}\u{300}ts", "LI\u{300}TS"]),
            ("įj\u{303}", &["ĮJ\u{303}", "į\u{307}j\u{307}\u{303}", "i\u{307}\u{328}j\u{303}"]),
            ("ffin", &["ﬀın", "ﬃn", "FFIN"]),
            ("abc123", &["ＡＢＣ１２３", "ABC\u{b9}\u{b2}\u{b3}", "ⓐⓑⓒ①②③"]),
            ("カタカナ", &["ｶﾀｶﾅ"]),
            ("ガ", &["カ\u{3099}", "ｶﾞ"]),
            ("한글", &["한글".nfd().collect::<String>().leak()]),
            ("cooperate", &["co\u{ad}operate", "co\u{200d}op\u{2060}erate", "\u{feff}Cooperate"]),
            ("don't", &["DON\u{2019}T", "don't"]),
        ];
        for (form, words) in same {
            for word in words {
                assert_eq!(common(word), form, "{word}");
            }
        }
        assert_eq!(common("ᾳ"), common("ΑΙ"));
        assert_ne!(common("résumé"), common("resume"), "accents stay");
        assert_eq!(common("\u{ad}"), "");
    }

    #[test]
    fn turkish_letters_have_their_own_case() {
        for (word, form) in [
            ("IŞIK", "ışık"),
            ("ışık", "ışık"),
            ("İstanbul", "istanbul"),
            ("i\u{307}stanbul", "istanbul"),
            ("I\u{307}STANBUL", "istanbul"),
            ("DIŞ", "dış"),
            ("I\u{323}\u{307}", "ị"),
            ("I\u{301}\u{307}", "ı\u{301}\u{307}"),
            ("FİLE", "file"),
            ("FILE", "fıle"),
            ("ÇĞÖŞÜ", "çğöşü"),
        ] {
            assert_eq!(turkic(word), form, "{word}");
        }
    }

    /// Letters with marks, and forms of them.
    const LETTERS: &str = "[a-cijIJıİßẞſςσΣΐΐᾳᾼᾷéÉÅåﬁﬃǰŉĲǅµКкёЁ한가ガｶﾞＡａ①ẛ\u{301}\u{300}\u{307}\u{323}\u{328}\u{345}\u{30c}\u{ad}]{0,8}";

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn every_form_of_any_word_is_the_same(any in any::<String>(), letters in LETTERS) {
            for word in [any, letters] {
                for casing in [Casing::Common, Casing::Turkic] {
                    let folded = fold(&word, casing);
                    prop_assert_eq!(&fold(&folded, casing), &folded, "once is enough");
                    for form in [word.nfc().collect::<String>(), word.nfd().collect(), word.nfkc().collect(), word.nfkd().collect()] {
                        prop_assert_eq!(&fold(&form, casing), &folded);
                    }
                    prop_assert_eq!(folded.nfkc().collect::<String>(), folded);
                }
                // Upper case turns the mark U+0345 into a letter, which separates it from later
                // marks that are not in canonical order.
                let (folded, ordered) = (common(&word), decomposed(&word).collect::<String>());
                for form in [ordered.to_lowercase(), ordered.to_uppercase()] {
                    prop_assert_eq!(&common(&form), &folded);
                }
            }
        }
    }
}
