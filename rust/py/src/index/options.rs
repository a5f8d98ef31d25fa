//! The options of an index, as Python passes them.

use pyo3::prelude::*;
use tiercel_index as core;

use crate::arguments::{self, Given, choice, shown, size};

/// The arguments of `tiercel.Index`.
pub(super) struct Options<'py> {
    pub(super) dim: Given<'py>,
    pub(super) metric: Given<'py>,
    pub(super) dtype: Given<'py>,
    pub(super) storage: Given<'py>,
    pub(super) m: Given<'py>,
    pub(super) ef_construction: Given<'py>,
    pub(super) raw: Given<'py>,
    pub(super) rerank: Given<'py>,
    pub(super) memory: Given<'py>,
    pub(super) kind: Given<'py>,
    pub(super) build: Given<'py>,
    pub(super) seed: Given<'py>,
}

impl Options<'_> {
    /// Return the options for the core, which checks their ranges.
    pub(super) fn read(&self) -> PyResult<core::Options> {
        let (m, ef_construction) = choice(&self.build, "build", arguments::BUILDS)?;
        let raw = choice(&self.raw, "raw", arguments::RAWS)?;
        let memory = arguments::memory(&self.memory)?;
        let rerank = match (&self.rerank, raw) {
            (Given::No, core::Raw::Nothing) => core::Rerank::Nothing,
            (Given::No, _) if memory.is_some() => core::Rerank::Auto,
            (given, _) => choice(given, "rerank", arguments::RERANKS)?,
        };
        Ok(core::Options {
            dim: size(&self.dim, 0)?,
            metric: choice(&self.metric, "metric", arguments::METRICS)?,
            dtype: choice(&self.dtype, "dtype", arguments::DTYPES)?,
            raw,
            spill: None,
            rerank,
            storage: match &self.storage {
                Given::Yes(value) => arguments::storage(value)?,
                Given::No => core::Storage::Auto,
            },
            memory,
            kind: choice(&self.kind, "kind", arguments::KINDS)?,
            m: size(&self.m, m)?,
            ef_construction: size(&self.ef_construction, ef_construction)?,
            seed: arguments::seed(&self.seed)?,
        })
    }

    /// Show the value of an option in a message.
    pub(super) fn shown(&self, option: &str) -> String {
        let ranges = [
            ("dim", &self.dim),
            ("m", &self.m),
            ("ef_construction", &self.ef_construction),
            ("parts of storage", &self.storage),
        ];
        match ranges.into_iter().find(|(name, _)| *name == option) {
            Some((_, Given::Yes(value))) => shown(value),
            _ => "the default".into(),
        }
    }
}
