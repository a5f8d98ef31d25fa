//! Gathering consecutive writes.

use std::io;

use tiercel_container::VfsFile;

/// Maximum bytes per write.
const RUN: usize = 1 << 20;

/// Gathers consecutive bytes of the file, to write them in one call.
pub(super) struct Run {
    start: u64,
    bytes: Vec<u8>,
}

impl Run {
    /// Begin empty, with room for `bytes`, or for one write if that is less.
    pub(super) fn new(bytes: usize) -> Self {
        Self { start: 0, bytes: Vec::with_capacity(RUN.min(bytes)) }
    }

    /// Add bytes at a place. They reach the file with [`Self::write`] at the latest.
    pub(super) fn append(&mut self, file: &dyn VfsFile, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at != self.start + self.bytes.len() as u64 || self.bytes.len() + bytes.len() > RUN {
            self.write(file)?;
            self.start = at;
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    pub(super) fn write(&mut self, file: &dyn VfsFile) -> io::Result<()> {
        if !self.bytes.is_empty() {
            file.write_at(self.start, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}
