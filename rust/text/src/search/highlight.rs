//! Find where the words of a query occur in a text.

use std::ops::Range;

use super::query::{Occur, Query};
use crate::analysis::tokenizer::Tokenizer;
use crate::analysis::words::for_each_word;

/// Return the words of `text` that match `query`, as ranges of bytes in the order of the text:
/// single words wherever they occur, words of phrases where the phrase occurs. Words with the same
/// stem match, as in a search with the same tokenizer.
pub fn highlight(text: &str, query: &Query, tokenizer: &Tokenizer) -> Vec<Range<usize>> {
    // The term of the query at each place, and its range.
    let mut places: Vec<(Option<usize>, Range<usize>)> = Vec::new();
    for_each_word(text, |start, word| {
        let term = tokenizer.term(word);
        places.push((term.and_then(|term| query.term(&term)), start..start + word.len()));
    });
    let wanted = || query.clauses.iter().filter(|clause| clause.occur != Occur::Excluded);
    let mut single = vec![false; query.hashes.len()];
    for (term, _) in query.words() {
        single[term] = true;
    }
    let mut lit: Vec<bool> = places.iter().map(|(term, _)| term.is_some_and(|term| single[term])).collect();
    for clause in wanted().filter(|clause| clause.is_phrase()) {
        let stands = |at: usize, term: usize| places.get(at).is_some_and(|place| place.0 == Some(term));
        for start in 0..places.len() {
            if clause.words.iter().all(|word| stands(start + word.offset, word.term)) {
                for word in &clause.words {
                    lit[start + word.offset] = true;
                }
            }
        }
    }
    places.into_iter().zip(lit).filter(|(_, lit)| *lit).map(|((_, range), _)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lit<'a>(text: &'a str, query: &str) -> Vec<&'a str> {
        let tokenizer = Tokenizer::default();
        let ranges = highlight(text, &Query::parse(query, &tokenizer).unwrap(), &tokenizer);
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_of_the_same_stem_are_lit() {
        assert_eq!(lit("Dogs, a D\u{f6}g and the DOG's bone", "dog bones"), ["Dogs", "DOG's", "bone"]);
    }

    #[test]
    fn a_phrase_is_lit_where_it_stands() {
        assert_eq!(lit("red wine, white wine, red", "\"red wine\""), ["red", "wine"]);
        assert_eq!(lit("red wine, white wine, red", "\"red wine\" +white -red"), ["red", "wine", "white"]);
        assert_eq!(lit("", "red"), [""; 0]);
    }
}
