//! Changing some fields of metadata. Unchanged parts keep their text, to the last digit of their
//! numbers.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;
use tiercel_container::quoted;

/// Why metadata cannot be changed.
#[derive(Debug, Error)]
pub(crate) enum PatchError {
    /// It is not a JSON object.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A key with a dot would hide the nested field to which its name refers in filters.
    #[error("expected {} as nested objects, as in the record, got one key with a dot", quoted(.0))]
    Hides(String),
}

/// Remove some fields, by their dotted names, from metadata, and then merge `merge` into it.
/// Objects are merged with objects at any depth; other values replace the old ones. Both texts must
/// be readable JSON objects.
pub(crate) fn patched(metadata: &str, remove: &[String], merge: Option<&str>) -> Result<String, PatchError> {
    let mut object = Object::read(metadata)?;
    for name in remove {
        object.remove(name)?;
    }
    if let Some(merge) = merge {
        object.merge(Object::read(merge)?)?;
    }
    let mut text = String::new();
    object.write(&mut text)?;
    Ok(text)
}

/// An object, parsed only as deep as needed.
#[derive(Default)]
struct Object<'a> {
    /// In the order of the text; `None` where an entry was removed.
    entries: Vec<Option<(String, Node<'a>)>>,
    places: HashMap<String, usize>,
}

