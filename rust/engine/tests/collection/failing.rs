//! Disk operations that fail once or for ever: a call is refused or succeeds, searches go on, and
//! the collection opens again with everything acknowledged. The long form, `TIERCEL_FAULTS=1`,
//! fails every single operation of more calls.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::{Fault, FaultKind, SimVfs};
use tiercel_engine::{
    Collection, CommitError, Durability, Level, OpenOptions, QueryError, Running, Search, WriteError,
};

use crate::long::{Tally, seed, size};
use crate::model::{Call, Model, act, apply, calls, check, check_what_is_read, of};
use crate::{open_sim, record};

/// Run calls while the `nth` operation fails; return false if there are fewer operations.
fn fail(calls: &[Call], fault: Fault) -> bool {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let before = vfs.counts().all;
    vfs.set_fault(Some(fault));
    let mut model = Model::new();
    let mut doubtful = None;
    for call in calls {
        let mut after = model.clone();
        apply(&mut after, call);
        match act(&collection, call) {
            Ok(()) => model = after,
            // Nothing is lost: with more space the same call succeeds.
            Err(WriteError::Commit(CommitError::NoRoom(_))) => assert!(fault.kind.is_for_want_of_room(), "{fault:?}"),
            Err(WriteError::Commit(CommitError::Failed { .. } | CommitError::Io(_)))
                if !fault.kind.is_for_want_of_room() =>
            {
                doubtful.get_or_insert(after);
            }
            // After a failed read, nothing was written.
            Err(WriteError::Query(QueryError::Io(_))) if !fault.kind.is_for_want_of_room() => {}
            Err(error) => panic!("{fault:?}: {call:?}: {error:?}"),
        }
        // Reading a record may fail, but an answer is never wrong.
        if let Ok(found) = collection.search(&Search { text: Some("word1 word2"), k: 20, ..Search::default() }) {
            let expected = model.values().filter(|record| record.word == 1 || record.word == 2);
            assert_eq!(found.matches.len(), expected.count(), "{fault:?}");
        }
    }
    let reached = vfs.counts().all - before >= fault.nth;
    vfs.set_fault(None);
    match check_what_is_read(&collection, &model) {
        Ok(()) => {}
        // After a failed read, all reads of records fail until the collection is opened again.
        Err(QueryError::Io(_)) if !fault.kind.is_for_want_of_room() => {}
        Err(error) => panic!("{fault:?}: {error:?}"),
    }
    if fault.kind.is_for_want_of_room() {
        let call = Call::Upsert(vec![(1, Some([1, 1]), 1)]);
        act(&collection, &call).unwrap();
        apply(&mut model, &call);
    }
    drop(collection);
    let collection = open_sim(&vfs).unwrap();
    let found = of(&collection).unwrap();
    assert!(found == model || Some(&found) == doubtful.as_ref(), "{fault:?}");
    check(&collection, &found);
    assert_eq!(collection.verify().unwrap(), [], "{fault:?}");
    act(&collection, &Call::Upsert(vec![(2, None, 9)])).unwrap();
    reached
}

fn fail_all(what: &'static str, kind: FaultKind, forever: bool) {
    let long = size("TIERCEL_FAULTS").is_some();
    let (count, stride) = if long { (40, 1) } else { (16, 7) };
    let calls: Vec<Call> = calls(1 + seed(), count).into_iter().filter(|call| !matches!(call, Call::Reopen)).collect();
    let mut tally = Tally::new(what, 0, long);
    for nth in (1 + kind as u64..).step_by(stride) {
        if !fail(&calls, Fault { nth, forever, kind }) {
            break;
        }
        tally.add();
    }
}

#[test]
fn a_failure_once() {
    fail_all("failures once", FaultKind::Io, false);
}

#[test]
fn a_failure_for_ever() {
    fail_all("failures for ever", FaultKind::Io, true);
}

#[test]
fn a_write_cut_short() {
    fail_all("writes cut short", FaultKind::ShortWrite, false);
}

#[test]
fn a_full_disk_once() {
    fail_all("full disks once", FaultKind::Full, false);
}

#[test]
fn a_full_disk_for_ever() {
    fail_all("full disks for ever", FaultKind::Full, true);
}

#[test]
fn a_read_only_file_system_once() {
    fail_all("read-only once", FaultKind::ReadOnly, false);
}

#[test]
fn a_read_only_file_system_for_ever() {
    fail_all("read-only for ever", FaultKind::ReadOnly, true);
}

#[test]
fn after_a_failed_write_all_others_are_refused_and_searches_go_on() {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let mut model = Model::new();
    let calls = [Call::Upsert(vec![(0, Some([1, 2]), 3), (1, None, 4)]), Call::SetMetadata(1, 5)];
    for call in &calls {
        act(&collection, call).unwrap();
        apply(&mut model, call);
    }
    check(&collection, &model);
    vfs.set_fault(Some(Fault { nth: 1, forever: false, kind: FaultKind::Io }));
    for _ in 0..2 {
        // The second time the disk works again, but its content is unknown.
        let refused = act(&collection, &Call::Delete(vec![0]));
        assert!(matches!(refused, Err(WriteError::Commit(CommitError::Failed { .. }))), "{refused:?}");
        check(&collection, &model);
    }
}

#[test]
fn a_full_disk_is_told_when_it_refuses_the_first_vectors() {
    let vfs = SimVfs::new();
    let running = Running::new(Durability::Always);
    let (disk, path) = (Arc::new(vfs.clone()), Path::new("/collection"));
    let collection = Collection::open_on(disk, path, OpenOptions::default(), running).unwrap();
    collection.events().take();
    vfs.set_fault(Some(Fault { nth: 1, forever: true, kind: FaultKind::Full }));
    let refused = collection.upsert(vec![record("a", "text", "{}")], vec![1.0, 2.0]).map(drop);
    assert!(matches!(refused, Err(WriteError::Commit(CommitError::NoRoom(_)))), "{refused:?}");
    let levels: Vec<Level> = collection.events().take().into_iter().map(|event| event.level).collect();
    assert_eq!(levels, [Level::Warning]);
}

/// The last changes are synced in the log; the record database gets them only now.
#[test]
fn closing_reports_that_the_records_could_not_be_written() {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let mut model = Model::new();
    let call = Call::Upsert(vec![(0, Some([1, 2]), 3), (1, None, 4)]);
    act(&collection, &call).unwrap();
    apply(&mut model, &call);
    vfs.set_fault(Some(Fault { nth: 1, forever: true, kind: FaultKind::Io }));
    let closed = collection.close();
    assert!(matches!(closed, Err(WriteError::Commit(_))), "{closed:?}");
    vfs.set_fault(None);
    check(&open_sim(&vfs).unwrap(), &model);
}

#[test]
fn an_opening_that_fails_changes_nothing() {
    let vfs = SimVfs::new();
    let collection = open_sim(&vfs).unwrap();
    let mut model = Model::new();
    for call in calls(2, 12) {
        act(&collection, &call).unwrap();
        apply(&mut model, &call);
    }
    collection.checkpoint().unwrap();
    collection.close().unwrap();
    for forever in [false, true] {
        for nth in 1.. {
            let image = vfs.snapshot();
            image.set_fault(Some(Fault { nth, forever, kind: FaultKind::Io }));
            drop(open_sim(&image));
            image.set_fault(None);
            check(&open_sim(&image).unwrap(), &model);
            if image.counts().all < nth {
                break;
            }
        }
    }
}
