//! Events of a collection, for monitoring: what it did and which writes it refused, kept until
//! somebody takes them.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// The most events to keep; when more wait, the oldest are dropped.
const WAITING: usize = 64;

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Normal operation.
    Info,
    /// Something that needs attention.
    Warning,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its severity.
    pub level: Level,
    /// The message.
    pub what: String,
}

/// The events of a collection that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Events {
    waits: AtomicBool,
    /// Whether the last batch failed for lack of room.
    no_room: AtomicBool,
    waiting: Mutex<Vec<Event>>,
}

impl Events {
    /// Whether [`Self::take`] would return any.
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Return the events that were not returned before, oldest first.
    pub fn take(&self) -> Vec<Event> {
        // In a forked process, a thread that does not exist there may hold the lock.
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

    /// Note that a batch was refused for lack of room: once, until there is room again.
    pub(crate) fn no_room(&self, why: &str) {
        if !self.no_room.swap(true, Ordering::Relaxed) {
            self.add(Level::Warning, format!("writes are refused until there is room: {why}"));
        }
    }

    /// Note that a batch was written.
    pub(crate) fn room(&self) {
        if self.no_room.load(Ordering::Relaxed) && self.no_room.swap(false, Ordering::Relaxed) {
            self.info("writes have room again".to_owned());
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
