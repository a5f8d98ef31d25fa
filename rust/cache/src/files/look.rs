//! What lies in the directory of files, looked at without a change to it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use blake3::Hash;
use hashbrown::HashMap;
use tiercel_container::open_to_read;

use super::blobs::{HEADER, path_in};
use super::ledger::{RECORDED, read_record, weight};
use super::{BLOBS, LEDGER};
use crate::Key;
use crate::log;
use crate::packing::Codec;

/// What a look finds.
pub(crate) struct Looked {
    contents: Contents,
    /// Keys whose content is there, and the bytes of its file.
    pub(crate) keys: Vec<(Key, Hash, u64)>,
    pub(crate) damaged: u64,
}

/// What opening files would find, without a change to anything.
pub(crate) fn look(directory: &Path) -> io::Result<Looked> {
    let content = log::look(&directory.join(LEDGER))?;
    let (contents, mut damaged, mut keys) = (Contents(directory.join(BLOBS)), content.damaged, Vec::new());
    for (key, found) in content.places {
        let record = found.place.value(key.borrow(), RECORDED).ok().and_then(|record| read_record(&record));
        match record {
            Some((hash, bytes)) if contents.is_there(hash, bytes) => keys.push((key, hash, bytes)),
            // A crash may leave a key without its content.
            Some(_) => {}
            None => damaged += 1,
        }
    }
    Ok(Looked { contents, keys, damaged })
}

impl Looked {
    pub(crate) fn is_whole(&self, at: usize) -> bool {
        let (_, hash, bytes) = &self.keys[at];
        self.contents.is_whole(*hash, *bytes)
    }

    /// Bytes of contents and of what their keys take.
    pub(crate) fn bytes(&self) -> u64 {
        let contents: HashMap<Hash, u64> = self.keys.iter().map(|(_, hash, bytes)| (*hash, *bytes)).collect();
        let keys = self.keys.iter().map(|(key, ..)| weight(key.borrow()));
        contents.into_values().chain(keys).fold(0, u64::saturating_add)
    }
}

/// Contents of a directory that are looked at.
struct Contents(PathBuf);

impl Contents {
    /// Whether a content is there, with a file of so many bytes.
    fn is_there(&self, hash: Hash, bytes: u64) -> bool {
        let there = fs::symlink_metadata(path_in(&self.0, hash));
        there.is_ok_and(|there| there.is_file() && there.len() == bytes)
    }

    /// Whether it is what was written.
    fn is_whole(&self, hash: Hash, bytes: u64) -> bool {
        is_whole(&path_in(&self.0, hash), hash, bytes).unwrap_or(false)
    }
}

/// Whether a file is the content of a hash, of which little is in memory at a time.
fn is_whole(path: &Path, hash: Hash, bytes: u64) -> io::Result<bool> {
    let mut file = open_to_read(path)?;
    let mut head = [0; HEADER];
    if file.metadata()?.len() != bytes || file.read_exact(&mut head).is_err() {
        return Ok(false);
    }
    let (Some(codec), Ok(length)) = (Codec::of(head[16]), head[8..16].try_into().map(u64::from_le_bytes)) else {
        return Ok(false);
    };
    let mut hasher = blake3::Hasher::new();
    // One byte more than there may be tells a content that is too long.
    let copied = match codec {
        Codec::Plain => io::copy(&mut file.take(length.saturating_add(1)), &mut hasher),
        Codec::Zstd => {
            let unpacked = zstd::stream::read::Decoder::new(file)?.single_frame();
            io::copy(&mut unpacked.take(length.saturating_add(1)), &mut hasher)
        }
    };
    Ok(copied.is_ok_and(|copied| copied == length) && hasher.finalize() == hash)
}
