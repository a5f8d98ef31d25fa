//! Following: the records as they are on the disk, and then what another process commits, as it
//! commits it.
//!
//! A follower begins with a view of the record database and reads the log on top of it. To go on,
//! it reads what was added to the log since. The rules for a log that is being written:
//!
//! - A writer acknowledges a batch once its group is whole in the file, so a later read finds it.
//! - A broken group at the end of the log is being written, or was left by a crash: it does not
//!   count yet.
//! - A whole group may not be acknowledged yet. If its sync fails, or the machine of the writer
//!   stops, it may be gone and another one may have its number. So the follower remembers the last
//!   group that it took, and checks that it is still in its place: then so is everything before it.
//! - A file of the log is final once the next one exists. It may then be removed, and whoever has
//!   it open can read it to its end.
//! - Pages of the view stay until two more views have been made. So the follower goes on to the
//!   newest view whenever there is one, and keeps what it has read of the log beyond that view.

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

/// Maximum attempts: a writer may come in between.
const ATTEMPTS: usize = 10;

/// The records of a store, followed while another process may write it.
#[derive(Debug)]
pub struct Follower {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    cache_bytes: usize,
    reader: Reader,
    /// Changes of the log on top of the view.
    layer: Arc<Layer>,
    /// How far the last file of the log was read.
    place: Place,
    /// The last group that was read in it.
    last: Option<Mark>,
    /// Whether the base is a view, whose pages stay for a while.
    is_view: bool,
    /// The header of the records file at the last look.
    records: Header,
    /// Which store it is.
    identity: Identity,
}

/// A batch that another process has committed.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// Its result.
    pub applied: &'a Applied,
    /// Its changes.
    pub changes: &'a [Change],
    /// Bytes of a vector.
    pub width: usize,
    /// The vectors of its upserts that have one.
    pub vectors: &'a [u8],
}

impl Follower {
    /// Begin with what is committed, without taking a lock or writing anything.
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

    /// Whether both follow one store, or copies of it, as far as their files say: files of older
    /// formats do not say.
    pub fn is_of_same_store(&self, other: &Self) -> bool {
        self.identity.fits(other.identity)
    }

    /// The records as they are shown now.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Advance to everything that was committed before the call, and visit the new batches. Return
    /// `false` if they do not follow from what is shown: files that lead to them are gone, what was
    /// shown was rolled back, or this is another store. After that, and after an error, begin with
    /// another follower.
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

    /// Whether the records file is the one seen last, some writes later. A copy of the store that
    /// went another way has the same identity; only the log tells it apart, by a group or by the
    /// chain of its groups.
    fn is_later(&self, records: &Header) -> bool {
        let is_written = records.redb != self.records.redb;
        let is_later = self.identity.is_none() || !is_written || records.writes > self.records.writes;
        records.identity == self.identity && is_later && (self.last.is_some() || self.place.chain != 0 || !is_written)
    }

    /// Put the newest view below what was read of the log. Return `false` if the log has not been
    /// read far enough, or the rows were renumbered.
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

    /// Open the file of the log that has the name of this one now. If the writer has removed it,
    /// return this one: the writer removes an ended file once no opener of the store needs it.
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

    /// The file of the log that is being read.
    fn file(&self) -> &Arc<LogFile> {
        let files = self.reader.files();
        &files[files.len() - 1]
    }

    /// Read the log from the place on. Return `false` if it does not continue what was read.
    fn read_on(&mut self, mut each: impl FnMut(Followed<'_>)) -> Result<bool, ReadError> {
        let below = self.reader.clone();
        let mut stage = Stage::new(&below);
        let mut files = below.files().to_vec();
        let (mut place, mut last) = (self.place, self.last);
        loop {
            let number = files[files.len() - 1].number;
            // In this order: nothing is added to a file that has a next one.
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

/// Read the header that the records file has now.
fn now(vfs: &dyn Vfs, dir: &Path) -> Result<Header, ReadError> {
    header::read(&*vfs.open(&dir.join(RECORDS_FILE))?, RECORDS_FILE)
}

/// Open a file of the log; `None` if it does not exist.
fn open_log(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<Option<(Arc<LogFile>, LogHeader)>, ReadError> {
    match vfs.open(&dir.join(log::file_name(number))) {
        Ok(file) => LogFile::open(file, number).map(|(file, header)| Some((Arc::new(file), header))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
