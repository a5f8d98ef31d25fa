//! What a collection has done, and what refused it, for whoever watches over it: kept until somebody asks.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Events that wait to be told at most; of more, the latest.
const WAITING: usize = 64;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It belongs to the work.
    Info,
    /// Somebody should look after it.
    Warning,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much it matters.
    pub level: Level,
    /// What it was.
    pub what: String,
}

/// The events of a collection that nobody has been told yet.
#[derive(Debug, Default)]
pub struct Events {
    waits: AtomicBool,
    /// Whether the last batch found no room.
    no_room: AtomicBool,
    waiting: Mutex<Vec<Event>>,
}

impl Events {
    /// Whether [`Self::take`] has any to give.
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Those that were not given before, oldest first.
    pub fn take(&self) -> Vec<Event> {
        // A forked process may find the lock held by a thread that it does not have.
        let Some(mut waiting) = self.waiting.try_lock() else { return Vec::new() };
        self.waits.store(false, Ordering::Release);
        std::mem::take(&mut waiting)
    }

    pub(crate) fn info(&self, what: String) {
        self.add(Level::Info, what);
    }

    fn add(&self, level: Level, what: String) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == WAITING {
            waiting.remove(0);
        }
        waiting.push(Event { level, what });
        self.waits.store(true, Ordering::Release);
    }

    /// A batch was refused, since there is no room. Told once, until there is room again.
    pub(crate) fn no_room(&self, why: &str) {
        if !self.no_room.swap(true, Ordering::Relaxed) {
            self.add(Level::Warning, format!("writes are refused until there is room: {why}"));
        }
    }

    /// A batch was written.
    pub(crate) fn room(&self) {
        if self.no_room.load(Ordering::Relaxed) && self.no_room.swap(false, Ordering::Relaxed) {
            self.info("writes find room again".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_latest_are_kept() {
        let events = Events::default();
        assert!(!events.is_waiting());
        for number in 0..100 {
            events.info(number.to_string());
        }
        assert!(events.is_waiting());
        let taken = events.take();
        assert_eq!((taken.len(), taken[WAITING - 1].what.as_str()), (WAITING, "99"));
        assert!(!events.is_waiting());
    }

    #[test]
    fn a_disk_without_room_is_told_once() {
        let events = Events::default();
        events.room();
        for _ in 0..2 {
            events.no_room("full");
            events.no_room("full");
            events.room();
            events.room();
        }
        let levels: Vec<_> = events.take().into_iter().map(|event| event.level).collect();
        assert_eq!(levels, [Level::Warning, Level::Info, Level::Warning, Level::Info]);
    }
}
