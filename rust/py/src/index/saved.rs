//! An index as a file, as bytes, and as a copy.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use tiercel_index as core;

use super::class::Index;
use crate::arguments::{self, Given, choice};
use crate::errors;
use crate::gil::own_bytes;
use crate::work::detached;

#[pymethods]
impl Index {
    /// Write the index to a file. The old content stays until the new one is safely on disk.
    ///
    /// Raises
    /// ------
    /// StorageFailedError
    ///     The file cannot be written; `DiskFullError` if the disk is full.
    fn save(&self, py: Python<'_>, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = arguments::path(path)?;
        detached(py, || self.core.save(&path))?.map_err(|error| errors::storage(py, &error, &path))
    }

    /// Read an index that `save` wrote.
    ///
    /// Parameters
    /// ----------
    /// path : str or PathLike
    /// raw : {"memory", "disk", "none"}
    ///     Where the full vectors are. With "disk" they stay in this file, which is read and
    ///     checked once. It may be replaced or removed afterwards, but not changed. Vectors added
    ///     later go to a temporary file. With "none" they are left behind, as in the constructor. A
    ///     file without full vectors is loaded without, whatever `raw` is.
    /// rerank : {"full", "f16", "none"}
    ///     As in the constructor, but "full" is "none" where there are no full vectors.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `raw` is not "memory" for an index whose searches compare full vectors, or `rerank` is
    ///     "f16" for vectors that are beyond its range or not there.
    /// MissingFileError
    ///     The file does not exist.
    /// StorageFailedError
    ///     The file cannot be read.
    /// CorruptionError
    ///     The file is damaged, truncated, in a newer format or not a tiercel index.
    #[classmethod]
    #[pyo3(
        signature = (path, *, raw=Given::No, rerank=Given::No),
        text_signature = "($cls, path, *, raw='memory', rerank='full')"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
    fn load(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        raw: Given<'_>,
        rerank: Given<'_>,
    ) -> PyResult<Self> {
        let path = arguments::path(path)?;
        let raw = choice(&raw, "raw", arguments::RAWS)?;
        let rerank = choice(&rerank, "rerank", arguments::RERANKS)?;
        let loaded = detached(py, || core::Index::load(&path, raw, rerank))?;
        Ok(Self::of(loaded.map_err(|error| errors::load(py, error, &path))?))
    }

    /// Return the bytes that `save` would write.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = detached(py, || self.core.to_bytes())?;
        own_bytes(py, bytes.map_err(|error| errors::storage(py, &error, Path::new("raw")))?)
    }

    /// Create an index from `to_bytes`. Raises `CorruptionError` as `load` does.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = arguments::data(data, "data")?;
        let bytes = data.as_bytes();
        let loaded = detached(py, || core::Index::from_bytes(bytes))?;
        Ok(Self::of(loaded.map_err(|error| errors::load(py, error, Path::new("data")))?))
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self::of(detached(py, || core::Index::clone(&self.core))?))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py)?,)))
    }
}
