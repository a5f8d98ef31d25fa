//! The file of the record database: pages with checksums, written when they are synced.
//!
//! redb checks its pages only after a crash, assumes that a file which grew has grown on the disk,
//! and refuses everything after an error. So this lies between it and the file system:
//!
//! - Written pages stay in memory until a sync, or until there are too many: a full disk loses
//!   nothing that is in memory.
//! - A sync writes, in this order: the length of the file, synced, if it grew; the pages; their
//!   checksums; the header; then it syncs. The header comes last, so that a write that fails before
//!   it leaves the old state in the file. Then the header is written once more, marked as synced,
//!   without waiting for the disk.
//! - Every page that is read is compared with its checksum. A mismatch is damage, with one
//!   exception: if the header is not marked as synced, the machine may have stopped within that
//!   sync and left torn pages. While redb recovers from that, a torn page reads as zeros. redb
//!   notices by checksums of its own and goes back to the previous commit. Pages of that commit are
//!   written again only after the next one is synced.
//! - A read that fails is tried again, since a disk or a network may come back.
//! - A failed write is recorded here and redb is told of success. The store asks before it
//!   acknowledges and never shows the failed commit; readers of earlier ones go on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use redb::StorageBackend;
use tiercel_container::{Identity, NoRoom, VfsFile, write_sector, zeros};

use crate::errors::{Corruption, ReadError};
use crate::records::pages::header::{self, Header};
use crate::records::pages::layout::{self, PAGE, REDB_HEADER};
use crate::records::pages::redb_header;
use crate::records::pages::run::Run;
use crate::records::pages::state::{Health, KeptPages, Mode, State};

/// Maximum pages held in memory, as long as the disk takes them.
const HELD: usize = (64 << 20) / PAGE;

/// Attempts per read.
const READS: usize = 3;

/// A handle on the file, shared by redb and the store.
#[derive(Clone, Debug)]
pub(crate) struct PageFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Box<dyn VfsFile>,
    /// The name of the file in errors.
    name: String,
    state: RwLock<State>,
    /// The pages that were read, if they are recorded.
    seen: Option<Mutex<KeptPages>>,
}

/// Distinguishes a file from others of the same name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) identity: Identity,
    /// The number of the file: each compaction writes another one.
    pub(crate) file: u32,
    /// How often the files before it were written.
    pub(crate) writes: u64,
    /// How often the rows were renumbered.
    pub(crate) numbering: u32,
}

impl PageFile {
    /// Make an empty file of a collection. `origin` has its number among the files that had this
    /// name, and how often those were written.
    pub(crate) fn create(file: Box<dyn VfsFile>, name: &str, origin: Origin) -> Self {
        let Origin { identity, file: number, writes, numbering } = origin;
        let redb = [0; REDB_HEADER];
        let header = Header { redb, pages: 0, synced: false, file: number, views: 0, identity, writes, numbering };
        Self::with(file, name, header, Vec::new(), 0, Mode::Write)
    }

    /// Open a file for reading. What redb writes stays in memory unless writing begins.
    pub(crate) fn scratch(file: Box<dyn VfsFile>, name: &str) -> Result<Self, ReadError> {
        let (header, len, sums) = header::load(file.as_ref(), name)?;
        Ok(Self::with(file, name, header, sums, len, Mode::Scratch))
    }

    /// Give the file this identity if it has none.
    pub(crate) fn identify(&self, identity: Identity) {
        let mut state = self.0.state.write();
        if state.header.identity.is_none() {
            state.header.identity = identity;
            state.synced.identity = identity;
        }
    }

    /// Write from now on, beginning with what redb has written so far.
    pub(crate) fn begin_writing(&self) -> io::Result<()> {
        self.0.state.write().mode = Mode::Write;
        // Flush now: redb may next write to pages that the state on the disk needs.
        self.flush();
        match self.health() {
            Health::Failed(why) => Err(io::Error::other(why)),
            Health::Sound => self.cut_off(),
            // Nothing of this handle is in the file, but what is there may not be synced either.
            Health::Full(_) => self.0.file.sync(),
        }
    }

