//! Reading along: the records as they are on the disk, and then what another process commits, as it commits it.
//!
//! A follower begins with a view of the record database and reads the log on top of it. To go on, it reads what was added to the
//! log since. What it may believe of a log that is being written:
//!
//! - A writer acknowledges a batch once its group is whole in the file. So whoever reads the file after that finds it.
//! - A group that is not whole where the log ends is on its way, or was left by a crash: it is not there yet.
//! - A group that is whole may not be acknowledged yet. Should its sync fail, or the machine of the writer stop, it may be gone and another
//!   one may have its number. So the follower remembers the last group that it took, and looks whether it still stands in its
//!   place: then all before it does.
//! - A file of the log is final once there is the next one. It may be removed then, and can be read to its end by who has it open.
//! - Pages of the view stay until two more views have been made. So the follower goes on to the newest view whenever there is one: what
//!   it has read of the log counts on top of that, less what the view has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::log::{self, LogFile, LogHeader, Mark, Place};
use tiercel_container::{Identity, Vfs};

use crate::batch::{Applied, Change};
use crate::errors::{OpenError, ReadError, is_outdated, outdated};
use crate::found;
use crate::names::RECORDS_FILE;
use crate::records::base::Base;
use crate::records::memtable::Layer;
use crate::records::pages::header::{self, Header};
use crate::records::reader::Reader;
use crate::records::replay;
use crate::records::stage::Stage;
use crate::records::tables::Counters;
use crate::records::view_file;

/// So often a writer may come in between.
const ATTEMPTS: usize = 10;

/// The records of a store, read along while another process may write it.
#[derive(Debug)]
pub struct Follower {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    cache_bytes: usize,
    reader: Reader,
    /// What the log has on top of the view.
    layer: Arc<Layer>,
    /// How far the last file of the log was read.
    place: Place,
    /// The last group that was read in it.
    last: Option<Mark>,
    /// Whether what is below it is a view, whose pages stay for a while.
    is_view: bool,
    /// The header of the records file when it was last looked at.
    records: Header,
    /// Which store it is.
    identity: Identity,
}

/// A batch that another process has committed.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// What became of it.
    pub applied: &'a Applied,
    /// Its changes.
    pub changes: &'a [Change],
    /// Bytes of a vector.
    pub width: usize,
    /// The vectors of its upserts that have one.
    pub vectors: &'a [u8],
}

