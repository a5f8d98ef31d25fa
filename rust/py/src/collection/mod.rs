//! `tiercel._core.CollectionCore`: what `tiercel.Collection` calls.
//!
//! Names, strings and metadata have been checked in Python; arrays are checked here. The core is only called without the GIL.

use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use numpy::{PyArray1, PyArrayMethods};
use parking_lot::{Mutex, RwLock};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tiercel_engine::filter::{FieldType, Filter};
use tiercel_engine::{
    Collection, Config, Durability, Events, Language, Level, Moment, Norms, Order, Page, QueryError, Running, Search,
    Tokenizer, Trouble, Troubles, Wanted, WriteError, metric_name,
};
use tiercel_index::Work;

use crate::arguments::METRICS;
use crate::batch::{Batch, Batched, conditions};
use crate::convert::Rows;
use crate::errors;
use crate::found::{Columns, columns, included, row};
use crate::gil::{Apart, Many, Turns, apart, list};
use crate::query::{Asked, Options, rerank};
use crate::scan::ScanCore;
use crate::work::{Plan, detached, run};

/// A state of a collection as Python gets it: reading, sequence, rows.
type When = (u64, u64, u32);
/// A list of nearest rows as Python gets it: rows, distances, the smallest and the largest norm, when.
type Listed<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>, Norms, When);
/// What was found among a list, when, and the smallest and the largest norm.
type Among<'py> = (Columns<'py>, When, Norms);

const fn when(moment: Moment) -> When {
    (moment.reading, moment.sequence, moment.rows)
}

/// What `tiercel.Collection` calls; use that.
#[pyclass(frozen, weakref, module = "tiercel._core")]
pub(crate) struct CollectionCore {
    /// `None` once it is closed.
    collection: RwLock<Option<Collection>>,
    /// Once it is known it stays.
    dim: OnceLock<usize>,
    /// The last one that was looked at, for after the end.
    config: Mutex<Arc<Config>>,
    path: PathBuf,
    /// Outlives the collection.
    troubles: Arc<Troubles>,
    events: Arc<Events>,
    /// Logs and warns of them; looked up while everything is there, since this may be called while Python ends.
    teller: Py<PyAny>,
    /// Whether the one warning of troubles has been given.
    warned: AtomicBool,
    /// In a process that this one forks, threads that it does not have may hold locks.
    opened_by: u32,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "as Python hands them over")]
