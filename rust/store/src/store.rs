//! A store: the directory of a collection, opened by one process to read and write it.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tiercel_container::log::Group;
use tiercel_container::{Files, Identity, Vfs, VfsLock};

use crate::batch::{Applied, Batch, Condition};
use crate::errors::{CommitError, failed, message_of};
use crate::names::RECORDS_FILE;
use crate::options::Durability;
use crate::records::reader::Reader;
use crate::records::transactions::Records;
use crate::writer::Writer;

/// Maximum memory for what is only in the log; above it, commits wait until it is in the record
/// database.
const UNAPPLIED: usize = 64 << 20;

type Publish = Box<dyn FnOnce(&Applied) + Send>;
type Job = (Batch, Publish);

/// The directory of a collection, open to read and write.
pub struct Store {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    durability: Durability,
    /// Only this process may write: a forked one has copies of everything in memory.
    opened_by: u32,
    /// Taken before `writer` by whoever takes both.
    pub(crate) records: Mutex<Records>,
    pub(crate) writer: Mutex<Writer>,
    waiting: Group<Job, Result<Applied, CommitError>>,
    pub(crate) published: RwLock<Reader>,
    /// Taken to remove segment files, shared by whoever reads all of them, which may take long.
    /// Nobody waits to take it: files that cannot be removed now stay for the next publication.
    pub(crate) segment_files: RwLock<()>,
    /// Segments that were written and are not published yet.
    pub(crate) unpublished: Mutex<BTreeSet<String>>,
    lock: Arc<dyn VfsLock>,
    ended: AtomicBool,
}

