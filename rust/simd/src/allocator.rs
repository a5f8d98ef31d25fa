//! Return unused memory to the system.
//!
//! mimalloc, the allocator of the Python module, keeps freed memory for the next allocation. Only a
//! thread itself can return its pages, so each does so at its next call here.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use libmimalloc_sys as _;

// SAFETY: the declaration is that of mimalloc.h, version 1 to 3, and the function has no
// requirements.
unsafe extern "C" {
    safe fn mi_collect(force: bool);
}

/// How often memory was returned.
static ROUND: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The last round in which this thread took part.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// Return the unused memory of this thread; others do so at their next call of [`keep_up`].
pub fn give_back() {
    SEEN.set(ROUND.fetch_add(1, Relaxed) + 1);
    mi_collect(true);
}

/// Return the unused memory of this thread, if another thread has done so since this one last did.
/// It costs next to nothing otherwise.
pub fn keep_up() {
    let round = ROUND.load(Relaxed);
    if SEEN.replace(round) != round {
        mi_collect(true);
    }
}