impl CollectionCore {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the options of a collection")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        dim: Option<usize>,
        metric: Option<&str>,
        languages: Option<(Option<String>, Option<String>)>,
        fingerprint: Option<String>,
        durability: &str,
        threads: usize,
        read_only: bool,
        schema: Option<Vec<(String, String)>>,
        create: bool,
    ) -> PyResult<Self> {
        let metric =
            metric.and_then(|name| METRICS.iter().find(|(known, _)| *known == name)).map(|(_, metric)| *metric);
        let language = |name: String| Language::from_name(&name).ok_or_else(|| unknown(py, &name));
        let tokenizer = match languages {
            Some((stemming, stop_words)) => Some(Tokenizer {
                stemming: stemming.map(language).transpose()?,
                stop_words: stop_words.map(language).transpose()?,
            }),
            None => None,
        };
        let durability = match durability {
            "interval" => Durability::Interval,
            "none" => Durability::None,
            _ => Durability::Always,
        };
        let typed = |(field, name): (String, String)| {
            let kind = FieldType::from_name(&name);
            Ok((field, kind.ok_or_else(|| errors::internal(py, &format!("the type {name}")))?))
        };
        let schema = schema.map(|fields| fields.into_iter().map(typed).collect::<PyResult<_>>()).transpose()?;
        let wanted = Wanted { dim, metric, tokenizer, fingerprint, schema, must_exist: !create };
        let running = Running { durability, threads };
        let opened = detached(py, || {
            if read_only { Collection::view(&path, &wanted) } else { Collection::open(&path, wanted, running) }
        })?;
        let collection = opened.map_err(|error| errors::open(py, error, &path))?;
        let config = collection.config();
        let (troubles, events) = (collection.troubles(), collection.events());
        let opened = Self {
            collection: RwLock::new(Some(collection)),
            dim: config.dim.map_or_else(OnceLock::new, OnceLock::from),
            config: Mutex::new(config),
            path,
            troubles,
            events,
            teller: py.import("tiercel.trouble")?.getattr("tell")?.unbind(),
            warned: AtomicBool::new(false),
            opened_by: process::id(),
        };
        opened.tell(py)?;
        Ok(opened)
    }

    #[getter]
    pub(crate) fn dim(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        if let Some(dim) = self.dim.get() {
            return Ok(Some(*dim));
        }
        let dim = self.config(py)?.dim;
        Ok(dim.map(|dim| *self.dim.get_or_init(|| dim)))
    }

    #[getter]
    fn metric(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(metric_name(self.config(py)?.metric))
    }

    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.config(py)?.fingerprint.clone())
    }

    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        Ok(self.config(py)?.schema.fields().map(|(name, kind)| (name.to_owned(), kind.to_string())).collect())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.call(py, |collection| collection.len() as usize)
    }

    fn sequence(&self, py: Python<'_>) -> PyResult<u64> {
        self.call(py, Collection::sequence)
    }

    fn contains(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.query(py, |collection| collection.contains(id))
    }

    fn upsert(&self, py: Python<'_>, batch: Batch<'_>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        let batch = Batched::read(batch, self)?;
        self.write(py, move |collection| {
            let (records, vectors, conditions) = batch.into_records(if_sequence);
            collection.upsert_if(records, vectors, conditions)
        })
    }

    fn update(&self, py: Python<'_>, batch: Batch<'_>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        let batch = Batched::read(batch, self)?;
        self.write(py, move |collection| {
            let (records, vectors, conditions) = batch.into_records(if_sequence);
            collection.update(&records, &vectors, &conditions)
        })
    }

    fn set_metadata(
        &self,
        py: Python<'_>,
        ids: Many<String>,
        metadata: Many<Option<String>>,
        if_sequence: Option<Many<u64>>,
    ) -> PyResult<usize> {
        self.write(py, move |collection| {
            let conditions = conditions(&ids.0, if_sequence);
            collection.set_metadata_if(ids.0.into_iter().zip(metadata.0).collect(), conditions)
        })
    }

    fn patch_metadata(
        &self,
        py: Python<'_>,
        ids: Many<String>,
        merge: Many<Option<String>>,
        remove: Vec<String>,
        if_sequence: Option<Many<u64>>,
    ) -> PyResult<usize> {
        self.write(py, move |collection| {
            let conditions = conditions(&ids.0, if_sequence);
            let patches: Vec<_> = ids.0.into_iter().zip(merge.0).collect();
            collection.patch_metadata(&patches, &remove, &conditions)
        })
    }

    fn delete(&self, py: Python<'_>, ids: Many<String>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        self.write(py, move |collection| {
            let conditions = conditions(&ids.0, if_sequence);
            collection.delete_if(ids.0, conditions)
        })
    }

    fn delete_where(&self, py: Python<'_>, filter: &str) -> PyResult<usize> {
        let filter = parse(py, filter)?;
        self.write(py, |collection| collection.delete_where(&filter))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<usize> {
        self.write(py, Collection::clear)
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        ids: Many<String>,
        include: (bool, bool, bool, bool),
    ) -> PyResult<Bound<'py, PyList>> {
        let include = included(include);
        let got = self.query(py, |collection| collection.get(&ids.0, include))?;
        list(py, &mut Turns::new(), got, |got| got.map(|got| row(py, got)).transpose())
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        vector: Option<&Bound<'py, PyAny>>,
        text: Option<String>,
        options: Options<'py>,
        reranker: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Columns<'py>> {
        let asked = Asked::of(options)?;
        let vector = vector.map(|vector| self.rows(vector, "vector", 1)).transpose()?;
        let search = asked.search(vector.as_deref(), text.as_deref(), reranker.is_some());
        let found = match reranker {
            None => self.query(py, |collection| collection.search(&search))?,
            Some(reranker) => {
                let mut candidates = Apart::new(self.query(py, |collection| collection.candidates(&search))?);
                rerank(&mut candidates, reranker, 0)?;
                let candidates = candidates.into_inner();
                self.finish(py, |collection| collection.results(&search, candidates))?
            }
        };
        columns(py, &mut Turns::new(), found, asked.include, asked.explain)
    }

    fn search_many<'py>(
        &self,
        py: Python<'py>,
        vectors: Option<&Bound<'py, PyAny>>,
        texts: Option<Many<String>>,
        options: Options<'py>,
        reranker: Option<&Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let texts = texts.map(|texts| texts.0);
        let asked = Asked::of(options)?;
        let vectors = vectors.map(|vectors| self.queries(vectors, texts.as_ref().map(Vec::len))).transpose()?;
        let (vectors, texts) = (vectors.as_deref(), texts.as_deref());
        let like = asked.search(None, None, reranker.is_some());
        let found = match reranker {
            None => self.long(py, threads, |collection, work| collection.search_many(vectors, texts, &like, work))?,
            Some(reranker) => {
                let first =
                    |collection: &Collection, work: &Work<'_>| collection.candidates_many(vectors, texts, &like, work);
                let mut all = Apart::new(self.long(py, threads, first)?);
                for (at, candidates) in all.iter_mut().enumerate() {
                    rerank(candidates, reranker, at)?;
                }
                let all = all.into_inner();
                let last = |collection: &Collection| {
                    all.into_iter().map(|candidates| collection.results(&like, candidates)).collect()
                };
                self.finish::<Vec<_>>(py, last)?
            }
        };
        let mut turns = Turns::new();
        let answers = PyList::empty(py);
        for found in found {
            answers.append(columns(py, &mut turns, found, asked.include, asked.explain)?)?;
            turns.step(py)?;
        }
        Ok(answers)
    }

    fn moment(&self, py: Python<'_>) -> PyResult<When> {
        self.call(py, |collection| when(collection.moment()))
    }

    fn nearest<'py>(
        &self,
        py: Python<'py>,
        vector: &Bound<'py, PyAny>,
        filter: Option<&str>,
        k: usize,
    ) -> PyResult<Listed<'py>> {
        let vector = self.rows(vector, "vector", 1)?;
        let search = Search { vector: Some(&vector), filter, k, ..Search::default() };
        let list = self.query(py, |collection| collection.list(&search))?;
        let (rows, distances) = (PyArray1::from_vec(py, list.rows), PyArray1::from_vec(py, list.distances));
        Ok((rows, distances, list.norms, when(list.moment)))
    }

    #[expect(clippy::too_many_arguments, reason = "a search, and what it is among")]
    fn search_among<'py>(
        &self,
        py: Python<'py>,
        vector: &Bound<'py, PyAny>,
        options: Options<'py>,
        rows: &Bound<'py, PyArray1<u32>>,
        since: When,
        limit: u32,
        is_filtered: bool,
    ) -> PyResult<Option<Among<'py>>> {
        let asked = Asked::of(options)?;
        let vector = self.rows(vector, "vector", 1)?;
        let search = asked.search(Some(&vector), None, false);
        let rows = rows.to_vec()?;
        let since = Moment { reading: since.0, sequence: since.1, rows: since.2 };
        let among = |collection: &Collection| collection.search_among(&search, &rows, since, limit, is_filtered);
        let Some((found, moment, norms)) = self.query(py, among)? else { return Ok(None) };
        Ok(Some((columns(py, &mut Turns::new(), found, asked.include, asked.explain)?, when(moment), norms)))
    }

    fn count(&self, py: Python<'_>, filter: Option<&str>) -> PyResult<u64> {
        let filter = filter.map(|filter| parse(py, filter)).transpose()?;
        self.query(py, |collection| collection.count(filter.as_ref()))
    }

    fn scan(
        slf: &Bound<'_, Self>,
        filter: Option<&str>,
        order: Option<(String, bool)>,
        limit: Option<usize>,
        after: Option<&str>,
        include: (bool, bool, bool, bool),
    ) -> PyResult<ScanCore> {
        let (py, this) = (slf.py(), slf.get());
        let filter = filter.map(|filter| parse(py, filter)).transpose()?;
        let order = order.map(|(field, descending)| Order { field, descending });
        let page = Page { filter: filter.as_ref(), order, limit, after, include: included(include) };
        let scan = this.query(py, |collection| collection.scan(&page))?;
        Ok(ScanCore::new(slf.clone().unbind(), scan))
    }

    fn checkpoint(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, Collection::checkpoint)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.call(py, Collection::refresh)?.map_err(|error| errors::open(py, error, &self.path))
    }

    fn follow(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let every = Duration::from_secs_f64(seconds);
        let followed = detached(py, || self.collection.write().as_mut().map(|collection| collection.follow(every)))?;
        followed.ok_or_else(|| errors::closed(py, "collection"))?.map_err(|error| errors::open(py, error, &self.path))
    }

    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, Collection::settle)
    }

    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        self.write(py, Collection::compact)
    }

    fn backup(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.call(py, |collection| collection.backup(&path))?.map_err(|error| errors::backup(py, error, &path))
    }

    fn verify(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let damage = self.query(py, Collection::verify)?;
        Ok(damage.iter().map(ToString::to_string).collect())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.query(py, Collection::stats)?;
        let out = PyDict::new(py);
        out.set_item("records", stats.records)?;
        out.set_item("rows", stats.rows)?;
        out.set_item("sequence", stats.sequence)?;
        out.set_item("fresh_vectors", stats.fresh_vectors)?;
        out.set_item("checkpoint_rows", stats.checkpoint_rows)?;
        out.set_item("text_segments", stats.text_segments)?;
        let memory = PyDict::new(py);
        memory.set_item("text", stats.text_bytes)?;
        memory.set_item("fields", stats.field_bytes)?;
        for (part, bytes) in stats.index.iter().flat_map(|index| &index.bytes).filter(|(part, _)| *part != "total") {
            memory.set_item(*part, bytes)?;
        }
        out.set_item("memory", memory)?;
        let disk = PyDict::new(py);
        disk.set_item("records", stats.disk_records)?;
        disk.set_item("segments", stats.disk_segments)?;
        out.set_item("disk", disk)?;
        out.set_item("storage", stats.index.as_ref().map(|index| index.storage))?;
        out.set_item("damaged", stats.damaged)?;
        out.set_item("trouble", stats.trouble.map(|trouble| told(py, &trouble)).transpose()?)?;
        Ok(out)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = detached(py, || self.take().map_or(Ok(()), Collection::close))?;
        self.tell(py)?;
        closed.map_err(|error| errors::write(py, error))
    }

    /// Close for the garbage collector: what goes wrong is told as a trouble.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || drop(self.take()))?;
        match self.tell(py) {
            // Python empties its modules before it drops what they refer to: then there is nothing left to tell with.
            Err(_) if is_ending(py) => Ok(()),
            told => told,
        }
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || self.collection.read().is_none())
    }
}

