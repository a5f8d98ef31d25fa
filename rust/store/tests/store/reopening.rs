//! A power cut after a failure and another opening. What the system holds in memory looks as if it
//! were on the disk, to whoever opens the store next, but a power cut may take it away. The long
//! form, for `TIERCEL_REOPENINGS`, looks at the disk after every event, with more seeds.

use crate::crash::is_right;
use crate::model::{self, ALWAYS, Model, Step, create, do_step, open, steps};
use tiercel_container::sim::{Fault, FaultKind, SimVfs};

/// Steps that the disk is to last for.
const STEPS: usize = 10;
/// The disk is looked at after one of this many events. Which one depends on the fault.
const STRIDE: u64 = 2;

/// Do steps until the fault ends them, open the store again, and look at images of the disk from
/// then on. Return the number of events before that; `None` if the fault was not met.
fn reopen(seed: u64, fault: Fault, events_before: u64) -> Option<u64> {
    let vfs = SimVfs::new();
    vfs.record();
    let store = create(&vfs, ALWAYS);
    vfs.set_fault(Some(fault));
    let mut acknowledged = Model::default();
    // Not every fault is an error: some of what fails only makes later work quick.
    let failed = steps(seed, STEPS).into_iter().find(|step| {
        let failed = do_step(&store, step).is_err();
        if !failed {
            acknowledged.apply(step);
        }
        failed
    });
    drop(store);
    if !vfs.has_met_fault() {
        return None;
    }
    vfs.set_fault(None);
    let mut replay = vfs.replay();
    let events = std::iter::from_fn(|| replay.step().then_some(())).count() as u64;
    if events == events_before {
        // Only reads since: the disk is as it was after an earlier fault.
        return Some(events);
    }
    vfs.mark(1);
    let store = open(&vfs, ALWAYS).unwrap();
    vfs.mark(2);
    let found = Model::of(&store.reader()).unwrap();
    let mut after = acknowledged.clone();
    if let Some(step) = &failed {
        after.apply(step);
    }
    assert!(found == acknowledged || found == after, "{fault:?}: {failed:?}");
    let step = Step::Commit(model::batch(&mut model::Random(7)));
    do_step(&store, &step).unwrap();
    let mut last = found.clone();
    last.apply(&step);
    vfs.mark(3);
    store.close().unwrap();
    let models = [acknowledged, found, last];
    let (mut replay, mut event) = (vfs.replay(), 0);
    let stride = if is_long() { 1 } else { STRIDE };
    while replay.step() {
        event += 1;
        if replay.mark() > 0 && (event + fault.nth) % stride == stride - 1 {
            let image = replay.image(event << 20);
            let is_right = is_right(&image, &models, replay.mark() as usize);
            assert!(is_right, "seed {seed}, {fault:?}: {failed:?}: event {event}");
        }
    }
    Some(events)
}

fn is_long() -> bool {
    std::env::var_os("TIERCEL_REOPENINGS").is_some()
}

fn reopen_after_each(kind: FaultKind, forever: bool, seed: u64) {
    for seed in if is_long() { seed..seed + 6 } else { seed..seed + 1 } {
        let mut events = 0;
        for nth in 1.. {
            match reopen(seed, Fault { nth, forever, kind }, events) {
                Some(before) => events = before,
                None => break,
            }
        }
        assert!(events > 0);
    }
}

/// A failure of everything is the end of a process that is killed.
#[test]
fn nothing_is_removed_that_a_power_cut_after_a_kill_makes_necessary() {
    reopen_after_each(FaultKind::Io, true, 5);
}

#[test]
fn what_a_failed_sync_lost_is_written_again() {
    reopen_after_each(FaultKind::LostSync, false, 0);
}

#[test]
fn what_a_failed_sync_lost_of_other_steps_is_written_again() {
    reopen_after_each(FaultKind::LostSync, false, 10);
}
