//! Looking at a directory of files without changing it.

use std::io::{self, Read};

use blake3::Hash;
use hashbrown::HashMap;
use tiercel_container::{FileKind, VfsFile, VfsReader};

use super::blobs::{HEADER, path_in};
use super::charges;
use super::claim::{BLOBS, LEDGER};
use super::ledger::{RECORDED, read_record, weight};
use crate::directory::{Directory, kind};
use crate::log;
use crate::packing::Codec;
use crate::{Key, KeyRef};

/// The result of a look.
pub(crate) struct Looked {
    blobs: Directory,
    /// Contents that a key has.
    contents: HashMap<Hash, Content>,
    /// Keys whose content exists.
    pub(crate) keys: Vec<(Key, Hash)>,
    pub(crate) damaged: u64,
}

enum Content {
    /// In a file, with its bytes according to the ledger.
    File(u64),
    Packed(log::Place),
}

/// Find what opening files would find, without changing anything.
pub(crate) fn look(directory: &Directory) -> io::Result<Looked> {
    let content = log::look(&directory.below(LEDGER))?;
    let mut found =
        Looked { blobs: directory.below(BLOBS), contents: HashMap::new(), keys: Vec::new(), damaged: content.damaged };
    let (mut packed, mut keys) = (HashMap::new(), Vec::new());
    for (key, log::Found { place, .. }) in content.places {
        match key.borrow().content_hash() {
            Some(hash) => drop(packed.insert(hash, place)),
            None => keys.push((key, place)),
        }
    }
    for (key, place) in keys {
        match place.value(key.borrow(), RECORDED).ok().and_then(|record| read_record(&record)) {
            Some((hash, bytes)) => found.take_up(key, hash, bytes, packed.get(&hash)),
            None => found.damaged += 1,
        }
    }
    Ok(found)
}

impl Looked {
    /// Take up a key with its content, unless a crash took the content.
    fn take_up(&mut self, key: Key, hash: Hash, bytes: u64, packed: Option<&log::Place>) {
        if !self.contents.contains_key(&hash) {
            let there = || kind(&*self.blobs.vfs, &path_in(&self.blobs.path, hash));
            let content = match packed {
                Some(place) => Content::Packed(place.clone()),
                None if there().is_ok_and(|there| there == Some(FileKind::Regular)) => Content::File(bytes),
                None => return,
            };
            self.contents.insert(hash, content);
        }
        self.keys.push((key, hash));
    }

    /// Whether the content of a key is what was written.
    pub(crate) fn is_whole(&self, at: usize) -> bool {
        let hash = &self.keys[at].1;
        match &self.contents[hash] {
            Content::File(bytes) => {
                let file = self.blobs.vfs.open_to_read(&path_in(&self.blobs.path, *hash));
                file.and_then(|file| is_whole(&*file, *hash, *bytes)).unwrap_or(false)
            }
            Content::Packed(place) => place.is_whole(KeyRef::content(hash)),
        }
    }

    /// The charge of contents and their keys.
    pub(crate) fn bytes(&self) -> u64 {
        let contents = self.contents.iter().map(|(hash, content)| match content {
            Content::File(bytes) => charges::in_file(*bytes),
            Content::Packed(place) => {
                let key = KeyRef::content(hash);
                charges::in_log(key, place.packed(key))
            }
        });
        let keys = self.keys.iter().map(|(key, _)| weight(key.borrow()));
        contents.chain(keys).fold(0, u64::saturating_add)
    }
}

/// Whether a file holds the content of a hash. Little of it is in memory at a time.
fn is_whole(file: &dyn VfsFile, hash: Hash, bytes: u64) -> io::Result<bool> {
    let mut body = VfsReader::new(file)?;
    let mut head = [0; HEADER];
    if file.len()? != bytes || body.read_exact(&mut head).is_err() {
        return Ok(false);
    }
    let (Some(codec), Ok(length)) = (Codec::of(head[16]), head[8..16].try_into().map(u64::from_le_bytes)) else {
        return Ok(false);
    };
    let mut hasher = blake3::Hasher::new();
    // Reading one byte more detects a content that is too long.
    let copied = match codec {
        Codec::Plain => io::copy(&mut body.take(length.saturating_add(1)), &mut hasher),
        Codec::Zstd => {
            let unpacked = zstd::stream::read::Decoder::new(body)?.single_frame();
            io::copy(&mut unpacked.take(length.saturating_add(1)), &mut hasher)
        }
    };
    Ok(copied.is_ok_and(|copied| copied == length) && hasher.finalize() == hash)
}
