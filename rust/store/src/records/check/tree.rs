//! The pages of one B-tree of redb.
//!
//! ```text
//! leaf     type, u8: 1; unused, u8; number of pairs, u16
//!          where each key ends, u32, unless keys have a fixed width; where each value ends, u32, likewise
//!          the keys; the values
//! branch   type, u8: 2; unused, u8; number of keys k, u16; unused, 4 bytes
//!          k + 1 checksums of the children, 16 bytes each; k + 1 numbers of their pages, u64 each
//!          where each key ends, u32, unless keys have a fixed width; the keys
//! ```
//!
//! All keys below child i are greater than key i - 1 and at most key i.

use std::cmp::Ordering;
use std::ops::Range;

use crate::errors::ReadError;
use crate::records::check::pages::{PageNumber, Pages};
use crate::records::numbers::{u32_at, u64_at};
use crate::records::pages::redb_header::Root;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
const CHECKSUM: usize = 16;
const NUMBER: usize = 8;
/// Maximum levels of a tree. Even a tree of minimal pages that fills the largest file has fewer.
const DEPTH: usize = 64;

/// The form of the pairs of a tree.
pub(super) struct Shape {
    /// Bytes of every key, if keys have a fixed width.
    pub(super) key_width: Option<usize>,
    /// Bytes of every value, if values have a fixed width.
    pub(super) value_width: Option<usize>,
    /// Whether bytes are a key; called before they are compared.
    pub(super) is_key: fn(&[u8]) -> bool,
    /// The order of two keys.
    pub(super) compare: fn(&[u8], &[u8]) -> Ordering,
}

/// Check a tree and visit its pairs in order. `each` returns an error that says what is wrong with
/// a pair.
pub(super) fn walk(
    pages: &mut Pages<'_>,
    shape: &Shape,
    root: Root,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), String>,
) -> Result<(), ReadError> {
    let mut walk = Walk { pages, shape, each: &mut each, pairs: 0, leaves: None };
    walk.node(root.page, 0, Bounds::default())?;
    let pairs = walk.pairs;
    if pairs != root.pairs {
        return Err(pages.corrupt(root.page, &format!("expected a tree of {} pairs, got {pairs}", root.pairs)));
    }
    Ok(())
}

/// Keys of a page are greater than `after` and at most `until`.
#[derive(Clone, Copy, Default)]
struct Bounds<'a> {
    after: Option<&'a [u8]>,
    until: Option<&'a [u8]>,
}

type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), String> + 'a;

struct Walk<'a, 'b> {
    pages: &'a mut Pages<'b>,
    shape: &'a Shape,
    each: &'a mut Each<'a>,
    pairs: u64,
    /// The depth of the leaves, the same for all.
    leaves: Option<usize>,
}

impl Walk<'_, '_> {
    fn node(&mut self, raw: u64, depth: usize, bounds: Bounds<'_>) -> Result<(), ReadError> {
        if depth > DEPTH {
            return Err(self.pages.corrupt(raw, &format!("expected at most {DEPTH} levels above it")));
        }
        let page = self.pages.read(PageNumber::decode(raw))?;
        match page[0] {
            LEAF => self.leaf(&page, depth, bounds).map_err(|what| self.pages.corrupt(raw, &what)),
            BRANCH => {
                let (keys, children) = self.branch(&page, bounds).map_err(|what| self.pages.corrupt(raw, &what))?;
                for (index, child) in children.into_iter().enumerate() {
                    let key = |index: usize| keys.get(index).map(|key| &page[key.clone()]);
                    let after = index.checked_sub(1).map_or(bounds.after, key);
                    self.node(child, depth + 1, Bounds { after, until: key(index).or(bounds.until) })?;
                }
                Ok(())
            }
            kind => Err(self.pages.corrupt(raw, &format!("expected a leaf or a branch, got {kind}"))),
        }
    }

    fn leaf(&mut self, page: &[u8], depth: usize, bounds: Bounds<'_>) -> Result<(), String> {
        if *self.leaves.get_or_insert(depth) != depth {
            return Err("expected all leaves on one level".to_owned());
        }
        let (count, shape) = (count(page), self.shape);
        let tables = [shape.key_width, shape.value_width].into_iter().filter(Option::is_none).count();
        let first = 4 + 4 * tables * count;
        let keys = ranges(page, 4, count, first, shape.key_width)?;
        let values_at = if shape.key_width.is_none() { 4 + 4 * count } else { 4 };
        let first = keys.last().map_or(first, |key| key.end);
        let values = ranges(page, values_at, count, first, shape.value_width)?;
        self.keys(page, &keys, bounds)?;
        for (key, value) in keys.into_iter().zip(values) {
            (self.each)(&page[key], &page[value])?;
        }
        self.pairs += count as u64;
        Ok(())
    }

    /// The keys of a branch, and its children.
    fn branch(&self, page: &[u8], bounds: Bounds<'_>) -> Result<(Vec<Range<usize>>, Vec<u64>), String> {
        let count = count(page);
        let numbers = 8 + CHECKSUM * (count + 1);
        let ends = numbers + NUMBER * (count + 1);
        let first = if self.shape.key_width.is_none() { ends + 4 * count } else { ends };
        let keys = ranges(page, ends, count, first, self.shape.key_width)?;
        self.keys(page, &keys, bounds)?;
        let children = page[numbers..ends].chunks_exact(NUMBER).filter_map(|number| u64_at(number, 0)).collect();
        Ok((keys, children))
    }

    /// Check that there are keys, that they ascend, and that they are within the bounds of their
    /// page.
    fn keys(&self, page: &[u8], keys: &[Range<usize>], bounds: Bounds<'_>) -> Result<(), String> {
        let shape = self.shape;
        if keys.is_empty() {
            return Err("expected keys, got none".to_owned());
        }
        let mut before = bounds.after;
        for key in keys {
            let key = &page[key.clone()];
            if !(shape.is_key)(key) {
                return Err(format!("expected a key, got {}", key.escape_ascii()));
            }
            if before.is_some_and(|before| (shape.compare)(before, key) != Ordering::Less) {
                return Err(format!("expected ascending keys, got {}", key.escape_ascii()));
            }
            before = Some(key);
        }
        match (before, bounds.until) {
            (Some(last), Some(until)) if (shape.compare)(last, until) == Ordering::Greater => {
                Err(format!("expected keys up to {}, got {}", until.escape_ascii(), last.escape_ascii()))
            }
            _ => Ok(()),
        }
    }
}

/// The number of keys that a page claims.
fn count(page: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([page[2], page[3]]))
}

/// The ranges of `count` keys or values that begin at `first`, each of this width or up to its end
/// in the table at `ends`.
fn ranges(
    page: &[u8],
    ends: usize,
    count: usize,
    first: usize,
    width: Option<usize>,
) -> Result<Vec<Range<usize>>, String> {
    let mut start = first;
    let range = |index: usize| {
        let end = match width {
            Some(width) => start + width,
            None => u32_at(page, ends + 4 * index)? as usize,
        };
        let range = start..end;
        start = end;
        (range.start <= range.end && range.end <= page.len()).then_some(range)
    };
    // Otherwise an end could lie within the table of ends.
    if first > page.len() {
        return Err(format!("expected {count} pairs or keys within the page"));
    }
    let all: Option<Vec<_>> = (0..count).map(range).collect();
    all.ok_or_else(|| format!("expected {count} pairs or keys within the page"))
}
