//! Metadata values, and how filters compare them.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Return the value of a field by its name: a key, or the keys of nested objects joined by dots.
pub(crate) fn field<'v>(metadata: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let (mut object, mut name) = (metadata, name);
    loop {
        if let Some(value) = object.get(name) {
            return Some(value);
        }
        let (first, rest) = name.split_once('.')?;
        object = object.get(first)?.as_object()?;
        name = rest;
    }
}

/// Whether two values are equal: types do not mix, and numbers compare as numbers.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other).is_eq(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

/// Compare two numbers exactly.
pub(super) fn order(one: &Number, other: &Number) -> Ordering {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(one), None) => order_mixed(one, float(other)),
        (None, Some(other)) => order_mixed(other, float(one)).reverse(),
        // JSON has no NaN.
        (None, None) => float(one).partial_cmp(&float(other)).unwrap_or(Ordering::Equal),
    }
}

/// Return the number, if it is written as a 64-bit integer.
pub(super) fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Return the number as a float, which is exact for numbers that are not integers.
pub(super) fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

fn order_mixed(integer: i128, float: f64) -> Ordering {
    // The cast saturates far beyond 64 bits, where only the sign of the difference matters.
    let floor = float.floor();
    integer.cmp(&(floor as i128)).then(if float > floor { Ordering::Less } else { Ordering::Equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order_of(one: &Value, other: &Value) -> Ordering {
        let (Value::Number(one), Value::Number(other)) = (one, other) else { panic!("not numbers") };
        order(one, other)
    }

    #[test]
    fn numbers_are_ordered_exactly() {
        let two_53 = 1u64 << 53;
        let ascending = [
            json!(-1e300),
            json!(i64::MIN),
            json!(i64::MIN + 1),
            json!(-1.5),
            json!(-1),
            json!(-1e-300),
            json!(0),
            json!(5e-324),
            json!(1),
            json!(1.5),
            json!(two_53),
            json!(two_53 + 1),
            json!(two_53 + 2),
            json!(i64::MAX),
            json!(1u64 << 63),
            json!((1u64 << 63) + 1),
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
            json!(1e300),
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(order_of(one, other), at.cmp(&other_at), "{one} {other}");
                assert_eq!(same(one, other), at == other_at, "{one} {other}");
            }
        }
    }

    #[test]
    fn numbers_are_equal_whatever_they_are_written_as() {
        for (one, other) in
            [(json!(1), json!(1.0)), (json!(0), json!(-0.0)), (json!(1u64 << 63), json!(9_223_372_036_854_775_808.0))]
        {
            assert!(same(&one, &other) && same(&other, &one), "{one} {other}");
        }
        assert!(same(&json!({"a": [1, {"b": 2.0}]}), &json!({"a": [1.0, {"b": 2}]})));
    }

    #[test]
    fn types_do_not_mix() {
        let values =
            [json!(1), json!("1"), json!(true), json!(null), json!([1]), json!({"1": 1}), json!("true"), json!([])];
        for (at, one) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                assert_eq!(same(one, other), at == other_at, "{one} {other}");
            }
        }
    }

    #[test]
    fn lists_and_objects_are_equal_as_wholes() {
        assert!(same(&json!({"a": 1, "b": [2]}), &json!({"b": [2], "a": 1})));
        for (one, other) in [
            (json!([1, 2]), json!([2, 1])),
            (json!([1]), json!([1, 1])),
            (json!({"a": 1}), json!({"a": 1, "b": null})),
            (json!({"a": 1}), json!({"b": 1})),
        ] {
            assert!(!same(&one, &other) && !same(&other, &one), "{one} {other}");
        }
    }

    #[test]
    fn names_lead_into_objects_and_whole_keys_go_first() {
        let metadata =
            json!({"a": {"b": {"c": 1}, "b.c": 2}, "x.y": 3, "x": {"y": 4, "z": null}, "l": [{"m": 5}], "": {"": 6}});
        let metadata = metadata.as_object().unwrap();
        for (name, expected) in [
            ("a.b.c", Some(json!(2))),
            ("a.b", Some(json!({"c": 1}))),
            ("x.y", Some(json!(3))),
            ("x.z", Some(json!(null))),
            ("x.w", None),
            ("l.m", None),
            ("l.0", None),
            (".", Some(json!(6))),
            ("a.", None),
        ] {
            assert_eq!(field(metadata, name), expected.as_ref(), "{name}");
        }
    }
}
