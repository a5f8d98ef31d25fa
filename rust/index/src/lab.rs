//! The parts of an index for `benches/lab`, which times walks other than the one of the library.
//!
//! Everything around the walk is the library's: preparing the query, the descent to level 0, and the
//! rescoring of what was found.

use std::any::Any;
use std::sync::Arc;

use tiercel_quant::ScalarQuery;
use tiercel_simd::{Chunked, Isa, Level};

use crate::budget::{Budget, Meter, Trace};
use crate::graph::layers::Layer;
use crate::graph::walk::descend;
use crate::index::Index;
use crate::options::Rerank;
use crate::search::allowed::Allowed;
use crate::search::query::{Hit, NO_HIT, Search, rescore_likely};
use crate::search::strategy::Strategy;
use crate::state::{Coding, State};
use crate::storage::any_space::{Kept, SpaceLoop};
use crate::storage::codes::Codes;
use crate::storage::space::Space;

/// A state of an index whose vectors are in a graph and have codes.
pub struct Parts {
    state: Arc<State>,
    level: Level,
}

/// The memory of a search, to reuse.
#[derive(Default)]
pub struct Room {
    prepared: Kept,
    found: Vec<u64>,
}

impl Parts {
    /// Take the parts of an index.
    pub fn of(index: &Index) -> Self {
        Self { state: index.state(), level: index.level }
    }

    /// Number of vectors, all of them in the graph.
    pub fn len(&self) -> usize {
        self.state.graph.len()
    }

    /// Whether the graph has no vectors.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in a row of links.
    pub fn degree(&self) -> usize {
        self.state.graph.layers[0].stride()
    }

    /// The rows of links of level 0, one after the other; `u32::MAX` ends a row that is not full.
    pub fn links(&self) -> Vec<u32> {
        (0..self.len()).flat_map(|node| self.state.graph.layers[0].row(node as u32).iter().copied()).collect()
    }

    /// The levels above level 0, the lowest first.
    pub fn upper(&self) -> Vec<Upper> {
        let layers = &self.state.graph.layers;
        layers[1..].iter().map(Upper::of).collect()
    }

    /// Where a descent begins: a node of the highest level.
    pub fn entry(&self) -> u32 {
        self.state.graph.entry
    }

    /// Bytes from one row of codes to the next.
    pub fn stride(&self) -> usize {
        self.codes_of().map_or(0, |codes| codes.bytes.width())
    }

    /// The rows of codes, one after the other.
    pub fn codes(&self) -> Vec<u8> {
        self.codes_of().map_or(Vec::new(), |codes| {
            (0..self.len()).flat_map(|slot| codes.bytes.row(slot).iter().copied()).collect()
        })
    }

    fn codes_of(&self) -> Option<&Codes> {
        if let Coding::Codes(codes) = &self.state.coding { Some(codes) } else { None }
    }

    /// Find `k` vectors by a walk of the caller. It gets the codes of the query and, if the walk
    /// `descends`, the node to start from, with its key. It adds candidates to an empty list,
    /// nearest first.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        room: &mut Room,
        out: &mut Vec<Hit>,
        descends: bool,
        walk: &mut Walk<'_>,
    ) -> Trace {
        let budget = Budget::default();
        let (state, allowed) = (&*self.state, Allowed::of(&self.state, None));
        let search =
            Search { state, level: self.level, k, strategy: Strategy::Exact, allowed, rerank: Rerank::Full, budget };
        let mut meter = Meter::unlimited();
        let Room { prepared, found } = room;
        state
            .space()
            .run(self.level, Walked { search: &search, query, prepared, found, meter: &mut meter, descends, walk });
        out.clear();
        out.resize(k.min(found.len()), NO_HIT);
        search.put(found, out);
        meter.trace
    }
}

/// A level above level 0. Nodes have numbers of their own there.
pub struct Upper {
    /// Values in a row of links.
    pub degree: usize,
    /// Rows of links, one after the other; `u32::MAX` ends a row that is not full.
    pub links: Vec<u32>,
    /// The vector of each node.
    pub slots: Vec<u32>,
    /// The number of each node in the level below.
    pub below: Vec<u32>,
}

impl Upper {
    fn of(layer: &Layer) -> Self {
        let flat = |values: &Chunked<u32>| values.runs().flatten().copied().collect();
        Self {
            degree: layer.stride(),
            links: flat(&layer.links),
            slots: flat(&layer.members),
            below: flat(&layer.below),
        }
    }
}

/// A walk of the caller.
pub type Walk<'a> = dyn FnMut(&[i8], Option<(u32, i32)>, &mut Vec<u64>) + 'a;

struct Walked<'a, 'b> {
    search: &'a Search<'a>,
    query: &'a [f32],
    prepared: &'a mut Kept,
    found: &'a mut Vec<u64>,
    meter: &'a mut Meter<'static>,
    descends: bool,
    walk: &'a mut Walk<'b>,
}

impl SpaceLoop for Walked<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) {
        let prepared = self.prepared.get::<S::Query>();
        space.prepare(self.query, prepared);
        assert!(self.search.state.graph.len() <= space.slots(), "every node can be compared");
        // Not in a closure, which would be compiled without the instruction set.
        let start = if self.descends {
            // SAFETY: the nodes of the graph are slots of the space, as checked above; the query was
            // prepared above; `Level::run` checked the instruction set.
            Some(unsafe { descend::<I, S>(&self.search.state.graph, space, prepared, 0) })
        } else {
            None
        };
        self.found.clear();
        if let Some(scalar) = (prepared as &dyn Any).downcast_ref::<ScalarQuery>() {
            (self.walk)(scalar.codes(), start, self.found);
        }
        rescore_likely::<I, S>(self.search, space, prepared, self.query, self.found, self.meter);
    }
}
