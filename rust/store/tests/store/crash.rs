//! A power cut after any operation: everything acknowledged is present, the step under way as a
//! whole or not at all, and the store goes on. The long form takes the number of images from
//! `TIERCEL_CRASH_IMAGES`, and other images for another `TIERCEL_SEED`.

use crate::model::{self, ALWAYS, Model, NEVER, SECTION, Step, content, create, do_step, open, steps};
use tiercel_container::sim::{Bug, SimVfs};
use tiercel_store::{OpenError, Options};

/// Counts of images, and of those that a crash must never leave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    images: u64,
    /// Images with neither the last acknowledged state nor the one after it, or that cannot be
    /// opened.
    wrong: u64,
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// Do the steps on a recorded disk, and look at about `images` images of it.
fn crash(seed: u64, options: Options, images: u64, bug: Option<Bug>) -> Outcome {
    let steps = steps(seed, 40);
    let vfs = SimVfs::new();
    vfs.record();
    if let Some(bug) = bug {
        vfs.plant(bug);
    }
    let store = create(&vfs, options);
    let mut models = vec![Model::default()];
    vfs.mark(1);
    for step in &steps {
        do_step(&store, step).unwrap();
        let mut model = models[models.len() - 1].clone();
        model.apply(step);
        assert_eq!(Model::of(&store.reader()).unwrap(), model);
        models.push(model);
        vfs.mark(models.len() as u64);
    }
    store.close().unwrap();

    let mut events = 0;
    let mut replay = vfs.replay();
    while replay.step() {
        events += 1;
    }
    let each = images.div_ceil(events);
    let mut outcome = Outcome::default();
    let mut replay = vfs.replay();
    let mut event = 0;
    while replay.step() {
        event += 1;
        for image in 0..each {
            outcome.images += 1;
            let image = replay.image(seed ^ (event << 20) ^ image);
            outcome.wrong += u64::from(!is_right(&image, &models, replay.mark() as usize));
        }
    }
    outcome
}

/// Whether an image holds the state after `mark` marks or the one after that; mark 1 is the empty
/// store.
pub(crate) fn is_right(image: &SimVfs, models: &[Model], mark: usize) -> bool {
    let possible = &models[mark.saturating_sub(1)..models.len().min(mark + 1)];
    // A reader sees what a writer would find.
    let view = match model::view(image).reader() {
        Ok(reader) => Model::of(&reader).is_ok_and(|found| possible.contains(&found)),
        Err(error) => matches!(error, OpenError::NotFound) && mark == 0,
    };
    if !view {
        return false;
    }
    let store = match open(image, ALWAYS) {
        Ok(store) => store,
        Err(OpenError::NotFound) => return mark == 0,
        Err(_) => return false,
    };
    let Ok(found) = Model::of(&store.reader()) else { return false };
    if !possible.contains(&found) {
        return false;
    }
    let whole = |name: &String| {
        let segment = store.open_segment(name);
        segment.and_then(|segment| segment.read(SECTION)).is_ok_and(|bytes| bytes == content(name))
    };
    if !found.segments.iter().all(whole) || !store.verify().is_ok_and(|damage| damage.is_empty()) {
        return false;
    }
    // It goes on, and what it writes then is present after it is closed.
    let step = Step::Commit(model::batch(&mut model::Random(mark as u64)));
    let mut expected = found;
    expected.apply(&step);
    if do_step(&store, &step).is_err() || store.close().is_err() {
        return false;
    }
    open(image, ALWAYS).is_ok_and(|store| Model::of(&store.reader()).is_ok_and(|found| found == expected))
}

