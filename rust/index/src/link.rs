//! What follows an addition: fitting a codec, and linking vectors into the graph.

use std::time::Instant;

use parking_lot::RwLock;
use tiercel_quant::Bits;
use tiercel_simd::{Isa, Level, Loop};

use crate::best::Best;
use crate::codes::Codes;
use crate::errors::Interrupted;
use crate::hnsw::{build, reach};
use crate::options::{Options, Storage};
use crate::pool::slot_of;
use crate::rows::Rows;
use crate::search::FEW;
use crate::space::{Query, Space};
use crate::state::{Coding, OnSpace, State};
use crate::work::Work;

/// Below this many vectors a scan of their codes is as quick as a walk, and misses nothing that a walk would find.
const FLAT: usize = 8192;

/// Vectors that wait behind the graph, scanned, until linking them is worth the threads.
const TAIL: usize = 256;

/// Rows that a codec is tried on, and most rows that they are compared with.
const TRIALS: usize = 48;
const COMPARED: usize = 65_536;

/// Neighbours that a trial asks for, and how many by code may be rescored to find them.
const TRIAL_K: usize = 10;
const TRIAL_CODES: usize = 20;

/// Share of true neighbours that a codec must find in its trial to be taken.
const GOOD: f32 = 0.97;

/// The state of an index, and what is needed to bring it up to date. The caller holds the lock of the one writer.
pub(crate) struct Linker<'a> {
    pub(crate) options: &'a Options,
    pub(crate) level: Level,
    pub(crate) state: &'a RwLock<State>,
    pub(crate) work: &'a Work<'a>,
}

impl Linker<'_> {
    /// Fit a codec, or fit it again when the index has doubled since.
    pub(crate) fn train(&self) -> Result<(), Interrupted> {
        let state = self.state.read();
        let slots = state.slots();
        if slots <= FEW || slots < 2 * state.trained {
            return Ok(());
        }
        let (coding, recall) = match self.options.storage {
            Storage::Raw => (Coding::Raw, None),
            Storage::Sq4 => self.coding(&state.rows, Bits::Four)?,
            Storage::Sq8 => self.coding(&state.rows, Bits::Eight)?,
            Storage::Auto => self.choose(&state.rows)?,
        };
        drop(state);
        let mut state = self.state.write();
        (state.coding, state.codec_recall, state.trained) = (coding, recall, slots);
        Ok(())
    }

    fn coding(&self, rows: &Rows, bits: Bits) -> Result<(Coding, Option<f32>), Interrupted> {
        let codes = Codes::train(bits, self.options, rows, self.level, self.work)?;
        let recall = self.trial(rows, &codes)?;
        Ok((Coding::Codes(codes), Some(recall)))
    }

    /// The smallest codes that rank well enough, or none.
    fn choose(&self, rows: &Rows) -> Result<(Coding, Option<f32>), Interrupted> {
        for bits in [Bits::Four, Bits::Eight] {
            let (coding, recall) = self.coding(rows, bits)?;
            if recall.is_some_and(|recall| recall >= GOOD) {
                return Ok((coding, recall));
            }
        }
        Ok((Coding::Raw, None))
    }

    /// Share of the true nearest of some rows that are among the nearest by code.
    fn trial(&self, rows: &Rows, codes: &Codes) -> Result<f32, Interrupted> {
        let step = (rows.len() / TRIALS).max(1);
        let compared = rows.len().min(COMPARED);
        let (mut directions, mut row) = (Vec::new(), Vec::new());
        for slot in (0..rows.len()).step_by(step).take(TRIALS) {
            rows.direction(slot, &mut row);
            directions.extend_from_slice(&row);
        }
        let mut hits = vec![0u32; directions.len() / rows.dim()];
        self.work.fill(
            &mut hits,
            1,
            4,
            || (),
            |(), item, hits| {
                let query = &directions[item * rows.dim()..][..rows.dim()];
                let trial = Trial { level: self.level, rows, query, compared };
                hits[0] = codes.with_space(self.options.metric, trial);
            },
        )?;
        Ok(hits.iter().sum::<u32>() as f32 / (hits.len() * TRIAL_K.min(compared)) as f32)
    }

    /// Whether there are enough vectors behind the graph to link them now.
    pub(crate) fn is_due(&self) -> bool {
        let state = self.state.read();
        let waiting = state.slots() - state.graph.len();
        state.slots() > FLAT && waiting >= TAIL
    }

    /// Link all vectors that are not linked.
    pub(crate) fn link(&self) -> Result<(), Interrupted> {
        let began = Instant::now();
        let total = {
            let state = self.state.read();
            state.slots() - state.graph.len()
        };
        let mut done = 0;
        while done < total {
            (self.work.progress)(done, total);
            let (plan, count) = {
                let state = self.state.read();
                let count = state.graph.next_batch(total - done);
                (state.with_space(PlanBatch { linker: self, state: &state, count })?, count)
            };
            self.state.write().graph.commit(plan);
            done += count;
        }
        self.state.write().build_seconds += began.elapsed().as_secs_f64();
        (self.work.progress)(total, total);
        Ok(())
    }

    /// Make every linked vector reachable.
    pub(crate) fn reach(&self) -> Result<(), Interrupted> {
        // A new link may crowd out an old one: look again, a few times at most, since an exact scan stands behind every walk.
        for _ in 0..8 {
            let links = {
                let state = self.state.read();
                state.with_space(PlanReach { linker: self, state: &state })?
            };
            if links.is_empty() {
                break;
            }
            self.state.write().graph.commit_reach(links);
        }
        Ok(())
    }

    /// Whether `optimize` should link what there is.
    pub(crate) fn is_worthwhile(&self) -> bool {
        let state = self.state.read();
        state.slots() > FLAT
    }
}

