//! A power cut after any operation of the disk: what was acknowledged is found in every way, the call under way as a whole or not
//! at all, and the collection goes on. The long form takes the number of images from `TIERCEL_CRASH_IMAGES`.

use tiercel_engine::{Collection, OpenError};
use tiercel_store::sim::{Bug, SimVfs};

use crate::model::{Call, Model, act, apply, calls, check, of};
use crate::{from_environment, open_sim};

/// Calls on a disk that was recorded, and what the collection held after each.
struct Recorded {
    vfs: SimVfs,
    models: Vec<Model>,
}

/// Do calls on a disk that is recorded. Mark `n` stands where `n` calls had returned, the opening among them: what the thread in
/// the background does at the same time does not move it.
fn record(seed: u8, bug: Option<Bug>) -> Recorded {
    let vfs = SimVfs::new();
    vfs.record();
    if let Some(bug) = bug {
        vfs.plant(bug);
    }
    let mut collection = open_sim(&vfs).unwrap();
    let mut models = vec![Model::new()];
    vfs.mark(1);
    for call in calls(seed, 30) {
        if let Call::Reopen = call {
            collection.close().unwrap();
            collection = open_sim(&vfs).unwrap();
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

/// Look at about so many images of a recording; gives how many are wrong.
fn wrong(seed: u8, recorded: &Recorded, images: u64) -> u64 {
    let mut events = 0;
    let mut replay = recorded.vfs.replay();
    while replay.step() {
        events += 1;
    }
    let (stride, each) = ((events / images).max(1), images.div_ceil(events));
    let (mut replay, mut event, mut wrong) = (recorded.vfs.replay(), 0, 0);
    while replay.step() {
        event += 1;
        if (event + u64::from(seed)).is_multiple_of(stride) {
            let images = (0..each).map(|image| replay.image(u64::from(seed) ^ (event << 20) ^ (image << 50)));
            wrong += images.filter(|image| !is_right(image, &recorded.models, replay.mark() as usize)).count() as u64;
        }
    }
    wrong
}

/// Whether an image holds what it may after `mark` calls, and can be used.
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

/// What is written after the crash is there after it was closed.
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

#[test]
fn nothing_acknowledged_is_lost_and_no_call_is_there_in_part() {
    const EACH: u64 = 150;
    let images = from_environment("TIERCEL_CRASH_IMAGES").unwrap_or(2 * EACH);
    for round in 0..images.div_ceil(EACH) {
        let seed = round as u8;
        assert_eq!(wrong(seed, &record(seed, None), EACH), 0, "seed {seed}");
    }
}

#[test]
fn harness_finds_a_sync_that_is_skipped() {
    assert!(wrong(3, &record(3, Some(Bug::SkipSync)), 100) > 0);
}

#[test]
fn harness_finds_a_sync_of_the_directory_that_is_skipped() {
    assert!(wrong(3, &record(3, Some(Bug::SkipSyncDir)), 100) > 0);
}
