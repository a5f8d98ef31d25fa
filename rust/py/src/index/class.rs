//! The class of an index, and what its methods share.

use pyo3::prelude::*;
use tiercel_index as core;

use super::effort::is_long;
use crate::gil::Apart;
use crate::work::detached;

/// A nearest-neighbour index.
///
/// By default the index keeps the full vectors. A search compares their compact codes, then
/// compares the best candidates again in full precision. It scans a small index and walks the graph
/// of a large one (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320). All methods may be called
/// from several threads at once; they release the GIL while they work.
///
/// Parameters
/// ----------
/// dim : int
///     Length of every vector, 1 to 32768.
/// metric : {"cosine", "dot", "l2"}
///     The distance: 1 - cos, the negated inner product, or the squared Euclidean distance.
/// dtype : {"f32", "f16"}
///     How vectors are stored: 4 bytes per value, or 2 bytes, rounded to half precision.
/// storage : {"auto", "sq4", "sq8", "rabitq1" to "rabitq4", "f16", "bf16", "raw"} or str
///     Codes that searches compare: 4 or 8 bits per value, directions of 1 to 4 bits per value
///     (RaBitQ), floats of 16 bits, or none; "f32" is another name of "raw". "auto" uses the
///     smallest of "sq4" and "sq8" that ranks the data well. Much smaller codes rank less well, so
///     that more vectors are compared again: "pq48x8" is 48 codes of 8 bits each, "pq96x4" is 96 of
///     4 bits, each for its part of the vector; "opq48x8" and "opq96x4" also fit a rotation;
///     "rq4x8" is 4 codes of 8 bits, each for all of the vector.
/// m : int
///     Neighbours of each vector on the upper levels, 2 to 512; twice as many on level 0.
/// ef_construction : int
///     Candidates kept while linking a vector, 1 to 65536.
/// raw : {"memory", "disk", "none"}
///     Where the full vectors are. With "disk" they are in a temporary file, whose directory TMPDIR
///     chooses; searches read those of the best candidates. `load` leaves them in the index's file.
///     If they cannot be written or read, a call raises `StorageFailedError` or `CorruptionError`.
///     With "none" they are forgotten as soon as there are codes: `get` and exact searches work
///     with what the codes stand for, and the codec stays the one that the first vectors, more than
///     1,024, were coded with. Codes of 1 or 2 bits and products are slow to link then.
/// rerank : {"full", "f16", "none"}
///     What the best candidates of a search are compared with once more: full vectors, a copy of
///     them in half precision, in memory, or nothing, which is the default if `raw` is "none". With
///     "none", distances are those of codes, and `recall` holds for what codes can tell apart.
///     Exact searches still compare full vectors. If you pass `memory` without this, the budget
///     chooses between "full" and "f16".
/// memory : int or str, optional
///     The most bytes that the index may take, or a string such as "2GB" or "500MiB". As it grows,
///     the fastest of these is chosen that fits: "auto" codes with full vectors in memory (unless
///     `raw` is "disk"), then with full vectors on disk and `rerank="f16"`, then without the copy in
///     half precision, then "rabitq2" and "rabitq1". `stats()["why"]` explains it. An addition that
///     does not fit raises `InvalidInputError`.
/// kind : {"hnsw", "ivf", "flat"}
///     How a search among more than 8,192 vectors finds candidates: it walks through a graph, scans
///     the codes of the nearest of many lists, or scans all codes. With "ivf", `recall` follows
///     from what the index measures on its own vectors. It is built in a fraction of the time of a
///     graph, but each search takes longer. `m` and `ef_construction` are for "hnsw" alone.
/// build : {"fast", "balanced", "dense"}
///     What `m` and `ef_construction` are by default: 16 and 80, 16 and 200, or 32 and 300.
/// seed : int
///     Seed of the levels and the rotation, 0 to 2**64 - 1. The same calls with the same seed build
///     the same graph, or the same lists, whatever `threads` is.
///
/// Raises
/// ------
/// InvalidInputError
///     A parameter has the wrong type or is out of range, `storage` is "raw" although `raw` is not
///     "memory", `storage` is given or `raw` is "none" with `memory`, `rerank` is "full" although
///     `raw` is "none", or TIERCEL_SIMD names an instruction set that this machine lacks.
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

    /// Whether a call may take long: it waits for another one, or has to link every slot and `new`
    /// more.
    pub(super) fn links_long(&self, py: Python<'_>, new: usize) -> PyResult<bool> {
        if self.core.is_changing() {
            return Ok(true);
        }
        let slots = self.slots(py)?.saturating_add(new);
        Ok(is_long(slots, slots, self.ef_construction(), self.dim()))
    }
}
