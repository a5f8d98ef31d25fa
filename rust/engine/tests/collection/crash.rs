//! A power cut after any disk operation: acknowledged writes are found in every way, the
//! interrupted call is there completely or not at all, and the collection goes on working. In the
//! long form, `TIERCEL_CRASH_IMAGES` sets the number of images.

use tiercel_container::sim::{Bug, Replay, SimVfs};
use tiercel_engine::{Collection, Durability, OpenError};

use crate::long::{Tally, seed, size};
use crate::model::{Call, Model, act, apply, calls, check, of};
use crate::{open_sim, open_sim_with};

/// A recorded disk, and the content of the collection after each call.
struct Recorded {
    vfs: SimVfs,
    models: Vec<Model>,
}

/// A planted mistake that these tests must find.
#[derive(Clone, Copy)]
enum Mistake {
    Disk(Bug),
    /// Calls return before their writes are on disk.
    Early,
}

/// Run calls on a recorded disk. Mark `n` is set when `n` calls, including the opening, have
/// returned; work of the background thread at the same time does not move it.
fn record(seed: u64, mistake: Option<Mistake>) -> Recorded {
    let vfs = SimVfs::new();
    vfs.record();
    if let Some(Mistake::Disk(bug)) = mistake {
        vfs.plant(bug);
    }
    let durability = if matches!(mistake, Some(Mistake::Early)) { Durability::None } else { Durability::Always };
    let open = || open_sim_with(&vfs, 3, durability).unwrap();
    let mut collection = open();
    let mut models = vec![Model::new()];
    vfs.mark(1);
    for call in calls(seed, 30) {
        if let Call::Reopen = call {
            collection.close().unwrap();
            collection = open();
        }
        act(&collection, &call).unwrap();
        let mut model = models[models.len() - 1].clone();
        apply(&mut model, &call);
        models.push(model);
        vfs.mark(models.len() as u64);
    }
    collection.close().unwrap();
    Recorded { vfs, models }
}

/// Check `images` images of a recording, spread over all of it, and return how many are not right
/// by `is_right`.
pub(crate) fn wrong(
    vfs: &SimVfs,
    seed: u64,
    images: u64,
    tally: &mut Tally,
    mut is_right: impl FnMut(&SimVfs, &Replay) -> bool,
) -> u64 {
    let mut events = 0;
    let mut replay = vfs.replay();
    while replay.step() {
        events += 1;
    }
    let (mut replay, mut looked, mut wrong) = (vfs.replay(), 0, 0);
    for event in 1..=events {
        replay.step();
        // If there are fewer images than events, each seed picks different ones.
        let due = (images * event + seed * 7 % events) / events;
        while looked < due.min(images) {
            looked += 1;
            let image = replay.image(seed ^ (event << 20) ^ (looked << 44));
            wrong += u64::from(!is_right(&image, &replay));
            tally.add();
        }
    }
    wrong
}

/// Whether an image has an allowed content after the calls that had returned, and can be used.
fn is_right(image: &SimVfs, models: &[Model], mark: usize) -> bool {
    let Ok(collection) = open_sim(image) else { return false };
    let Ok(mut model) = of(&collection) else { return false };
    if !models[mark.saturating_sub(1)..models.len().min(mark + 1)].contains(&model) {
        return false;
    }
    check(&collection, &model);
    assert_eq!(collection.verify().unwrap(), []);
    goes_on(collection, image, &mut model).unwrap();
    true
}

/// Check that writes after the crash are there after closing and reopening.
fn goes_on(collection: Collection, image: &SimVfs, model: &mut Model) -> Result<(), OpenError> {
    for call in [Call::Upsert(vec![(3, Some([7, -7]), 77), (11, None, 5)]), Call::Delete(vec![4]), Call::Checkpoint] {
        act(&collection, &call).unwrap();
        apply(model, &call);
    }
    check(&collection, model);
    collection.close().unwrap();
    check(&open_sim(image)?, model);
    Ok(())
}

fn wrong_of(recorded: &Recorded, seed: u64, images: u64, tally: &mut Tally) -> u64 {
    let models = &recorded.models;
    wrong(&recorded.vfs, seed, images, tally, |image, replay| is_right(image, models, replay.mark() as usize))
}

#[test]
fn nothing_acknowledged_is_lost_and_no_call_is_there_in_part() {
    const EACH: u64 = 150;
    let asked = size("TIERCEL_CRASH_IMAGES");
    let rounds = asked.unwrap_or(2 * EACH).div_ceil(EACH);
    let mut tally = Tally::new("images", rounds * EACH, asked.is_some());
    for seed in seed()..seed() + rounds {
        assert_eq!(wrong_of(&record(seed, None), seed, EACH, &mut tally), 0, "seed {seed}");
    }
}

/// Whether images are wrong with a planted mistake.
fn finds(mistake: Mistake) -> bool {
    let mut tally = Tally::new("images with a mistake", 0, false);
    wrong_of(&record(3, Some(mistake)), 3, 100, &mut tally) > 0
}

#[test]
fn harness_finds_a_sync_that_is_skipped() {
    assert!(finds(Mistake::Disk(Bug::SkipSync)));
}

#[test]
fn harness_finds_a_sync_of_the_directory_that_is_skipped() {
    assert!(finds(Mistake::Disk(Bug::SkipSyncDir)));
}

#[test]
fn harness_finds_an_acknowledgement_that_comes_too_early() {
    assert!(finds(Mistake::Early));
}
