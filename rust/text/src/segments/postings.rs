//! The documents of a segment that have each term, and how often.
//!
//! Terms are numbered by decreasing document frequency, so that the first terms have the long
//! lists. A list of up to 128 documents is a run of bytes (see `varint`). A longer one is cut into
//! blocks:
//!
//! ```text
//! blocks  [ last document | start in packed | bits of gaps | bits of tf - 1 | bound ]   128 documents, or the last ones
//! packed  [ gaps: documents left out since the one before ][ tf - 1 ]                   per block, padded with zeros
//! ```

use super::pack::{self, BLOCK};
use super::varint::{Entries, EntryWriter};
use crate::bm25::Bound;

/// Numbered runs of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    /// The end of each run.
    pub(crate) ends: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

impl Runs {
    #[inline]
    pub(crate) fn get(&self, run: usize) -> &[u8] {
        let start = if run == 0 { 0 } else { self.ends[run - 1] as usize };
        &self.bytes[start..self.ends[run] as usize]
    }

    /// End the run whose bytes were appended since the last end.
    pub(crate) fn end(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) const fn memory_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<u32>() + self.bytes.capacity()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) last: u32,
    pub(crate) start: u32,
    pub(crate) gap_bits: u8,
    pub(crate) tf_bits: u8,
    pub(crate) bound: Bound,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Postings {
    /// Number of documents with each term.
    pub(crate) dfs: Vec<u32>,
    /// The end of the blocks of each long list.
    pub(crate) block_ends: Vec<u32>,
    /// The bound of each long list.
    pub(crate) bounds: Vec<Bound>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) packed: Vec<u32>,
    pub(crate) short: Runs,
}

/// The documents of one term.
pub(crate) enum List<'a> {
    Short(Entries<'a>),
    Long(LongList<'a>),
}

#[derive(Clone, Copy)]
pub(crate) struct LongList<'a> {
    pub(crate) bound: &'a Bound,
    pub(crate) blocks: &'a [Block],
    packed: &'a [u32],
    pub(crate) df: u32,
}

/// The documents of a block that was read.
pub(crate) struct Decoded {
    documents: [u32; BLOCK],
    tfs: [u32; BLOCK],
    len: usize,
}

impl Postings {
    /// Append the list of the next term, which has at most as many documents as the one before.
    pub(crate) fn push(&mut self, documents: &[u32], tfs: &[u32], lengths: &[u32]) {
        self.dfs.push(documents.len() as u32);
        if documents.len() <= BLOCK {
            let mut writer = EntryWriter::default();
            for (document, tf) in documents.iter().zip(tfs) {
                writer.push(&mut self.short.bytes, *document, *tf);
            }
            return self.short.end();
        }
        let mut shapes = Vec::with_capacity(documents.len() / 8);
        let mut next = 0;
        for (documents, tfs) in documents.chunks(BLOCK).zip(tfs.chunks(BLOCK)) {
            let block = self.push_block(next, documents, tfs, lengths);
            shapes.extend(block.bound.0);
            next = block.last + 1;
        }
        self.block_ends.push(self.blocks.len() as u32);
        self.bounds.push(Bound::of(&mut shapes));
    }

    fn push_block(&mut self, mut next: u32, documents: &[u32], tfs: &[u32], lengths: &[u32]) -> Block {
        let (mut gaps, mut extra) = ([0; BLOCK], [0; BLOCK]);
        let mut shapes = [(0, 0); BLOCK];
        for (i, (document, tf)) in documents.iter().zip(tfs).enumerate() {
            gaps[i] = document - next;
            next = document + 1;
            extra[i] = tf - 1;
            shapes[i] = (*tf, lengths[*document as usize]);
        }
        let (gap_bits, tf_bits) = (pack::bits(&gaps), pack::bits(&extra));
        let block = Block {
            last: next - 1,
            start: self.packed.len() as u32,
            gap_bits: gap_bits as u8,
            tf_bits: tf_bits as u8,
            bound: Bound::of(&mut shapes[..documents.len()]),
        };
        pack::pack(&gaps, gap_bits, &mut self.packed);
        pack::pack(&extra, tf_bits, &mut self.packed);
        self.blocks.push(block);
        block
    }

    #[inline]
    pub(crate) fn list(&self, term: u32) -> List<'_> {
        let long = self.bounds.len();
        let term = term as usize;
        let Some(bound) = self.bounds.get(term) else {
            return List::Short(Entries::new(self.short.get(term - long)));
        };
        let first = if term == 0 { 0 } else { self.block_ends[term - 1] as usize };
        List::Long(LongList {
            bound,
            blocks: &self.blocks[first..self.block_ends[term] as usize],
            packed: &self.packed,
            df: self.dfs[term],
        })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.dfs.capacity() + self.block_ends.capacity() + self.packed.capacity()) * size_of::<u32>()
            + self.bounds.capacity() * size_of::<Bound>()
            + self.blocks.capacity() * size_of::<Block>()
            + self.short.memory_bytes()
    }
}

impl List<'_> {
    /// Call `found` with each document.
    pub(crate) fn for_each_document(self, mut found: impl FnMut(u32)) {
        match self {
            Self::Short(entries) => {
                for (document, _) in entries {
                    found(document);
                }
            }
            Self::Long(list) => {
                let mut decoded = Decoded::new();
                for block in 0..list.blocks.len() {
                    list.read(block, &mut decoded);
                    for document in decoded.documents() {
                        found(*document);
                    }
                }
            }
        }
    }
}

impl LongList<'_> {
    /// Read a block.
    #[inline]
    pub(crate) fn read(&self, block: usize, decoded: &mut Decoded) {
        let Block { start, gap_bits, tf_bits, .. } = self.blocks[block];
        let packed = &self.packed[start as usize..];
        let (gaps, rest) = packed.split_at(pack::words(gap_bits.into()));
        pack::unpack(gaps, gap_bits.into(), &mut decoded.documents);
        pack::unpack(rest, tf_bits.into(), &mut decoded.tfs);
        let mut next = if block == 0 { 0 } else { self.blocks[block - 1].last.wrapping_add(1) };
        for document in &mut decoded.documents {
            *document = document.wrapping_add(next);
            next = document.wrapping_add(1);
        }
        for tf in &mut decoded.tfs {
            *tf = tf.wrapping_add(1);
        }
        decoded.len = BLOCK.min(self.df as usize - block * BLOCK);
    }

    /// Return the first block from `from` on that ends at `document` or later.
    #[inline]
    pub(crate) fn block_of(&self, document: u32, from: usize) -> usize {
        from + self.blocks[from..].partition_point(|block| block.last < document)
    }
}

impl Decoded {
    pub(crate) const fn new() -> Self {
        Self { documents: [0; BLOCK], tfs: [0; BLOCK], len: 0 }
    }

    #[inline]
    pub(crate) fn documents(&self) -> &[u32] {
        &self.documents[..self.len]
    }

    /// Return the documents from `start` up to `end`, and how often they have the term.
    #[inline]
    pub(crate) fn within(&self, start: u32, end: u32) -> (&[u32], &[u32]) {
        let documents = self.documents();
        // Most blocks lie within the range.
        let from = if documents.first().is_some_and(|first| *first >= start) {
            0
        } else {
            documents.partition_point(|document| *document < start)
        };
        let to = if documents.last().is_some_and(|last| *last < end) {
            documents.len()
        } else {
            documents.partition_point(|document| *document < end)
        };
        (&documents[from..to], &self.tfs[from..to])
    }
}
