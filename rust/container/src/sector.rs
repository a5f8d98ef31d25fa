//! The first sector of a file, which has its header: a disk writes a sector whole or not at all.

use std::io;

use crate::vfs::VfsFile;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// What `decode` makes of the first sector of a file. Another process may be writing it at this
/// moment: bytes that make no sense are read again, until they are the same twice.
pub fn read_sector<T, E>(
    file: &dyn VfsFile,
    decode: impl Fn(&[u8; SECTOR]) -> Result<T, E>,
) -> io::Result<Result<T, E>> {
    let (mut bytes, mut before) = ([0; SECTOR], [0; SECTOR]);
    file.read_at(0, &mut bytes)?;
    loop {
        match decode(&bytes) {
            Err(_) if bytes != before => before = bytes,
            result => return Ok(result),
        }
        file.read_at(0, &mut bytes)?;
    }
}

/// Replace the first sector of a file. A write that is refused halfway, as by a limit on the size
/// of files, would leave half of each header: then the old one is put back.
pub fn write_sector(file: &dyn VfsFile, bytes: &[u8; SECTOR]) -> io::Result<()> {
    let mut old = [0; SECTOR];
    file.read_at(0, &mut old)?;
    file.write_at(0, bytes).inspect_err(|_| {
        // What can be said of a failure is said of the first.
        let _ = file.write_at(0, &old);
    })
}
