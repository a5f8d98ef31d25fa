//! The tiers of `tiercel.cache`: their common interface, and one class each.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::exceptions::{PyKeyError, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFrozenSet, PyIterator, PyList, PySet, PyString};
use tiercel_cache::{Begin, Files, Key, KeyRef, Kind, Lasting, Look, Memory, OpenError, Put, Store, Tier};
use tiercel_container::{OsVfs, ReadOnlyVfs};
use tiercel_simd::allocator::{give_back, keep_up};

use crate::arguments::{self, Given, Whole, shown, whole};
use crate::errors::{closed, invalid, store_open};
use crate::gil::{Apart, LARGE, Turns, bytes, list};
use crate::work::detached;

/// Keys looked up before other threads get a chance to run.
const TOGETHER: usize = 256;

/// The default zstd level of `Files`.
const LEVEL: i32 = 3;

/// The interface of every tier: bytes by key.
#[pyclass(subclass, frozen, weakref, module = "tiercel._core")]
pub(crate) struct TierCore {
    tier: Apart<Arc<dyn Tier>>,
    /// The same tier, if it has files. Its calls may wait for a disk, and it can be closed.
    lasting: Option<Apart<Arc<dyn Lasting>>>,
    closed: AtomicBool,
}

/// The core of `tiercel.cache.Memory`. Use that class.
#[pyclass(subclass, frozen, extends = TierCore, module = "tiercel._core")]
pub(crate) struct MemoryCore;

/// The additional interface of tiers that outlive the process.
#[pyclass(subclass, frozen, extends = TierCore, module = "tiercel._core")]
pub(crate) struct PersistentTierCore;

/// The core of `tiercel.cache.Store`. Use that class.
#[pyclass(subclass, frozen, extends = PersistentTierCore, module = "tiercel._core")]
pub(crate) struct StoreCore;

/// The core of `tiercel.cache.Files`. Use that class.
#[pyclass(subclass, frozen, extends = PersistentTierCore, module = "tiercel._core")]
pub(crate) struct FilesCore;

/// Whether a value was stored, and what it evicted.
type PutEvicting<'py> = (bool, Vec<(Bound<'py, PyAny>, Bound<'py, PyBytes>)>);

impl TierCore {
    pub(crate) fn tier(&self) -> Arc<dyn Tier> {
        Arc::clone(&self.tier)
    }

    fn new(tier: Arc<dyn Tier>, lasting: Option<Arc<dyn Lasting>>) -> Self {
        Self { tier: Apart::new(tier), lasting: lasting.map(Apart::new), closed: AtomicBool::new(false) }
    }

    /// Call the tier, without the GIL if it may wait for a disk. A call to memory is faster than
    /// releasing the GIL, and a fork while the GIL is free would leave the child with locks held
    /// by threads that it lacks.
    fn call<T: Send>(&self, py: Python<'_>, job: impl FnOnce(&dyn Tier) -> T + Send) -> PyResult<T> {
        if self.lasting.is_none() {
            return Ok(job(&**self.tier));
        }
        if self.closed.load(Relaxed) {
            return Err(closed(py, "tier"));
        }
        detached(py, || job(&**self.tier))
    }

    /// Work on the whole tier. In memory, the work holds the GIL for the reasons above, but
    /// takes turns with other threads.
    fn call_in_steps<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&dyn Tier, &mut dyn FnMut()) -> T + Send,
    ) -> PyResult<T> {
        if self.lasting.is_some() {
            return self.call(py, |tier| job(tier, &mut || ()));
        }
        let (mut turns, mut raised) = (Turns::new(), Ok(()));
        let done = job(&**self.tier, &mut || {
            // An exception from a signal handler is raised after all the work is done.
            if let Err(exception) = turns.step(py) {
                raised = Err(exception);
            }
        });
        raised.map(|()| done)
    }

    fn keep(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Put> {
        keep_up();
        let (given, value) = (asked(key)?, content(value)?);
        self.call(key.py(), |tier| tier.put(given, value))
    }
}

