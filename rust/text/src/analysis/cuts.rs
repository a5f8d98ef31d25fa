//! Cut a Unicode word further, so that code, addresses and tables are found by their words.
//!
//! UAX #29 keeps `os.path.join`, `foo_bar`, `key:value` and `1003,7,8,9` whole. Here underscores,
//! colons and semicolons always cut. A dot cuts unless it is between digits, as in `3.14`. Commas
//! cut unless they separate thousands, with one to three digits before the first and exactly three
//! after each. An abbreviation, single letters with dots as in `U.S.A.`, stays whole.

use unicode_segmentation::UnicodeSegmentation;

/// Call `found` with the byte offset and the characters of each part of `word`, which is a word of
/// UAX #29.
pub(crate) fn for_each_part<'a>(word: &'a str, mut found: impl FnMut(usize, &'a str)) {
    if !word.bytes().any(may_cut) || is_abbreviation(word) {
        return found(0, word);
    }
    let mut piece = |start: usize, end: usize| {
        let whole = &word[start..end];
        if !whole.contains(is_comma) || has_thousands(whole) {
            return part(start, whole, &mut found);
        }
        let mut at = start;
        for (comma, sign) in whole.match_indices(is_comma) {
            part(at, &word[at..start + comma], &mut found);
            at = start + comma + sign.len();
        }
        part(at, &word[at..end], &mut found);
    };
    let mut start = 0;
    let mut before = None;
    let mut letters = word.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let after = letters.peek().map(|(_, after)| *after);
        if is_divider(letter) || (is_dot(letter) && !(before.is_some_and(is_digit) && after.is_some_and(is_digit))) {
            piece(start, at);
            start = at + letter.len_utf8();
        }
        before = Some(letter);
    }
    piece(start, word.len());
}

/// Whether a word is an abbreviation: single letters with dots between them. Text after an
/// apostrophe does not count.
pub(crate) fn is_abbreviation(word: &str) -> bool {
    let (letters, ending) = word.split_at(word.find(['\'', '\u{2019}']).unwrap_or(word.len()));
    letters.contains(is_dot) && !ending.contains(is_dot) && letters.split(is_dot).all(is_letter)
}

/// Pass a part on without the signs before its first letter or digit, if it has one.
fn part<'a>(start: usize, part: &'a str, found: &mut impl FnMut(usize, &'a str)) {
    let trimmed = part.trim_start_matches(|c: char| !c.is_alphanumeric());
    if !trimmed.is_empty() {
        found(start + part.len() - trimmed.len(), trimmed);
    }
}

/// Whether a text is one letter with its marks.
fn is_letter(text: &str) -> bool {
    text.starts_with(char::is_alphabetic) && text.graphemes(true).nth(1).is_none()
}

/// Whether the commas of `text` separate thousands. Anything but a digit may follow the last group.
fn has_thousands(text: &str) -> bool {
    let digits = |group: &str| group.chars().take_while(|c| is_digit(*c)).count();
    let is_number = |group: &str| group.chars().all(is_digit);
    let mut groups = text.split(is_comma);
    let first = groups.next().is_some_and(|first| (1..=3).contains(&digits(first)) && is_number(first));
    let last = groups.next_back().is_some_and(|last| digits(last) == 3);
    first && last && groups.all(|group| digits(group) == 3 && is_number(group))
}

/// Whether a word with this byte may have to be cut, as a quick check.
const fn may_cut(byte: u8) -> bool {
    !byte.is_ascii() || matches!(byte, b'_' | b'.' | b':' | b',' | b';')
}

fn is_digit(letter: char) -> bool {
    letter.is_numeric() && !letter.is_alphabetic()
}

/// Whether a letter is an underscore or joins words like one, or is a colon or a semicolon.
const fn is_divider(letter: char) -> bool {
    matches!(
        letter,
        '_' | '\u{202f}' | '\u{203f}' | '\u{2040}' | '\u{2054}' | '\u{fe33}' | '\u{fe34}' | '\u{fe4d}'
            ..='\u{fe4f}'
                | '\u{ff3f}'
                | ':'
                | '\u{fe13}'
                | '\u{fe55}'
                | '\u{ff1a}'
                | ';'
                | '\u{37e}'
                | '\u{fe14}'
                | '\u{fe54}'
                | '\u{ff1b}'
    )
}

const fn is_dot(letter: char) -> bool {
    matches!(letter, '.' | '\u{2024}' | '\u{fe52}' | '\u{ff0e}')
}

const fn is_comma(letter: char) -> bool {
    matches!(letter, ',' | '\u{60c}' | '\u{fe10}' | '\u{fe50}' | '\u{ff0c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(word: &str) -> Vec<(usize, &str)> {
        let mut parts = Vec::new();
        for_each_part(word, |start, part| parts.push((start, part)));
        parts
    }

    fn texts(word: &str) -> Vec<&str> {
        parts(word).into_iter().map(|(_, part)| part).collect()
    }

    #[test]
    fn words_are_cut_between_letters() {
        let cases: [(&str, &[&str]); 12] = [
            ("os.path.join", &["os", "path", "join"]),
            ("foo_bar", &["foo", "bar"]),
            ("__init__", &["init"]),
            ("key:value", &["key", "value"]),
            ("out.txt", &["out", "txt"]),
            ("Ph.D", &["Ph", "D"]),
            ("p.x_max", &["p", "x", "max"]),
            ("don't", &["don't"]),
            ("mot\u{202f}", &["mot"]),
            ("caf\u{e9}_e\u{301}t", &["caf\u{e9}", "e\u{301}t"]),
            ("\u{ff41}\u{ff1a}\u{ff42}", &["\u{ff41}", "\u{ff42}"]),
            ("a_\u{301}b", &["a", "b"]),
        ];
        for (word, expected) in cases {
            assert_eq!(texts(word), expected, "{word}");
        }
        assert_eq!(parts("ab_\u{e9}:c"), [(0, "ab"), (3, "\u{e9}"), (6, "c")]);
        assert_eq!(parts("1,22,3"), [(0, "1"), (2, "22"), (5, "3")]);
    }

    #[test]
    fn numbers_stay_whole() {
        for word in [
            "3.14",
            "5.00",
            "1,000",
            "1,000,000",
            "12,345.67",
            "v1.2.3",
            "1,000km",
            "1'000",
            "\u{661},\u{662}\u{663}\u{664}",
        ] {
            assert_eq!(texts(word), [word]);
        }
    }

    #[test]
    fn rows_of_numbers_are_cut() {
        let cases: [(&str, &[&str]); 7] = [
            ("1003,7,8,9", &["1003", "7", "8", "9"]),
            ("1003,500", &["1003", "500"]),
            ("3.14,2.71", &["3.14", "2.71"]),
            ("1,000,50", &["1", "000", "50"]),
            ("1,000.5,200", &["1", "000.5", "200"]),
            ("1,5;2,7", &["1", "5", "2", "7"]),
            ("1,000;2,000", &["1,000", "2,000"]),
        ];
        for (word, expected) in cases {
            assert_eq!(texts(word), expected, "{word}");
        }
    }

    #[test]
    fn abbreviations_stay_whole() {
        for word in ["U.S.A", "e.g", "z.B", "J.R.R's", "\u{e9}.g", "e\u{301}.g", "\u{915}\u{93f}.\u{92e}\u{940}"] {
            assert_eq!(texts(word), [word]);
            assert!(is_abbreviation(word));
        }
        for word in ["a", "don't", "a.bc", "3.1", "1.2.3", "a'b.c", "a.b_c", ""] {
            assert!(!is_abbreviation(word), "{word}");
        }
    }
}