impl CollectionCore {
    /// Do what a collection that is open is needed for, without the GIL.
    pub(crate) fn while_open<T: Send>(&self, py: Python<'_>, job: impl FnOnce() -> T + Send) -> PyResult<T> {
        self.call(py, |_| job())
    }

    fn call<T: Send>(&self, py: Python<'_>, job: impl FnOnce(&Collection) -> T + Send) -> PyResult<T> {
        self.tell(py)?;
        detached(py, || self.collection.read().as_ref().map(job))?.ok_or_else(|| errors::closed(py, "collection"))
    }

    /// What is open, which is closed from then on. A process that was forked leaves it where it is, if a thread that it does not have was
    /// using it.
    fn take(&self) -> Option<Collection> {
        let taken = if self.opened_by == process::id() {
            self.collection.write().take()
        } else {
            self.collection.try_write()?.take()
        };
        if let Some(collection) = &taken {
            *self.config.lock() = collection.config();
        }
        taken
    }

    /// Log what has happened, and failures that no call returned, and warn of the first of these. Before a call does anything, so that a warning that is an error
    /// leaves everything as it was.
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        if !self.troubles.is_untold() && !self.events.is_waiting() {
            return Ok(());
        }
        let failures = self.troubles.take_untold();
        let events = self.events.take().into_iter().map(|event| (event.level == Level::Warning, event.what));
        let warns = !failures.is_empty() && !self.warned.swap(true, Ordering::Relaxed);
        self.teller.bind(py).call1((&self.path, events.collect::<Vec<_>>(), failures, warns)).map(drop)
    }

    fn query<T: Send>(&self, py: Python<'_>, job: impl Fn(&Collection) -> Result<T, QueryError> + Send) -> PyResult<T> {
        self.call(py, |collection| collection.read(job))?.map_err(|error| errors::query(py, &error))
    }

    /// The end of a query that has begun, in the state in which it began.
    fn finish<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&Collection) -> Result<T, QueryError> + Send,
    ) -> PyResult<T> {
        self.call(py, job)?.map_err(|error| errors::query(py, &error))
    }

    fn write<T: Send>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(&Collection) -> Result<T, WriteError> + Send,
    ) -> PyResult<T> {
        self.call(py, job)?.map_err(|error| errors::write(py, error))
    }

    /// A query that may take long: Ctrl-C stops it.
    fn long<T: Send>(
        &self,
        py: Python<'_>,
        threads: usize,
        job: impl Fn(&Collection, &Work<'_>) -> Result<T, QueryError> + Send,
    ) -> PyResult<T> {
        self.tell(py)?;
        let plan = Plan { threads, long: true, progress: None, total: 0 };
        let open = move |work: &Work<'_>| {
            let collection = self.collection.read();
            collection.as_ref().ok_or(None)?.read(|collection| job(collection, work)).map_err(Some)
        };
        run(py, &plan, open, drop, |py, error| match error {
            Some(error) => errors::query(py, error),
            None => errors::closed(py, "collection"),
        })
    }

    /// Read the vectors of queries, as many as there are texts.
    fn queries(&self, value: &Bound<'_, PyAny>, texts: Option<usize>) -> PyResult<Vec<f32>> {
        let py = value.py();
        let Some(dim) = self.dim(py)? else { return self.rows(value, "vectors", 0) };
        let rows = Rows::extract(value, "vectors", dim)?;
        if rows.single {
            return Err(errors::invalid(py, "vectors: expected a 2-D array, got one vector; search takes that".into()));
        }
        match texts {
            Some(texts) if texts != rows.count => {
                let message = format!("vectors: expected {texts}, one a text, got {}", rows.count);
                Err(errors::invalid(py, message))
            }
            _ => Ok(rows.values),
        }
    }

    /// Read as many vectors to put in as expected. The first ones may be of any length.
    pub(crate) fn new_rows(&self, value: &Bound<'_, PyAny>, expected: usize) -> PyResult<Vec<f32>> {
        match self.dim(value.py())? {
            Some(dim) => counted(value, Rows::extract(value, "vectors", dim)?, "vectors", expected),
            None => counted(value, Rows::of_any_length(value, "vectors")?, "vectors", expected),
        }
    }

    /// Read as many vectors to look for as expected.
    fn rows(&self, value: &Bound<'_, PyAny>, argument: &str, expected: usize) -> PyResult<Vec<f32>> {
        match self.dim(value.py())? {
            Some(dim) => counted(value, Rows::extract(value, argument, dim)?, argument, expected),
            None => Err(errors::query(value.py(), &QueryError::NoVectors)),
        }
    }

    /// What the collection is made with; once it is closed, what it was made with.
    fn config(&self, py: Python<'_>) -> PyResult<Arc<Config>> {
        detached(py, || {
            let now = self.collection.read().as_ref().map(Collection::config);
            let mut last = self.config.lock();
            if let Some(now) = now {
                *last = now;
            }
            Arc::clone(&last)
        })
    }
}

