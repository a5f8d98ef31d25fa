//! The thread that keeps a collection fast: it moves fresh vectors into the graph, merges text
//! segments, takes out dead rows, and writes checkpoints.

use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiercel_store::Durability;

use crate::errors::WriteError;
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::renumber;
use crate::maintain::upkeep::apply;
use crate::maintain::upkeep::fill_up;
use crate::maintain::upkeep::merge_text;
use crate::maintain::upkeep::move_growing;
use crate::maintain::upkeep::take_out_dead;
use crate::state::signal::Signal;
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

/// The threads of a collection: one for the work, and with `Durability::Interval` another that
/// syncs, since work may take long.
pub(crate) struct Background {
    writer: Arc<Writer>,
    /// Stops the thread that syncs.
    ticking: Arc<Signal>,
    threads: Vec<JoinHandle<()>>,
    /// A forked process does not have the threads, so it must not wait for them.
    process: u32,
}

impl Background {
    /// Start the threads.
    pub(crate) fn start(writer: Arc<Writer>, durability: Durability) -> Result<Self, String> {
        let mut started = Self { writer, ticking: Arc::default(), threads: Vec::new(), process: process::id() };
        let writer = Arc::clone(&started.writer);
        started.spawn(move || run(&writer))?;
        if durability == Durability::Interval {
            let (writer, ticking) = (Arc::clone(&started.writer), Arc::clone(&started.ticking));
            started.spawn(move || sync(&writer, &ticking))?;
        }
        Ok(started)
    }

    fn spawn(&mut self, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
        match thread::Builder::new().name("tiercel".into()).spawn(run) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.stop();
                return Err(error.to_string());
            }
        }
        Ok(())
    }

    /// Whether this process was forked from the one that has the threads. Locks may be held here
    /// that nobody will release.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != process::id()
    }

    /// Stop the threads and wait for them; return false if they were stopped before.
    pub(crate) fn stop(&mut self) -> bool {
        let stops = !self.threads.is_empty();
        self.writer.signal.stop();
        self.ticking.stop();
        for thread in self.threads.drain(..) {
            // Each attempt catches its panics, so no thread ends with one.
            let _ = thread.join();
        }
        stops
    }
}

/// Sync at an interval.
fn sync(writer: &Writer, ticking: &Signal) {
    while !ticking.wait() {
        // If this fails, the store refuses writes from then on.
        writer.core.troubles.attempt(Part::Sync, || writer.store.sync());
    }
}

fn run(writer: &Writer) {
    let (mut sequence, mut idle, mut backoff) = (0, 0, 0);
    while !writer.signal.wait() {
        let now = writer.snapshot().sequence;
        idle = if now == sequence { idle + 1 } else { 0 };
        sequence = now;
        backoff = u32::saturating_sub(backoff, 1);
        if backoff == 0 && !writer.core.troubles.attempt(Part::Upkeep, || tidy(writer, idle >= IDLE)) {
            backoff = BACKOFF;
        }
    }
}

/// Do what is due. After an error or a panic, the next attempt starts over: each step changes
/// shared state in one statement, and detects what an earlier attempt has done.
fn tidy(writer: &Writer, idle: bool) -> Result<(), WriteError> {
    let mut maintenance = writer.maintenance.lock();
    if writer.store.unapplied() >= UNAPPLIED {
        apply(writer)?;
    }
    let enough = |count: usize| count >= MANY || (idle && count > 0);
    if enough(fresh(&writer.snapshot())) {
        move_growing(writer)?;
    }
    merge_text(writer)?;
    if enough(writer.buried.lock().len()) {
        take_out_dead(writer)?;
    }
    fill_up(writer)?;
    if renumber::is_due(&writer.snapshot()) {
        renumber::renumber(writer, &mut maintenance, writer.storage())?;
    }
    if maintenance.is_due(&writer.snapshot(), writer.store.log_bytes()) {
        checkpoint(writer, &mut maintenance)?;
    }
    Ok(())
}

fn fresh(snapshot: &Snapshot) -> usize {
    snapshot.vectors.as_ref().map_or(0, Vectors::fresh)
}

#[cfg(test)]
mod tests;
