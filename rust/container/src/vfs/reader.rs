//! Reading a file from front to back.

use std::io::{self, Read};

use super::VfsFile;

/// Reads a file from its start to the end that it has at first.
#[derive(Debug)]
pub struct VfsReader<'a> {
    file: &'a dyn VfsFile,
    /// Where the next byte is.
    offset: u64,
    end: u64,
}

impl<'a> VfsReader<'a> {
    /// Begin at the start of a file.
    pub fn new(file: &'a dyn VfsFile) -> io::Result<Self> {
        Ok(Self { file, offset: 0, end: file.len()? })
    }
}

impl Read for VfsReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let count = out.len().min(left);
        self.file.read_at(self.offset, &mut out[..count])?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{OsVfs, Vfs};

    #[test]
    fn every_byte_is_read_once_whatever_the_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = OsVfs.open_to_read(&path).unwrap();
        for size in [1, 7, 999, 1000, 5000] {
            let (mut reader, mut found, mut piece) = (VfsReader::new(&*file).unwrap(), Vec::<u8>::new(), vec![0; size]);
            while let count @ 1.. = reader.read(&mut piece).unwrap() {
                found.extend(&piece[..count]);
            }
            assert!(found == content, "pieces of {size} bytes");
        }
    }
}
