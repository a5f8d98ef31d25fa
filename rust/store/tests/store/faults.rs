//! Every operation of the disk fails, once or for ever: what fails is refused or rolled back, reads
//! go on, and the store opens again with what was acknowledged.

use crate::model::{self, ALWAYS, Model, NEVER, create, do_step, open, steps};
use tiercel_container::NoRoom;
use tiercel_container::sim::{Fault, FaultKind, SimVfs};
use tiercel_store::{Batch, Change, CommitError, Options, ReadError};

/// Do steps while the `nth` operation fails; return false if there are fewer operations.
fn fail(seed: u64, options: Options, fault: Fault) -> bool {
    let vfs = SimVfs::new();
    let store = create(&vfs, options);
    let before = vfs.counts().all;
    vfs.set_fault(Some(fault));
    let mut model = Model::default();
    let mut doubtful = None;
    for step in steps(seed, 14) {
        let mut after = model.clone();
        after.apply(&step);
        match do_step(&store, &step) {
            Ok(()) => model = after,
            // Nothing is lost: without the fault the same step may succeed.
            Err(CommitError::NoRoom(_)) => assert!(fault.kind.is_for_want_of_room(), "{fault:?}"),
            Err(error) => {
                assert!(!fault.kind.is_for_want_of_room(), "{fault:?}: {step:?}: {error}");
                doubtful.get_or_insert(after);
            }
        }
        // A read may fail, but is never wrong.
        if let Ok(found) = Model::of(&store.reader()) {
            assert_eq!(found, model, "{fault:?}");
        } else {
            assert!(!fault.kind.is_for_want_of_room(), "{fault:?}");
        }
    }
    let reached = vfs.counts().all - before >= fault.nth;
    if fault.kind.is_for_want_of_room() {
        vfs.set_fault(None);
        let step = model::Step::Commit(model::batch(&mut model::Random(9)));
        do_step(&store, &step).unwrap();
        model.apply(&step);
    }
    drop(store);
    vfs.set_fault(None);
    if options.durability == ALWAYS.durability || fault.kind.is_for_want_of_room() {
        let store = open(&vfs, ALWAYS).unwrap();
        let found = Model::of(&store.reader()).unwrap();
        let possible = [Some(&model), doubtful.as_ref()];
        assert!(possible.iter().flatten().any(|model| **model == found), "{fault:?}");
        assert_eq!(store.verify().unwrap(), []);
        let step = model::Step::Commit(model::batch(&mut model::Random(8)));
        do_step(&store, &step).unwrap();
    }
    reached
}

fn fail_all(options: Options, kind: FaultKind, forever: bool) {
    for nth in 1.. {
        if !fail(1, options, Fault { nth, forever, kind }) {
            break;
        }
    }
}

#[test]
fn a_failure_once() {
    fail_all(ALWAYS, FaultKind::Io, false);
}

#[test]
fn a_failure_for_ever() {
    fail_all(ALWAYS, FaultKind::Io, true);
}

#[test]
fn a_write_cut_short() {
    fail_all(ALWAYS, FaultKind::ShortWrite, false);
}

#[test]
fn a_full_disk_once() {
    fail_all(ALWAYS, FaultKind::Full, false);
}

#[test]
fn a_full_disk_for_ever() {
    fail_all(ALWAYS, FaultKind::Full, true);
}

#[test]
fn a_full_disk_without_durability() {
    fail_all(NEVER, FaultKind::Full, false);
    fail_all(NEVER, FaultKind::Full, true);
}

#[test]
fn a_read_only_file_system_once() {
    fail_all(ALWAYS, FaultKind::ReadOnly, false);
}

#[test]
fn a_read_only_file_system_for_ever() {
    fail_all(ALWAYS, FaultKind::ReadOnly, true);
}

#[test]
fn a_read_only_file_system_without_durability() {
    fail_all(NEVER, FaultKind::ReadOnly, false);
    fail_all(NEVER, FaultKind::ReadOnly, true);
}

/// Network file systems report only at a sync that there is no room.
#[test]
fn a_batch_that_finds_no_room_when_it_is_synced_is_taken_back() {
    for cut_later in [false, true] {
        let vfs = SimVfs::new();
        let store = create(&vfs, ALWAYS);
        let mut model = Model::default();
        let steps: Vec<_> = (1..5).map(|seed| model::Step::Commit(model::batch(&mut model::Random(seed)))).collect();
        do_step(&store, &steps[0]).unwrap();
        model.apply(&steps[0]);
        vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::LateQuota }));
        let refused = do_step(&store, &steps[1]);
        assert!(matches!(refused, Err(CommitError::NoRoom(NoRoom::Quota))), "{refused:?}");
        // The remains of a write without room that cannot be cut off at once are cut off before the
        // next write.
        let kind = FaultKind::ReadOnly;
        vfs.set_fault(cut_later.then_some(Fault { nth: 1, forever: true, kind }));
        assert_eq!(do_step(&store, &steps[2]).is_err(), cut_later);
        if !cut_later {
            model.apply(&steps[2]);
        }
        vfs.set_fault(None);
        do_step(&store, &steps[3]).unwrap();
        model.apply(&steps[3]);
        assert_eq!(Model::of(&store.reader()).unwrap(), model);
        drop(store);
        let store = open(&vfs, ALWAYS).unwrap();
        assert_eq!(Model::of(&store.reader()).unwrap(), model);
        assert_eq!(store.verify().unwrap(), []);
    }
}

