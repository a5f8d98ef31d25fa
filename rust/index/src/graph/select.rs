//! Choose which candidates become neighbours.

use tiercel_simd::Isa;

use crate::storage::space::Space;

/// The factors on distances (squared lengths) by which a candidate must be nearer to a chosen
/// neighbour than to the node to be passed over: in the strict round, and in the relaxed one. The
/// first spreads the links, the second keeps some longer ones instead of the nearest of the rest.
const STRICT: f32 = 1.0;
const RELAXED: f32 = 1.2;

/// Which rounds a selection has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// The strict one alone.
    Strict,
    /// The strict one, then the relaxed one.
    Relaxed,
}

/// The candidates and the memory of a selection; reused from one to the next.
#[derive(Default)]
pub(crate) struct Selection<Q> {
    /// Distance and node, nearest first.
    pub(crate) candidates: Vec<(f32, u32)>,
    /// The chosen neighbours: first the diverse ones, round by round, then the nearest of the rest.
    pub(crate) chosen: Vec<u32>,
    passed: Vec<Passed>,
    queries: Vec<Chosen<Q>>,
}

/// A candidate that was passed over.
#[derive(Clone, Copy)]
struct Passed {
    distance: f32,
    node: u32,
    /// Why: the place of a chosen neighbour, and how near that is.
    by: Occluder,
}

/// The place of a chosen neighbour, and its distance from a candidate.
type Occluder = (usize, f32);

/// A chosen neighbour, prepared for comparisons with candidates.
#[derive(Default)]
struct Chosen<Q> {
    query: Q,
    /// Its key when compared with itself. A candidate with this key is its equal. Only one of many
    /// equals is chosen, or a row would hold nothing else and lead nowhere.
    own: i32,
}

impl<Q: Default> Selection<Q> {
    /// Choose up to `degree` neighbours from the candidates. Return how many of them are diverse by
    /// the strict round.
    ///
    /// A candidate nearer to a chosen neighbour than to the node is passed over (Malkov and
    /// Yashunin, algorithm 4, with the factor of Vamana). If there is room left, a relaxed round
    /// follows if asked for. What is still left goes to the nearest of those passed over.
    ///
    /// # Safety
    ///
    /// The candidates are nodes whose slot, by `slot_of`, is one of the space, and the machine has
    /// the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn choose<I: Isa, S: Space<Query = Q>>(
        &mut self,
        degree: usize,
        rounds: Rounds,
        space: S,
        slot_of: impl Fn(u32) -> u32,
    ) -> usize {
        self.chosen.clear();
        self.passed.clear();
        for at in 0..self.candidates.len() {
            let (distance, node) = self.candidates[at];
            let slot = slot_of(node);
            // SAFETY: the caller's contract.
            match unsafe { self.occluder::<I, S>(space, slot, distance, 0, STRICT) } {
                Some(by) => self.passed.push(Passed { distance, node, by }),
                // SAFETY: as above.
                None => unsafe { self.keep::<I, S>(space, node, slot) },
            }
            if self.chosen.len() == degree {
                break;
            }
        }
        let diverse = self.chosen.len();
        if rounds == Rounds::Relaxed {
            // SAFETY: as above.
            unsafe { self.relax::<I, S>(degree, space, slot_of) };
        }
        let room = degree - self.chosen.len();
        self.chosen.extend(self.passed.iter().map(|passed| passed.node).take(room));
        diverse
    }

    /// Choose from those that were passed over by the strict round, while there is room.
    ///
    /// # Safety
    ///
    /// As for [`Self::choose`].
    #[inline(always)]
    unsafe fn relax<I: Isa, S: Space<Query = Q>>(&mut self, degree: usize, space: S, slot_of: impl Fn(u32) -> u32) {
        let mut left = 0;
        for at in 0..self.passed.len() {
            let Passed { distance, node, by } = self.passed[at];
            let slot = slot_of(node);
            // What does not occlude in the strict round does not in this one, either.
            let is_occluded = self.chosen.len() == degree
                || occludes(by.1, distance, RELAXED)
                // SAFETY: the caller's contract.
                || unsafe { self.occluder::<I, S>(space, slot, distance, by.0 + 1, RELAXED) }.is_some();
            if is_occluded {
                self.passed[left] = self.passed[at];
                left += 1;
            } else {
                // SAFETY: as above.
                unsafe { self.keep::<I, S>(space, node, slot) };
            }
        }
        self.passed.truncate(left);
    }

    /// Return the first chosen neighbour, from a place on, that makes a link to a candidate needless.
    ///
    /// # Safety
    ///
    /// The slot is one of the space, and the machine has the instruction set.
    #[inline(always)]
    unsafe fn occluder<I: Isa, S: Space<Query = Q>>(
        &self,
        space: S,
        slot: u32,
        distance: f32,
        from: usize,
        alpha: f32,
    ) -> Option<Occluder> {
        for (at, other) in self.queries[..self.chosen.len()].iter().enumerate().skip(from) {
            // SAFETY: the caller's contract.
            let apart = unsafe { apart::<I, S>(&other.query, other.own, space, slot) };
            if occludes(apart, distance, alpha) {
                return Some((at, apart));
            }
        }
        None
    }

    /// Choose a candidate.
    ///
    /// # Safety
    ///
    /// The slot is one of the space, and the machine has the instruction set.
    #[inline(always)]
    unsafe fn keep<I: Isa, S: Space<Query = Q>>(&mut self, space: S, node: u32, slot: u32) {
        if self.queries.len() == self.chosen.len() {
            self.queries.push(Chosen::default());
        }
        let chosen = &mut self.queries[self.chosen.len()];
        space.prepare_slot(slot, &mut chosen.query);
        // SAFETY: the caller's contract.
        chosen.own = unsafe { space.key::<I>(&chosen.query, slot) };
        self.chosen.push(node);
    }
}

