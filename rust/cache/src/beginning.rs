//! Telling files of a tier from those of others.

use std::io;
use std::path::Path;

use tiercel_container::{NotRegular, Vfs};

/// How a file begins that has a name of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// With the magic of our files.
    Ours,
    /// With zeros or a part of the magic, or it is empty: this is what a power cut leaves of a file
    /// that was not synced.
    Unwritten,
    /// With anything else, or it is missing or not a file.
    Foreign,
}

impl Beginning {
    /// Read the beginning of a file whose header has `N` bytes and starts with `magic`.
    pub(crate) fn of<const N: usize>(vfs: &dyn Vfs, path: &Path, magic: [u8; 4]) -> io::Result<Self> {
        let file = match vfs.open_to_read(path) {
            Err(error) if NotRegular::is(&error) || error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::Foreign);
            }
            opened => opened?,
        };
        let mut header = [0; N];
        let header = &mut header[..file.len()?.min(N as u64) as usize];
        file.read_at(0, header)?;
        Ok(if header.starts_with(&magic) {
            Self::Ours
        } else if magic.starts_with(header) || header.iter().all(|byte| *byte == 0) {
            Self::Unwritten
        } else {
            Self::Foreign
        })
    }
}

#[cfg(test)]
mod tests {
    use tiercel_container::sim::SimVfs;

    use super::*;

    #[test]
    fn files_without_their_first_sector_are_told_from_those_of_others() {
        let vfs = SimVfs::new();
        let beginning = |content: &[u8]| {
            let path = Path::new("/file");
            vfs.create(path, None).unwrap().write_at(0, content).unwrap();
            let beginning = Beginning::of::<8>(&vfs, path, *b"TCLX").unwrap();
            vfs.remove(path).unwrap();
            beginning
        };
        for ours in [&b"TCLX"[..], b"TCLX and more"] {
            assert_eq!(beginning(ours), Beginning::Ours);
        }
        for unwritten in [&b""[..], b"TCL", b"\0\0", b"\0\0\0\0\0\0\0\0content"] {
            assert_eq!(beginning(unwritten), Beginning::Unwritten);
        }
        for foreign in [&b"TCLY"[..], b"mine", b"\0mine", b"\0\0\0\0\0\0\0content"] {
            assert_eq!(beginning(foreign), Beginning::Foreign);
        }
        assert_eq!(Beginning::of::<8>(&vfs, Path::new("/missing"), *b"TCLX").unwrap(), Beginning::Foreign);
    }
}
