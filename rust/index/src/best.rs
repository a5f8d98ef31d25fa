//! The best of a scan, whatever their number.

use crate::pool::{candidate, key_of};
use crate::space::order;

/// The `limit` candidates with the smallest keys of all that were offered.
///
/// Keeps up to twice as many unsorted and halves them when full, so an offer costs the same for 10 as for 100,000.
#[derive(Clone, Default)]
pub(crate) struct Best {
    entries: Vec<u64>,
    limit: usize,
    bound: i32,
}

/// Room beyond twice the limit: halving a few is not worth a call.
const ROOM: usize = 64;

impl Best {
    /// Forget everything and keep `limit` (at least 1) from now on.
    pub(crate) fn reset(&mut self, limit: usize) {
        self.entries.clear();
        self.limit = limit.max(1);
        self.bound = order(f32::INFINITY);
    }

    /// Keys above this one cannot be among the best.
    #[inline(always)]
    pub(crate) const fn bound(&self) -> i32 {
        self.bound
    }

    /// Offer a candidate.
    #[inline(always)]
    pub(crate) fn offer(&mut self, key: i32, slot: u32) {
        if key <= self.bound {
            self.entries.push(candidate(key, slot));
            if self.entries.len() >= 2 * self.limit + ROOM {
                self.halve();
            }
        }
    }

    #[cold]
    fn halve(&mut self) {
        let (_, last, _) = self.entries.select_nth_unstable(self.limit - 1);
        self.bound = key_of(*last);
        self.entries.truncate(self.limit);
    }

    /// The best so far, nearest first; equal keys by slot.
    pub(crate) fn sorted(&mut self) -> &[u64] {
        self.entries.sort_unstable();
        self.entries.truncate(self.limit);
        &self.entries
    }
}