struct PlanBatch<'a, 'b> {
    linker: &'a Linker<'b>,
    state: &'a State,
    count: usize,
}

impl OnSpace for PlanBatch<'_, '_> {
    type Output = Result<build::Plan, Interrupted>;

    fn on<S: Space>(self, space: S) -> Self::Output {
        let Linker { options, level, work, .. } = *self.linker;
        self.state.graph.plan(&self.state.rows, space, level, self.count, options.ef_construction, work)
    }
}

struct PlanReach<'a, 'b> {
    linker: &'a Linker<'b>,
    state: &'a State,
}

impl OnSpace for PlanReach<'_, '_> {
    type Output = Result<reach::Links, Interrupted>;

    fn on<S: Space>(self, space: S) -> Self::Output {
        self.state.graph.plan_reach(&self.state.rows, space, self.linker.level, self.linker.work)
    }
}

/// Count the true nearest of a query that are among its nearest by code.
#[derive(Clone, Copy)]
struct Trial<'a> {
    level: Level,
    rows: &'a Rows,
    query: &'a [f32],
    compared: usize,
}

impl OnSpace for Trial<'_> {
    type Output = u32;

    fn on<S: Space>(self, space: S) -> u32 {
        self.level.run(TrialLoop { trial: self, space })
    }
}

struct TrialLoop<'a, S> {
    trial: Trial<'a>,
    space: S,
}

impl<S: Space> Loop for TrialLoop<'_, S> {
    type Output = u32;

    #[inline(always)]
    fn run<I: Isa>(self) -> u32 {
        let Trial { rows, query, compared, .. } = self.trial;
        let step = rows.len() / compared;
        let slots = (0..compared).map(|at| at * step);
        let mut prepared = Query::default();
        self.space.prepare(query, &mut prepared);
        let (mut truth, mut coded) = (Best::default(), Best::default());
        truth.reset(TRIAL_K);
        coded.reset(TRIAL_CODES);
        for slot in slots {
            // SAFETY: the slot is below the number of rows, all coded; `Level::run` checked the instruction set.
            unsafe {
                truth.offer(crate::space::order(rows.distance::<I>(query, slot)), slot as u32);
                coded.offer(self.space.key::<I>(&prepared, slot as u32), slot as u32);
            }
        }
        let farthest = truth.sorted().last().map_or(0, |entry| crate::pool::key_of(*entry));
        let coded = coded.sorted().iter().map(|entry| slot_of(*entry) as usize);
        // Equal distances count: which of them is found does not matter.
        let hits = coded.filter(|slot| {
            // SAFETY: as above.
            crate::space::order(unsafe { rows.distance::<I>(query, *slot) }) <= farthest
        });
        hits.count().min(TRIAL_K) as u32
    }
}
