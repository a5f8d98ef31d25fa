//! Records and what a search found, as Python gets them.

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use tiercel_engine::{Found, Got, Include, Plan};

use crate::errors;

/// A record as Python gets it: id, text, metadata as JSON, vector, and the batch that wrote it last.
pub(crate) type Row<'py> =
    (String, Option<String>, Option<Bound<'py, PyString>>, Option<Bound<'py, PyArray1<f32>>>, u64);

/// What is found: ids, the batches that wrote the records last, scores, distances, texts, metadata as JSON, vectors, highlights, whether exact, and the plan if wanted.
pub(crate) type Columns<'py> = (
    Vec<String>,
    Vec<u64>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Option<Vec<Option<String>>>,
    Option<Vec<Option<Bound<'py, PyString>>>>,
    Option<Vec<Option<Bound<'py, PyArray1<f32>>>>>,
    Option<Vec<Vec<(usize, usize)>>>,
    bool,
    Option<Bound<'py, PyDict>>,
);

/// What each record brings along.
pub(crate) const fn included((text, metadata, vector, highlights): (bool, bool, bool, bool)) -> Include {
    Include { text, metadata, vector, highlights }
}

/// A record that was read.
pub(crate) fn row(py: Python<'_>, got: Got) -> PyResult<Row<'_>> {
    let vector = got.vector.map(|vector| PyArray1::from_vec(py, vector));
    Ok((got.id, got.text, json(py, got.metadata)?, vector, got.sequence))
}

/// JSON as a string of Python.
fn json(py: Python<'_>, metadata: Option<Vec<u8>>) -> PyResult<Option<Bound<'_, PyString>>> {
    let text = metadata.map(String::from_utf8).transpose();
    let text = text.map_err(|_| errors::internal(py, "metadata that is not UTF-8"))?;
    Ok(text.map(|text| PyString::new(py, &text)))
}

/// What a search found.
pub(crate) fn columns(py: Python<'_>, found: Found, include: Include, explain: bool) -> PyResult<Columns<'_>> {
    let count = found.matches.len();
    let (mut ids, mut sequences) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut scores, mut distances) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut texts, mut metadata, mut vectors, mut highlights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for each in found.matches {
        ids.push(each.id);
        sequences.push(each.sequence);
        scores.push(each.score);
        distances.push(each.distance.unwrap_or(f32::NAN));
        texts.push(each.text);
        metadata.push(json(py, each.metadata)?);
        vectors.push(each.vector.map(|vector| PyArray1::from_vec(py, vector)));
        highlights.push(each.highlights.unwrap_or_default());
    }
    let plan = explain.then(|| explained(py, found.plan)).transpose()?;
    Ok((
        ids,
        sequences,
        PyArray1::from_vec(py, scores),
        PyArray1::from_vec(py, distances),
        include.text.then_some(texts),
        include.metadata.then_some(metadata),
        include.vector.then_some(vectors),
        include.highlights.then_some(highlights),
        found.exact,
        plan,
    ))
}

/// How a search went, for `Found.plan`.
fn explained(py: Python<'_>, plan: Plan) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("way", plan.way)?;
    out.set_item("selectivity", plan.selectivity)?;
    out.set_item("cached", plan.cached)?;
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
