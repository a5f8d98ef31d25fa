//! The threads that work in the background, shared by all collections of a process.
//!
//! ```text
//!          wake                  a thread takes it
//! resting ------> due at a time -------------------> running ---> due after a rest, or resting
//! ```
//!
//! A task is taken by one thread at a time. Syncs are never behind upkeep, which may take minutes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The kinds of tasks, each with threads of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Moving vectors, merging, writing checkpoints.
    Upkeep,
    /// Syncing at an interval.
    Sync,
}

impl Lane {
    /// Return the most threads for this kind.
    const fn most(self) -> usize {
        match self {
            Self::Upkeep | Self::Sync => 2,
        }
    }
}

/// The number of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskId(u64);

/// What a task does. It returns how long to rest; `None` is until somebody wakes it.
type Run = dyn Fn() -> Option<Duration> + Send + Sync;

struct Task {
    lane: Lane,
    run: Arc<Run>,
    due: Option<Instant>,
    is_running: bool,
}

/// The threads of a process, and their tasks.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// A task has become due earlier, or is gone; one for each kind.
    upkeep: Condvar,
    sync: Condvar,
    /// A task has run.
    ran: Condvar,
    process: u32,
    /// The pool of a process that was forked from this one, which has none of the threads.
    forked: OnceLock<Box<Self>>,
}

#[derive(Default)]
struct State {
    tasks: HashMap<TaskId, Task>,
    /// The number of threads of each kind.
    upkeep: usize,
    sync: usize,
}

impl State {
    const fn threads(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Upkeep => &mut self.upkeep,
            Lane::Sync => &mut self.sync,
        }
    }

    fn count(&self, lane: Lane) -> usize {
        self.tasks.values().filter(|task| task.lane == lane).count()
    }

    /// Return the waiting task that is due first.
    fn first_due(&self, lane: Lane) -> Option<(TaskId, Instant)> {
        let waiting = self.tasks.iter().filter(|(_, task)| task.lane == lane && !task.is_running);
        waiting.filter_map(|(id, task)| Some((*id, task.due?))).min_by_key(|(_, due)| *due)
    }
}

impl Pool {
    fn new() -> Self {
        Self {
            state: Mutex::default(),
            upkeep: Condvar::new(),
            sync: Condvar::new(),
            ran: Condvar::new(),
            process: process::id(),
            forked: OnceLock::new(),
        }
    }

    const fn changed(&self, lane: Lane) -> &Condvar {
        match lane {
            Lane::Upkeep => &self.upkeep,
            Lane::Sync => &self.sync,
        }
    }

