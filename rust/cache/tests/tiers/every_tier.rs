//! Every tier compared with a dictionary, and what each tier promises besides.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::{TempDir, tempdir};
use tiercel_cache::{Begin, Files, Key, KeyRef, Kind, Lasting, Memory, OpenError, Put, Store, Tier};
use tiercel_container::OsVfs;

fn value(bytes: &[u8]) -> Arc<[u8]> {
    bytes.into()
}

fn store(directory: &Path, bytes: u64) -> Store {
    Store::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, None).expect("a store that can be opened")
}

fn files(directory: &Path, bytes: u64) -> Files {
    Files::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, Some(3))
        .expect("a tier of files that can be opened")
}

type Open = fn(&Path, u64) -> Result<Box<dyn Lasting>, OpenError>;

/// Every kind of tier that outlives the process.
const LASTING: [Open; 2] = [
    |directory, bytes| Ok(Box::new(Store::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, None)?)),
    |directory, bytes| Ok(Box::new(Files::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, Some(3))?)),
];

/// Every kind of tier, with `bytes` of room.
fn every_tier(bytes: u64) -> (Vec<Box<dyn Tier>>, TempDir) {
    let directory = tempdir().expect("a directory");
    let store = store(&directory.path().join("store"), bytes);
    let files = files(&directory.path().join("files"), bytes);
    (vec![Box::new(Memory::new(bytes)), Box::new(store), Box::new(files)], directory)
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Delete(u8),
    Get(u8),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40u8, 0..3000usize).prop_map(|(key, length)| Step::Put(key, length)),
        3 => (0..40u8).prop_map(Step::Delete),
        8 => (0..40u8).prop_map(Step::Get),
        1 => Just(Step::Clear),
    ]
}

/// The value that step number `n` puts.
fn content(n: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (n * 31 + i * 7) as u8).collect()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn key(number: u8) -> (Kind, Vec<u8>) {
    // Text and the same bytes are two keys.
    let kind = if number.is_multiple_of(2) { Kind::Text } else { Kind::Bytes };
    (kind, format!("key {}", number / 2).into_bytes())
}

/// Check a tier's answer for a key against a dictionary: the latest value, or nothing.
fn check(tier: &dyn Tier, model: &HashMap<u8, Vec<u8>>, number: u8, may_forget: bool) {
    let (kind, bytes) = key(number);
    let key = KeyRef { kind, bytes: &bytes };
    let there = tier.contains(key);
    let got = tier.get(key);
    assert_eq!(got.is_some(), there, "get and contains of {number}");
    match (got, model.get(&number)) {
        (Some(got), Some(expected)) => assert!(*got == **expected, "an older value of {number}"),
        (Some(_), None) => panic!("a value of {number}, which was deleted"),
        (None, Some(_)) => assert!(may_forget, "nothing of {number}"),
        (None, None) => {}
    }
}

