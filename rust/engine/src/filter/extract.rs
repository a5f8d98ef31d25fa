//! Extracting fields from metadata as text, without parsing the rest into values.

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::errors::MetadataError;
use super::value::field;

/// Longer texts are refused, since their keys might not fit into a run.
const MAX_TEXT: usize = 1 << 28;

/// Names of fields to extract.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    names: Vec<String>,
    /// Keys of the metadata at which a name can begin.
    keys: Vec<String>,
}

impl FieldNames {
    pub(super) fn new(names: Vec<String>) -> Self {
        let mut keys = names.clone();
        keys.extend(names.iter().filter_map(|name| name.split_once('.')).map(|(first, _)| first.to_owned()));
        keys.sort_unstable();
        keys.dedup();
        Self { names, keys }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    /// Call `each` for every field that is present, with its index among the names and its value.
    pub(super) fn extract(
        &self,
        row: u32,
        text: &str,
        mut each: impl FnMut(usize, &Value),
    ) -> Result<(), MetadataError> {
        if text.len() > MAX_TEXT {
            return Err(MetadataError::TooLong { row, limit: MAX_TEXT });
        }
        let metadata = self.read(text).map_err(|source| MetadataError::NotJson { row, source })?;
        for (at, name) in self.names.iter().enumerate() {
            if let Some(value) = field(&metadata, name) {
                each(at, value);
            }
        }
        Ok(())
    }

    /// Read the part of the metadata that names can refer to.
    fn read(&self, text: &str) -> serde_json::Result<Map<String, Value>> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let metadata = if text.trim_ascii_start().starts_with('{') {
            reader.deserialize_map(Part(&self.keys))?
        } else {
            reader.deserialize_ignored_any(IgnoredAny)?;
            Map::new()
        };
        reader.end()?;
        Ok(metadata)
    }
}

struct Part<'w>(&'w [String]);

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut part = Map::new();
        while let Some(key) = entries.next_key_seed(Key(self.0))? {
            match key {
                Some(key) => {
                    part.insert(key.to_owned(), entries.next_value()?);
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(part)
    }
}

/// Reads a key, if it is one of these.
#[derive(Clone, Copy)]
struct Key<'w>(&'w [String]);

impl<'de, 'w> DeserializeSeed<'de> for Key<'w> {
    type Value = Option<&'w str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Key<'w> {
    type Value = Option<&'w str>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|key| *key == text).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(text: &str, names: &[&str]) -> Vec<Option<Value>> {
        let mut values = vec![None; names.len()];
        let wanted = FieldNames::new(names.iter().map(|name| (*name).to_owned()).collect());
        wanted.extract(7, text, |at, value| values[at] = Some(value.clone())).unwrap();
        values
    }

    #[test]
    fn fields_are_those_of_the_whole_metadata() {
        let text =
            r#" {"a": {"b": [1, {"c": 2}], "d": "x"}, "skip": [[[{}]]], "a.b": 3, "e": null, "\u0066": 1.5, "e": 4} "#;
        let names = ["a", "a.b", "a.d", "a.b.c", "e", "f", "g", "skip.x"];
        let whole: Value = serde_json::from_str(text).unwrap();
        let expected: Vec<_> = names.iter().map(|name| field(whole.as_object().unwrap(), name).cloned()).collect();
        assert_eq!(extracted(text, &names), expected);
        assert_eq!(expected[4], Some(Value::from(4)));
    }

    #[test]
    fn anything_but_an_object_has_no_fields() {
        for text in ["null", "[{\"a\": 1}]", "\"a\"", "1"] {
            assert_eq!(extracted(text, &["a"]), [None]);
        }
    }

    #[test]
    fn text_that_is_not_json_is_an_error_that_names_the_row() {
        for text in ["", "{", "{\"a\": }", "{} x", "{\"b\": 1 2}", "nul", "{\"b\": \"\u{1}\"}"] {
            let error = FieldNames::new(vec!["a".to_owned()]).extract(7, text, |_, _| {}).unwrap_err();
            assert!(error.to_string().starts_with("metadata of row 7: "), "{error}");
        }
    }
}
