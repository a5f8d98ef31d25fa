//! Every operation of the disk fails, once or for ever: no key has a wrong value, and once the disk
//! works again, the tier keeps, flushes and finds again what is put. The long form, `TIERCEL_FAULTS=1`,
//! fails every single operation.

use tiercel_container::make_directory;
use tiercel_container::sim::{Bug, Fault, FaultKind, SimVfs};

use crate::simulated::{BOTH, Contents, Kind, Model, Random, Simulated, Step, across_segments, directory, keys, steps};

/// If the tier was opened again, it holds what the disk has: anything that keys had since the last
/// flush.
fn take_up(tier: &mut Simulated, contents: &Contents, model: &mut Model, what: &str) {
    if tier.was_opened_again() {
        model.now = tier.known_values(contents, what);
        for key in keys() {
            let value = model.now.get(&key).copied();
            assert!(model.allows_or_forgets(key, value), "{what}: {value:?} of {key}, {model:?}");
        }
    }
}

/// Do steps while an operation fails; return false if there are fewer operations.
fn fail(kind: Kind, steps: &[Step], fault: Fault, bug: Option<Bug>) -> bool {
    let (contents, vfs) = (Contents::of(kind), SimVfs::new());
    vfs.record();
    // A directory whose sync failed is not synced again when something is made in it.
    make_directory(&vfs, directory().parent().expect("a directory"), None).expect("a directory");
    let before = vfs.counts().all;
    let mut tier = Simulated::closed(kind, &vfs);
    vfs.set_fault(Some(fault));
    if let Some(bug) = bug {
        vfs.plant(bug);
    }
    let mut model = Model::default();
    for step in steps {
        let what = format!("{kind:?}, {fault:?}, {step:?}");
        // This may fail.
        let _ = tier.tier();
        take_up(&mut tier, &contents, &mut model, &what);
        let done = tier.step(&contents, *step);
        take_up(&mut tier, &contents, &mut model, &what);
        model.apply_to_a_failing_disk(*step, done);
        let values = tier.known_values(&contents, &what);
        let mut wrong = values.iter().filter(|(key, value)| model.now.get(*key) != Some(value));
        assert_eq!(wrong.next(), None, "{what}: {model:?}");
    }
    let reached = vfs.counts().all - before >= fault.nth;
    vfs.set_fault(None);
    assert!(tier.tier().is_ok(), "{kind:?}, {fault:?}");
    let last = Step::Put(3, 3);
    assert!(tier.step(&contents, last), "{fault:?}");
    // The first flush reports what was forgotten before.
    assert!(tier.step(&contents, Step::Flush) || tier.step(&contents, Step::Flush), "{fault:?}");
    let found = tier.values(&contents);
    let mut replay = vfs.replay();
    while replay.step() {}
    for seed in 0..4 {
        let again = Simulated::open(kind, &replay.image(seed)).expect("a tier").values(&contents);
        assert_eq!(again, found, "{fault:?}");
    }
    reached
}

fn fail_all(fault: FaultKind, bug: Option<Bug>) {
    let stride = if std::env::var_os("TIERCEL_FAULTS").is_some() { 1 } else { 5 };
    for kind in BOTH {
        let segments = [&across_segments(kind)[..], &[Step::Clear, Step::Put(1, 5), Step::Flush]].concat();
        for steps in [steps(kind, &mut Random(2), 30), segments] {
            for forever in [false, true] {
                let does_fail = |nth: &u64| fail(kind, &steps, Fault { nth: *nth, forever, kind: fault }, bug);
                assert!((1..).step_by(stride).take_while(does_fail).count() > 1, "{kind:?}, {fault:?}");
            }
        }
    }
}

#[test]
fn a_failing_disk_costs_values_and_makes_none_wrong() {
    fail_all(FaultKind::Io, None);
}

#[test]
fn a_write_that_ends_early_costs_values_and_makes_none_wrong() {
    fail_all(FaultKind::ShortWrite, None);
}

#[test]
fn a_full_disk_costs_values_and_makes_none_wrong() {
    fail_all(FaultKind::Full, None);
}

#[test]
fn a_disk_that_becomes_read_only_costs_values_and_makes_none_wrong() {
    fail_all(FaultKind::ReadOnly, None);
}

#[test]
fn a_quota_that_only_a_sync_reports_costs_values_and_makes_none_wrong() {
    fail_all(FaultKind::LateQuota, None);
}

#[test]
fn harness_finds_a_write_whose_failure_is_hidden() {
    let hide = || fail_all(FaultKind::ShortWrite, Some(Bug::HideFailedWrites));
    assert!(std::panic::catch_unwind(hide).is_err());
}
