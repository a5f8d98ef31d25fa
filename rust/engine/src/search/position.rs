//! Positions of a scan, as text for users to store.
//!
//! A position is JSON in hexadecimal digits: `[row]` in the order of writing,
//! `[row, field, descending]` after a record without the field that orders the scan, and
//! `[row, field, descending, key]` after a record with it. After the first renumbering,
//! `[numbering, row]` replaces the row. A row number is never reused, so a position is valid
//! whatever becomes of its record.

use serde_json::{Value, json};

use crate::errors::QueryError;
use crate::filter::SortKey;

/// The order of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The field, by its dotted name.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// The place of a record in an order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// The value of the field, if the scan is ordered by one and the record has it.
    pub(crate) key: Option<SortKey>,
    /// Orders records with equal keys.
    pub(crate) row: u32,
}

/// The most characters of an invalid position that an error shows.
const SHOWN: usize = 60;

pub(crate) fn encode(place: &Place, numbering: u32, order: Option<&Order>) -> String {
    let mut parts = vec![if numbering == 0 { json!(place.row) } else { json!([numbering, place.row]) }];
    if let Some(order) = order {
        parts.extend([json!(order.field), json!(order.descending)]);
        parts.extend(place.key.as_ref().map(SortKey::to_json));
    }
    hexadecimal(&Value::Array(parts).to_string())
}

fn hexadecimal(text: &str) -> String {
    let halves = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

/// Decode a position in this order into its place and the numbering of its row.
pub(crate) fn decode(text: &str, order: Option<&Order>) -> Result<(Place, u32), QueryError> {
    let read = || {
        let Value::Array(parts) = serde_json::from_slice(&bytes(text)?).ok()? else { return None };
        let (row, key) = match (parts.as_slice(), order) {
            ([row], None) => (row, None),
            ([row, field, descending, key @ ..], Some(order))
                if *field == order.field && *descending == order.descending && key.len() <= 1 =>
            {
                (row, key.first().map(|key| SortKey::from_json(key).ok_or(())).transpose().ok()?)
            }
            _ => return None,
        };
        let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let (numbering, row) = match row.as_array().map(Vec::as_slice) {
            None => (0, number(row)?),
            Some([numbering, row]) => (number(numbering)?, number(row)?),
            Some(_) => return None,
        };
        Some((Place { key, row }, numbering))
    };
    read().ok_or_else(|| QueryError::Position(text.chars().take(SHOWN).collect()))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(descending: bool) -> Order {
        Order { field: "a.b".into(), descending }
    }

    #[test]
    fn a_position_comes_back_in_its_own_order_alone() {
        let by_row = Place { key: None, row: u32::MAX };
        let text = encode(&by_row, 0, None);
        assert_eq!(decode(&text, None).unwrap(), (by_row.clone(), 0));
        assert_eq!(decode(&encode(&by_row, 3, None), None).unwrap(), (by_row, 3));
        assert!(decode(&text, Some(&order(false))).is_err());
        for key in [
            None,
            Some(json!(0.1)),
            Some(json!("\u{1f600}")),
            Some(json!("2024-05-01T01:02:03.4-05:00")),
            Some(Value::Null),
        ] {
            let place = Place { key: key.map(|key| SortKey::of(&key, true)), row: 7 };
            let text = encode(&place, 2, Some(&order(true)));
            assert_eq!(decode(&text, Some(&order(true))).unwrap(), (place, 2));
            assert!(decode(&text, Some(&order(false))).is_err());
            assert!(decode(&text, Some(&Order { field: "c".into(), descending: true })).is_err());
            assert!(decode(&text, None).is_err());
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let hex = hexadecimal;
        let whole = encode(&Place { key: None, row: 12 }, 0, None);
        let mut bad = vec!["id7".to_owned(), "\u{e9}\u{e9}".into(), hex("[]"), hex("[-1]"), hex("[4294967296]")];
        bad.extend([hex("[1,2]"), hex("{}"), hex("7"), hex("[1]x"), hex("[[1]]"), hex("[[1,2,3]]"), "x".repeat(1000)]);
        bad.extend((0..whole.len()).map(|cut| whole[..cut].to_owned()));
        for text in bad {
            let Err(QueryError::Position(shown)) = decode(&text, None) else {
                panic!("{text} is taken for a position")
            };
            assert!(text.starts_with(&shown) && shown.chars().count() <= SHOWN);
        }
    }
}
