//! Stamps as they are used; they stand apart, for `model.rs` compiles `stamps.rs` with atomics that work in models alone.

use crate::state::stamps::{CHUNK, Stamps};

#[test]
fn a_row_lives_in_snapshots_before_its_death() {
    let mut stamps = Stamps::default();
    stamps.grow(200);
    stamps.bury(170, 5);
    assert!(stamps.lives(170, 4));
    assert!(!stamps.lives(170, 5));
    assert!(stamps.lives(169, 5));
    assert_eq!(stamps.living(200, 5).len(), 199);
}

#[test]
fn a_row_dies_once() {
    let mut stamps = Stamps::default();
    stamps.grow(1);
    stamps.bury(0, 3);
    stamps.bury(0, 9);
    assert!(!stamps.lives(0, 3));
}

#[test]
fn rows_that_are_dead_to_all_take_no_memory() {
    let mut stamps = Stamps::default();
    stamps.grow(2 * CHUNK as u32);
    for row in 0..CHUNK as u32 {
        stamps.bury(row, u64::from(row));
    }
    stamps.bury(CHUNK as u32, 1);
    stamps.forget(CHUNK as u64 - 2);
    assert_eq!(stamps.chunks(), [CHUNK, CHUNK]);
    stamps.forget(CHUNK as u64 - 1);
    assert_eq!(stamps.chunks(), [0, CHUNK]);
    stamps.bury(0, 1);
    assert!(!stamps.lives(0, CHUNK as u64));
    assert_eq!(stamps.living(2 * CHUNK as u32, CHUNK as u64).min(), Some(CHUNK as u32 + 1));
}

#[test]
fn clones_share_what_they_have_in_common() {
    let mut stamps = Stamps::default();
    stamps.grow(1);
    let clone = stamps.clone();
    stamps.grow(1000);
    stamps.bury(0, 1);
    assert!(!clone.lives(0, 1));
    assert!(!clone.lives(999, 0), "a row that a snapshot does not know does not live in it");
}

#[test]
fn dead_rows_take_no_memory_until_one_is_revived() {
    let rows = 1000 * CHUNK as u32 - 1;
    let mut stamps = Stamps::of_dead(rows);
    assert!(stamps.living(rows, 0).is_empty());
    stamps.revive(5);
    stamps.revive(rows - 1);
    stamps.grow(rows);
    assert_eq!(stamps.living(rows, 7).into_iter().collect::<Vec<_>>(), [5, rows - 1]);
    assert_eq!(stamps.chunks().into_iter().filter(|rows| *rows > 0).count(), 2);
    let mut stamps = Stamps::of_dead(3);
    stamps.grow(5);
    assert_eq!(stamps.living(5, 0).into_iter().collect::<Vec<_>>(), [3, 4]);
    stamps.bury(4, 1);
    assert_eq!(stamps.living(5, 1).len(), 1);
}
