//! The index of a field gives the same order as reading every record, from every position.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tiercel_container::sim::SimVfs;
use tiercel_store::Durability;

use super::*;
use crate::collection::Collection;
use crate::config::OpenOptions;
use crate::open::Running;
use crate::search::select::build;
use crate::write::upsert::NewRecord;

/// Values of all types; some are equal, some are equal only as dates.
const VALUES: [&str; 22] = [
    "-1e300",
    "-1",
    "0",
    "-0.0",
    "1",
    "1.0",
    "1.5",
    "9007199254740993",
    "18446744073709551615",
    r#""2024-01-01T01:00:00Z""#,
    r#""2023-12-31T23:00:00-02:00""#,
    r#""2024-01-02""#,
    r#""""#,
    r#""2023""#,
    r#""é""#,
    "false",
    "true",
    "null",
    "[]",
    r#"["a", 2]"#,
    "{}",
    r#"{"a": 1}"#,
];

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(u8, usize)>),
    Delete(Vec<u8>),
    SetMetadata(Vec<(u8, usize)>),
    Renumber,
    /// Keep the newest snapshot, to order it later.
    Hold,
    /// Order the newest snapshot, then those that are held.
    Order,
}

fn step() -> impl Strategy<Value = Step> {
    // One more than there are values: records without the field.
    let record = || (0..40_u8, 0..=VALUES.len());
    prop_oneof![
        6 => prop::collection::vec(record(), 1..20).prop_map(Step::Upsert),
        2 => prop::collection::vec(0..40_u8, 1..5).prop_map(Step::Delete),
        4 => prop::collection::vec(record(), 1..5).prop_map(Step::SetMetadata),
        1 => Just(Step::Renumber),
        2 => Just(Step::Hold),
        8 => Just(Step::Order),
    ]
}

fn id(number: u8) -> String {
    format!("id{number}")
}

fn metadata(value: usize) -> Option<String> {
    VALUES.get(value).map(|value| format!(r#"{{"value": {value}, "other": 1}}"#))
}

fn run(collection: &Collection, step: &Step, held: &mut Vec<Arc<Snapshot>>) {
    match step {
        Step::Upsert(records) => {
            let new = |(number, value): &(u8, usize)| NewRecord {
                id: id(*number),
                metadata: metadata(*value),
                ..NewRecord::default()
            };
            collection.upsert(records.iter().map(new).collect(), vec![]).unwrap();
        }
        Step::Delete(numbers) => {
            collection.delete(numbers.iter().copied().map(id).collect()).unwrap();
        }
        Step::SetMetadata(records) => {
            let new = records.iter().map(|(number, value)| (id(*number), metadata(*value)));
            collection.set_metadata(new.collect()).unwrap();
        }
        Step::Renumber => collection.renumber().unwrap(),
        Step::Hold => held.push(collection.core.snapshot()),
        Step::Order => {
            build(&collection.core, &collection.core.snapshot(), ["value"]).unwrap();
            let newest = collection.core.snapshot();
            assert!(index(&newest).is_some());
            held.iter().chain([&newest]).for_each(|snapshot| check(snapshot));
        }
    }
}

/// Return the index of the field, if it answers for this snapshot.
fn index(snapshot: &Snapshot) -> Option<Values> {
    snapshot.fields.values("value").filter(|values| values.since() <= snapshot.sequence)
}

fn check(snapshot: &Snapshot) {
    if index(snapshot).is_none() {
        return;
    }
    let living = snapshot.visibility.living(snapshot.rows, snapshot.sequence);
    let some: RoaringBitmap = living.iter().filter(|row| row % 3 > 0).collect();
    for descending in [false, true] {
        let order = Order { field: "value".into(), descending };
        let pages = |after: Option<&After>| {
            let by_field = ByField { order: &order, after, limit: None };
            for selected in [None, Some(&some)] {
                let found = by_field.by_index(snapshot, selected.cloned(), index(snapshot).unwrap()).unwrap();
                let rows = selected.unwrap_or(&living).iter();
                let expected: Vec<u32> = by_field.by_records(snapshot, rows).unwrap().collect();
                assert_eq!(found.collect::<Vec<_>>(), expected, "{descending}");
            }
        };
        pages(None);
        for row in &living {
            let key = key(&snapshot.reader.record(row).unwrap().unwrap(), "value", true);
            pages(Some(&After { key, first: row + 1 }));
        }
        // Positions that no record has.
        let keys = ["0.5", r#""2024-01-01T12:00:00Z""#, r#""x""#, "true", "[1]", "{}"].map(|text| {
            let value: Value = serde_json::from_str(text).unwrap();
            SortKey::of(&value, true)
        });
        for key in keys.into_iter().map(Some).chain([None]) {
            pages(Some(&After { key, first: 2 }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_gives_the_order_of_the_records(steps in prop::collection::vec(step(), 1..25)) {
        let (path, running) = (Path::new("/collection"), Running::new(Durability::None));
        let collection =
            Collection::open_on(Arc::new(SimVfs::new()), path, OpenOptions::default(), running).unwrap();
        let mut held = Vec::new();
        steps.iter().chain([&Step::Order]).for_each(|step| run(&collection, step, &mut held));
    }
}

#[test]
fn few_rows_are_read_and_many_are_taken_from_the_index() {
    let (path, running) = (Path::new("/collection"), Running::new(Durability::None));
    let collection = Collection::open_on(Arc::new(SimVfs::new()), path, OpenOptions::default(), running).unwrap();
    let new = |number: u32| NewRecord { id: number.to_string(), ..NewRecord::default() };
    collection.upsert((0..3200).map(new).collect(), vec![]).unwrap();
    let (snapshot, order) = (collection.core.snapshot(), Order { field: "value".into(), descending: false });
    let reads_each = |rows: u32, limit: Option<usize>| {
        let selected = (0..rows).collect();
        ByField { order: &order, after: None, limit }.reads_each(&snapshot, Some(&selected))
    };
    assert_eq!([199, 200].map(|rows| reads_each(rows, None)), [true, false]);
    // The index gives one of 160 rows sooner.
    assert_eq!([1, 160].map(|limit| reads_each(160, Some(limit))), [false, true]);
    assert!(!ByField { order: &order, after: None, limit: None }.reads_each(&snapshot, None));
}
