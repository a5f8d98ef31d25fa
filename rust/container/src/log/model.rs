//! Group commit in every order of events that loom distinguishes, with at most
//! `TIERCEL_PREEMPTIONS` preemptions (2 if unset).

use std::sync::Arc;

use loom::thread;
use parking_lot::Mutex;

use group::Group;

#[expect(clippy::duplicate_mod, unreachable_pub, reason = "compiled once more, for loom")]
#[path = "group.rs"]
mod group;

/// Loom's locks with the interface of `parking_lot`.
mod sync {
    use std::ops::{Deref, DerefMut};

    use loom::sync::{self, MutexGuard};

    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    pub(crate) struct Guard<'a, T>(Option<MutexGuard<'a, T>>);

    pub(crate) struct Condvar(sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().expect("no panic under the lock")))
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("locked except while it waits")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("locked except while it waits")
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            let inner = guard.0.take().expect("locked except while it waits");
            guard.0 = Some(self.0.wait(inner).expect("no panic under the lock"));
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let wanted = std::env::var("TIERCEL_PREEMPTIONS").ok().and_then(|bound| bound.parse().ok());
    builder.preemption_bound = Some(wanted.unwrap_or(2));
    builder.check(model);
}

/// Run three threads that submit one piece of work each. The work of the second panics if `panics`.
fn three(panics: bool) {
    let group = Arc::new(Group::new());
    // Batches of work in the order in which they were led.
    let led = Arc::new(Mutex::new(Vec::new()));
    let bring = |number: u32| {
        let (group, led) = (Arc::clone(&group), Arc::clone(&led));
        move || {
            let result = group.submit(number, &None, |work: Vec<u32>| {
                let mut led = led.try_lock().expect("one leads at a time");
                led.push(work.clone());
                // Others may come while this one leads.
                thread::yield_now();
                assert!(!panics || !work.contains(&1), "the panic that was asked for");
                work.into_iter().map(|number| Some(10 * number)).collect()
            });
            (number, result)
        }
    };
    let others = [thread::spawn(bring(1)), thread::spawn(bring(2))];
    let mut results = vec![bring(0)()];
    results.extend(others.map(|other| other.join().expect("no panic reaches a submitter")));
    let led = led.lock();
    let mut all: Vec<u32> = led.concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2], "each piece is done once");
    for (number, result) in results {
        let with_it = led.iter().find(|batch| batch.contains(&number)).expect("it was led");
        let lost = panics && with_it.contains(&1);
        assert_eq!(result, (!lost).then_some(10 * number), "everyone gets the result of their own work");
    }
}

#[test]
fn everybody_gets_the_result_of_their_work_which_is_done_once() {
    check(|| three(false));
}

#[test]
fn everybody_gets_an_answer_though_the_work_of_one_panics() {
    check(|| three(true));
}
