//! Searches, builds and inserts at the same time.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tiercel_engine::filter::{FieldIndexes, Filter};

use crate::common::filter;

const ROWS: u32 = 6000;

/// Whether a row passes.
type Passes = fn(u32) -> bool;

fn record(row: u32) -> String {
    json!({"sevenths": row % 7, "n": row, "other": {"m": row % 5}}).to_string()
}

/// Build missing indexes, then check the filter on the covered rows.
fn assert_holds(indexes: &FieldIndexes, filter: &Filter, passes: impl Fn(u32) -> bool) {
    let view = loop {
        if let Some(view) = indexes.view(filter) {
            break view;
        }
        if let Some(mut build) = indexes.build(filter.fields()) {
            for row in 0..build.rows() {
                build.add(row, &record(row)).unwrap();
            }
            build.finish(0);
        }
    };
    let rows = view.rows_covered();
    assert!(view.evaluate(u32::MAX).iter().eq((0..rows).filter(|row| passes(*row))), "{rows} rows");
}

#[test]
fn every_view_is_whole_while_others_insert_and_build() {
    let indexes = FieldIndexes::new(100);
    let done = AtomicBool::new(false);
    let filters: [(Value, Passes); 4] = [
        (json!({"sevenths": 3}), |row| row % 7 == 3),
        (json!({"n": {"$gte": 50, "$lt": 3000}}), |row| (50..3000).contains(&row)),
        (json!({"other.m": {"$ne": 1}, "sevenths": {"$in": [1, 2]}}), |row| {
            row % 5 != 1 && (1..3).contains(&(row % 7))
        }),
        (json!({"absent": {"$exists": false}}), |_| true),
    ];
    std::thread::scope(|scope| {
        for (form, passes) in filters {
            let (indexes, done) = (&indexes, &done);
            scope.spawn(move || {
                let filter = filter(&form);
                while !done.load(Ordering::Relaxed) {
                    assert_holds(indexes, &filter, passes);
                }
                assert_holds(indexes, &filter, passes);
            });
        }
        for rows in (100..ROWS).step_by(10) {
            let rows = rows + 10;
            indexes.insert(rows, (rows - 10..rows).map(|row| (row, record(row)))).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(indexes.rows_covered(), ROWS);
}
