//! Building, inserting and limits, as the owner of the indexes relies on them.

use serde_json::{Value, json};
use tiercel_engine::filter::{FieldIndexes, MetadataError};

use crate::common::{build, filter, insert, matching, view};

fn numbered(rows: u32) -> Vec<Value> {
    (0..rows)
        .map(|row| json!({"n": row, "third": row % 3, "tags": [row % 2, "all"], "name": format!("name {row}")}))
        .collect()
}

#[test]
fn a_field_is_indexed_when_it_is_built_and_no_sooner() {
    let (one, both) = (filter(&json!({"n": 1})), filter(&json!({"n": 1, "third": 1})));
    let indexes = FieldIndexes::new(10);
    assert!(indexes.view(&one).is_none());
    assert!(indexes.view(&filter(&json!({}))).is_some());
    build(&indexes, &one, &numbered(10));
    assert!(indexes.view(&one).is_some() && indexes.view(&both).is_none());
    assert!(indexes.build(one.fields()).is_none());
    build(&indexes, &both, &numbered(10));
    assert_eq!(indexes.fields(), ["n", "third"]);
    assert_eq!(view(&indexes, &both).evaluate(10).iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn rows_that_came_during_a_build_are_in_it_once() {
    let records = numbered(3000);
    let filter = filter(&json!({"third": 1}));
    let indexes = FieldIndexes::new(1500);
    let mut build = indexes.build(filter.fields()).unwrap();
    insert(&indexes, &records[..2000]);
    for row in 0..2500 {
        build.add(row, &records[row as usize].to_string()).unwrap();
    }
    insert(&indexes, &records[..2001]);
    assert!(indexes.view(&filter).is_none());
    build.finish(0);
    insert(&indexes, &records);
    let view = view(&indexes, &filter);
    assert_eq!((view.rows_covered(), indexes.rows_covered()), (3000, 3000));
    assert!(view.evaluate(3000).iter().eq(matching(&filter, &records)));
}

#[test]
fn patches_replace_what_rows_had() {
    let mut records = numbered(3000);
    let filters =
        [json!({"third": 1}), json!({"n": {"$gte": 100}}), json!({"tags": {"$contains": 1}}), json!({"new": 2})];
    let filters = filters.map(|form| filter(&form));
    let indexes = FieldIndexes::new(3000);
    for filter in &filters[..3] {
        build(&indexes, filter, &records);
    }
    // A field whose build begins before some changes and ends after them.
    let mut late = indexes.build(filters[3].fields()).unwrap();
    for (row, record) in records.iter().enumerate() {
        late.add(row as u32, &record.to_string()).unwrap();
    }
    let mut late = Some(late);
    for sequence in 1..40_u64 {
        let step = (sequence * 37 % 100) as usize + 1;
        let rows: Vec<u32> = (sequence as u32..records.len() as u32).step_by(step).collect();
        for row in &rows {
            records[*row as usize] = match (u64::from(*row) + sequence) % 3 {
                0 => json!({"n": sequence, "third": sequence % 3, "new": sequence % 4}),
                1 => json!({"tags": [1, sequence]}),
                _ => json!({}),
            };
        }
        let texts = rows.iter().map(|row| Ok::<_, MetadataError>((*row, records[*row as usize].to_string())));
        indexes.patch(sequence, rows.iter().copied().collect(), texts).unwrap();
        records.extend(numbered(20));
        insert(&indexes, &records);
        if sequence == 20 {
            late.take().unwrap().finish(0);
        }
        for filter in filters.iter().filter(|filter| indexes.view(filter).is_some()) {
            let view = view(&indexes, filter);
            assert_eq!((view.since(), view.patched_to()), (sequence, sequence));
            let rows = records.len() as u32;
            assert!(view.evaluate(rows).iter().eq(matching(filter, &records)), "{filter:?} after {sequence}");
        }
    }
    assert!(filters.iter().all(|filter| indexes.view(filter).is_some()));
    // What is wrong changes nothing, and without indexes nothing is read.
    let wrong = [Ok::<_, MetadataError>((0, "{"))];
    assert!(indexes.patch(50, [0].into_iter().collect(), wrong).is_err());
    assert_eq!(indexes.patched_to(), 39);
    let empty = FieldIndexes::new(3);
    empty.patch(7, [0].into_iter().collect(), [Ok::<_, MetadataError>((0, "{"))]).unwrap();
    assert_eq!(empty.patched_to(), 7);
}

#[test]
fn a_build_that_is_dropped_leaves_nothing() {
    let filter = filter(&json!({"n": 5}));
    let indexes = FieldIndexes::new(10);
    let mut build = indexes.build(filter.fields()).unwrap();
    build.add(0, r#"{"n": 5}"#).unwrap();
    assert!(matches!(build.add(1, "{"), Err(MetadataError::NotJson { row: 1, .. })));
    drop(build);
    insert(&indexes, &numbered(20));
    assert!(indexes.view(&filter).is_none() && indexes.fields().is_empty());
    crate::common::build(&indexes, &filter, &numbered(20));
    assert_eq!(view(&indexes, &filter).evaluate(20).iter().collect::<Vec<_>>(), [5]);
}

#[test]
fn an_insert_that_fails_changes_nothing() {
    let filter = filter(&json!({"n": {"$gte": 0}}));
    let indexes = FieldIndexes::new(3);
    build(&indexes, &filter, &numbered(3));
    for records in [
        vec![(3, r#"{"n": 3}"#), (4, "{\"n\": }")],
        vec![(2, r#"{"n": 3}"#)],
        vec![(4, r#"{"n": 3}"#), (3, r#"{"n": 3}"#)],
        vec![(3, r#"{"n": 3}"#), (3, r#"{"n": 3}"#)],
        vec![(6, r#"{"n": 3}"#)],
    ] {
        assert!(indexes.insert(6, records).is_err());
        assert_eq!(indexes.rows_covered(), 3);
        assert_eq!(view(&indexes, &filter).evaluate(u32::MAX).len(), 3);
    }
    indexes.insert(6, [(4, r#"{"n": 3}"#)]).unwrap();
    assert_eq!(view(&indexes, &filter).evaluate(u32::MAX).iter().collect::<Vec<_>>(), [0, 1, 2, 4]);
}

#[test]
fn a_view_stays_as_it_was() {
    let filter = filter(&json!({"third": {"$ne": 1}}));
    let indexes = FieldIndexes::new(100);
    build(&indexes, &filter, &numbered(100));
    let before = view(&indexes, &filter);
    insert(&indexes, &numbered(5000));
    assert!(before.evaluate(u32::MAX).iter().eq(matching(&filter, &numbered(100))));
    assert_eq!(view(&indexes, &filter).evaluate(150).len(), 100);
}

#[test]
fn values_that_stand_once_cost_little_more_than_themselves() {
    let rows = 20_000;
    let indexes = FieldIndexes::new(rows);
    let records = numbered(rows);
    let mut before = 0;
    // The most bytes per row: the key, its two positions and its row; a bitmap for frequent
    // values.
    for (field, most) in [("n", 11 + 12 + 2), ("name", 11 + 12 + 2), ("third", 2)] {
        build(&indexes, &filter(&json!({field: 1})), &records);
        let bytes = indexes.bytes() - before;
        before = indexes.bytes();
        assert!(bytes <= (most * rows) as usize, "{field}: {bytes}");
    }
}

#[test]
fn the_work_of_an_insert_is_that_of_the_change() {
    // Inserts one by one merge the index in pieces, so even many inserts take little time.
    let records = numbered(20_000);
    let filter = filter(&json!({"n": {"$gte": 10_000}, "third": 2}));
    let indexes = FieldIndexes::new(0);
    build(&indexes, &filter, &[]);
    for rows in 1..=records.len() {
        insert(&indexes, &records[..rows]);
    }
    assert!(view(&indexes, &filter).evaluate(u32::MAX).iter().eq(matching(&filter, &records)));
}

#[test]
fn fields_that_were_unused_for_longest_go_when_there_are_too_many() {
    let indexes = FieldIndexes::new(1);
    let records = [json!({"kept": 1})];
    let kept = filter(&json!({"kept": 1}));
    build(&indexes, &kept, &records);
    for at in 0..300 {
        let other = filter(&json!({format!("other {at}"): 1}));
        build(&indexes, &other, &records);
        assert_eq!(view(&indexes, &kept).evaluate(1).len(), 1);
        assert_eq!(view(&indexes, &other).evaluate(1).len(), 0);
    }
    let fields = indexes.fields();
    assert_eq!(fields.len(), 256);
    assert!(fields.contains(&"kept".to_owned()) && !fields.contains(&"other 0".to_owned()));
}
