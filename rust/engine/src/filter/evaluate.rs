//! Evaluating a filter with the indexes of its fields.

use roaring::RoaringBitmap;

use super::condition::{Condition, Filter, Operand, Relation, Test};
use super::field::{Field, Span};
use super::key::{self, Of};

/// A filter with the indexes of its fields at one moment.
#[derive(Debug)]
pub struct FieldView<'f> {
    filter: &'f Filter,
    /// In the order of the filter's fields.
    fields: Vec<Field>,
    rows: u32,
    since: u64,
    patched_to: u64,
}

impl<'f> FieldView<'f> {
    pub(super) const fn new(
        filter: &'f Filter,
        fields: Vec<Field>,
        rows: u32,
        (since, patched_to): (u64, u64),
    ) -> Self {
        Self { filter, fields, rows, since, patched_to }
    }

    /// Return the oldest batch whose state it may answer for: the newest one that a field was built
    /// from, or whose changes it has.
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// Return the last batch whose changes of metadata the indexes have.
    pub const fn patched_to(&self) -> u64 {
        self.patched_to
    }

    /// Return the number of rows that the indexes cover. Check newer rows with [`Filter::matches`].
    pub const fn rows_covered(&self) -> u32 {
        self.rows
    }

    /// Return the covered rows below `rows` that pass, including rows of records that are gone.
    pub fn evaluate(&self, rows: u32) -> RoaringBitmap {
        self.rows_of(&self.filter.condition, rows.min(self.rows))
    }

    fn rows_of(&self, condition: &Condition, bound: u32) -> RoaringBitmap {
        match condition {
            Condition::All(parts) => {
                let (ranges, others) = ranges_of(parts);
                let of_ranges =
                    ranges.iter().map(|(field, span)| self.fields[*field].rows_in(std::slice::from_ref(span), bound));
                let mut all = of_ranges.chain(others.into_iter().map(|part| self.rows_of(part, bound)));
                let mut rows = all.next().unwrap_or_else(|| everything(bound));
                while !rows.is_empty()
                    && let Some(part) = all.next()
                {
                    rows &= part;
                }
                rows
            }
            Condition::Any(parts) => {
                parts.iter().fold(RoaringBitmap::new(), |rows, part| rows | self.rows_of(part, bound))
            }
            Condition::Not(part) => everything(bound) - self.rows_of(part, bound),
            Condition::Field(field, test) => self.fields[*field].rows_in(&spans(test), bound),
        }
    }
}

fn everything(bound: u32) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(..bound);
    rows
}

/// Split conditions that must all hold into ordered comparisons and others. The comparisons of a
/// field with one type are combined into the range that they leave, which costs one lookup.
fn ranges_of(conditions: &[Condition]) -> (Vec<(usize, Span)>, Vec<&Condition>) {
    let (mut ranges, mut others) = (Vec::<(usize, Span)>::new(), Vec::new());
    for condition in conditions {
        let Condition::Field(field, Test::Ordered(relation, operand)) = condition else {
            others.push(condition);
            continue;
        };
        let (low, high) = side_of(*relation, key_of(operand, Of::Field));
        // A string can be in a range of strings and in one of dates, so these stay separate.
        match ranges.iter_mut().find(|(of, span)| of == field && span.0[0] == low[0]) {
            Some((_, span)) => {
                span.0 = low.max(std::mem::take(&mut span.0));
                span.1 = high.min(std::mem::take(&mut span.1));
            }
            None => ranges.push((*field, (low, high))),
        }
    }
    (ranges, others)
}

/// Return the spans of keys of the values that pass a test.
fn spans(test: &Test) -> Vec<Span> {
    let one = |span: Span| vec![span];
    match test {
        Test::Exists => one(span_of(key::EXISTS.to_vec())),
        Test::OneOf(operands) => operands.iter().map(|operand| span_of(key_of(operand, Of::Field))).collect(),
        Test::Ordered(relation, operand) => one(side_of(*relation, key_of(operand, Of::Field))),
        Test::Contains(operand) => one(span_of(key_of(operand, Of::Element))),
        Test::StartsWith(beginning) => {
            let key = key::value(&beginning.as_str().into(), Of::Field);
            one((key.clone(), key::after_prefix(key)))
        }
    }
}

fn key_of(operand: &Operand, of: Of) -> Vec<u8> {
    match operand {
        Operand::Value(value) => key::value(value, of),
        Operand::Date(instant) => key::date(*instant, of).to_vec(),
    }
}

fn span_of(key: Vec<u8>) -> Span {
    (key.clone(), key::after(key))
}

/// Return the span of keys of the same kind on this side of a key.
fn side_of(relation: Relation, key: Vec<u8>) -> Span {
    let first = vec![key[0]];
    let end = key::end_of_kind(&key);
    match relation {
        Relation::Less => (first, key),
        Relation::AtMost => (first, key::after(key)),
        Relation::Greater => (key::after(key), end),
        Relation::AtLeast => (key, end),
    }
}
