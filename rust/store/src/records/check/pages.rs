//! Pages of redb by the numbers that its trees use, and which of them are in use.

use std::collections::HashMap;

use crate::errors::{Corruption, ReadError};
use crate::records::pages::file::PageFile;
use crate::records::pages::layout;
use crate::records::pages::redb_header::REGION;

/// The largest order of a page: it spans a whole region.
pub(super) const MAX_ORDER: u8 = 20;

/// The number of a page of redb: 2^order consecutive pages of a region.
///
/// ```text
/// bits 0 to 19   number within the region, in pages of its order; the highest `order` bits are not used
/// bits 20 to 39  region
/// bits 59 to 63  order
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct PageNumber {
    region: u64,
    index: u64,
    order: u8,
}

impl PageNumber {
    pub(super) fn decode(raw: u64) -> Self {
        let order = (raw >> 59) as u8;
        let low = (REGION - 1) >> order;
        Self { region: raw >> 20 & (REGION - 1), index: raw & low, order }
    }

    /// Its first page, counted from the first page of the first region.
    fn first(self) -> u64 {
        self.region * REGION + (self.index << self.order)
    }

    fn count(self) -> u64 {
        1 << self.order
    }
}

/// The pages of a file, and which of them are in use.
pub(super) struct Pages<'a> {
    file: &'a PageFile,
    /// Pages in all regions.
    len: u64,
    /// One bit per page that is in use, 64 pages per entry.
    used: HashMap<u64, u64>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a PageFile) -> Self {
        Self { file, len: file.pages().saturating_sub(1), used: HashMap::new() }
    }

    /// Pages in all regions.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Mark a page as used. A page may be used only once.
    pub(super) fn take(&mut self, number: PageNumber) -> Result<(), String> {
        let first = number.first();
        if number.order > MAX_ORDER || number.region >= REGION || first + number.count() > self.len {
            return Err(format!("expected a page within {} pages", self.len));
        }
        for page in first..first + number.count() {
            let word = self.used.entry(page / 64).or_default();
            if *word & 1 << (page % 64) != 0 {
                return Err("expected a page that is used once".to_owned());
            }
            *word |= 1 << (page % 64);
        }
        Ok(())
    }

    /// Read a page and mark it as used.
    pub(super) fn read(&mut self, number: PageNumber) -> Result<Vec<u8>, ReadError> {
        // Page 0 of the file holds the header.
        let first = 1 + number.first();
        // Checked before it is marked: a file may claim more pages than memory has bits.
        if number.order <= MAX_ORDER && first + number.count() <= 1 + self.len {
            let page = self.file.page(first, number.count())?;
            self.take(number).map_err(|what| self.damaged(first, &what))?;
            return Ok(page);
        }
        Err(self.damaged(first, &format!("expected a page within {} pages", self.len)))
    }

    /// The pages in use, each once, in any order.
    pub(super) fn used(&self) -> impl Iterator<Item = u64> {
        let bits = |(&word, &bits): (&u64, &u64)| {
            (0..64).filter(move |bit| bits & 1 << bit != 0).map(move |bit| 64 * word + bit)
        };
        self.used.iter().flat_map(bits)
    }

    /// Whether a page is in use.
    pub(super) fn is_used(&self, page: u64) -> bool {
        self.used.get(&(page / 64)).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    /// The error for the page with this number.
    pub(super) fn corrupt(&self, raw: u64, what: &str) -> ReadError {
        self.damaged(1 + PageNumber::decode(raw).first(), what)
    }

    fn damaged(&self, page: u64, what: &str) -> ReadError {
        let offset = if page < self.file.pages() { layout::page_at(page) } else { 0 };
        let what = format!("page {page}: {what}");
        Corruption { file: self.file.name().to_owned(), what, offset: Some(offset) }.into()
    }
}
