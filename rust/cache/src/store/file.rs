//! The file of a store: a redb database of frames by key, and of the bytes that each entry takes.

use std::fs::{self, TryLockError};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

use super::pending::Changes;
use super::weight;
use crate::{Key, KeyRef, OpenError, frame};

const NAME: &str = "values";
const DAMAGED: &str = "values.damaged";
/// Locked by who has the directory open: the lock of the database is gone for a moment while a damaged one is set aside.
const LOCK: &str = "LOCK";

const FRAMES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("frames");
const SIZES: TableDefinition<'_, &[u8], u64> = TableDefinition::new("sizes");

/// Memory for pages that were read.
const PAGES: usize = 64 << 20;

/// Bytes written from one sync to the next. Pages that are free again can be used after a sync alone.
const UNSYNCED: u64 = 16 << 20;

/// An open database, or none after a failure or when it was closed.
pub(super) struct File {
    path: PathBuf,
    database: Option<Database>,
    unsynced: u64,
    closed: bool,
    lock: Option<fs::File>,
}

/// What the file says, or nothing that is of use.
pub(super) struct Refused;

impl<E: Into<redb::Error>> From<E> for Refused {
    fn from(_: E) -> Self {
        Self
    }
}

impl File {
    /// Open the file of a directory, and tell whether a damaged one was set aside for a new one.
    pub(super) fn open(directory: &Path) -> Result<(Self, bool), OpenError> {
        // Wherever the process goes later, the file stays where it is.
        let directory = std::path::absolute(directory)?;
        fs::create_dir_all(&directory)?;
        let lock =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::AlreadyOpen),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let path = directory.join(NAME);
        let (database, damaged) = open_or_set_aside(&path)?;
        Ok((Self { path, database: Some(database), unsynced: 0, closed: false, lock: Some(lock) }, damaged))
    }

    /// Close the file for good.
    pub(super) fn close(&mut self) {
        self.closed = true;
        let database = self.database.take();
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(database)));
        self.lock = None;
    }

    /// Leave the file to the process that opened it.
    pub(super) fn leave(&mut self) {
        self.closed = true;
        std::mem::forget(self.database.take());
    }

    /// Begin with an empty file. There is none if the disk refuses; then this is to be tried again.
    pub(super) fn start_anew(&mut self) -> Result<(), Refused> {
        // A database that failed may panic once more on its way.
        let before = self.database.take();
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(before)));
        if self.closed {
            return Err(Refused);
        }
        // What is in the old file is outdated in part, and must never be seen again.
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                fs::OpenOptions::new().write(true).truncate(true).open(&self.path).map_err(|_| Refused)?;
            }
            _ => {}
        }
        let (database, _) = open_or_set_aside(&self.path).map_err(|_| Refused)?;
        self.database = Some(database);
        self.unsynced = 0;
        Ok(())
    }

    /// Write changes of so many bytes in one transaction.
    pub(super) fn write(&mut self, changes: &Changes, bytes: u64, sync: bool) -> Result<(), Refused> {
        let sync = sync || self.unsynced + bytes >= UNSYNCED;
        let database = self.database.as_ref().ok_or(Refused)?;
        guard(|| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
            {
                let mut frames = transaction.open_table(FRAMES)?;
                let mut sizes = transaction.open_table(SIZES)?;
                for (key, value) in changes {
                    let key = key.borrow();
                    let encoded = key.encoded();
                    if let Some(value) = value {
                        frames.insert(&encoded[..], &frame::seal(key, value, None)[..])?;
                        sizes.insert(&encoded[..], weight(key, value.len()))?;
                    } else {
                        frames.remove(&encoded[..])?;
                        sizes.remove(&encoded[..])?;
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        })?;
        self.unsynced = if sync { 0 } else { self.unsynced + bytes };
        Ok(())
    }

    /// The file as it is now.
    pub(super) fn reader(&self) -> Result<Reader, Refused> {
        let database = self.database.as_ref().ok_or(Refused)?;
        guard(|| {
            let transaction = database.begin_read()?;
            Ok(Reader { frames: transaction.open_table(FRAMES)?, sizes: transaction.open_table(SIZES)? })
        })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.close();
    }
}

/// The file at some moment.
pub(super) struct Reader {
    frames: ReadOnlyTable<&'static [u8], &'static [u8]>,
    sizes: ReadOnlyTable<&'static [u8], u64>,
}

/// What there is of a key.
pub(super) enum Found {
    Value(Arc<[u8]>),
    Deleted,
    /// No whole value.
    Damaged,
}

impl Reader {
    pub(super) fn get(&self, key: KeyRef<'_>) -> Found {
        let found = guard(|| {
            let frame = self.frames.get(&key.encoded()[..])?;
            Ok(frame.map(|frame| frame::unseal(key, frame.value()).map(Arc::from)))
        });
        match found {
            Ok(Some(Some(value))) => Found::Value(value),
            Ok(Some(None) | None) | Err(_) => Found::Damaged,
        }
    }

    /// Every key and the bytes that it takes.
    pub(super) fn entries(&self) -> Result<Vec<(Key, u64)>, Refused> {
        guard(|| {
            let mut entries = Vec::new();
            for entry in self.sizes.iter()? {
                let (key, bytes) = entry?;
                entries.push((KeyRef::decoded(key.value()).ok_or(Refused)?.to_key(), bytes.value()));
            }
            Ok(entries)
        })
    }
}

/// redb checks what it reads, but some damage makes it panic.
fn guard<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refused))
}

/// What came of opening a file.
enum Opened {
    Whole(Database),
    Damaged,
}

fn open_or_set_aside(path: &Path) -> Result<(Database, bool), OpenError> {
    match open(path)? {
        Opened::Whole(database) => return Ok((database, false)),
        Opened::Damaged => fs::rename(path, path.with_file_name(DAMAGED))?,
    }
    match open(path)? {
        Opened::Whole(database) => Ok((database, true)),
        Opened::Damaged => Err(io::Error::other("a new file cannot be read back").into()),
    }
}

fn open(path: &Path) -> Result<Opened, OpenError> {
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        let database = redb::Builder::new().set_cache_size(PAGES).create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(FRAMES)?;
        transaction.open_table(SIZES)?;
        transaction.commit()?;
        Ok(database)
    }));
    match opened {
        Ok(Ok(database)) => Ok(Opened::Whole(database)),
        Ok(Err(redb::Error::DatabaseAlreadyOpen)) => Err(OpenError::AlreadyOpen),
        // What is no database at all shows as invalid data or as an early end.
        Ok(Err(redb::Error::Io(error)))
            if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            Err(error.into())
        }
        Ok(Err(_)) | Err(_) => Ok(Opened::Damaged),
    }
}
