//! A segment as bytes, little-endian:
//!
//! ```text
//! header      u32: format, then the lengths of the arrays below: documents, terms, long lists, blocks, words of packed,
//!             bytes of places, of forward, of short and of the characters of terms
//! documents   u32 per document: rows | ends in places | ends in forward
//! terms       u32 per term: ends in characters | document frequencies
//! long lists  u32 per list: ends in blocks, then 6 per list: bound (tf, length) x 3
//! blocks      u32 x 9 per block: last document | start in packed | bits of gaps + 256 * bits of tf | bound
//! packed      u32
//! short lists u32 per list: ends in short
//! bytes       places | forward | short | characters of terms
//! ```
//!
//! The caller must detect changed bytes by a checksum. The checks here only ensure that a search of
//! any accepted bytes never panics.

use super::dictionary::{Dictionary, hash};
use super::pack::{self, BLOCK};
use super::postings::{Block, Decoded, List, Postings, Runs};
use super::segment::{LEFT_OUT, Segment};
use super::varint::{self, Entries};
use crate::bm25::Bound;
use crate::errors::DecodeError;

const FORMAT: u32 = 1;
const HEADER: usize = 10;
const BOUND_WORDS: usize = 6;
const BLOCK_WORDS: usize = 3 + BOUND_WORDS;

type Result<T> = std::result::Result<T, DecodeError>;

const fn damaged(what: &'static str) -> DecodeError {
    DecodeError::Damaged { what }
}

fn check(right: bool, what: &'static str) -> Result<()> {
    if right { Ok(()) } else { Err(damaged(what)) }
}

impl Segment {
    /// Return the segment as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Postings { dfs, block_ends, bounds, blocks, packed, short } = &self.postings;
        let (text, text_ends) = self.dictionary.parts();
        let counts = [
            self.rows.len(),
            dfs.len(),
            bounds.len(),
            blocks.len(),
            packed.len(),
            self.places.bytes.len(),
            self.forward.bytes.len(),
            short.bytes.len(),
            text.len(),
        ];
        let mut out = Writer(Vec::with_capacity(length(&counts.map(|count| count as u32)) as usize));
        out.words([FORMAT]);
        out.words(counts.map(|count| count as u32));
        for array in [&self.rows, &self.places.ends, &self.forward.ends, text_ends, dfs, block_ends] {
            out.words(array.iter().copied());
        }
        for bound in bounds {
            out.bound(bound);
        }
        for block in blocks {
            out.words([block.last, block.start, u32::from(block.gap_bits) | u32::from(block.tf_bits) << 8]);
            out.bound(&block.bound);
        }
        out.words(packed.iter().copied());
        out.words(short.ends.iter().copied());
        for bytes in [&self.places.bytes, &self.forward.bytes, &short.bytes, text.as_bytes()] {
            out.0.extend_from_slice(bytes);
        }
        out.0
    }

    /// Read a segment that `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        check(bytes.len() >= HEADER * 4, "header")?;
        let header = reader.words(HEADER);
        if header[0] != FORMAT {
            return Err(DecodeError::Format { expected: FORMAT, got: header[0] });
        }
        let counts: [u32; HEADER - 1] = std::array::from_fn(|i| header[i + 1]);
        check(counts[2] <= counts[1] && length(&counts) == bytes.len() as u64, "length")?;
        let [documents, terms, long, blocks, packed, places, forward, short, text] = counts.map(|count| count as usize);
        let rows = reader.words(documents);
        let ends = [reader.words(documents), reader.words(documents)];
        let (text_ends, dfs) = (reader.words(terms), reader.words(terms));
        let block_ends = reader.words(long);
        let bounds = (0..long).map(|_| reader.bound()).collect();
        let blocks = (0..blocks).map(|_| reader.block()).collect::<Result<_>>()?;
        let packed = reader.words(packed);
        let short_ends = reader.words(terms - long);
        let [places_ends, forward_ends] = ends;
        let places = reader.runs(places_ends, places, "places")?;
        let forward = reader.runs(forward_ends, forward, "forward")?;
        let short = reader.runs(short_ends, short, "short lists")?;
        let dictionary = dictionary(reader.bytes(text), &text_ends)?;
        check(rows.is_sorted_by(|a, b| a < b), "rows")?;
        let postings = Postings { dfs, block_ends, bounds, blocks, packed, short };
        check_postings(&postings, documents)?;
        let mut segment = Self { rows, lengths: Vec::new(), tokens: 0, dictionary, postings, forward, places };
        segment.lengths = (0..documents).map(|document| segment.checked_length(document)).collect::<Result<_>>()?;
        segment.tokens = segment.lengths.iter().map(|length| u64::from(*length)).sum();
        Ok(segment)
    }

    /// Return the number of terms in a document, after checking that its places and its entries are
    /// valid and agree.
    fn checked_length(&self, document: usize) -> Result<u32> {
        let mut bytes = self.places.get(document);
        let mut length = 0;
        while !bytes.is_empty() {
            let place = varint::take(&mut bytes).ok_or(damaged("places"))?;
            check(place <= self.terms() as u64, "places")?;
            length += u64::from(place > 0);
        }
        let mut entries = self.forward(document as u32);
        let counted: u64 = entries.by_ref().map(|(_, tf)| u64::from(tf)).sum();
        let mut terms = self.forward(document as u32).map(|(term, _)| term);
        let known = terms.all(|term| term != LEFT_OUT && (term as usize) < self.terms());
        check(entries.bytes.is_empty() && known && counted == length, "forward")?;
        u32::try_from(length).map_err(|_| damaged("places"))
    }
}

