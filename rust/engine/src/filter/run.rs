//! A run: the sorted keys of a span of rows, each with the rows that have it. Immutable.
//!
//! ```text
//! bytes      k0k1k1k1k2k2...      the keys, ascending and distinct, concatenated
//! key_ends   2  8  12             the end of each key
//! rows       r r r|r|r r          the rows of each key, ascending
//! row_ends   3  4  6              the end of each key's rows
//! many       (1, bitmap)          the rows of a key with many rows; it has none in `rows`
//! ```
//!
//! So a value that occurs once, such as an id, costs its key and 12 bytes, and a frequent value
//! little more than a bit per row.

use std::cmp::Ordering;
use std::ops::Range;

use roaring::RoaringBitmap;

/// From this many rows, the rows of a key are a bitmap. A bitmap may cost some bytes for each
/// 65,536 rows of the collection, even those where it has none.
const MANY: usize = 1024;

/// Positions have 32 bits.
const LIMIT: usize = u32::MAX as usize;

/// Sorted keys, each with its rows.
#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    key_ends: Vec<u32>,
    rows: Vec<u32>,
    row_ends: Vec<u32>,
    many: Vec<(u32, RoaringBitmap)>,
    /// Number of pairs of a key and a row.
    size: usize,
}

/// Rows of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'r> {
    Few(&'r [u32]),
    Many(&'r RoaringBitmap),
}

impl Rows<'_> {
    fn len(self) -> usize {
        match self {
            Self::Few(rows) => rows.len(),
            Self::Many(rows) => rows.len() as usize,
        }
    }
}

impl Run {
    /// Number of pairs of a key and a row.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Return the memory used, in bytes.
    pub(super) fn memory(&self) -> usize {
        let numbers = self.key_ends.capacity() + self.rows.capacity() + self.row_ends.capacity();
        let many: usize =
            self.many.iter().map(|(_, rows)| size_of::<(u32, RoaringBitmap)>() + rows.serialized_size()).sum();
        size_of::<Self>() + self.bytes.capacity() + numbers * size_of::<u32>() + many
    }

    /// Return the numbers of the keys from `low`, inclusive, to `high`, exclusive.
    pub(super) fn span(&self, low: &[u8], high: &[u8]) -> Range<usize> {
        let start = self.first_from(low, 0);
        // Fast path: most spans have one key.
        let next = start + 1;
        let end = if next >= self.len() || self.key(next) >= high {
            start + usize::from(start < self.len() && self.key(start) < high)
        } else {
            self.first_from(high, next)
        };
        start..end
    }

