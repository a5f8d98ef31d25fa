//! redb on a page file, with its panics and errors turned into ours.

use std::fmt;
use std::io;
use std::mem::{self, ManuallyDrop};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::errors::{ReadError, corrupt_records, outdated};
use crate::records::pages::file::PageFile;

/// Cache, in bytes, of a database that is read or written from front to back.
pub(crate) const SMALL_CACHE: usize = 16 << 20;

/// An open record database.
pub(crate) struct Db {
    /// `None` once it is closed.
    redb: RwLock<Option<Handle>>,
    file: PageFile,
    /// Whether redb has panicked: its objects must not be touched again, not even dropped.
    panicked: AtomicBool,
}

enum Handle {
    Write(redb::Database),
    /// Writes nothing, not even when it is dropped.
    Read(redb::ReadOnlyDatabase),
}

impl Db {
    /// Open the database in a file, or make one in an empty file.
    pub(crate) fn new(file: PageFile, cache_bytes: usize) -> Result<Self, ReadError> {
        Self::with(file, |file| Ok(Handle::Write(builder(cache_bytes).create_with_backend(file)?)))
    }

    /// Open the database in a file to read it, even while a writer has it open.
    pub(crate) fn read(file: PageFile, cache_bytes: usize) -> Result<Self, ReadError> {
        file.show_closed();
        Self::with(file, |file| Ok(Handle::Read(builder(cache_bytes).open_read_only_with_backend(file)?)))
    }

    fn with(file: PageFile, open: impl FnOnce(PageFile) -> Result<Handle, redb::Error>) -> Result<Self, ReadError> {
        let panicked = AtomicBool::new(false);
        let redb = guard(&file, &panicked, || open(file.clone()))?;
        file.end_recovery();
        Ok(Self { redb: RwLock::new(Some(redb)), file, panicked })
    }

    pub(crate) fn file(&self) -> &PageFile {
        &self.file
    }

    fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let redb = self.redb.read();
        let Some(Handle::Write(redb)) = &*redb else { return Err(redb::Error::DatabaseClosed) };
        let mut transaction = redb.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // A crash must not cost a walk through all pages at the next opening.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        match &*self.redb.read() {
            Some(Handle::Write(redb)) => Ok(redb.begin_read()?),
            Some(Handle::Read(redb)) => Ok(redb.begin_read()?),
            None => Err(redb::Error::DatabaseClosed),
        }
    }

    /// Run a piece of work on the database.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, ReadError> {
        if self.panicked.load(Ordering::Relaxed) {
            return Err(unreadable());
        }
        guard(&self.file, &self.panicked, work)
    }

    /// Commit what `change` does to the database.
    pub(crate) fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), ReadError> {
        // Held outside the work, so that no panic drops it.
        let mut transaction = ManuallyDrop::new(Some(self.run(|| self.begin_write())?));
        let result = self.run(|| match transaction.as_ref() {
            Some(transaction) => change(transaction),
            None => Ok(()),
        });
        let result =
            result.and_then(|()| self.run(|| Ok(transaction.take().map_or(Ok(()), WriteTransaction::commit)?)));
        self.release(ManuallyDrop::into_inner(transaction));
        result
    }

    /// Drop something of redb, unless it has panicked.
    pub(crate) fn release<T>(&self, object: T) {
        if self.panicked.load(Ordering::Relaxed) {
            mem::forget(object);
        } else if panic::catch_unwind(AssertUnwindSafe(|| drop(object))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }

    /// Write what makes the next opening quick, and close the file. Remaining readers get errors.
    pub(crate) fn close(&self) {
        // A panic here does not change what was committed: that is on the disk.
        let redb = self.redb.write().take();
        self.release(redb);
        self.file.seal();
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Db").finish_non_exhaustive()
    }
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Run work that may meet a damaged page. Everything was checked before redb sees it, so a panic is
/// not expected; if it comes, the file is damaged.
fn guard<T>(
    file: &PageFile,
    panicked: &AtomicBool,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, ReadError> {
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panicked.fetch_or(result.is_err(), Ordering::Relaxed);
    match (result, file.damage()) {
        (Ok(Ok(value)), _) => Ok(value),
        (Ok(Err(redb::Error::DatabaseClosed)), None) => Err(io::Error::other("the collection is closed").into()),
        // Pages that were written or cut off since look like damage.
        _ if file.is_outdated() => Err(outdated()),
        (_, Some(damage)) => Err(damage.into()),
        (Ok(Err(redb::Error::Io(error))), None) if error.kind() == io::ErrorKind::InvalidData => {
            Err(corrupt_records(format!("expected a record database, got {error}")))
        }
        (Ok(Err(redb::Error::Io(error))), None) => Err(error.into()),
        (Ok(Err(redb::Error::PreviousIo)), None) => Err(io::Error::other("an earlier read failed").into()),
        (Ok(Err(error)), None) => Err(corrupt_records(error.to_string())),
        (Err(_), None) => Err(unreadable()),
    }
}

fn unreadable() -> ReadError {
    corrupt_records("expected a record database that can be read".to_owned())
}
