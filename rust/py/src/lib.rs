//! The Python module `tiercel._core`.

#![deny(unsafe_code)]
#![expect(clippy::doc_markdown, reason = "doc comments on what Python sees are its docstrings")]

mod arguments;
mod cache;
mod collection;
mod convert;
mod errors;
mod finally;
mod gil;
mod hashing;
mod index;
mod work;

/// Threads of many callers that allocate and free large arrays leave the system's allocator with memory that it cannot give
/// back: it grew under mixed work for minutes, where this one stays level.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled core of tiercel. Import from `tiercel`, not from here.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;
    use tiercel_simd::Level;

    #[pymodule_export]
    use crate::cache::envelope::{FastPath, pack_envelope, unpack_envelope};
    #[pymodule_export]
    use crate::cache::seal::{seal, unseal};
    #[pymodule_export]
    use crate::cache::sketch::Sketch;
    #[pymodule_export]
    use crate::cache::tier::{FilesCore, MemoryCore, PersistentTierCore, StoreCore, TierCore, TierLook};
    #[pymodule_export]
    use crate::collection::{CollectionCore, ScanCore};
    #[pymodule_export]
    use crate::finally::Finally;
    #[pymodule_export]
    use crate::hashing::HashingEmbedder;
    #[pymodule_export]
    use crate::index::{Index, Matches};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })
    }

    /// Return whether this machine has each instruction set, by name, weakest first.
    #[pyfunction]
    fn simd_levels(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let levels = PyDict::new(py);
        for level in Level::ALL {
            levels.set_item(level.name(), level.is_available())?;
        }
        Ok(levels)
    }

    /// Return the instruction set that a new index uses: the machine's best, or the one that
    /// TIERCEL_SIMD names.
    ///
    /// Raises `InvalidInputError` if TIERCEL_SIMD names one that is unknown or that the machine lacks.
    #[pyfunction]
    fn simd_level(py: Python<'_>) -> PyResult<&'static str> {
        Level::active().map(Level::name).map_err(|error| crate::errors::invalid(py, error.to_string()))
    }
}