/// The values of rows, if they are as many as expected.
fn counted(value: &Bound<'_, PyAny>, rows: Rows, argument: &str, expected: usize) -> PyResult<Vec<f32>> {
    if rows.count == expected {
        return Ok(rows.values);
    }
    let expected =
        if argument == "vector" { "one vector".into() } else { format!("{expected} vectors, one for each id") };
    Err(errors::invalid(value.py(), format!("{argument}: expected {expected}, got {}", rows.count)))
}

impl Drop for CollectionCore {
    /// Only for what Python did not close by `end`: an object that was never given to anybody.
    fn drop(&mut self) {
        if let Some(collection) = self.collection.get_mut().take() {
            apart(move || drop(collection));
        }
    }
}

/// Whether Python ends. It gives up its modules on the way, so that one that cannot be had says so, too.
fn is_ending(py: Python<'_>) -> bool {
    let says = || py.import("sys")?.call_method0("is_finalizing")?.extract();
    says().unwrap_or(true)
}

/// A failure as `stats` shows it.
fn told<'py>(py: Python<'py>, trouble: &Trouble) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("message", &trouble.what)?;
    out.set_item("time", trouble.at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))?;
    out.set_item("lasts", trouble.lasts)?;
    Ok(out)
}

fn unknown(py: Python<'_>, language: &str) -> PyErr {
    let known: Vec<&str> = Language::ALL.iter().map(|language| language.name()).collect();
    errors::invalid(py, format!("language: expected None or one of {}, got '{language}'", known.join(", ")))
}

fn parse(py: Python<'_>, filter: &str) -> PyResult<Filter> {
    Filter::from_text(filter).map_err(|error| errors::invalid(py, error.to_string()))
}
