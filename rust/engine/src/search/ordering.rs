//! The order of a scan: by a field of the metadata, with the rows of equal values in the order of
//! writing, and those without the field last.
//!
//! The index of the field has the order, and the first rows of it cost little. If few rows are
//! wanted, their records are read and sorted instead, and also if no index answers for a snapshot.

use std::cmp::Ordering;

use roaring::RoaringBitmap;
use serde_json::Value;
use tiercel_store::{Reader, Record};

use crate::errors::QueryError;
use crate::filter::{Ordered, Resume, SortKey, Values, field};
use crate::maintain::renumber::first_after;
use crate::search::position::{Order, Place};
use crate::state::snapshot::Snapshot;

/// Rows of an index that are passed over in the time in which one record is read.
const PASSED: u64 = 16;

/// Rows, in order.
pub(super) type Rows = Box<dyn Iterator<Item = u32> + Send>;

/// The place in an order where a scan resumes.
pub(super) struct After {
    /// The key of the position; records with an earlier key are before it.
    key: Option<SortKey>,
    /// Among records with an equal key, those from this row on are after it.
    pub(super) first: u32,
}

impl After {
    pub(super) fn new(Place { key, row }: Place, numbering: u32, reader: &Reader) -> Result<Self, QueryError> {
        Ok(Self { key, first: first_after(reader, numbering, row)? })
    }

    /// Whether a place comes after it.
    fn is_before(&self, place: &Place, descending: bool) -> bool {
        match compare(place.key.as_ref(), self.key.as_ref(), descending) {
            Ordering::Equal => place.row >= self.first,
            order => order.is_gt(),
        }
    }
}

/// A scan in the order of a field.
#[derive(Clone, Copy)]
pub(super) struct ByField<'a> {
    pub(super) order: &'a Order,
    pub(super) after: Option<&'a After>,
    pub(super) limit: Option<usize>,
}

impl ByField<'_> {
    /// Whether to read the records of these rows rather than to pass over the index, which has many
    /// others.
    pub(super) fn reads_each(&self, snapshot: &Snapshot, selected: Option<&RoaringBitmap>) -> bool {
        let Some(selected) = selected else { return false };
        let all = u64::from(snapshot.rows);
        let passed =
            self.limit.map_or(all, |limit| all.min((limit as u64).saturating_mul(all) / selected.len().max(1)));
        selected.len() * PASSED < passed
    }

    /// Return the rows of a snapshot, only those that are selected if there is a choice, by the index
    /// of the field.
    pub(super) fn by_index(
        &self,
        snapshot: &Snapshot,
        selected: Option<RoaringBitmap>,
        mut values: Values,
    ) -> Result<Rows, QueryError> {
        let Self { order, after, .. } = *self;
        patch(&mut values, snapshot, &order.field)?;
        let present = values.present();
        let dates = snapshot.config.schema.may_hold_dates(&order.field);
        let ordered = |resume| Some(Ordered::new(values, order.descending, dates, resume));
        let (of_field, first) = match after {
            None => (ordered(None), 0),
            Some(After { key: Some(key), first }) => (ordered(Some(&Resume { key, first: *first })), 0),
            // All that have the field come before.
            Some(After { key: None, first }) => (None, *first),
        };
        let of_field = of_field.into_iter().flatten();
        if let Some(selected) = selected {
            let mut missing = &selected - &present;
            missing.remove_range(..first);
            return Ok(Box::new(of_field.filter(move |row| selected.contains(*row)).chain(missing)));
        }
        // Not the whole snapshot, which keeps the vectors in memory.
        let Snapshot { rows, sequence, .. } = *snapshot;
        let visibility = snapshot.visibility.clone();
        let living = visibility.clone().into_living(first..rows, sequence);
        let of_field = of_field.filter(move |row| *row < rows && visibility.lives(*row, sequence));
        Ok(Box::new(of_field.chain(living.filter(move |row| !present.contains(*row)))))
    }

    /// Return the rows in order, by reading the record of each.
    pub(super) fn by_records(&self, snapshot: &Snapshot, rows: impl Iterator<Item = u32>) -> Result<Rows, QueryError> {
        let Self { order, after, .. } = *self;
        let dates = snapshot.config.schema.may_hold_dates(&order.field);
        let in_order =
            |a: &Place, b: &Place| compare(a.key.as_ref(), b.key.as_ref(), order.descending).then(a.row.cmp(&b.row));
        let mut places = Vec::new();
        for row in rows {
            let Some(record) = snapshot.reader.record(row)? else { continue };
            let place = Place { key: key(&record, &order.field, dates), row };
            // The record at `after` may be gone; only its place counts.
            if after.is_none_or(|after| after.is_before(&place, order.descending)) {
                places.push(place);
            }
        }
        places.sort_by(in_order);
        Ok(Box::new(places.into_iter().map(|place| place.row)))
    }
}

/// Add what an index lacks of a snapshot: newer rows, and those whose metadata was replaced.
fn patch(values: &mut Values, snapshot: &Snapshot, name: &str) -> Result<(), QueryError> {
    let (mut rows, mut newer) = (RoaringBitmap::new(), Vec::new());
    for row in snapshot.unsure(values.patched_to(), values.rows_covered()) {
        rows.insert(row);
        let Some(metadata) = snapshot.reader.record(row)?.and_then(|record| record.metadata) else { continue };
        let Ok(Value::Object(metadata)) = serde_json::from_slice(&metadata) else { continue };
        newer.extend(field(&metadata, name).map(|value| (row, value.clone())));
    }
    if !rows.is_empty() {
        values.patch(rows, newer);
    }
    Ok(())
}

/// Return the key that orders a record; with `dates`, strings that are dates are points in time.
pub(super) fn key(record: &Record, name: &str, dates: bool) -> Option<SortKey> {
    let metadata: Value = serde_json::from_slice(record.metadata.as_deref()?).ok()?;
    Some(SortKey::of(field(metadata.as_object()?, name)?, dates))
}

/// Compare keys in ascending or descending order; records without the field come last either way.
fn compare(a: Option<&SortKey>, b: Option<&SortKey>, descending: bool) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return b.is_some().cmp(&a.is_some()) };
    let order = a.compare(b);
    if descending { order.reverse() } else { order }
}

#[cfg(test)]
mod tests;
