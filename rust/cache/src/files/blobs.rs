//! Contents in files that are named by their hash.
//!
//! ```text
//! blobs/ab/ab12...    a content, by its BLAKE3 hash in hexadecimal
//! blobs/ab/tmp-7      one that is being written
//!
//!  0      4         8        16      17   20       24
//!  +------+---------+--------+-------+----+--------+------
//!  | TCLB | version | length | codec | 0  | CRC32C | body
//!  +------+---------+--------+-------+----+--------+------
//!   little endian; the length is that of the content, the body is the content as the codec writes it, the checksum is that of
//!   the 20 bytes before it and of the body
//! ```

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use blake3::Hash;
use hashbrown::HashSet;
use tiercel_container::{FileKind, Vfs, VfsFile, zeros};

use crate::beginning::Beginning;
use crate::directory::{Directory, kind, make};
use crate::log::Lost;
use crate::packing::{Codec, Packed, copied, unpack};

const MAGIC: [u8; 4] = *b"TCLB";
const VERSION: u32 = 1;
pub(super) const HEADER: usize = 24;

/// Prefix of the name of a content that is being written.
const TEMPORARY: &str = "tmp-";

/// More contents than this are synced with the whole file system, where that is possible.
const FEW: usize = 16;

/// The contents of a directory.
pub(super) struct Blobs {
    directory: Directory,
    temporary: AtomicU64,
}

/// Whether a directory may hold contents: its name is the first two digits of their hashes.
fn is_part(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

impl Blobs {
    /// Open the contents of a directory, which is made if it is missing. Half-written files of a
    /// crash are removed, and everything else is left alone. Only names are read: no content is
    /// opened, or even asked for its size.
    pub(super) fn open(directory: Directory) -> io::Result<(Self, HashSet<Hash>)> {
        directory.make()?;
        let blobs = Self { directory, temporary: AtomicU64::new(0) };
        let mut found = HashSet::new();
        for part in blobs.directory.vfs.entries(&blobs.directory.path)? {
            if part.kind == FileKind::Directory && is_part(&part.name) {
                blobs.look_into(&part.name, &mut found)?;
            }
        }
        Ok((blobs, found))
    }

    /// Collect the contents of a part.
    fn look_into(&self, part: &str, found: &mut HashSet<Hash>) -> io::Result<()> {
        let (vfs, part) = (&*self.directory.vfs, self.directory.at(part));
        for entry in vfs.entries(&part)?.into_iter().filter(|entry| entry.kind == FileKind::Regular) {
            let path = part.join(&entry.name);
            if is_temporary(&entry.name) {
                // A foreign file is left alone, and skipped when the next content is made.
                if beginning(vfs, &path)? != Beginning::Foreign {
                    vfs.remove(&path)?;
                }
            } else if let Some(hash) = Hash::from_hex(&entry.name).ok().filter(|hash| self.path(*hash) == path) {
                found.insert(hash);
            }
        }
        Ok(())
    }

    fn path(&self, hash: Hash) -> PathBuf {
        path_in(&self.directory.path, hash)
    }

    /// Write a content, not yet under its name.
    pub(super) fn write(&self, hash: Hash, packed: &Packed) -> io::Result<Written> {
        let path = self.path(hash);
        let (temporary, file) = self.temporary_in(self.part(&path))?;
        let bytes = (HEADER + packed.body.len()) as u64;
        let written = Written { vfs: Arc::clone(&self.directory.vfs), temporary: Some(temporary), path, bytes };
        file.write_at(0, &header(packed.codec, packed.length, &packed.body))?;
        file.write_at(HEADER as u64, &packed.body)?;
        Ok(written)
    }

    /// The directory of the file of a content.
    fn part<'a>(&'a self, path: &'a Path) -> &'a Path {
        path.parent().unwrap_or(&self.directory.path)
    }

    /// Make a file with an unused name, in a directory that is made if it is missing.
    fn temporary_in(&self, part: &Path) -> io::Result<(PathBuf, Box<dyn VfsFile>)> {
        let vfs = &*self.directory.vfs;
        make(vfs, part)?;
        loop {
            let path = part.join(format!("{TEMPORARY}{}", self.temporary.fetch_add(1, Relaxed)));
            match vfs.create(&path, None) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Its last content was removed, and the directory with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => make(vfs, part)?,
                made => return Ok((path, made?)),
            }
        }
    }

    /// Open the file of a content, to read it later.
    pub(super) fn file(&self, hash: Hash) -> io::Result<Box<dyn VfsFile>> {
        self.directory.vfs.open_to_read(&self.path(hash))
    }

    /// Read a content, if it is whole and neither it nor its file has more bytes than `most`.
    pub(super) fn read(&self, hash: Hash, most: u64) -> Result<Arc<[u8]>, Lost> {
        match self.file(hash) {
            Ok(file) => read(&*file, hash, most),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Lost::Damaged),
            Err(_) => Err(Lost::Refused),
        }
    }

    /// Whether a content has a file.
    pub(super) fn is_there(&self, hash: Hash) -> bool {
        kind(&*self.directory.vfs, &self.path(hash)).is_ok_and(|there| there == Some(FileKind::Regular))
    }

    /// Remove a content, and its directory if that is empty then. If this fails, the next opening
    /// does it, because no key has the content any more.
    pub(super) fn remove(&self, hash: Hash) {
        let (vfs, path) = (&self.directory.vfs, self.path(hash));
        let _ = vfs.remove(&path);
        // The system refuses this unless the directory is empty.
        let _ = vfs.remove_dir(self.part(&path));
    }

    /// Remove a file with the name of a content that no key has, unless it is foreign.
    pub(super) fn remove_unknown(&self, hash: Hash) {
        let there = beginning(&*self.directory.vfs, &self.path(hash));
        if there.is_ok_and(|there| there != Beginning::Foreign) {
            self.remove(hash);
        }
    }

    /// Sync contents. Those that no longer exist are skipped.
    pub(super) fn sync(&self, hashes: &HashSet<Hash>) -> io::Result<()> {
        let vfs = &*self.directory.vfs;
        // One wait instead of many.
        if hashes.len() > FEW && vfs.sync_file_system(&self.directory.path)? {
            return Ok(());
        }
        let mut parts = HashSet::new();
        for hash in hashes {
            let path = self.path(*hash);
            match vfs.open(&path) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            parts.extend(path.parent().map(Path::to_path_buf));
        }
        if !parts.is_empty() {
            parts.insert(self.directory.path.to_path_buf());
        }
        parts.iter().try_for_each(|part| match vfs.sync_dir(part) {
            // Its contents were removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        })
    }
}

/// A content under a temporary name, removed unless it is placed.
pub(super) struct Written {
    vfs: Arc<dyn Vfs>,
    /// `None` once the file has its own name.
    temporary: Option<PathBuf>,
    path: PathBuf,
    bytes: u64,
}

impl Written {
    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Give the content its name.
    pub(super) fn place(mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            self.vfs.rename(temporary, &self.path)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // If this fails, the next opening removes it.
            let _ = self.vfs.remove(temporary);
        }
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY).is_some_and(|number| number.parse::<u64>().is_ok())
}

