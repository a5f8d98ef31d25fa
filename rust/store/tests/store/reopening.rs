//! A power cut after a failure and another opening. What the system holds in memory looks as if it
//! were on the disk, to whoever opens the store next, but a power cut may take it away.

use crate::crash::is_right;
use crate::model::{self, ALWAYS, Model, Step, create, do_step, open, steps};
use tiercel_container::sim::{Fault, FaultKind, SimVfs};

/// Images of the disk after each event.
const EACH: u64 = 1;
/// Steps that the disk is to last for.
const STEPS: usize = 14;
const SEED: u64 = 1;

/// Do steps until the fault ends them, open the store again, and look at images of the disk from
/// then on. Return the number of events before that; `None` if the fault was not met.
fn reopen(fault: Fault, events_before: u64) -> Option<u64> {
    let vfs = SimVfs::new();
    vfs.record();
    let store = create(&vfs, ALWAYS);
    vfs.set_fault(Some(fault));
    let mut acknowledged = Model::default();
    let failed = steps(SEED, STEPS).into_iter().find(|step| {
        let failed = do_step(&store, step).is_err();
        if !failed {
            acknowledged.apply(step);
        }
        failed
    });
    drop(store);
    vfs.set_fault(None);
    let failed = failed?;
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
    after.apply(&failed);
    assert!(found == acknowledged || found == after, "{fault:?}: {failed:?}");
    let step = Step::Commit(model::batch(&mut model::Random(7)));
    do_step(&store, &step).unwrap();
    let mut last = found.clone();
    last.apply(&step);
    vfs.mark(3);
    store.close().unwrap();
    let models = [acknowledged, found, last];
    let (mut replay, mut event) = (vfs.replay(), 0);
    while replay.step() {
        event += 1;
        let seeds = if replay.mark() > 0 { 0..EACH } else { 0..0 };
        for seed in seeds {
            let image = replay.image(event << 20 | seed);
            assert!(is_right(&image, &models, replay.mark() as usize), "{fault:?}: {failed:?}: event {event}, {seed}");
        }
    }
    Some(events)
}

fn reopen_after_each(kind: FaultKind, forever: bool) {
    let mut events = 0;
    for nth in 1.. {
        match reopen(Fault { nth, forever, kind }, events) {
            Some(before) => events = before,
            None => break,
        }
    }
    assert!(events > 0);
}

/// A failure of everything is the end of a process that is killed.
#[test]
fn nothing_is_removed_that_a_power_cut_after_a_kill_makes_necessary() {
    reopen_after_each(FaultKind::Io, true);
}

/// This passes even if an opening does not write the bytes again; see docs/design/next.md.
#[test]
fn what_a_failed_sync_lost_is_written_again() {
    reopen_after_each(FaultKind::LostSync, false);
}
