//! When a walk ends: after all of its candidates, or by what it has seen so far.

use crate::flat::Flat;
use crate::kernels::{square_of, sum_of};
use crate::pool::{EXPANDED, Pool, key_of};

/// The neighbours that are wanted.
pub const K: usize = 10;

/// Decides before each hop whether the walk goes on.
pub trait End {
    /// Whether to expand `next`, the candidate at `place`.
    fn goes_on(&mut self, pool: &mut Pool, place: usize, next: u64) -> bool;
}

/// After all candidates.
pub struct Last;

impl End for Last {
    #[inline(always)]
    fn goes_on(&mut self, _: &mut Pool, _: usize, _: u64) -> bool {
        true
    }
}

/// After half of the candidates, once the next one is `factor` times as far as the tenth.
pub struct Far {
    half: usize,
    factor: f32,
    zero: f32,
}

impl Far {
    pub fn new(flat: &Flat, codes: &[i8], ef: usize, factor: f32) -> Self {
        Self { half: ef / 2, factor: factor * factor, zero: key_of_distance_zero(flat, codes) }
    }
}

impl End for Far {
    #[inline(always)]
    fn goes_on(&mut self, pool: &mut Pool, place: usize, next: u64) -> bool {
        let square = |candidate: u64| key_of(candidate) as f32 - self.zero;
        place < self.half || pool.entries().get(K - 1).is_none_or(|tenth| square(next) <= self.factor * square(*tenth))
    }
}

/// After half of the candidates, once the next one is as far behind the tenth as `factor` times the
/// tenth is behind the first.
pub struct Behind {
    half: usize,
    factor: f32,
}

impl Behind {
    pub const fn new(ef: usize, factor: f32) -> Self {
        Self { half: ef / 2, factor }
    }
}

impl End for Behind {
    #[inline(always)]
    fn goes_on(&mut self, pool: &mut Pool, place: usize, next: u64) -> bool {
        let gap = |near: u64, far: u64| key_of(far) as f32 - key_of(near) as f32;
        let seen = pool.entries();
        place < self.half || seen.get(K - 1).is_none_or(|tenth| gap(*tenth, next) <= self.factor * gap(seen[0], *tenth))
    }
}

/// After a share of the candidates: a power of the first distance as a part of the tenth.
pub struct Ratio {
    ef: f32,
    power: i32,
    zero: f32,
}

impl Ratio {
    pub fn new(flat: &Flat, codes: &[i8], ef: usize, power: i32) -> Self {
        Self { ef: ef as f32, power, zero: key_of_distance_zero(flat, codes) }
    }
}

impl End for Ratio {
    #[inline(always)]
    fn goes_on(&mut self, pool: &mut Pool, place: usize, _: u64) -> bool {
        let square = |candidate: u64| (key_of(candidate) as f32 - self.zero).max(1.0);
        let seen = pool.entries();
        seen.get(K - 1).is_none_or(|tenth| {
            let mut share = 1.0;
            for _ in 0..self.power {
                share *= square(seen[0]) / square(*tenth);
            }
            place as f32 <= self.ef * share
        })
    }
}

/// After half of the candidates, or as many eighths more as the first ten changed within the last
/// `patience` hops.
pub struct Growing {
    limit: usize,
    step: usize,
    patience: usize,
    hops: usize,
    changed: usize,
    tenth: u64,
}

impl Growing {
    /// `patience` in eighths of the candidates.
    pub const fn new(ef: usize, patience: usize) -> Self {
        let step = ef.div_ceil(8);
        Self { limit: ef / 2, step, patience: patience * step, hops: 0, changed: 0, tenth: 0 }
    }
}

impl End for Growing {
    #[inline(always)]
    fn goes_on(&mut self, pool: &mut Pool, place: usize, _: u64) -> bool {
        self.hops += 1;
        let tenth = pool.entries().get(K - 1).map_or(0, |tenth| *tenth | EXPANDED);
        if tenth != self.tenth || tenth == 0 {
            (self.tenth, self.changed) = (tenth, self.hops);
        }
        if place >= self.limit && self.hops - self.changed <= self.patience {
            self.limit += self.step;
        }
        // One step more, to go on with.
        pool.keep(self.limit + self.step);
        place < self.limit
    }
}

/// The key of a vector with the distance 0: one as long as most, or under dot as the longest, in the
/// direction of the query.
fn key_of_distance_zero(flat: &Flat, codes: &[i8]) -> f32 {
    -flat.length * square_of(codes).sqrt() - 7.5 * sum_of(codes)
}
