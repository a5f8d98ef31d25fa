//! What keeps a collection fast: fresh vectors are moved into the graph, text segments merged, dead rows
//! taken out, and checkpoints written.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tiercel_store::Durability;

use crate::errors::{QueryError, WriteError};
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::rebuild::fill_up;
use crate::maintain::renumber;
use crate::maintain::upkeep::MERGED;
use crate::maintain::upkeep::apply;
use crate::maintain::upkeep::merge_graphs;
use crate::maintain::upkeep::merge_text;
use crate::maintain::upkeep::move_growing;
use crate::maintain::upkeep::take_out_dead;
use crate::pool::{Lane, TaskId};
use crate::state::checkpoint::Maintenance;
use crate::state::signal::PAUSE;
use crate::state::snapshot::Snapshot;
use crate::state::vectors::Vectors;
use crate::state::writer::Writer;
use crate::trouble::Part;

/// Bytes of changes in memory at which they are put into the record database.
const UNAPPLIED: usize = 16 << 20;
/// Fresh vectors, or dead rows, at which they are processed even while writes go on.
const MANY: usize = 1024;
/// Rounds without a change after which even a few are processed.
const IDLE: u32 = 3;
/// Rounds to wait after an error.
const BACKOFF: u32 = 100;

/// The background work of a collection, in the threads of the process: one task for upkeep, and with
/// `Durability::Interval` another that syncs, since upkeep may take long.
pub(crate) struct Background {
    writer: Arc<Writer>,
    tasks: Vec<TaskId>,
    /// A forked process does not have the threads, so it must not wait for them.
    process: u32,
}

impl Background {
    /// Start the tasks.
    pub(crate) fn start(writer: Arc<Writer>, durability: Durability) -> Result<Self, String> {
        let mut started = Self { writer, tasks: Vec::new(), process: process::id() };
        let (signal, rounds) = (&started.writer.signal, Mutex::new(Rounds::default()));
        let (upkeep, syncing) = (signal.upkeep, signal.sync);
        let writer = Arc::clone(&started.writer);
        started.add(upkeep, Lane::Upkeep, move || rounds.lock().next(&writer))?;
        if durability == Durability::Interval {
            let writer = Arc::clone(&started.writer);
            started.add(syncing, Lane::Sync, move || sync(&writer))?;
        }
        // What came from the log may have work for them.
        started.writer.signal.wake();
        Ok(started)
    }

    fn add(
        &mut self,
        id: TaskId,
        lane: Lane,
        run: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Result<(), String> {
        if let Err(why) = self.writer.signal.pool.add(id, lane, run) {
            self.stop();
            return Err(why);
        }
        self.tasks.push(id);
        Ok(())
    }

    /// Whether this process was forked from the one that has the threads. Locks may be held here
    /// that nobody will release.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != process::id()
    }

    /// Stop the tasks and wait for them; return false if they were stopped before.
    pub(crate) fn stop(&mut self) -> bool {
        let stops = !self.tasks.is_empty();
        self.writer.stopping.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            self.writer.signal.pool.remove(task);
        }
        self.writer.stopping.store(false, Ordering::Relaxed);
        stops
    }
}

/// Sync, and rest until the next write. If this fails, the store refuses writes from then on.
fn sync(writer: &Writer) -> Option<Duration> {
    writer.core.troubles.attempt(Part::Sync, || writer.store.sync());
    None
}

/// The rounds of upkeep of a collection.
#[derive(Default)]
struct Rounds {
    /// The sequence at the last one.
    sequence: u64,
    /// How many found the same sequence as the one before.
    idle: u32,
    /// How many still pass after an error.
    backoff: u32,
}

impl Rounds {
    /// Do one, and return how long to rest: until the next write, once all is done.
    fn next(&mut self, writer: &Writer) -> Option<Duration> {
        let now = writer.snapshot().sequence;
        self.idle = if now == self.sequence { self.idle + 1 } else { 0 };
        self.sequence = now;
        self.backoff = self.backoff.saturating_sub(1);
        let is_idle = self.idle >= IDLE;
        // A caller compacts, perhaps for minutes, in which other collections need this thread.
        let Some(mut maintenance) = writer.maintenance.try_lock() else { return Some(PAUSE) };
        let tidied = || match tidy(writer, &mut maintenance, is_idle) {
            // Closing does not wait for the graph.
            Err(WriteError::Query(QueryError::Interrupted)) => Ok(()),
            tidied => tidied,
        };
        if self.backoff == 0 && !writer.core.troubles.attempt(Part::Upkeep, tidied) {
            self.backoff = BACKOFF;
        }
        // Dead rows are only taken out once no search needs them.
        let merges = writer.snapshot().vectors.as_ref().is_some_and(|vectors| vectors.merge(writer.most).is_some());
        let is_done = is_idle && self.backoff == 0 && !merges && writer.buried.lock().is_empty();
        (!is_done).then_some(PAUSE)
    }
}

/// Do what is due. After an error or a panic, the next attempt starts over: each step changes
/// shared state in one statement, and detects what an earlier attempt has done.
fn tidy(writer: &Writer, maintenance: &mut Maintenance, idle: bool) -> Result<(), WriteError> {
    if writer.store.unapplied() >= UNAPPLIED {
        apply(writer)?;
    }
    let enough = |count: usize| count >= MANY || (idle && count > 0);
    let moved = fresh(&writer.snapshot());
    if enough(moved) {
        move_growing(writer)?;
    }
    // As many as were moved, so that the graph that takes these does not grow far beyond full.
    for _ in 0..moved.div_ceil(MERGED).max(1) {
        if !merge_graphs(writer)? {
            break;
        }
    }
    merge_text(writer)?;
    if enough(writer.buried.lock().len()) {
        take_out_dead(writer)?;
    }
    fill_up(writer)?;
    if renumber::is_due(&writer.snapshot()) {
        renumber::renumber(writer, maintenance, writer.storage())?;
    }
    if maintenance.is_due(&writer.snapshot(), writer.store.log_bytes()) {
        checkpoint(writer, maintenance)?;
    }
    Ok(())
}

fn fresh(snapshot: &Snapshot) -> usize {
    snapshot.vectors.as_ref().map_or(0, Vectors::fresh)
}

#[cfg(test)]
mod tests;
