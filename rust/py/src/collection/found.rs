//! Records and search results, as Python gets them.

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use tiercel_engine::{Found, Got, Include, Plan};
use tiercel_index::Trace;

use crate::errors;
use crate::gil::Turns;

/// A record as Python gets it: id, text, metadata as JSON, vector, and the sequence of the batch
/// that last wrote it.
pub(super) type Row<'py> =
    (String, Option<String>, Option<Bound<'py, PyString>>, Option<Bound<'py, PyArray1<f32>>>, u64);

/// The results: ids, the sequences of the batches that last wrote the records, scores,
/// distances, texts, metadata as JSON, vectors, highlights, whether exact and how many may be
/// missing, and the plan if asked for.
pub(super) type Columns<'py> = (
    Bound<'py, PyList>,
    Bound<'py, PyList>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Option<Bound<'py, PyList>>,
    Option<Bound<'py, PyList>>,
    Option<Bound<'py, PyList>>,
    Option<Bound<'py, PyList>>,
    (bool, u64),
    Option<Bound<'py, PyDict>>,
);

/// Which parts of each record to include.
pub(super) const fn included((text, metadata, vector, highlights): (bool, bool, bool, bool)) -> Include {
    Include { text, metadata, vector, highlights }
}

/// Convert a record.
pub(super) fn row(py: Python<'_>, got: Got) -> PyResult<Row<'_>> {
    let vector = got.vector.map(|vector| PyArray1::from_vec(py, vector));
    Ok((got.id, got.text, json(py, got.metadata)?, vector, got.sequence))
}

/// Convert JSON to a Python string.
fn json(py: Python<'_>, metadata: Option<Vec<u8>>) -> PyResult<Option<Bound<'_, PyString>>> {
    let text = metadata.map(String::from_utf8).transpose();
    let text = text.map_err(|_| errors::internal(py, "metadata that is not UTF-8"))?;
    Ok(text.map(|text| PyString::new(py, &text)))
}

/// Convert what a search found.
pub(super) fn columns<'py>(
    py: Python<'py>,
    turns: &mut Turns,
    found: Found,
    include: Include,
    explain: bool,
) -> PyResult<Columns<'py>> {
    let count = found.matches.len();
    let (mut scores, mut distances) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (ids, sequences) = (PyList::empty(py), PyList::empty(py));
    let wanted = |wanted: bool| wanted.then(|| PyList::empty(py));
    let (texts, metadata) = (wanted(include.text), wanted(include.metadata));
    let (vectors, highlights) = (wanted(include.vector), wanted(include.highlights));
    for each in found.matches {
        ids.append(each.id)?;
        sequences.append(each.sequence)?;
        scores.push(each.score);
        distances.push(each.distance.unwrap_or(f32::NAN));
        texts.as_ref().map_or(Ok(()), |texts| texts.append(each.text))?;
        if let Some(metadata) = &metadata {
            metadata.append(json(py, each.metadata)?)?;
        }
        let vector =
            |vectors: &Bound<'py, PyList>| vectors.append(each.vector.map(|vector| PyArray1::from_vec(py, vector)));
        vectors.as_ref().map_or(Ok(()), vector)?;
        highlights.as_ref().map_or(Ok(()), |highlights| highlights.append(each.highlights.unwrap_or_default()))?;
        turns.step(py)?;
    }
    let plan = explain.then(|| explained(py, found.plan)).transpose()?;
    Ok((
        ids,
        sequences,
        PyArray1::from_vec(py, scores),
        PyArray1::from_vec(py, distances),
        texts,
        metadata,
        vectors,
        highlights,
        (found.exact, found.damaged),
        plan,
    ))
}

/// Describe how a search ran, for `Found.plan`.
fn explained(py: Python<'_>, plan: Plan) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("way", plan.way)?;
    out.set_item("selectivity", plan.selectivity)?;
    out.set_item("cached", plan.cached)?;
    out.set_item("unknown_fields", plan.unknown_fields)?;
    let vectors = plan.trace.map(|trace| traced(py, &trace)).transpose()?;
    if let (Some(vectors), Some(fresh)) = (&vectors, plan.fresh) {
        vectors.set_item("fresh", of_fresh(py, &fresh)?)?;
    }
    out.set_item("vectors", vectors)?;
    let stages = PyList::empty(py);
    for stage in plan.stages {
        let entry = PyDict::new(py);
        entry.set_item("name", stage.name)?;
        entry.set_item("seconds", stage.seconds)?;
        entry.set_item("count", stage.count)?;
        stages.append(entry)?;
    }
    out.set_item("stages", stages)?;
    Ok(out)
}

/// Describe the part of it among vectors that are not in a graph yet.
fn of_fresh<'py>(py: Python<'py>, fresh: &Trace) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("distances", fresh.distances)?;
    out.set_item("seconds", fresh.seconds.prepare + fresh.seconds.candidates + fresh.seconds.rescore)?;
    Ok(out)
}

/// Describe the work of a search among vectors, for `Found.plan`.
fn traced<'py>(py: Python<'py>, trace: &Trace) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("nodes", trace.nodes)?;
    out.set_item("distances", trace.distances)?;
    out.set_item("rescored", trace.rescored)?;
    out.set_item("bytes", trace.bytes)?;
    out.set_item("gap", trace.gap.is_finite().then_some(trace.gap))?;
    let seconds = PyDict::new(py);
    seconds.set_item("prepare", trace.seconds.prepare)?;
    seconds.set_item("candidates", trace.seconds.candidates)?;
    seconds.set_item("rescore", trace.seconds.rescore)?;
    out.set_item("seconds", seconds)?;
    Ok(out)
}
