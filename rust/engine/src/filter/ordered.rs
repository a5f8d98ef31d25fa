//! The rows of a field in the order of its values, read from its index one after the other.
//!
//! ```text
//! ascending   numbers, dates, other strings, false, true, null, lists, objects
//! ```
//!
//! Rows with equal values ascend in either direction, and lists are equal among themselves, as
//! objects are: the order is that of [`SortKey`]. The first rows cost little, however many there
//! are.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::date::Instant;
use super::field::{Field, NewValues, Span};
use super::key;
use super::run::Run;
use super::sort::SortKey;

/// The index of a field at one moment.
#[derive(Debug)]
pub(crate) struct Values {
    field: Field,
    rows: u32,
    since: u64,
    patched_to: u64,
}

impl Values {
    pub(super) const fn new(field: Field, rows: u32, (since, patched_to): (u64, u64)) -> Self {
        Self { field, rows, since, patched_to }
    }

    /// Return the oldest batch whose state it may answer for: the one that it was built from, or the
    /// newest whose changes it has.
    pub(crate) const fn since(&self) -> u64 {
        self.since
    }

    /// Return the last batch whose changes of metadata it has.
    pub(crate) const fn patched_to(&self) -> u64 {
        self.patched_to
    }

    /// Return the number of rows that the index covers.
    pub(crate) const fn rows_covered(&self) -> u32 {
        self.rows
    }

    /// Replace the values of rows, also of rows that are not covered.
    pub(crate) fn patch(&mut self, rows: RoaringBitmap, values: impl IntoIterator<Item = (u32, Value)>) {
        let mut new = NewValues::default();
        for (row, value) in values {
            new.push(row, &value);
        }
        self.field.patch(Arc::new(rows), new);
    }

    /// Return the rows that have the field.
    pub(crate) fn present(&self) -> RoaringBitmap {
        self.rows_in((key::EXISTS.to_vec(), key::after(key::EXISTS.to_vec())))
    }

    /// Return the rows of the keys in a span.
    fn rows_in(&self, span: Span) -> RoaringBitmap {
        self.field.rows_in(&[span], u32::MAX)
    }
}

/// A part of the order: the keys in a span, all of one type.
#[derive(Clone, Debug)]
struct Part {
    /// A value of this type.
    like: SortKey,
    span: Span,
    /// Whether all values are equal in this order.
    equal: bool,
}

impl Part {
    fn has(&self, key: &[u8]) -> bool {
        *self.span.0 <= *key && *key < *self.span.1
    }
}

/// A key in a run: the place of the run, and the number of the key there.
type KeyOf = (usize, usize);

/// The rows that come next.
#[derive(Debug)]
enum Next {
    /// Those of a key, in all runs that have it.
    Of(Vec<KeyOf>),
    /// Those with equal values.
    Equal(RoaringBitmap),
}

/// Where an order resumes: among the rows with a value that is equal to the key, at row `first`.
#[derive(Clone, Debug)]
pub(crate) struct Resume<'k> {
    pub(crate) key: &'k SortKey,
    pub(crate) first: u32,
}

/// The rows that have a field, in the order of its values.
#[derive(Debug)]
pub(crate) struct Ordered {
    values: Values,
    /// The runs of the index, each with the rows of which it no longer tells the values.
    layers: Vec<(Arc<Run>, Arc<RoaringBitmap>)>,
    descending: bool,
    dates: bool,
    /// The parts to come, the next one last.
    parts: Vec<Part>,
    /// The keys of the current part that are to come, for each run.
    left: Vec<Range<usize>>,
    next: Next,
    /// Rows below this are not to come.
    from: u32,
    /// The key at which the order resumed, and the row.
    resumed: Option<(Vec<u8>, u32)>,
}

impl Ordered {
    /// Order rows by their values; with `dates`, strings that are dates are points in time.
    pub(crate) fn new(values: Values, descending: bool, dates: bool, resume: Option<&Resume<'_>>) -> Self {
        let mut parts = parts(dates);
        if !descending {
            parts.reverse();
        }
        let (layers, left, next) = (values.field.layers(), Vec::new(), Next::Of(Vec::new()));
        let mut ordered = Self { values, layers, descending, dates, parts, left, next, from: 0, resumed: None };
        if let Some(Resume { key, first }) = resume {
            ordered.resume(key, *first);
        }
        ordered
    }

