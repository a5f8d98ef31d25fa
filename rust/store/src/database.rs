//! redb on a page file, with its panics and errors turned into ours.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};

use parking_lot::RwLock;
use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::errors::{Corruption, ReadError};
use crate::page_file::PageFile;

/// Name of the file in the directory of the store.
pub(crate) const FILE: &str = "records";

/// An open record database.
pub(crate) struct Db {
    /// Gone once it is closed.
    redb: RwLock<Option<redb::Database>>,
    file: PageFile,
}

impl Db {
    /// Open the database in a file, or make one in an empty file.
    pub(crate) fn new(file: PageFile, cache_bytes: usize) -> Result<Self, ReadError> {
        let redb =
            guard(&file, || Ok(redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(file.clone())?))?;
        file.end_recovery();
        Ok(Self { redb: RwLock::new(Some(redb)), file })
    }

    pub(crate) fn file(&self) -> &PageFile {
        &self.file
    }

    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let redb = self.redb.read();
        Ok(redb.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_write()?)
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        let redb = self.redb.read();
        Ok(redb.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_read()?)
    }

    /// Run a piece of work on the database.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, ReadError> {
        guard(&self.file, work)
    }

    /// Write what makes the next opening quick, and close the file. Readers that are left get errors.
    pub(crate) fn close(&self) {
        let redb = self.redb.write().take();
        // A panic on the way says nothing about what was committed: that is on the disk.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(redb)));
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

/// Run what may meet a damaged page. Pages are checked before redb sees them, so a panic is the last thing to expect; if
/// it comes, the file is not what it must be.
fn guard<T>(file: &PageFile, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, ReadError> {
    let corrupt = |what: String| Corruption { file: FILE.to_owned(), what, offset: 0 };
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    match (result, file.damage()) {
        (Ok(Ok(value)), _) => Ok(value),
        (_, Some(_)) if file.is_outdated() => Err(ReadError::outdated()),
        (_, Some(damage)) => Err(damage.into()),
        (Ok(Err(redb::Error::Io(error))), None) if error.kind() == io::ErrorKind::InvalidData => {
            Err(corrupt(format!("expected a record database, got {error}")).into())
        }
        (Ok(Err(redb::Error::Io(error))), None) => Err(error.into()),
        (Ok(Err(redb::Error::PreviousIo)), None) => Err(io::Error::other("an earlier read failed").into()),
        (Ok(Err(redb::Error::DatabaseClosed)), None) => Err(io::Error::other("the collection is closed").into()),
        (Ok(Err(error)), None) => Err(corrupt(error.to_string()).into()),
        (Err(_), None) => Err(corrupt("expected a record database that can be read".to_owned()).into()),
    }
}
