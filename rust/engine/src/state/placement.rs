//! Where a session with a collection keeps full vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::VfsFile;
use tiercel_index::{Options, Place, Raw, Storage};

use crate::errors::RawStorageError;

/// Where a session keeps full vectors. It is not stored: each session chooses.
///
/// ```text
/// raw             Memory                     Disk
/// main index      memory                     the file of the last checkpoint; those that are newer in a
///                                            temporary file in the directory of the collection
/// growing         memory                     memory
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    raw: Raw,
    directory: PathBuf,
}

impl Placement {
    pub(crate) fn new(raw: Option<Raw>, directory: &Path) -> Self {
        let raw = raw.unwrap_or(Raw::Memory);
        Self { raw, directory: directory.to_owned() }
    }

    pub(crate) const fn raw(&self) -> Raw {
        self.raw
    }

    /// Whether full vectors of the main index are on disk.
    fn is_disk(&self) -> bool {
        self.raw == Raw::Disk
    }

    /// Return the options of a main index that keeps its full vectors here.
    pub(crate) fn of(&self, options: &Options) -> Options {
        Options { raw: self.raw, spill: self.spill(), ..options.clone() }
    }

    fn spill(&self) -> Option<PathBuf> {
        self.is_disk().then(|| self.directory.clone())
    }

    /// Check that a main index of this storage can keep its full vectors here.
    pub(crate) fn check(&self, storage: Storage) -> Result<(), RawStorageError> {
        if self.is_disk() && storage == Storage::Raw { Err(RawStorageError) } else { Ok(()) }
    }

    /// Return the place where the full vectors of a main index stay whose bytes begin here; `None` if
    /// they are loaded.
    pub(crate) fn within(&self, (file, offset): (Arc<dyn VfsFile>, u64)) -> Option<Place> {
        self.is_disk().then(|| Place { file, offset, spill: self.spill() })
    }
}
