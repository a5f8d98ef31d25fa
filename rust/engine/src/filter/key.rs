//! Keys: values as bytes that sort like the values, so every condition is a key or a range of keys.
//!
//! ```text
//! 0                              the field is present
//! 1                              null
//! 2                              false
//! 3                              true
//! 4  float:8 rest:2              a number: the largest float not above it, and the difference
//! 5  UTF-8                       a string
//! 6  seconds:8 nanos:4           a string that is a date, in addition to its key as a string
//! 7  encoded                     a list or an object as a whole, equal for equal values
//! 16 + n ...                     the same for an element of a list
//! ```
//!
//! Integers are big endian; signed ones are shifted to start at 0.

use serde_json::{Number, Value};

use super::date::Instant;
use super::value::{float, integer};

/// The key of every row that has the field.
pub(super) const EXISTS: &[u8] = &[0];

/// Added to the first byte of the key of a list element.
const ELEMENT: u8 = 16;

const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const NUMBER: u8 = 4;
const STRING: u8 = 5;
const DATE: u8 = 6;
const WHOLE: u8 = 7;

/// What the keys of all lists, and of all objects, begin with.
pub(super) const LISTS: &[u8; 2] = &[WHOLE, b'['];
pub(super) const OBJECTS: &[u8; 2] = &[WHOLE, b'{'];

/// Whether a key is for the value of a field or of a list element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The field itself.
    Field,
    /// An element of the field's list.
    Element,
}

impl Of {
    fn kind(self, kind: u8) -> u8 {
        kind + if self == Self::Element { ELEMENT } else { 0 }
    }
}

/// Call `push` with each key of a field's value. The keys are written to `scratch`.
pub(super) fn keys_of(value: &Value, scratch: &mut Vec<u8>, mut push: impl FnMut(&[u8])) {
    push(EXISTS);
    keys_of_one(value, Of::Field, scratch, &mut push);
    for element in value.as_array().into_iter().flatten() {
        keys_of_one(element, Of::Element, scratch, &mut push);
    }
}

fn keys_of_one(value: &Value, of: Of, scratch: &mut Vec<u8>, push: &mut impl FnMut(&[u8])) {
    scratch.clear();
    write_value(value, of, scratch);
    push(scratch);
    if let Some(instant) = value.as_str().and_then(Instant::parse) {
        push(&date(instant, of));
    }
}

/// Return the key of a value.
pub(super) fn value(value: &Value, of: Of) -> Vec<u8> {
    let mut key = Vec::new();
    write_value(value, of, &mut key);
    key
}

/// Return the key of a date.
pub(super) fn date(instant: Instant, of: Of) -> [u8; 13] {
    let mut key = [of.kind(DATE); 13];
    key[1..9].copy_from_slice(&((instant.seconds as u64) ^ (1 << 63)).to_be_bytes());
    key[9..].copy_from_slice(&instant.nanos.to_be_bytes());
    key
}

/// Return the text of the key of a string.
pub(super) fn text(key: &[u8]) -> Option<&str> {
    let (kind, text) = key.split_first()?;
    if *kind == STRING { str::from_utf8(text).ok() } else { None }
}

/// Return the first key above all keys of this kind.
pub(super) fn end_of_kind(key: &[u8]) -> Vec<u8> {
    vec![key[0] + 1]
}

/// Return the smallest possible key above `key`.
pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Return the smallest key above all that begin with `key`, which does not end in 255.
pub(super) fn after_prefix(mut key: Vec<u8>) -> Vec<u8> {
    // Cannot overflow: neither a byte of UTF-8, nor the kind, nor the sign of a list is 255.
    if let Some(last) = key.last_mut() {
        *last += 1;
    }
    key
}

fn write_value(value: &Value, of: Of, key: &mut Vec<u8>) {
    match value {
        Value::Null => key.push(of.kind(NULL)),
        Value::Bool(false) => key.push(of.kind(FALSE)),
        Value::Bool(true) => key.push(of.kind(TRUE)),
        Value::Number(number) => {
            key.push(of.kind(NUMBER));
            write_number(number, key);
        }
        Value::String(text) => {
            key.push(of.kind(STRING));
            key.extend_from_slice(text.as_bytes());
        }
        Value::Array(_) | Value::Object(_) => {
            key.push(of.kind(WHOLE));
            write_whole(value, key);
        }
    }
}

