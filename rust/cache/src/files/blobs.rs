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
use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use blake3::Hash;
use hashbrown::HashSet;
use tiercel_container::{create_new, open_to_read, open_to_write, sync_directory};

use crate::log::Lost;
use crate::packing::{Codec, Packed, shared, unpack};

const MAGIC: [u8; 4] = *b"TCLB";
const VERSION: u32 = 1;
pub(super) const HEADER: usize = 24;

/// Prefix of the name of a content that is being written.
const TEMPORARY: &str = "tmp-";

/// More contents than this are synced with the whole file system, where that is possible.
#[cfg(target_os = "linux")]
const FEW: usize = 16;

/// The contents of a directory.
pub(super) struct Blobs {
    directory: PathBuf,
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
    pub(super) fn open(directory: PathBuf) -> io::Result<(Self, HashSet<Hash>)> {
        create_directory(&directory)?;
        let blobs = Self { directory, temporary: AtomicU64::new(0) };
        let mut found = HashSet::new();
        for part in fs::read_dir(&blobs.directory)? {
            let part = part?;
            if part.file_type()?.is_dir() && part.file_name().to_str().is_some_and(is_part) {
                blobs.look_into(&part.path(), &mut found)?;
            }
        }
        Ok((blobs, found))
    }

    /// Collect the contents of a part.
    fn look_into(&self, part: &Path, found: &mut HashSet<Hash>) -> io::Result<()> {
        for entry in fs::read_dir(part)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str().filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())) else {
                continue;
            };
            if is_temporary(name) {
                // A file without the first bytes of a content is left alone, and skipped when the
                // next one is made.
                if begins_as_content(&path)? {
                    fs::remove_file(path)?;
                }
            } else if let Some(hash) = Hash::from_hex(name).ok().filter(|hash| self.path(*hash) == path) {
                found.insert(hash);
            }
        }
        Ok(())
    }

    fn path(&self, hash: Hash) -> PathBuf {
        path_in(&self.directory, hash)
    }

    /// Write a content, not yet under its name.
    pub(super) fn write(&self, hash: Hash, packed: &Packed) -> io::Result<Written> {
        let path = self.path(hash);
        let (temporary, mut file) = self.temporary_in(self.part(&path))?;
        let written = Written { temporary, path, bytes: (HEADER + packed.body.len()) as u64 };
        file.write_all(&header(packed.codec, packed.length, &packed.body))?;
        file.write_all(&packed.body)?;
        Ok(written)
    }

    /// The directory of the file of a content.
    fn part<'a>(&'a self, path: &'a Path) -> &'a Path {
        path.parent().unwrap_or(&self.directory)
    }

    /// Make a file with an unused name, in a directory that is made if it is missing.
    fn temporary_in(&self, part: &Path) -> io::Result<(PathBuf, File)> {
        create_directory(part)?;
        loop {
            let path = part.join(format!("{TEMPORARY}{}", self.temporary.fetch_add(1, Relaxed)));
            match create_new(&path, None) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Its last content was removed, and the directory with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => create_directory(part)?,
                made => return Ok((path, made?)),
            }
        }
    }

    /// Open the file of a content, to read it later.
    pub(super) fn file(&self, hash: Hash) -> io::Result<File> {
        open_to_read(&self.path(hash))
    }

    /// Read a content, if it is whole and neither it nor its file has more bytes than `most`.
    pub(super) fn read(&self, hash: Hash, most: u64) -> Result<Arc<[u8]>, Lost> {
        match self.file(hash) {
            Ok(file) => read(&file, hash, most),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Lost::Damaged),
            Err(_) => Err(Lost::Refused),
        }
    }

    /// Whether a content has a file.
    pub(super) fn is_there(&self, hash: Hash) -> bool {
        fs::symlink_metadata(self.path(hash)).is_ok_and(|there| there.is_file())
    }

    /// Remove a content, and its directory if that is empty then. If this fails, the next opening
    /// does it, because no key has the content any more.
    pub(super) fn remove(&self, hash: Hash) {
        let path = self.path(hash);
        let _ = fs::remove_file(&path);
        // The system refuses this unless the directory is empty.
        let _ = fs::remove_dir(self.part(&path));
    }

    /// Remove a file with the name of a content that no key has, if it begins like one.
    pub(super) fn remove_unknown(&self, hash: Hash) {
        if begins_as_content(&self.path(hash)).unwrap_or(false) {
            self.remove(hash);
        }
    }

    /// Sync contents. Those that no longer exist are skipped.
    pub(super) fn sync(&self, hashes: &HashSet<Hash>) -> io::Result<()> {
        // One wait instead of many.
        #[cfg(target_os = "linux")]
        if hashes.len() > FEW {
            return Ok(rustix::fs::syncfs(File::open(&self.directory)?)?);
        }
        let mut parts = HashSet::new();
        for hash in hashes {
            let path = self.path(*hash);
            match open_to_write(&path) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            parts.extend(path.parent().map(Path::to_path_buf));
        }
        if !parts.is_empty() {
            parts.insert(self.directory.clone());
        }
        parts.iter().try_for_each(|part| match sync_directory(part) {
            // Its contents were removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        })
    }
}

/// A content under a temporary name, removed unless it is placed.
pub(super) struct Written {
    temporary: PathBuf,
    path: PathBuf,
    bytes: u64,
}

impl Written {
    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Give the content its name.
    pub(super) fn place(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nothing is left to remove if it was placed.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Make a directory, unless it exists. A link to one is not followed.
fn create_directory(path: &Path) -> io::Result<()> {
    loop {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path) {
                Ok(there) if there.is_dir() => return Ok(()),
                Ok(_) => return Err(error),
                // Removed at this moment, with its last content.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
            made => return made,
        }
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY).is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Whether a file begins like that of a content.
fn begins_as_content(path: &Path) -> io::Result<bool> {
    let mut found = Vec::new();
    open_to_read(path)?.take(MAGIC.len() as u64).read_to_end(&mut found)?;
    Ok(found == MAGIC)
}

/// Whether a directory has contents.
pub(super) fn is_there(directory: &Path) -> io::Result<bool> {
    for part in entries(directory)? {
        for entry in entries(&part.path())? {
            let name = entry.file_name();
            let is_named = name.to_str().is_some_and(|name| is_temporary(name) || Hash::from_hex(name).is_ok());
            if is_named && entry.file_type()?.is_file() && begins_as_content(&entry.path())? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a directory has nothing but empty directories for contents.
pub(super) fn is_empty(directory: &Path) -> io::Result<bool> {
    for part in entries(directory)? {
        let is_ours = part.file_type()?.is_dir() && part.file_name().to_str().is_some_and(is_part);
        if !is_ours || !entries(&part.path())?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries of a directory; none if it is missing or not a directory.
fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::symlink_metadata(directory) {
        Ok(there) if there.is_dir() => fs::read_dir(directory)?.collect(),
        Ok(_) => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The path of a content in a directory of them.
pub(super) fn path_in(directory: &Path, hash: Hash) -> PathBuf {
    let name = hash.to_hex();
    directory.join(&name[..2]).join(name.as_str())
}

/// Read the content of a file, if it is whole and neither has more bytes than `most`.
pub(super) fn read(file: &File, hash: Hash, most: u64) -> Result<Arc<[u8]>, Lost> {
    let length = file.metadata()?.len();
    if length > most {
        return Err(Lost::Damaged);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).map_err(|_| Lost::Refused)?).map_err(|_| Lost::Refused)?;
    file.take(length).read_to_end(&mut bytes)?;
    let content = unpacked(&bytes, most).filter(|content| blake3::hash(content) == hash).ok_or(Lost::Damaged)?;
    shared(&content).ok_or(Lost::Refused)
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
