//! The sort order of the values of a field. Within a type it is the order of `<` in filters; types
//! are sorted one after the other.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::date::Instant;
use super::key::{self, Of};
use super::value::order;

/// The sort key of a record by a field. The variants are in sort order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortKey {
    Number(Number),
    /// A string that is a date.
    Date(Instant),
    Text(String),
    Bool(bool),
    Null,
    /// Lists have no order among themselves.
    List,
    /// Objects have no order either.
    Object,
}

impl SortKey {
    /// Return the key of a value; with `dates`, strings that are dates are points in time.
    pub(crate) fn of(value: &Value, dates: bool) -> Self {
        match value {
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => {
                let date = if dates { Instant::parse(text) } else { None };
                date.map_or_else(|| Self::Text(text.clone()), Self::Date)
            }
            Value::Bool(value) => Self::Bool(*value),
            Value::Null => Self::Null,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    /// Convert to JSON, for [`Self::from_json`].
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Date(Instant { seconds, nanos }) => json!([seconds, nanos]),
            Self::Text(text) => json!(text),
            Self::Bool(value) => json!(value),
            Self::Null => Value::Null,
            Self::List => json!([]),
            Self::Object => json!({}),
        }
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        match value.as_array().map(Vec::as_slice) {
            Some([seconds, nanos]) => {
                let (seconds, nanos) = (seconds.as_i64()?, u32::try_from(nanos.as_u64()?).ok()?);
                Some(Self::Date(Instant { seconds, nanos }))
            }
            Some([_, ..]) => None,
            _ => Some(Self::of(value, false)),
        }
    }

    /// Return the key of the value in the index of a field; that of a list or an object is what all of
    /// them begin with.
    pub(super) fn to_key(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => key::value(&Value::Number(number.clone()), Of::Field),
            Self::Date(instant) => key::date(*instant, Of::Field).to_vec(),
            Self::Text(text) => key::value(&text.as_str().into(), Of::Field),
            Self::Bool(value) => key::value(&(*value).into(), Of::Field),
            Self::Null => key::value(&Value::Null, Of::Field),
            Self::List => key::LISTS.to_vec(),
            Self::Object => key::OBJECTS.to_vec(),
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => order(one, other),
            (Self::Date(one), Self::Date(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            _ => self.compare_types(other),
        }
    }

    /// Compare the types of two values.
    pub(super) fn compare_types(&self, other: &Self) -> Ordering {
        self.kind().cmp(&other.kind())
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Date(_) => 1,
            Self::Text(_) => 2,
            Self::Bool(_) => 3,
            Self::Null => 4,
            Self::List => 5,
            Self::Object => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    /// Return values in ascending order; those in an inner list are equal.
    fn ascending() -> Vec<Vec<Value>> {
        vec![
            vec![json!(-1e300)],
            vec![json!(-1)],
            vec![json!(0), json!(-0.0)],
            vec![json!(1), json!(1.0)],
            vec![json!(1u64 << 53)],
            vec![json!((1u64 << 53) + 1)],
            vec![json!(u64::MAX)],
            vec![json!("2023-12-31T23:00:00-02:00"), json!("2024-01-01T01:00:00Z"), json!("2024-01-01 02:00+01:00")],
            vec![json!("2024-01-01T01:00:00.000000001")],
            vec![json!("2024-01-02"), json!("2024-01-02T00:00:00Z")],
            vec![json!("")],
            vec![json!("2023")],
            vec![json!("a")],
            vec![json!("é")],
            vec![json!("\u{ffff}")],
            vec![json!("\u{10000}")],
            vec![json!(false)],
            vec![json!(true)],
            vec![json!(null)],
            vec![json!([]), json!([1]), json!(["a", 2])],
            vec![json!({}), json!({"a": 1})],
        ]
    }

    #[test]
    fn all_types_have_one_order_and_a_key_comes_back_from_json() {
        for (at, ones) in ascending().iter().enumerate() {
            for (other_at, others) in ascending().iter().enumerate() {
                for (one, other) in ones.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
                    let keys = (SortKey::of(one, true), SortKey::of(other, true));
                    assert_eq!(keys.0.compare(&keys.1), at.cmp(&other_at), "{one} {other}");
                    let back = SortKey::from_json(&keys.0.to_json()).unwrap();
                    assert_eq!(back.compare(&keys.1), at.cmp(&other_at), "{one} {other}");
                }
            }
        }
        assert_eq!(SortKey::from_json(&json!([1])), None);
        assert_eq!(SortKey::from_json(&json!(["a", -1])), None);
    }

    #[test]
    fn within_a_type_it_is_the_order_of_filters() {
        for (value, other) in ascending()
            .iter()
            .flatten()
            .flat_map(|value| ascending().into_iter().flatten().map(move |other| (value.clone(), other)))
        {
            let (one, two) = (SortKey::of(&value, true), SortKey::of(&other, true));
            let operand = match (&one, &two) {
                (SortKey::Number(_), SortKey::Number(_)) | (SortKey::Text(_), SortKey::Text(_)) => other.clone(),
                (SortKey::Date(_), SortKey::Date(_)) => json!({"$date": other}),
                _ => continue,
            };
            let holds = Filter::parse(&json!({"a": {"$lt": operand}})).unwrap().matches(&json!({"a": value}));
            assert_eq!(holds, one.compare(&two).is_lt(), "{value} {other}");
        }
    }
}
