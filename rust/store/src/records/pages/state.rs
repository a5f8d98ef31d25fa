//! The state of the record database's file: its header, its checksums, its health, and the pages
//! that are not in it yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use tiercel_container::NoRoom;

use crate::errors::Corruption;
use crate::records::pages::header::Header;
use crate::records::pages::layout::{self, PAGE, SUMS};

/// Pages by number.
pub(crate) type KeptPages = BTreeMap<u64, Arc<[u8]>>;

/// The state of a file, and what is not in it yet.
#[derive(Debug)]
pub(super) struct State {
    pub(super) header: Header,
    /// The header as the last sync left it.
    pub(super) synced: Header,
    /// Checksum of each page from page 1 on.
    pub(super) sums: Vec<u32>,
    /// Pages written since the last sync.
    pub(super) dirty: HashMap<u64, Arc<[u8]>>,
    pub(super) dirty_sums: BTreeSet<u64>,
    /// Length of the file.
    pub(super) file_len: u64,
    pub(super) mode: Mode,
    /// Whether redb is recovering from a sync that was cut short.
    pub(super) recovering: bool,
    pub(super) health: Health,
    /// The first damage found.
    pub(super) damage: Option<Corruption>,
    /// Whether a page looked damaged after this handle was sealed.
    pub(super) superseded: bool,
}

/// How reads and writes behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    /// Writes stay in memory and are never synced: another handle may write to the file.
    Scratch,
    /// Writes are refused: another handle has taken the place of this one, the file was closed, or
    /// this process may not write to it, because it lost the lock or was forked.
    Sealed,
}

/// Whether the file can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// A page found no room. It is still in memory, and the state before is still in the file.
    Full(NoRoom),
    /// A write or a sync failed; the content of the file is unknown.
    Failed(String),
}

impl Health {
    /// The health after a write that failed before the header was written.
    pub(super) fn after(error: &io::Error) -> Self {
        NoRoom::of(error).map_or_else(|| Self::Failed(error.to_string()), Self::Full)
    }
}

impl State {
    /// The state of a file with this header, these checksums and this length.
    pub(super) fn new(header: Header, sums: Vec<u32>, file_len: u64, mode: Mode) -> Self {
        Self {
            recovering: !header.synced,
            synced: Header { synced: true, ..header.clone() },
            header,
            sums,
            dirty: HashMap::new(),
            dirty_sums: BTreeSet::new(),
            file_len,
            mode,
            health: Health::Sound,
            damage: None,
            superseded: false,
        }
    }

    /// Note a damaged page.
    pub(super) fn note(&mut self, damage: Corruption) {
        if self.mode == Mode::Sealed {
            // The handle in its place has written the page; its header, which would say so, comes
            // after the pages.
            self.superseded = true;
        } else {
            self.damage.get_or_insert(damage);
        }
    }

    /// Whether pages may go to the file.
    pub(super) fn can_write(&self) -> bool {
        self.health == Health::Sound && self.mode != Mode::Scratch
    }

    /// Check that the file was not given up.
    pub(super) fn check_unsealed(&self) -> io::Result<()> {
        if self.mode == Mode::Sealed { Err(io::Error::other("the file was given up")) } else { Ok(()) }
    }

    /// Set the number of pages.
    pub(super) fn set_pages(&mut self, pages: u64) {
        // A page that is cut off and comes back counts as never written.
        for page in pages.max(1)..self.header.pages {
            if self.sums[page as usize - 1] != 0 {
                self.dirty_sums.insert(layout::sector_of(page));
            }
        }
        self.dirty.retain(|page, _| *page < pages);
        self.sums.resize(pages.saturating_sub(1) as usize, 0);
        self.header.pages = pages;
    }

    /// Take consecutive pages, from `first` on.
    pub(super) fn put(&mut self, first: u64, data: &[u8]) -> io::Result<()> {
        for (page, bytes) in (first..).zip(data.chunks_exact(PAGE)) {
            if page >= self.header.pages {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.sums[page as usize - 1] = layout::checksum(bytes);
            self.dirty.insert(page, bytes.into());
            self.dirty_sums.insert(layout::sector_of(page));
        }
        Ok(())
    }

    /// The pages and checksums that the file does not have yet, with their places in a file of
    /// length `len`, in the order of writing: the pages by number, then the checksums.
    pub(super) fn unwritten(&self, len: u64) -> Vec<(u64, Arc<[u8]>)> {
        let mut pages: Vec<_> = self.dirty.iter().map(|(page, bytes)| (*page, bytes.clone())).collect();
        pages.sort_unstable_by_key(|(page, _)| *page);
        let pages = pages.into_iter().map(|(page, bytes)| (layout::page_at(page), bytes));
        let sums = self.dirty_sums.iter().map(|&sector| (layout::sums_at(sector), self.sums_of(sector)));
        pages.chain(sums.filter(|(at, _)| *at < len)).collect()
    }

    /// A sector of checksums.
    fn sums_of(&self, sector: u64) -> Arc<[u8]> {
        let first = (sector * SUMS) as usize;
        let sums = (first..first + SUMS as usize).map(|index| self.sums.get(index).copied().unwrap_or(0));
        sums.flat_map(u32::to_le_bytes).collect()
    }
}
