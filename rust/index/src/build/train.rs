//! Choose and fit a codec, and try it on the rows themselves.

use tiercel_quant::CodecKind;
use tiercel_simd::Isa;

use crate::build::link::Linker;
use crate::errors::{BuildError, Interrupted};
use crate::options::{Raw, Storage};
use crate::search::best::Best;
use crate::search::strategy::FEW;
use crate::state::Coding;
use crate::storage::any_space::{AnySpace, SpaceLoop};
use crate::storage::candidate::{key_of, slot_of};
use crate::storage::codes::{Codes, Trial};
use crate::storage::ranks::{RANKED_K, Ranks};
use crate::storage::rows::Rows;
use crate::storage::space::{Space, order};

/// Rows that a codec is tried on, and the most rows that they are compared with.
const TRIALS: usize = 48;
const COMPARED: usize = 65_536;

/// Neighbours that a trial asks for, and candidates by code that may be rescored to find them.
const TRIAL_K: usize = RANKED_K;
const TRIAL_CODES: usize = 20;

/// Candidates by code among which a trial looks for neighbours. Those that rank lower count as the
/// next.
const RANKED: usize = 4096;

/// New vectors that trigger a check of the codec, and the most that it looks at.
const CHECKED: usize = 256;

/// Largest ratio of the mean squared error of the newest vectors to that of the vectors that the
/// codec was fitted to.
const DRIFT: f64 = 2.0;

/// A copy in half precision may rank one in this many of the true neighbours behind others.
const MOST_MISSED: usize = 100;

/// Share of true neighbours that a codec must find in its trial to be chosen.
const GOOD: f32 = 0.97;

impl Linker<'_> {
    /// Fit a codec; fit it again if the index has doubled since, has outgrown its memory, or if newer
    /// vectors are unlike those it was fitted to.
    pub(crate) fn train(&mut self) -> Result<(), BuildError> {
        // What is left of forgotten vectors would be coded a second time.
        if self.state.rows.are_coded() {
            return Ok(());
        }
        let slots = self.state.slots();
        let doubled = slots >= 2 * self.state.trained;
        let is_due = doubled || self.is_over_budget() || self.compares_full_on_disk() || self.has_drifted();
        if slots > FEW && is_due { self.fit() } else { Ok(()) }
    }

    /// Whether the codec makes far larger errors on the newest vectors than on those it was fitted
    /// to.
    fn has_drifted(&mut self) -> bool {
        let state = &*self.state;
        let (slots, checked) = (state.slots(), state.checked);
        let Coding::Codes(codes) = &state.coding else { return false };
        if slots < checked + CHECKED {
            return false;
        }
        let (mut row, mut scratch) = (Vec::new(), Vec::new());
        let mut error = |from: usize, to: usize| {
            let step = (to - from).div_ceil(CHECKED).max(1);
            let of_each = (from..to).step_by(step).map(|slot| {
                state.rows.direction(slot, &mut row);
                codes.codec.error(&row, &mut scratch)
            });
            of_each.sum::<f64>() / (to - from).div_ceil(step) as f64
        };
        let drifted = error(checked, slots) > DRIFT * error(0, state.trained);
        self.state.checked = slots;
        drifted
    }

    /// Fit a codec again if there are vectors that it was not fitted to.
    pub(crate) fn fit_anew(&mut self) -> Result<(), BuildError> {
        let (slots, trained) = (self.state.slots(), self.state.trained);
        if slots > FEW && slots != trained && !self.state.rows.are_coded() { self.fit() } else { Ok(()) }
    }

    /// Fit a codec to all vectors.
    fn fit(&mut self) -> Result<(), BuildError> {
        let rows = &self.state.rows;
        let coding = match (self.options.memory, self.options.storage) {
            (Some(budget), _) => self.fit_to(budget)?,
            (_, Storage::Raw) => Coding::Raw,
            (_, Storage::Codes(kind)) => Coding::Codes(self.codes(rows, kind)?),
            (_, Storage::Auto) => self.choose(rows)?,
        };
        if !matches!((&self.state.coding, &coding), (Coding::Raw, Coding::Raw)) {
            // Walks will compare other codes than those of the last survey.
            self.state.surveyed = 0;
        }
        let slots = self.state.slots();
        (self.state.coding, self.state.trained, self.state.checked) = (coding, slots, slots);
        Ok(())
    }

    /// Return the first codec that ranks well enough. If none does, compare full vectors; if those
    /// are not in memory, codes of 8 bits.
    pub(super) fn choose(&self, rows: &Rows) -> Result<Coding, Interrupted> {
        let fits = |kind: &&CodecKind| kind.auto_min_dim().is_some_and(|fewest| rows.dim() >= fewest);
        for &kind in CodecKind::ALL.iter().filter(fits) {
            let codes = self.codes(rows, kind)?;
            if codes.trial.recall >= GOOD {
                return Ok(Coding::Codes(codes));
            }
        }
        let in_memory = !rows.are_on_disk() && self.options.raw == Raw::Memory;
        if in_memory { Ok(Coding::Raw) } else { Ok(Coding::Codes(self.codes(rows, CodecKind::Sq8)?)) }
    }

    pub(super) fn codes(&self, rows: &Rows, kind: CodecKind) -> Result<Codes, Interrupted> {
        let mut codes = Codes::train(kind, self.options, rows, self.level, self.work)?;
        codes.trial = self.trial(rows, &codes)?;
        Ok(codes)
    }

    /// Search by code for the neighbours of some rows, and compare them with the true ones.
    fn trial(&self, rows: &Rows, codes: &Codes) -> Result<Trial, Interrupted> {
        let compared = rows.len().min(COMPARED);
        let outcomes = self.outcomes(rows, AnySpace::Codes(codes), compared)?;
        let hits: usize = outcomes.iter().map(|outcome| outcome.hits).sum();
        let squares: f64 = outcomes.iter().map(|outcome| outcome.squares).sum();
        let tried = outcomes.len() as f64;
        let error = (squares / (tried * TRIAL_CODES as f64)).sqrt() as f32;
        Ok(Trial {
            recall: (hits as f64 / (tried * TRIAL_K as f64)) as f32,
            // Overflowed distances have no difference, so the error of the codes is unbounded.
            error: if error.is_nan() { f32::INFINITY } else { error },
            ranks: Ranks::of(outcomes.iter().flat_map(|outcome| outcome.ranks).collect(), compared),
        })
    }

    /// Whether a copy of the rows in half precision ranks them nearly as full precision does. Values
    /// near zero are lost in it, and so are distances far from the origin.
    pub(super) fn ranks_well(&self, halves: &Rows) -> Result<bool, Interrupted> {
        let rows = &self.state.rows;
        let outcomes = self.outcomes(rows, AnySpace::Raw(halves), rows.len().min(COMPARED))?;
        let ranks = outcomes.iter().flat_map(|outcome| outcome.ranks);
        let missed = ranks.filter(|rank| *rank as usize > TRIAL_K).count();
        Ok(missed * MOST_MISSED <= outcomes.len() * TRIAL_K)
    }

    fn outcomes(&self, rows: &Rows, space: AnySpace<'_>, compared: usize) -> Result<Vec<Outcome>, Interrupted> {
        let step = (rows.len() / TRIALS).max(1);
        let mut outcomes = vec![Outcome::default(); TRIALS.min(rows.len().div_ceil(step))];
        let try_one = |query: &mut Vec<f32>, item: usize, out: &mut [Outcome]| {
            let slot = item * step;
            rows.direction(slot, query);
            out[0] = space.run(self.level, TryOne { rows, slot, query, compared });
        };
        self.work.fill(&mut outcomes, 1, 4, Vec::new, try_one)?;
        Ok(outcomes)
    }
}