/// How a file begins that has the name of a content.
fn beginning(vfs: &dyn Vfs, path: &Path) -> io::Result<Beginning> {
    Beginning::of::<HEADER>(vfs, path, MAGIC)
}

/// Whether a directory has contents.
pub(super) fn is_there(directory: &Directory) -> io::Result<bool> {
    for part in directory.entries()? {
        let part = directory.below(&part.name);
        for entry in part.entries()? {
            let is_named = is_temporary(&entry.name) || Hash::from_hex(&entry.name).is_ok();
            let begins = || beginning(&*part.vfs, &part.at(&entry.name));
            if is_named && entry.kind == FileKind::Regular && begins()? == Beginning::Ours {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a directory has nothing but empty directories for contents.
pub(super) fn is_empty(directory: &Directory) -> io::Result<bool> {
    for part in directory.entries()? {
        let is_ours = part.kind == FileKind::Directory && is_part(&part.name);
        if !is_ours || !directory.below(&part.name).entries()?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The path of a content in a directory of them.
pub(super) fn path_in(directory: &Path, hash: Hash) -> PathBuf {
    let name = hash.to_hex();
    directory.join(&name[..2]).join(name.as_str())
}

/// Read the content of a file, if it is whole and neither has more bytes than `most`.
pub(super) fn read(file: &dyn VfsFile, hash: Hash, most: u64) -> Result<Arc<[u8]>, Lost> {
    let length = file.len()?;
    if length > most {
        return Err(Lost::Damaged);
    }
    let mut bytes = zeros(length).map_err(|_| Lost::Refused)?;
    file.read_at(0, &mut bytes)?;
    let content = unpacked(&bytes, most).filter(|content| blake3::hash(content) == hash).ok_or(Lost::Damaged)?;
    copied(&content).ok_or(Lost::Refused)
}

fn unpacked(bytes: &[u8], most: u64) -> Option<Cow<'_, [u8]>> {
    let (head, body) = bytes.split_at_checked(HEADER)?;
    let length = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let codec = Codec::of(head[16])?;
    if *head == header(codec, length, body) { unpack(codec, body, length, most) } else { None }
}

fn header(codec: Codec, length: u64, body: &[u8]) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&VERSION.to_le_bytes());
    out[8..16].copy_from_slice(&length.to_le_bytes());
    out[16] = codec as u8;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out[..20]), body);
    out[20..].copy_from_slice(&sum.to_le_bytes());
    out
}
