//! Any sequence of calls, compared with a map. The tests of crashes, failures and damage also use
//! the calls and the map.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, NewRecord, OpenOptions, QueryError, Search, WriteError};

use crate::{ALL, open};

/// A call.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Upsert(Vec<(u8, Option<[i8; 2]>, u8)>),
    Delete(Vec<u8>),
    SetMetadata(u8, u8),
    WaitIdle,
    Checkpoint,
    Compact,
    Renumber,
    Reopen,
}

fn call() -> impl Strategy<Value = Call> {
    let vector = proptest::option::weighted(0.8, any::<[i8; 2]>());
    prop_oneof![
        6 => vec((0..12_u8, vector, any::<u8>()), 1..6).prop_map(Call::Upsert),
        2 => vec(0..12_u8, 1..4).prop_map(Call::Delete),
        1 => (0..12_u8, any::<u8>()).prop_map(|(id, value)| Call::SetMetadata(id, value)),
        1 => Just(Call::WaitIdle),
        1 => Just(Call::Checkpoint),
        1 => Just(Call::Compact),
        1 => Just(Call::Renumber),
        1 => Just(Call::Reopen),
    ]
}

/// Draw `count` calls, the same ones for a seed.
pub(crate) fn calls(seed: u64, count: usize) -> Vec<Call> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), random);
    vec(call(), count).new_tree(&mut runner).unwrap().current()
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    pub(crate) vector: Option<[i8; 2]>,
    pub(crate) word: u8,
    pub(crate) metadata: u8,
}

/// The expected content of a collection.
pub(crate) type Model = BTreeMap<String, Expected>;

/// Return the ids that calls use.
fn all_ids() -> Vec<String> {
    (0..12).map(id).collect()
}

fn id(number: u8) -> String {
    format!("id{number}")
}

fn metadata(value: u8) -> String {
    format!(r#"{{"value":{value}}}"#)
}

fn values(vector: [i8; 2]) -> [f32; 3] {
    [f32::from(vector[0]), f32::from(vector[1]), 1.0]
}

/// Apply a call to the model.
pub(crate) fn apply(model: &mut Model, call: &Call) {
    match call {
        Call::Upsert(records) => {
            for (number, vector, word) in records {
                model.insert(id(*number), Expected { vector: *vector, word: word % 8, metadata: *word });
            }
        }
        Call::Delete(numbers) => model.retain(|there, _| !numbers.iter().any(|number| *there == id(*number))),
        Call::SetMetadata(number, value) => {
            if let Some(expected) = model.get_mut(&id(*number)) {
                expected.metadata = *value;
            }
        }
        Call::WaitIdle | Call::Checkpoint | Call::Compact | Call::Renumber | Call::Reopen => {}
    }
}

/// Run a call; `Reopen` does nothing here.
pub(crate) fn act(collection: &Collection, call: &Call) -> Result<(), WriteError> {
    match call {
        Call::Upsert(records) => {
            let vectors = records.iter().filter_map(|(_, vector, _)| *vector).flat_map(values).collect();
            let new = |&(number, vector, word): &(u8, Option<[i8; 2]>, u8)| NewRecord {
                id: id(number),
                vector: vector.is_some(),
                text: Some(format!("word{}", word % 8)),
                metadata: Some(metadata(word)),
            };
            collection.upsert(records.iter().map(new).collect(), vectors).map(drop)
        }
        Call::Delete(numbers) => collection.delete(numbers.iter().map(|number| id(*number)).collect()).map(drop),
        Call::SetMetadata(number, value) => {
            collection.set_metadata(vec![(id(*number), Some(metadata(*value)))]).map(drop)
        }
        Call::WaitIdle => collection.wait_idle(),
        Call::Checkpoint => collection.checkpoint(),
        Call::Compact => collection.compact(),
        Call::Renumber => collection.renumber(),
        Call::Reopen => Ok(()),
    }
}

/// Return the content of a collection.
pub(crate) fn of(collection: &Collection) -> Result<Model, QueryError> {
    let number =
        |bytes: &[u8]| bytes.iter().filter(|byte| byte.is_ascii_digit()).fold(0, |sum, byte| sum * 10 + (byte - b'0'));
    let found = collection.get(&all_ids(), ALL)?.into_iter().flatten().map(|got| {
        let vector = got.vector.map(|vector| [vector[0] as i8, vector[1] as i8]);
        let word = number(got.text.unwrap().as_bytes());
        (got.id, Expected { vector, word, metadata: number(&got.metadata.unwrap()) })
    });
    Ok(found.collect())
}

/// Check that every way to find a record agrees with the model.
pub(crate) fn check(collection: &Collection, model: &Model) {
    check_what_is_read(collection, model).unwrap();
}

/// Check the same where reads may fail: every answer agrees.
pub(crate) fn check_what_is_read(collection: &Collection, model: &Model) -> Result<(), QueryError> {
    assert_eq!(of(collection)?, *model);
    assert_eq!(collection.len(), model.len() as u64);
    check_vectors(collection, model)?;
    for word in 0..8 {
        let text = format!("word{word}");
        let found = collection.search(&Search { text: Some(&text), k: 20, ..Search::default() })?.matches;
        let mut found: Vec<String> = found.into_iter().map(|found| found.id).collect();
        found.sort();
        let expected = model.iter().filter(|(_, expected)| expected.word == word).map(|(id, _)| id.clone());
        assert_eq!(found, expected.collect::<Vec<_>>(), "{text}");
        let filter = Filter::from_text(&metadata(word)).unwrap();
        let expected = model.values().filter(|expected| expected.metadata == word).count();
        assert_eq!(collection.count(Some(&filter))?, expected as u64);
    }
    Ok(())
}

fn check_vectors(collection: &Collection, model: &Model) -> Result<(), QueryError> {
    const QUERY: [f32; 3] = [1.0, 2.0, 1.0];
    let near = Search { vector: Some(&QUERY), k: 20, recall: Some(1.0), ..Search::default() };
    let found = collection.search(&near)?.matches;
    let expected = model.values().filter(|expected| expected.vector.is_some());
    assert_eq!(found.len(), expected.count());
    assert!(found.is_sorted_by_key(|found| found.distance));
    for found in found {
        let values = values(model[&found.id].vector.unwrap());
        let distance = cosine(QUERY, values);
        assert!((found.distance.unwrap() - distance).abs() < 1e-5, "{found:?}: expected {distance}");
    }
    Ok(())
}

fn cosine(a: [f32; 3], b: [f32; 3]) -> f32 {
    let dot = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls(calls in vec(call(), 1..25)) {
        let directory = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        let mut collection = open(directory.path(), Some(3));
        let [often, seldom] = [(), ()].map(|()| Collection::view(directory.path(), &OpenOptions::default()).unwrap());
        for (number, call) in calls.into_iter().enumerate() {
            if let Call::Reopen = call {
                collection.close().unwrap();
                collection = open(directory.path(), Some(3));
            }
            act(&collection, &call).unwrap();
            apply(&mut model, &call);
            check(&collection, &model);
            let before = of(&often).unwrap();
            let changed = often.refresh().unwrap();
            assert!(changed || before == model, "{call:?}");
            check(&often, &model);
            if number % 6 == 5 {
                seldom.refresh().unwrap();
                check(&seldom, &model);
            }
        }
    }
}
