//! The class of an index, and what its methods share.

use pyo3::prelude::*;
use tiercel_index as core;

use super::effort::is_long;
use crate::gil::Apart;
use crate::work::detached;

/// Nearest-neighbour index in memory.
///
/// The index keeps vectors as passed. A search compares a compact code of each, then rescores
/// the best candidates in full precision. A small index is scanned, a large one is a graph
/// (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320). All methods are thread-safe and release
/// the GIL while they work.
///
/// Parameters
/// ----------
/// dim : int
///     Length of every vector, 1 to 32768.
/// metric : {"cosine", "dot", "l2"}
///     Distance, smallest for the nearest: 1 - cos, the negated inner product, or the squared
///     Euclidean distance.
/// dtype : {"f32", "f16"}
///     How vectors are kept: 4 bytes per value as passed, or 2 bytes rounded to half
///     precision.
/// storage : {"auto", "sq4", "sq8", "raw"}
///     Codes that the search compares: 4 or 8 bits per value, or none. "auto" chooses the
///     smallest that rank this data well.
/// m : int
///     Neighbours kept for each vector in the upper levels, 2 to 512; twice as many at level 0.
/// ef_construction : int
///     Candidates kept while a vector is linked, 1 to 65536.
/// seed : int
///     Seed of the levels and the rotation, 0 to 2**64 - 1. Equal calls with an equal seed build
///     equal graphs, for any `threads`.
///
/// Raises
/// ------
/// InvalidInputError
///     A parameter is of the wrong type or out of range; or TIERCEL_SIMD names an unknown
///     instruction set or one that this machine lacks.
///
/// Examples
/// --------
/// >>> import numpy as np, tiercel
/// >>> index = tiercel.Index(dim=3)
/// >>> index.add(np.eye(3)).tolist()
/// [0, 1, 2]
/// >>> index.search([0.9, 0.1, 0.0], k=2).ids.tolist()
/// [0, 1]
#[pyclass(frozen, weakref, module = "tiercel")]
pub(crate) struct Index {
    pub(super) core: Apart<core::Index>,
}

impl Index {
    pub(super) const fn of(core: core::Index) -> Self {
        Self { core: Apart::new(core) }
    }

    pub(super) fn slots(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.core.slots())
    }

    /// Whether a call may take long if it has to link every slot and `new` more.
    pub(super) fn links_long(&self, py: Python<'_>, new: usize) -> PyResult<bool> {
        let slots = self.slots(py)?.saturating_add(new);
        Ok(is_long(slots, slots, self.ef_construction(), self.dim()))
    }
}