/// The group of a refused batch may be on the disk as a whole. It is removed before the batch is
/// refused.
#[test]
fn a_batch_that_found_no_room_is_not_there_after_a_power_cut() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let mut model = Model::default();
    let [first, refused] = [1, 2].map(|seed| model::Step::Commit(model::batch(&mut model::Random(seed))));
    do_step(&store, &first).unwrap();
    model.apply(&first);
    vfs.record();
    vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::LateQuota }));
    assert!(matches!(do_step(&store, &refused), Err(CommitError::NoRoom(NoRoom::Quota))));
    let mut replay = vfs.replay();
    while replay.step() {}
    for seed in 0..64 {
        let store = open(&replay.image(seed), ALWAYS).unwrap();
        assert_eq!(Model::of(&store.reader()).unwrap(), model, "image {seed}");
    }
}

/// Batches that were not synced are shown and acknowledged. A sync that fails may have lost them, so
/// it is no mere lack of room.
#[test]
fn a_sync_without_room_may_lose_batches_that_were_not_synced() {
    let vfs = SimVfs::new();
    let store = create(&vfs, NEVER);
    let steps = [1, 2, 3].map(|seed| model::Step::Commit(model::batch(&mut model::Random(seed))));
    do_step(&store, &steps[0]).unwrap();
    // The remains of the second batch stay, and are cut off before the third is written.
    vfs.set_fault(Some(Fault { nth: 1, forever: true, kind: FaultKind::ReadOnly }));
    assert!(matches!(do_step(&store, &steps[1]), Err(CommitError::NoRoom(NoRoom::ReadOnly))));
    vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::LateQuota }));
    let refused = do_step(&store, &steps[2]);
    assert!(matches!(refused, Err(CommitError::Failed { .. })), "{refused:?}");
    assert!(matches!(store.sync(), Err(CommitError::Failed { .. })));
}

/// After a full disk another handle writes the records. It does not know who still reads through
/// the old one.
#[test]
fn readers_from_before_a_full_disk_take_later_pages_for_no_damage() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let upsert = |id: u32, len: usize| {
        let text = Some("x".repeat(len).into_bytes());
        let change = Change::Upsert { id: id.to_string(), vector: false, text, metadata: None };
        store.commit(Batch { changes: vec![change], ..Batch::default() }, |_| ()).unwrap();
    };
    (0..400).for_each(|id| upsert(id, 5_000));
    store.apply(|| ()).unwrap();
    let before = store.reader();
    upsert(400, 5_000);
    vfs.set_fault(Some(Fault { nth: 1, forever: true, kind: FaultKind::Full }));
    assert!(matches!(store.apply(|| ()), Err(CommitError::NoRoom(_))));
    vfs.set_fault(None);
    let mut outdated = 0;
    for round in 0..4 {
        (0..400).for_each(|id| upsert(id, 4_000 + round));
        // Until then a view keeps the pages.
        do_step(&store, &model::Step::Publish(format!("part-{round}"), 0)).unwrap();
        let scanned = before.scan(0, |_, _| Ok::<_, ReadError>(()));
        if let Err(error) = scanned {
            assert!(matches!(&error, ReadError::Io(error) if tiercel_store::is_outdated(error)), "{error:?}");
            outdated += 1;
        }
    }
    assert!(outdated > 0);
}

#[test]
fn after_a_failed_sync_writes_are_refused_and_reads_go_on() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let step = model::Step::Commit(model::batch(&mut model::Random(1)));
    do_step(&store, &step).unwrap();
    let shown = Model::of(&store.reader()).unwrap();
    vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::Io }));
    assert!(matches!(do_step(&store, &step), Err(CommitError::Failed { .. })));
    // The disk works again, but its content is unknown.
    assert!(matches!(do_step(&store, &step), Err(CommitError::Failed { .. })));
    assert_eq!(Model::of(&store.reader()).unwrap(), shown);
}

#[test]
fn what_is_opened_on_a_full_disk_writes_at_once_when_there_is_room() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    do_step(&store, &model::Step::Commit(model::batch(&mut model::Random(1)))).unwrap();
    drop(store);
    vfs.set_fault(Some(Fault { nth: 1, forever: true, kind: FaultKind::Full }));
    let store = open(&vfs, ALWAYS).unwrap();
    vfs.set_fault(None);
    do_step(&store, &model::Step::Publish("part".into(), 0)).unwrap();
}

#[test]
fn a_damaged_page_is_named_however_often_writing_was_tried() {
    let vfs = SimVfs::new();
    let store = create(&vfs, ALWAYS);
    let upsert = |id: u32| {
        let change =
            Change::Upsert { id: id.to_string(), vector: false, text: Some(vec![b'x'; 5_000]), metadata: None };
        store.commit(Batch { changes: vec![change], ..Batch::default() }, |_| ()).unwrap();
    };
    (0..400).for_each(upsert);
    store.apply(|| ()).unwrap();
    let before = store.reader();
    let records = std::path::Path::new(model::DIR).join("records");
    let len = vfs.files().into_iter().find_map(|(path, len)| (path == records).then_some(len)).unwrap();
    (0..400).for_each(upsert);
    (2..len / 4096).for_each(|page| vfs.flip(&records, 8 * 4096 * page).unwrap());
    for _ in 0..3 {
        assert!(matches!(store.apply(|| ()), Err(CommitError::Corrupt(_))));
        let scanned = before.scan(0, |_, _| Ok::<_, ReadError>(()));
        assert!(matches!(&scanned, Err(ReadError::Corrupt(damage)) if damage.what.starts_with("page")), "{scanned:?}");
    }
}
