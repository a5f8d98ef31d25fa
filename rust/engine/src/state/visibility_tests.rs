//! Tests of the visibility of rows, as snapshots use it. They have their own file because
//! `model.rs` compiles `visibility.rs` with atomics that work only in models.

use roaring::RoaringBitmap;

use crate::state::visibility::{CHUNK, Visibility};

#[test]
fn a_row_lives_in_snapshots_before_its_death() {
    let mut visibility = Visibility::default();
    visibility.grow(200);
    visibility.bury(170, 5);
    assert!(visibility.lives(170, 4));
    assert!(!visibility.lives(170, 5));
    assert!(visibility.lives(169, 5));
    assert_eq!(visibility.living(200, 5).len(), 199);
}

#[test]
fn a_row_dies_once() {
    let mut visibility = Visibility::default();
    visibility.grow(1);
    visibility.bury(0, 3);
    visibility.bury(0, 9);
    assert!(!visibility.lives(0, 3));
}

#[test]
fn rows_that_are_dead_to_all_take_no_memory() {
    let mut visibility = Visibility::default();
    visibility.grow(2 * CHUNK as u32);
    for row in 0..CHUNK as u32 {
        visibility.bury(row, u64::from(row));
    }
    visibility.bury(CHUNK as u32, 1);
    visibility.forget(CHUNK as u64 - 2);
    assert_eq!(visibility.chunks(), [CHUNK, CHUNK]);
    visibility.forget(CHUNK as u64 - 1);
    assert_eq!(visibility.chunks(), [0, CHUNK]);
    visibility.bury(0, 1);
    assert!(!visibility.lives(0, CHUNK as u64));
    assert_eq!(visibility.living(2 * CHUNK as u32, CHUNK as u64).min(), Some(CHUNK as u32 + 1));
}

#[test]
fn dead_rows_are_removed_from_others() {
    let chunk = CHUNK as u32;
    let mut visibility = Visibility::of_dead(3 * chunk + 2);
    for row in [5, 7, 3 * chunk] {
        visibility.revive(row);
    }
    visibility.grow(5 * chunk);
    visibility.bury(4 * chunk + 1, 3);
    visibility.bury(7, 4);
    let rows = 5 * chunk + 3;
    for sequence in [0, 2, 3, 4] {
        let mut left: RoaringBitmap = (0..rows).filter(|row| row % 3 > 0).collect();
        let expected = left.clone() & visibility.living(5 * chunk, sequence);
        visibility.remove_dead(&mut left, sequence);
        assert_eq!(left, expected, "{sequence}");
    }
    // Rows up to the last number.
    let all = Visibility::of_dead(u32::MAX);
    let mut none = RoaringBitmap::from_iter([0, u32::MAX - 1]);
    all.remove_dead(&mut none, 1);
    assert!(none.is_empty());
}

#[test]
fn clones_share_what_they_have_in_common() {
    let mut visibility = Visibility::default();
    visibility.grow(1);
    let clone = visibility.clone();
    visibility.grow(1000);
    visibility.bury(0, 1);
    assert!(!clone.lives(0, 1));
    assert!(!clone.lives(999, 0), "a row that a snapshot does not know does not live in it");
}

#[test]
fn dead_rows_take_no_memory_until_one_is_revived() {
    let rows = 1000 * CHUNK as u32 - 1;
    let mut visibility = Visibility::of_dead(rows);
    assert!(visibility.living(rows, 0).is_empty());
    visibility.revive(5);
    visibility.revive(rows - 1);
    visibility.grow(rows);
    assert_eq!(visibility.living(rows, 7).into_iter().collect::<Vec<_>>(), [5, rows - 1]);
    assert_eq!(visibility.chunks().into_iter().filter(|rows| *rows > 0).count(), 2);
    let mut visibility = Visibility::of_dead(3);
    visibility.grow(5);
    assert_eq!(visibility.living(5, 0).into_iter().collect::<Vec<_>>(), [3, 4]);
    visibility.bury(4, 1);
    assert_eq!(visibility.living(5, 1).len(), 1);
}
