//! What a loaded index does with its full vectors, and where they stay on disk.

use std::path::PathBuf;
use std::sync::Arc;

use tiercel_container::VfsFile;

use super::meta::{Meta, RAW, UNTRAINED};
use crate::errors::LoadError;
use crate::options::{Options, Raw, Rerank, Storage};

/// A file with the bytes of an index, in which its full vectors stay.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file. It may be replaced or removed, but not changed.
    pub file: Arc<dyn VfsFile>,
    /// Where the bytes of the index begin.
    pub offset: u64,
    /// The directory for vectors that are added later, see [`Options::spill`].
    pub spill: Option<PathBuf>,
}

/// What a loaded index does with its full vectors.
#[derive(Clone, Copy)]
pub(super) struct Keep<'a> {
    pub(super) raw: Raw,
    pub(super) rerank: Rerank,
    /// Where they stay, or from where they are only checked.
    pub(super) place: Option<&'a Place>,
}

impl Keep<'_> {
    pub(super) const DEFAULT: Self = Self { raw: Raw::Memory, rerank: Rerank::Full, place: None };

    /// Return the options of an index that the file describes.
    pub(super) fn options(self, meta: &Meta) -> Result<Options, LoadError> {
        let raw = if meta.are_forgotten { Raw::Nothing } else { self.raw };
        if raw != Raw::Memory && (meta.coding == RAW || meta.options.storage == Storage::Raw) {
            return Err(LoadError::Compared { raw: raw.name() });
        }
        if meta.are_forgotten && self.rerank == Rerank::Half {
            return Err(LoadError::Forgotten);
        }
        // There is nothing else to compare with.
        let rerank = if raw == Raw::Nothing && self.rerank == Rerank::Full { Rerank::Nothing } else { self.rerank };
        let spill = self.place.and_then(|place| place.spill.clone());
        // What is kept of a file of half precision is that.
        Ok(Options { raw, spill, rerank, ..meta.options.clone() })
    }

    /// Return the file to leave the full vectors in, or behind in; `None` to load them.
    pub(super) fn place_for(&self, options: &Options, meta: &Meta) -> Option<&Place> {
        // What is kept without full vectors must be in memory: a copy, or the few that have no codes.
        let are_replaced = options.keeps_nothing() || options.kept() != meta.options.dtype;
        self.place.filter(|_| options.raw == Raw::Disk || (are_replaced && meta.coding != UNTRAINED))
    }
}
