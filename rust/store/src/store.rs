//! A store: the directory of a collection, opened by one process to read and write it.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::batch::{Applied, Batch};
use crate::copy;
use crate::database::FILE;
use crate::errors::{CommitError, Corruption, OpenError, ReadError};
use crate::fresh::FreshChunk;
use crate::group::Group;
use crate::reader::Reader;
use crate::segment::{self, Segment, SegmentWriter, Tag};
use crate::tables::{self, FRESH, META, SEGMENTS};
use crate::vfs::{LockError, Vfs, VfsLock};
use crate::writer::Writer;

/// File that is locked while a store is open. It holds the process id of the opener.
const LOCK: &str = "LOCK";
/// Ending of a file that is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

/// What a commit survives when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process and of the machine.
    #[default]
    Always,
    /// Neither, until the next [`Store::sync`], which the owner of the store calls at an interval.
    Interval,
    /// Neither, until a sync that somebody asks for.
    None,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a commit survives when it returns.
    pub durability: Durability,
    /// Bytes of memory that hold pages of the record database.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Always, cache_bytes: 64 << 20 }
    }
}

/// Changes to what a store names, made in one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publication<'a> {
    /// Segments that are written and belong to the store from now on.
    pub add: &'a [&'a str],
    /// Segments that do no longer; their files are removed.
    pub remove: &'a [&'a str],
    /// Chunks of fresh vectors all of whose rows are below are dropped: a segment has them.
    pub drop_fresh_below: u32,
    /// Entries to keep under these names.
    pub meta: &'a [(&'a str, &'a [u8])],
}

/// Bytes on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of the record database.
    pub records: u64,
    /// Of the segments.
    pub segments: u64,
}

type Publish = Box<dyn FnOnce(&Applied) + Send>;
type Job = (Batch, Publish);

/// The directory of a collection, open to read and write.
pub struct Store {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    durability: Durability,
    /// Only this process may write: a forked one has copies of everything in memory.
    opened_by: u32,
    writer: Mutex<Writer>,
    waiting: Group<Job, Result<Applied, CommitError>>,
    published: RwLock<Reader>,
    /// Taken to remove segment files, shared to copy them.
    files: RwLock<()>,
    _lock: Box<dyn VfsLock>,
}