    fn resume(&mut self, value: &SortKey, first: u32) {
        let (key, descending) = (value.to_key(), self.descending);
        let is_before = |part: &mut Part| match part.like.compare_types(value) {
            Ordering::Equal => !part.has(&key),
            order => order.is_gt() == descending,
        };
        while self.parts.pop_if(is_before).is_some() {}
        let next = self.parts.last_mut().filter(|part| part.has(&key) && !part.equal);
        if let Some(Part { span: (low, high), .. }) = next {
            if descending {
                *high = key::after(key.clone());
            } else {
                low.clone_from(&key);
            }
        }
        self.resumed = Some((key, first));
    }

    /// Go on to the next key or part. Return whether there is one.
    fn advance(&mut self) -> bool {
        loop {
            while let Some((key, places)) = self.next_key() {
                if !(self.dates && is_date(&key)) {
                    let resumed = self.resumed.take_if(|(resumed, _)| *resumed == key);
                    self.from = resumed.map_or(0, |(_, first)| first);
                    self.next = Next::Of(places);
                    return true;
                }
            }
            let Some(part) = self.parts.pop() else { return false };
            if part.equal {
                let resumed = self.resumed.take_if(|(key, _)| part.has(key));
                self.from = resumed.map_or(0, |(_, first)| first);
                self.next = Next::Equal(self.values.rows_in(part.span));
                return true;
            }
            let (low, high) = &part.span;
            self.left = self.layers.iter().map(|(run, _)| run.span(low, high)).collect();
        }
    }

    /// Return the first row of a key, from `from` on.
    fn row_from(&self, (run, at): KeyOf, mut from: u32) -> Option<u32> {
        let (run, replaced) = &self.layers[run];
        loop {
            let row = run.row_from(at, from)?;
            if !replaced.contains(row) {
                return Some(row);
            }
            from = row + 1;
        }
    }

    /// Take the next key from the runs that have it.
    fn next_key(&mut self) -> Option<(Vec<u8>, Vec<KeyOf>)> {
        let (layers, descending) = (&self.layers, self.descending);
        let place = |keys: &Range<usize>| if descending { keys.end - 1 } else { keys.start };
        let heads = self.left.iter().enumerate().filter(|(_, keys)| !keys.is_empty());
        let heads = heads.map(|(run, keys)| (layers[run].0.key(place(keys)), (run, place(keys))));
        let best =
            if descending { heads.clone().map(|(key, _)| key).max() } else { heads.clone().map(|(key, _)| key).min() }?;
        let places: Vec<_> = heads.filter(|(key, _)| *key == best).map(|(_, place)| place).collect();
        let key = best.to_vec();
        for (run, _) in &places {
            if descending {
                self.left[*run].end -= 1;
            } else {
                self.left[*run].start += 1;
            }
        }
        Some((key, places))
    }
}

impl Iterator for Ordered {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let row = match &self.next {
                Next::Of(places) => places.iter().filter_map(|place| self.row_from(*place, self.from)).min(),
                Next::Equal(rows) => rows.range(self.from..).next(),
            };
            if let Some(row) = row {
                self.from = row + 1;
                return Some(row);
            }
            if !self.advance() {
                return None;
            }
        }
    }
}

/// Return the parts of the order, ascending.
fn parts(dates: bool) -> Vec<Part> {
    let ordered = |like: SortKey| {
        let key = like.to_key();
        Part { span: (vec![key[0]], key::end_of_kind(&key)), like, equal: false }
    };
    let equal = |like: SortKey| {
        let first = like.to_key();
        Part { span: (first.clone(), key::after_prefix(first)), like, equal: true }
    };
    let date = SortKey::Date(Instant { seconds: 0, nanos: 0 });
    let mut parts = vec![ordered(SortKey::Number(0.into()))];
    parts.extend(dates.then(|| ordered(date)));
    parts.push(ordered(SortKey::Text(String::new())));
    let rest = [SortKey::Bool(false), SortKey::Bool(true), SortKey::Null, SortKey::List, SortKey::Object];
    parts.extend(rest.map(equal));
    parts
}

/// Whether a key is that of a string that is a date.
fn is_date(key: &[u8]) -> bool {
    key::text(key).is_some_and(|text| Instant::parse(text).is_some())
}
