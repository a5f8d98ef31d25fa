//! Choose the codes, and the place of the full vectors, by the memory that an index may take.

use std::fmt::Display;

use tiercel_quant::CodecKind;

use crate::build::link::Linker;
use crate::errors::{BuildError, Interrupted};
use crate::options::{Metric, Options, Raw};
use crate::size::Size;
use crate::state::{Chosen, Coding};

/// What an index may be made of.
#[derive(Clone, Copy)]
struct Choice {
    raw: Raw,
    /// The codec; `None` for the first that ranks the data well.
    kind: Option<CodecKind>,
    /// Bits of a code per value, and bytes beside them.
    bits: usize,
    beside: usize,
}

/// All choices, the fastest at equal recall first, as measured (`docs/design/performance.md`,
/// "Codecs").
const CHOICES: [Choice; 4] = [
    Choice { raw: Raw::Memory, kind: None, bits: 4, beside: 0 },
    Choice { raw: Raw::Disk, kind: None, bits: 4, beside: 0 },
    Choice { raw: Raw::Disk, kind: Some(CodecKind::Rabitq2), bits: 2, beside: 8 },
    Choice { raw: Raw::Disk, kind: Some(CodecKind::Rabitq1), bits: 1, beside: 8 },
];

/// Bytes of a line of the cache, which rows of codes and links are multiples of.
const LINE: usize = 64;

/// Bytes of an id, with its place in a table.
const ID: usize = 20;

impl Choice {
    /// Return the bytes of memory for `slots` slots.
    fn bytes(self, options: &Options, slots: usize) -> u64 {
        let code = (options.dim * self.bits).div_ceil(8) + self.beside;
        let bytes = per_slot(self.raw, code, options);
        bytes as u64 * slots as u64
    }
}

/// Return the bytes of memory for a slot with a code of so many bytes.
fn per_slot(raw: Raw, code: usize, options: &Options) -> usize {
    let vector = match raw {
        Raw::Memory => options.row_bytes(),
        // A checksum.
        Raw::Disk => 4,
    };
    let norm = if options.metric == Metric::Cosine { 4 } else { 0 };
    let base = (2 * options.m * 4).next_multiple_of(LINE);
    // One node of `m` is on the next level, with half as many links.
    let links = base + base / options.m.max(2);
    vector + norm + code.next_multiple_of(LINE) + links + ID
}

impl Linker<'_> {
    /// Whether the index takes more memory than it may.
    pub(crate) fn is_over_budget(&self) -> bool {
        let Some(budget) = self.options.memory else { return false };
        self.bytes_now(self.state.slots()) > budget
    }

    /// Return the bytes of memory for `slots` slots as the index is now.
    fn bytes_now(&self, slots: usize) -> u64 {
        let raw = if self.state.rows.are_on_disk() { Raw::Disk } else { Raw::Memory };
        let code = if let Coding::Codes(codes) = &self.state.coding { codes.bytes.width() } else { 0 };
        per_slot(raw, code, self.options) as u64 * slots as u64
    }

    /// Move full vectors to disk before `new` more would exceed the budget in memory.
    pub(crate) fn make_room(&mut self, new: usize) -> Result<(), BuildError> {
        let Some(budget) = self.options.memory else { return Ok(()) };
        let vectors = (self.state.slots() * self.options.row_bytes()) as u64;
        if vectors + (new * self.options.row_bytes()) as u64 > budget {
            self.state.rows.move_to_disk(self.options)?;
        }
        Ok(())
    }

    /// Fit the codes of the first choice that stays within the budget until the index has doubled;
    /// if none does, of the first that is within it now.
    pub(crate) fn fit_to(&mut self, budget: u64) -> Result<Coding, BuildError> {
        let slots = self.state.slots();
        for planned in [2 * slots, slots] {
            for (at, choice) in CHOICES.iter().enumerate() {
                if choice.bytes(self.options, planned) > budget {
                    continue;
                }
                if choice.raw == Raw::Disk {
                    self.state.rows.move_to_disk(self.options)?;
                } else if self.state.rows.are_on_disk() {
                    continue;
                }
                let coding = self.fitted(choice)?;
                let code = if let Coding::Codes(codes) = &coding { codes.bytes.width() } else { 0 };
                let bytes = per_slot(choice.raw, code, self.options) as u64 * planned as u64;
                // Data that 4 bits do not rank well got larger codes.
                if bytes > budget {
                    continue;
                }
                let faster = at.checked_sub(1).map(|before| CHOICES[before].bytes(self.options, planned));
                self.state.chosen = Some(Chosen { budget, planned, bytes, faster });
                return Ok(coding);
            }
        }
        let [.., least] = CHOICES;
        Err(BuildError::Memory { budget, needed: least.bytes(self.options, slots), slots })
    }

    fn fitted(&self, choice: &Choice) -> Result<Coding, Interrupted> {
        match choice.kind {
            None => self.choose(&self.state.rows),
            Some(kind) => Ok(Coding::Codes(self.codes(&self.state.rows, kind)?)),
        }
    }
}

impl Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { budget, planned, bytes, faster } = self;
        write!(f, "up to {planned} vectors take {} of {}", Size(*bytes), Size(*budget))?;
        match faster {
            Some(faster) if faster > budget => write!(f, "; what is faster would take {}", Size(*faster)),
            _ => Ok(()),
        }
    }
}
