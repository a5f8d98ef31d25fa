//! Vectors that are in no segment yet.

/// Vectors of rows, as they were put in.
#[derive(Clone, Copy, Debug)]
pub struct FreshChunk<'a> {
    pub(crate) rows: &'a [u32],
    /// Bytes of one vector.
    pub width: usize,
    /// The vectors, one after another.
    pub vectors: &'a [u8],
}

impl<'a> FreshChunk<'a> {
    /// Whose vectors they are, ascending. Some may be dead.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.rows.iter().copied()
    }
}