/// Return the bytes of a segment with these counts, in the order of the header.
fn length(counts: &[u32; HEADER - 1]) -> u64 {
    let [documents, terms, long, blocks, packed, bytes @ ..] = counts.map(u64::from);
    let words =
        HEADER as u64 + 3 * documents + 3 * terms + BOUND_WORDS as u64 * long + BLOCK_WORDS as u64 * blocks + packed;
    4 * words + bytes.iter().sum::<u64>()
}

fn dictionary(text: &[u8], ends: &[u32]) -> Result<Dictionary> {
    let what = "dictionary";
    let text = std::str::from_utf8(text).map_err(|_| damaged(what))?;
    check(ends.last().map_or(0, |end| *end as usize) == text.len(), what)?;
    let mut dictionary = Dictionary::with_capacity(ends.len(), text.len());
    let mut start = 0;
    for end in ends {
        let term = text.get(start..*end as usize).ok_or(damaged(what))?;
        let hash = hash(term);
        // Equal terms would all collide.
        check(dictionary.id(hash, term).is_none(), what)?;
        dictionary.add_new(hash, term);
        start = *end as usize;
    }
    Ok(dictionary)
}

/// Check that every list can be read and has the stated number of documents, in increasing order.
fn check_postings(postings: &Postings, documents: usize) -> Result<()> {
    let Postings { dfs, block_ends, blocks, packed, .. } = postings;
    let long = block_ends.len();
    check(dfs.is_sorted_by(|a, b| a >= b), "document frequencies")?;
    check(dfs[..long].iter().all(|df| *df as usize > BLOCK), "document frequencies")?;
    check(dfs[long..].iter().all(|df| (1..=BLOCK).contains(&(*df as usize))), "document frequencies")?;
    check(block_ends.last().map_or(0, |end| *end as usize) == blocks.len(), "blocks")?;
    let mut first = 0;
    for (end, df) in block_ends.iter().zip(dfs) {
        check(*end as usize == first + (*df as usize).div_ceil(BLOCK), "blocks")?;
        first = *end as usize;
    }
    for block in blocks {
        let words = pack::words(block.gap_bits.into()) + pack::words(block.tf_bits.into());
        check(block.gap_bits <= 32 && block.tf_bits <= 32, "blocks")?;
        check(packed.len().checked_sub(words).is_some_and(|last| block.start as usize <= last), "blocks")?;
    }
    let mut decoded = Decoded::new();
    for (term, df) in dfs.iter().enumerate() {
        let right = match postings.list(term as u32) {
            List::Short(mut entries) => is_list(&mut entries, *df, documents),
            List::Long(list) => {
                let mut last = None;
                (0..list.blocks.len()).all(|block| {
                    list.read(block, &mut decoded);
                    let read = decoded.documents();
                    let rises = last.is_none_or(|last| read.first().is_some_and(|first| last < *first));
                    last = read.last().copied();
                    rises
                        && read.is_sorted_by(|a, b| a < b)
                        && last == Some(list.blocks[block].last)
                        && last.is_some_and(|last| (last as usize) < documents)
                })
            }
        };
        check(right, "postings")?;
    }
    Ok(())
}

fn is_list(entries: &mut Entries<'_>, df: u32, documents: usize) -> bool {
    let (mut count, mut within) = (0, true);
    for (document, _) in entries.by_ref() {
        count += 1;
        within &= (document as usize) < documents;
    }
    within && count == df && entries.bytes.is_empty()
}

struct Writer(Vec<u8>);

impl Writer {
    fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        self.0.extend(words.into_iter().flat_map(u32::to_le_bytes));
    }

    fn bound(&mut self, bound: &Bound) {
        self.words(bound.0.iter().flat_map(|(tf, length)| [*tf, *length]));
    }
}

/// Reads arrays from the front of bytes that are known to be long enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn words(&mut self, count: usize) -> Vec<u32> {
        let (words, _) = self.bytes(count * 4).as_chunks();
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn bound(&mut self) -> Bound {
        let words = self.words(BOUND_WORDS);
        Bound(std::array::from_fn(|pair| (words[2 * pair], words[2 * pair + 1])))
    }

    fn block(&mut self) -> Result<Block> {
        let words = self.words(3);
        let [gap_bits, tf_bits, 0, 0] = words[2].to_le_bytes() else { return Err(damaged("blocks")) };
        Ok(Block { last: words[0], start: words[1], gap_bits, tf_bits, bound: self.bound() })
    }

    fn runs(&mut self, ends: Vec<u32>, count: usize, what: &'static str) -> Result<Runs> {
        check(ends.is_sorted() && ends.last().map_or(0, |end| *end as usize) == count, what)?;
        Ok(Runs { ends, bytes: self.bytes(count).to_vec() })
    }
}
