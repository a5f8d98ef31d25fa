//! Compare the words of any text with a slow reference that looks at each sign separately.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_text::{Query, Segment, TextIndex, Tokenizer, highlight};
use unicode_segmentation::UnicodeSegmentation;

use std::ops::Range;
use std::sync::Arc;

/// Return the words of a text of these characters: ASCII, and an `é`.
fn reference(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, word) in text.unicode_word_indices() {
        if stands_for_letters(word) {
            found.push(start..start + word.len());
            continue;
        }
        let cut = |at: usize| word[at..].starts_with(['.', ',', ':', ';', '_']) && !is_inside_a_number(word, at);
        let mut at = 0;
        while at < word.len() {
            let end = (at..word.len()).find(|end| word.is_char_boundary(*end) && cut(*end)).unwrap_or(word.len());
            let trimmed = word[at..end].trim_start_matches('\'');
            if !trimmed.is_empty() {
                found.push(start + end - trimmed.len()..start + end);
            }
            at = end + 1;
        }
    }
    found
}

/// Whether a word is like `e.g` or `U.S.A's`.
fn stands_for_letters(word: &str) -> bool {
    let letters: Vec<char> = word.split('\'').next().unwrap().chars().collect();
    let alternate = letters.iter().enumerate().all(|(at, c)| if at % 2 == 0 { c.is_alphabetic() } else { *c == '.' });
    alternate && letters.len() > 1 && letters.len() % 2 == 1 && word.matches('.').count() == letters.len() / 2
}

/// Whether the sign at `at` joins the digits beside it.
fn is_inside_a_number(word: &str, at: usize) -> bool {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let between = is_digit(word[..at].chars().next_back()) && is_digit(word[at + 1..].chars().next());
    match word.as_bytes()[at] {
        b'.' => between,
        b',' => {
            // From the last sign before it that always cuts to the next one.
            let cuts = |other: &usize| match word.as_bytes()[*other] {
                b'.' => !is_inside_a_number(word, *other),
                byte => b":;_".contains(&byte),
            };
            let start = (0..at).rev().find(cuts).map_or(0, |other| other + 1);
            let end = (at..word.len()).find(cuts).unwrap_or(word.len());
            let groups: Vec<&str> = word[start..end].split(',').collect();
            let digits = |group: &str| group.bytes().take_while(u8::is_ascii_digit).count();
            groups.iter().enumerate().all(|(number, group)| {
                let is_last = number + 1 == groups.len();
                (digits(group) == group.len() || is_last) && (digits(group) == 3 || (number == 0 && digits(group) < 3))
            }) && digits(groups[0]) > 0
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 6_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn words_are_those_of_the_reference(
        text in "[abé1_ .,:;']{0,16}",
        number in "[0-9]{1,4}([.,;][0-9]{1,4}){0,4}[ab]{0,1}",
        code in "[ab]{1,2}([._:'][ab]{1,2}){0,4}",
    ) {
        for text in [&text, &number, &code, &format!("{text}{number} {code}")] {
            let tokens = Tokenizer::PLAIN.tokens(text);
            let ranges: Vec<_> = tokens.iter().map(|token| token.range.clone()).collect();
            prop_assert_eq!(&ranges, &reference(text), "{}", text);
            for token in tokens {
                let word = &text[token.range];
                let term = if stands_for_letters(word) { word.replace('.', "") } else { word.to_owned() };
                prop_assert_eq!(token.term, term);
            }
        }
    }

    /// A text is found by each of its words and as a phrase, and these are highlighted in place.
    #[test]
    fn texts_are_found_by_their_words_and_as_a_phrase(text in "[ab]{1,2}([_.:,; ][ab12]{1,3}){0,5}") {
        let tokenizer = Tokenizer::PLAIN;
        let text = format!("x {text} y");
        let segment = Segment::build([(0, text.as_str())].into_iter(), &tokenizer).unwrap();
        let index = TextIndex::new().with(Arc::new(segment)).unwrap();
        let ranges = reference(&text);
        let words: Vec<&str> = ranges.iter().map(|range| &text[range.clone()]).collect();
        let phrase = [format!("\"{text}\""), format!("+\"{text}\"")];
        for query in words.iter().map(|word| (*word).to_owned()).chain(phrase) {
            let query = Query::parse(&query, &tokenizer).unwrap();
            prop_assert_eq!(index.search(&query, 1, |_| true).len(), 1);
        }
        let all = Query::parse(&format!("\"{text}\""), &tokenizer).unwrap();
        prop_assert_eq!(highlight(&text, &all, &tokenizer), ranges);
    }
}
