//! Promises of a store beyond those of every tier: its size on disk, flushing, compression, and
//! damage.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};

use tempfile::{TempDir, tempdir};
use tiercel_cache::{Begin, KeyRef, Lasting, Put, Store, Tier};
use tiercel_container::OsVfs;

use crate::given::content;

fn store(directory: &Path, bytes: u64) -> Store {
    Store::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, None).expect("a store that can be opened")
}

fn file_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").metadata().expect("its length").len()).sum()
}

fn segments(directory: &Path) -> Vec<u64> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut numbers: Vec<u64> = entries.filter_map(|name| name.to_str()?.strip_prefix("log-")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn files_stay_small_while_all_is_replaced_again_and_again() {
    let (directory, bytes) = (tempdir().expect("a directory"), 4 << 20);
    let tier = store(directory.path(), bytes);
    let (mut model, mut most) = (HashMap::new(), 0);
    for n in 0..12_000_u64 {
        // 1,000 keys are put once and stay; 500 others are put all the time.
        let key = if n < 1000 { n } else { 1000 + n * 7 % 500 };
        let value = content(n, 1500 + (n % 1000) as usize);
        assert_eq!(tier.put(KeyRef::bytes(&key.to_le_bytes()), Arc::clone(&value)), Put::Kept);
        model.insert(key, value);
        if n % 500 == 0 {
            most = most.max(file_bytes(directory.path()));
        }
    }
    assert!(most > bytes && most <= 2 * bytes + (2 << 20), "{most} bytes");
    drop(tier);
    assert!(segments(directory.path())[0] > 5, "no segment was removed");
    let tier = store(directory.path(), bytes);
    assert!(tier.len() > 1000);
    for (key, value) in model {
        assert!(tier.get(KeyRef::bytes(&key.to_le_bytes())).is_none_or(|got| got == value), "an older value of {key}");
    }
    assert_eq!(tier.counts().damaged, 0);
}

#[test]
fn large_values_keep_files_small_too() {
    let (directory, bytes) = (tempdir().expect("a directory"), 16 << 20);
    let tier = store(directory.path(), bytes);
    for n in 0..30_u64 {
        assert_eq!(tier.put(KeyRef::bytes(&[(n % 3) as u8]), content(n, 4 << 20)), Put::Kept);
        let there = file_bytes(directory.path());
        assert!(there <= 2 * bytes + (8 << 20), "{there} bytes");
    }
    drop(tier);
    let tier = store(directory.path(), bytes);
    for n in 27..30_u64 {
        assert_eq!(tier.get(KeyRef::bytes(&[(n % 3) as u8])), Some(content(n, 4 << 20)));
    }
}

/// A copy of a directory as a crash would leave it now: the store is still open.
fn image(directory: &Path) -> TempDir {
    let copy = tempdir().expect("a directory");
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
    }
    copy
}

#[test]
fn what_was_flushed_is_there_after_a_crash() {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 8 << 20);
    for round in 0..3_u64 {
        for n in 0..600_u64 {
            tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n + round, 2000));
        }
        tier.delete(KeyRef::bytes(&round.to_le_bytes()));
        assert!(tier.flush());
        let image = image(directory.path());
        let again = store(image.path(), 8 << 20);
        for n in 0..600_u64 {
            let expected = (n != round).then(|| content(n + round, 2000));
            assert_eq!(again.get(KeyRef::bytes(&n.to_le_bytes())), expected, "{n} of round {round}");
        }
        assert_eq!(again.counts().damaged, 0);
    }
}

#[test]
fn a_crash_after_clear_brings_nothing_back() {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 8 << 20);
    for n in 0..100_u8 {
        tier.put(KeyRef::bytes(&[n]), content(n.into(), 20_000));
    }
    assert!(tier.flush());
    let before = image(directory.path());
    tier.clear();
    let after = image(directory.path());
    // After a crash, the directory may still name files that were removed.
    for number in segments(before.path()) {
        let (from, to) = (before.path().join(format!("log-{number}")), after.path().join(format!("log-{number}")));
        if !to.exists() {
            fs::copy(from, to).expect("a copy");
        }
    }
    let again = store(after.path(), 8 << 20);
    assert_eq!((again.len(), again.counts().damaged), (0, 0));
}

#[test]
fn values_are_compressed_at_a_level_and_read_at_any() {
    let directory = tempdir().expect("a directory");
    let text: Arc<[u8]> = b"a line of text that is like the others\n".repeat(100).into();
    let tier = Store::open(Arc::new(OsVfs), directory.path(), Begin::IfMissing, 1 << 20, Some(3)).expect("a store");
    for n in 0..100_u8 {
        assert_eq!(tier.put(KeyRef::bytes(&[n]), Arc::clone(&text)), Put::Kept);
        assert_eq!(tier.get(KeyRef::bytes(&[n])), Some(Arc::clone(&text)));
    }
    assert!(tier.bytes() < 50_000, "{} bytes", tier.bytes());
    drop(tier);
    assert!(file_bytes(directory.path()) < 50_000);
    let tier = store(directory.path(), 1 << 20);
    assert_eq!(tier.put(KeyRef::text("plain"), Arc::clone(&text)), Put::Kept);
    for key in tier.keys() {
        assert_eq!(tier.get(key.borrow()), Some(Arc::clone(&text)));
    }
    assert_eq!((tier.len(), tier.counts().damaged), (101, 0));
}