#[test]
fn nothing_acknowledged_is_lost_and_no_batch_is_there_in_part() {
    const EACH: u64 = 1_000;
    let first = from_environment("TIERCEL_SEED", 0) << 32;
    for round in 0..from_environment("TIERCEL_CRASH_IMAGES", 2_000).div_ceil(EACH) {
        let seed = first + round;
        let outcome = crash(seed, ALWAYS, EACH, None);
        assert!(outcome.images >= EACH);
        assert_eq!(outcome.wrong, 0, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn harness_finds_a_sync_that_is_skipped() {
    assert!(crash(3, ALWAYS, 300, Some(Bug::SkipSync)).wrong > 0);
}

#[test]
fn harness_finds_a_sync_of_the_log_that_is_skipped() {
    assert!(crash(3, ALWAYS, 300, Some(Bug::SkipSyncOf("log-"))).wrong > 0);
}

#[test]
fn harness_finds_a_sync_of_the_records_that_is_skipped() {
    assert!(crash(3, ALWAYS, 300, Some(Bug::SkipSyncOf("records"))).wrong > 0);
}

#[test]
fn harness_finds_a_sync_of_the_directory_that_is_skipped() {
    assert!(crash(3, ALWAYS, 300, Some(Bug::SkipSyncDir)).wrong > 0);
}

#[test]
fn harness_finds_an_acknowledgement_that_comes_too_early() {
    assert!(crash(3, NEVER, 300, None).wrong > 0);
}

/// A crash of the process loses nothing, whatever the durability.
#[test]
fn without_durability_a_killed_process_loses_nothing() {
    let vfs = SimVfs::new();
    let store = create(&vfs, NEVER);
    let mut model = Model::default();
    for step in steps(6, 60) {
        do_step(&store, &step).unwrap();
        model.apply(&step);
        let left = open(&vfs.snapshot(), NEVER).unwrap();
        assert_eq!(Model::of(&left.reader()).unwrap(), model);
    }
}

/// Without durability, a crash may lose the latest commits, but leaves the state after one of them.
#[test]
fn without_durability_an_earlier_state_is_left() {
    let steps = steps(5, 40);
    let vfs = SimVfs::new();
    vfs.record();
    let store = create(&vfs, NEVER);
    vfs.mark(1);
    let mut models = vec![Model::default()];
    let mut synced = 1;
    for (index, step) in steps.iter().enumerate() {
        do_step(&store, step).unwrap();
        let mut model = models[models.len() - 1].clone();
        model.apply(step);
        models.push(model);
        if index % 7 == 6 {
            store.sync().unwrap();
            synced = models.len() as u64;
        }
        vfs.mark(synced);
    }
    let mut replay = vfs.replay();
    let mut seed = 0;
    while replay.step() {
        seed += 1;
        let image = replay.image(seed);
        if replay.mark() == 0 {
            continue;
        }
        let store = open(&image, NEVER).unwrap();
        let found = Model::of(&store.reader()).unwrap();
        let from = replay.mark() as usize - 1;
        assert!(models[from..].contains(&found), "image {seed}");
    }
}

/// A crash within the recovery from a crash, and so on.
#[test]
fn crashes_in_a_chain_lose_nothing() {
    let mut vfs = SimVfs::new();
    create(&vfs, ALWAYS).close().unwrap();
    let mut model = Model::default();
    for round in 0..40 {
        vfs.record();
        let store = open(&vfs, ALWAYS).unwrap();
        let found = Model::of(&store.reader()).unwrap();
        let batch = model::batch(&mut model::Random(1_000 + round));
        let mut after = found.clone();
        assert_eq!(store.commit(batch.clone(), |_| ()).unwrap(), after.commit(&batch));
        vfs.mark(1);
        drop(store);
        let (model_before, model_after) = (model, after.clone());
        assert_eq!(found, model_before);
        let mut replay = vfs.replay();
        let steps = model::Random(round).below(60);
        for _ in 0..=steps {
            replay.step();
        }
        let image = replay.image(round);
        let left = Model::of(&open(&image, ALWAYS).unwrap().reader()).unwrap();
        assert!(left == model_after || left == model_before && replay.mark() == 0, "round {round}");
        model = left;
        // The image as the crash left it, not as opening it left it.
        vfs = replay.image(round);
    }
}
