//! The contents of an index at one moment, and the form in which its vectors are compared.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::errors::{AddError, LoadError, RowError};
use crate::graph::Graph;
use crate::options::{Dtype, Options, Rerank};
use crate::partitions::Partitions;
use crate::storage::any_space::AnySpace;
use crate::storage::bitset::Bitset;
use crate::storage::check::check_rows;
use crate::storage::codes::Codes;
use crate::storage::efforts::Efforts;
use crate::storage::ids::Ids;
use crate::storage::ranks::Ranks;
use crate::storage::rows::Rows;
use crate::work::Work;

/// Rows copied at a time.
const COPIED: usize = 256;

/// The form of the vectors that walks and scans compare.
#[derive(Clone)]
pub(crate) enum Coding {
    /// Too few vectors to fit a codec; every search is exact.
    Untrained,
    /// The full vectors.
    Raw,
    /// Codes.
    Codes(Codes),
}

/// The contents of an index at one moment. Slots number the vectors in the order they were added.
///
/// A published state never changes. A clone shares all arrays with it, and a change to the clone
/// copies only what changes.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) rows: Rows,
    /// The same in half precision, if candidates are compared with that.
    pub(crate) halves: Option<Rows>,
    pub(crate) ids: Ids,
    /// Slots whose vectors were removed; walks pass through them but never find them. It covers the
    /// slots that existed at the last removal.
    pub(crate) dead: Arc<Bitset>,
    pub(crate) coding: Coding,
    /// Number of slots when the codec was fitted.
    pub(crate) trained: usize,
    /// Number of slots when the codec was last checked against new vectors.
    pub(crate) checked: usize,
    /// The graph over the first slots; searches scan the rest.
    pub(crate) graph: Arc<Graph>,
    /// The first slots in lists; searches scan the rest. None in an index of another kind, and with
    /// too few vectors.
    pub(crate) partitions: Option<Arc<Partitions>>,
    /// Share of true neighbours that walks found at the last survey with enough living vectors.
    pub(crate) graph_recall: f32,
    /// What walks needed to reach each target recall, at that survey.
    pub(crate) efforts: Efforts,
    /// Number of slots in the graph at that survey; 0 if the codec was fitted since.
    pub(crate) surveyed: usize,
    pub(crate) build_seconds: f64,
    /// The place of the choice by a budget of memory.
    pub(crate) choice: Option<usize>,
    /// See [`crate::Index::version`].
    pub(crate) version: u64,
}