fn run(tier: &dyn Tier, steps: &[Step], may_forget: bool) -> HashMap<u8, Vec<u8>> {
    let mut model = HashMap::new();
    for (n, step) in steps.iter().enumerate() {
        match *step {
            Step::Put(number, length) => {
                let (kind, bytes) = key(number);
                let put = tier.put(KeyRef { kind, bytes: &bytes }, value(&content(n, length)));
                assert_eq!(put, Put::Kept);
                model.insert(number, content(n, length));
            }
            Step::Delete(number) => {
                let (kind, bytes) = key(number);
                let was_there = tier.delete(KeyRef { kind, bytes: &bytes });
                assert!(was_there == model.remove(&number).is_some() || may_forget);
            }
            Step::Get(number) => check(tier, &model, number, may_forget),
            Step::Clear => {
                tier.clear();
                model.clear();
                assert_eq!((tier.len(), tier.bytes()), (0, 0));
            }
        }
    }
    for number in 0..40 {
        check(tier, &model, number, may_forget);
    }
    assert!(may_forget || tier.len() == model.len());
    assert_eq!(tier.keys().len(), tier.len());
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn a_tier_with_room_is_a_dictionary(steps in prop::collection::vec(step(), 1..300)) {
        let (tiers, _directory) = every_tier(1 << 20);
        for tier in &tiers {
            run(&**tier, &steps, false);
        }
    }

    #[test]
    fn a_tier_without_room_forgets_and_never_lies(steps in prop::collection::vec(step(), 1..300)) {
        let (tiers, _directory) = every_tier(20_000);
        for tier in &tiers {
            run(&**tier, &steps, true);
            prop_assert!(tier.bytes() <= 20_000, "{} bytes", tier.bytes());
        }
    }

    #[test]
    fn a_tier_that_is_opened_again_holds_the_same(steps in prop::collection::vec(step(), 1..200)) {
        for open in LASTING {
            let directory = tempdir().expect("a directory");
            let model = run(&*open(directory.path(), 1 << 20).expect("a tier"), &steps, false);
            let again = open(directory.path(), 1 << 20).expect("a tier");
            for number in 0..40 {
                check(&*again, &model, number, false);
            }
            prop_assert_eq!(again.len(), model.len());
            prop_assert_eq!(again.counts().damaged, 0);
        }
    }
}

#[test]
fn what_is_too_large_is_said_and_takes_the_old_value_along() {
    let (tiers, _directory) = every_tier(10_000);
    for tier in &tiers {
        let key = KeyRef::text("large");
        assert_eq!(tier.put(key, value(b"small")), Put::Kept);
        let put = tier.put(key, value(&noise(20_000)));
        assert!(matches!(put, Put::TooLarge { bytes, most } if bytes > 20_000 && most <= 10_000), "{put:?}");
        assert_eq!(tier.get(key), None);
        assert_eq!(tier.counts().refused, 1);
    }
}

#[test]
fn values_and_keys_may_be_empty_or_long() {
    let (tiers, _directory) = every_tier(1 << 20);
    let long = vec![b'k'; 64 << 10];
    for tier in &tiers {
        for key in [KeyRef::text(""), KeyRef::bytes(b""), KeyRef::bytes(&long)] {
            assert_eq!(tier.put(key, value(b"")), Put::Kept);
            assert_eq!(tier.get(key).as_deref(), Some(&b""[..]));
        }
        assert_eq!(tier.len(), 3);
    }
}

#[test]
fn counts_tell_what_happened() {
    let (tiers, _directory) = every_tier(5_000);
    for tier in &tiers {
        for n in 0..100_u8 {
            tier.put(KeyRef::bytes(&[n]), value(&[n; 400]));
        }
        let hits = (0..100_u8).filter(|n| tier.get(KeyRef::bytes(&[*n])).is_some()).count() as u64;
        let counts = tier.counts();
        assert_eq!((counts.puts, counts.hits, counts.misses), (100, hits, 100 - hits));
        assert_eq!(counts.evictions, 100 - tier.len() as u64);
        assert!(hits > 0 && hits < 100, "{hits} hits");
    }
}

#[test]
fn what_is_driven_out_is_handed_out_and_nothing_else_is() {
    let (tiers, _directory) = every_tier(20_000);
    for tier in &tiers {
        let mut model: HashMap<Key, Arc<[u8]>> = HashMap::new();
        let mut handed = 0;
        for n in 0..500_usize {
            let name = [(n * 7 % 90) as u8];
            let (key, value) = (KeyRef::bytes(&name), value(&content(n, n * 13 % 1500)));
            model.insert(key.to_key(), Arc::clone(&value));
            let (put, evicted) = tier.put_evicting(key, value);
            assert_eq!(put, Put::Kept);
            handed += evicted.len() as u64;
            for (gone, value) in evicted {
                assert_eq!(model.remove(&gone), Some(value), "the latest value of {gone:?}");
            }
        }
        assert!(handed > 100, "{handed}");
        assert_eq!((tier.counts().evictions, tier.len()), (handed, model.len()));
        for (key, value) in model {
            assert_eq!(tier.get(key.borrow()), Some(value));
        }
        let (put, evicted) = tier.put_evicting(KeyRef::text("large"), value(&noise(30_000)));
        assert!(matches!(put, Put::TooLarge { .. }) && evicted.is_empty());
    }
}

