//! How often keys were seen lately, by estimate: a count-min sketch that ages (`TinyLFU`; Einziger, Friedman and Manes
//! 2017).
//!
//! ```text
//! block (a cache line):  | row 0   | row 1   | row 2   | row 3   |     a row: 32 counters of 4 bits
//! ```
//!
//! A key has one block, and one counter in each row of it. The smallest of the four is the
//! estimate: other keys that share all four can make it too large, never too small. Only the
//! smallest counters grow, which spoils less for others.

use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;

use crate::KeyRef;

/// Counters per row of a block.
const ROW: usize = 32;
const ROWS: usize = 4;
/// Counters per word.
const WORD: usize = 16;
/// Maximum of a counter.
const MOST: u8 = 15;
/// Average additions per counter after which all are halved.
const SAMPLE: u64 = 10;

/// How often keys were seen lately.
pub struct Sketch {
    counters: Mutex<Counters>,
}

struct Counters {
    blocks: Box<[Block]>,
    additions: u64,
    most: u64,
}

#[derive(Clone)]
#[repr(align(64))]
struct Block([u64; ROW * ROWS / WORD]);

/// Where the counters of a key are.
struct Place {
    block: usize,
    /// Numbers of the counters in the block.
    at: [usize; ROWS],
}

impl Sketch {
    /// Make a sketch whose rows have at least `width` counters; it takes two bytes for each of
    /// them. A good width is the number of keys to distinguish.
    pub fn new(width: usize) -> Self {
        let blocks = width.div_ceil(ROW).max(1);
        let most = SAMPLE * (blocks * ROW) as u64;
        let blocks = vec![Block([0; _]); blocks].into_boxed_slice();
        Self { counters: Mutex::new(Counters { blocks, additions: 0, most }) }
    }

    /// Count a key, and return the estimate including this time: 15 at most. After ten additions
    /// per counter of a row, all counts and the number of additions are halved.
    pub fn add(&self, key: KeyRef<'_>) -> u8 {
        let mut counters = self.counters.lock();
        let place = counters.place(key);
        let count = counters.least(&place);
        let now = (count + 1).min(MOST);
        counters.raise(&place, now);
        counters.additions += 1;
        if counters.additions >= counters.most {
            counters.halve();
        }
        now
    }

    /// The estimate of how often a key was seen: 15 at most.
    pub fn count(&self, key: KeyRef<'_>) -> u8 {
        let counters = self.counters.lock();
        counters.least(&counters.place(key))
    }
}

impl Counters {
    /// The same in every process, so that what a cache does with a trace can be reproduced. Chosen
    /// keys can share counters; that makes their counts too large and takes no longer.
    fn place(&self, key: KeyRef<'_>) -> Place {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        // High bits choose the block, low ones the counters.
        let block = ((u128::from(hash) * self.blocks.len() as u128) >> 64) as usize;
        let at = std::array::from_fn(|row| row * ROW + (hash >> (row * 5)) as usize % ROW);
        Place { block, at }
    }

    fn least(&self, place: &Place) -> u8 {
        let block = &self.blocks[place.block];
        place.at.iter().map(|at| block.get(*at)).min().unwrap_or(0)
    }

    /// Raise the counters of a key to at least `count`.
    fn raise(&mut self, place: &Place, count: u8) {
        let block = &mut self.blocks[place.block];
        for at in place.at {
            if block.get(at) < count {
                block.set(at, count);
            }
        }
    }

    fn halve(&mut self) {
        for word in self.blocks.iter_mut().flat_map(|block| &mut block.0) {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
        self.additions /= 2;
    }
}

impl Block {
    fn get(&self, at: usize) -> u8 {
        (self.0[at / WORD] >> (at % WORD * 4)) as u8 & MOST
    }

    fn set(&mut self, at: usize, count: u8) {
        let shift = at % WORD * 4;
        let word = &mut self.0[at / WORD];
        *word = (*word & !(u64::from(MOST) << shift)) | (u64::from(count) << shift);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn an_estimate_is_never_under_the_count(width in 1..200_usize, keys in prop::collection::vec(0..60_u8, 0..319)) {
            let (sketch, mut model) = (Sketch::new(width), HashMap::new());
            for key in keys {
                let count = model.entry(key).or_insert(0_u8);
                *count = (*count + 1).min(MOST);
                prop_assert!(sketch.add(KeyRef::bytes(&[key])) >= *count);
            }
            for (key, count) in model {
                prop_assert!((count..=MOST).contains(&sketch.count(KeyRef::bytes(&[key]))));
            }
        }
    }

    #[test]
    fn few_estimates_of_many_keys_are_too_large() {
        let sketch = Sketch::new(10_000);
        for key in 0..10_000_u32 {
            for _ in 0..=key % 3 {
                sketch.add(KeyRef::bytes(&key.to_le_bytes()));
            }
        }
        let wrong =
            (0..10_000_u32).filter(|key| u32::from(sketch.count(KeyRef::bytes(&key.to_le_bytes()))) > key % 3 + 1);
        let wrong = wrong.count();
        assert!(wrong < 2000, "{wrong} of 10,000");
        let new = (10_000..20_000_u32).filter(|key| sketch.count(KeyRef::bytes(&key.to_le_bytes())) > 0).count();
        assert!(new < 3000, "{new} of 10,000");
    }

    #[test]
    fn counts_are_halved_when_ten_times_the_width_was_added() {
        let (sketch, often, once) = (Sketch::new(32), KeyRef::text("often"), KeyRef::text("once"));
        assert_eq!(sketch.add(once), 1);
        for n in 1..319_u16 {
            assert_eq!(u16::from(sketch.add(often)), n.min(MOST.into()));
        }
        assert_eq!((sketch.count(often), sketch.count(once)), (15, 1));
        sketch.add(often);
        assert_eq!((sketch.count(often), sketch.count(once)), (7, 0));
        // The number of additions is halved, too.
        for _ in 0..160 {
            sketch.add(often);
        }
        assert_eq!(sketch.count(often), 7);
    }
}
