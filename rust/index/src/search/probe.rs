//! Probe lists: compare the vectors of those whose centroids are nearest to a query.

use tiercel_simd::Isa;

use crate::budget::Meter;
use crate::partitions::Partitions;
use crate::search::allowed::Allowed;
use crate::search::best::Best;
use crate::search::offers::Offers;
use crate::state::State;
use crate::storage::candidate::slot_of;
use crate::storage::space::Space;

/// Codes scanned in order for the price of one code of a list, which lies anywhere.
const SCANNED_PER_PROBED: usize = 3;

/// Slots of a list that are only looked up, for the price of one code scanned in order.
const SKIPPED_PER_SCANNED: usize = 8;

/// Codes prefetched ahead of the one being compared, and at the beginning of a list.
const AHEAD: usize = 8;

/// How far a search goes through the lists, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Most lists to search.
    pub(crate) lists: usize,
    /// Vectors to compare, after which no more lists are searched.
    pub(crate) vectors: usize,
    /// The codes that a scan compares in the time of this.
    pub(crate) codes: usize,
}

/// How much a search wants to find.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// A recall, by its place in [`TARGETS`](crate::storage::ranks::TARGETS).
    Recall(usize),
    /// What costs as much as comparing this many vectors.
    Vectors(usize),
}

/// Return how far a search for the nearest `k` of `available` slots goes through the lists; `None`
/// if a scan of their codes costs less.
pub(crate) fn reached(
    state: &State,
    partitions: &Partitions,
    k: usize,
    wanted: Wanted,
    available: usize,
) -> Option<Reached> {
    let (count, assigned) = (partitions.len(), partitions.assigned());
    let (lists, vectors) = match wanted {
        Wanted::Recall(target) => (partitions.reach.lists(target, k, available), usize::MAX),
        Wanted::Vectors(vectors) => (count, vectors),
    };
    // The share of the lists that this will be.
    let of_lists = lists as f64 / count.max(1) as f64;
    let of_vectors = vectors as f64 / available.max(1) as f64;
    let share = of_lists.min(of_vectors);
    let (probed, skipped) = (share * available as f64, share * (assigned.saturating_sub(available)) as f64);
    let beside = count + state.slots() - assigned;
    let codes = probed * SCANNED_PER_PROBED as f64 + skipped / SKIPPED_PER_SCANNED as f64 + beside as f64;
    (codes < available as f64).then_some(Reached { lists, vectors, codes: codes as usize })
}

/// Memory for the codes of a query, and for the order of the lists.
#[derive(Default)]
pub(crate) struct Order {
    signed: Vec<i8>,
    lists: Vec<u64>,
    /// Number of lists that are in order; all others are farther.
    sorted: usize,
}

impl Order {
    /// Compare a query with all centroids.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn fill<I: Isa>(&mut self, partitions: &Partitions, query: &[f32]) {
        // SAFETY: the caller promises the instruction set.
        unsafe { partitions.centroids().compare::<I>(query, &mut self.signed, &mut self.lists) };
        self.sorted = 0;
    }

    /// Sort at least `count` of the nearest lists, if there are as many.
    fn sort(&mut self, count: usize) {
        let (from, count) = (self.sorted, count.min(self.lists.len()));
        if count <= from {
            return;
        }
        let rest = &mut self.lists[from..];
        if count < from + rest.len() {
            rest.select_nth_unstable(count - from - 1);
        }
        rest[..count - from].sort_unstable();
        self.sorted = count;
    }

    /// Return the list at a place, from the nearest on.
    pub(crate) fn list(&mut self, place: usize) -> Option<usize> {
        if place >= self.sorted {
            self.sort((2 * place).max(32));
        }
        self.lists.get(place).map(|entry| slot_of(*entry) as usize)
    }
}

/// A probe of a query.
pub(crate) struct Probe<'a> {
    pub(crate) state: &'a State,
    pub(crate) partitions: &'a Partitions,
    pub(crate) allowed: Allowed<'a>,
    pub(crate) query: &'a [f32],
    pub(crate) reached: Reached,
    /// Candidates kept.
    pub(crate) ef: usize,
}

impl Probe<'_> {
    /// Keep the best allowed slots of the nearest lists, and of the slots that are in no list, by code.
    /// With fewer than asked for, more lists are searched.
    ///
    /// # Safety
    ///
    /// The slots of the state are slots of the space, which prepared the query, and the machine has
    /// the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn run<I: Isa, S: Space>(
        self,
        space: S,
        prepared: &S::Query,
        order: &mut Order,
        best: &mut Best,
        meter: &mut Meter<'_>,
    ) {
        best.reset(self.ef);
        let mut offers = Offers::new(space, prepared, best);
        // SAFETY: the caller's contract.
        unsafe {
            self.each::<I, S>(space, order, &mut offers, meter);
            offers.end::<I>();
        }
    }

    /// Compare the slots that are in no list, and those of the nearest lists.
    ///
    /// # Safety
    ///
    /// As for [`Self::run`].
    #[inline(always)]
    unsafe fn each<I: Isa, S: Space>(
        &self,
        space: S,
        order: &mut Order,
        offers: &mut Offers<'_, S>,
        meter: &mut Meter<'_>,
    ) {
        let Self { state, partitions, allowed, query, reached, ef } = *self;
        for slot in (partitions.assigned()..state.slots()).filter(|slot| allowed.contains(*slot)) {
            // SAFETY: the caller's contract.
            unsafe { offers.add::<I>(slot as u32) };
            if meter.compared(1) {
                return;
            }
        }
        // SAFETY: the caller's contract.
        unsafe { order.fill::<I>(partitions, query) };
        meter.trace.bytes += partitions.centroids().code_bytes();
        let (mut place, mut compared) = (0, 0);
        while (place < reached.lists && compared < reached.vectors) || compared < ef {
            let Some(list) = order.list(place) else { return };
            let slots = partitions.list(list);
            for &slot in slots.iter().take(AHEAD) {
                // SAFETY: the caller's contract.
                unsafe { space.prefetch::<I>(slot) };
            }
            for (at, &slot) in slots.iter().enumerate() {
                if let Some(&ahead) = slots.get(at + AHEAD)
                    && allowed.contains(ahead as usize)
                {
                    // SAFETY: the caller's contract.
                    unsafe { space.prefetch::<I>(ahead) };
                }
                if !allowed.contains(slot as usize) {
                    continue;
                }
                // SAFETY: the caller's contract.
                unsafe { offers.add::<I>(slot) };
                compared += 1;
                if meter.compared(1) {
                    return;
                }
            }
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::candidate::candidate;

    #[test]
    fn lists_come_in_order_however_many_are_asked_for() {
        let lists: Vec<u64> = (0..500u32).map(|at| candidate((at * 7 % 500) as i32 - 250, at)).collect();
        let mut expected = lists.clone();
        expected.sort_unstable();
        let mut order = Order { lists, ..Order::default() };
        for (place, entry) in expected.iter().enumerate() {
            assert_eq!(order.list(place), Some(slot_of(*entry) as usize));
        }
        assert_eq!(order.list(500), None);
    }
}