#[test]
fn a_second_tier_in_a_directory_is_refused() {
    for open in LASTING {
        let directory = tempdir().expect("a directory");
        let first = open(directory.path(), 1 << 20).expect("a tier");
        assert!(matches!(open(directory.path(), 1 << 20), Err(OpenError::AlreadyOpen)));
        drop(first);
        assert!(open(directory.path(), 1 << 20).is_ok());
    }
}

/// A closed store of 30 values.
fn filled() -> TempDir {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 1 << 20);
    for n in 0..30_u8 {
        assert_eq!(tier.put(KeyRef::bytes(&[n]), value(&content(n.into(), 2000))), Put::Kept);
    }
    directory
}

/// Open a store that may be damaged, and check that every value is right or missing. Return how
/// many there are, and the damage counted.
fn readable(directory: &Path) -> (usize, u64) {
    let tier = store(directory, 1 << 20);
    let mut found = 0;
    for n in 0..30_u8 {
        if let Some(got) = tier.get(KeyRef::bytes(&[n])) {
            assert!(*got == *content(n.into(), 2000), "value {n} is wrong");
            found += 1;
        }
    }
    assert_eq!(tier.put(KeyRef::text("new"), value(b"value")), Put::Kept);
    assert_eq!(tier.get(KeyRef::text("new")).as_deref(), Some(&b"value"[..]));
    (found, tier.counts().damaged)
}

#[test]
fn a_flipped_byte_is_a_miss_and_never_a_wrong_value() {
    let directory = filled();
    let path = directory.path().join("log-1");
    let whole = fs::read(&path).expect("a file");
    let mut missed = 0;
    // The head of the file, the first record and its key, and some of the rest.
    let places = (0..512).step_by(8).chain((512..whole.len()).step_by(8191));
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, &damaged).expect("a file that can be written");
        let (found, _) = readable(directory.path());
        missed += 30 - found;
    }
    assert!(missed > 0, "no byte of a value was hit");
}

#[test]
fn a_file_that_is_cut_is_set_aside_and_counted() {
    let directory = filled();
    let path = directory.path().join("log-1");
    let whole = fs::read(&path).expect("a file");
    for content in [&whole[..2], &whole[..100], &whole[..whole.len() / 2]] {
        fs::write(&path, content).expect("a file that can be written");
        assert_eq!(readable(directory.path()), (0, 1), "{} bytes", content.len());
        assert_eq!(fs::read(directory.path().join("log-1.damaged")).expect("what was set aside").len(), content.len());
    }
}

#[test]
fn a_foreign_file_is_left_alone_and_what_it_replaced_is_counted() {
    for content in [&b"something else"[..], &[0xff; 700]] {
        let directory = filled();
        let path = directory.path().join("log-1");
        fs::write(&path, content).expect("a file that can be written");
        assert_eq!(readable(directory.path()), (0, 1), "{} bytes", content.len());
        assert_eq!(readable(directory.path()), (0, 0), "{} bytes", content.len());
        assert_eq!(fs::read(&path).expect("what is somebody else's"), content);
    }
}

#[test]
fn a_smaller_store_keeps_what_fits() {
    let directory = filled();
    let tier = store(directory.path(), 20_000);
    assert!(tier.bytes() <= 20_000 && tier.len() > 3, "{} keys of {} bytes", tier.len(), tier.bytes());
}

