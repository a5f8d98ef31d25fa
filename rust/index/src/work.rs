//! How a call works: its threads, when it stops, and how it reports progress.
//!
//! Threads are scoped and end with the call, so that no fork can leave a pool without threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tiercel_quant::Crew;

use crate::errors::Interrupted;

/// How a call works.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Threads to work on; 0 is taken for 1.
    pub threads: usize,
    /// Set by the caller to stop the call.
    pub stop: &'a AtomicBool,
    /// Called with the amounts done and in total, from any thread.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl<'a> Work<'a> {
    /// Work without reporting progress.
    pub const fn quiet(threads: usize, stop: &'a AtomicBool) -> Self {
        Self { threads, stop, progress: &|_, _| () }
    }

    /// Threads to work on, at least 1.
    pub(crate) fn threads(&self) -> usize {
        self.threads.max(1)
    }

    /// Return an error once the caller asked to stop.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// Call `run` on ranges of up to `chunk` of `0..n`, on up to `threads` threads, until all are
    /// done or the caller asks to stop. Each thread makes a `state` first.
    pub(crate) fn each_range<S>(
        &self,
        n: usize,
        chunk: usize,
        state: impl Fn() -> S + Sync,
        run: impl Fn(&mut S, Range<usize>) + Sync,
    ) -> Result<(), Interrupted> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut state = state();
            while self.check().is_ok() {
                let start = next.fetch_add(chunk, Ordering::Relaxed);
                if start >= n {
                    return;
                }
                run(&mut state, start..n.min(start + chunk));
            }
        };
        let threads = self.threads().min(n.div_ceil(chunk));
        if threads <= 1 {
            work();
        } else {
            thread::scope(|scope| {
                for _ in 1..threads {
                    // If the system refuses a thread, the others do its work.
                    if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                        break;
                    }
                }
                work();
            });
        }
        self.check()
    }

    /// Fill `out`, `width` values per item, by calling `fill(state, item, values)` for each, in an
    /// order that has every item once, `chunk` items at a time.
    pub(crate) fn fill_in_order<T: Send, S>(
        &self,
        out: &mut [T],
        width: usize,
        order: &[u32],
        chunk: usize,
        state: impl Fn() -> S + Sync,
        fill: impl Fn(&mut S, usize, &mut [T]) + Sync,
    ) -> Result<(), Interrupted> {
        let parts: Vec<_> = out.chunks_mut(width).map(|part| parking_lot::Mutex::new(Some(part))).collect();
        self.each_range(order.len(), chunk, state, |state, range| {
            for &item in &order[range] {
                let values = parts[item as usize].lock().take();
                fill(state, item as usize, values.unwrap_or_default());
            }
        })
    }

    /// Fill `out`, `width` values per item, by calling `fill(state, item, values)` for each,
    /// `chunk` items at a time.
    pub fn fill<T: Send, S>(
        &self,
        out: &mut [T],
        width: usize,
        chunk: usize,
        state: impl Fn() -> S + Sync,
        fill: impl Fn(&mut S, usize, &mut [T]) + Sync,
    ) -> Result<(), Interrupted> {
        let parts: Vec<_> = out.chunks_mut(width * chunk).map(|part| parking_lot::Mutex::new(Some(part))).collect();
        self.each_range(parts.len(), 1, state, |state, range| {
            for part in range {
                let values = parts[part].lock().take().unwrap_or_default();
                for (item, values) in values.chunks_mut(width).enumerate() {
                    fill(state, part * chunk + item, values);
                }
            }
        })
    }
}

impl Crew for Work<'_> {
    fn each(&self, items: usize, run: &(dyn Fn(usize) + Sync)) {
        // The caller of the crew checks whether it stopped.
        let _ = self.each_range(items, 1, || (), |(), range| range.for_each(run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_filled_once_whatever_the_threads() {
        let stop = AtomicBool::new(false);
        for threads in [0, 1, 2, 7] {
            let mut out = vec![0; 3 * 101];
            let work = Work::quiet(threads, &stop);
            work.fill(&mut out, 3, 8, || (), |(), item, values| values.iter_mut().for_each(|v| *v += item)).unwrap();
            assert!(out.iter().enumerate().all(|(at, value)| *value == at / 3));
        }
    }

    #[test]
    fn every_item_is_filled_in_any_order() {
        let stop = AtomicBool::new(false);
        let order: Vec<u32> = (0..101).map(|at| at * 7 % 101).collect();
        for threads in [1, 3] {
            let mut out = vec![0; 3 * 101];
            let seen = parking_lot::Mutex::new(vec![]);
            let fill = |(): &mut (), item: usize, values: &mut [usize]| {
                seen.lock().push(item as u32);
                for value in values {
                    *value += item;
                }
            };
            Work::quiet(threads, &stop).fill_in_order(&mut out, 3, &order, 8, || (), fill).unwrap();
            assert!(out.iter().enumerate().all(|(at, value)| *value == at / 3));
            assert!(threads > 1 || seen.into_inner() == order);
        }
    }

    #[test]
    fn stops_when_told() {
        let stop = AtomicBool::new(true);
        let result = Work::quiet(2, &stop).each_range(100, 1, || (), |(), _| panic!("nothing may run"));
        assert_eq!(result, Err(Interrupted));
    }
}