impl Follower {
    /// Begin with what is committed. It takes no lock and writes nothing.
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, dir: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        if !found::is_store(&**vfs, dir)? {
            return Err(OpenError::NotFound);
        }
        let mut result = Self::open_once(vfs, dir, cache_bytes);
        for _ in 1..ATTEMPTS {
            match &result {
                Err(ReadError::Corrupt(_)) => {}
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(ReadError::Io(error)) if is_outdated(error) => {}
                _ => break,
            }
            result = Self::open_once(vfs, dir, cache_bytes);
        }
        Ok(result?)
    }

    fn open_once(vfs: &Arc<dyn Vfs>, dir: &Path, cache_bytes: usize) -> Result<Self, ReadError> {
        let records = now(&**vfs, dir)?;
        let (base, is_view) = view_file::open(&**vfs, dir, cache_bytes)?;
        let base = Arc::new(base);
        let (first, shown) = (base.counters().log, base.counters().sequence);
        let (file, _) = replay::open_files(&**vfs, dir, &now(&**vfs, dir)?, first)?.swap_remove(0);
        let place = Place::start(&file);
        let layer = Arc::new(Layer::default());
        let reader = Reader::new(Arc::clone(&base), vec![Arc::clone(&layer)], [file].into(), base.counters());
        let (vfs, dir, identity) = (Arc::clone(vfs), dir.to_owned(), records.identity);
        let mut follower = Self { vfs, dir, cache_bytes, reader, layer, place, last: None, is_view, records, identity };
        if !follower.read_on(|_| ())? {
            return Err(outdated());
        }
        if follower.place.after < shown {
            let what = format!("expected batches up to {shown}, got {}", follower.place.after);
            return Err(follower.file().corrupt(&what, follower.place.end));
        }
        Ok(follower)
    }

    /// Whether both follow one store, or copies of it, as far as their files say: those of older formats do not.
    pub fn is_of_same_store(&self, other: &Self) -> bool {
        self.identity.fits(other.identity)
    }

    /// The records as they are shown now.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Go on to all that was committed before the call; visits the batches that are new. `false` if they do not follow from what is
    /// shown: files are gone that would lead to them, what was shown was rolled back, or this is another store. Then, and after an
    /// error, begin with another follower.
    pub fn advance(&mut self, mut each: impl FnMut(Followed<'_>)) -> Result<bool, ReadError> {
        for _ in 0..ATTEMPTS {
            if !self.read_on(&mut each)? {
                return Ok(false);
            }
            let records = now(&*self.vfs, &self.dir)?;
            if records == self.records {
                return Ok(true);
            }
            if !self.is_later(&records) {
                return Ok(false);
            }
            let shown = self.reader.base().header();
            let is_newest = self.is_view && (shown.file, shown.views) == (records.file, records.views);
            if is_newest || self.go_to_view()? {
                self.records = records;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the records file is the one that was looked at last, some writes later. A copy of the store that went another way has
    /// the same identity, and only the log tells it apart: a group of it, or the chain of its groups.
    fn is_later(&self, records: &Header) -> bool {
        let is_written = records.redb != self.records.redb;
        let is_later = self.identity.is_none() || !is_written || records.writes > self.records.writes;
        records.identity == self.identity && is_later && (self.last.is_some() || self.place.chain != 0 || !is_written)
    }

    /// Take the newest view in the place of the one below what was read of the log; `false` if that has not been read far enough, or
    /// has other numbers for the rows.
    fn go_to_view(&mut self) -> Result<bool, ReadError> {
        let (base, is_view) = view_file::open(&*self.vfs, &self.dir, self.cache_bytes)?;
        let Counters { sequence, log, covered, .. } = base.counters();
        let counters = Counters { log, covered, ..self.reader.counters() };
        let is_same_numbering = base.header().numbering == self.reader.numbering();
        if !is_same_numbering || sequence > counters.sequence || log > self.file().number {
            return Ok(false);
        }
        let files = self.reader.files().iter().filter(|file| file.number >= log).cloned().collect();
        self.layer = Arc::new(self.layer.after(sequence));
        self.is_view = is_view;
        self.show(Arc::new(base), files, counters);
        Ok(true)
    }

    /// The file of the log that has the name of this one now. The writer removes a file that was ended once nobody who opens the store
    /// needs it; then this is the one that was removed.
    fn open_again(&self, file: &Arc<LogFile>) -> Result<Option<(Arc<LogFile>, LogHeader)>, ReadError> {
        let now = open_log(&*self.vfs, &self.dir, file.number)?;
        if now.is_some() || self.identity.is_none() {
            return Ok(now);
        }
        let header = file.header()?;
        Ok(header.ended.then(|| (Arc::clone(file), header)))
    }

    fn show(&mut self, base: Arc<Base>, files: Vec<Arc<LogFile>>, counters: Counters) {
        self.reader = Reader::new(base, vec![Arc::clone(&self.layer)], files.into(), counters);
    }

    /// The file of the log that is read.
    fn file(&self) -> &Arc<LogFile> {
        let files = self.reader.files();
        &files[files.len() - 1]
    }

    /// Read what the log has from the place on.
    fn read_on(&mut self, mut each: impl FnMut(Followed<'_>)) -> Result<bool, ReadError> {
        let below = self.reader.clone();
        let mut stage = Stage::new(&below);
        let mut files = below.files().to_vec();
        let (mut place, mut last) = (self.place, self.last);
        loop {
            let number = files[files.len() - 1].number;
            // In this order: to a file that has a next one nothing is added.
            let next = open_log(&*self.vfs, &self.dir, number + 1)?;
            let Some((file, header)) = self.open_again(&files[files.len() - 1])? else { return Ok(false) };
            let is_ours = match &last {
                Some(last) => file.has(last)?,
                None => (file.before, file.chain) == (place.after, place.chain),
            };
            if !is_ours || !header.identity.fits(self.identity) {
                return Ok(false);
            }
            let len = file.file.len()?;
            let sound = if next.is_some() { len } else { header.synced };
            place = log::walk(&file, place, len, sound, |group| {
                last = Some(group.mark());
                replay::replay_group(&file, group, &mut stage, |_, batch, new| {
                    if let Some((changes, applied)) = &new {
                        each(Followed { applied, changes, width: batch.width, vectors: batch.vectors });
                    }
                })
            })?;
            match next {
                Some((next, _)) => {
                    place = place.in_next(&next)?;
                    last = None;
                    files.push(next);
                }
                // It was ended just now, unless files are gone.
                None if header.ended => {
                    if open_log(&*self.vfs, &self.dir, number + 1)?.is_none() {
                        return Ok(false);
                    }
                }
                None => break,
            }
        }
        (self.place, self.last) = (place, last);
        let (changes, counters) = (stage.changes, stage.counters);
        if counters.sequence > below.sequence() || files.len() > below.files().len() {
            self.layer.add(changes);
            self.show(Arc::clone(below.base()), files, counters);
        }
        Ok(true)
    }
}

/// The header that the records file has now.
fn now(vfs: &dyn Vfs, dir: &Path) -> Result<Header, ReadError> {
    header::read(&*vfs.open(&dir.join(RECORDS_FILE))?, RECORDS_FILE)
}

/// A file of the log, if it is there.
fn open_log(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<Option<(Arc<LogFile>, LogHeader)>, ReadError> {
    match vfs.open(&dir.join(log::file_name(number))) {
        Ok(file) => LogFile::open(file, number).map(|(file, header)| Some((Arc::new(file), header))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
