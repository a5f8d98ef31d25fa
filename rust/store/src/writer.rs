//! Transactions on the record database, and what happens when one fails.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Durability, WriteTransaction};

use crate::database::{Db, FILE};
use crate::errors::{CommitError, ReadError};
use crate::page_file::{Health, PageFile};
use crate::reader::Reader;
use crate::tables::Counters;
use crate::vfs::Vfs;

/// Commits without durability are synced when so much waits in memory.
const MOST_WAITING: usize = 32 << 20;

/// The one that writes.
pub(crate) struct Writer {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    cache_bytes: usize,
    db: Arc<Db>,
    counters: Counters,
    /// Whether there are commits that were not synced.
    pending: bool,
    /// Why writes are refused.
    failed: Option<CommitError>,
    /// What is committed, until it has been published.
    reader: Option<Reader>,
}

impl Writer {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, path: PathBuf, cache_bytes: usize) -> Result<Self, ReadError> {
        let db = Arc::new(Db::new(PageFile::open(vfs.open(&path)?, FILE)?, cache_bytes)?);
        let reader = Reader::new(&db)?;
        let counters = reader.counters();
        Ok(Self { vfs, path, cache_bytes, db, counters, pending: false, failed: None, reader: None })
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// What is committed.
    pub(crate) fn reader(&self) -> Result<Reader, ReadError> {
        Reader::new(&self.db)
    }

    /// What was committed since it was last asked for.
    pub(crate) fn take_reader(&mut self) -> Option<Reader> {
        self.reader.take()
    }

    /// Refuse all further writes.
    pub(crate) fn fail(&mut self, why: &str) -> CommitError {
        self.refuse(CommitError::Failed { why: why.to_owned() })
    }

    /// Commit what `change` does. On failure nothing is changed.
    pub(crate) fn transact<T>(
        &mut self,
        durable: bool,
        change: impl FnOnce(&WriteTransaction, &mut Counters) -> Result<T, redb::Error>,
    ) -> Result<T, CommitError> {
        self.ready()?;
        if durable {
            // Else a full disk would take back what was acknowledged, together with this.
            self.sync()?;
        }
        let mut counters = self.counters;
        let value = self.run(durable, |transaction| change(transaction, &mut counters))?;
        match self.db.file().health() {
            Health::Sound => {}
            // Nobody was promised that it is on the disk, and in memory it is.
            Health::Full if !durable => {}
            Health::Full => {
                self.reopen()?;
                return Err(CommitError::DiskFull);
            }
            Health::Failed(why) => return Err(self.refuse(CommitError::Failed { why })),
        }
        self.reader = Some(Reader::counting(&self.db, counters).map_err(|error| self.refuse(error.into()))?);
        self.counters = counters;
        self.pending |= !durable;
        if self.db.file().waiting() > MOST_WAITING {
            // The commit stands in any case; what fails is met again by the next one.
            let _ = self.sync();
        }
        Ok(value)
    }

    /// Sync what was committed without durability. While the disk is full it stays in memory.
    pub(crate) fn sync(&mut self) -> Result<(), CommitError> {
        self.ready()?;
        if !self.pending {
            return Ok(());
        }
        self.run(true, |_| Ok(()))?;
        match self.db.file().health() {
            Health::Sound => {
                self.pending = false;
                Ok(())
            }
            Health::Full => Err(CommitError::DiskFull),
            Health::Failed(why) => Err(self.refuse(CommitError::Failed { why })),
        }
    }

    /// Take up the state that is in the file, and leave the old handle to the readers it has.
    pub(crate) fn reopen(&mut self) -> Result<(), CommitError> {
        self.db.file().seal();
        let reopened = Self::open(Arc::clone(&self.vfs), self.path.clone(), self.cache_bytes);
        let reopened = reopened.and_then(|writer| Ok((writer.reader()?, writer)));
        let (reader, writer) = reopened.map_err(|error| self.refuse(CommitError::Failed { why: error.to_string() }))?;
        *self = writer;
        self.reader = Some(reader);
        Ok(())
    }

    /// Close the database; everything is synced.
    pub(crate) fn close(&mut self) -> Result<(), CommitError> {
        self.ready()?;
        self.db.close();
        match self.db.file().health() {
            // What does not fit only makes the next opening quick.
            Health::Sound | Health::Full => Ok(()),
            Health::Failed(why) => Err(CommitError::Failed { why }),
        }
    }

    /// Check that writes are not refused, and try again what did not fit.
    fn ready(&mut self) -> Result<(), CommitError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.db.file().health() {
            Health::Sound => Ok(()),
            Health::Failed(why) => Err(self.refuse(CommitError::Failed { why })),
            Health::Full => match self.db.file().retry() {
                Health::Sound => {
                    self.pending = false;
                    Ok(())
                }
                Health::Full => Err(CommitError::DiskFull),
                Health::Failed(why) => Err(self.refuse(CommitError::Failed { why })),
            },
        }
    }

    fn run<T>(
        &mut self,
        durable: bool,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, CommitError> {
        let db = &self.db;
        let result = db.run(|| {
            let mut transaction = db.begin_write()?;
            transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        // redb refuses everything after an error, and only a read can give one: writes fail in the page file.
        result.map_err(|error| match CommitError::from(error) {
            CommitError::Io(error) => self.refuse(CommitError::Failed { why: error.to_string() }),
            error => self.refuse(error),
        })
    }

    fn refuse(&mut self, error: CommitError) -> CommitError {
        self.failed.get_or_insert(error).clone()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Writer").field("path", &self.path).field("failed", &self.failed).finish_non_exhaustive()
    }
}