impl Store {
    /// Whether a directory has a store.
    pub fn exists(vfs: &dyn Vfs, dir: &Path) -> io::Result<bool> {
        match vfs.list(dir) {
            Ok(names) => Ok(names.iter().any(|name| name == FILE)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Create a directory with an empty store, which keeps these entries, and open it.
    pub fn create(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, meta: &[(&str, &[u8])]) -> Result<Self, OpenError> {
        vfs.create_dir(dir)?;
        if let Some(parent) = dir.parent() {
            vfs.sync_dir(if parent == Path::new("") { Path::new(".") } else { parent })?;
        }
        let lock = lock(&*vfs, dir)?;
        if Self::exists(&*vfs, dir)? {
            return Err(OpenError::Exists);
        }
        copy::create(&*vfs, dir, |transaction| {
            tables::create(transaction)?;
            let mut table = transaction.open_table(META)?;
            for (name, bytes) in meta {
                table.insert(*name, *bytes)?;
            }
            Ok(())
        })?;
        Self::open_locked(vfs, dir, options, lock)
    }

    /// Open the store in a directory.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<Self, OpenError> {
        if !Self::exists(&*vfs, dir)? {
            return Err(OpenError::NotFound);
        }
        let lock = lock(&*vfs, dir)?;
        Self::open_locked(vfs, dir, options, lock)
    }

    /// The records in a directory as the last sync left them, for a process that only reads. It takes no lock and writes
    /// nothing, and reads the whole file to be sure that it is whole.
    ///
    /// While another process writes, a view ages: after two more commits, pages that it has not read may be in use for
    /// something else. That is found, and comes as damage, which a new view will not have.
    pub fn view(vfs: &dyn Vfs, dir: &Path, cache_bytes: usize) -> Result<Reader, OpenError> {
        /// So often a writer may come in between.
        const ATTEMPTS: usize = 10;
        if !Self::exists(vfs, dir)? {
            return Err(OpenError::NotFound);
        }
        let path = dir.join(FILE);
        let mut result = copy::view_records(vfs, &path, cache_bytes);
        for _ in 1..ATTEMPTS {
            if !matches!(result, Err(ReadError::Corrupt(_))) {
                break;
            }
            result = copy::view_records(vfs, &path, cache_bytes);
        }
        Ok(result?)
    }

    fn open_locked(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, lock: Box<dyn VfsLock>) -> Result<Self, OpenError> {
        let writer = Writer::open(Arc::clone(&vfs), dir.join(FILE), options.cache_bytes)?;
        let reader = writer.reader()?;
        let store = Self {
            vfs,
            dir: dir.to_owned(),
            durability: options.durability,
            opened_by: process::id(),
            writer: Mutex::new(writer),
            waiting: Group::new(),
            published: RwLock::new(reader),
            files: RwLock::new(()),
            _lock: lock,
        };
        store.remove_leftovers()?;
        Ok(store)
    }

    /// Commit a batch, together with those that other threads commit meanwhile: in one transaction with one sync.
    ///
    /// `publish` runs once the batch is as durable as was asked for and before any batch of the transaction is acknowledged:
    /// in the order of the batches, never two at once, maybe on the thread of another caller. It must not write to the
    /// store. After an error it has not run, and nothing is changed.
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

    fn commit_group(&self, jobs: Vec<Job>) -> Vec<Result<Applied, CommitError>> {
        let (batches, publishers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let mut writer = self.writer.lock();
        let result = writer.transact(self.durability == Durability::Always, |transaction, counters| {
            let mut tables = tables::Writer::new(transaction, *counters)?;
            let mut apply = |batch: &Batch| {
                if batch.upserts() > tables.rows_left() {
                    return Ok(Err(CommitError::RowsExhausted));
                }
                tables.apply(batch).map(Ok)
            };
            let results = batches.iter().map(&mut apply).collect::<Result<Vec<_>, redb::Error>>()?;
            *counters = tables.finish()?;
            Ok(results)
        });
        self.publish(&mut writer);
        match result {
            Ok(results) => {
                for (result, publish) in results.iter().zip(publishers) {
                    let Ok(applied) = result else { continue };
                    // Whose publication fails shows something else than what is committed.
                    if panic::catch_unwind(AssertUnwindSafe(|| publish(applied))).is_err() {
                        let _ = writer.fail("a publication panicked");
                    }
                }
                results
            }
            Err(error) => batches.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Make everything that was committed survive a crash.
    pub fn sync(&self) -> Result<(), CommitError> {
        self.check_process()?;
        self.writer.lock().sync()
    }

    /// Keep entries under these names; they are durable when this returns.
    pub fn set_meta(&self, entries: &[(&str, &[u8])]) -> Result<(), CommitError> {
        self.publish_segments(&Publication { meta: entries, ..Publication::default() }, |_| ())
    }

    /// Write a segment file. It belongs to the store once it has been published.
    pub fn write_segment(
        &self,
        name: &str,
        sections: &[(Tag, u64)],
        fill: impl FnOnce(&mut SegmentWriter<'_>) -> io::Result<()>,
    ) -> Result<(), CommitError> {
        self.check_process()?;
        check_name(name)?;
        let path = self.dir.join(segment::file_name(name));
        copy::write_file(&*self.vfs, &path, |file| {
            let mut writer = SegmentWriter::new(file, sections)?;
            fill(&mut writer)?;
            writer.finish()
        })?;
        Ok(())
    }

    /// Change what the store names, in one transaction that is durable when this returns. `publish` gets the number of the
    /// last batch before it, and runs in the order of commits like that of [`Store::commit`].
    pub fn publish_segments(
        &self,
        publication: &Publication<'_>,
        publish: impl FnOnce(u64),
    ) -> Result<(), CommitError> {
        self.check_process()?;
        publication.add.iter().try_for_each(|name| check_name(name))?;
        let mut writer = self.writer.lock();
        let result = writer.transact(true, |transaction, counters| {
            let mut segments = transaction.open_table(SEGMENTS)?;
            for name in publication.remove {
                segments.remove(*name)?;
            }
            for name in publication.add {
                segments.insert(*name, ())?;
            }
            let mut meta = transaction.open_table(META)?;
            for (name, bytes) in publication.meta {
                meta.insert(*name, *bytes)?;
            }
            let below = publication.drop_fresh_below;
            let keep = |_, bytes: &[u8]| FreshChunk::decode(bytes).is_none_or(|chunk| chunk.last_row() >= below);
            transaction.open_table(FRESH)?.retain_in(..below, keep)?;
            Ok(counters.sequence)
        });
        self.publish(&mut writer);
        publish(result?);
        drop(writer);
        let _files = self.files.write();
        for name in publication.remove {
            // What is left here is found and removed at the next opening.
            let _ = self.vfs.remove(&self.dir.join(segment::file_name(name)));
        }
        Ok(())
    }

    /// Open a segment file.
    pub fn open_segment(&self, name: &str) -> Result<Segment, ReadError> {
        Segment::open(&*self.vfs, &self.dir, name)
    }

    /// The records as they are now.
    pub fn reader(&self) -> Reader {
        self.published.read().clone()
    }

    /// Read everything and return what is damaged. Commits wait meanwhile.
    pub fn verify(&self) -> Result<Vec<Corruption>, ReadError> {
        let mut found = Vec::new();
        let mut note = |result: Result<(), ReadError>| match result {
            Err(ReadError::Corrupt(corruption)) => {
                found.push(corruption);
                Ok(())
            }
            result => result,
        };
        {
            let mut writer = self.writer.lock();
            // What cannot be synced is not on the disk, and what is there is to be read.
            let _ = writer.sync();
            note(copy::verify_records(&*self.vfs, &self.dir.join(FILE)))?;
        }
        let _files = self.files.read();
        for name in self.reader().segments()? {
            note(self.open_segment(&name).and_then(|segment| segment.verify()))?;
        }
        Ok(found)
    }

    /// Copy the store, as it is now, to a directory that is empty or not there. Commits go on meanwhile.
    pub fn backup(&self, dir: &Path) -> Result<(), CommitError> {
        self.vfs.create_dir(dir)?;
        if !self.vfs.list(dir)?.is_empty() {
            return Err(CommitError::Invalid("path: expected an empty directory".to_owned()));
        }
        let _files = self.files.read();
        let reader = self.reader();
        for name in reader.segments()? {
            copy::copy_segment(&*self.vfs, &self.open_segment(&name)?, &dir.join(segment::file_name(&name)))?;
        }
        // The records come last: without them the directory is no store.
        copy::copy_records(&*self.vfs, &reader, dir)?;
        if let Some(parent) = dir.parent() {
            self.vfs.sync_dir(if parent == Path::new("") { Path::new(".") } else { parent })?;
        }
        Ok(())
    }

    /// Write the record database anew without the space that is free in it. Commits wait meanwhile; readers that exist keep
    /// the old file until they end.
    pub fn compact(&self) -> Result<(), CommitError> {
        self.check_process()?;
        let mut writer = self.writer.lock();
        writer.sync()?;
        let copy = copy::copy_aside(&*self.vfs, &self.reader(), &self.dir)?;
        // From here on the old file may be gone, or come back after a crash: no way leads back to it.
        let renamed = self.vfs.rename(&copy, &self.dir.join(FILE)).and_then(|()| self.vfs.sync_dir(&self.dir));
        if let Err(error) = renamed {
            return Err(writer.fail(&error.to_string()));
        }
        let result = writer.reopen();
        self.publish(&mut writer);
        result
    }

    /// Bytes on the disk.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let records = self.writer.lock().db().file().allocated()?;
        let _files = self.files.read();
        let mut segments = 0;
        for name in self.reader().segments().map_err(|error| io::Error::other(error.to_string()))? {
            segments += self.vfs.open(&self.dir.join(segment::file_name(&name)))?.allocated()?;
        }
        Ok(Sizes { records, segments })
    }

    /// Sync, and close the files. Readers that are left get errors.
    pub fn close(self) -> Result<(), CommitError> {
        if process::id() != self.opened_by {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        writer.sync()?;
        writer.close()
    }

    /// Show what the writer has committed.
    fn publish(&self, writer: &mut Writer) {
        if let Some(reader) = writer.take_reader() {
            *self.published.write() = reader;
        }
    }

    fn check_process(&self) -> Result<(), CommitError> {
        if process::id() == self.opened_by { Ok(()) } else { Err(CommitError::Forked { opened_by: self.opened_by }) }
    }

    /// Remove what a crash left: files that were being written, and segments that the store does not name.
    fn remove_leftovers(&self) -> Result<(), OpenError> {
        let named = self.reader().segments()?;
        for name in self.vfs.list(&self.dir)? {
            let segment = name.strip_suffix(segment::SUFFIX);
            let unnamed = segment.is_some_and(|segment| !named.iter().any(|named| named == segment));
            if unnamed || name.ends_with(TEMPORARY) {
                self.vfs.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let writer = self.writer.get_mut();
        if process::id() == self.opened_by {
            // Who wants to know calls `close`.
            let _ = writer.sync();
            let _ = writer.close();
        } else {
            writer.db().file().seal();
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store").field("dir", &self.dir).field("durability", &self.durability).finish_non_exhaustive()
    }
}

fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn VfsLock>, OpenError> {
    vfs.lock(&dir.join(LOCK)).map_err(|error| match error {
        LockError::Held { pid } => OpenError::AlreadyOpen { pid },
        LockError::Io(error) => error.into(),
    })
}

/// A name becomes the name of a file, so that nothing in it may lead elsewhere.
fn check_name(name: &str) -> Result<(), CommitError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.len() <= 100 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(CommitError::Invalid(format!("name: expected up to 100 letters, digits, - and _, got {name:?}")))
}
