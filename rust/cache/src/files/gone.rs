//! Contents that had to leave for a value, and can be handed out.

use std::sync::Arc;

use blake3::Hash;
use tiercel_container::VfsFile;

use super::blobs::{self, Blobs};
use super::ledger::Place;
use crate::journal::Slot;
use crate::{Evicted, Key, KeyRef};

/// Maximum contents in files that are handed out when they leave for one value: the number of open
/// files of a process is limited.
const FILES: usize = 64;

/// Contents that had to leave for a value.
pub(super) struct Gone {
    is_wanted: bool,
    files: usize,
    contents: Vec<Content>,
}

struct Content {
    hash: Hash,
    keys: Vec<Key>,
    source: Source,
}

/// Where a content that left can still be read.
enum Source {
    /// A file that is still open, though its name is gone.
    File(Box<dyn VfsFile>),
    Packed(Arc<Slot>),
}

impl Gone {
    /// Collect what leaves.
    pub(super) fn wanted() -> Self {
        Self { is_wanted: true, files: 0, contents: Vec::new() }
    }

    /// Collect nothing.
    pub(super) fn unwanted() -> Self {
        Self { is_wanted: false, ..Self::wanted() }
    }

    /// Note a content that is about to leave, with its keys.
    pub(super) fn add(&mut self, hash: Hash, keys: Vec<Key>, place: &Place, blobs: &Blobs) {
        if !self.is_wanted {
            return;
        }
        let source = match &place.packed {
            Some(slot) => Source::Packed(Arc::clone(slot)),
            None if self.files < FILES => {
                let Ok(file) = blobs.file(hash) else { return };
                self.files += 1;
                Source::File(file)
            }
            None => return,
        };
        self.contents.push(Content { hash, keys, source });
    }

    /// The keys, with the values that can be read.
    pub(super) fn read(self, most: u64) -> Evicted {
        let mut evicted = Evicted::new();
        for Content { hash, keys, source } in self.contents {
            let value = match source {
                Source::File(file) => blobs::read(&*file, hash, most),
                Source::Packed(slot) => slot.value(KeyRef::content(&hash), most),
            };
            if let Ok(value) = value {
                evicted.extend(keys.into_iter().map(|key| (key, Arc::clone(&value))));
            }
        }
        evicted
    }
}
