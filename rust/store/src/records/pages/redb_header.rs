//! The fields of redb's header, and the values that they must have.

use tiercel_container::log::MAX_NUMBER;

use crate::records::numbers::{u32_at, u64_at};
use crate::records::pages::layout::{PAGE, REDB_HEADER};

/// Pages of a region; only the last region may have fewer. redb has the number in its header and
/// always uses the largest.
pub(crate) const REGION: u64 = 1 << 20;

const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const FLAGS: usize = 9;
const PAGE_SIZE: usize = 12;
const REGION_HEADER: usize = 16;
const REGION_PAGES: usize = 20;
/// The number of full regions, followed by the number of pages in another one, u32 each.
const LAYOUT: usize = 24;
const SLOTS: usize = 64;
const SLOT: usize = 128;

/// The second slot has the last transaction.
const SECOND: u8 = 1;
/// A writer has the file open, or had it open when it ended.
const OPEN: u8 = 2;
/// The last transaction was written in two phases: its pages are whole, whatever happened. All of
/// ours are.
const TWO_PHASE: u8 = 4;
/// The version of a slot.
const VERSION: u8 = 3;

/// Where a tree begins, and how many pairs it claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    pub(crate) page: u64,
    pub(crate) pairs: u64,
}

impl Root {
    pub(crate) const LEN: usize = Self::PAIRS + 8;
    /// Where the number of pairs is: after the number of a page and its checksum.
    const PAIRS: usize = 8 + 16;

    /// Decode a root: page, checksum, number of pairs.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { page: u64_at(bytes, 0)?, pairs: u64_at(bytes, Self::PAIRS)? })
    }
}

/// The last transaction, as the header records it.
pub(crate) struct Slot {
    /// The tree of our tables.
    pub(crate) ours: Root,
    /// The tree of redb's own tables.
    pub(crate) redb: Root,
    /// Its number.
    pub(crate) transaction: u64,
}

impl Slot {
    pub(crate) fn decode(header: &[u8; REDB_HEADER]) -> Option<Self> {
        let (flags, constant) = (header[FLAGS], |at| u32_at(header, at).map(u64::from));
        let layout = (constant(PAGE_SIZE)?, constant(REGION_HEADER)?, constant(REGION_PAGES)?);
        let slot = &header[SLOTS + SLOT * usize::from(flags & SECOND)..][..SLOT];
        let sound = header.starts_with(MAGIC)
            && flags & !(SECOND | OPEN) == TWO_PHASE
            && layout == (PAGE as u64, 0, REGION)
            && slot[..3] == [VERSION, 1, 1];
        let transaction = u64_at(slot, 8 + 3 * Root::LEN)?;
        let (ours, redb) = (Root::decode(&slot[8..])?, Root::decode(&slot[8 + Root::LEN..])?);
        (sound && transaction < MAX_NUMBER).then_some(Self { ours, redb, transaction })
    }
}

/// The header of a file of `pages` pages that no writer has open.
pub(crate) fn closed(mut header: [u8; REDB_HEADER], pages: u64) -> [u8; REDB_HEADER] {
    let pages = pages.saturating_sub(1);
    header[FLAGS] &= !OPEN;
    header[LAYOUT..LAYOUT + 4].copy_from_slice(&((pages / REGION) as u32).to_le_bytes());
    header[LAYOUT + 4..LAYOUT + 8].copy_from_slice(&((pages % REGION) as u32).to_le_bytes());
    header
}