impl Store {
    /// Make a store from parts that were read, locked and prepared for writing.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        identity: Identity,
        durability: Durability,
        records: Records,
        writer: Writer,
        lock: Arc<dyn VfsLock>,
    ) -> Self {
        let reader = writer.reader().clone();
        Self {
            vfs,
            dir,
            identity,
            durability,
            opened_by: process::id(),
            records: Mutex::new(records),
            writer: Mutex::new(writer),
            waiting: Group::new(),
            published: RwLock::new(reader),
            segment_files: RwLock::new(()),
            unpublished: Mutex::default(),
            lock,
            ended: AtomicBool::new(false),
        }
    }

    /// Where files of the store are made.
    pub(crate) fn place(&self) -> Files<'_> {
        Files::new(&*self.vfs, &self.dir, self.identity, RECORDS_FILE)
    }

    /// Commit a batch, together with those that other threads commit meanwhile: in one append to
    /// the log, with one sync.
    ///
    /// `publish` runs once the batch is as durable as requested and before any batch of the group
    /// is acknowledged: in the order of the batches, one at a time, maybe on the thread of another
    /// caller. It must not write to the store. After an error it has not run. Nothing is changed
    /// then, except that after [`CommitError::Failed`] the batch may be in the log, and appears at
    /// the next opening.
    pub fn commit(
        &self,
        batch: Batch,
        publish: impl FnOnce(&Applied) + Send + 'static,
    ) -> Result<Applied, CommitError> {
        self.check_process()?;
        batch.check()?;
        let lost = CommitError::Failed { why: "a commit panicked".to_owned() };
        self.waiting.submit((batch, Box::new(publish) as Publish), &Err(lost), |jobs| self.commit_group(jobs))
    }

    /// Commit the batch that `make` builds from the newest records, if they meet these conditions,
    /// which are checked first. No batch is committed between its look at the records and its own.
    /// All other commits wait for it, so it should have little left to do. It must not write to the
    /// store. `None` commits nothing.
    ///
    /// The function that `make` returns beside the batch publishes it, as in [`Self::commit`].
    pub fn commit_made<E: From<CommitError>, P: FnOnce(&Applied) + Send + 'static>(
        &self,
        conditions: &[Condition],
        make: impl FnOnce() -> Result<Option<(Batch, P)>, E>,
    ) -> Result<Option<Applied>, E> {
        self.check_process()?;
        self.make_room()?;
        let mut writer = self.writer.lock();
        writer.check(conditions)?;
        let Some((batch, publish)) = make()? else { return Ok(None) };
        batch.check()?;
        let mut results = self.write(&mut writer, &[batch], vec![Box::new(publish)])?;
        Ok(results.pop().transpose()?)
    }

    fn commit_group(&self, jobs: Vec<Job>) -> Vec<Result<Applied, CommitError>> {
        let (batches, publishers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        match self.write_group(&batches, publishers) {
            Ok(results) => results,
            Err(error) => batches.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn write_group(
        &self,
        batches: &[Batch],
        publishers: Vec<Publish>,
    ) -> Result<Vec<Result<Applied, CommitError>>, CommitError> {
        self.make_room()?;
        self.write(&mut self.writer.lock(), batches, publishers)
    }

    /// Put the content of the log into the record database, if there is too much of it.
    fn make_room(&self) -> Result<(), CommitError> {
        if self.unapplied() > UNAPPLIED { self.apply(|| ()) } else { Ok(()) }
    }

    fn write(
        &self,
        writer: &mut Writer,
        batches: &[Batch],
        publishers: Vec<Publish>,
    ) -> Result<Vec<Result<Applied, CommitError>>, CommitError> {
        let written = panic::catch_unwind(AssertUnwindSafe(|| self.write_and_publish(writer, batches, publishers)));
        written.unwrap_or_else(|panic| writer.latch(Err(panicked(&*panic))))
    }

    fn write_and_publish(
        &self,
        writer: &mut Writer,
        batches: &[Batch],
        publishers: Vec<Publish>,
    ) -> Result<Vec<Result<Applied, CommitError>>, CommitError> {
        let results = writer.commit(batches, self.durability == Durability::Always)?;
        *self.published.write() = writer.reader().clone();
        for (result, publish) in results.iter().zip(publishers) {
            let Ok(applied) = result else { continue };
            // After a failed publication, readers would see something other than what is committed.
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| publish(applied))) {
                let why = format!("a publication panicked: {}", message_of(&*panic));
                let _ = writer.latch::<()>(Err(CommitError::Failed { why }));
            }
        }
        Ok(results)
    }

    /// Do work that changes the store. After a panic nobody knows how far it got, so all further
    /// writes are refused.
    pub(crate) fn guarded<T>(&self, job: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
        self.check_process()?;
        let done = panic::catch_unwind(AssertUnwindSafe(job));
        done.unwrap_or_else(|panic| self.writer.lock().latch(Err(panicked(&*panic))))
    }

    /// Make everything that was committed survive a crash of the machine. Commits go on meanwhile.
    pub fn sync(&self) -> Result<(), CommitError> {
        self.guarded(|| self.sync_log())
    }

    fn sync_log(&self) -> Result<(), CommitError> {
        let (file, end) = {
            let mut writer = self.writer.lock();
            writer.ready()?;
            if !writer.log.is_ahead() {
                return Ok(());
            }
            writer.log.last()
        };
        let synced = file.sync();
        let mut writer = self.writer.lock();
        let marked = match synced {
            Ok(()) => writer.log.mark(&file, end),
            Err(error) => Err(error),
        };
        writer.latch(marked.map_err(failed))
    }

    /// Approximate bytes of memory of what is in the log and not yet in the record database.
    pub fn unapplied(&self) -> usize {
        self.writer.lock().unapplied()
    }

    /// Bytes of the log.
    pub fn log_bytes(&self) -> u64 {
        self.writer.lock().log.bytes()
    }

    /// Put the content of the log into the record database. Commits go on meanwhile. `publish` runs
    /// once readers get it from there, in the order of commits like that of [`Store::commit`].
    pub fn apply(&self, publish: impl FnOnce()) -> Result<(), CommitError> {
        self.guarded(|| {
            self.apply_to(&mut self.records.lock())?;
            let _writer = self.writer.lock();
            publish();
            Ok(())
        })
    }

    pub(crate) fn apply_to(&self, records: &mut Records) -> Result<(), CommitError> {
        let Some(frozen) = self.writer.lock().freeze()? else { return Ok(()) };
        let (applied, result) = frozen.apply(records);
        self.install(records, applied, result, |_| ())
    }

    /// As [`Self::apply_to`], while commits wait.
    pub(crate) fn apply_quietly(&self, records: &mut Records, writer: &mut Writer) -> Result<(), CommitError> {
        let Some(frozen) = writer.freeze()? else { return Ok(()) };
        let (applied, result) = frozen.apply(records);
        self.install_for(writer, records, applied, result, |_| ())
    }

    /// Show readers the record database after a transaction, with the first `applied` layers in it.
    pub(crate) fn install(
        &self,
        records: &Records,
        applied: usize,
        result: Result<(), CommitError>,
        publish: impl FnOnce(u64),
    ) -> Result<(), CommitError> {
        self.install_for(&mut self.writer.lock(), records, applied, result, publish)
    }

    pub(crate) fn install_for(
        &self,
        writer: &mut Writer,
        records: &Records,
        applied: usize,
        result: Result<(), CommitError>,
        publish: impl FnOnce(u64),
    ) -> Result<(), CommitError> {
        writer.install(Arc::clone(records.base()), applied);
        let reader = writer.reader().clone();
        let sequence = reader.sequence();
        *self.published.write() = reader;
        writer.latch(result)?;
        publish(sequence);
        Ok(())
    }

    /// The records as they are now.
    pub fn reader(&self) -> Reader {
        self.published.read().clone()
    }

    /// As [`Self::end`], and let others open the store.
    pub fn close(self) -> Result<(), CommitError> {
        self.end()
    }

    /// Sync, and close the files. Remaining readers get errors, and the caller must not write any
    /// more. A second call does nothing, nor does one in a forked process. Dropping the store does
    /// the same without telling of errors.
    pub fn end(&self) -> Result<(), CommitError> {
        if process::id() != self.opened_by || self.ended.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.guarded(|| self.end_once())
    }

    fn end_once(&self) -> Result<(), CommitError> {
        let mut records = self.records.lock();
        if self.lock.check().is_err() {
            // Another process may have the store by now.
            records.db().file().seal();
        }
        self.writer.lock().sync()?;
        match self.apply_to(&mut records) {
            // It is safe in the log.
            Ok(()) | Err(CommitError::NoRoom(_)) => records.close(),
            error => error,
        }
    }

    /// Refuse a forked process: it has a copy of everything in memory, and only the process that
    /// opened the store may write.
    pub fn check_process(&self) -> Result<(), CommitError> {
        if process::id() == self.opened_by { Ok(()) } else { Err(CommitError::Forked { opened_by: self.opened_by }) }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // To learn of errors, call `end`. A panic in a destructor would end the process.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.end()));
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("dir", &self.dir).field("durability", &self.durability).finish_non_exhaustive()
    }
}

fn panicked(panic: &(dyn Any + Send)) -> CommitError {
    CommitError::Failed { why: format!("a panic: {}", message_of(panic)) }
}
