//! The envelopes that `tiercel.cache.Cache` writes around values, and the fast path of reads from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;
use tiercel_cache::{Envelope, Opened, Tier, Unpacked};

use super::sketch::Sketch;
use super::tier::{MemoryCore, asked, no_memory};
use crate::arguments;
use crate::errors::invalid;
use crate::gil::{Apart, LARGE, bytes, own_bytes};
use crate::work::detached;

/// A bucket for each power of two of nanoseconds.
const BUCKETS: usize = 40;

type Fields<Tag> = (f32, u64, u64, u64, u64, u64, u64, u64, Vec<Tag>);

/// Encode an envelope with its value: cost, epoch, turn, written, fresh until, grace, idle,
/// touched, tags.
#[pyfunction]
pub(crate) fn pack_envelope<'py>(
    py: Python<'py>,
    fields: Fields<PyBackedStr>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (cost, epoch, turn, written, fresh, grace, idle, touched, tags) = fields;
    let value = arguments::data(value, "value")?;
    let envelope = Envelope { cost, epoch, turn, written, fresh, grace, idle, touched };
    let tags: Vec<&str> = tags.iter().map(|tag| &**tag).collect();
    let content = value.as_bytes();
    let packed = if content.len() < LARGE {
        envelope.pack(&tags, content)
    } else {
        detached(py, || envelope.pack(&tags, content))?
    };
    match packed {
        Ok(packed) => own_bytes(py, packed),
        Err(Unpacked::LongTags) => Err(invalid(py, "tags: expected at most 65,535 bytes together".to_owned())),
        Err(Unpacked::NoMemory) => Err(no_memory()),
    }
}

/// Decode an envelope: return its fields and the offset of the value; None for other bytes.
#[pyfunction]
pub(crate) fn unpack_envelope<'a>(data: &'a Bound<'_, PyBytes>) -> Option<(Fields<&'a str>, usize)> {
    let data = data.as_bytes();
    let opened = Opened::read(data)?;
    let Envelope { cost, epoch, turn, written, fresh, grace, idle, touched } = opened.envelope;
    let fields = (cost, epoch, turn, written, fresh, grace, idle, touched, opened.tags()?);
    Some((fields, data.len() - opened.value.len()))
}

/// Fast reads from a memory tier: of fresh values of the current epoch without tags or idle
/// time.
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct FastPath {
    memory: Apart<Arc<dyn Tier>>,
    sketch: Py<Sketch>,
    /// Reads that returned a value, by the logarithm of their nanoseconds.
    took: [AtomicU64; BUCKETS],
}

#[pymethods]
impl FastPath {
    #[new]
    fn new(memory: &Bound<'_, MemoryCore>, sketch: Py<Sketch>) -> Self {
        let memory = Apart::new(memory.as_super().get().tier());
        Self { memory, sketch, took: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Count the key in the sketch; return its value if the tier has a valid one.
    fn get<'py>(&self, name: &Bound<'py, PyAny>, epoch: u64, now: u64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let begun = Instant::now();
        let key = asked(name)?;
        self.sketch.get().core().add(key);
        let Some(data) = self.memory.get(key) else { return Ok(None) };
        let Some(opened) = Opened::read(&data) else { return Ok(None) };
        if !opened.is_plain() || opened.envelope.epoch != epoch || now >= opened.envelope.fresh {
            return Ok(None);
        }
        let value = bytes(name.py(), opened.value)?;
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - took.leading_zeros()) as usize;
        self.took[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
        Ok(Some(value))
    }

    /// Return how many reads returned a value, by time: at index n, in less than 2**n
    /// nanoseconds and at least half of that.
    fn latencies(&self) -> Vec<u64> {
        self.took.iter().map(|reads| reads.load(Relaxed)).collect()
    }
}
