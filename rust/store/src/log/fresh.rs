//! Vectors that are in no segment yet: they stay in the log until they are.

use tiercel_container::log::{LogFiles, read_until};

use crate::errors::ReadError;
use crate::log::read::for_each_batch;

/// Vectors of rows, as they were committed.
#[derive(Clone, Copy, Debug)]
pub struct FreshChunk<'a> {
    pub(crate) rows: &'a [u32],
    /// Bytes of one vector.
    pub width: usize,
    /// The vectors, one after another.
    pub vectors: &'a [u8],
}

impl<'a> FreshChunk<'a> {
    /// The rows of the vectors, ascending. Some may be dead.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.rows.iter().copied()
    }
}

/// Visit the vectors of rows from `from` on in batches up to `until`, one chunk per batch.
pub(crate) fn visit<E: From<ReadError>>(
    files: &LogFiles,
    from: u32,
    until: u64,
    mut each: impl FnMut(FreshChunk<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for (index, file) in files.iter().enumerate() {
        let next = files.get(index + 1).map(|next| &**next);
        read_until(file, next, until, |group| {
            for_each_batch(file, group, |_, first, batch| {
                let rows = batch.rows(first);
                let skipped = rows.partition_point(|row| *row < from);
                let (rows, vectors) = (&rows[skipped..], &batch.vectors[skipped * batch.width..]);
                if rows.is_empty() { Ok(()) } else { each(FreshChunk { rows, width: batch.width, vectors }) }
            })
        })?;
    }
    Ok(())
}
