//! `tiercel._core.CollectionCore`, which `tiercel.Collection` calls.
//!
//! Names, strings and metadata have been checked in Python; arrays are checked here. The core is
//! only called without the GIL.

mod batch;
mod found;
mod handle;
mod opening;
mod query;
mod scan;
mod stats;
mod vectors;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tiercel_engine::filter::Filter;
use tiercel_engine::{Collection, Language, Moment, Norms, OpenOptions, Order, Page, Running, Search, metric_name};
use tiercel_index::Work;

use crate::arguments;
use crate::errors;
use crate::gil::{Apart, Many, Turns, list};
use crate::work::detached;
use batch::{Batch, Batched, conditions};
use found::{Columns, columns, included, row};
use handle::Handle;
use query::{Asked, Options, rerank};
use stats::stats;

pub(crate) use scan::ScanCore;

/// A state of a collection as Python gets it: reading, sequence, rows.
type When = (u64, u64, u32);
/// A list of nearest rows as Python gets it: rows, distances, the smallest and the largest norm,
/// the state.
type Listed<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>, Norms, When);
/// The results of a search among a list, the state, and the smallest and the largest norm.
type Among<'py> = (Columns<'py>, When, Norms);

const fn when(moment: Moment) -> When {
    (moment.reading, moment.sequence, moment.rows)
}

