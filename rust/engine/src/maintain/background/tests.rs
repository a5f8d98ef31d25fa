//! Tests: every step of the background work fails or panics. The failure is reported, the next
//! attempt succeeds, and nothing is lost.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::sim::{Fault, FaultKind, SimVfs};
use tiercel_index::Storage;
use tiercel_store::Durability;

use super::*;
use crate::collection::{Access, Collection};
use crate::config::{Config, OpenOptions};
use crate::errors::WriteError;
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::rebuild::rebuild;
use crate::maintain::upkeep::{MOVED, apply, merge_graphs, merge_text, move_growing, move_sealed, seal, take_out_dead};
use crate::open::Running;
use crate::search::request::Search;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;
use crate::trouble::Part;
use crate::write::upsert::NewRecord;

mod behind;
mod graphs;

/// Records per batch; each has a vector on a circle and a unique text.
const BATCH: usize = 40;

fn open(vfs: &SimVfs) -> Collection {
    open_with(vfs, Running::new(Durability::Interval))
}

fn open_with(vfs: &SimVfs, running: Running) -> Collection {
    let wanted = OpenOptions { dim: Some(2), ..OpenOptions::default() };
    Collection::open_on(Arc::new(vfs.clone()), Path::new("/collection"), wanted, running).unwrap()
}

fn writer(collection: &Collection) -> &Arc<Writer> {
    let Access::Write(writer, _) = &collection.access else { panic!("open to write") };
    writer
}

fn vector(number: usize) -> [f32; 2] {
    let angle = number as f32 * 0.01;
    [angle.cos(), angle.sin()]
}

fn upsert(collection: &Collection, numbers: std::ops::Range<usize>) {
    let record = |number: usize| NewRecord {
        id: number.to_string(),
        vector: true,
        text: Some(format!("word{number}")),
        metadata: Some(format!("{{\"n\": {number}}}")),
    };
    let vectors = numbers.clone().flat_map(vector).collect();
    collection.upsert(numbers.map(record).collect(), vectors).unwrap();
}

/// Make several growing segments and text segments, and dead rows in a graph and in a
/// growing segment.
fn prepare(collection: &Collection) {
    upsert(collection, 0..BATCH);
    collection.wait_idle().unwrap();
    for batch in 1..10 {
        upsert(collection, batch * BATCH..(batch + 1) * BATCH);
        let writer = writer(collection);
        if batch % 2 == 0 {
            // As after a failed move: a growing segment to which nothing is added any more.
            writer
                .change(|snapshot| {
                    snapshot.vectors = snapshot.vectors.as_ref().map(Vectors::with_new_segment).transpose()?;
                    Ok::<_, String>(())
                })
                .unwrap();
        }
    }
    collection.delete((0..BATCH / 2).map(|number| number.to_string()).collect()).unwrap();
    // Enough of one text segment that it is due for a merge.
    collection.delete(gone().map(|number| number.to_string()).collect()).unwrap();
}

fn gone() -> std::ops::Range<usize> {
    8 * BATCH..8 * BATCH + 25
}

/// The numbers of the records that `prepare` leaves.
fn expected() -> impl Iterator<Item = usize> {
    (BATCH / 2..10 * BATCH).filter(|number| !gone().contains(number))
}

fn assert_all_is_found(collection: &Collection) {
    assert_eq!(collection.len(), expected().count() as u64);
    for number in expected().step_by(7) {
        let id = number.to_string();
        let by = |search: Search<'_>| collection.search(&search).unwrap().matches.remove(0).id;
        assert_eq!(by(Search { vector: Some(&vector(number)), k: 1, ..Search::default() }), id);
        assert_eq!(by(Search { text: Some(&format!("word{number}")), k: 1, ..Search::default() }), id);
        let filter = format!("{{\"n\": {number}}}");
        let filter = crate::filter::Filter::from_text(&filter).unwrap();
        assert_eq!(collection.count(Some(&filter)).unwrap(), 1);
    }
}

/// Run a step of the work as the background thread would.
fn attempt(collection: &Collection, job: fn(&Writer) -> Result<(), WriteError>) -> bool {
    let writer = writer(collection);
    writer.core.troubles.attempt(Part::Upkeep, || {
        let _maintenance = writer.maintenance.lock();
        job(writer)
    })
}

