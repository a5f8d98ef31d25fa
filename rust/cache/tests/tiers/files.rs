//! Promises of a tier of files beyond those of every tier: equal contents are kept once, and none
//! is wrong whatever happens to its files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tempfile::{TempDir, tempdir};
use tiercel_cache::{Begin, Files, Key, KeyRef, Lasting, Put, Tier};
use tiercel_container::OsVfs;

use crate::given::{content, image};

/// Bytes of a content that always has its own file, even compressed.
const LARGE: usize = 20_000;

fn files(directory: &Path, bytes: u64) -> Files {
    Files::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, Some(3))
        .expect("a tier of files that can be opened")
}

/// The files of contents.
fn blobs(directory: &Path) -> Vec<PathBuf> {
    let parts = fs::read_dir(directory.join("blobs")).expect("a directory").map(|part| part.expect("a part").path());
    let in_part = |part: PathBuf| fs::read_dir(part).expect("a part").map(|entry| entry.expect("an entry").path());
    parts.flat_map(in_part).collect()
}

#[test]
fn equal_contents_are_kept_once() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 1 << 20);
    let names: Vec<String> = (0..50).map(|n| format!("key {n}")).collect();
    for name in &names {
        assert_eq!(tier.put(KeyRef::text(name), content(7, LARGE)), Put::Kept);
    }
    assert_eq!((tier.len(), blobs(directory.path()).len()), (50, 1));
    assert!(tier.bytes() < 24 * 1024 + 50 * 200, "{} bytes", tier.bytes());
    for name in &names[1..] {
        assert!(tier.delete(KeyRef::text(name)));
    }
    assert!(tier.bytes() < 24 * 1024 + 200, "{} bytes", tier.bytes());
    assert_eq!(tier.get(KeyRef::text(&names[0])), Some(content(7, LARGE)));
    assert_eq!(tier.put(KeyRef::text(&names[0]), content(8, LARGE)), Put::Kept);
    assert_eq!((tier.len(), blobs(directory.path()).len()), (1, 1));
    assert_eq!(tier.put(KeyRef::text(&names[0]), content(9, 100)), Put::Kept);
    assert_eq!((tier.len(), blobs(directory.path()).len()), (1, 0));
    assert!(tier.bytes() < 500, "{} bytes", tier.bytes());
    assert!(tier.delete(KeyRef::text(&names[0])));
    assert_eq!((tier.bytes(), blobs(directory.path()).len()), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Delete(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..30_u8, 0..12_u64).prop_map(|(key, content)| Step::Put(key, content)),
        4 => (0..30_u8).prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

/// The content of a step: every other one has a file.
fn of_step(number: u64) -> Arc<[u8]> {
    content(number, if number.is_multiple_of(2) { 500 + number as usize } else { LARGE + number as usize })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn keys_that_share_contents_are_a_dictionary(steps in prop::collection::vec(step(), 1..150), room in 60_000..400_000_u64) {
        let directory = tempdir().expect("a directory");
        let mut tier = files(directory.path(), room);
        let mut model: HashMap<Key, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Put(key, number) => {
                    let name = [key];
                    let (put, evicted) = tier.put_evicting(KeyRef::bytes(&name), of_step(number));
                    prop_assert_eq!(put, Put::Kept);
                    model.insert(KeyRef::bytes(&name).to_key(), number);
                    for (key, value) in evicted {
                        let number = model.remove(&key).expect("a key that was there");
                        prop_assert_eq!(value, of_step(number));
                    }
                }
                Step::Delete(key) => {
                    let was_there = model.remove(&KeyRef::bytes(&[key]).to_key()).is_some();
                    prop_assert_eq!(tier.delete(KeyRef::bytes(&[key])), was_there);
                }
                Step::Reopen => {
                    drop(tier);
                    tier = files(directory.path(), room);
                    // The policy does not know which entries were used, and may evict others.
                    model.retain(|key, _| tier.contains(key.borrow()));
                }
            }
            prop_assert!(tier.bytes() <= room);
        }
        prop_assert_eq!(tier.len(), model.len());
        for (key, number) in &model {
            prop_assert_eq!(tier.get(key.borrow()), Some(of_step(*number)));
        }
        let in_files: std::collections::HashSet<_> = model.values().filter(|number| *number % 2 == 1).collect();
        prop_assert_eq!(blobs(directory.path()).len(), in_files.len());
    }
}

/// A closed tier of nine values with two keys each.
fn filled() -> TempDir {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 1 << 20);
    for n in 0..18_u8 {
        assert_eq!(tier.put(KeyRef::bytes(&[n]), content(u64::from(n / 2), LARGE)), Put::Kept);
    }
    directory
}

/// How many keys have their value, while none has another one; and the damage counted.
fn right(directory: &Path) -> (usize, u64) {
    let tier = files(directory, 1 << 20);
    let mut found = 0;
    for n in 0..18_u8 {
        if let Some(got) = tier.get(KeyRef::bytes(&[n])) {
            assert_eq!(got, content(u64::from(n / 2), LARGE), "value {n}");
            found += 1;
        }
    }
    (found, tier.counts().damaged)
}

#[test]
fn every_flipped_bit_of_a_content_is_a_counted_miss() {
    let directory = filled();
    let path = blobs(directory.path()).remove(3);
    let whole = fs::read(&path).expect("a file");
    let name = (0..18_u8).find(|n| whole.ends_with(&content(u64::from(n / 2), LARGE))).expect("its key");
    let names = [name, name + 1];
    let (key, other) = (KeyRef::bytes(&names[..1]), KeyRef::bytes(&names[1..]));
    let tier = files(directory.path(), 1 << 20);
    // All of its head, and some of the rest.
    let bits = (0..24 * 8).chain((24 * 8..whole.len() * 8).step_by(4999));
    for (count, bit) in (1..).zip(bits) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).expect("a file that can be written");
        assert_eq!(tier.get(key), None, "bit {bit}");
        assert_eq!((tier.counts().damaged, tier.contains(other), path.exists()), (count, false, false));
        for key in [key, other] {
            tier.put(key, content(u64::from(name / 2), LARGE));
        }
    }
    drop(tier);
    assert_eq!(right(directory.path()), (18, 0));
}