    /// Cut off bytes that a crash left after the end: they would be taken for written pages. The
    /// header on the disk must have this end by now.
    fn cut_off(&self) -> io::Result<()> {
        let file_len = self.0.state.read().file_len;
        if self.0.file.len()? > file_len {
            self.0.file.set_len(file_len)?;
        }
        Ok(())
    }

    /// Open a file as it was under an earlier header, for reading; `kept` has pages as they were
    /// then.
    pub(crate) fn at(file: Box<dyn VfsFile>, name: &str, header: Header, kept: KeptPages) -> Result<Self, ReadError> {
        let (_, len, sums) = header::load(file.as_ref(), name)?;
        let pages = Self::with(file, name, header, sums, len, Mode::Scratch);
        pages.0.state.write().dirty.extend(kept);
        Ok(pages)
    }

    /// Record the pages that are read.
    pub(crate) fn watched(self) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { seen: Some(Mutex::default()), ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// The pages that were read so far.
    pub(crate) fn seen(&self) -> KeptPages {
        self.0.seen.as_ref().map(|seen| seen.lock().clone()).unwrap_or_default()
    }

    /// Whether this file has the name now.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.0.file.is_at(path)
    }

    /// The header as the last sync left it.
    pub(crate) fn header(&self) -> Header {
        self.0.state.read().synced.clone()
    }

    /// Note in the file that `more` views were made.
    pub(crate) fn count_views(&self, more: u64) -> io::Result<()> {
        let header = {
            let mut state = self.0.state.write();
            state.header.views += more;
            state.synced.views += more;
            // What is not synced yet does not become it by this.
            Header { synced: state.header.synced, ..state.synced.clone() }.encode()
        };
        write_sector(self.0.file.as_ref(), &header)
    }

    /// Whether pages that the header needs may have been written or cut off since, by another
    /// handle: then they are newer, not damaged.
    pub(crate) fn is_outdated(&self) -> bool {
        let (mode, file_len) = {
            let state = self.0.state.read();
            if state.superseded {
                return true;
            }
            (state.mode, state.file_len)
        };
        let file = self.0.file.as_ref();
        let is_cut = || file.len().is_ok_and(|len| len < file_len);
        let is_newer = || header::read(file, &self.0.name).is_ok_and(|now| self.header().is_outdated(&now));
        mode != Mode::Write && (is_cut() || is_newer())
    }

    fn with(file: Box<dyn VfsFile>, name: &str, header: Header, sums: Vec<u32>, file_len: u64, mode: Mode) -> Self {
        let state = State::new(header, sums, file_len, mode);
        Self(Arc::new(Inner { file, name: name.to_owned(), state: RwLock::new(state), seen: None }))
    }

    /// The name of the file in errors.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The header of redb.
    pub(crate) fn redb_header(&self) -> [u8; REDB_HEADER] {
        self.0.state.read().header.redb
    }

    /// Pages of redb, including its header's page, as the header says.
    pub(crate) fn pages(&self) -> u64 {
        self.0.state.read().header.pages
    }

    /// Pages of redb that the file has room for.
    pub(crate) fn pages_in_file(&self) -> u64 {
        self.0.state.read().sums.len() as u64 + 1
    }

    /// Make the file look as if it had at most `pages` pages after that of redb's header.
    pub(crate) fn show_only(&self, pages: u64) {
        let mut state = self.0.state.write();
        state.header.pages = state.header.pages.min(pages + 1);
    }

