//! Vectors that are in no segment yet, in chunks of about 64 KiB.
//!
//! ```text
//! u32      number of rows: n
//! u32      bytes of a vector: w
//! u32[n]   rows, ascending
//! u8[n w]  their vectors
//! ```
//!
//! A chunk is as large as fits the largest page under 64 KiB, since pages double in size: a batch as one value would
//! leave up to half of its page empty.

/// The most bytes of a chunk of more than one vector: a page less what redb keeps in it.
const CHUNK: usize = 64 * 1024 - 64;
const FIXED: usize = 8;

/// Vectors of rows, as they were put in.
#[derive(Clone, Copy, Debug)]
pub struct FreshChunk<'a> {
    rows: &'a [u8],
    /// Bytes of one vector.
    pub width: usize,
    /// The vectors, one after another.
    pub vectors: &'a [u8],
}

impl<'a> FreshChunk<'a> {
    /// Whose vectors they are, ascending. Some may be dead.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.rows.chunks_exact(4).map(u32_of)
    }

    /// The chunk that has these bytes; `None` if none has.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let (count, width) = (u32_of(&fixed[..4]) as usize, u32_of(&fixed[4..]) as usize);
        let (rows, vectors) = rest.split_at_checked(count.checked_mul(4)?)?;
        let sound = count > 0 && count.checked_mul(width)? == vectors.len();
        sound.then_some(Self { rows, width, vectors })
    }

    /// The last of its rows.
    pub(crate) fn last_row(&self) -> u32 {
        self.rows.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last))
    }
}

/// Chunks for the vectors of these rows: the first row of each, and its bytes.
pub(crate) fn chunks<'a>(
    rows: &'a [u32],
    width: usize,
    vectors: &'a [u8],
) -> impl Iterator<Item = (u32, Vec<u8>)> + 'a {
    let count = (CHUNK.saturating_sub(FIXED) / (4 + width)).max(1);
    rows.chunks(count).zip(vectors.chunks(count * width.max(1))).map(move |(rows, vectors)| {
        let mut bytes = Vec::with_capacity(FIXED + 4 * rows.len() + vectors.len());
        bytes.extend((rows.len() as u32).to_le_bytes());
        bytes.extend((width as u32).to_le_bytes());
        bytes.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
        bytes.extend(vectors);
        (rows[0], bytes)
    })
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