#[test]
fn damage_in_an_old_segment_leaves_what_is_newer() {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 16 << 20);
    for n in 0..5000_u64 {
        tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n, 1000));
    }
    drop(tier);
    let numbers = segments(directory.path());
    assert!(numbers.len() > 4);
    let path = directory.path().join(format!("log-{}", numbers[1]));
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, &whole[..whole.len() / 2]).expect("a file that can be written");
    let tier = store(directory.path(), 16 << 20);
    assert!(tier.len() > 2000 && tier.len() < 4000, "{} keys", tier.len());
    for n in 0..5000_u64 {
        assert!(tier.get(KeyRef::bytes(&n.to_le_bytes())).is_none_or(|got| got == content(n, 1000)));
    }
    assert_eq!(tier.counts().damaged, 1);
    let aside = directory.path().join(format!("log-{}.damaged", numbers[1]));
    assert_eq!(fs::read(aside).expect("what was set aside"), &whole[..whole.len() / 2]);
    drop(tier);
    assert_eq!(store(directory.path(), 16 << 20).counts().damaged, 0);
}

#[test]
fn without_the_record_of_syncs_nothing_is_believed() {
    let directory = tempdir().expect("a directory");
    store(directory.path(), 1 << 20).put(KeyRef::text("a"), content(1, 100));
    fs::remove_file(directory.path().join("synced")).expect("a file");
    let tier = store(directory.path(), 1 << 20);
    assert_eq!((tier.len(), tier.counts().damaged), (0, 1));
    assert!(directory.path().join("log-1.damaged").exists());
}

#[test]
fn what_was_kept_while_the_store_closed_is_there_again() {
    for _ in 0..30 {
        let directory = tempdir().expect("a directory");
        let (tier, begin) = (&store(directory.path(), 8 << 20), &Barrier::new(5));
        for thread in 0..4_u8 {
            tier.put(KeyRef::bytes(&[thread]), 0_u64.to_le_bytes()[..].into());
        }
        let kept: Vec<u64> = std::thread::scope(|scope| {
            let put = |thread: u8, number: u64| tier.put(KeyRef::bytes(&[thread]), number.to_le_bytes()[..].into());
            let put_until_closed = move |thread| {
                begin.wait();
                (1..u64::MAX).take_while(|number| put(thread, *number) == Put::Kept).last().unwrap_or(0)
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || put_until_closed(thread))).collect();
            begin.wait();
            tier.close();
            threads.into_iter().map(|thread| thread.join().expect("its last number")).collect()
        });
        let again = store(directory.path(), 8 << 20);
        for (thread, number) in kept.into_iter().enumerate() {
            let found = again.get(KeyRef::bytes(&[thread as u8])).expect("a value");
            let found = u64::from_le_bytes(found[..].try_into().expect("a number"));
            assert!(found >= number, "{found} in place of {number}");
        }
    }
}

#[test]
fn a_smaller_store_gives_room_back_when_it_is_opened() {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 64 << 20);
    for n in 0..40_u8 {
        assert_eq!(tier.put(KeyRef::bytes(&[n]), content(n.into(), 1 << 20)), Put::Kept);
    }
    drop(tier);
    let tier = store(directory.path(), 4 << 20);
    let there = file_bytes(directory.path());
    assert!(there <= (8 << 20) + (3 << 20), "{there} bytes");
    assert!(tier.len() > 1);
    for key in tier.keys() {
        assert_eq!(tier.get(key.borrow()), Some(content(key.borrow().bytes[0].into(), 1 << 20)));
    }
}

#[test]
fn damage_that_is_found_while_the_store_is_open_takes_no_other_value_along() {
    let directory = tempdir().expect("a directory");
    let tier = store(directory.path(), 4 << 20);
    let keep: Vec<[u8; 1]> = (0..10).map(|n| [n]).collect();
    for key in &keep {
        tier.put(KeyRef::bytes(key), content(key[0].into(), 50_000));
    }
    assert!(tier.flush());
    let path = directory.path().join("log-1");
    let mut damaged = fs::read(&path).expect("a file");
    // The head of the first record.
    damaged[28 + 10] ^= 1;
    fs::write(&path, damaged).expect("a file that can be written");
    for n in 0..1000_u64 {
        keep[1..].iter().for_each(|key| drop(tier.get(KeyRef::bytes(key))));
        tier.put(KeyRef::text(&n.to_string()), content(n, 20_000));
    }
    assert!(!path.exists(), "it was not cleaned");
    drop(tier);
    let tier = store(directory.path(), 4 << 20);
    let found: Vec<bool> = keep.iter().map(|key| tier.contains(KeyRef::bytes(key))).collect();
    assert_eq!(found, [[false].as_slice(), &[true; 9]].concat());
    for key in &keep[1..] {
        assert_eq!(tier.get(KeyRef::bytes(key)), Some(content(key[0].into(), 50_000)));
    }
}
