//! Find the words of a text by the word boundaries of Unicode (UAX #29), cut further by the module
//! `cuts`.

use unicode_segmentation::UnicodeSegmentation;

use super::cuts::for_each_part;

/// Call `found` with the byte offset and the characters of each word of `text`.
pub(crate) fn for_each_word<'a>(text: &'a str, mut found: impl FnMut(usize, &'a str)) {
    for_each_unicode_word(text, |start, word| for_each_part(word, |offset, part| found(start + offset, part)));
}

/// Call `found` with the byte offset and the characters of each Unicode word: the text between two
/// boundaries, if it has a letter or a digit.
///
/// Words of ASCII are found byte by byte, with the rules that apply to them. If another character
/// may matter, the tables decide everything up to the next space, since a space always ends a word.
///
/// One rule is left out: a mark does not pull the preceding space or sign into a word, so no word
/// begins with one.
pub(crate) fn for_each_unicode_word<'a>(text: &'a str, mut found: impl FnMut(usize, &'a str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii() && !is_core(byte) {
            at += 1;
            continue;
        }
        let start = at;
        if let Some(end) = ascii_end(bytes, start) {
            at = end;
            if bytes[start..end].iter().any(u8::is_ascii_alphanumeric) {
                found(start, &text[start..end]);
            }
        } else {
            at = bytes[start..].iter().position(|byte| *byte <= b' ').map_or(bytes.len(), |length| start + length);
            for (offset, word) in text[start..at].unicode_word_indices() {
                let trimmed = trim(word);
                found(start + offset + word.len() - trimmed.len(), trimmed);
            }
        }
    }
}

/// Return a word from its first letter, digit or underscore on.
fn trim(word: &str) -> &str {
    word.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Return where the word that begins at `start` ends; `None` if a character beyond ASCII decides
/// that.
fn ascii_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match bytes.get(at) {
            Some(byte) if is_core(*byte) => at += 1,
            Some(byte) if !byte.is_ascii() => return None,
            Some(byte) if at > start && is_joint(*byte) => match bytes.get(at + 1) {
                Some(next) if !next.is_ascii() => return None,
                Some(next) if joins(bytes[at - 1], *byte, *next) => at += 1,
                _ => return Some(at),
            },
            _ => return Some(at),
        }
    }
}

/// Whether a character has no boundary between itself and another one of this kind.
const fn is_core(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a sign may occur inside a word.
const fn is_joint(byte: u8) -> bool {
    matches!(byte, b'.' | b'\'' | b':' | b',' | b';')
}

/// Whether `joint` joins its two neighbours, as in `can't`, `e.g` and `1,000`.
const fn joins(before: u8, joint: u8, after: u8) -> bool {
    if before.is_ascii_digit() && after.is_ascii_digit() {
        return joint != b':';
    }
    before.is_ascii_alphabetic() && after.is_ascii_alphabetic() && matches!(joint, b'.' | b'\'' | b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn words(text: &str) -> Vec<(usize, &str)> {
        let mut words = Vec::new();
        for_each_unicode_word(text, |start, word| words.push((start, word)));
        words
    }

    /// Return the Unicode words, each without the signs before it.
    fn reference(text: &str) -> Vec<(usize, &str)> {
        text.unicode_word_indices().map(|(at, word)| (at + word.len() - trim(word).len(), trim(word))).collect()
    }

    #[test]
    fn finds_the_words_of_unicode() {
        let cases = [
            "",
            " ",
            "a",
            "can't stop, won't stop",
            "e.g. 1,000.5 and 3;4 at 10:30, a:b",
            "__ _a a_ _1_",
            "don\u{2019}t caf\u{e9} cafe\u{301}'s \u{301}x",
            "a'\u{301}b 1,\u{301}2 a.\u{200d}b",
            "\u{6771}\u{4eac}\u{90fd} \u{30ab}\u{30bf}\u{30ab}\u{30ca} \u{3072}\u{3089}",
            "\u{1f469}\u{200d}\u{1f680} \u{1f1e9}\u{1f1ea} 1\u{fe0f}\u{20e3}",
            " \u{200d}\u{24c2} \u{345}",
            "\u{5d0}\"\u{5d1} x\r\ny\tz",
        ];
        for text in cases {
            assert_eq!(words(text), reference(text), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn finds_the_words_of_unicode_in_any_text(text in "[ab1_ .,:;'\"\r\n\u{301}\u{200d}\u{e9}\u{5d0}\u{30ab}\u{4eac}\u{2019}\u{1f680}\u{24c2}\u{345}\u{ad}\u{2003}]{0,24}") {
            prop_assert_eq!(words(&text), reference(&text));
        }

        #[test]
        fn finds_the_words_of_unicode_in_any_characters(text in any::<String>()) {
            prop_assert_eq!(words(&text), reference(&text));
        }
    }
}