    /// Read `count` consecutive pages.
    pub(crate) fn page(&self, first: u64, count: u64) -> Result<Vec<u8>, ReadError> {
        // Checked first, since a header may claim any number of pages.
        if first + count > self.pages_in_file() {
            let state = self.0.state.read();
            if let Some(page) = (first..first + count).find(|page| !state.dirty.contains_key(page)) {
                let what = format!("page {page}: expected it in the file");
                return Err(Corruption { file: self.0.name.clone(), what, offset: Some(state.file_len) }.into());
            }
        }
        let mut out = zeros(count.saturating_mul(PAGE as u64))?;
        self.read_pages(first, &mut out)?;
        Ok(out)
    }

    /// Make the file look closed to redb, even while a writer has it open.
    pub(crate) fn show_closed(&self) {
        let mut state = self.0.state.write();
        state.header.redb = redb_header::closed(state.header.redb, state.header.pages);
    }

    /// End the recovery of redb: from now on every page must match its checksum.
    pub(crate) fn end_recovery(&self) {
        self.0.state.write().recovering = false;
    }

    /// Refuse to write from now on.
    pub(crate) fn seal(&self) {
        self.0.state.write().mode = Mode::Sealed;
    }

    pub(crate) fn health(&self) -> Health {
        self.0.state.read().health.clone()
    }

    pub(crate) fn damage(&self) -> Option<Corruption> {
        self.0.state.read().damage.clone()
    }

    /// Check that the file still has this name.
    pub(crate) fn check_at(&self, path: &Path) -> io::Result<()> {
        self.0.file.check_at(path)
    }

    /// Bytes that the file takes on the disk.
    pub(crate) fn allocated(&self) -> io::Result<u64> {
        self.0.file.allocated()
    }

    /// Write everything that waits, and sync. Failures are recorded in the health.
    fn flush(&self) {
        if !self.0.state.read().can_write() {
            return;
        }
        let written = self.write_pages().and_then(|()| {
            self.0.state.write().header.writes += 1;
            self.write_header(false)
        });
        let result = match written {
            // The header in the file is still the previous one, which does not refer to what was
            // written.
            Err(error) => Err(Health::after(&error)),
            Ok(()) => self.sync().map_err(|error| Health::Failed(error.to_string())),
        };
        if let Err(health) = result {
            self.0.state.write().health = health;
        }
    }

    /// Make room in memory. No state that the file can be opened in has these pages, so a crash
    /// loses nothing.
    fn spill(&self) {
        {
            let state = self.0.state.read();
            if state.dirty.len() <= HELD || !state.can_write() {
                return;
            }
        }
        let written = self.write_pages();
        let mut state = self.0.state.write();
        match written {
            Ok(()) => state.dirty.clear(),
            Err(error) => state.health = Health::after(&error),
        }
    }

    /// Write the length, the pages and their checksums.
    fn write_pages(&self) -> io::Result<()> {
        let Inner { file, state, .. } = &*self.0;
        let (file_len, target) = {
            let state = state.read();
            (state.file_len, layout::file_len(state.header.pages).unwrap_or(0))
        };
        if target > file_len {
            self.cut_off()?;
            file.set_len(target)?;
            file.sync()?;
            state.write().file_len = target;
        }
        // Readers find the pages in memory until all is synced.
        let unwritten = state.read().unwritten(target);
        let mut run = Run::new(unwritten.len() * PAGE);
        for (at, bytes) in unwritten {
            run.append(file.as_ref(), at, &bytes)?;
        }
        run.write(file.as_ref())
    }

    fn write_header(&self, synced: bool) -> io::Result<()> {
        let header = Header { synced, ..self.0.state.read().header.clone() };
        write_sector(self.0.file.as_ref(), &header.encode())
    }

    /// Sync, and do what may only follow a sync.
    fn sync(&self) -> io::Result<()> {
        let Inner { file, state, .. } = &*self.0;
        file.sync()?;
        match self.write_header(true) {
            // The mark helps to tell damage from a crash; without it nothing is lost.
            Err(error) if NoRoom::of(&error).is_some() => {}
            result => result?,
        }
        let mut state = state.write();
        state.dirty.clear();
        state.dirty_sums.clear();
        state.header.synced = true;
        state.synced = Header { synced: true, ..state.header.clone() };
        let target = layout::file_len(state.header.pages).unwrap_or(0);
        if target < state.file_len {
            match file.set_len(target) {
                // The rest is cut off before the file grows again.
                Err(error) if NoRoom::of(&error).is_some() => {}
                result => result?,
            }
            state.file_len = target;
        }
        Ok(())
    }

