//! Looking at the directory of a tier without changing it.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::{Vfs, VfsLock};

use crate::directory::Directory;
use crate::files;
use crate::lock;
use crate::log::{self, Found};
use crate::store::weight;
use crate::{Key, OpenError};

/// The content that opening a tier would find. While this lives, nobody can open the tier to write.
pub struct Look {
    kind: Kind,
    _lock: Option<Box<dyn VfsLock>>,
}

enum Kind {
    Store { places: Vec<(Key, Found)>, damaged: u64 },
    Files(files::Looked),
}

impl Look {
    /// Look at a store.
    pub fn at_store(vfs: Arc<dyn Vfs>, directory: &Path) -> Result<Self, OpenError> {
        let directory = Directory::new(vfs, directory);
        let lock = lock::share(&directory)?;
        let content = log::look(&directory)?;
        Ok(Self { kind: Kind::Store { places: content.places, damaged: content.damaged }, _lock: lock })
    }

    /// Look at files.
    pub fn at_files(vfs: Arc<dyn Vfs>, directory: &Path) -> Result<Self, OpenError> {
        let directory = Directory::new(vfs, directory);
        let lock = lock::share(&directory)?;
        Ok(Self { kind: Kind::Files(files::look(&directory)?), _lock: lock })
    }

    /// Number of keys with a value.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Store { places, .. } => places.len(),
            Kind::Files(found) => found.keys.len(),
        }
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that count against the size of the tier.
    pub fn bytes(&self) -> u64 {
        match &self.kind {
            Kind::Store { places, .. } => {
                let weights = places.iter().map(|(key, found)| weight(key.borrow(), found.place.packed(key.borrow())));
                weights.fold(0, u64::saturating_add)
            }
            Kind::Files(found) => found.bytes(),
        }
    }

    /// Number of damaged parts, not counting values.
    pub fn damaged(&self) -> u64 {
        match &self.kind {
            Kind::Store { damaged, .. } => *damaged,
            Kind::Files(found) => found.damaged,
        }
    }

    /// Whether the value at this position is what was written.
    pub fn is_whole(&self, at: usize) -> bool {
        match &self.kind {
            Kind::Store { places, .. } => places.get(at).is_none_or(|(key, found)| found.place.is_whole(key.borrow())),
            Kind::Files(found) => at >= found.keys.len() || found.is_whole(at),
        }
    }
}
