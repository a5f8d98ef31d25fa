//! A power cut after any operation of the disk: what was flushed is there, no key has a value from
//! before a flush that it had no more at that flush, and the tier goes on. The long form takes the
//! number of images from `TIERCEL_CRASH_IMAGES`, and other images for another `TIERCEL_SEED`. A seed
//! repeats the steps, but not every image: logs have random numbers.

use tiercel_container::sim::{Bug, SimVfs};

use crate::simulated::{
    BOTH, Contents, Kind, Model, Random, Simulated, Step, across_segments, are_possible, look, steps,
};

/// Counts of images, and of those that a crash must never leave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    images: u64,
    wrong: u64,
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// A mistake to be found.
#[derive(Clone, Copy)]
enum Plant {
    OfDisk(Bug),
    /// What was only written counts as flushed.
    EarlyFlush,
}

/// Do steps on a recorded disk; return what it held after each, and mark each on the recording.
fn record(kind: Kind, contents: &Contents, steps: &[Step], plant: Option<Plant>) -> (SimVfs, Vec<Model>) {
    let vfs = SimVfs::new();
    vfs.record();
    if let Some(Plant::OfDisk(bug)) = plant {
        vfs.plant(bug);
    }
    let mut tier = Simulated::open(kind, &vfs).expect("a new tier");
    let mut models = vec![Model::default()];
    vfs.mark(1);
    for step in steps {
        let mut model = models[models.len() - 1].clone();
        let done = match (plant, *step) {
            (Some(Plant::EarlyFlush), Step::Flush) => Step::WriteOut,
            (_, step) => step,
        };
        assert!(tier.step(contents, done), "{step:?}");
        model.apply(*step);
        let now = model.now.iter().map(|(key, value)| (*key, Some(*value))).collect();
        assert_eq!(tier.values(contents), now, "{step:?}");
        models.push(model);
        vfs.mark(models.len() as u64);
    }
    let counts = tier.tier().expect("an open tier").counts();
    assert_eq!((counts.evictions, counts.failures, counts.damaged), (0, 0, 0));
    tier.close();
    (vfs, models)
}

/// Do steps, and look at about `images` images of the disk after operations since a mark.
fn crash(kind: Kind, seed: u64, steps: &[Step], images: u64, since: u64, plant: Option<Plant>) -> Outcome {
    let contents = Contents::of(kind);
    let (vfs, models) = record(kind, &contents, steps, plant);
    let mut events = 0;
    let mut replay = vfs.replay();
    while replay.step() {
        events += u64::from(replay.mark() >= since);
    }
    let each = images.div_ceil(events);
    let mut outcome = Outcome::default();
    let mut replay = vfs.replay();
    let mut event = 0;
    while replay.step() {
        event += 1;
        for image in (0..each).filter(|_| replay.mark() >= since) {
            outcome.images += 1;
            let image = replay.image(seed ^ (event << 20) ^ image);
            let wrong = what_is_wrong(kind, &contents, &image, &models, replay.mark() as usize);
            outcome.wrong += u64::from(wrong.is_some());
            if let (Some(wrong), None) = (wrong, plant) {
                panic!("{kind:?}, seed {seed}, event {event}, mark {}: {wrong}", replay.mark());
            }
        }
    }
    outcome
}

/// What no crash may leave, in an image of the disk after `mark` marks or before the next one; mark
/// 1 is the new tier.
fn what_is_wrong(kind: Kind, contents: &Contents, image: &SimVfs, models: &[Model], mark: usize) -> Option<String> {
    let possible = &models[mark.saturating_sub(1)..models.len().min(mark + 1)];
    let looked = look(kind, image).map(|look| (look.len(), look.damaged()));
    let mut tier = match Simulated::open(kind, image) {
        Ok(tier) => tier,
        Err(error) => return Some(format!("it cannot be opened: {error}")),
    };
    let len = tier.tier().expect("an open tier").len();
    if mark > 0 && !looked.as_ref().is_ok_and(|looked| looked.0 == len) {
        return Some(format!("a look found {looked:?} in place of {len} keys"));
    }
    let found = tier.values(contents);
    if !are_possible(kind, possible, &found) {
        return Some(format!("{found:?} in place of {possible:?}"));
    }
    let left = tier.left_behind(contents, &found);
    // A log whose `synced` has no name yet counts as damaged.
    if mark > 0 && !left.is_empty() {
        return Some(format!("nobody will remove {left:?}"));
    }
    // It goes on, and what is flushed then is present after the next crash.
    let last = Step::Put(0, 1);
    if !tier.step(contents, last) || !tier.step(contents, Step::Flush) {
        return Some("it does not go on".into());
    }
    let mut expected = found;
    expected.insert(0, Some(1));
    let again = Simulated::open(kind, &image.snapshot()).expect("a tier").values(contents);
    (again != expected).then(|| format!("{again:?} after {expected:?} were flushed"))
}

