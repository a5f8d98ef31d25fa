//! The threads that fit a codec.

/// Threads to fit a codec on, lent by the caller.
pub trait Crew: Sync {
    /// Call `run` once for each of `0..items`, on any threads and in any order. Once the caller
    /// wants to stop, the rest may be left out.
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync));
}

/// This thread alone.
pub struct Alone;

impl Crew for Alone {
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync)) {
        (0..items).for_each(run);
    }
}