fn all(writer: &Writer) -> Result<(), WriteError> {
    apply(writer)?;
    move_growing(writer)?;
    merge_text(writer)?;
    take_out_dead(writer)?;
    rebuild(writer, writer.storage())
}

fn write_checkpoint(collection: &Collection) -> bool {
    let writer = writer(collection);
    writer.core.troubles.attempt(Part::Upkeep, || checkpoint(writer, &mut writer.maintenance.lock()))
}

fn number_anew(collection: &Collection) -> bool {
    let writer = writer(collection);
    writer
        .core
        .troubles
        .attempt(Part::Upkeep, || renumber::renumber(writer, &mut writer.maintenance.lock(), writer.storage()))
}

/// Do all work, step by step.
fn work_all(collection: &Collection) -> bool {
    attempt(collection, all) && write_checkpoint(collection) && number_anew(collection)
}

/// Open a collection whose background thread is stopped, so that only the test does work.
fn quiet(vfs: &SimVfs) -> Collection {
    quieted(open(vfs))
}

fn quieted(mut collection: Collection) -> Collection {
    let Access::Write(_, background) = &mut collection.access else { panic!("open to write") };
    background.stop();
    collection
}

/// Prepare a collection and leave the merging of its texts to the background.
fn prepare_unmerged(collection: &Collection) {
    let _merging = writer(collection).merging.lock();
    prepare(collection);
}

#[test]
fn a_step_that_fails_or_panics_is_told_and_done_by_the_next_attempt() {
    let mut steps = std::collections::BTreeSet::new();
    for panics in [false, true] {
        for nth in 1.. {
            let vfs = SimVfs::new();
            let collection = quiet(&vfs);
            prepare_unmerged(&collection);
            let faults = &writer(&collection).faults;
            faults.plant(nth, panics);
            let done = work_all(&collection);
            let (met, reached) = faults.clear();
            assert_eq!(done, !reached, "{met:?}");
            if !reached {
                break;
            }
            let step = *met.last().unwrap();
            steps.insert(step);
            let [why] = &collection.troubles().take_untold()[..] else { panic!("one failure is told: {step}") };
            assert!(why.ends_with(&format!("planted: {step}")), "{why}");
            assert_eq!(why.starts_with("a panic"), panics);
            assert_all_is_found(&collection);
            // Later writes must not go into growing segments that count as moved.
            upsert(&collection, 9 * BATCH..10 * BATCH);
            assert!(work_all(&collection), "{step}: {:?}", collection.troubles().last());
            assert_all_is_found(&collection);
            let snapshot = collection.core.snapshot();
            let vectors = snapshot.vectors.as_ref().unwrap();
            assert_eq!((vectors.fresh(), vectors.filling.len()), (0, expected().count()), "{step}");
            assert_eq!(vectors.filling.slots(), vectors.filling.len(), "{step}: the dead are out");
            drop(snapshot);
            drop(collection);
            let segments = vfs.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".seg")).count();
            let collection = open(&vfs);
            assert_all_is_found(&collection);
            assert_eq!(collection.verify().unwrap(), []);
            // Only the files that the store names are left: those of the failed attempt are deleted
            // before the collection is opened again.
            assert_eq!(segments, writer(&collection).store.reader().segments().unwrap().len(), "{step}");
        }
    }
    let expected = [
        "applied",
        "apply",
        "drop segments",
        "forget the dead",
        "merge texts",
        "merged texts",
        "move segments",
        "publish",
        "published",
        "rebuild",
        "rebuilt",
        "renumber",
        "seal segments",
        "take out the dead",
        "write a graph",
        "write texts",
    ];
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), expected);
}

/// Return the storage that the configuration names, which is that of the graph.
fn storage(collection: &Collection) -> Storage {
    let snapshot = collection.core.snapshot();
    let storage = snapshot.config.storage;
    assert_eq!(snapshot.vectors.as_ref().unwrap().filling.options().storage, storage);
    storage
}