/// Return the distance of a slot from a prepared one; nothing is nearer than its equal.
///
/// # Safety
///
/// The slot is one of the space, and the machine has the instruction set.
#[inline(always)]
unsafe fn apart<I: Isa, S: Space>(query: &S::Query, own: i32, space: S, slot: u32) -> f32 {
    // SAFETY: the caller's contract.
    let key = unsafe { space.key::<I>(query, slot) };
    if key == own { f32::NEG_INFINITY } else { S::distance(query, key) }
}

/// Whether a neighbour at distance `apart` from a candidate makes a link of length `distance` to it
/// needless. Distances of the inner product may be negative, where a factor would have the opposite
/// effect; a plain comparison decides there.
#[inline(always)]
fn occludes(apart: f32, distance: f32, alpha: f32) -> bool {
    if distance > 0.0 && apart > 0.0 {
        apart * alpha < distance
    } else {
        apart < distance || apart == f32::NEG_INFINITY
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tiercel_simd::Level;

    use super::*;
    use crate::options::{Metric, Options};
    use crate::storage::any_space::{AnySpace, SpaceLoop};
    use crate::storage::rows::Rows;
    use crate::work::Work;

    /// Choose three neighbours of the origin; return them, and how many were diverse.
    struct Choose(Vec<(f32, u32)>, Rounds);

    impl SpaceLoop for Choose {
        type Output = (Vec<u32>, usize);
        const LINKS: bool = true;

        fn run<I: Isa, S: Space>(self, space: S) -> Self::Output {
            let mut selection = Selection { candidates: self.0, ..Selection::<S::Query>::default() };
            // SAFETY: the candidates are the rows of the space; `Level::run` checked the
            // instruction set.
            let diverse = unsafe { selection.choose::<I, S>(3, self.1, space, |node| node) };
            (selection.chosen, diverse)
        }
    }

    #[test]
    fn the_relaxed_round_prefers_longer_links_to_the_nearest_of_the_rest() {
        // Seen from the origin, the third lies right behind the first, and the fourth beside it: a
        // little farther from the origin than from the first.
        let vectors = [1.0, 0.0, -1.0, 0.0, 1.1, 0.3, 0.6, 1.0, 1.9, 0.0];
        let mut rows = Rows::new(&Options::new(2, Metric::L2));
        rows.append(&vectors, &Work::quiet(1, &AtomicBool::new(false))).expect("memory");
        let candidates: Vec<(f32, u32)> = vectors
            .chunks(2)
            .zip(0..)
            .map(|(vector, node)| (vector[0] * vector[0] + vector[1] * vector[1], node))
            .collect();
        let chosen = |rounds| AnySpace::Raw(&rows).run(Level::Scalar, Choose(candidates.clone(), rounds));
        assert_eq!(chosen(Rounds::Strict), (vec![0, 1, 2], 2));
        assert_eq!(chosen(Rounds::Relaxed), (vec![0, 1, 3], 2));
    }
}