#[test]
fn a_content_that_is_cut_missing_or_another_s_is_no_value() {
    let directory = filled();
    let paths = blobs(directory.path());
    let (first, second) = (fs::read(&paths[0]).expect("a file"), fs::read(&paths[1]).expect("a file"));
    fs::write(&paths[0], &second).expect("a file that can be written");
    fs::write(&paths[1], &first).expect("a file that can be written");
    fs::write(&paths[2], &first[..50]).expect("a file that can be written");
    fs::remove_file(&paths[3]).expect("a file");
    // Opening drops the missing one, as after a crash; the others are found when they are read.
    assert_eq!(files(directory.path(), 1 << 20).len(), 16);
    assert_eq!(right(directory.path()), (10, 3));
    assert_eq!(right(directory.path()), (10, 0));
}

#[test]
fn what_no_key_has_is_removed_by_the_next_opening() {
    let directory = filled();
    let path = blobs(directory.path()).remove(0);
    fs::write(path.with_file_name("tmp-3"), b"TCLB and half of a cont").expect("a file");
    // A file with a name of ours, but somebody else's.
    fs::write(path.with_file_name("tmp-4"), b"half of a cont").expect("a file");
    let orphan = directory.path().join("blobs/ab");
    fs::create_dir_all(&orphan).expect("a directory");
    fs::copy(&path, orphan.join("ab".repeat(32))).expect("a copy");
    assert_eq!(right(directory.path()), (18, 0));
    assert_eq!(blobs(directory.path()).len(), 10);
    assert!(path.with_file_name("tmp-4").exists());
}

#[test]
fn damage_of_the_ledger_loses_keys_and_never_mixes_them_up() {
    let directory = filled();
    let path = directory.path().join("ledger/log-1");
    let whole = fs::read(&path).expect("a file");
    for place in (0..whole.len()).step_by(37) {
        let copy = image(directory.path());
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(copy.path().join("ledger/log-1"), damaged).expect("a file that can be written");
        let (found, damaged) = right(copy.path());
        assert!(damaged > 0 && found < 18, "byte {place}: {found} values, {damaged} damaged");
    }
}

#[test]
fn what_was_flushed_is_there_after_a_crash() {
    let sizes = |n: u64| if n.is_multiple_of(2) { 2000 } else { LARGE };
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 8 << 20);
    for round in 0..3_u64 {
        for n in 0..100_u64 {
            tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n / 3 + round, sizes(n)));
        }
        tier.delete(KeyRef::bytes(&round.to_le_bytes()));
        assert!(tier.flush());
        let image = image(directory.path());
        let again = files(image.path(), 8 << 20);
        for n in 0..100_u64 {
            let expected = (n != round).then(|| content(n / 3 + round, sizes(n)));
            assert_eq!(again.get(KeyRef::bytes(&n.to_le_bytes())), expected, "{n} of round {round}");
        }
        assert_eq!(again.counts().damaged, 0);
    }
}

#[test]
fn a_content_that_cannot_be_written_takes_the_old_value_along() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 1 << 20);
    assert_eq!(tier.put(KeyRef::text("a"), content(1, LARGE)), Put::Kept);
    fs::remove_dir_all(directory.path().join("blobs")).expect("a directory");
    fs::write(directory.path().join("blobs"), b"").expect("a file");
    assert_eq!(tier.put(KeyRef::text("a"), content(2, LARGE)), Put::Failed);
    assert_eq!((tier.get(KeyRef::text("a")), tier.counts().failures), (None, 1));
    fs::remove_file(directory.path().join("blobs")).expect("a file");
    fs::create_dir(directory.path().join("blobs")).expect("a directory");
    assert_eq!(tier.put(KeyRef::text("a"), content(3, LARGE)), Put::Kept);
    drop(tier);
    assert_eq!(files(directory.path(), 1 << 20).get(KeyRef::text("a")), Some(content(3, LARGE)));
}

#[test]
fn a_smaller_tier_keeps_what_fits() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 8 << 20);
    for n in 0..100_u64 {
        tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n, if n < 50 { LARGE } else { 1000 }));
    }
    drop(tier);
    let tier = files(directory.path(), 200_000);
    assert!(tier.bytes() <= 200_000 && tier.len() > 8, "{} keys of {} bytes", tier.len(), tier.bytes());
    assert!(blobs(directory.path()).len() < tier.len());
}

#[test]
fn threads_that_put_and_delete_one_content_never_lose_it_to_each_other() {
    let directory = tempdir().expect("a directory");
    let tier = &files(directory.path(), 1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            scope.spawn(move || {
                for n in 0..300_u64 {
                    let (name, number) = ([thread], n % 3);
                    let size = if number == 0 { LARGE } else { 300 };
                    assert_eq!(tier.put(KeyRef::bytes(&name), content(number, size)), Put::Kept);
                    assert_eq!(tier.get(KeyRef::bytes(&name)), Some(content(number, size)));
                    if n % 5 == 0 {
                        assert!(tier.delete(KeyRef::bytes(&name)));
                    }
                }
            });
        }
    });
    let counts = tier.counts();
    assert_eq!((counts.damaged, counts.failures, counts.misses), (0, 0, 0));
}
