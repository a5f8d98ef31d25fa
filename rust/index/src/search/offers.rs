//! Comparing slots as a scan meets them: one by one, or several at once where that takes less time.

use tiercel_simd::Isa;
use tiercel_simd::tables::ROWS;

use crate::search::best::Best;
use crate::storage::space::Space;

/// Compares slots with a query and offers them to the best. [`Self::end`] offers those that wait for
/// others.
pub(crate) struct Offers<'a, S: Space> {
    space: S,
    prepared: &'a S::Query,
    best: &'a mut Best,
    /// The first `count` wait.
    waiting: [u32; ROWS],
    count: usize,
}

impl<'a, S: Space> Offers<'a, S> {
    #[inline(always)]
    pub(crate) fn new(space: S, prepared: &'a S::Query, best: &'a mut Best) -> Self {
        Self { space, prepared, best, waiting: [0; ROWS], count: 0 }
    }

    /// Compare a slot, now or with later ones.
    ///
    /// # Safety
    ///
    /// It is a slot of the space, which prepared the query, and the machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn add<I: Isa>(&mut self, slot: u32) {
        if !S::COMPARES_TOGETHER {
            // SAFETY: as the caller promises.
            self.best.offer(unsafe { self.space.key::<I>(self.prepared, slot) }, slot);
            return;
        }
        self.waiting[self.count] = slot;
        self.count += 1;
        if self.count == ROWS {
            // SAFETY: as the caller promises, for each of them.
            unsafe { self.end::<I>() };
        }
    }

    /// Compare those that wait.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set.
    #[inline(always)]
    pub(crate) unsafe fn end<I: Isa>(&mut self) {
        if self.count == 0 {
            return;
        }
        let last = self.waiting[self.count - 1];
        self.waiting[self.count..].fill(last);
        // SAFETY: `add` got only slots of the space, and its caller vouched for the query; the caller
        // promises the instruction set.
        let keys = unsafe { self.space.keys::<I>(self.prepared, &self.waiting, self.count) };
        for (key, slot) in keys.into_iter().zip(self.waiting).take(self.count) {
            self.best.offer(key, slot);
        }
        self.count = 0;
    }
}
