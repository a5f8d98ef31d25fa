//! Where a session with a collection keeps full vectors, and what it compares candidates with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::VfsFile;
use tiercel_index::{Options, Place, Raw, Rerank, Storage, check_vectors};

use crate::errors::{OpenError, RawStorageError};

/// Where a session keeps full vectors, and what it compares the best candidates with once more. It
/// is not stored: each session chooses.
///
/// ```text
/// raw             Memory                     Disk
/// graphs          memory                     the file of the last checkpoint; those that are newer in a
///                                            temporary file in the directory of the collection
/// growing         memory                     memory
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    raw: Raw,
    rerank: Rerank,
    directory: Option<PathBuf>,
}

impl Placement {
    /// Make the placement of a session in a directory, which is there unless the disk is simulated.
    pub(crate) fn new(raw: Option<Raw>, rerank: Option<Rerank>, directory: &Path) -> Self {
        let directory = directory.is_dir().then(|| directory.to_owned());
        Self { raw: raw.unwrap_or(Raw::Memory), rerank: rerank.unwrap_or(Rerank::Full), directory }
    }

    pub(crate) const fn raw(&self) -> Raw {
        self.raw
    }

    pub(crate) const fn rerank(&self) -> Rerank {
        self.rerank
    }

    /// Whether full vectors of graphs are on disk.
    fn is_disk(&self) -> bool {
        self.raw == Raw::Disk
    }

    /// Return the options of a graph that keeps its full vectors here.
    pub(crate) fn of(&self, options: &Options) -> Options {
        Options { raw: self.raw, rerank: self.rerank, spill: self.spill(), ..options.clone() }
    }

    fn spill(&self) -> Option<PathBuf> {
        self.directory.clone().filter(|_| self.is_disk())
    }

    /// Check that a graph of this storage can keep its full vectors here.
    pub(crate) fn check(&self, storage: Storage) -> Result<(), RawStorageError> {
        check_raw(Some(self.raw), storage)
    }

    /// Check that stored vectors, which a graph of these options will take, have a copy in half
    /// precision if there is to be one.
    pub(crate) fn check_halves(&self, vectors: &[f32], options: &Options) -> Result<(), OpenError> {
        if self.rerank == Rerank::Half && check_vectors("vectors", vectors, options).is_err() {
            return Err(OpenError::Halves);
        }
        Ok(())
    }

    /// Return the place where the full vectors of a graph stay whose bytes begin here; `None` if
    /// they are loaded.
    pub(crate) fn within(&self, (file, offset): (Arc<dyn VfsFile>, u64)) -> Option<Place> {
        self.is_disk().then(|| Place { file, offset, spill: self.spill() })
    }
}

/// Check that a graph of this storage can keep its full vectors where a session wants them.
pub(crate) fn check_raw(raw: Option<Raw>, storage: Storage) -> Result<(), RawStorageError> {
    if raw == Some(Raw::Disk) && storage == Storage::Raw { Err(RawStorageError) } else { Ok(()) }
}