/// Write a number as ten bytes that sort like numbers and are equal for equal integers and floats.
fn write_number(number: &Number, key: &mut Vec<u8>) {
    let (below, rest) = match integer(number) {
        Some(integer) => {
            let near = integer as f64;
            let below = if near as i128 > integer { near.next_down() } else { near };
            // Floats below 2^64 are at most 2,048 apart.
            (below, (integer - below as i128) as u16)
        }
        // Adding 0 turns -0.0 into 0.0.
        None => (float(number) + 0.0, 0),
    };
    let bits = below.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    key.extend_from_slice(&ordered.to_be_bytes());
    key.extend_from_slice(&rest.to_be_bytes());
}

/// Write bytes that are equal for equal values and for no others: texts carry their length. The
/// order of the bytes means nothing.
fn write_whole(value: &Value, key: &mut Vec<u8>) {
    match value {
        Value::Array(elements) => {
            key.push(b'[');
            for element in elements {
                write_whole(element, key);
            }
            key.push(b']');
        }
        // The map of serde_json is sorted.
        Value::Object(entries) => {
            key.push(b'{');
            for (name, value) in entries {
                write_text(name, key);
                write_whole(value, key);
            }
            key.push(b'}');
        }
        Value::String(text) => write_text(text, key),
        _ => write_value(value, Of::Field, key),
    }
}

fn write_text(text: &str, key: &mut Vec<u8>) {
    key.push(b'"');
    // Seven bits per byte: the first bytes of a key decide most comparisons, and leading zeros
    // would decide none.
    let mut len = text.len();
    while len >= 128 {
        key.push(len as u8 | 128);
        len >>= 7;
    }
    key.push(len as u8);
    key.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::value::order;

    #[test]
    fn keys_of_numbers_are_in_their_order() {
        let mut numbers = vec![
            json!(0),
            json!(-0.0),
            json!(1),
            json!(1.0),
            json!(-1),
            json!(-1.5),
            json!(5e-324),
            json!(-5e-324),
            json!(1e308),
            json!(-1e308),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
            json!(9_223_372_036_854_775_808.0),
            json!(-9_223_372_036_854_775_808.0),
        ];
        for power in [52, 53, 54, 60, 62, 63] {
            let near = 1u64 << power;
            for number in near - 3..near + 4 {
                numbers.extend([
                    json!(number),
                    json!(number as f64),
                    json!(-(number as f64)),
                    json!((number as i64).wrapping_neg()),
                ]);
            }
        }
        for one in &numbers {
            for other in &numbers {
                let (Value::Number(a), Value::Number(b)) = (one, other) else { panic!("not numbers") };
                assert_eq!(value(one, Of::Field).cmp(&value(other, Of::Field)), order(a, b), "{one} {other}");
            }
        }
    }

    #[test]
    fn keys_of_wholes_are_equal_for_equal_values_only() {
        let values = [
            json!([]),
            json!([[]]),
            json!({}),
            json!([{}]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!(["b", "a"]),
            json!([1, 2]),
            json!([12]),
            json!({"a": 1}),
            json!({"a": "1"}),
            json!({"a": [1]}),
            json!({"a": null}),
            json!(["]"]),
            json!({"}": 1}),
            json!(["x".repeat(125)]),
            json!({"x".repeat(125): 1}),
            json!(["x".repeat(300)]),
            json!([null]),
            json!([true]),
            json!({"a": 1, "b": 2}),
            json!([["a"], "b"]),
            json!([["a", "b"]]),
        ];
        for (at, one) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                assert_eq!(value(one, Of::Field) == value(other, Of::Field), at == other_at, "{one} {other}");
            }
        }
        assert_eq!(value(&json!({"a": [1, {"b": 2.0}]}), Of::Field), value(&json!({"a": [1.0, {"b": 2}]}), Of::Field));
    }

    #[test]
    fn bounds_lie_where_they_must() {
        let key = |text: &str| value(&json!(text), Of::Field);
        assert!(key("a") < after(key("a")) && after(key("a")) <= key("a\0"));
        for beginning in ["", "a", "é", "\u{10ffff}"] {
            let beginning = key(beginning);
            let longer = [&beginning[..], "\u{10ffff}\u{10ffff}".as_bytes()].concat();
            assert!(longer < after_prefix(beginning));
        }
        assert!(after_prefix(key("a")) <= key("b"));
        assert!(key("\u{10ffff}") < end_of_kind(&key("")));
        assert!(end_of_kind(&key("")) < date(Instant { seconds: i64::MIN, nanos: 0 }, Of::Field).to_vec());
    }
}
