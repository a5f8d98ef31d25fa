//! The pages that redb records as free. It trusts this: a page that is free and in use would be
//! overwritten.
//!
//! They are in the table `allocator_state`, as the last transaction left them:
//!
//! ```text
//! key              3, u8, and a region, u32; 4 and zeros: the tracker; 5 and zeros: the number of the transaction, u64
//! region           the largest order, u8; 3 zeros; pages, u32; where the bitmap of each order ends, u32; the bitmaps, in which
//!                  a free page has a 0 in that of the largest order that it can be part of
//! tracker          number of orders, u32; length of the bitmap of each, u32; the bitmaps, where a region that may have a free
//!                  page of that order has a 0
//! bitmap           number of levels, u32; where each ends, u32; the levels, of which the last one has a bit for each thing and
//!                  each before it one for each 64 bits of the next, 1 if they are all 1
//! level            number of bits, u32; the bits, u64 each, those after the last one 1
//! ```

use crate::records::check::pages::{MAX_ORDER, Pages};
use crate::records::numbers::{shown, u32_at, u64_at};
use crate::records::pages::redb_header::REGION;

const ORDERS: usize = MAX_ORDER as usize + 1;

/// The entries of the table.
#[derive(Default)]
pub(super) struct Space {
    regions: Vec<Vec<u8>>,
    tracker: Vec<u8>,
    transaction: Option<u64>,
}

impl Space {
    /// Add an entry. Entries come in order.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = u32_at(key, 1).unwrap_or(0);
        match key[0] {
            3 if number as usize == self.regions.len() => self.regions.push(value.to_vec()),
            4 if number == 0 => self.tracker = value.to_vec(),
            5 if number == 0 && value.len() == 8 => self.transaction = u64_at(value, 0),
            kind => return Err(format!("expected an entry of the free pages, got {kind} {number}")),
        }
        Ok(())
    }

    /// Check that the entries are of this transaction, that redb can work with them, and that no
    /// page in use is free. Return the number of pages that they cover; all pages after them are
    /// unused.
    pub(super) fn check(&self, pages: &Pages<'_>, transaction: u64) -> Result<u64, String> {
        if self.transaction != Some(transaction) {
            return Err(format!(
                "free pages: expected those of transaction {transaction}, got {}",
                shown(self.transaction)
            ));
        }
        let mut known = 0;
        for (number, bytes) in self.regions.iter().enumerate() {
            let is_last = number + 1 == self.regions.len();
            known += region(bytes, number as u64 * REGION, is_last, pages)
                .ok_or_else(|| format!("free pages: expected a sound region {number}, no free page of it in use"))?;
        }
        if known == 0 || pages.used().any(|page| page >= known) {
            return Err(format!("free pages: expected all used pages to be among {known}"));
        }
        self.check_tracker().ok_or_else(|| "free pages: expected a tracker that fits the regions".to_owned())?;
        Ok(known)
    }

    fn check_tracker(&self) -> Option<()> {
        let bytes = self.tracker.as_slice();
        if u32_at(bytes, 0)? as usize != ORDERS {
            return None;
        }
        let mut start = 4 + 4 * ORDERS;
        for order in 0..ORDERS {
            let end = start.checked_add(u32_at(bytes, 4 + 4 * order)? as usize)?;
            let regions = Bitmap::decode(bytes.get(start..end)?, None, REGION)?;
            let beyond = regions.zeros().find(|region| *region >= self.regions.len() as u64);
            if beyond.is_some() || regions.len < self.regions.len() as u64 {
                return None;
            }
            start = end;
        }
        Some(())
    }
}

