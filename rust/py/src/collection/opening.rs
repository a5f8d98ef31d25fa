//! The options that a collection is opened with, by the names that Python uses.

use pyo3::prelude::*;
use tiercel_engine::filter::{FieldType, Schema};
use tiercel_engine::{Durability, Language, Tokenizer};

use crate::errors;

/// Return the choice of a name.
pub(super) fn named<T: Copy>(choices: &[(&str, T)], name: &str) -> Option<T> {
    choices.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
}

/// Return the rules that turn texts into terms, from the languages of stemming and of stop
/// words.
pub(super) fn tokenizer(
    py: Python<'_>,
    (stemming, stop_words): (Option<String>, Option<String>),
) -> PyResult<Tokenizer> {
    let language = |name: String| Language::from_name(&name).ok_or_else(|| unknown(py, &name));
    Ok(Tokenizer { stemming: stemming.map(language).transpose()?, stop_words: stop_words.map(language).transpose()? })
}

/// Return the durability of a name.
pub(super) fn durability(name: &str) -> Durability {
    match name {
        "interval" => Durability::Interval,
        "none" => Durability::None,
        _ => Durability::Always,
    }
}

/// Make a schema from fields and the names of their types.
pub(super) fn schema(py: Python<'_>, fields: Vec<(String, String)>) -> PyResult<Schema> {
    let typed = |(field, name): (String, String)| {
        let kind = FieldType::from_name(&name);
        Ok((field, kind.ok_or_else(|| errors::internal(py, &format!("the type {name}")))?))
    };
    fields.into_iter().map(typed).collect()
}

fn unknown(py: Python<'_>, language: &str) -> PyErr {
    let known: Vec<&str> = Language::ALL.iter().map(|language| language.name()).collect();
    errors::invalid(py, format!("language: expected None or one of {}, got '{language}'", known.join(", ")))
}
