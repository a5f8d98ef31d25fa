//! Link vectors into the graph, or put them into lists, after an addition.

use std::sync::Arc;
use std::time::Instant;

use tiercel_simd::Level;

use crate::errors::Interrupted;
use crate::options::{Kind, Options};
use crate::state::State;
use crate::work::Work;

/// Up to this many vectors, a scan of their codes is as fast as a walk and finds all that a walk
/// would.
pub(crate) const FLAT: usize = 8192;

/// Vectors not yet in the graph or in lists, which searches scan, that make linking worth the
/// threads.
const TAIL: usize = 256;

/// An unpublished state, with the context to bring it up to date.
pub(crate) struct Linker<'a> {
    pub(crate) options: &'a Options,
    pub(crate) level: Level,
    pub(crate) state: &'a mut State,
    pub(crate) work: &'a Work<'a>,
}

impl Linker<'_> {
    /// Whether there are enough vectors not yet in the graph or in lists to link them now.
    pub(crate) fn is_due(&self) -> bool {
        let done = match self.options.kind {
            Kind::Partitions => self.state.partitions.as_ref().map_or(0, |partitions| partitions.assigned()),
            Kind::Graph | Kind::Flat => self.state.graph.len(),
        };
        self.is_worthwhile() && self.state.slots() - done >= TAIL
    }

    /// Link all unlinked vectors, or put them into lists.
    pub(crate) fn link(&mut self) -> Result<(), Interrupted> {
        let began = Instant::now();
        if self.options.kind == Kind::Partitions {
            self.divide()?;
        } else {
            self.link_graph()?;
        }
        self.state.build_seconds += began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Do the rest that `optimize` does: survey the graph, or fit centroids to all vectors.
    pub(crate) fn link_anew(&mut self) -> Result<(), Interrupted> {
        if self.options.kind == Kind::Partitions { self.divide_anew() } else { self.survey_anew() }
    }

    fn link_graph(&mut self) -> Result<(), Interrupted> {
        let before = self.state.graph.len();
        let total = self.state.slots() - before;
        let mut done = 0;
        while done < total {
            (self.work.progress)(done, total);
            let count = self.state.graph.next_batch(total - done);
            let Linker { options, level, ref state, work } = *self;
            let plan =
                state.graph.plan(&state.rows, state.linking_space(), level, count, options.ef_construction, work)?;
            Arc::make_mut(&mut self.state.graph).commit(plan);
            done += count;
        }
        for targets in self.state.graph.mutual_parts(before) {
            let Linker { level, ref state, work, .. } = *self;
            let plan = state.graph.plan_mutual(&state.rows, state.linking_space(), level, before, targets, work)?;
            Arc::make_mut(&mut self.state.graph).commit(plan);
        }
        if self.is_survey_due() {
            self.survey()?;
        }
        (self.work.progress)(total, total);
        Ok(())
    }

    /// Whether `optimize` should link the vectors.
    pub(crate) fn is_worthwhile(&self) -> bool {
        self.options.kind != Kind::Flat && self.state.slots() > FLAT
    }
}