/// The memory of a state, by part.
pub(crate) struct Bytes(pub(crate) [(&'static str, usize); 6]);

impl Bytes {
    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(|part| part.1).sum()
    }
}

impl State {
    /// Return the memory that this takes.
    pub(crate) fn bytes(&self) -> Bytes {
        let (vectors, beside) = self.rows.bytes();
        let (halves, beside_halves) = self.halves.as_ref().map_or((0, 0), Rows::bytes);
        let codes = if let Coding::Codes(codes) = &self.coding { codes.bytes.bytes() } else { 0 };
        Bytes([
            ("vectors", vectors + halves),
            ("codes", codes),
            ("links", self.graph.bytes()),
            ("lists", self.partitions.as_ref().map_or(0, |partitions| partitions.bytes())),
            ("ids", self.ids.bytes()),
            ("other", beside + beside_halves + self.dead.bytes()),
        ])
    }

    pub(crate) fn new(options: &Options) -> Self {
        Self {
            rows: Rows::new(options),
            halves: options.keeps_halves().then(|| Rows::halves(options)),
            ids: Ids::new(),
            dead: Arc::default(),
            coding: Coding::Untrained,
            trained: 0,
            checked: 0,
            graph: Arc::new(Graph::new(options.m, options.seed)),
            partitions: None,
            graph_recall: 1.0,
            efforts: Efforts::USUAL,
            surveyed: 0,
            build_seconds: 0.0,
            choice: None,
            version: 0,
        }
    }

    /// Return the same without vectors, but with the norms, the next id and the version.
    pub(crate) fn emptied(&self, options: &Options) -> Self {
        let halves = self.halves.as_ref().filter(|_| options.keeps_halves());
        let halves = halves.map(|halves| halves.emptied(&options.of_halves()));
        Self {
            rows: self.rows.emptied(options),
            halves,
            ids: self.ids.emptied(),
            version: self.version,
            ..Self::new(options)
        }
    }

    /// Forget the vector of an id. Return whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.ids.remove(id) else { return false };
        let slots = self.slots();
        let dead = Arc::make_mut(&mut self.dead);
        dead.resize(slots);
        dead.insert(slot);
        self.version += 1;
        true
    }

    /// Free spare memory.
    pub(crate) fn shrink(&mut self) {
        self.rows.shrink();
        self.halves.iter_mut().for_each(Rows::shrink);
        self.ids.shrink();
        Arc::make_mut(&mut self.graph).shrink();
        if let Some(partitions) = &mut self.partitions {
            Arc::make_mut(partitions).shrink();
        }
        if let Coding::Codes(codes) = &mut self.coding {
            codes.bytes.shrink();
        }
    }

    /// Slots whose vectors can be found, in order.
    pub(crate) fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.slots()).filter(|slot| !self.dead.contains(*slot))
    }

    /// Number of slots, including those of removed vectors.
    pub(crate) fn slots(&self) -> usize {
        self.ids.slots()
    }

    /// Return the space in which a graph is linked: that of full vectors, if codes are too coarse.
    pub(crate) fn linking_space(&self) -> AnySpace<'_> {
        match &self.coding {
            Coding::Codes(codes) if codes.codec.kind().links() => AnySpace::Codes(codes),
            _ => AnySpace::Raw(&self.rows),
        }
    }

    /// Return the space in which vectors are compared.
    #[inline]
    pub(crate) const fn space(&self) -> AnySpace<'_> {
        match &self.coding {
            Coding::Untrained | Coding::Raw => AnySpace::Raw(&self.rows),
            Coding::Codes(codes) => AnySpace::Codes(codes),
        }
    }

    /// Copy the rows in half precision, if there is to be a copy.
    pub(crate) fn fill_halves(&mut self, options: &Options) -> Result<(), LoadError> {
        if self.halves.is_none() {
            return Ok(());
        }
        let watch = self.rows.watch();
        let copied = self.in_halves(options);
        // Vectors that could not be read are not what cannot be copied.
        watch.check().map_err(io::Error::from)?;
        self.halves = Some(copied.map_err(LoadError::Half)?);
        Ok(())
    }

    /// Return a copy of the rows in half precision. Nobody stops this.
    pub(crate) fn in_halves(&self, options: &Options) -> Result<Rows, RowError> {
        let mut halves = Rows::halves(options);
        let (mut scratch, mut first) = (Vec::new(), 0);
        while first < self.rows.len() {
            let last = self.rows.len().min(first + COPIED);
            let some = self.rows.block(first, last, &mut scratch);
            check_rows("vectors", some, first, options, Dtype::F16)?;
            let _ = halves.append(some, &Work::quiet(1, &AtomicBool::new(false)));
            first += some.len() / self.rows.dim();
        }
        halves.shrink();
        Ok(halves)
    }

    /// Append vectors to the copy in half precision, if there is one. If a budget of memory made it and
    /// they do not fit into half precision, drop it, and have the next choice made.
    pub(crate) fn append_halves(
        &mut self,
        vectors: &[f32],
        options: &Options,
        work: &Work<'_>,
    ) -> Result<(), AddError> {
        let Some(halves) = &mut self.halves else { return Ok(()) };
        if options.rerank == Rerank::Auto && check_rows("vectors", vectors, 0, options, Dtype::F16).is_err() {
            (self.halves, self.trained) = (None, 0);
            return Ok(());
        }
        halves.append(vectors, work)
    }

    /// Replace the rows by a copy in half precision.
    pub(crate) fn keep_halves_alone(&mut self, options: &Options) -> Result<(), LoadError> {
        self.halves = Some(Rows::halves(options));
        self.fill_halves(options)?;
        self.rows = self.halves.take().expect("made above");
        Ok(())
    }

    /// Return what candidates are compared with once more.
    pub(crate) const fn rerank(&self, options: &Options) -> Rerank {
        match options.rerank {
            Rerank::Auto if self.halves.is_some() => Rerank::Half,
            Rerank::Auto => Rerank::Full,
            asked => asked,
        }
    }

    /// Return the rows with which the best candidates are compared once more. Those found without
    /// codes were compared in full precision already.
    pub(crate) fn rescoring(&self, rerank: Rerank) -> &Rows {
        match (rerank, &self.halves, &self.coding) {
            (Rerank::Half, Some(halves), Coding::Codes(_)) => halves,
            _ => &self.rows,
        }
    }

    /// Forget the full vectors, if none are to be kept and all have codes.
    pub(crate) fn forget_full(&mut self, options: &Options) {
        if let Coding::Codes(codes) = &self.coding
            && options.keeps_nothing()
        {
            self.rows.forget(&codes.codec, &codes.bytes);
        }
    }

    /// Return how far down true neighbours rank in the space that searches compare.
    pub(crate) fn ranks(&self) -> Ranks {
        if let Coding::Codes(codes) = &self.coding { codes.trial.ranks } else { Ranks::default() }
    }
}
