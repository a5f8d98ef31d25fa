//! Choose the codes, and the place of the full vectors, by the memory that an index may take.

use tiercel_quant::CodecKind;

use crate::build::link::{FLAT, Linker};
use crate::errors::{BudgetError, BuildError, Interrupted};
use crate::options::{Kind, Metric, Options, Raw, Rerank};
use crate::partitions::most_bytes;
use crate::size::Size;
use crate::state::{Coding, State};

/// What an index may be made of.
#[derive(Clone, Copy)]
struct Choice {
    raw: Raw,
    /// Whether there is a copy in half precision to rerank with, although nobody asked for one.
    halves: bool,
    /// The codec; `None` for the first that ranks the data well.
    kind: Option<CodecKind>,
    /// Bits of a code per value, and bytes beside them.
    bits: usize,
    beside: usize,
}

/// All choices, the fastest at equal recall first, as measured (`docs/design/performance.md`,
/// "Codecs").
const CHOICES: [Choice; 5] = [
    Choice { raw: Raw::Memory, halves: false, kind: None, bits: 4, beside: 0 },
    Choice { raw: Raw::Disk, halves: true, kind: None, bits: 4, beside: 0 },
    Choice { raw: Raw::Disk, halves: false, kind: None, bits: 4, beside: 0 },
    Choice { raw: Raw::Disk, halves: false, kind: Some(CodecKind::Rabitq2), bits: 2, beside: 8 },
    Choice { raw: Raw::Disk, halves: false, kind: Some(CodecKind::Rabitq1), bits: 1, beside: 8 },
];

/// Bytes of a line of the cache, which rows of codes and links are multiples of.
const LINE: usize = 64;

/// Bytes of an id, with its place in a table.
const ID: usize = 20;

impl Choice {
    /// Whether these options leave the choice to the budget.
    fn is_open(self, options: &Options) -> bool {
        !self.halves || options.rerank == Rerank::Auto
    }

    /// Return the bytes of memory for `slots` slots.
    fn bytes(self, options: &Options, slots: usize) -> u64 {
        let code = (options.dim * self.bits).div_ceil(8) + self.beside;
        self.bytes_with(code, options, slots)
    }

    /// The same if each has a code of `code` bytes.
    fn bytes_with(self, code: usize, options: &Options, slots: usize) -> u64 {
        bytes(self.raw, self.halves || options.keeps_halves(), code, options, slots)
    }

    /// Say where full vectors are, and what stands for them.
    const fn places(self) -> &'static str {
        match (self.raw, self.halves) {
            (Raw::Memory, _) => "full vectors in memory",
            (_, true) => "full vectors on disk, a copy in half precision in memory",
            (_, false) => "full vectors on disk",
        }
    }
}

/// Return the bytes of memory that `slots` slots take if each has a code of `code` bytes.
fn bytes(raw: Raw, halves: bool, code: usize, options: &Options, slots: usize) -> u64 {
    let vector = match raw {
        Raw::Memory => options.row_bytes(),
        // A checksum.
        Raw::Disk => 4,
        Raw::Nothing => 0,
    };
    let half = if halves { 2 * options.dim } else { 0 };
    let norm = if options.metric == Metric::Cosine { 4 } else { 0 };
    let links = if options.kind == Kind::Graph && slots > FLAT {
        let base = (2 * options.m * 4).next_multiple_of(LINE);
        // One node of `m` is on the next level, with half as many links.
        base + base / options.m.max(2)
    } else {
        0
    };
    let lists = if options.kind == Kind::Partitions && slots > FLAT { most_bytes(slots, options.dim) } else { 0 };
    let each = vector + half + norm + code.next_multiple_of(LINE) + links + ID;
    each as u64 * slots as u64 + lists as u64
}