#[pymethods]
impl TierCore {
    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let given = asked(key)?;
        match self.call(key.py(), |tier| tier.get(given))? {
            Some(value) => bytes(key.py(), &value),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Put::TooLarge { bytes, most } = self.keep(key, value)? else { return Ok(()) };
        let expected = format!("at most {most} bytes together with its key and bookkeeping");
        Err(invalid(key.py(), format!("value: expected {expected}, got {bytes}")))
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.delete(key)? { Ok(()) } else { Err(PyKeyError::new_err(key.clone().unbind())) }
    }

    /// Whether a key is present; False for anything that is neither a str nor bytes.
    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        if !key.is_instance_of::<PyString>() && !key.is_instance_of::<PyBytes>() {
            return Ok(false);
        }
        let given = asked(key)?;
        self.call(key.py(), |tier| tier.contains(given))
    }

    /// Return the number of keys.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.call(py, |tier| tier.len())
    }

    /// Iterate over the keys of this moment, in no order.
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let keys = self.call_in_steps(py, |tier, pause| tier.keys_in_steps(pause))?;
        list(py, &mut Turns::new(), keys, |key| Ok(told(py, &key)))?.try_iter()
    }

    /// Return the value of a key, or `default`.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let given = asked(key)?;
        let value = self.call(key.py(), |tier| tier.get(given))?;
        value.map_or(Ok(default), |value| Ok(Some(bytes(key.py(), &value)?.into_any())))
    }

    /// Get the values of keys, in their order; None for each missing key.
    fn get_many<'py>(&self, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = keys.py();
        let expected = || invalid(py, format!("keys: expected a list of str or bytes, got {}", shown(keys)));
        // A set has no order, and the values do not name their keys.
        let is_set = keys.is_instance_of::<PySet>() || keys.is_instance_of::<PyFrozenSet>();
        if is_set || keys.is_instance_of::<PyString>() || keys.is_instance_of::<PyBytes>() {
            return Err(expected());
        }
        let mut turns = Turns::new();
        let mut taken = |key| turns.step(py).map(|()| key);
        let all = keys.try_iter().map_err(|_| expected())?.map(|key| taken(key?)).collect::<PyResult<Vec<_>>>()?;
        let given = all.iter().map(asked).collect::<PyResult<Vec<_>>>()?;
        let values = if self.lasting.is_some() {
            self.call(py, |tier| tier.get_many(&given))?
        } else {
            // Hold the GIL, in turns with other threads; see `call`.
            let mut values = Vec::with_capacity(given.len());
            for some in given.chunks(TOGETHER) {
                values.extend(self.tier.get_many(some));
                turns.look(py)?;
            }
            values
        };
        list(py, &mut turns, values, |value| value.map(|value| bytes(py, &value)).transpose())
    }

    /// Store a value. Return False if it is too large for the tier or the disk refuses it.
    fn put(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.keep(key, value)? == Put::Kept)
    }

    /// Store a value. Return whether that succeeded, and the entries that were evicted.
    ///
    /// A replaced value is not among them, but the new one is if the tier evicts it at once. A
    /// refused value evicts nothing.
    fn put_evicting<'py>(&self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<PutEvicting<'py>> {
        keep_up();
        let (py, given, value) = (key.py(), asked(key)?, content(value)?);
        let (put, evicted) = self.call(py, |tier| tier.put_evicting(given, value))?;
        let evicted = evicted.iter().map(|(key, value)| Ok((told(py, key), bytes(py, value)?)));
        Ok((put == Put::Kept, evicted.collect::<PyResult<_>>()?))
    }

    /// Delete a key. Return whether it was present.
    fn delete(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let given = asked(key)?;
        self.call(key.py(), |tier| tier.delete(given))
    }

    /// Remove everything and release the memory.
    ///
    /// If the disk refuses, `stats()` counts it and `flush` returns False.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.call_in_steps(py, |tier, pause| tier.clear_in_steps(pause))?;
        detached(py, give_back)
    }

    /// Bytes that count against the size of the tier.
    #[getter]
    fn bytes(&self, py: Python<'_>) -> PyResult<u64> {
        self.call(py, |tier| tier.bytes())
    }

    /// Return the contents, and counters since the tier was opened.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (entries, bytes, counts) = self.call(py, |tier| (tier.len(), tier.bytes(), tier.counts()))?;
        let stats = PyDict::new(py);
        stats.set_item("entries", entries)?;
        stats.set_item("bytes", bytes)?;
        stats.set_item("hits", counts.hits)?;
        stats.set_item("misses", counts.misses)?;
        stats.set_item("puts", counts.puts)?;
        stats.set_item("evictions", counts.evictions)?;
        stats.set_item("refused", counts.refused)?;
        stats.set_item("damaged", counts.damaged)?;
        stats.set_item("failures", counts.failures)?;
        Ok(stats)
    }
}