#[test]
fn what_was_flushed_is_there_and_nothing_older_comes_back() {
    const EACH: u64 = 1_000;
    let first = from_environment("TIERCEL_SEED", 0) << 32;
    for round in 0..from_environment("TIERCEL_CRASH_IMAGES", 2_000).div_ceil(EACH) {
        for kind in BOTH {
            let seed = first + round;
            let outcome = crash(kind, seed, &steps(kind, &mut Random(seed), 120), EACH, 0, None);
            assert!(outcome.images >= EACH);
        }
    }
}

#[test]
fn a_clear_that_is_cut_off_leaves_a_tier_and_nothing_that_was_replaced() {
    for kind in BOTH {
        let large = [Step::Put(1, 5), Step::Put(2, 11), Step::WriteOut];
        let again = [Step::Clear, Step::Put(1, 5), Step::WriteOut];
        for before in [&large[..], &again, &across_segments(kind)] {
            let steps = [before, &[Step::Clear]].concat();
            crash(kind, 5, &steps, 4_000, steps.len() as u64, None);
        }
    }
}

fn is_found(kind: Kind, plant: Plant) -> bool {
    crash(kind, 3, &steps(kind, &mut Random(3), 120), 300, 0, Some(plant)).wrong > 0
}

#[test]
fn harness_finds_a_sync_that_is_skipped() {
    for kind in BOTH {
        assert!(is_found(kind, Plant::OfDisk(Bug::SkipSync)), "{kind:?}");
    }
}

#[test]
fn harness_finds_a_sync_of_the_log_that_is_skipped() {
    for kind in BOTH {
        assert!(is_found(kind, Plant::OfDisk(Bug::SkipSyncOf("log-"))), "{kind:?}");
    }
}

#[test]
fn harness_finds_a_sync_of_a_content_that_is_skipped() {
    // Contents are named by their hashes.
    for digit in ["3", "6", "a", "f"] {
        assert!(is_found(Kind::Files, Plant::OfDisk(Bug::SkipSyncOf(digit))), "{digit}");
    }
}

#[test]
fn harness_finds_a_sync_of_a_directory_that_is_skipped() {
    for kind in BOTH {
        assert!(is_found(kind, Plant::OfDisk(Bug::SkipSyncDir)), "{kind:?}");
    }
}

#[test]
fn harness_finds_a_flush_that_returns_too_early() {
    for kind in BOTH {
        assert!(is_found(kind, Plant::EarlyFlush), "{kind:?}");
    }
}

/// A crash within the recovery from a crash, and so on.
#[test]
fn crashes_in_a_chain_lose_nothing() {
    for kind in BOTH {
        let (contents, mut random) = (Contents::of(kind), Random(7));
        let mut vfs = SimVfs::new();
        Simulated::open(kind, &vfs).expect("a new tier").close();
        let mut possible = vec![Model::default()];
        for round in 0..150 {
            vfs.record();
            let mut tier = Simulated::open(kind, &vfs).expect("a tier");
            let found = tier.values(&contents);
            assert!(are_possible(kind, &possible, &found), "{kind:?}, round {round}: {found:?} of {possible:?}");
            let mut models = vec![Model::after_crash(kind, &possible, &found)];
            vfs.mark(1);
            for step in steps(kind, &mut random, 10) {
                assert!(tier.step(&contents, step), "{kind:?}, round {round}: {step:?}");
                let mut model = models[models.len() - 1].clone();
                model.apply(step);
                models.push(model);
                vfs.mark(models.len() as u64);
            }
            tier.close();
            let mut events = 0;
            let mut replay = vfs.replay();
            while replay.step() {
                events += 1;
            }
            let mut replay = vfs.replay();
            for _ in 0..random.below(events) {
                replay.step();
            }
            let mark = replay.mark() as usize;
            possible = models[mark.saturating_sub(1)..models.len().min(mark + 1)].to_vec();
            vfs = replay.image(round);
        }
    }
}