impl Linker<'_> {
    /// Free spare memory if the index takes more than it may with it: small arrays grow by half.
    pub(crate) fn trim(&mut self) {
        if self.options.memory.is_some_and(|budget| self.state.bytes().total() as u64 > budget) {
            self.state.shrink();
        }
    }

    /// Whether the index takes more memory than it may, without spare memory.
    pub(crate) fn is_over_budget(&self) -> bool {
        let Some(budget) = self.options.memory else { return false };
        let raw = if self.state.rows.are_on_disk() { Raw::Disk } else { Raw::Memory };
        let halves = self.state.halves.is_some();
        bytes(raw, halves, width(&self.state.coding), self.options, self.state.slots()) > budget
    }

    /// Whether searches compare full vectors that were moved to disk.
    pub(crate) fn compares_full_on_disk(&self) -> bool {
        self.state.rows.are_on_disk() && matches!(self.state.coding, Coding::Raw)
    }

    /// Move full vectors to disk before `new` more would exceed the budget in memory.
    pub(crate) fn make_room(&mut self, new: usize) -> Result<(), BuildError> {
        let Some(budget) = self.options.memory else { return Ok(()) };
        let all = self.state.rows.len() + new;
        if (all * self.options.row_bytes()) as u64 > budget {
            self.state.rows.move_to_disk(self.options)?;
        }
        Ok(())
    }

    /// Fit the codes of the first choice that stays within the budget.
    pub(crate) fn fit_to(&mut self, budget: u64) -> Result<Coding, BuildError> {
        let slots = self.state.slots();
        for (at, choice) in CHOICES.iter().enumerate() {
            if !choice.is_open(self.options) || choice.bytes(self.options, slots) > budget {
                continue;
            }
            if choice.raw == Raw::Disk {
                self.state.rows.move_to_disk(self.options)?;
            } else if self.state.rows.are_on_disk() {
                continue;
            }
            if !self.copy_halves(choice)? {
                continue;
            }
            let coding = self.fitted(choice)?;
            // Data that 4 bits do not rank well got larger codes.
            if choice.bytes_with(width(&coding), self.options, slots) <= budget {
                self.state.choice = Some(at);
                return Ok(coding);
            }
        }
        // Without codes, vectors may take less than with any.
        let is_fitted = !matches!(self.state.coding, Coding::Untrained) && !self.compares_full_on_disk();
        if is_fitted && !self.is_over_budget() {
            return Ok(self.state.coding.clone());
        }
        let [.., least] = CHOICES;
        let [needed, flat] = [self.options.kind, Kind::Flat].map(|kind| {
            let options = Options { kind, ..self.options.clone() };
            least.bytes(&options, slots)
        });
        Err(BudgetError { budget, needed, flat: (flat < needed).then_some(flat), slots }.into())
    }

    /// Make the copy in half precision that a choice has, or drop the one that it does not have. Return
    /// whether half precision suffices.
    fn copy_halves(&mut self, choice: &Choice) -> Result<bool, Interrupted> {
        if !choice.halves {
            self.state.halves.take_if(|_| !self.options.keeps_halves());
            return Ok(true);
        }
        if self.state.halves.is_none() {
            self.state.halves = self.state.in_halves(self.options).ok();
        }
        let Some(halves) = &self.state.halves else { return Ok(false) };
        self.ranks_well(halves)
    }

    fn fitted(&self, choice: &Choice) -> Result<Coding, Interrupted> {
        match choice.kind {
            None => self.choose(&self.state.rows),
            Some(kind) => Ok(Coding::Codes(self.codes(&self.state.rows, kind)?)),
        }
    }
}

/// Return the bytes from one row of codes to the next.
fn width(coding: &Coding) -> usize {
    if let Coding::Codes(codes) = coding { codes.bytes.width() } else { 0 }
}

/// Explain the choice of an index with a budget that takes `total` bytes.
pub(crate) fn why(options: &Options, state: &State, total: usize) -> Option<String> {
    let (at, budget) = (state.choice?, options.memory?);
    let slots = state.slots();
    let places = CHOICES[at].places();
    let takes = format!("{slots} vectors take {} of {} with {places}", Size(total as u64), Size(budget));
    let faster = CHOICES[..at].iter().rfind(|choice| choice.is_open(options));
    let faster = faster.map(|choice| choice.bytes(options, slots));
    Some(match faster {
        Some(faster) if faster > budget => format!("{takes}; what is faster would take {}", Size(faster)),
        _ => takes,
    })
}