/// The outcome of one row's search by code.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// True neighbours found.
    hits: usize,
    /// Sum of the squared errors of the distances found.
    squares: f64,
    /// Ranks of the true neighbours by code, from 1 on.
    ranks: [u32; TRIAL_K],
}

struct TryOne<'a> {
    rows: &'a Rows,
    /// The row to search for; finding itself does not count.
    slot: usize,
    query: &'a [f32],
    compared: usize,
}

impl SpaceLoop for TryOne<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn run<I: Isa, S: Space>(self, space: S) -> Outcome {
        let Self { rows, slot: own, query, compared } = self;
        assert!(rows.len() <= space.slots(), "every row has codes");
        let step = rows.len() / compared;
        let mut prepared = S::Query::default();
        space.prepare(query, &mut prepared);
        let (mut truth, mut coded) = (Best::default(), Best::default());
        truth.reset(TRIAL_K);
        coded.reset(RANKED);
        for slot in (0..compared).map(|at| at * step).filter(|slot| *slot != own) {
            // SAFETY: the slot is below the number of rows, all of which have codes, as checked
            // above; the query was prepared above; `Level::run` checked the instruction set.
            unsafe {
                truth.offer(order(rows.distance::<I>(query, slot)), slot as u32);
                coded.offer(space.key::<I>(&prepared, slot as u32), slot as u32);
            }
        }
        let farthest = truth.sorted().last().map_or(0, |entry| key_of(*entry));
        let mut outcome = Outcome { ranks: [RANKED as u32 + 1; TRIAL_K], ..Outcome::default() };
        let mut found = 0;
        for (at, entry) in coded.sorted().iter().enumerate() {
            // SAFETY: as above.
            let distance = unsafe { rows.distance::<I>(query, slot_of(*entry) as usize) };
            if at < TRIAL_CODES {
                outcome.squares += f64::from(S::distance(&prepared, key_of(*entry)) - distance).powi(2);
            }
            // Any vector at an equal distance counts as found.
            if order(distance) <= farthest && found < TRIAL_K {
                outcome.hits += usize::from(at < TRIAL_CODES);
                outcome.ranks[found] = at as u32 + 1;
                found += 1;
            }
        }
        outcome
    }
}
