//! The promises of a store to its callers on a disk that works.

use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::model::{ALWAYS, DIR, Model, NEVER, Random, Step, create, do_step, open, steps, view};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tiercel_container::sim::SimVfs;
use tiercel_container::{OsVfs, Vfs};
use tiercel_store::{Batch, Change, CommitError, OpenError, ReadError, Reader, Store};

fn upsert(id: &str, text: &str) -> Batch {
    let (id, text) = (id.to_owned(), Some(text.into()));
    Batch { changes: vec![Change::Upsert { id, vector: false, text, metadata: None }], ..Batch::default() }
}

#[test]
fn a_store_is_what_the_model_is() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let cases = (any::<u64>(), prop::collection::vec(any::<bool>(), 30), any::<bool>());
    let result = runner.run(&cases, |(seed, reopen, always)| {
        let vfs = SimVfs::new();
        let options = if always { ALWAYS } else { NEVER };
        let mut store = create(&vfs, options);
        let mut model = Model::default();
        for (step, reopen) in steps(seed, 30).into_iter().zip(reopen) {
            if let Step::Commit(batch) = &step {
                prop_assert_eq!(store.commit(batch.clone(), |_| ()).unwrap(), model.commit(batch));
            } else {
                do_step(&store, &step).unwrap();
                model.apply(&step);
            }
            if reopen {
                store.close().unwrap();
                store = open(&vfs, options).unwrap();
            }
            prop_assert_eq!(&Model::of(&store.reader()).unwrap(), &model);
        }
        prop_assert_eq!(store.verify().unwrap(), []);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn threads_share_syncs_and_publish_in_order() {
    const THREADS: u64 = 8;
    const EACH: u64 = 40;
    let vfs = SimVfs::new();
    let store = Arc::new(create(&vfs, ALWAYS));
    let before = vfs.counts().syncs;
    let published = Arc::new(Mutex::new(Vec::new()));
    let barrier = Arc::new(Barrier::new(THREADS as usize));
    let threads = (0..THREADS).map(|thread| {
        let (store, published, barrier) = (store.clone(), published.clone(), barrier.clone());
        thread::spawn(move || {
            barrier.wait();
            for index in 0..EACH {
                let published = published.clone();
                let batch = upsert(&format!("{thread}-{index}"), "text");
                let publish = move |applied: &tiercel_store::Applied| {
                    published.lock().unwrap().push(applied.sequence);
                    // Other threads arrive meanwhile.
                    (0..100).for_each(|_| thread::yield_now());
                };
                let applied = store.commit(batch, publish).unwrap();
                // Acknowledged batches can be read.
                assert!(store.reader().sequence() >= applied.sequence);
                assert!(store.reader().row(&format!("{thread}-{index}")).unwrap().is_some());
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let batches = THREADS * EACH;
    assert_eq!(*published.lock().unwrap(), (1..=batches).collect::<Vec<_>>());
    let syncs = vfs.counts().syncs - before;
    assert!(syncs < batches, "{syncs} syncs for {batches} batches");
}

#[test]
fn readers_keep_what_they_saw() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let mut kept = Vec::new();
    let mut model = Model::default();
    for step in steps(21, 40) {
        do_step(&store, &step).unwrap();
        model.apply(&step);
        kept.push((store.reader(), model.clone()));
        for (reader, model) in &kept {
            assert_eq!(Model::of(reader).unwrap(), *model);
        }
        kept.drain(..kept.len().saturating_sub(6));
    }
}

#[test]
fn one_opener_at_a_time() {
    let dir = Scratch::new("lock");
    let vfs = Arc::new(OsVfs);
    let store = Store::create(vfs.clone(), &dir.0, ALWAYS, &[("name", b"value")]).unwrap();
    let Err(OpenError::AlreadyOpen { pid }) = Store::open(vfs.clone(), &dir.0, ALWAYS) else {
        panic!("expected a lock")
    };
    assert_eq!(pid, Some(std::process::id()));
    drop(store);
    let store = Store::open(vfs, &dir.0, ALWAYS).unwrap();
    assert_eq!(store.reader().meta("name").unwrap().unwrap(), b"value");
}

#[test]
fn a_store_is_created_once_and_opened_where_it_is() {
    let vfs = SimVfs::new();
    assert!(matches!(open(&vfs, ALWAYS), Err(OpenError::NotFound)));
    create(&vfs, ALWAYS).close().unwrap();
    let again = Store::create(Arc::new(vfs.clone()), Path::new(DIR), ALWAYS, &[]);
    assert!(matches!(again, Err(OpenError::Exists)));
}

#[test]
fn batches_that_are_none_are_refused() {
    let store = create(&SimVfs::new(), ALWAYS);
    let mut lacking = upsert("id", "text");
    lacking.vectors = vec![0; 12].into();
    lacking.width = 12;
    for batch in [upsert("", "text"), upsert(&"x".repeat(70_000), "text"), lacking] {
        let result = store.commit(batch, |_| panic!("nothing to publish"));
        assert!(matches!(result, Err(CommitError::Invalid(_))), "{result:?}");
    }
    assert!(store.reader().is_empty());
    assert_eq!(store.commit(Batch::default(), |_| ()).unwrap().sequence, 1);
}

#[test]
fn a_backup_is_a_store() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let mut model = Model::default();
    for step in steps(31, 30) {
        do_step(&store, &step).unwrap();
        model.apply(&step);
    }
    store.backup(Path::new("/backup")).unwrap();
    assert!(matches!(store.backup(Path::new("/backup")), Err(CommitError::Invalid(_))));
    let backup = Store::open(Arc::new(vfs), Path::new("/backup"), ALWAYS).unwrap();
    assert_eq!(Model::of(&backup.reader()).unwrap(), model);
    assert_eq!(backup.verify().unwrap(), []);
}

#[test]
fn disk_space_comes_back() {
    let dir = Scratch::new("space");
    let store = Store::create(Arc::new(OsVfs), &dir.0, NEVER, &[]).unwrap();
    let text = "x".repeat(20_000);
    for index in 0..200 {
        store.commit(upsert(&format!("{index}"), &text), |_| ()).unwrap();
    }
    store.sync().unwrap();
    store.apply(|| ()).unwrap();
    let full = store.sizes().unwrap();
    let delete = |index: u32| Change::Delete { id: format!("{index}") };
    let batch = Batch { changes: (0..200).map(delete).collect(), ..Batch::default() };
    store.commit(batch, |_| ()).unwrap();
    store.compact().unwrap();
    let empty = store.sizes().unwrap();
    assert!(full.records > 200 * 20_000 && full.log > 200 * 20_000, "{full:?}");
    assert!(empty.records < 200_000 && empty.log < 1_000, "{empty:?}");
}

#[test]
fn a_view_shows_what_is_committed_and_changes_nothing() {
    let vfs = SimVfs::new();
    assert!(matches!(view(&vfs).reader(), Err(OpenError::NotFound)));
    let store = create(&vfs, NEVER);
    let mut model = Model::default();
    for step in steps(41, 60) {
        do_step(&store, &step).unwrap();
        model.apply(&step);
        let writes = vfs.counts().writes;
        assert_eq!(Model::of(&view(&vfs).reader().unwrap()).unwrap(), model);
        assert_eq!(vfs.counts().writes, writes);
    }
    store.close().unwrap();
    assert_eq!(Model::of(&view(&vfs).reader().unwrap()).unwrap(), model);
}

/// A view stays as it is until two more have been made. After that it is right, or says that it is
/// too old.
#[test]
fn a_view_ages_and_is_never_wrong() {
    let vfs = SimVfs::new();
    let mut store = create(&vfs, ALWAYS);
    let (mut model, mut random) = (Model::default(), Random(3));
    let mut views: Vec<(Reader, Model, u32)> = Vec::new();
    let mut outdated = 0;
    for round in 0..60 {
        let text = "x".repeat(500 + round % 7);
        for _ in 0..3 {
            let changes = (0..20).flat_map(|_| upsert(&random.below(100).to_string(), &text).changes).collect();
            let step = Step::Commit(Batch { changes, ..Batch::default() });
            do_step(&store, &step).and_then(|()| do_step(&store, &Step::Apply)).unwrap();
            model.apply(&step);
        }
        let reopened = round % 10 == 9;
        if reopened {
            drop(store);
            store = open(&vfs, ALWAYS).unwrap();
        } else {
            let step = Step::Publish("part".into(), 0);
            do_step(&store, &step).unwrap();
            model.apply(&step);
        }
        for (.., later) in &mut views {
            *later += 1 + u32::from(reopened);
        }
        views.push((view(&vfs).reader().unwrap(), model.clone(), 0));
        // Pages that were read are in memory, so each view is read only once, some of them soon.
        for (view, model, later) in views.extract_if(.., |(_, model, later)| *later > model.sequence as u32 % 2 * 3) {
            match Model::of(&view) {
                Ok(found) => assert_eq!(found, model),
                Err(error) => {
                    assert!(
                        later >= 2 && matches!(&error, ReadError::Io(error) if tiercel_store::is_outdated(error)),
                        "{later}: {error:?}"
                    );
                    outdated += 1;
                }
            }
        }
    }
    assert!(outdated > 10, "{outdated}");
}

/// A writer may cut off pages that a view needed, instead of overwriting them.
#[test]
fn a_view_whose_pages_were_cut_off_is_outdated() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let changes = (0..600).flat_map(|id| upsert(&id.to_string(), &"x".repeat(10_000)).changes).collect();
    do_step(&store, &Step::Commit(Batch { changes, ..Batch::default() })).unwrap();
    do_step(&store, &Step::Publish("part".into(), 0)).unwrap();
    let seen = view(&vfs).reader().unwrap();
    vfs.cut(&Path::new(DIR).join("records"), 8192).unwrap();
    // The second read meets a database that has given up after the first.
    for _ in 0..2 {
        let error = Model::of(&seen).unwrap_err();
        assert!(matches!(&error, ReadError::Io(error) if tiercel_store::is_outdated(error)), "{error:?}");
    }
}

#[test]
fn a_file_of_others_is_not_replaced() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    do_step(&store, &Step::Commit(upsert("a", "text"))).unwrap();
    let content = |path: &Path| {
        let mut bytes = [0; 5];
        vfs.open(path).and_then(|file| file.read_at(0, &mut bytes)).map(|()| bytes)
    };
    for name in ["part.seg", "log-2"] {
        vfs.create(&Path::new(DIR).join(name), None).and_then(|file| file.write_at(0, b"other")).unwrap();
    }
    let write = |name| store.write_segment(name, &[], |_| Ok(()));
    let refused = write("part").unwrap_err().to_string();
    assert!(refused.starts_with("part.seg: expected no file, or one of this collection"), "{refused}");
    // One of ours that was not published may be in the way after a crash.
    write("mine").and_then(|()| write("mine")).unwrap();
    // What failed is discarded, but for files that were there before.
    store.discard_segments(&["part".into(), "mine".into()]).unwrap();
    assert!(content(&Path::new(DIR).join("mine.seg")).is_err());
    let refused = store.compact().unwrap_err().to_string();
    assert!(refused.contains("log-2: expected no file"), "{refused}");
    for name in ["part.seg", "log-2"] {
        assert_eq!(&content(&Path::new(DIR).join(name)).unwrap(), b"other", "{name}");
    }
}

#[test]
fn segments_hold_what_was_announced_and_nothing_else_is_written() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let sections = [(*b"NONE", 0), (*b"FULL", 65_536), (*b"MORE", 65_537)];
    let written = store.write_segment("sound", &sections, |writer| {
        for (tag, len) in sections {
            writer.section(tag, |out| (0..len).try_for_each(|byte| out.write_all(&[byte as u8])))?;
        }
        Ok(())
    });
    written.unwrap();
    let segment = store.open_segment("sound").unwrap();
    for (tag, len) in sections {
        let expected: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
        assert_eq!((segment.len(tag), segment.read(tag).unwrap()), (Some(len), expected));
    }
    assert!(matches!(segment.read(*b"MISS"), Err(ReadError::Corrupt(_))));
    for (tag, bytes) in [(*b"MORE", 1), (*b"NONE", 1)] {
        let refused = store
            .write_segment("unsound", &sections, |writer| writer.section(tag, |out| out.write_all(&vec![0; bytes])));
        assert!(matches!(refused, Err(CommitError::Io(_))), "{refused:?}");
    }
    assert!(matches!(store.write_segment("../escape", &[], |_| Ok(())), Err(CommitError::Invalid(_))));
    assert_eq!(vfs.files().len(), 4);
}

#[test]
fn leftovers_are_removed() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    do_step(&store, &Step::Publish("kept".into(), 0)).unwrap();
    do_step(&store, &Step::Publish("retired".into(), 0)).unwrap();
    store.write_segment("unnamed", &[], |_| Ok(())).unwrap();
    do_step(&store, &Step::Retire("retired".into())).unwrap();
    vfs.create(Path::new("/collection/of-others.seg"), None).unwrap();
    store.close().unwrap();
    let names = || -> Vec<_> {
        let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        vfs.files().into_iter().map(|(path, _)| name(path)).collect()
    };
    let store = open(&vfs, ALWAYS).unwrap();
    // Nothing says that `unnamed` is obsolete until something is published without it.
    assert_eq!(names(), ["kept.seg", "log-1", "of-others.seg", "records", "unnamed.seg", "view"]);
    do_step(&store, &Step::Publish("next".into(), 0)).unwrap();
    assert_eq!(names(), ["kept.seg", "log-1", "next.seg", "of-others.seg", "records", "view"]);
}

/// Obsolete segments that could not be removed are removed at the next opening.
#[test]
fn obsolete_segments_are_removed_later() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    do_step(&store, &Step::Publish("retired".into(), 0)).unwrap();
    let segment = Path::new("/collection/retired.seg");
    let mut bytes = vec![0; vfs.open(segment).unwrap().len().unwrap() as usize];
    vfs.open(segment).unwrap().read_at(0, &mut bytes).unwrap();
    do_step(&store, &Step::Retire("retired".into())).unwrap();
    assert!(vfs.open(segment).is_err());
    store.close().unwrap();
    vfs.create(segment, None).unwrap().write_at(0, &bytes).unwrap();
    drop(open(&vfs, ALWAYS).unwrap());
    assert!(vfs.open(segment).is_err());
}

/// An empty directory that is removed at the end of a test.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tiercel-store-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
