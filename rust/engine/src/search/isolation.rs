//! Tests: a filter on a snapshot returns the rows of that snapshot's state, whatever is written or
//! indexed later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tiercel_container::sim::SimVfs;
use tiercel_store::Durability;

use crate::collection::Collection;
use crate::config::OpenOptions;
use crate::filter::Filter;
use crate::open::Running;
use crate::search::select::{select, select_in};
use crate::state::snapshot::Snapshot;
use crate::write::upsert::NewRecord;

/// Fields of every record. Together with fields that no record has, a few filters name more than
/// the indexes keep.
const FIELDS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(u8, u8)>),
    Delete(Vec<u8>),
    SetMetadata(Vec<(u8, u8)>),
    WaitIdle,
    Checkpoint,
    Compact,
    /// Keep the newest snapshot, to query it later.
    Hold,
    /// Filter by these fields in the newest snapshot, then in all that are held.
    Ask(usize, u8),
    /// Filter by enough other fields to evict the indexed ones.
    Crowd,
}

fn step() -> impl Strategy<Value = Step> {
    let record = || (0..10_u8, 0..4_u8);
    prop_oneof![
        6 => prop::collection::vec(record(), 1..4).prop_map(Step::Upsert),
        2 => prop::collection::vec(0..10_u8, 1..3).prop_map(Step::Delete),
        4 => prop::collection::vec(record(), 1..3).prop_map(Step::SetMetadata),
        1 => Just(Step::WaitIdle),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        5 => Just(Step::Hold),
        8 => (0..FIELDS, 0..4_u8).prop_map(|(field, value)| Step::Ask(field, value)),
        1 => Just(Step::Crowd),
    ]
}

/// Metadata by id.
type State = BTreeMap<String, Value>;

fn id(number: u8) -> String {
    format!("id{number}")
}

/// Return metadata with a different value for each field.
fn metadata(value: u8) -> Value {
    (0..FIELDS).map(|field| (format!("f{field}"), json!((usize::from(value) + field) % 4))).collect()
}

fn new(id: String, metadata: &Value) -> NewRecord {
    NewRecord { id, vector: false, text: None, metadata: Some(metadata.to_string()) }
}

fn open() -> Collection {
    let running = Running::new(Durability::None);
    Collection::open_on(Arc::new(SimVfs::new()), Path::new("/collection"), OpenOptions::default(), running).unwrap()
}

fn filters(field: usize, value: u8) -> [Value; 3] {
    let (one, other) = (format!("f{field}"), format!("f{}", (field + 1) % FIELDS));
    [json!({&one: value}), json!({&one: {"$ne": value}}), json!({"$or": [{&one: value}, {&other: {"$lt": value}}]})]
}

fn ids(snapshot: &Snapshot, rows: &roaring::RoaringBitmap) -> BTreeSet<String> {
    let rows: Vec<u32> = rows.iter().collect();
    let records = snapshot.reader.records(&rows).unwrap();
    records.into_iter().map(|record| record.expect("a row that passes is there").id).collect()
}

fn passing(state: &State, filter: &Filter) -> BTreeSet<String> {
    state.iter().filter(|(_, metadata)| filter.matches(metadata)).map(|(id, _)| id.clone()).collect()
}

fn check(snapshot: &Snapshot, state: &State, filter: &Filter) {
    let rows = select_in(snapshot, filter).unwrap();
    assert_eq!(ids(snapshot, &rows), passing(state, filter), "{filter:?} at {}", snapshot.sequence);
}

/// A collection, its expected state, and snapshots of earlier states.
struct Machine {
    collection: Collection,
    state: State,
    held: Vec<(Arc<Snapshot>, State)>,
}

impl Machine {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Upsert(records) => {
                let records = records.iter().map(|(number, value)| (id(*number), metadata(*value)));
                let records: Vec<_> = records.collect();
                let new = records.iter().map(|(id, metadata)| new(id.clone(), metadata)).collect();
                self.collection.upsert(new, vec![]).unwrap();
                self.state.extend(records);
            }
            Step::Delete(numbers) => {
                self.collection.delete(numbers.iter().map(|number| id(*number)).collect()).unwrap();
                for number in numbers {
                    self.state.remove(&id(*number));
                }
            }
            Step::SetMetadata(records) => {
                let new = records.iter().map(|(number, value)| (id(*number), Some(metadata(*value).to_string())));
                self.collection.set_metadata(new.collect()).unwrap();
                for (number, value) in records {
                    self.state.entry(id(*number)).and_modify(|there| *there = metadata(*value));
                }
            }
            Step::WaitIdle => self.collection.wait_idle().unwrap(),
            Step::Checkpoint => self.collection.checkpoint().unwrap(),
            Step::Compact => self.collection.compact().unwrap(),
            Step::Hold => self.held.push((self.collection.core.snapshot(), self.state.clone())),
            Step::Ask(field, value) => filters(*field, *value).iter().for_each(|filter| self.ask(filter)),
            Step::Crowd => {
                for crowd in 0..5 {
                    let absent: Vec<Value> =
                        (0..60).map(|at| json!({format!("absent{crowd}.{at}"): {"$exists": false}})).collect();
                    self.ask(&json!({"$and": absent}));
                }
            }
        }
    }

    fn ask(&self, form: &Value) {
        let filter = &Filter::parse(form).unwrap();
        let (snapshot, rows) = select(&self.collection.core, filter).unwrap();
        assert_eq!(snapshot.sequence, self.collection.sequence());
        assert_eq!(ids(&snapshot, &rows), passing(&self.state, filter));
        // A search remembers the rows, and follows what has changed since.
        let (again, remembered, _) = crate::search::passing::passing(&self.collection.core, &form.to_string()).unwrap();
        assert_eq!((again.sequence, remembered.rows()), (snapshot.sequence, &rows));
        for (snapshot, state) in &self.held {
            check(snapshot, state, filter);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn a_snapshot_answers_for_its_own_state(steps in prop::collection::vec(step(), 1..40)) {
        let mut machine = Machine { collection: open(), state: State::new(), held: Vec::new() };
        for step in &steps {
            machine.step(step);
        }
        machine.step(&Step::Ask(0, 1));
    }
}

#[test]
fn a_snapshot_of_before_the_indexes_were_patched_answers_for_its_own_state() {
    let collection = open();
    let all: Vec<String> = (0..4200).map(|number| format!("id{number}")).collect();
    let before: State = all.iter().map(|id| (id.clone(), metadata(1))).collect();
    collection.upsert(all.iter().map(|id| new(id.clone(), &metadata(1))).collect(), vec![]).unwrap();
    let mut machine = Machine { collection, state: before.clone(), held: Vec::new() };
    machine.step(&Step::Hold);
    machine.step(&Step::Ask(0, 1));
    let changed = Some(metadata(2).to_string());
    machine.collection.set_metadata(all.iter().map(|id| (id.clone(), changed.clone())).collect()).unwrap();
    machine.state.values_mut().for_each(|there| *there = metadata(2));
    machine.step(&Step::Hold);
    // The indexes have all changes, so no record needs to be read.
    let [before, after] = &machine.held[..] else { panic!("two snapshots") };
    let (before, after) = (Arc::clone(&before.0), Arc::clone(&after.0));
    assert!(Arc::ptr_eq(&before.fields, &after.fields));
    assert_eq!(after.unsure(after.fields.patched_to(), after.fields.rows_covered()).count(), 0);
    assert_eq!(before.unsure(0, before.fields.rows_covered()).count(), 0);
    // A field that is indexed already, and one that is not.
    machine.step(&Step::Ask(0, 1));
    machine.step(&Step::Ask(3, 1));
}