/// Check the free pages of the region that starts at page `start`; return its number of pages.
fn region(bytes: &[u8], start: u64, is_last: bool, pages: &Pages<'_>) -> Option<u64> {
    let len = u64::from(u32_at(bytes, 4)?);
    if *bytes.first()? != MAX_ORDER || len == 0 || len > REGION || !is_last && len != REGION {
        return None;
    }
    let mut from = 8 + 4 * ORDERS;
    let mut free = vec![0_u64; len.div_ceil(64) as usize];
    for order in 0..=MAX_ORDER {
        let until = u32_at(bytes, 8 + 4 * usize::from(order))? as usize;
        let bitmap = Bitmap::decode(bytes.get(from..until)?, Some(len >> order), REGION >> order)?;
        let mut before = None;
        for block in bitmap.zeros() {
            // Two free halves would be one free page of the next order.
            if order < MAX_ORDER && block % 2 == 1 && before == Some(block - 1) {
                return None;
            }
            before = Some(block);
            for page in block << order..(block + 1) << order {
                let (word, bit) = (&mut free[page as usize / 64], 1 << (page % 64));
                if *word & bit != 0 || pages.is_used(start + page) {
                    return None;
                }
                *word |= bit;
            }
        }
        from = until;
    }
    // redb drops the pages that the file has lost. They must be free.
    let lost = pages.len().saturating_sub(start).min(len)..len;
    lost.into_iter().all(|page| free[page as usize / 64] & 1 << (page % 64) != 0).then_some(len)
}

/// The last level of a bitmap. The other levels agree with it.
struct Bitmap<'a> {
    words: &'a [u8],
    len: u64,
}

impl<'a> Bitmap<'a> {
    /// Decode a bitmap of `len` bits, or of any number up to `most`, with as many levels as `most`
    /// bits need.
    fn decode(bytes: &'a [u8], len: Option<u64>, most: u64) -> Option<Self> {
        let height = u32_at(bytes, 0)? as usize;
        if height != levels(most) {
            return None;
        }
        let mut start = 4 + 4 * height;
        let mut above: Option<Self> = None;
        for level in 0..height {
            let end = u32_at(bytes, 4 + 4 * level)? as usize;
            let level = Self::level(bytes.get(start..end)?)?;
            match above {
                None if level.len > 64 => return None,
                Some(above) if !above.sums(&level) => return None,
                _ => {}
            }
            (above, start) = (Some(level), end);
        }
        above.filter(|last| len.map_or(last.len <= most, |len| last.len == len))
    }

    fn level(bytes: &'a [u8]) -> Option<Self> {
        let (len, words) = (u64::from(u32_at(bytes, 0)?), &bytes[4..]);
        let level = Self { words, len };
        let whole = words.len().is_multiple_of(8) && words.len() as u64 / 8 >= len.div_ceil(64);
        let padded = |(index, word): (u64, u64)| {
            let used = len.saturating_sub(64 * index);
            used >= 64 || word >> used == u64::MAX >> used
        };
        (whole && (0..).zip(level.all_words()).all(padded)).then_some(level)
    }

    fn all_words(&self) -> impl Iterator<Item = u64> + 'a {
        self.words.chunks_exact(8).filter_map(|word| u64_at(word, 0))
    }

    /// Whether each bit says if its 64 bits in the level below are all 1.
    fn sums(&self, below: &Self) -> bool {
        let full = |index: u64| u64_at(self.words, 8 * (index as usize / 64)).map(|word| word >> (index % 64) & 1 == 1);
        self.len == below.len.div_ceil(64)
            && (0..self.len).zip(below.all_words()).all(|(index, word)| full(index) == Some(word == u64::MAX))
    }

    /// The positions of 0 bits, ascending.
    fn zeros(&self) -> impl Iterator<Item = u64> + 'a {
        let zeros = |(index, word): (u64, u64)| {
            (0..64).filter(move |bit| word & 1 << bit == 0).map(move |bit| 64 * index + bit)
        };
        (0..).zip(self.all_words()).filter(|(_, word)| *word != u64::MAX).flat_map(zeros)
    }
}

/// Levels of a bitmap of up to `most` bits.
fn levels(most: u64) -> usize {
    let mut levels = 1;
    let mut bits = most;
    while bits > 64 {
        bits = bits.div_ceil(64);
        levels += 1;
    }
    levels
}