    /// Return the pool of this process.
    pub(crate) fn of_process() -> &'static Self {
        static FIRST: OnceLock<Pool> = OnceLock::new();
        let mut pool = FIRST.get_or_init(Self::new);
        while pool.process != process::id() {
            pool = pool.forked.get_or_init(|| Box::new(Self::new()));
        }
        pool
    }

    /// Return a number that no other task has.
    pub(crate) fn new_id() -> TaskId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        TaskId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Add a task, which rests at first.
    pub(crate) fn add(
        &'static self,
        id: TaskId,
        lane: Lane,
        run: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Result<(), String> {
        let mut state = self.state.lock();
        state.tasks.insert(id, Task { lane, run: Arc::new(run), due: None, is_running: false });
        if *state.threads(lane) < state.count(lane).min(lane.most()) {
            let spawned = thread::Builder::new().name("tiercel".into()).spawn(move || self.serve(lane));
            match spawned {
                Ok(_) => *state.threads(lane) += 1,
                // Those that there are serve this task, too.
                Err(_) if *state.threads(lane) > 0 => {}
                Err(error) => {
                    state.tasks.remove(&id);
                    return Err(error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Have a task run within this time, again if it runs now.
    pub(crate) fn wake(&self, id: TaskId, within: Duration) {
        let mut state = self.state.lock();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        let due = Instant::now() + within;
        if task.due.is_none_or(|before| due < before) {
            task.due = Some(due);
            // A thread that runs a task looks for the next itself.
            self.changed(task.lane).notify_one();
        }
    }

    /// Remove a task, and wait until it has ended. Return whether it was there.
    pub(crate) fn remove(&self, id: TaskId) -> bool {
        let mut state = self.state.lock();
        while state.tasks.get(&id).is_some_and(|task| task.is_running) {
            self.ran.wait(&mut state);
        }
        let removed = state.tasks.remove(&id);
        drop(state);
        if let Some(task) = &removed {
            self.changed(task.lane).notify_all();
        }
        removed.is_some()
    }

    #[cfg(test)]
    pub(crate) fn has(&self, id: TaskId) -> bool {
        self.state.lock().tasks.contains_key(&id)
    }

    /// Run tasks until there are none.
    fn serve(&self, lane: Lane) {
        let mut state = self.state.lock();
        while state.count(lane) > 0 {
            match state.first_due(lane) {
                Some((id, due)) if due <= Instant::now() => self.run(&mut state, id),
                Some((_, due)) => drop(self.changed(lane).wait_until(&mut state, due)),
                None => self.changed(lane).wait(&mut state),
            }
        }
        *state.threads(lane) -= 1;
    }

    fn run(&self, state: &mut MutexGuard<'_, State>, id: TaskId) {
        let Some(task) = state.tasks.get_mut(&id) else { return };
        (task.is_running, task.due) = (true, None);
        let run = Arc::clone(&task.run);
        // Tasks catch their panics and tell them; without this, a panic elsewhere would leave the task
        // running for ever.
        let rest = MutexGuard::unlocked(state, || catch_unwind(AssertUnwindSafe(|| run())).unwrap_or(None));
        drop(run);
        if let Some(task) = state.tasks.get_mut(&id) {
            task.is_running = false;
            let next = rest.map(|rest| Instant::now() + rest);
            // It may have been woken meanwhile.
            task.due = [task.due, next].into_iter().flatten().min();
            // This thread may take another task first, and the others may wait for nothing.
            self.changed(task.lane).notify_one();
        }
        self.ran.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;

    fn pool() -> &'static Pool {
        Box::leak(Box::new(Pool::new()))
    }

    #[test]
    fn a_task_runs_when_it_is_woken_and_when_its_rest_is_over() {
        let (pool, ran) = (pool(), Arc::new(AtomicUsize::new(0)));
        let (id, counted) = (Pool::new_id(), Arc::clone(&ran));
        let run = move || (counted.fetch_add(1, Ordering::Relaxed) < 2).then_some(Duration::from_millis(1));
        pool.add(id, Lane::Upkeep, run).unwrap();
        pool.wake(id, Duration::ZERO);
        while ran.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        pool.wake(id, Duration::ZERO);
        while ran.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        assert!(pool.remove(id) && !pool.remove(id));
        pool.wake(id, Duration::ZERO);
    }

    #[test]
    fn few_threads_serve_many_tasks_and_end_with_them() {
        let pool = pool();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (ran, ids) = (Arc::new(AtomicUsize::new(0)), (0..50).map(|_| Pool::new_id()).collect::<Vec<_>>());
        for id in &ids {
            let (running, most, ran) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&ran));
            let run = move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                ran.fetch_add(1, Ordering::SeqCst);
                None
            };
            pool.add(*id, Lane::Upkeep, run).unwrap();
            pool.wake(*id, Duration::ZERO);
        }
        while ran.load(Ordering::SeqCst) < ids.len() {
            thread::yield_now();
        }
        assert!(most.load(Ordering::SeqCst) <= Lane::Upkeep.most());
        assert_eq!(pool.state.lock().upkeep, Lane::Upkeep.most());
        assert!(ids.into_iter().all(|id| pool.remove(id)));
        while pool.state.lock().upkeep > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_task_that_rests_does_not_wait_for_the_thread_that_ran_it() {
        let pool = pool();
        let (ran, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let [short, long] = [Pool::new_id(), Pool::new_id()];
        let counted = Arc::clone(&ran);
        let again = move || (counted.fetch_add(1, Ordering::SeqCst) < 100).then_some(Duration::from_millis(1));
        let waits = Arc::clone(&stuck);
        let until_told = move || {
            while waits.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            None
        };
        pool.add(short, Lane::Upkeep, again).unwrap();
        pool.add(long, Lane::Upkeep, until_told).unwrap();
        pool.wake(short, Duration::ZERO);
        pool.wake(long, Duration::from_millis(3));
        while ran.load(Ordering::SeqCst) < 100 {
            thread::yield_now();
        }
        stuck.store(false, Ordering::SeqCst);
        assert!(pool.remove(short) && pool.remove(long));
    }

    #[test]
    fn a_removed_task_has_ended_even_by_a_panic() {
        let pool = pool();
        let (begun, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (id, begins, waits) = (Pool::new_id(), Arc::clone(&begun), Arc::clone(&go_on));
        let run = move || {
            begins.store(true, Ordering::SeqCst);
            while !waits.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            panic!("of a test");
        };
        pool.add(id, Lane::Sync, run).unwrap();
        pool.wake(id, Duration::ZERO);
        while !begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let remover = thread::spawn(move || pool.remove(id));
        assert!(!remover.is_finished());
        go_on.store(true, Ordering::SeqCst);
        assert!(remover.join().unwrap());
        assert!(pool.state.lock().tasks.is_empty());
    }
}
