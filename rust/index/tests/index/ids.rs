//! Vectors are known by explicit or counted ids, and come back as they were added.

use std::sync::atomic::{AtomicBool, Ordering};

use tiercel_index::{AddError, Dtype, GetError, Index, Options, Work};

use crate::common::data::Random;
use crate::common::model::kept;
use crate::common::{FLAT, METRICS, add, built, exact, new, optimize, options};

/// Values at the edges of single precision.
const EDGES: [f32; 6] = [-0.0, f32::MIN_POSITIVE / 8.0, f32::MAX, f32::MIN, 1.0 / 3.0, f32::MIN_POSITIVE];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn vectors_come_back_bit_for_bit() {
    for (metric, rows) in [(METRICS[0], 1500), (METRICS[1], 5), (METRICS[2], 1500)] {
        let mut vectors = Random(1).normals(rows * EDGES.len());
        if metric != METRICS[0] {
            vectors[..EDGES.len()].copy_from_slice(&EDGES);
        }
        let index = built(options(EDGES.len(), metric), &vectors);
        assert_eq!(bits(&index.get(&index.ids()).expect("ids of the index")), bits(&vectors));
    }
}

#[test]
fn half_precision_rounds_to_the_nearest() {
    let vectors = Random(1).normals(50 * 7);
    let index = built(Options { dtype: Dtype::F16, ..options(7, METRICS[0]) }, &vectors);
    assert_eq!(index.get(&index.ids()), Ok(kept(&vectors, Dtype::F16)));
}

#[test]
fn vectors_are_given_in_the_order_asked_for() {
    let index = built(options(2, METRICS[2]), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(index.get(&[2, 0, 2]), Ok(vec![4.0, 5.0, 0.0, 1.0, 4.0, 5.0]));
    assert_eq!(index.get(&[]), Ok(vec![]));
    assert_eq!(index.get(&[1, 7]), Err(GetError::NotFound { id: 7 }));
    index.delete(&[1]);
    assert_eq!(index.get(&[1]), Err(GetError::NotFound { id: 1 }));
}

#[test]
fn counting_goes_on_from_the_largest_id() {
    let index = new(options(1, METRICS[2]));
    assert_eq!(add(&index, &[0.0, 1.0], None), [0, 1]);
    assert_eq!(add(&index, &[2.0, 3.0], Some(&[40, 7])), [40, 7]);
    assert_eq!(add(&index, &[4.0], None), [41]);
    assert_eq!(add(&index, &[5.0], Some(&[20])), [20]);
    assert_eq!(index.delete(&[41, 7, 7, 99]), 2);
    assert_eq!(add(&index, &[6.0], None), [42], "the ids of removed vectors are not counted again");
    assert_eq!(add(&index, &[7.0], Some(&[7])), [7], "but may be used again");
    assert_eq!(add(&index, &[], None), []);
    assert_eq!(add(&index, &[], Some(&[])), []);
    assert_eq!(index.ids(), [0, 1, 40, 20, 42, 7]);
    assert_eq!((index.len(), index.slots()), (6, 8));
    assert!(index.contains(20) && !index.contains(41) && !index.contains(u64::MAX));
    assert_eq!(exact(&index, &[6.6], 3, None).ids, [7, 42, 20]);
}

#[test]
fn the_largest_id_can_be_given_and_found() {
    let index = new(options(1, METRICS[2]));
    add(&index, &[3.0], Some(&[u64::MAX - 1]));
    add(&index, &[4.0], Some(&[0]));
    assert_eq!(exact(&index, &[3.0], 2, None).ids, [u64::MAX - 1, 0]);
}

/// Stop an addition while it links.
fn add_and_stop(index: &Index, vectors: Vec<f32>, ids: Option<&[u64]>) {
    let stop = AtomicBool::new(false);
    let progress = |done: usize, _: usize| stop.store(done > 100, Ordering::Relaxed);
    let work = Work { threads: 1, stop: &stop, progress: &progress };
    assert_eq!(index.add(vectors, ids, &work), Err(AddError::Interrupted));
}

/// Add two vectors, check that they have the next ids, and remove them.
fn pass_two(index: &Index, next: u64) {
    let ids = add(index, &[0.0, 1.0, 2.0, 3.0], None);
    assert_eq!(ids, [next, next + 1]);
    index.delete(&ids);
}

#[test]
fn no_id_is_counted_twice_whatever_became_of_its_vector() {
    let options = Options { m: 4, ef_construction: 10, ..options(2, METRICS[2]) };
    let vectors = Random(3).normals(2 * (FLAT + 300));
    let many = vectors.len() as u64 / 2;
    let index = new(options);
    pass_two(&index, 0);
    optimize(&index);
    assert_eq!(index.slots(), 0, "nothing is left");
    pass_two(&index, 2);
    optimize(&index);
    add_and_stop(&index, vectors.clone(), None);
    assert_eq!(index.slots(), 0, "nothing is left");
    pass_two(&index, 4 + many);
    // An addition to existing slots.
    add_and_stop(&index, vectors.clone(), None);
    assert_eq!(index.slots(), 2);
    let next = 6 + 2 * many;
    pass_two(&Index::from_bytes(&index.to_bytes().unwrap()).expect("bytes of an index"), next);
    pass_two(&index.clone(), next);
    let given: Vec<u64> = (1_000_000..1_000_000 + many).collect();
    add_and_stop(&index, vectors.clone(), Some(&given));
    pass_two(&index, 1_000_000 + many);
    add(&index, &vectors, None);
    index.delete(&index.ids());
    optimize(&index);
    pass_two(&index, 1_000_002 + 2 * many);
}