#[test]
fn many_threads_see_whole_values() {
    let (tiers, _directory) = every_tier(200_000);
    for tier in &tiers {
        let tier = &**tier;
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for n in 0..2000_usize {
                        let number = (n * 7 % 100) as u8;
                        if n.is_multiple_of(3) {
                            tier.put(KeyRef::bytes(&[number]), value(&[number ^ thread; 1000]));
                        } else if n.is_multiple_of(41) {
                            tier.delete(KeyRef::bytes(&[number]));
                        } else if let Some(got) = tier.get(KeyRef::bytes(&[number])) {
                            assert!(got.len() == 1000 && got.iter().all(|byte| *byte == got[0]));
                            assert!(got[0] ^ number < 4, "the value of another key");
                        }
                    }
                });
            }
        });
        let keys: Vec<Key> = tier.keys();
        assert_eq!(keys.len(), tier.len());
    }
}

#[test]
fn damage_beside_a_writer_is_no_deadlock() {
    let directory = filled();
    let path = directory.path().join("log-1");
    let mut bytes = fs::read(&path).expect("a file");
    for n in 0..30_usize {
        let value = content(n, 2000);
        let place = bytes.windows(2000).position(|window| window == &value[..]).expect("the value in the file");
        bytes[place + 1000] ^= 1;
    }
    fs::write(&path, &bytes).expect("a file that can be written");
    let tier = store(directory.path(), 1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                tier.put(KeyRef::text("new"), value(b"value"));
                tier.flush();
            }
        });
        for n in 0..30_u8 {
            assert_eq!(tier.get(KeyRef::bytes(&[n])), None);
        }
    });
    assert_eq!((tier.counts().damaged, tier.len()), (30, 1));
}

#[test]
fn a_damaged_key_is_counted_and_goes() {
    let directory = tempdir().expect("a directory");
    drop((0..9_u8).fold(store(directory.path(), 1 << 20), |tier, n| {
        tier.put(KeyRef::text(&format!("a long key, number {n}")), value(&[n; 50]));
        tier
    }));
    let path = directory.path().join("log-1");
    let whole = fs::read(&path).expect("a file");
    let key = b"a long key, number 4";
    let place = whole.windows(key.len()).position(|window| window == key).expect("the key in the file");
    let mut damaged = whole;
    damaged[place + 3] ^= 1;
    fs::write(&path, damaged).expect("a file that can be written");
    let tier = store(directory.path(), 1 << 20);
    // It may have replaced any of the keys before it.
    for n in 0..9_u8 {
        let got = tier.get(KeyRef::text(&format!("a long key, number {n}")));
        assert_eq!(got.as_deref(), (n > 4).then_some(&[n; 50][..]));
    }
    assert_eq!((tier.len(), tier.counts().damaged), (4, 1));
}

#[test]
fn what_was_cleared_stays_away() {
    for open in LASTING {
        let directory = tempdir().expect("a directory");
        let tier = open(directory.path(), 1 << 20).expect("a tier");
        for n in 0..30_u8 {
            tier.put(KeyRef::bytes(&[n]), value(&[n; 100]));
        }
        assert!(tier.flush());
        tier.clear();
        assert_eq!(tier.put(KeyRef::text("new"), value(b"value")), Put::Kept);
        drop(tier);
        assert_eq!(open(directory.path(), 1 << 20).expect("a tier").keys(), [KeyRef::text("new").to_key()]);
    }
}

#[test]
fn nothing_is_in_a_tier_that_was_closed() {
    for open in LASTING {
        let directory = tempdir().expect("a directory");
        let tier = open(directory.path(), 1 << 20).expect("a tier");
        tier.put(KeyRef::text("a"), value(b"value"));
        tier.close();
        assert_eq!(tier.put(KeyRef::text("b"), value(b"value")), Put::Failed);
        assert_eq!((tier.get(KeyRef::text("a")), tier.len(), tier.bytes(), tier.flush()), (None, 0, 0, false));
        assert_eq!(open(directory.path(), 1 << 20).expect("a tier").keys(), [KeyRef::text("a").to_key()]);
    }
}
