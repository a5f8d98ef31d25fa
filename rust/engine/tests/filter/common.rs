//! Helpers: filtering by indexes built from records, and record by record.

use serde_json::Value;
use tiercel_engine::filter::{FieldIndexes, FieldView, Filter};

pub(crate) fn filter(form: &Value) -> Filter {
    Filter::parse(form).unwrap_or_else(|error| panic!("{form}: {error}"))
}

/// Return the rows that pass, checked one by one.
pub(crate) fn matching(filter: &Filter, records: &[Value]) -> Vec<u32> {
    (0..).zip(records).filter(|(_, metadata)| filter.matches(metadata)).map(|(row, _)| row).collect()
}

/// Index the fields of a filter for the rows that existed when the build began.
pub(crate) fn build(indexes: &FieldIndexes, filter: &Filter, records: &[Value]) {
    if let Some(mut build) = indexes.build(filter.fields()) {
        for (row, metadata) in (0..build.rows()).zip(records) {
            build.add(row, &metadata.to_string()).unwrap();
        }
        build.finish(0);
    }
}

/// Insert all records that are not covered yet.
pub(crate) fn insert(indexes: &FieldIndexes, records: &[Value]) {
    let rows = records.len() as u32;
    let new = (indexes.rows_covered()..rows).map(|row| (row, records[row as usize].to_string()));
    indexes.insert(rows, new).unwrap();
}

pub(crate) fn view<'f>(indexes: &FieldIndexes, filter: &'f Filter) -> FieldView<'f> {
    indexes.view(filter).expect("all fields of the filter are indexed")
}

/// Return the rows that pass, by an index that was built from some records and had the others
/// inserted.
pub(crate) fn indexed(filter: &Filter, records: &[Value], built: usize) -> Vec<u32> {
    let indexes = FieldIndexes::new(built as u32);
    build(&indexes, filter, records);
    insert(&indexes, records);
    view(&indexes, filter).evaluate(records.len() as u32).iter().collect()
}
