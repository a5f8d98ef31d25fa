//! Link vectors into the graph, or put them into lists, after an addition.

use std::sync::Arc;
use std::time::Instant;

use tiercel_quant::CodecKind;
use tiercel_simd::Level;

use crate::errors::Interrupted;
use crate::options::{Kind, Options};
use crate::state::{Coding, State};
use crate::storage::any_space::AnySpace;
use crate::storage::codes::Codes;
use crate::work::Work;

/// Up to this many vectors, a scan of their codes is as fast as a walk and finds all that a walk
/// would.
pub(crate) const FLAT: usize = 8192;

/// Vectors not yet in the graph or in lists, which searches scan, that make linking worth the
/// threads.
const TAIL: usize = 256;

/// One in this many vectors has to be new for all of them to be coded with 8 bits while these are linked.
const FINER_SHARE: usize = 64;

/// How many times as large the mean squared error of the own codes has to be.
const MUCH_FINER: f64 = 16.0;

/// Vectors that errors are compared on.
const COMPARED: usize = 256;

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
        let finer = self.finer_codes(total)?;
        let mut done = 0;
        while done < total {
            (self.work.progress)(done, total);
            let count = self.state.graph.next_batch(total - done);
            let Linker { options, level, ref state, work } = *self;
            let space = linking_space(state, finer.as_ref());
            let plan = state.graph.plan(&state.rows, space, level, count, options.ef_construction, work)?;
            Arc::make_mut(&mut self.state.graph).commit(plan);
            done += count;
        }
        for targets in self.state.graph.mutual_parts(before) {
            let Linker { level, ref state, work, .. } = *self;
            let space = linking_space(state, finer.as_ref());
            let plan = state.graph.plan_mutual(&state.rows, space, level, before, targets, work)?;
            Arc::make_mut(&mut self.state.graph).commit(plan);
        }
        if self.is_survey_due() {
            self.survey()?;
        }
        (self.work.progress)(total, total);
        Ok(())
    }

    /// Code all vectors with 8 bits for as long as `new` of them are linked, if their own codes are too
    /// coarse for that. Full vectors take twice as long to compare, and far longer if they are on disk,
    /// but coding all of them for a few takes longer still. If 8 bits are not much better than the codes
    /// that there are, full vectors have to do.
    fn finer_codes(&self, new: usize) -> Result<Option<Codes>, Interrupted> {
        let Linker { options, level, ref state, work } = *self;
        let Coding::Codes(codes) = &state.coding else { return Ok(None) };
        if codes.codec.kind().links() || new * FINER_SHARE < state.slots() {
            return Ok(None);
        }
        let finer = Codes::train(CodecKind::Sq8, options, &state.rows, level, work)?;
        let is_finer = squared_error(state, &finer) * MUCH_FINER <= squared_error(state, codes);
        Ok(is_finer.then_some(finer))
    }

    /// Whether `optimize` should link the vectors.
    pub(crate) fn is_worthwhile(&self) -> bool {
        self.options.kind != Kind::Flat && self.state.slots() > FLAT
    }
}

/// Return the space in which to link: that of the codes made for it, or the usual one.
fn linking_space<'a>(state: &'a State, finer: Option<&'a Codes>) -> AnySpace<'a> {
    finer.map_or_else(|| state.linking_space(), AnySpace::Codes)
}

/// Return the mean squared error of codes, over some rows.
fn squared_error(state: &State, codes: &Codes) -> f64 {
    let step = state.slots().div_ceil(COMPARED).max(1);
    let (mut row, mut scratch) = (Vec::new(), Vec::new());
    let of_each = (0..state.slots()).step_by(step).map(|slot| {
        state.rows.direction(slot, &mut row);
        codes.codec.error(&row, &mut scratch)
    });
    of_each.sum::<f64>() / state.slots().div_ceil(step) as f64
}