#[test]
fn a_change_of_storage_that_fails_or_panics_is_made_by_the_next_attempt() {
    let wanted = Storage::from_name("sq8").unwrap();
    for panics in [false, true] {
        for nth in 1.. {
            let vfs = SimVfs::new();
            let collection = quiet(&vfs);
            prepare(&collection);
            writer(&collection).faults.plant(nth, panics);
            let change = || collection.troubles().attempt(Part::Upkeep, || collection.change_storage(wanted));
            let done = change();
            let (met, reached) = writer(&collection).faults.clear();
            assert_eq!(done, !reached, "{met:?}");
            assert_all_is_found(&collection);
            upsert(&collection, 9 * BATCH..10 * BATCH);
            assert!([Storage::Auto, wanted].contains(&storage(&collection)));
            drop(collection);
            let collection = open(&vfs);
            assert_all_is_found(&collection);
            let after = storage(&collection);
            assert!(after == wanted || !done, "{met:?}");
            collection.change_storage(wanted).unwrap();
            assert_eq!((storage(&collection), collection.verify().unwrap()), (wanted, vec![]));
            drop(collection);
            let collection = open(&vfs);
            assert_all_is_found(&collection);
            assert_eq!(storage(&collection), wanted);
            if !reached {
                break;
            }
        }
    }
}

/// As after an earlier build, which drops the storage from the configuration.
#[test]
fn an_index_with_another_storage_than_the_configuration_is_rebuilt_by_a_compaction() {
    let vfs = SimVfs::new();
    let collection = quiet(&vfs);
    prepare(&collection);
    collection.change_storage(Storage::from_name("sq8").unwrap()).unwrap();
    let forget = |snapshot: &mut Snapshot| {
        snapshot.config = Arc::new(Config { storage: Storage::Auto, ..(*snapshot.config).clone() });
        Ok::<_, String>(())
    };
    writer(&collection).change(forget).unwrap();
    collection.checkpoint().unwrap();
    drop(collection);
    let collection = open(&vfs);
    assert_all_is_found(&collection);
    assert_eq!(collection.config().storage, Storage::Auto);
    collection.compact().unwrap();
    assert_eq!(storage(&collection), Storage::Auto);
    assert_all_is_found(&collection);
}

#[test]
fn an_operation_of_the_disk_that_fails_or_panics_leaves_a_storage_that_opens() {
    let wanted = Storage::from_name("sq8").unwrap();
    for kind in [FaultKind::Io, FaultKind::Full, FaultKind::Panic] {
        for nth in (1..).step_by(3) {
            let vfs = SimVfs::new();
            let collection = quiet(&vfs);
            prepare(&collection);
            vfs.set_fault(Some(Fault { nth, forever: false, kind }));
            let done = collection.troubles().attempt(Part::Upkeep, || collection.change_storage(wanted));
            let reached = vfs.has_met_fault();
            vfs.set_fault(None);
            drop(collection);
            let collection = open(&vfs);
            assert_all_is_found(&collection);
            assert!(storage(&collection) == wanted || !done, "{kind:?} {nth}");
            assert_eq!(collection.verify().unwrap(), [], "{kind:?} {nth}");
            if !reached {
                break;
            }
        }
    }
}

/// A move leaves an empty last growing segment. The next move seals, and a batch arrives before it
/// chooses what to move.
#[test]
fn a_batch_that_comes_after_the_seal_is_not_dropped_with_it() {
    let vfs = SimVfs::new();
    let collection = quiet(&vfs);
    upsert(&collection, 0..BATCH);
    let writer = writer(&collection);
    move_growing(writer).unwrap();
    let (_, segments) = seal(writer).unwrap();
    upsert(&collection, BATCH..2 * BATCH);
    move_sealed(writer, &segments).unwrap();
    for number in 0..2 * BATCH {
        let near = Search { vector: Some(&vector(number)), k: 1, ..Search::default() };
        assert_eq!(collection.search(&near).unwrap().matches[0].id, number.to_string());
    }
}

