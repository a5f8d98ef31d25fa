//! Writing a file from front to back.

use std::io::{self, Write};

use super::VfsFile;

/// Bytes that are worth a system call.
const PIECE: usize = 64 * 1024;

/// Writes a new file from its start, in pieces that are worth a system call. Dropping it does not
/// write the rest: flush it.
#[derive(Debug)]
pub struct VfsWriter<'a> {
    file: &'a dyn VfsFile,
    /// Where the buffer goes.
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> VfsWriter<'a> {
    /// Begin at the start of a file.
    pub fn new(file: &'a dyn VfsFile) -> Self {
        Self { file, offset: 0, buffer: Vec::with_capacity(PIECE) }
    }
}

impl Write for VfsWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        if bytes.len() < PIECE {
            self.buffer.extend(bytes);
        } else {
            self.file.write_at(self.offset, bytes)?;
            self.offset += bytes.len() as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(self.offset, &self.buffer)?;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
