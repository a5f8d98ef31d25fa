//! Choose which candidates become neighbours.

use tiercel_simd::Isa;

use crate::storage::space::Space;

/// The factor on distances (squared lengths) by which a candidate must be nearer to a chosen
/// neighbour than to the node to be passed over. A little above 1 keeps some longer links, which
/// shorten walks; 1.1 was best on text embeddings.
const ALPHA: f32 = 1.1;

/// The candidates and the memory of a selection; reused from one to the next.
#[derive(Default)]
pub(crate) struct Selection<Q> {
    /// Distance and node, nearest first.
    pub(crate) candidates: Vec<(f32, u32)>,
    /// The chosen neighbours: first the diverse ones, nearest first, then the nearest of the rest.
    pub(crate) chosen: Vec<u32>,
    passed: Vec<u32>,
    queries: Vec<Chosen<Q>>,
}

/// A chosen neighbour, prepared for comparisons with candidates.
#[derive(Default)]
struct Chosen<Q> {
    query: Q,
    /// Its key when compared with itself. A candidate with this key is its equal. Only one of many
    /// equals is chosen, or a row would hold nothing else and lead nowhere.
    own: i32,
}

impl<Q: Default> Selection<Q> {
    /// Choose up to `degree` neighbours from the candidates. Return how many of them are diverse.
    ///
    /// A candidate nearer to a chosen neighbour than to the node is passed over (Malkov and
    /// Yashunin, algorithm 4, with the factor of Vamana). The remaining room goes to the nearest of
    /// those passed over.
    ///
    /// # Safety
    ///
    /// The candidates are nodes whose slot, by `slot_of`, is one of the space, and the machine has
    /// the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn choose<I: Isa, S: Space<Query = Q>>(
        &mut self,
        degree: usize,
        space: S,
        slot_of: impl Fn(u32) -> u32,
    ) -> usize {
        self.chosen.clear();
        self.passed.clear();
        for &(distance, node) in &self.candidates {
            let slot = slot_of(node);
            let mut near = false;
            for other in &self.queries[..self.chosen.len()] {
                // SAFETY: the caller's contract.
                let key = unsafe { space.key::<I>(&other.query, slot) };
                if key == other.own || occludes(S::distance(&other.query, key), distance) {
                    near = true;
                    break;
                }
            }
            if near {
                self.passed.push(node);
                continue;
            }
            if self.queries.len() == self.chosen.len() {
                self.queries.push(Chosen::default());
            }
            let chosen = &mut self.queries[self.chosen.len()];
            space.prepare_slot(slot, &mut chosen.query);
            // SAFETY: the caller's contract.
            chosen.own = unsafe { space.key::<I>(&chosen.query, slot) };
            self.chosen.push(node);
            if self.chosen.len() == degree {
                break;
            }
        }
        let diverse = self.chosen.len();
        self.chosen.extend(self.passed.iter().take(degree - diverse));
        diverse
    }
}

/// Whether a neighbour at distance `apart` from a candidate makes a link of length `distance` to it
/// needless. Distances of the inner product may be negative, where a factor would have the opposite
/// effect; a plain comparison decides there.
#[inline(always)]
fn occludes(apart: f32, distance: f32) -> bool {
    if distance > 0.0 && apart > 0.0 { apart * ALPHA < distance } else { apart < distance }
}
