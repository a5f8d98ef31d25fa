//! Transactions on the record database, and what happens when one fails.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::WriteTransaction;
use tiercel_container::{Identity, NoRoom, Vfs};

use crate::errors::{CommitError, ReadError, failed};
use crate::names::{RECORDS_FILE, VIEW_FILE};
use crate::records::base::Base;
use crate::records::check::{Scope, check};
use crate::records::database::Db;
use crate::records::pages::file::PageFile;
use crate::records::pages::header::Header;
use crate::records::pages::state::Health;
use crate::records::view_file;

/// Number of views whose pages stay as they are.
const KEPT: u64 = 2;

/// The record database, open for writing.
#[derive(Debug)]
pub(crate) struct Records {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    cache_bytes: usize,
    db: Arc<Db>,
    base: Arc<Base>,
    /// The last views, whose pages must stay as they are.
    views: VecDeque<Arc<Base>>,
    /// Whether the handle must be replaced, because redb refuses everything after an error.
    broken: bool,
}

impl Records {
    /// Open the database in a file. Nothing is written before [`Self::begin`].
    pub(crate) fn open(vfs: Arc<dyn Vfs>, path: PathBuf, cache_bytes: usize) -> Result<Self, ReadError> {
        let file = PageFile::scratch(vfs.open(&path)?, RECORDS_FILE)?;
        check(&file, Scope::Write)?;
        let db = Arc::new(Db::new(file, cache_bytes)?);
        let base = Arc::new(Base::new(&db)?);
        Ok(Self { vfs, path, cache_bytes, db, base, views: VecDeque::new(), broken: false })
    }

    /// Begin to write. A database of an older format gets this identity.
    pub(crate) fn begin(&mut self, identity: Identity) -> Result<(), ReadError> {
        let file = self.db.file();
        file.identify(identity);
        // Synced with what is written first, before a transaction overwrites a page of a view.
        self.forget_views()?;
        file.begin_writing()?;
        // A handle that found no room writes nothing, not even when there is room again.
        self.broken = file.health() != Health::Sound;
        self.renew_view();
        Ok(())
    }

    /// The header of the records file.
    pub(crate) fn header(&self) -> Header {
        self.db.file().header()
    }

    /// Invalidate earlier views: nothing has protected their pages since the database was last
    /// open.
    fn forget_views(&self) -> io::Result<()> {
        match self.db.file().count_views(KEPT) {
            Err(error) if NoRoom::of(&error).is_some() => match self.vfs.remove(&self.dir().join(VIEW_FILE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            result => result,
        }
    }

    /// Let other processes read the database as it is committed now; return false if the view
    /// cannot be written. Then there is no view, because pages of the old one are about to be
    /// rewritten, and other processes read the database as they find it.
    pub(crate) fn renew_view(&mut self) -> bool {
        let mut header = self.db.file().header();
        header.views += 1;
        let written = view_file::write(&*self.vfs, self.dir(), &header);
        if written.is_err() || self.db.file().count_views(1).is_err() {
            // A view left here becomes outdated sooner or later.
            let _ = self.vfs.remove(&self.dir().join(VIEW_FILE));
            return false;
        }
        self.views.push_back(Arc::clone(&self.base));
        if self.views.len() as u64 > KEPT {
            self.views.pop_front();
        }
        true
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The committed state.
    pub(crate) fn base(&self) -> &Arc<Base> {
        &self.base
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Commit what `change` does, onto the disk. On failure nothing is changed, but the base may be
    /// another handle on the same state.
    pub(crate) fn transact(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), CommitError> {
        if self.broken {
            self.reopen()?;
        }
        let db = &self.db;
        // Writes to a file that lost its name would be lost.
        db.file().check_at(&self.path).map_err(failed)?;
        let result = db.transact(change);
        match (db.file().health(), result) {
            (Health::Failed(why), _) => Err(CommitError::Failed { why }),
            (Health::Full(why), _) => {
                self.broken = true;
                self.reopen()?;
                Err(why.into())
            }
            (Health::Sound, Err(error)) => {
                self.broken = true;
                Err(error.into())
            }
            (Health::Sound, Ok(())) => {
                // Going on from the old base would undo the commit.
                let base = Base::new(&self.db).map_err(|error| CommitError::Failed { why: error.to_string() })?;
                self.base = Arc::new(base);
                Ok(())
            }
        }
    }

    /// Open the state that is in the file, and leave the old handle to its readers.
    pub(crate) fn reopen(&mut self) -> Result<(), ReadError> {
        let identity = self.header().identity;
        let mut opened = Self::open(Arc::clone(&self.vfs), self.path.clone(), self.cache_bytes)?;
        // Until writing has begun, changes would stay in memory.
        opened.broken = true;
        *self = opened;
        self.begin(identity)
    }

    /// Close the database. Remaining readers get errors.
    pub(crate) fn close(&mut self) -> Result<(), CommitError> {
        self.db.close();
        // Nothing is written to the database after this view.
        let _ = view_file::write(&*self.vfs, self.dir(), &self.db.file().header());
        match self.db.file().health() {
            // What finds no room would only make the next opening quick.
            Health::Sound | Health::Full(_) => Ok(()),
            Health::Failed(why) => Err(CommitError::Failed { why }),
        }
    }
}

impl Drop for Records {
    /// Without [`Self::close`], redb must not write now: no view would be written after it.
    fn drop(&mut self) {
        self.db.file().seal();
    }
}