#[pymethods]
impl MemoryCore {
    #[new]
    fn new(bytes: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        let tier = Memory::new(room(bytes, "bytes")?);
        Ok(PyClassInitializer::from(TierCore::new(Arc::new(tier), None)).add_subclass(Self))
    }
}

#[pymethods]
impl StoreCore {
    #[new]
    #[pyo3(signature = (path, bytes, level=None, *, create=Given::No), text_signature = "(path, bytes, level=None, *, create=True)")]
    #[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
    fn new(
        path: &Bound<'_, PyAny>,
        bytes: &Bound<'_, PyAny>,
        level: Option<&Bound<'_, PyAny>>,
        create: Given<'_>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (level, begin) = (arguments::level(level)?, begin(&create)?);
        Ok(lasting(path, bytes, |path, bytes| Store::open(Arc::new(OsVfs), path, begin, bytes, level))?
            .add_subclass(Self))
    }
}

#[pymethods]
impl FilesCore {
    #[new]
    #[pyo3(signature = (path, bytes, level=Given::No, *, create=Given::No), text_signature = "(path, bytes, level=3, *, create=True)")]
    #[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
    fn new(
        path: &Bound<'_, PyAny>,
        bytes: &Bound<'_, PyAny>,
        level: Given<'_>,
        create: Given<'_>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let begin = begin(&create)?;
        let level = match &level {
            Given::No => Some(LEVEL),
            Given::Yes(level) => arguments::level(Some(level).filter(|level| !level.is_none()))?,
        };
        Ok(lasting(path, bytes, |path, bytes| Files::open(Arc::new(OsVfs), path, begin, bytes, level))?
            .add_subclass(Self))
    }
}

/// Whether to create a missing tier; the default is yes.
fn begin(create: &Given<'_>) -> PyResult<Begin> {
    let Given::Yes(create) = create else { return Ok(Begin::IfMissing) };
    match create.cast::<PyBool>() {
        Ok(create) => Ok(if create.is_true() { Begin::IfMissing } else { Begin::Never }),
        Err(_) => Err(invalid(create.py(), format!("create: expected True or False, got {}", shown(create)))),
    }
}

/// Open a tier of the size `bytes` in a directory.
fn lasting<T: Lasting + 'static>(
    path: &Bound<'_, PyAny>,
    bytes: &Bound<'_, PyAny>,
    open: impl FnOnce(&Path, u64) -> Result<T, OpenError> + Send,
) -> PyResult<PyClassInitializer<PersistentTierCore>> {
    let (py, path, bytes) = (path.py(), arguments::path(path)?, room(bytes, "bytes")?);
    let opened = detached(py, || open(&path, bytes))?;
    let tier = Arc::new(opened.map_err(|error| store_open(py, &error, &path))?);
    let core = TierCore::new(Arc::<T>::clone(&tier), Some(tier));
    Ok(PyClassInitializer::from(core).add_subclass(PersistentTierCore))
}

