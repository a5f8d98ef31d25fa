//! Where the pages of the record database and their checksums are in its file.
//!
//! ```text
//! page 0       header, of which one sector is used, see `header`; the rest of the page is never written
//! page 1       checksums of the next 1,024 pages, u32 each
//! page 2...    1,024 pages of redb: its pages 1 to 1,024
//! page 1,026   checksums of the next 1,024 pages
//! ...
//! ```
//!
//! Everything is little endian. A checksum never crosses sectors, because a disk writes a sector
//! whole or not at all. The checksum of a page is the CRC32C of its bytes, XOR that of a page of
//! zeros. A page that was never written, a hole in the file, thus has the checksum 0, which is a
//! hole, too.

use std::sync::LazyLock;

use tiercel_container::SECTOR;

/// Bytes of a page, here and in redb.
pub(crate) const PAGE: usize = 4096;
/// Pages under one page of checksums.
const GROUP: u64 = PAGE as u64 / 4;
/// Checksums in a sector.
pub(crate) const SUMS: u64 = SECTOR as u64 / 4;
/// Bytes of redb's header.
pub(crate) const REDB_HEADER: usize = 320;

/// Where a page of redb starts, from its page 1 on.
pub(crate) fn page_at(page: u64) -> u64 {
    let index = page - 1;
    (1 + index / GROUP * (GROUP + 1) + 1 + index % GROUP) * PAGE as u64
}

/// Number of consecutive pages in the file from this one on.
pub(crate) fn contiguous(page: u64) -> u64 {
    GROUP - (page - 1) % GROUP
}

/// Where a sector of checksums starts: sector 0 has those of pages 1 to 128.
pub(crate) fn sums_at(sector: u64) -> u64 {
    const SECTORS: u64 = (PAGE / SECTOR) as u64;
    (1 + sector / SECTORS * (GROUP + 1)) * PAGE as u64 + sector % SECTORS * SECTOR as u64
}

/// The sector that has the checksum of a page.
pub(crate) fn sector_of(page: u64) -> u64 {
    (page - 1) / SUMS
}

/// Bytes of a file with `pages` pages of redb; `None` for 0, or for more than a file can hold.
pub(crate) fn file_len(pages: u64) -> Option<u64> {
    let data = pages.checked_sub(1)?;
    let all = data.checked_add(data.div_ceil(GROUP))?.checked_add(1)?;
    all.checked_mul(PAGE as u64)
}

/// The checksum of a page.
pub(crate) fn checksum(page: &[u8]) -> u32 {
    static ZEROS: LazyLock<u32> = LazyLock::new(|| crc32c::crc32c(&[0; PAGE]));
    crc32c::crc32c(page) ^ *ZEROS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_checksums_fill_the_file_without_overlap() {
        let pages = 3 * GROUP + 7;
        let mut taken = vec![0_u64];
        taken.extend((1..pages).map(|page| page_at(page) / PAGE as u64));
        let sectors = sector_of(pages - 1) + 1;
        taken.extend((0..sectors).map(|sector| sums_at(sector) / PAGE as u64));
        taken.sort_unstable();
        taken.dedup();
        let all: Vec<u64> = (0..file_len(pages).unwrap() / PAGE as u64).collect();
        assert_eq!(taken, all);
        assert_eq!((contiguous(1), contiguous(GROUP), contiguous(GROUP + 1)), (GROUP, 1, GROUP));
    }
}
