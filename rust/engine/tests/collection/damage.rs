//! Flipped bits and truncated files: opening or reading reports the damage, or every answer is
//! right; nothing panics. The long form flips every bit and cuts at every length;
//! `TIERCEL_DAMAGE=7` checks only every seventh place.

use std::path::{Path, PathBuf};

use tiercel_container::Vfs;
use tiercel_container::sim::SimVfs;
use tiercel_engine::{OpenError, QueryError, StoreOpenError};

use crate::long::{Tally, seed, size};
use crate::model::{Call, Model, act, apply, calls, check, of};
use crate::open_sim;

/// Make a collection with a checkpoint and later changes.
fn collection() -> (SimVfs, Model) {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let mut model = Model::new();
    let later = Call::Upsert(vec![(0, Some([5, 6]), 4), (1, None, 6)]);
    for call in calls(5, 12).into_iter().chain([Call::Checkpoint, later, Call::Delete(vec![2])]) {
        act(&collection, &call).unwrap();
        apply(&mut model, &call);
    }
    collection.close().unwrap();
    (vfs.snapshot(), model)
}

/// Whether damage is reported; if not, every answer must be right.
fn is_told(vfs: &SimVfs, model: &Model, what: &str) -> bool {
    let collection = match open_sim(vfs) {
        Ok(collection) => collection,
        Err(OpenError::Store(StoreOpenError::Corrupt(_)) | OpenError::Damaged { .. }) => return true,
        Err(error) => panic!("{what}: {error:?}"),
    };
    match of(&collection) {
        Ok(found) => assert_eq!(found, *model, "{what}"),
        Err(QueryError::Corrupt(_)) => return true,
        Err(error) => panic!("{what}: {error:?}"),
    }
    check(&collection, model);
    !collection.verify().unwrap().is_empty()
}

/// Return where to damage a file of `len` bytes. In the short form, these are places in its first
/// bytes and others spread over the written part.
fn places(vfs: &SimVfs, path: &Path, len: u64) -> Vec<u64> {
    if let Some(stride) = size("TIERCEL_DAMAGE") {
        return (seed() % stride.max(1)..len).step_by(stride.max(1) as usize).collect();
    }
    let mut content = vec![0; len as usize];
    vfs.open(path).unwrap().read_at(0, &mut content).unwrap();
    let written: Vec<u64> = (0..len).filter(|at| content[*at as usize] != 0).collect();
    let spread = written.iter().step_by((written.len() / 150).max(1));
    (0..len.min(200)).step_by(7).chain(spread.copied()).collect()
}

fn files(vfs: &SimVfs) -> Vec<(PathBuf, u64)> {
    // A writer does not need the view file, and makes a new one.
    let is_read = |path: &Path| !path.ends_with("view");
    let files: Vec<_> = vfs.files().into_iter().filter(|(path, len)| *len > 0 && is_read(path)).collect();
    let name = |part: &str| files.iter().any(|(path, _)| path.to_string_lossy().contains(part));
    assert!(name("index-") && name("text-") && files.len() >= 3, "{files:?}");
    files
}

#[test]
fn bits_that_flip() {
    let (vfs, model) = collection();
    let long = size("TIERCEL_DAMAGE").is_some();
    let places: Vec<_> = files(&vfs).into_iter().map(|(path, len)| (places(&vfs, &path, len), path)).collect();
    let total = places.iter().map(|(places, _)| places.len() as u64).sum::<u64>() * if long { 8 } else { 1 };
    let mut tally = Tally::new("bits", total, long);
    for (places, path) in places {
        let mut told = 0;
        for at in places {
            for bit in if long { 0..8 } else { at % 8..at % 8 + 1 } {
                let vfs = vfs.snapshot();
                vfs.flip(&path, 8 * at + bit).unwrap();
                told += u64::from(is_told(&vfs, &model, &format!("{path:?}, byte {at}, bit {bit}")));
                tally.add();
            }
        }
        assert!(told > 0, "{path:?}");
    }
}

#[test]
fn files_that_are_cut() {
    let (vfs, model) = collection();
    let places: Vec<_> = files(&vfs).into_iter().map(|(path, len)| (places(&vfs, &path, len), path)).collect();
    let total = places.iter().map(|(places, _)| places.len() as u64).sum();
    let mut tally = Tally::new("cuts", total, size("TIERCEL_DAMAGE").is_some());
    for (places, path) in places {
        for len in places {
            let vfs = vfs.snapshot();
            vfs.cut(&path, len).unwrap();
            assert!(is_told(&vfs, &model, &format!("{path:?}, cut to {len}")));
            tally.add();
        }
    }
}

#[test]
fn files_that_are_missing_are_named() {
    let (vfs, _) = collection();
    for (path, _) in files(&vfs).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg")) {
        let vfs = vfs.snapshot();
        vfs.remove(&path).unwrap();
        let error = open_sim(&vfs).err().unwrap().to_string();
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    }
}