/// The core of `tiercel.Collection`. Use that class.
#[pyclass(frozen, weakref, module = "tiercel._core")]
pub(crate) struct CollectionCore {
    handle: Arc<Handle>,
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
        storage: Option<&Bound<'_, PyAny>>,
        raw: &str,
        rerank: &str,
    ) -> PyResult<Self> {
        let wanted = OpenOptions {
            dim,
            metric: metric.and_then(|name| opening::named(arguments::METRICS, name)),
            storage: storage.map(arguments::storage).transpose()?,
            tokenizer: languages.map(|languages| opening::tokenizer(py, languages)).transpose()?,
            fingerprint,
            schema: schema.map(|fields| opening::schema(py, fields)).transpose()?,
            raw: opening::named(arguments::RAWS, raw),
            rerank: opening::named(arguments::RERANKS, rerank),
            must_exist: !create,
        };
        let running = Running { threads, ..Running::new(opening::durability(durability)) };
        let opened = detached(py, || {
            if read_only { Collection::view(&path, &wanted) } else { Collection::open(&path, wanted, running) }
        })?;
        let collection = opened.map_err(|error| errors::open(py, error, &path))?;
        Ok(Self { handle: Arc::new(Handle::new(py, collection, path)?) })
    }

    #[getter]
    fn dim(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        self.handle.dim(py)
    }

    #[getter]
    fn metric(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(metric_name(self.handle.config(py)?.metric))
    }

    #[getter]
    fn storage(&self, py: Python<'_>) -> PyResult<Cow<'static, str>> {
        Ok(self.handle.config(py)?.storage.name())
    }

    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.handle.call(py, |collection| collection.raw().name())
    }

    #[getter]
    fn rerank(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.handle.call(py, |collection| arguments::name(arguments::RERANKS, collection.rerank()))
    }

    #[getter]
    fn language(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.handle.config(py)?.tokenizer.stemming.map(Language::name))
    }

    #[getter]
    fn fingerprint(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.handle.config(py)?.fingerprint.clone())
    }

    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        Ok(self.handle.config(py)?.schema.fields().map(|(name, kind)| (name.to_owned(), kind.to_string())).collect())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.handle.call(py, |collection| collection.len() as usize)
    }

    fn sequence(&self, py: Python<'_>) -> PyResult<u64> {
        self.handle.call(py, Collection::sequence)
    }

    fn contains(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.handle.query(py, |collection| collection.contains(id))
    }

    fn upsert(&self, py: Python<'_>, batch: Batch<'_>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        let batch = Batched::read(batch, &self.handle)?;
        let new = batch.vectors();
        let upserted = self.handle.write(py, move |collection| {
            let (records, vectors, conditions) = batch.into_records(if_sequence);
            collection.upsert_if(records, vectors, conditions)
        })?;
        self.handle.keep_pace(py, new)?;
        Ok(upserted)
    }

    fn update(&self, py: Python<'_>, batch: Batch<'_>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        let batch = Batched::read(batch, &self.handle)?;
        let new = batch.vectors();
        let updated = self.handle.write(py, move |collection| {
            let (records, vectors, conditions) = batch.into_records(if_sequence);
            collection.update(&records, &vectors, &conditions)
        })?;
        self.handle.keep_pace(py, new)?;
        Ok(updated)
    }

    fn set_metadata(
        &self,
        py: Python<'_>,
        ids: Many<String>,
        metadata: Many<Option<String>>,
        if_sequence: Option<Many<u64>>,
    ) -> PyResult<usize> {
        self.handle.write(py, move |collection| {
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
        self.handle.write(py, move |collection| {
            let conditions = conditions(&ids.0, if_sequence);
            let patches: Vec<_> = ids.0.into_iter().zip(merge.0).collect();
            collection.patch_metadata(&patches, &remove, &conditions)
        })
    }

    fn delete(&self, py: Python<'_>, ids: Many<String>, if_sequence: Option<Many<u64>>) -> PyResult<usize> {
        self.handle.write(py, move |collection| {
            let conditions = conditions(&ids.0, if_sequence);
            collection.delete_if(ids.0, conditions)
        })
    }

    fn delete_where(&self, py: Python<'_>, filter: &str) -> PyResult<usize> {
        let filter = parse(py, filter)?;
        self.handle.write(py, |collection| collection.delete_where(&filter))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<usize> {
        self.handle.write(py, Collection::clear)
    }

    fn get<'py>(
        &self,
        py: Python<'py>,
        ids: Many<String>,
        include: (bool, bool, bool, bool),
    ) -> PyResult<Bound<'py, PyList>> {
        let include = included(include);
        let got = self.handle.query(py, |collection| collection.get(&ids.0, include))?;
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
        let vector = vector.map(|vector| vectors::rows(&self.handle, vector, "vector", 1)).transpose()?;
        let search = asked.search(vector.as_deref(), text.as_deref(), reranker.is_some());
        let found = match reranker {
            None => self.handle.query(py, |collection| collection.search(&search))?,
            Some(reranker) => {
                let mut candidates = Apart::new(self.handle.query(py, |collection| collection.candidates(&search))?);
                rerank(&mut candidates, reranker, 0)?;
                let candidates = candidates.into_inner();
                self.handle.finish(py, |collection| collection.results(&search, candidates))?
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
        let vectors =
            vectors.map(|vectors| vectors::queries(&self.handle, vectors, texts.as_ref().map(Vec::len))).transpose()?;
        let (vectors, texts) = (vectors.as_deref(), texts.as_deref());
        let like = asked.search(None, None, reranker.is_some());
        let found = match reranker {
            None => {
                self.handle.long(py, threads, |collection, work| collection.search_many(vectors, texts, &like, work))?
            }
            Some(reranker) => {
                let first =
                    |collection: &Collection, work: &Work<'_>| collection.candidates_many(vectors, texts, &like, work);
                let mut all = Apart::new(self.handle.long(py, threads, first)?);
                for (at, candidates) in all.iter_mut().enumerate() {
                    rerank(candidates, reranker, at)?;
                }
                let all = all.into_inner();
                let last = |collection: &Collection| {
                    all.into_iter().map(|candidates| collection.results(&like, candidates)).collect()
                };
                self.handle.finish::<Vec<_>>(py, last)?
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
        self.handle.call(py, |collection| when(collection.moment()))
    }

    fn nearest<'py>(
        &self,
        py: Python<'py>,
        vector: &Bound<'py, PyAny>,
        filter: Option<&str>,
        k: usize,
    ) -> PyResult<Listed<'py>> {
        let vector = vectors::rows(&self.handle, vector, "vector", 1)?;
        let search = Search { vector: Some(&vector), filter, k, ..Search::default() };
        let list = self.handle.query(py, |collection| collection.list(&search))?;
        let (rows, distances) = (PyArray1::from_vec(py, list.rows), PyArray1::from_vec(py, list.distances));
        Ok((rows, distances, list.norms, when(list.moment)))
    }

    #[expect(clippy::too_many_arguments, reason = "a search, and the rows that it is among")]
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
        let vector = vectors::rows(&self.handle, vector, "vector", 1)?;
        let search = asked.search(Some(&vector), None, false);
        let rows = rows.to_vec()?;
        let since = Moment { reading: since.0, sequence: since.1, rows: since.2 };
        let among = |collection: &Collection| collection.search_among(&search, &rows, since, limit, is_filtered);
        let Some((found, moment, norms)) = self.handle.query(py, among)? else { return Ok(None) };
        Ok(Some((columns(py, &mut Turns::new(), found, asked.include, asked.explain)?, when(moment), norms)))
    }

    fn count(&self, py: Python<'_>, filter: Option<&str>) -> PyResult<u64> {
        let filter = filter.map(|filter| parse(py, filter)).transpose()?;
        self.handle.query(py, |collection| collection.count(filter.as_ref()))
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
        let scan = this.handle.query(py, |collection| collection.scan(&page))?;
        Ok(ScanCore::new(Arc::clone(&this.handle), scan))
    }

    fn checkpoint(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.write(py, Collection::checkpoint)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.handle.call(py, Collection::refresh)?.map_err(|error| errors::open(py, error, self.handle.path()))
    }

    fn follow(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        self.handle.follow(py, Duration::from_secs_f64(seconds))
    }

    fn wait_idle(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.write(py, Collection::wait_idle)
    }

    fn compact(&self, py: Python<'_>, storage: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let storage = storage.map(arguments::storage).transpose()?;
        self.handle.write(py, |collection| match storage {
            Some(storage) => collection.change_storage(storage),
            None => collection.compact(),
        })
    }

    #[staticmethod]
    fn graph_bytes(py: Python<'_>, path: PathBuf) -> PyResult<u64> {
        detached(py, || Collection::graph_bytes(&path))?.map_err(|error| errors::open(py, error, &path))
    }

    fn bytes_to_compact(&self, py: Python<'_>, storage: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let storage = storage.map(arguments::storage).transpose()?;
        self.handle.write(py, |collection| collection.bytes_to_compact(storage))
    }

    fn backup(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.handle.call(py, |collection| collection.backup(&path))?.map_err(|error| errors::backup(py, error, &path))
    }

    fn verify(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let damage = self.handle.query(py, Collection::verify)?;
        Ok(damage.iter().map(ToString::to_string).collect())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats(py, &self.handle.query(py, Collection::stats)?)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.close(py)
    }

    /// Close for the garbage collector: failures are reported as troubles.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.end(py)
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.handle.is_closed(py)
    }
}

fn parse(py: Python<'_>, filter: &str) -> PyResult<Filter> {
    Filter::from_text(filter).map_err(|error| errors::invalid(py, error.to_string()))
}