enum Node<'a> {
    Raw(&'a RawValue),
    Object(Object<'a>),
}

impl<'a> Object<'a> {
    fn read(text: &'a str) -> serde_json::Result<Self> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let object = reader.deserialize_map(Entries)?;
        reader.end()?;
        Ok(object)
    }

    fn get(&mut self, key: &str) -> Option<&mut Node<'a>> {
        let entry = self.entries.get_mut(*self.places.get(key)?)?.as_mut()?;
        Some(&mut entry.1)
    }

    fn set(&mut self, key: String, value: Node<'a>) {
        if let Some(place) = self.places.get(&key) {
            self.entries[*place] = Some((key, value));
        } else {
            self.places.insert(key.clone(), self.entries.len());
            self.entries.push(Some((key, value)));
        }
    }

    /// Remove everything that a dotted name can refer to, so that the field is gone.
    fn remove(&mut self, name: &str) -> serde_json::Result<()> {
        let (mut object, mut name) = (self, name);
        loop {
            if let Some(place) = object.places.remove(name) {
                object.entries[place] = None;
            }
            let Some((first, rest)) = name.split_once('.') else { return Ok(()) };
            let Some(inner) = object.get(first).map(Node::open).transpose()?.flatten() else { return Ok(()) };
            (object, name) = (inner, rest);
        }
    }

    /// Whether a dotted name refers to a field of a nested object.
    fn has_nested(&mut self, name: &str) -> serde_json::Result<bool> {
        let Some((first, rest)) = name.split_once('.') else { return Ok(false) };
        let Some(inner) = self.get(first).map(Node::open).transpose()?.flatten() else { return Ok(false) };
        Ok(inner.get(rest).is_some() || inner.has_nested(rest)?)
    }

    fn merge(&mut self, other: Self) -> Result<(), PatchError> {
        for (key, mut new) in other.entries.into_iter().flatten() {
            if self.get(&key).is_none() && self.has_nested(&key)? {
                return Err(PatchError::Hides(key));
            }
            if new.open()?.is_some()
                && let Node::Object(inner) = new
            {
                match self.get(&key).map(Node::open).transpose()?.flatten() {
                    Some(old) => old.merge(inner)?,
                    None => self.set(key, Node::Object(inner)),
                }
            } else {
                self.set(key, new);
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut String) -> serde_json::Result<()> {
        out.push('{');
        let mut separator = "";
        for (key, value) in self.entries.iter().flatten() {
            out.push_str(separator);
            out.push_str(&serde_json::to_string(key)?);
            out.push(':');
            match value {
                Node::Raw(raw) => out.push_str(raw.get()),
                Node::Object(object) => object.write(out)?,
            }
            separator = ",";
        }
        out.push('}');
        Ok(())
    }
}

impl<'a> Node<'a> {
    /// Return the node as an object, if it is one.
    fn open(&mut self) -> serde_json::Result<Option<&mut Object<'a>>> {
        if let Node::Raw(raw) = self
            && raw.get().starts_with('{')
        {
            *self = Node::Object(Object::read(raw.get())?);
        }
        Ok(match self {
            Node::Object(object) => Some(object),
            Node::Raw(_) => None,
        })
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some((key, value)) = entries.next_entry()? {
            object.set(key, Node::Raw(value));
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(metadata: &str, remove: &[&str], merge: &str) -> String {
        let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
        patched(metadata, &remove, Some(merge)).unwrap()
    }

    #[test]
    fn objects_are_merged_and_all_else_is_replaced() {
        for (metadata, merge, expected) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":3,"c":4}"#, r#"{"a":1,"b":3,"c":4}"#),
            (r#"{"a":{"b":1,"c":{"d":2}}}"#, r#"{"a":{"c":{"e":3}}}"#, r#"{"a":{"b":1,"c":{"d":2,"e":3}}}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
            (r#"{"a":[1]}"#, r#"{"a":null}"#, r#"{"a":null}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, r#"{"a":{"b":1}}"#),
            (r#"{"a":{"b":1}}"#, r#"{"a.c":2}"#, r#"{"a":{"b":1},"a.c":2}"#),
            (r#"{"a":{"b":1},"a.b":2}"#, r#"{"a.b":3}"#, r#"{"a":{"b":1},"a.b":3}"#),
            ("{}", r#"{"new":{"a":1}}"#, r#"{"new":{"a":1}}"#),
        ] {
            assert_eq!(patch(metadata, &[], merge), expected);
        }
    }

    #[test]
    fn what_is_not_changed_stays_as_it_is_written() {
        let metadata = r#"{"huge":123456789012345678901234567890,"z":1.10,"é":"\u00e9","l":[ 1,2 ]}"#;
        let expected = r#"{"huge":123456789012345678901234567890,"z":1.10,"é":"\u00e9","l":[ 1,2 ],"b":1e400}"#;
        assert_eq!(patch(metadata, &["none", "z.a", "l.0"], r#"{"b":1e400}"#), expected);
        // A key is the same however it is escaped, and the last of equal keys counts.
        assert_eq!(patch(r#"{"\u00e9":1,"é":2}"#, &[], r#"{"é":3}"#), r#"{"é":3}"#);
        assert_eq!(patch("{}", &[], r#"{"\"\n":1}"#), r#"{"\"\n":1}"#);
    }

    #[test]
    fn a_removed_field_is_gone_whatever_its_name_can_mean() {
        let metadata = r#"{"a.b":1,"a":{"b":2,"c":3},"d":{"e":{"f":4}}}"#;
        assert_eq!(patch(metadata, &["a.b"], "{}"), r#"{"a":{"c":3},"d":{"e":{"f":4}}}"#);
        assert_eq!(patch(metadata, &["a", "d.e.f"], "{}"), r#"{"a.b":1,"d":{"e":{}}}"#);
        // Removal comes first, so a whole object can be replaced.
        assert_eq!(patch(metadata, &["a"], r#"{"a":{"x":1}}"#), r#"{"a.b":1,"d":{"e":{"f":4}},"a":{"x":1}}"#);
        assert_eq!(patched("{}", &["a".into()], None).unwrap(), "{}");
    }

    #[test]
    fn no_key_with_dots_hides_a_nested_field() {
        for (metadata, merge, hides) in [
            (r#"{"a":{"b":1}}"#, r#"{"a.b":2}"#, "a.b"),
            (r#"{"a":{"b":{"c":1}}}"#, r#"{"x":1,"a.b.c":2}"#, "a.b.c"),
            (r#"{"a":{"b.c":1}}"#, r#"{"a.b.c":2}"#, "a.b.c"),
            (r#"{"a":{"b":{"c":1}}}"#, r#"{"a":{"b.c":2}}"#, "b.c"),
        ] {
            let refused = patched(metadata, &[], Some(merge));
            assert!(matches!(&refused, Err(PatchError::Hides(key)) if key == hides), "{refused:?}");
        }
        // Removal comes first.
        assert_eq!(patch(r#"{"a":{"b":1}}"#, &["a.b"], r#"{"a.b":2}"#), r#"{"a":{},"a.b":2}"#);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["", "1", "[]", "{", "{} x", "{\"a\":}"] {
            assert!(patched(text, &[], None).is_err(), "{text}");
            assert!(patched("{}", &[], Some(text)).is_err(), "{text}");
        }
    }
}
