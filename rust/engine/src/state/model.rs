//! Model tests: publication while readers read, in every order of events that loom can
//! distinguish, including weak memory, with up to `TIERCEL_PREEMPTIONS` switches between threads
//! at arbitrary points; 2 if it is not set.
//!
//! A snapshot shares its visibility with earlier ones, which are written while others read them.
//! This must not change a snapshot.

use std::sync::Arc;

use loom::thread;

use current::Current;
use visibility::Visibility;

#[expect(clippy::duplicate_mod, reason = "compiled once more, for loom")]
#[path = "current.rs"]
mod current;
#[expect(clippy::duplicate_mod, reason = "compiled once more, for loom")]
#[expect(dead_code, reason = "the model uses only a part")]
#[path = "visibility.rs"]
mod visibility;

/// The loom versions of what threads share, with the interface of `parking_lot`.
mod sync {
    use loom::sync::{self, RwLockReadGuard, RwLockWriteGuard};

    pub(crate) use sync::atomic::AtomicU64;

    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().expect("no panic under the lock")
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().expect("no panic under the lock")
        }
    }
}

/// A collection of one record: each batch writes it again as a new row, and buries the old row.
#[derive(Clone)]
struct Snapshot {
    sequence: u64,
    rows: u32,
    visibility: Visibility,
}

impl Snapshot {
    fn next(&self) -> Self {
        let mut next = self.clone();
        next.sequence += 1;
        next.rows += 1;
        next.visibility.grow(next.rows);
        next
    }

    fn bury_the_last(&self) {
        self.visibility.bury(self.rows - 2, self.sequence);
    }

    fn living(&self) -> Vec<u32> {
        (0..self.rows).filter(|row| self.visibility.lives(*row, self.sequence)).collect()
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let wanted = std::env::var("TIERCEL_PREEMPTIONS").ok().and_then(|bound| bound.parse().ok());
    builder.preemption_bound = Some(wanted.unwrap_or(2));
    builder.check(model);
}

/// Run a writer of two batches, and a reader that looks at one snapshot twice and at a later one.
fn a_writer_and_a_reader(publish: fn(&Current<Snapshot>)) {
    let mut visibility = Visibility::default();
    visibility.grow(1);
    let current = Arc::new(Current::new(Snapshot { sequence: 0, rows: 1, visibility }));
    let reader = {
        let current = Arc::clone(&current);
        thread::spawn(move || {
            let first = current.get();
            let before = first.living();
            let second = current.get();
            assert!(second.sequence >= first.sequence, "a reader never goes back");
            for snapshot in [&first, &second] {
                assert_eq!(snapshot.living(), [snapshot.sequence as u32], "one row lives: that of the last batch");
            }
            assert_eq!(first.living(), before, "a snapshot does not change");
        })
    };
    publish(&current);
    publish(&current);
    reader.join().expect("what the reader saw");
}

#[test]
fn readers_see_a_state_that_existed_and_that_stays() {
    check(|| {
        a_writer_and_a_reader(|current| {
            let next = current.get().next();
            next.bury_the_last();
            let old = current.replace(next);
            assert_eq!(old.living(), [old.sequence as u32]);
        });
    });
}

/// The model detects the mistake it exists for.
#[test]
#[should_panic(expected = "one row lives")]
fn burying_after_publication_is_found() {
    check(|| {
        a_writer_and_a_reader(|current| {
            let next = current.get().next();
            current.replace(next.clone());
            next.bury_the_last();
        });
    });
}
