//! Small contents of a tier of files are packed: the space of the directory, and the effects of a
//! crash or damage.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::tempdir;
use tiercel_cache::{Begin, Files, KeyRef, Lasting, Look, Put, Tier};
use tiercel_container::{OsVfs, ReadOnlyVfs};

use crate::given::{content, image};

const MEBI: u64 = 1 << 20;

fn files(directory: &Path, bytes: u64) -> Files {
    Files::open(Arc::new(OsVfs), directory, Begin::IfMissing, bytes, None).expect("a tier of files that can be opened")
}

/// Everything in a directory.
fn entries(directory: &Path) -> Vec<fs::DirEntry> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            found.extend(entries(&entry.path()));
        }
        found.push(entry);
    }
    found
}

/// Bytes that the file system charges for a directory and all that is in it.
#[cfg(unix)]
fn charged(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let blocks = |entry: fs::DirEntry| entry.metadata().expect("an entry").blocks() * 512;
    entries(directory).into_iter().map(blocks).sum()
}

#[cfg(unix)]
#[test]
fn a_directory_takes_no_more_than_the_tier_says() {
    type Sizes = (&'static str, fn(u64) -> usize);
    let sizes: [Sizes; 3] =
        [("tiny", |_| 60), ("beside files", |n| if n.is_multiple_of(20) { 40_000 } else { 60 }), ("large", |_| 40_000)];
    for (name, size) in sizes {
        let directory = tempdir().expect("a directory");
        let tier = files(directory.path(), 4 * MEBI);
        let (mut put, mut most) = (0, 0);
        // More than fits, with every third value replacing an older one.
        for n in 0.. {
            if put > 7 * MEBI {
                break;
            }
            let value = content(n, size(n));
            put += value.len() as u64 + 240;
            let key = if n.is_multiple_of(3) { n / 3 } else { n };
            assert_eq!(tier.put(KeyRef::bytes(&key.to_le_bytes()), value), Put::Kept);
            if n.is_multiple_of(1000) || size(n) > 10_000 && n.is_multiple_of(100) {
                most = most.max(charged(directory.path()));
            }
        }
        drop(tier);
        most = most.max(charged(directory.path()));
        assert!(most <= 4 * MEBI, "{name}: {most} bytes");
        assert!(most > 3 * MEBI, "{name}: {most} bytes");
    }
}

#[test]
fn small_values_have_no_files_and_equal_ones_are_kept_once() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 4 * MEBI);
    let before = entries(directory.path()).len();
    for n in 0..2000_u64 {
        assert_eq!(tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n % 5, 10_000)), Put::Kept);
    }
    assert!(tier.flush());
    // A few segments of the log.
    assert!(entries(directory.path()).len() < before + 10);
    assert_eq!(tier.len(), 2000);
    assert!(tier.bytes() < 5 * 16_000 + 2000 * 150, "{} bytes", tier.bytes());
    drop(tier);
    let tier = files(directory.path(), 4 * MEBI);
    for n in 0..2000_u64 {
        assert_eq!(tier.get(KeyRef::bytes(&n.to_le_bytes())), Some(content(n % 5, 10_000)));
    }
    for n in 0..2000_u64 {
        assert!(tier.delete(KeyRef::bytes(&n.to_le_bytes())));
    }
    assert_eq!((tier.len(), tier.bytes()), (0, 0));
}

#[test]
fn opening_looks_at_the_ledger_and_at_no_content() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 4 * MEBI);
    for n in 0..10_u8 {
        tier.put(KeyRef::bytes(&[n]), content(n.into(), 40_000));
    }
    drop(tier);
    let blobs = entries(&directory.path().join("blobs"));
    for blob in blobs.iter().filter(|entry| entry.path().is_file()) {
        fs::write(blob.path(), b"cut").expect("a file that can be written");
    }
    let tier = files(directory.path(), 4 * MEBI);
    assert_eq!((tier.len(), tier.counts().damaged), (10, 0));
    for n in 0..10_u8 {
        assert_eq!(tier.get(KeyRef::bytes(&[n])), None);
    }
    assert_eq!((tier.len(), tier.bytes(), tier.counts().damaged), (0, 0, 10));
}

/// What a key may have after a crash: its value at the last flush, and those put since.
type Allowed = HashMap<u8, Vec<Option<u64>>>;

/// The newest segment of a log.
fn newest(ledger: &Path) -> std::path::PathBuf {
    let number = |path: &std::path::PathBuf| {
        path.file_name().and_then(|name| name.to_str()?.strip_prefix("log-")?.parse::<u64>().ok())
    };
    let paths = fs::read_dir(ledger).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| number(path).is_some()).max_by_key(number).expect("a segment")
}

/// Bytes of a segment that are synced, according to the log.
fn synced_to(ledger: &Path) -> u64 {
    let bytes = fs::read(ledger.join("synced")).expect("a file");
    let field =
        |at: usize| bytes.get(at..at + 8).map_or(0, |eight| u64::from_le_bytes(eight.try_into().expect("eight")));
    let slots = [0, 512].map(|at| (field(at + 16), field(at + 32)));
    slots.into_iter().max().map_or(0, |(_, offset)| offset)
}

