//! The first sector of a file, which holds its header: a disk writes a sector whole or not at all.

use std::io;

use crate::vfs::VfsFile;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// Read and decode the first sector of a file. Another process may be writing it at this moment:
/// bytes that do not decode are read again until two reads agree.
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

/// Replace the first sector of a file. A write that is refused halfway, for example by a limit on
/// the size of files, would leave half of each header: the old one is then put back.
pub fn write_sector(file: &dyn VfsFile, bytes: &[u8; SECTOR]) -> io::Result<()> {
    let mut old = [0; SECTOR];
    file.read_at(0, &mut old)?;
    file.write_at(0, bytes).inspect_err(|_| {
        // The first failure is the one to report.
        let _ = file.write_at(0, &old);
    })
}
