//! Vectors that the graph has not caught up with.

use super::*;

#[test]
fn what_was_moved_is_dropped_before_the_next_move() {
    let vfs = SimVfs::new();
    let collection = quiet(&vfs);
    let segments = MOVED + 2;
    for batch in 0..segments {
        upsert(&collection, batch * BATCH..(batch + 1) * BATCH);
        let next = |snapshot: &mut Snapshot| {
            snapshot.vectors = snapshot.vectors.as_ref().map(Vectors::with_new_segment).transpose()?;
            Ok::<_, String>(())
        };
        writer(&collection).change(next).unwrap();
    }
    // It seals, moves, drops and moves.
    let faults = &writer(&collection).faults;
    faults.plant(4, false);
    assert!(!attempt(&collection, |writer| move_growing(writer).map(drop)));
    assert_eq!(faults.clear().0, ["seal segments", "move segments", "drop segments", "move segments"]);
    assert_eq!(fresh(&collection.core.snapshot()), 2 * BATCH);
    assert!(attempt(&collection, |writer| move_growing(writer).map(drop)));
    let snapshot = collection.core.snapshot();
    let vectors = snapshot.vectors.as_ref().unwrap();
    assert_eq!((vectors.fresh(), vectors.filling.len()), (0, segments * BATCH));
}

#[test]
fn a_move_that_is_stopped_has_moved_nothing_and_can_be_repeated() {
    let vfs = SimVfs::new();
    let collection = quiet(&vfs);
    upsert(&collection, 0..BATCH);
    writer(&collection).stopping.store(true, Ordering::Relaxed);
    assert!(!attempt(&collection, |writer| move_growing(writer).map(drop)));
    assert_eq!(fresh(&collection.core.snapshot()), BATCH);
    writer(&collection).stopping.store(false, Ordering::Relaxed);
    assert!(attempt(&collection, |writer| move_growing(writer).map(drop)));
    let snapshot = collection.core.snapshot();
    let vectors = snapshot.vectors.as_ref().unwrap();
    assert_eq!((vectors.fresh(), vectors.filling.len()), (0, BATCH));
}

#[test]
fn closing_leaves_what_is_far_behind_to_the_next_opening() {
    let vfs = SimVfs::new();
    let collection = open(&vfs);
    let (shared, troubles) = (Arc::clone(writer(&collection)), collection.troubles());
    // Until the collection is being closed, the background does nothing. These would take it more than a
    // second, as far as it knows.
    let maintenance = shared.maintenance.lock();
    let count = 21 * 1024;
    for first in (0..count).step_by(1024) {
        upsert(&collection, first..first + 1024);
    }
    let closing = std::thread::spawn(move || collection.close());
    while shared.signal.pool.has(shared.signal.upkeep) {
        std::thread::yield_now();
    }
    drop(maintenance);
    closing.join().unwrap().unwrap();
    assert_eq!(troubles.last(), None);
    assert!(!shared.snapshot().vectors.as_ref().unwrap().filling.contains(0));
    drop(shared);
    let collection = open(&vfs);
    assert_eq!((collection.len(), collection.verify().unwrap()), (count as u64, vec![]));
    collection.wait_idle().unwrap();
    let snapshot = collection.core.snapshot();
    let vectors = snapshot.vectors.as_ref().unwrap();
    assert_eq!((vectors.fresh(), vectors.filling.len()), (0, count));
}