#[test]
fn wherever_a_crash_cuts_the_log_off_keys_have_what_they_had_or_were_given_since() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), MEBI);
    let mut allowed = Allowed::new();
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut cuts = 0;
    for _ in 0..6 {
        for _ in 0..12 {
            // Contents that many keys have, leave and have again.
            let (key, number) = (random(6) as u8, random(5));
            let given = if random(5) == 0 {
                tier.delete(KeyRef::bytes(&[key])).then_some(None)
            } else {
                assert_eq!(tier.put(KeyRef::bytes(&[key]), content(number, 70)), Put::Kept);
                Some(Some(number))
            };
            allowed.entry(key).or_insert_with(|| vec![None]).extend(given);
            if random(4) == 0 {
                assert!(tier.write_out());
            }
        }
        assert!(tier.write_out());
        let (log, from) = (newest(&directory.path().join("ledger")), synced_to(&directory.path().join("ledger")));
        let whole = fs::read(&log).expect("a segment");
        for at in (from as usize..=whole.len()).step_by(71).chain([whole.len()]) {
            let copy = image(directory.path());
            let cut = copy.path().join("ledger").join(log.file_name().expect("a name"));
            fs::write(&cut, &whole[..at]).expect("a file that can be written");
            check(copy.path(), &allowed, at);
            cuts += 1;
        }
        assert!(tier.flush());
        for (key, values) in &mut allowed {
            let now = (0..5).find(|number| tier.get(KeyRef::bytes(&[*key])) == Some(content(*number, 70)));
            *values = vec![now];
        }
    }
    assert!(cuts > 60, "{cuts}");
}

fn check(directory: &Path, allowed: &Allowed, at: usize) {
    for round in 0..2 {
        let tier = files(directory, MEBI);
        let mut kept = std::collections::HashSet::new();
        for (key, values) in allowed {
            let got = tier.get(KeyRef::bytes(&[*key]));
            let number = (0..5).find(|number| got == Some(content(*number, 70)));
            assert!(
                values.contains(&number) && got.is_some() == number.is_some(),
                "key {key} at {at}: {number:?} of {values:?}"
            );
            kept.extend(number);
        }
        assert_eq!(tier.counts().damaged, 0, "at {at}, round {round}");
        // Only contents with a key are charged.
        let record = |body: u64| (44 + body) * 3 / 2;
        assert_eq!(tier.bytes(), kept.len() as u64 * record(33 + 70) + tier.len() as u64 * record(2 + 40));
    }
    let look = Look::at_files(Arc::new(ReadOnlyVfs), directory).expect("a directory of files");
    assert_eq!(look.damaged(), 0);
    assert!((0..look.len()).all(|at| look.is_whole(at)));
}

#[test]
fn a_packed_content_that_is_damaged_is_a_counted_miss_and_takes_its_keys_along() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), MEBI);
    for n in 0..6_u8 {
        tier.put(KeyRef::bytes(&[n]), content(u64::from(n / 2), 60));
    }
    drop(tier);
    let log = newest(&directory.path().join("ledger"));
    let whole = fs::read(&log).expect("a segment");
    let place = whole.windows(60).position(|window| *window == *content(1, 60)).expect("the content in the log");
    for bit in (0..60 * 8).step_by(7) {
        let copy = image(directory.path());
        let mut damaged = whole.clone();
        damaged[place + bit / 8] ^= 1 << (bit % 8);
        fs::write(copy.path().join("ledger").join(log.file_name().expect("a name")), damaged).expect("a file");
        let look = Look::at_files(Arc::new(ReadOnlyVfs), copy.path()).expect("a directory of files");
        assert_eq!((0..look.len()).filter(|at| look.is_whole(*at)).count(), 4, "bit {bit}");
        drop(look);
        let tier = files(copy.path(), MEBI);
        assert_eq!((tier.get(KeyRef::bytes(&[2])), tier.contains(KeyRef::bytes(&[3]))), (None, false), "bit {bit}");
        assert_eq!((tier.len(), tier.counts().damaged), (4, 1), "bit {bit}");
        // It comes back with the next value, and no damage is left.
        assert_eq!(tier.put(KeyRef::bytes(&[3]), content(1, 60)), Put::Kept);
        drop(tier);
        let tier = files(copy.path(), MEBI);
        assert_eq!((tier.get(KeyRef::bytes(&[3])), tier.counts().damaged), (Some(content(1, 60)), 0));
    }
}

#[test]
fn contents_that_live_outlast_the_segments_that_they_were_written_to() {
    let directory = tempdir().expect("a directory");
    let tier = files(directory.path(), 2 * MEBI);
    for n in 0..20_u64 {
        assert_eq!(tier.put(KeyRef::bytes(&n.to_le_bytes()), content(n % 7, 3000)), Put::Kept);
    }
    for n in 0..2000_u64 {
        tier.put(KeyRef::text("changes"), content(100 + n, 3000));
        assert!(!n.is_multiple_of(50) || tier.get(KeyRef::bytes(&3_u64.to_le_bytes())).is_some());
    }
    drop(tier);
    let ledger = directory.path().join("ledger");
    assert!(!ledger.join("log-1").exists(), "the first segment was cleared away");
    let tier = files(directory.path(), 2 * MEBI);
    for n in 0..20_u64 {
        assert_eq!(tier.get(KeyRef::bytes(&n.to_le_bytes())), Some(content(n % 7, 3000)));
    }
    assert_eq!((tier.len(), tier.counts().damaged), (21, 0));
}
