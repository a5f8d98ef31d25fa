//! Bits that flip and files that are cut: opening or reading says so, or every answer is right; never a panic. The long form takes
//! the number of positions in a file from `TIERCEL_DAMAGE_SAMPLES`.

use std::path::{Path, PathBuf};

use tiercel_engine::{OpenError, QueryError, StoreOpenError};
use tiercel_store::Vfs;
use tiercel_store::sim::SimVfs;

use crate::model::{Call, Model, act, apply, calls, check, of};
use crate::{from_environment, open_sim};

/// A collection with a checkpoint and changes after it.
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

/// Whether damage is told; if not, every answer must be right.
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

/// Places in a file: in its first bytes, and spread over those that were ever written.
fn places(vfs: &SimVfs, path: &Path, len: u64) -> Vec<u64> {
    let samples = from_environment("TIERCEL_DAMAGE_SAMPLES").unwrap_or(150);
    let mut content = vec![0; len as usize];
    vfs.open(path).unwrap().read_at(0, &mut content).unwrap();
    let written: Vec<u64> = (0..len).filter(|at| content[*at as usize] != 0).collect();
    let spread = written.iter().step_by((written.len() / samples as usize).max(1));
    (0..len.min(200)).step_by(7).chain(spread.copied()).collect()
}

fn files(vfs: &SimVfs) -> Vec<(PathBuf, u64)> {
    let files: Vec<_> = vfs.files().into_iter().filter(|(_, len)| *len > 0).collect();
    let name = |part: &str| files.iter().any(|(path, _)| path.to_string_lossy().contains(part));
    assert!(name("index-") && name("text-") && files.len() >= 3, "{files:?}");
    files
}

#[test]
fn bits_that_flip() {
    let (vfs, model) = collection();
    for (path, len) in files(&vfs) {
        let mut told = 0;
        for at in places(&vfs, &path, len) {
            let vfs = vfs.snapshot();
            vfs.flip(&path, 8 * at + at % 8).unwrap();
            told += u64::from(is_told(&vfs, &model, &format!("{path:?}, byte {at}")));
        }
        assert!(told > 20, "{path:?}: {told}");
    }
}

#[test]
fn files_that_are_cut() {
    let (vfs, model) = collection();
    for (path, len) in files(&vfs) {
        for len in places(&vfs, &path, len) {
            let vfs = vfs.snapshot();
            vfs.cut(&path, len).unwrap();
            assert!(is_told(&vfs, &model, &format!("{path:?}, cut to {len}")));
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
