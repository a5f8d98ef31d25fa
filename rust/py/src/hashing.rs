//! `tiercel.embed.HashingEmbedder`.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyString;
use tiercel_text as text;

use crate::arguments::{self, Given, Whole, kind, shown, whole};
use crate::errors::{invalid, invalid_because};
use crate::gil::{Apart, Turns};
use crate::work::detached;

/// The longest vector.
const MAX_DIM: u64 = 32768;
/// Texts embedded between two checks for signals.
const BATCH: usize = 256;

/// An embedder without a model: it hashes the words of a text, and parts of them, into a unit
/// vector.
///
/// It is lexical: texts are near if they share words or parts of words, whatever they mean. It
/// needs no download and returns the same vectors on every machine, and in every version that finds
/// the same words: these follow the Unicode tables that it was built with. All texts without words
/// have the same vector.
///
/// Parameters
/// ----------
/// dim : int
///     Length of every vector, 1 to 32768. In longer vectors, fewer words collide.
/// seed : int
///     Seed of the hash, 0 to 2**64 - 1.
///
/// Raises
/// ------
/// InvalidInputError
///     A parameter is of the wrong type or out of range.
///
/// Examples
/// --------
/// >>> from tiercel.embed import HashingEmbedder
/// >>> embedder = HashingEmbedder(dim=384)
/// >>> dogs, birds = embedder.embed_documents(("a dog barks", "birds sing"))
/// >>> query = embedder.embed_query("barking dogs")
/// >>> bool(query @ dogs > query @ birds)
/// True
#[pyclass(frozen, weakref, module = "tiercel.embed")]
pub(crate) struct HashingEmbedder {
    core: text::HashingEmbedder,
    seed: u64,
}

#[pymethods]
impl HashingEmbedder {
    #[new]
    #[pyo3(signature = (dim=Given::No, seed=Given::No), text_signature = "(dim=384, seed=0)")]
    #[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
    fn new(dim: Given<'_>, seed: Given<'_>) -> PyResult<Self> {
        let seed = arguments::seed(&seed)?;
        Ok(Self { core: text::HashingEmbedder::new(length(&dim)?, seed), seed })
    }

    /// Length of every vector.
    #[getter]
    fn dim(&self) -> usize {
        self.core.dim()
    }

    /// Identifies the embedder; equal for equal `dim` and `seed`.
    #[getter]
    fn fingerprint(&self) -> String {
        format!("tiercel-hashing-1/dim={}/seed={}", self.core.dim(), self.seed)
    }

    /// Embed texts to be found; returns dtype float32, shape `(len(texts), dim)`.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `texts` is not a sequence of strings that UTF-8 can encode.
    fn embed_documents<'py>(&self, py: Python<'py>, texts: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let texts = Apart::new(strings(texts)?);
        let mut values = Vec::new();
        for batch in texts.chunks(BATCH) {
            py.check_signals()?;
            detached(py, || values.extend(batch.iter().flat_map(|text| self.core.embed(text))))?;
        }
        PyArray1::from_vec(py, values).reshape([texts.len(), self.core.dim()])
    }

    /// Embed a text to search for; returns dtype float32, shape `(dim,)`.
    ///
    /// Raises
    /// ------
    /// InvalidInputError
    ///     `text` is not a string that UTF-8 can encode.
    fn embed_query<'py>(&self, py: Python<'py>, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let text = string(text, "text")?;
        let vector = detached(py, || self.core.embed(&text))?;
        Ok(PyArray1::from_vec(py, vector))
    }

    fn __repr__(&self) -> String {
        format!("HashingEmbedder(dim={}, seed={})", self.core.dim(), self.seed)
    }

    /// Pickle support.
    fn __getnewargs__(&self) -> (usize, u64) {
        (self.core.dim(), self.seed)
    }
}

/// Read the length of vectors; the default is 384.
fn length(given: &Given<'_>) -> PyResult<usize> {
    let Given::Yes(value) = given else { return Ok(384) };
    match whole(value)? {
        Some(Whole::Fits(dim @ 1..=MAX_DIM)) => Ok(dim as usize),
        _ => Err(invalid(value.py(), format!("dim: expected an int from 1 to {MAX_DIM}, got {}", shown(value)))),
    }
}

fn strings(texts: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let py = texts.py();
    let expected = || format!("texts: expected a list of str, got {}", kind(texts));
    if texts.is_instance_of::<PyString>() {
        return Err(invalid(py, expected()));
    }
    let each = texts.try_iter().map_err(|cause| invalid_because(py, &expected(), cause))?;
    let mut turns = Turns::new();
    let read = |(at, text): (usize, PyResult<Bound<'_, PyAny>>)| {
        turns.step(py)?;
        string(&text?, &format!("texts[{at}]"))
    };
    each.enumerate().map(read).collect()
}

fn string(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<String> {
    let py = value.py();
    let text = value.cast::<PyString>();
    let text = text.map_err(|_| invalid(py, format!("{argument}: expected a str, got {}", kind(value))))?;
    let expected = format!("{argument}: expected Unicode text");
    Ok(text.to_str().map_err(|cause| invalid_because(py, &expected, cause))?.to_owned())
}