    /// Read whole pages.
    fn read_pages(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.state.read();
        let count = (out.len() / PAGE) as u64;
        if first + count > state.header.pages {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut page = first;
        while page < first + count {
            let at = (page - first) as usize * PAGE;
            if let Some(bytes) = state.dirty.get(&page) {
                out[at..at + PAGE].copy_from_slice(bytes);
                page += 1;
                continue;
            }
            let most = layout::contiguous(page).min(first + count - page);
            let run = (1..most).find(|ahead| state.dirty.contains_key(&(page + ahead))).unwrap_or(most);
            let out = &mut out[at..at + run as usize * PAGE];
            let damage = self.read_run(&state, page, out)?;
            if let Some(damage) = damage {
                drop(state);
                let error = io::Error::new(io::ErrorKind::InvalidData, damage.clone());
                self.0.state.write().note(damage);
                return Err(error);
            }
            page += run;
        }
        Ok(())
    }

    /// Read consecutive pages of the file; return the first damage.
    fn read_run(&self, state: &State, first: u64, out: &mut [u8]) -> io::Result<Option<Corruption>> {
        let at = layout::page_at(first);
        // The end of the file is not on the disk yet, and reads as zeros.
        if at >= state.file_len {
            out.fill(0);
            return Ok(None);
        }
        self.read_again(at, out)?;
        for (page, bytes) in (first..).zip(out.chunks_exact_mut(PAGE)) {
            let (expected, got) = (state.sums.get(page as usize - 1).copied(), layout::checksum(bytes));
            if expected == Some(got) {
                continue;
            }
            if !state.recovering {
                let expected = expected.unwrap_or_default();
                let what = format!("page {page}: expected checksum {expected:08x}, got {got:08x}");
                return Ok(Some(Corruption { file: self.0.name.clone(), what, offset: Some(layout::page_at(page)) }));
            }
            bytes.fill(0);
        }
        Ok(None)
    }

    /// Read, and retry if it fails: redb refuses everything after an error, and some errors pass.
    fn read_again(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let mut result = self.0.file.read_at(at, out);
        for _ in 1..READS {
            if result.is_ok() {
                break;
            }
            result = self.0.file.read_at(at, out);
        }
        result
    }
}

impl StorageBackend for PageFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state.read().header.pages * PAGE as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset == 0 && out.len() <= REDB_HEADER {
            out.copy_from_slice(&self.0.state.read().header.redb[..out.len()]);
            return Ok(());
        }
        let first = page_of(offset, out.len())?;
        self.read_pages(first, out)?;
        if let Some(seen) = &self.0.seen {
            seen.lock().extend((first..).zip(out.chunks_exact(PAGE).map(Arc::from)));
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state.write();
        state.check_unsealed()?;
        state.set_pages(len.div_ceil(PAGE as u64));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.state.read().check_unsealed()?;
        self.flush();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state.write();
        state.check_unsealed()?;
        if offset == 0 && data.len() == REDB_HEADER {
            state.header.redb.copy_from_slice(data);
            return Ok(());
        }
        state.put(page_of(offset, data.len())?, data)?;
        drop(state);
        self.spill();
        Ok(())
    }
}

/// The first page of a read or write by redb, which covers whole pages.
fn page_of(offset: u64, len: usize) -> io::Result<u64> {
    if offset == 0 || !offset.is_multiple_of(PAGE as u64) || !len.is_multiple_of(PAGE) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected whole pages"));
    }
    Ok(offset / PAGE as u64)
}
