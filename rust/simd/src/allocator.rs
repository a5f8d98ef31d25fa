//! Memory that nothing uses goes back to the system.
//!
//! mimalloc, the allocator of the Python module, keeps what is freed for the next who asks. Each thread has pages of its own, which no other
//! can give back: a thread does so when it next asks.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use libmimalloc_sys as _;

// SAFETY: the declaration is that of mimalloc.h, version 1 to 3, and the function has no requirements.
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

/// How often memory was given back.
static ROUND: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The round that this thread took part in.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// Give back what this thread does not use; others do so when they next call [`keep_up`].
pub fn give_back() {
    SEEN.set(ROUND.fetch_add(1, Relaxed) + 1);
    mi_collect(true);
}

/// Give back what this thread does not use, if another one did so since this thread last did. Costs next to nothing otherwise.
pub fn keep_up() {
    let round = ROUND.load(Relaxed);
    if SEEN.replace(round) != round {
        mi_collect(true);
    }
}
