//! What an index holds at one moment, and what its vectors are compared on.

use std::sync::Arc;

use crate::graph::Graph;
use crate::options::Options;
use crate::storage::any_space::AnySpace;
use crate::storage::bitset::Bitset;
use crate::storage::codes::Codes;
use crate::storage::ids::Ids;
use crate::storage::rows::Rows;

/// What walks and scans compare.
#[derive(Clone)]
pub(crate) enum Coding {
    /// There are too few vectors to fit a codec: every search is exact.
    Untrained,
    /// The full vectors.
    Raw,
    /// Codes.
    Codes(Codes),
}

/// What an index holds at one moment. Slots number the vectors in the order they were added.
///
/// A published state never changes. A clone shares all arrays with it, and a change to the clone costs what it changes.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) rows: Rows,
    pub(crate) ids: Ids,
    /// Slots whose vectors were removed: walked through, never found. Over the slots there were at the last removal.
    pub(crate) dead: Arc<Bitset>,
    pub(crate) coding: Coding,
    /// Slots there were when the codec was fitted.
    pub(crate) trained: usize,
    /// Slots there were when the codec was last checked against new vectors.
    pub(crate) checked: usize,
    /// Over the first slots; those behind are scanned.
    pub(crate) graph: Arc<Graph>,
    /// Share of true neighbours that walks found when the graph was last surveyed.
    pub(crate) graph_recall: f32,
    /// Slots in the graph then.
    pub(crate) surveyed: usize,
    pub(crate) build_seconds: f64,
    /// See [`crate::Index::version`].
    pub(crate) version: u64,
}

impl State {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            rows: Rows::new(options.dim, options.metric, options.dtype),
            ids: Ids::new(),
            dead: Arc::default(),
            coding: Coding::Untrained,
            trained: 0,
            checked: 0,
            graph: Arc::new(Graph::new(options.m, options.seed)),
            graph_recall: 1.0,
            surveyed: 0,
            build_seconds: 0.0,
            version: 0,
        }
    }

    /// The same without vectors: what must outlive them is kept.
    pub(crate) fn emptied(&self, options: &Options) -> Self {
        Self { rows: self.rows.emptied(), ids: self.ids.emptied(), version: self.version, ..Self::new(options) }
    }

    /// Forget the vector of an id; whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.ids.remove(id) else { return false };
        let slots = self.slots();
        let dead = Arc::make_mut(&mut self.dead);
        dead.resize(slots);
        dead.insert(slot);
        self.version += 1;
        true
    }

    /// Give back spare memory.
    pub(crate) fn shrink(&mut self) {
        self.rows.shrink();
        self.ids.shrink();
        Arc::make_mut(&mut self.graph).shrink();
        if let Coding::Codes(codes) = &mut self.coding {
            codes.bytes.shrink();
        }
    }

    /// Slots whose vectors can be found, in order.
    pub(crate) fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.slots()).filter(|slot| !self.dead.contains(*slot))
    }

    /// Slots, those of removed vectors among them.
    pub(crate) fn slots(&self) -> usize {
        self.ids.slots()
    }

    /// What vectors are compared on.
    #[inline]
    pub(crate) const fn space(&self) -> AnySpace<'_> {
        match &self.coding {
            Coding::Untrained | Coding::Raw => AnySpace::Raw(&self.rows),
            Coding::Codes(codes) => AnySpace::Codes(codes),
        }
    }
}