#[test]
fn rows_do_not_run_out() {
    let vfs = SimVfs::new();
    let collection = quiet(&vfs);
    let most = || collection.core.snapshot().rows;
    for _ in 0..=(1 << 14) / BATCH {
        upsert(&collection, 0..BATCH);
    }
    assert!(most() >= 1 << 14);
    let writer = writer(&collection);
    assert!(
        writer.core.troubles.attempt(Part::Upkeep, || tidy(writer, &mut writer.maintenance.lock(), true)),
        "{:?}",
        collection.troubles().last()
    );
    assert_eq!((most(), collection.len()), (BATCH as u32, BATCH as u64));
    drop(collection);
    let collection = open(&vfs);
    assert_eq!((collection.core.snapshot().rows, collection.verify().unwrap()), (BATCH as u32, vec![]));
}

#[test]
fn the_thread_outlives_a_panic_and_tries_again() {
    let vfs = SimVfs::new();
    let collection = open(&vfs);
    let troubles = collection.troubles();
    writer(&collection).faults.plant(1, true);
    upsert(&collection, 0..MANY);
    while !troubles.is_untold() {
        std::thread::yield_now();
    }
    assert_eq!(troubles.take_untold(), ["a panic: planted: seal segments"]);
    while fresh(&collection.core.snapshot()) > 0 {
        writer(&collection).signal.wake();
        std::thread::yield_now();
    }
    assert_eq!(troubles.take_untold(), [""; 0]);
}

#[test]
fn a_sync_at_an_interval_that_fails_is_told() {
    for kind in [FaultKind::Io, FaultKind::Panic] {
        let vfs = SimVfs::new();
        let collection = open(&vfs);
        let troubles = collection.troubles();
        upsert(&collection, 0..1);
        collection.checkpoint().unwrap();
        vfs.set_fault(Some(Fault { nth: 2, forever: true, kind }));
        // The append of this batch is the last operation that succeeds.
        upsert(&collection, 1..2);
        while !troubles.is_untold() {
            std::thread::yield_now();
        }
        vfs.set_fault(None);
        let told = troubles.take_untold().join("; ");
        assert!(told.contains("simulated"), "{told}");
        let stats = collection.stats().unwrap();
        assert!(stats.trouble.is_some_and(|trouble| trouble.what.contains("simulated")));
        let refused = collection.delete(vec!["0".into()]).unwrap_err();
        assert!(refused.to_string().starts_with("writes are refused"), "{refused}");
        drop(collection);
        assert_eq!(open(&vfs).len(), 2);
    }
}

/// The disk fails or panics in every operation of upkeep: every acknowledged write is still there,
/// now and after reopening.
#[test]
fn an_operation_of_the_disk_that_fails_or_panics_loses_nothing() {
    for kind in [FaultKind::Io, FaultKind::Full, FaultKind::Panic] {
        for nth in (1..).step_by(5) {
            let vfs = SimVfs::new();
            let collection = quiet(&vfs);
            prepare(&collection);
            let before = vfs.counts().all;
            vfs.set_fault(Some(Fault { nth, forever: false, kind }));
            let done = work_all(&collection);
            let reached = vfs.counts().all - before >= nth;
            vfs.set_fault(None);
            if !done {
                assert!(collection.troubles().is_untold());
            }
            let again = work_all(&collection);
            let latched = collection.delete(vec!["none".into()]).is_err();
            assert!(again || latched, "{kind:?} {nth}: {:?}", collection.troubles().last());
            drop(collection);
            let collection = open(&vfs);
            assert_all_is_found(&collection);
            assert_eq!(collection.verify().unwrap(), [], "{kind:?} {nth}");
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn the_end_of_a_collection_that_is_dropped_tells_what_went_wrong() {
    for kind in [FaultKind::Io, FaultKind::Panic] {
        let vfs = SimVfs::new();
        let collection = open(&vfs);
        let troubles = collection.troubles();
        upsert(&collection, 0..2000);
        collection.wait_idle().unwrap();
        vfs.set_fault(Some(Fault { nth: 1, forever: true, kind }));
        drop(collection);
        vfs.set_fault(None);
        let told = troubles.take_untold().join("; ");
        assert!(told.contains("simulated"), "{told}");
        assert_eq!(open(&vfs).len(), 2000);
    }
}
