//! Turn texts into terms: words, their case and forms, languages, stop words.

pub(crate) mod cuts;
pub(crate) mod fold;
pub(crate) mod language;
pub(crate) mod stop_words;
pub(crate) mod tokenizer;
pub(crate) mod words;