    /// Return the rows of the keys in the span, in parts.
    pub(super) fn rows(&self, span: Range<usize>) -> impl Iterator<Item = Rows<'_>> {
        let few = self.few(span.clone());
        std::iter::once(Rows::Few(few)).filter(|few| few.len() > 0).chain(self.many_of(span).map(Rows::Many))
    }

    /// Return the first row of a key, by its number, from row `from` on.
    pub(super) fn row_from(&self, at: usize, from: u32) -> Option<u32> {
        match self.rows_of(at) {
            Rows::Few(rows) => rows.get(rows.partition_point(|row| *row < from)).copied(),
            Rows::Many(rows) => rows.range(from..).next(),
        }
    }

    /// Call `each` with every key and each of its rows.
    pub(super) fn each(&self, mut each: impl FnMut(&[u8], u32)) {
        for at in 0..self.len() {
            match self.rows_of(at) {
                Rows::Few(rows) => rows.iter().for_each(|row| each(self.key(at), *row)),
                Rows::Many(rows) => rows.iter().for_each(|row| each(self.key(at), row)),
            }
        }
    }

    /// Whether [`Self::merge`] has room for both.
    pub(super) fn can_merge(&self, newer: &Self) -> bool {
        self.bytes.len() + newer.bytes.len() <= LIMIT && self.size + newer.size <= LIMIT
    }

    /// Merge this run and a newer one, whose rows are above all rows of this one.
    pub(super) fn merge(&self, newer: &Self) -> Self {
        let mut both = Self::with_capacity(self.bytes.len() + newer.bytes.len(), self.len() + newer.len());
        both.rows.reserve_exact(self.rows.len() + newer.rows.len());
        let (mut at, mut newer_at) = (0, 0);
        while at < self.len() && newer_at < newer.len() {
            let order = self.key(at).cmp(newer.key(newer_at));
            match order {
                Ordering::Less => both.push(self.key(at), &[self.rows_of(at)]),
                Ordering::Greater => both.push(newer.key(newer_at), &[newer.rows_of(newer_at)]),
                Ordering::Equal => both.push(self.key(at), &[self.rows_of(at), newer.rows_of(newer_at)]),
            }
            at += usize::from(order.is_le());
            newer_at += usize::from(order.is_ge());
        }
        for at in at..self.len() {
            both.push(self.key(at), &[self.rows_of(at)]);
        }
        for at in newer_at..newer.len() {
            both.push(newer.key(at), &[newer.rows_of(at)]);
        }
        both.shrink();
        both
    }

    fn with_capacity(bytes: usize, keys: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            key_ends: Vec::with_capacity(keys),
            row_ends: Vec::with_capacity(keys),
            ..Self::default()
        }
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.key_ends.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.row_ends.shrink_to_fit();
    }

    /// Append a key above all others, with rows that ascend from part to part.
    fn push(&mut self, key: &[u8], parts: &[Rows<'_>]) {
        let count = parts.iter().map(|rows| rows.len()).sum::<usize>();
        if count < MANY {
            for part in parts {
                match part {
                    Rows::Few(rows) => self.rows.extend_from_slice(rows),
                    Rows::Many(rows) => self.rows.extend(*rows),
                }
            }
        } else {
            let mut many = RoaringBitmap::new();
            for part in parts {
                match part {
                    Rows::Few(rows) => many.extend(*rows),
                    Rows::Many(rows) => many |= *rows,
                }
            }
            self.many.push((self.len() as u32, many));
        }
        self.size += count;
        self.bytes.extend_from_slice(key);
        self.key_ends.push(self.bytes.len() as u32);
        self.row_ends.push(self.rows.len() as u32);
    }

    /// Number of keys.
    fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Return the key with a number.
    pub(super) fn key(&self, at: usize) -> &[u8] {
        &self.bytes[start(&self.key_ends, at)..self.key_ends[at] as usize]
    }

    /// Return the number of the first key not below `key`, searching from `from` on.
    fn first_from(&self, key: &[u8], from: usize) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn few(&self, span: Range<usize>) -> &[u32] {
        &self.rows[start(&self.row_ends, span.start)..start(&self.row_ends, span.end)]
    }

    fn many_of(&self, span: Range<usize>) -> impl Iterator<Item = &RoaringBitmap> {
        let from = self.many.partition_point(|(at, _)| (*at as usize) < span.start);
        self.many[from..].iter().take_while(move |(at, _)| (*at as usize) < span.end).map(|(_, rows)| rows)
    }

    fn rows_of(&self, at: usize) -> Rows<'_> {
        let few = self.few(at..at + 1);
        self.many_of(at..at + 1).next().map_or(Rows::Few(few), Rows::Many)
    }
}

/// Return where a part starts: at the end of the previous one.
fn start(ends: &[u32], at: usize) -> usize {
    at.checked_sub(1).map_or(0, |before| ends[before] as usize)
}

/// Pairs of a key and a row in any order, to be made into a run.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    bytes: Vec<u8>,
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    /// The first bytes of the key: they decide most comparisons.
    head: u64,
    start: u32,
    len: u32,
    row: u32,
}

impl Pair {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..][..self.len as usize]
    }
}

impl Pairs {
    pub(super) fn push(&mut self, key: &[u8], row: u32) {
        let mut head = [0; 8];
        let known = key.len().min(8);
        head[..known].copy_from_slice(&key[..known]);
        let (start, len) = (self.bytes.len() as u32, key.len() as u32);
        self.pairs.push(Pair { head: u64::from_be_bytes(head), start, len, row });
        self.bytes.extend_from_slice(key);
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Return the bytes of all keys.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Make a run of these pairs.
    pub(super) fn into_run(mut self) -> Run {
        let bytes = &self.bytes;
        self.pairs.sort_unstable_by(|one, other| {
            let by_key = one.head.cmp(&other.head).then_with(|| one.key(bytes).cmp(other.key(bytes)));
            by_key.then(one.row.cmp(&other.row))
        });
        let mut run = Run::default();
        let mut rows = Vec::new();
        for group in self.pairs.chunk_by(|one, other| one.head == other.head && one.key(bytes) == other.key(bytes)) {
            rows.clear();
            rows.extend(group.iter().map(|pair| pair.row));
            // A list may have an element twice.
            rows.dedup();
            run.push(group[0].key(bytes), &[Rows::Few(&rows)]);
        }
        run.shrink();
        run
    }
}
