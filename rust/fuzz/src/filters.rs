//! Filters: any filter that is read treats a record alone and through an index alike.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tiercel_engine::filter::{FieldIndexes, Filter};

static RECORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("1"),
        json!("ab"),
        json!("2024-05-01"),
        json!("2024-05-01T02:00:00+02:00"),
        json!([1, "ab", null]),
        json!({"b": 1}),
    ];
    let mut records: Vec<Value> = values.iter().map(|value| json!({"a": value, "c": value})).collect();
    records.extend([json!({}), json!({"a.b": 1}), json!({"b": [[]]})]);
    records
});

/// Read bytes as a filter, and use it.
pub fn filter(data: &[u8]) {
    let Ok(filter) = Filter::from_text(&String::from_utf8_lossy(data)) else { return };
    let records = &*RECORDS;
    let one_by_one = (0..).zip(records).filter(|(_, metadata)| filter.matches(metadata)).map(|(row, _)| row);
    let indexes = FieldIndexes::new(records.len() as u32);
    if let Some(mut build) = indexes.build(filter.fields()) {
        for (row, metadata) in (0..).zip(records) {
            build.add(row, &metadata.to_string()).expect("metadata that can be indexed");
        }
        build.finish(0);
    }
    let view = indexes.view(&filter).expect("all fields are indexed");
    assert!(view.evaluate(records.len() as u32).iter().eq(one_by_one));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let forms = [
        json!({}),
        json!({"a": 1, "b": "ab", "c": null}),
        json!({"a": {"$eq": 1.5, "$ne": "x", "$gt": 0, "$gte": 0, "$lt": 9, "$lte": 9}}),
        json!({"a": {"$in": [1, "ab", null, [1, "ab", null]], "$nin": [{"b": 1}]}}),
        json!({"a": {"$exists": true}, "a.b": {"$exists": false}}),
        json!({"a": {"$contains": 1}, "c": {"$startswith": "2024"}}),
        json!({"a": {"$gt": {"$date": "2024-04-30"}, "$lte": {"$date": "2024-05-01T00:00:00Z"}}}),
        json!({"$and": [{"a": 1}, {"$or": [{"c": 2}, {"$nor": [{"a": 3}, {"$not": {"c": {"$not": {"$gt": 1}}}}]}]}]}),
    ];
    forms.iter().map(|form| form.to_string().into_bytes()).collect()
}
