//! Check arguments other than arrays. They are checked by hand so that every mistake raises an
//! `InvalidInputError` that names the argument.

use std::path::PathBuf;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};
use tiercel_index::{Dtype, Kind, Metric, Raw, Rerank, Storage};

use crate::errors::{invalid, invalid_because};

/// An optional argument; omitting it differs from passing None.
pub(crate) enum Given<'py> {
    No,
    Yes(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Yes(value.to_owned()))
    }
}

/// An int, as far as it fits 64 bits.
pub(crate) enum Whole {
    /// Below zero.
    Negative,
    /// In range.
    Fits(u64),
    /// 2**64 or more.
    Huge,
}

/// Read an int or a numpy integer; return None for a bool and for anything else.
pub(crate) fn whole(value: &Bound<'_, PyAny>) -> PyResult<Option<Whole>> {
    if is_bool(value) {
        return Ok(None);
    }
    match value.extract::<u64>() {
        Ok(number) => Ok(Some(Whole::Fits(number))),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            Ok(Some(if value.lt(0)? { Whole::Negative } else { Whole::Huge }))
        }
        Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Read an int of at least 1; one that does not fit a usize becomes `usize::MAX`.
pub(crate) fn at_least_one(value: &Bound<'_, PyAny>, argument: &str) -> PyResult<usize> {
    match whole(value)? {
        Some(Whole::Fits(number)) if number >= 1 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        Some(Whole::Huge) => Ok(usize::MAX),
        _ => Err(invalid(value.py(), format!("{argument}: expected an int of at least 1, got {}", shown(value)))),
    }
}

/// Whether a value is a Python or numpy bool, which would pass for an int or a float.
fn is_bool(value: &Bound<'_, PyAny>) -> bool {
    !value.is_exact_instance_of::<PyInt>() && matches!(kind(value).as_str(), "bool" | "bool_")
}

/// Read an option whose range the core checks. Return 0, which is below every range, for
/// anything but an int that fits.
pub(crate) fn size(given: &Given<'_>, default: usize) -> PyResult<usize> {
    let Given::Yes(value) = given else { return Ok(default) };
    match whole(value)? {
        Some(Whole::Fits(number)) => Ok(usize::try_from(number).unwrap_or(0)),
        _ => Ok(0),
    }
}

/// Read a seed; the default is 0.
pub(crate) fn seed(given: &Given<'_>) -> PyResult<u64> {
    let Given::Yes(value) = given else { return Ok(0) };
    let Some(Whole::Fits(seed)) = whole(value)? else {
        let message = format!("seed: expected an int from 0 to 2**64 - 1, got {}", shown(value));
        return Err(invalid(value.py(), message));
    };
    Ok(seed)
}

/// Read the number of threads to work on; the default is all cores that this process may use.
pub(crate) fn threads(py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    match value {
        // More threads are never faster, and the system may not let a process start them.
        Some(value) => Ok(at_least_one(value, "threads")?.min(1024)),
        None => py.import("tiercel.policy.cores")?.call_method0("cores")?.extract(),
    }
}

/// Read a zstd level; the default is None.
pub(crate) fn level(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i32>> {
    let Some(value) = value else { return Ok(None) };
    match whole(value)? {
        Some(Whole::Fits(level @ 1..=22)) => Ok(Some(level as i32)),
        _ => Err(invalid(value.py(), format!("level: expected None or an int from 1 to 22, got {}", shown(value)))),
    }
}

/// Read a float or an int; return None for a bool and for anything else.
pub(crate) fn real(value: &Bound<'_, PyAny>) -> Option<f64> {
    if is_bool(value) { None } else { value.extract().ok() }
}

/// Read a share above 0 and at most 1.
pub(crate) fn recall(value: &Bound<'_, PyAny>) -> PyResult<f32> {
    match real(value) {
        // A share too small for f32 must not become 0.
        Some(share) if share > 0.0 && share <= 1.0 => Ok((share as f32).max(f32::MIN_POSITIVE)),
        _ => Err(invalid(value.py(), format!("recall: expected a number above 0 and at most 1, got {}", shown(value)))),
    }
}

/// Read a distance.
pub(crate) fn radius(value: &Bound<'_, PyAny>) -> PyResult<f32> {
    match real(value) {
        Some(radius) if !radius.is_nan() => Ok(radius as f32),
        _ => Err(invalid(value.py(), format!("radius: expected a number, got {}", shown(value)))),
    }
}

/// Names of the metrics.
pub(crate) const METRICS: &[(&str, Metric)] = &[("cosine", Metric::Cosine), ("dot", Metric::Dot), ("l2", Metric::L2)];
/// Names of the dtypes.
pub(crate) const DTYPES: &[(&str, Dtype)] = &[("f32", Dtype::F32), ("f16", Dtype::F16)];
/// Names of the places of full vectors.
pub(crate) const RAWS: &[(&str, Raw)] = &[("memory", Raw::Memory), ("disk", Raw::Disk), ("none", Raw::Nothing)];
/// Names of what candidates are compared with once more.
pub(crate) const RERANKS: &[(&str, Rerank)] =
    &[("full", Rerank::Full), ("f16", Rerank::Half), ("none", Rerank::Nothing)];
/// Names of the ways to find the nearest vectors.
pub(crate) const KINDS: &[(&str, Kind)] = &[("hnsw", Kind::Graph), ("ivf", Kind::Partitions), ("flat", Kind::Flat)];
/// Names of points on the measured front of builds: `m` and `ef_construction`.
pub(crate) const BUILDS: &[(&str, (usize, usize))] =
    &[("balanced", (16, 200)), ("fast", (16, 80)), ("dense", (32, 300))];
/// Units of memory.
const UNITS: &[(&str, f64)] = &[
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("tb", 1e12),
    ("", 1.0),
];

/// Read an amount of memory: a number of bytes, or a string such as "2GB"; None is no limit.
pub(crate) fn memory(given: &Given<'_>) -> PyResult<Option<u64>> {
    let Given::Yes(value) = given else { return Ok(None) };
    if value.is_none() {
        return Ok(None);
    }
    let bytes = match (whole(value)?, text(value)) {
        (Some(Whole::Fits(bytes)), _) => Some(bytes),
        (_, Some(text)) => amount(&text),
        _ => None,
    };
    if let Some(bytes @ 1..) = bytes {
        return Ok(Some(bytes));
    }
    let expected = "expected None, a number of bytes, or a string such as '2GB' (kB, MB, GB, TB, KiB, MiB, GiB or TiB)";
    Err(invalid(value.py(), format!("memory: {expected}, got {}", shown(value))))
}

/// Read an amount with its unit, if it has one.
fn amount(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim_end();
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * factor;
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Return the choice that a string names; the default is the first.
pub(crate) fn choice<T: Copy>(given: &Given<'_>, argument: &str, choices: &[(&str, T)]) -> PyResult<T> {
    let Given::Yes(value) = given else { return Ok(choices[0].1) };
    let name = text(value);
    if let Some((_, choice)) = choices.iter().find(|(known, _)| name.as_deref() == Some(known)) {
        return Ok(*choice);
    }
    let known: Vec<String> = choices.iter().map(|(known, _)| format!("'{known}'")).collect();
    let message = format!("{argument}: expected {}, got {}", known.join(" or "), shown(value));
    Err(invalid(value.py(), message))
}

/// Read the name of a storage.
pub(crate) fn storage(value: &Bound<'_, PyAny>) -> PyResult<Storage> {
    let storage = text(value).and_then(|name| Storage::from_name(&name));
    storage.ok_or_else(|| {
        let known = Storage::all().map(|storage| format!("'{}'", storage.name())).collect::<Vec<_>>().join(" or ");
        let parts = "or 'pq', 'opq' or 'rq' with a number of parts and their bits, such as 'pq48x8' or 'opq96x4'";
        let message = format!("storage: expected {known} {parts}, got {}", shown(value));
        invalid(value.py(), message)
    })
}

/// Return the text of a str; None for anything else.
fn text(value: &Bound<'_, PyAny>) -> Option<String> {
    value.cast::<PyString>().ok().map(|text| text.to_string_lossy().into_owned())
}

/// Return the name of a choice.
pub(crate) fn name<T: Copy + PartialEq>(choices: &[(&'static str, T)], choice: T) -> &'static str {
    choices.iter().find(|(_, known)| *known == choice).map_or("", |(name, _)| name)
}

/// Read a callable or None.
pub(crate) fn progress<'a, 'py>(value: Option<&'a Bound<'py, PyAny>>) -> PyResult<Option<&'a Bound<'py, PyAny>>> {
    match value {
        Some(value) if !value.is_callable() => {
            Err(invalid(value.py(), format!("progress: expected a callable, got {}", shown(value))))
        }
        _ => Ok(value),
    }
}

/// Read the path of a file: a str, bytes or an `os.PathLike`.
pub(crate) fn path(value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    value.py().import("tiercel.paths")?.call_method1("path_name", (value, "path"))?.extract()
}

/// Read bytes, or anything else that has a buffer.
pub(crate) fn data<'py>(value: &Bound<'py, PyAny>, argument: &str) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    let py = value.py();
    let view = py.import("builtins")?.call_method1("memoryview", (value,)).map_err(|cause| {
        let message = format!("{argument}: expected bytes, got {}", shown(value));
        invalid_because(py, &message, cause)
    })?;
    if view.getattr("format")?.extract::<String>()?.contains('O') {
        return Err(invalid(py, format!("{argument}: expected bytes, got a buffer of Python objects")));
    }
    Ok(view.call_method0("tobytes")?.cast_into()?)
}

/// Show a value in a message: short, and without ever raising an exception.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    const LONGEST: usize = 60;
    match value.repr() {
        Ok(text) if text.len().is_ok_and(|length| length <= LONGEST) => text.to_string_lossy().into_owned(),
        _ => kind(value),
    }
}

/// Name the type of a value in a message.
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "an object".into(), |name| name.to_string_lossy().into_owned())
}
