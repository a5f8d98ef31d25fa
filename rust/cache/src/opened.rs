//! The journal of an open tier, and what happens when the disk refuses.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::journal::{Index, Journal, Queue};
use crate::lock::Lock;
use crate::tally::Tally;

/// Maximum bytes that wait before they are written.
pub(crate) const TOGETHER: u64 = 1 << 20;

/// A tier as its journal sees it.
pub(crate) trait Tended: Index {
    /// Take the changes that wait to be written.
    fn take(&self) -> Queue;

    /// Maximum bytes of the log.
    fn log_most(&self) -> u64;

    /// Sync what the journal refers to.
    fn sync(&self) -> io::Result<()>;

    /// Forget every key, the changes that wait, and what is kept beside the journal.
    fn forget(&self);

    /// Forget every key in memory only, at the end.
    fn let_go(&self);

    fn tally(&self) -> &Tally;
}

/// A journal that belongs to the process that opened it.
pub(crate) struct Opened {
    by: u32,
    /// Bytes that wait before they are written.
    together: u64,
    lock: Weak<Lock>,
    /// Set before the last write of what waits, so that no change is queued after the last write.
    closed: AtomicBool,
    /// Whether everything was forgotten and no flush has reported it.
    forgot: AtomicBool,
    /// `None` once it is closed. Locked before every lock of the tier.
    journal: Mutex<Option<Journal>>,
}

impl Opened {
    pub(crate) fn new(journal: Journal, together: u64) -> Self {
        Self {
            by: process::id(),
            together,
            lock: Arc::downgrade(&journal.lock()),
            closed: AtomicBool::new(false),
            forgot: AtomicBool::new(false),
            journal: Mutex::new(Some(journal)),
        }
    }

    /// Whether there is a journal to use. Ask before taking any lock: in a forked process, one may
    /// be held by a thread that does not exist. Whoever adds to the queue asks again under its
    /// lock, because the tier may be closed meanwhile.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Relaxed) && self.is_ours()
    }

    /// Whether this process may change the files in the directory; another process may have them by
    /// now.
    pub(crate) fn holds(&self, tier: &impl Tended) -> bool {
        self.is_open() && !(self.is_taken() && self.is_lost(&mut self.journal.lock(), tier))
    }

    fn is_taken(&self) -> bool {
        self.lock.upgrade().is_some_and(|lock| lock.check().is_err())
    }

    fn is_ours(&self) -> bool {
        process::id() == self.by
    }

    /// Write what waits, and sync it. Return whether all earlier puts and deletions are on disk for
    /// good.
    pub(crate) fn flush(&self, tier: &impl Tended) -> bool {
        if !self.is_open() {
            return false;
        }
        let mut journal = self.journal.lock();
        self.write(&mut journal, tier, true);
        journal.is_some() && !self.forgot.swap(false, Relaxed)
    }

    /// Write what waits, so that it outlives the process; only a sync makes it outlive the machine.
    /// Return whether the disk took it.
    pub(crate) fn write_out(&self, tier: &impl Tended) -> bool {
        self.is_open() && self.write(&mut self.journal.lock(), tier, false)
    }

    /// Write the changes from opening the tier, if there are many or the log is too large: the tier
    /// may have been larger before.
    pub(crate) fn begin(&self, tier: &impl Tended, waiting: u64) {
        let mut journal = self.journal.lock();
        if waiting >= self.together || journal.as_ref().is_some_and(|journal| journal.bytes() > tier.log_most()) {
            self.write(&mut journal, tier, false);
        }
    }

    /// Write what waits, and close the journal.
    pub(crate) fn close(&self, tier: &impl Tended) {
        if !self.is_ours() {
            return;
        }
        let mut journal = self.journal.lock();
        self.closed.store(true, Relaxed);
        self.write(&mut journal, tier, true);
        *journal = None;
        // Places of the log hold files open.
        tier.let_go();
    }

    /// Forget everything, for good.
    pub(crate) fn clear(&self, tier: &impl Tended) {
        if !self.is_open() {
            return;
        }
        let mut journal = self.journal.lock();
        if !self.is_lost(&mut journal, tier)
            && let Some(journal) = journal.as_mut()
        {
            begin_anew(journal, tier);
        }
    }

    /// Write if enough waits to be worth it; return whether the disk took it.
    pub(crate) fn write_if_much(&self, tier: &impl Tended, waiting: u64) -> bool {
        if waiting < self.together {
            return true;
        }
        // One thread writes and the others go on, until too much waits.
        let journal = if waiting < 4 * self.together { self.journal.try_lock() } else { Some(self.journal.lock()) };
        journal.is_none_or(|mut journal| self.write(&mut journal, tier, false))
    }

    /// Write what waits. If that fails, everything is forgotten, because the log has older values
    /// than were put.
    fn write(&self, journal: &mut Option<Journal>, tier: &impl Tended, sync: bool) -> bool {
        // Checked again at the end, since the directory may have been removed meanwhile.
        !self.is_lost(journal, tier) && self.write_own(journal, tier, sync) && !self.is_lost(journal, tier)
    }

    fn write_own(&self, journal: &mut Option<Journal>, tier: &impl Tended, sync: bool) -> bool {
        let Some(journal) = journal else { return false };
        let written = journal.write(tier.take(), tier, tier.log_most());
        let written = written.and_then(|()| if sync { tier.sync().and_then(|()| journal.sync()) } else { Ok(()) });
        let written = written.and_then(|()| journal.check_in_place());
        if written.is_err() {
            tier.tally().failures.one();
            self.forgot.store(true, Relaxed);
            begin_anew(journal, tier);
        }
        written.is_ok()
    }
}

impl Opened {
    /// Whether the lock was removed or replaced: then another process may use the files, and this
    /// one lets go of them as they are.
    fn is_lost(&self, journal: &mut Option<Journal>, tier: &impl Tended) -> bool {
        let is_lost = journal.is_some() && self.is_taken();
        if is_lost {
            self.closed.store(true, Relaxed);
            *journal = None;
            tier.tally().failures.one();
            tier.let_go();
        }
        is_lost
    }
}

fn begin_anew(journal: &mut Journal, tier: &impl Tended) {
    tier.forget();
    if journal.begin_anew().is_err() {
        tier.tally().failures.one();
    }
}
