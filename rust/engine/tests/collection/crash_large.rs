//! A power cut during writes to a collection of several thousand vectors, with codes, a graph, and
//! checkpoints. In the long form, `TIERCEL_CRASH_LARGE_IMAGES` sets the number of images.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tiercel_container::sim::SimVfs;
use tiercel_engine::{Collection, Durability, NewRecord, Page, Running, Search};

use crate::crash::wrong;
use crate::long::{Tally, seed, size};
use crate::scanned;
use crate::{ALL, open_sim_running};

/// The version of each record, by number.
type State = BTreeMap<u32, u32>;

enum Step {
    Put(Range<u32>, u32),
    Delete(Range<u32>),
    WaitIdle,
    Checkpoint,
    Compact,
    Renumber,
}

/// Return the steps of the test. A graph starts at 8,193 vectors.
fn steps() -> Vec<Step> {
    vec![
        Step::Put(0..4200, 1),
        Step::Checkpoint,
        Step::Put(4200..8400, 1),
        Step::WaitIdle,
        Step::Put(0..300, 2),
        Step::Checkpoint,
        Step::Delete(100..500),
        Step::Put(8400..8700, 1),
        Step::WaitIdle,
        Step::Put(50..60, 3),
        Step::Compact,
        Step::Put(55..65, 4),
        Step::Renumber,
        Step::Put(60..70, 4),
    ]
}

fn apply(state: &mut State, step: &Step) {
    match step {
        Step::Put(numbers, version) => state.extend(numbers.clone().map(|number| (number, *version))),
        Step::Delete(numbers) => state.retain(|number, _| !numbers.contains(number)),
        Step::WaitIdle | Step::Checkpoint | Step::Compact | Step::Renumber => {}
    }
}

fn act(collection: &Collection, step: &Step) {
    match step {
        Step::Put(numbers, version) => {
            let vectors = numbers.clone().flat_map(|number| vector(number, *version)).collect();
            let records = numbers.clone().map(|number| NewRecord {
                id: number.to_string(),
                vector: true,
                text: Some(text(*version)),
                metadata: None,
            });
            collection.upsert(records.collect(), vectors).map(drop)
        }
        Step::Delete(numbers) => {
            collection.delete(numbers.clone().map(|number| number.to_string()).collect()).map(drop)
        }
        Step::WaitIdle => collection.wait_idle(),
        Step::Checkpoint => collection.checkpoint(),
        Step::Compact => collection.compact(),
        Step::Renumber => collection.renumber(),
    }
    .unwrap();
}

fn vector(number: u32, version: u32) -> [f32; 2] {
    let angle = number as f32 * 0.618;
    [angle.cos() + version as f32 * 0.001, angle.sin()]
}

fn text(version: u32) -> String {
    format!("version{version}")
}

/// Return the content of a collection, checking each record.
fn of(collection: &Collection) -> State {
    let page = Page { filter: None, order: None, limit: None, after: None, include: ALL };
    let records = scanned(collection, &page).unwrap().into_iter().map(|got| {
        let (number, text) = (got.id.parse().unwrap(), got.text.unwrap());
        let version = text.strip_prefix("version").unwrap().parse().unwrap();
        assert_eq!(got.vector.as_deref(), Some(&vector(number, version)[..]), "{number}");
        (number, version)
    });
    records.collect()
}

/// Check that searches find the content.
fn check(collection: &Collection, state: &State) {
    let query = vector(17, 1);
    let near = Search { vector: Some(&query), k: state.len() + 1, recall: Some(1.0), ..Search::default() };
    let exact: BTreeSet<String> = collection.search(&near).unwrap().matches.into_iter().map(|found| found.id).collect();
    assert_eq!(exact, state.keys().map(u32::to_string).collect());
    let near = Search { vector: Some(&query), k: 10, ..Search::default() };
    let found = collection.search(&near).unwrap().matches;
    assert_eq!(found.len(), state.len().min(10));
    assert!(found.iter().all(|found| exact.contains(&found.id)));
    for version in 1..5 {
        let words = text(version);
        let search = Search { text: Some(&words), k: state.len() + 1, ..Search::default() };
        let expected = state.values().filter(|each| **each == version).count();
        assert_eq!(collection.search(&search).unwrap().matches.len(), expected, "{words}");
    }
    assert_eq!(collection.verify().unwrap(), []);
}

fn open(vfs: &SimVfs) -> Option<Collection> {
    // Nearly all vectors are in a full graph, the others in a second one.
    open_sim_running(vfs, 2, Running { graph: 8300, ..Running::new(Durability::Always) }).ok()
}

fn record() -> (SimVfs, Vec<State>) {
    let vfs = SimVfs::new();
    vfs.record();
    let collection = open(&vfs).unwrap();
    let mut states = vec![State::new()];
    vfs.mark(1);
    for step in steps() {
        act(&collection, &step);
        let mut state = states[states.len() - 1].clone();
        apply(&mut state, &step);
        states.push(state);
        vfs.mark(states.len() as u64);
    }
    assert!(collection.stats().unwrap().index.unwrap().linked > 8192);
    collection.close().unwrap();
    (vfs, states)
}

fn is_right(image: &SimVfs, states: &[State], mark: usize) -> bool {
    let Some(collection) = open(image) else { return false };
    let mut state = of(&collection);
    if !states[mark.saturating_sub(1)..states.len().min(mark + 1)].contains(&state) {
        return false;
    }
    check(&collection, &state);
    let step = Step::Put(9000..9003, 1);
    act(&collection, &step);
    apply(&mut state, &step);
    collection.close().unwrap();
    open(image).is_some_and(|collection| of(&collection) == state)
}

#[test]
fn nothing_is_lost_beside_a_graph() {
    let (asked, (vfs, states)) = (size("TIERCEL_CRASH_LARGE_IMAGES"), record());
    let images = asked.unwrap_or(12);
    let mut tally = Tally::new("images beside a graph", images, asked.is_some());
    let right = |image: &SimVfs, mark| is_right(image, &states, mark);
    assert_eq!(wrong(&vfs, seed(), images, &mut tally, |image, replay| right(image, replay.mark() as usize)), 0);
}
