//! Flipped bits and cut files are found or harmless: never wrong data, and never a crash. The long
//! form takes the number of positions in a file from `TIERCEL_DAMAGE_SAMPLES`.

use std::path::{Path, PathBuf};

use crate::model::{self, ALWAYS, Model, SECTION, Step, content, create, do_step, open, steps};
use tiercel_container::Vfs;
use tiercel_container::sim::SimVfs;
use tiercel_store::{OpenError, ReadError};

/// A store that was closed, or whose process was killed.
fn store(closed: bool) -> (SimVfs, Model) {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let mut model = Model::default();
    for step in steps(11, 12).into_iter().chain([Step::Publish("part".into(), 4)]) {
        do_step(&store, &step).unwrap();
        model.apply(&step);
    }
    if closed {
        store.close().unwrap();
    }
    (vfs.snapshot(), model)
}

/// Whether damage was found; if not, everything must be as it was.
fn is_found(vfs: &SimVfs, model: &Model, what: &str) -> bool {
    let store = match open(vfs, ALWAYS) {
        Ok(store) => store,
        Err(OpenError::Corrupt(_)) => return true,
        Err(error) => panic!("{what}: {error:?}"),
    };
    let found = match Model::of(&store.reader()) {
        Ok(found) => found,
        Err(ReadError::Corrupt(_)) => return true,
        Err(error) => panic!("{what}: {error:?}"),
    };
    assert_eq!(found, *model, "{what}");
    for name in &found.segments {
        match store.open_segment(name).and_then(|segment| segment.read(SECTION)) {
            Ok(bytes) => assert!(bytes == content(name), "{what}"),
            Err(ReadError::Corrupt(_)) => return true,
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    match store.verify() {
        Ok(damage) => !damage.is_empty(),
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// Positions of bytes to damage in a file: some in its first sectors, and a sample of those that
/// were ever written.
fn positions(vfs: &SimVfs, path: &Path, len: u64, sample: u64) -> Vec<u64> {
    let mut content = vec![0; len as usize];
    vfs.open(path).unwrap().read_at(0, &mut content).unwrap();
    let chunks = content.chunks(512).enumerate().filter(|(_, bytes)| bytes.iter().any(|&byte| byte != 0));
    let written: Vec<u64> = chunks.map(|(index, _)| 512 * index as u64).collect();
    let mut random = model::Random(len);
    let first = (0..64).map(|index| index * 67 % len.min(1024));
    let sampled = (0..sample).map(|_| {
        let at = written[random.below(written.len() as u64) as usize] + random.below(512);
        at.min(len - 1)
    });
    first.chain(sampled).collect()
}

fn samples() -> u64 {
    std::env::var("TIERCEL_DAMAGE_SAMPLES").ok().and_then(|samples| samples.parse().ok()).unwrap_or(300)
}

fn files(vfs: &SimVfs) -> Vec<(PathBuf, u64)> {
    vfs.files().into_iter().filter(|(_, len)| *len > 0).collect()
}

#[test]
fn flipped_bits() {
    for closed in [true, false] {
        let (vfs, model) = store(closed);
        let mut found = 0;
        for (path, len) in files(&vfs) {
            for (index, at) in positions(&vfs, &path, len, samples()).into_iter().enumerate() {
                let bit = 8 * at + index as u64 % 8;
                let vfs = vfs.snapshot();
                vfs.flip(&path, bit).unwrap();
                found += u64::from(is_found(&vfs, &model, &format!("closed: {closed}, {path:?}, bit {bit}")));
            }
        }
        assert!(found > 50, "{found}");
    }
}

#[test]
fn files_cut_short() {
    for closed in [true, false] {
        let (vfs, model) = store(closed);
        // A writer makes another view.
        for (path, len) in files(&vfs).into_iter().filter(|(path, _)| !path.ends_with("view")) {
            for len in positions(&vfs, &path, len, samples() / 3) {
                let vfs = vfs.snapshot();
                vfs.cut(&path, len).unwrap();
                assert!(is_found(&vfs, &model, &format!("closed: {closed}, {path:?}, cut to {len}")));
            }
        }
    }
}

/// Views, which other processes read, are right or found to be damaged.
#[test]
fn damaged_views() {
    let (vfs, model) = store(true);
    let check = |vfs: &SimVfs, what: &str| match model::view(vfs).reader() {
        Ok(reader) => match Model::of(&reader) {
            Ok(found) => assert_eq!(found, model, "{what}"),
            Err(ReadError::Corrupt(_)) => {}
            Err(error) => panic!("{what}: {error:?}"),
        },
        Err(OpenError::Corrupt(_)) => {}
        Err(error) => panic!("{what}: {error:?}"),
    };
    for (path, len) in files(&vfs) {
        for at in positions(&vfs, &path, len, samples()) {
            let flipped = vfs.snapshot();
            flipped.flip(&path, 8 * at + at % 8).unwrap();
            check(&flipped, &format!("{path:?}, byte {at}"));
            let cut = vfs.snapshot();
            cut.cut(&path, at).unwrap();
            check(&cut, &format!("{path:?}, cut to {at}"));
        }
    }
}

#[test]
fn a_log_file_that_is_missing_is_named() {
    for name in ["log-1", "log-2"] {
        let vfs = SimVfs::new();
        let store = create(&vfs, ALWAYS);
        let step = Step::Commit(model::batch(&mut model::Random(1)));
        for step in [step.clone(), Step::Compact, step] {
            do_step(&store, &step).unwrap();
        }
        store.close().unwrap();
        vfs.remove(&Path::new("/collection").join(name)).unwrap();
        let Err(OpenError::Corrupt(corruption)) = open(&vfs, ALWAYS) else { panic!("expected corruption") };
        assert_eq!(corruption.file, name);
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let (vfs, _) = store(true);
    vfs.remove(Path::new("/collection/part.seg")).unwrap();
    let Err(OpenError::Corrupt(corruption)) = open(&vfs, ALWAYS) else { panic!("expected corruption") };
    assert_eq!(corruption.file, "part.seg");
}