#[pymethods]
impl PersistentTierCore {
    /// Write the buffer and sync the files.
    ///
    /// If this returns True, all earlier puts and deletions survive a power cut.
    ///
    /// Return False if the disk refuses, or has refused since the last flush: the tier is then
    /// empty.
    fn flush(this: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, core) = (this.py(), this.as_super().get());
        let Some(tier) = core.lasting.as_deref().filter(|_| !core.closed.load(Relaxed)) else {
            return Err(closed(py, "tier"));
        };
        detached(py, || tier.flush())
    }

    /// Write the buffer to the files without a sync, so that it survives the process, but not a
    /// power cut. Return False if the disk refuses.
    fn write(this: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, core) = (this.py(), this.as_super().get());
        let Some(tier) = core.lasting.as_ref().filter(|_| !core.closed.load(Relaxed)) else {
            return Err(closed(py, "tier"));
        };
        detached(py, || tier.write_out())
    }

    /// Write the buffer and close the files. Closing twice is harmless.
    fn close(this: &Bound<'_, Self>) -> PyResult<()> {
        let (py, core) = (this.py(), this.as_super().get());
        core.closed.store(true, Relaxed);
        core.lasting.as_deref().map_or(Ok(()), |tier| detached(py, || tier.close()))
    }

    /// Whether the tier was closed.
    #[getter]
    fn closed(this: &Bound<'_, Self>) -> bool {
        this.as_super().get().closed.load(Relaxed)
    }
}

/// A look at the directory of a `Store` or `Files` that changes nothing.
///
/// While it lives, nobody can open the directory for writing.
#[pyclass(frozen, module = "tiercel._core")]
pub(crate) struct TierLook {
    look: Look,
    /// Number of keys.
    #[pyo3(get)]
    entries: usize,
    /// Bytes that count against the size of the tier.
    #[pyo3(get)]
    bytes: u64,
    /// Number of damaged parts, not counting values.
    #[pyo3(get)]
    damaged: u64,
}

#[pymethods]
impl TierLook {
    #[new]
    fn new(path: &Bound<'_, PyAny>, files: bool) -> PyResult<Self> {
        let (py, path) = (path.py(), arguments::path(path)?);
        let open = if files { Look::at_files } else { Look::at_store };
        let found = detached(py, || open(Arc::new(ReadOnlyVfs), &path))?;
        let look = found.map_err(|error| store_open(py, &error, &path))?;
        Ok(Self { entries: look.len(), bytes: look.bytes(), damaged: look.damaged(), look })
    }

    /// Whether the value with this number is intact.
    fn is_whole(&self, py: Python<'_>, number: usize) -> PyResult<bool> {
        detached(py, || self.look.is_whole(number))
    }
}

/// Read a key: a str or bytes.
pub(crate) fn asked<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<KeyRef<'a>> {
    if let Ok(text) = key.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(KeyRef::text(text)),
            Err(cause) => {
                Err(crate::errors::invalid_because(key.py(), "key: expected text that UTF-8 can hold", cause))
            }
        };
    }
    match key.cast::<PyBytes>() {
        Ok(bytes) => Ok(KeyRef::bytes(bytes.as_bytes())),
        Err(_) => Err(invalid(key.py(), format!("key: expected str or bytes, got {}", shown(key)))),
    }
}

/// Return a key of the tier in its original type.
fn told<'py>(py: Python<'py>, key: &Key) -> Bound<'py, PyAny> {
    let KeyRef { kind, bytes } = key.borrow();
    match kind {
        Kind::Text => PyString::new(py, &String::from_utf8_lossy(bytes)).into_any(),
        Kind::Bytes | Kind::Content => PyBytes::new(py, bytes).into_any(),
    }
}

fn content(value: &Bound<'_, PyAny>) -> PyResult<Arc<[u8]>> {
    let data = arguments::data(value, "value")?;
    let bytes = data.as_bytes();
    let copy = || tiercel_cache::copied(bytes);
    let content = if bytes.len() < LARGE { copy() } else { detached(value.py(), copy)? };
    content.ok_or_else(no_memory)
}

pub(crate) fn no_memory() -> PyErr {
    PyMemoryError::new_err("not enough memory for the value")
}

/// Read the size of a tier or of a value.
pub(crate) fn room(bytes: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    match whole(bytes)? {
        Some(Whole::Fits(number)) if number >= 1 => Ok(number),
        _ => Err(invalid(bytes.py(), format!("{name}: expected an int from 1 to 2**64 - 1, got {}", shown(bytes)))),
    }
}
