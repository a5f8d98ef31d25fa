//! The `META` section of a file: options, counters and measurements.

use std::fmt::Display;

use tiercel_container::Tag;
use tiercel_quant::CodecKind;

use crate::errors::{Corruption, LoadError};
use crate::graph::layers::MAX_LEVEL;
use crate::options::{Dtype, Kind, Metric, Options, Raw, Rerank, Storage};
use crate::state::{Coding, State};
use crate::storage::candidate::MAX_SLOTS;
use crate::storage::codes::Trial;
use crate::storage::ranks::Ranks;

pub(super) const META: Tag = *b"META";

/// The META section; its fields follow each other in this order without gaps.
pub(super) struct Meta {
    pub(super) options: Options,
    /// Whether there are no full vectors.
    pub(super) are_forgotten: bool,
    pub(super) coding: u8,
    pub(super) slots: u64,
    pub(super) linked: u64,
    pub(super) levels: u32,
    pub(super) entry: u32,
    /// See [`Ids::next`].
    pub(super) next: u64,
    pub(super) trained: u64,
    pub(super) trial: Trial,
    pub(super) step: f32,
    pub(super) build_seconds: f64,
    pub(super) graph_recall: f32,
}

pub(super) const META_LEN: u64 = 88;

/// Numbers of the storage in use; larger ones are numbers of codecs.
pub(super) const UNTRAINED: u8 = 0;
pub(super) const RAW: u8 = 1;

/// What the number of the type of full vectors is raised by if there are none. Early versions know
/// no such number, and refuse the file.
const FORGOTTEN: u8 = 2;

/// The number of a requested storage. For historical reasons sq4 and sq8 are stored as number - 1,
/// and raw as 3.
fn storage_number(storage: Storage) -> u8 {
    const RAW_ASKED_FOR: u8 = 3;
    match storage {
        Storage::Auto => 0,
        Storage::Raw => RAW_ASKED_FOR,
        Storage::Codes(kind) if kind.number() <= RAW_ASKED_FOR => kind.number() - 1,
        Storage::Codes(kind) => kind.number(),
    }
}

impl Meta {
    pub(super) fn of(options: &Options, state: &State) -> Self {
        let (coding, step, trial) = match &state.coding {
            Coding::Untrained => (UNTRAINED, 0.0, Trial::default()),
            Coding::Raw => (RAW, 0.0, Trial::default()),
            Coding::Codes(codes) => (codes.codec.kind().number(), codes.codec.parameters().step, codes.trial),
        };
        Self {
            options: options.clone(),
            are_forgotten: state.rows.are_coded(),
            coding,
            slots: state.slots() as u64,
            linked: state.graph.len() as u64,
            levels: state.graph.layers.len() as u32,
            entry: state.graph.entry,
            next: state.ids.next(),
            trained: state.trained as u64,
            trial,
            step,
            build_seconds: state.build_seconds,
            graph_recall: state.graph_recall,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let options = &self.options;
        let mut out = Vec::with_capacity(META_LEN as usize);
        out.extend((options.dim as u32).to_le_bytes());
        out.extend([
            options.metric as u8,
            options.kept() as u8 + if self.are_forgotten { FORGOTTEN } else { 0 },
            storage_number(options.storage),
            self.coding,
        ]);
        out.extend((options.m as u32).to_le_bytes());
        out.extend((options.ef_construction as u32).to_le_bytes());
        out.extend(options.seed.to_le_bytes());
        out.extend(self.slots.to_le_bytes());
        out.extend(self.linked.to_le_bytes());
        out.extend(self.levels.to_le_bytes());
        out.extend(self.entry.to_le_bytes());
        out.extend(self.next.to_le_bytes());
        out.extend(self.trained.to_le_bytes());
        out.extend(self.trial.recall.to_le_bytes());
        out.extend(self.step.to_le_bytes());
        out.extend(self.build_seconds.to_le_bytes());
        out.extend(self.trial.error.to_le_bytes());
        out.extend(self.graph_recall.to_le_bytes());
        out
    }

    /// Read the section; `parts` is what [`PARTS`] says, if the file has it.
    pub(super) fn from_bytes(bytes: &[u8; META_LEN as usize], parts: Option<u64>) -> Result<Self, LoadError> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let kind = |at: usize, kinds: u8| {
            if bytes[at] < kinds { Ok(usize::from(bytes[at])) } else { unknown_kind(bytes, at) }
        };
        let storage = match parts {
            Some(parts) => CodecKind::from_number(bytes[6], u32::try_from(parts).ok()).map(Storage::Codes),
            None => Storage::all().find(|storage| storage_number(*storage) == bytes[6]),
        };
        let Some(storage) = storage else { return unknown_kind(bytes, 6) };
        let options = Options {
            dim: u32_at(0) as usize,
            metric: [Metric::Cosine, Metric::Dot, Metric::L2][kind(4, 3)?],
            dtype: [Dtype::F32, Dtype::F16][kind(5, 2 + FORGOTTEN)? % usize::from(FORGOTTEN)],
            raw: Raw::Memory,
            spill: None,
            rerank: Rerank::Full,
            storage,
            memory: None,
            kind: Kind::Graph,
            m: u32_at(8) as usize,
            ef_construction: u32_at(12) as usize,
            seed: u64_at(16),
        };
        options.check().or_else(|error| wrong(META, error))?;
        let meta = Self {
            are_forgotten: bytes[5] >= FORGOTTEN,
            coding: bytes[7],
            options,
            slots: u64_at(24),
            linked: u64_at(32),
            levels: u32_at(40),
            entry: u32_at(44),
            next: u64_at(48),
            trained: u64_at(56),
            trial: Trial {
                recall: f32::from_bits(u32_at(64)),
                error: f32::from_bits(u32_at(80)),
                ranks: Ranks::default(),
            },
            step: f32::from_bits(u32_at(68)),
            build_seconds: f64::from_bits(u64_at(72)),
            graph_recall: f32::from_bits(u32_at(84)),
        };
        if meta.coding > RAW && meta.codec().is_none() {
            return unknown_kind(bytes, 7);
        }
        let is_allowed = match meta.options.storage {
            Storage::Auto => true,
            Storage::Raw => meta.coding <= RAW,
            Storage::Codes(kind) => [UNTRAINED, kind.number()].contains(&meta.coding),
        };
        if !is_allowed {
            return wrong(META, format!("storage {} in use, which its option does not allow", meta.coding));
        }
        if meta.are_forgotten && meta.coding <= RAW {
            return wrong(META, "codes, expected some in place of full vectors");
        }
        meta.check_floats()?;
        if meta.slots > MAX_SLOTS as u64 || meta.linked > meta.slots || meta.trained > meta.slots {
            return wrong(META, format!("{} slots, {} linked, {} trained", meta.slots, meta.linked, meta.trained));
        }
        if !(1..=MAX_LEVEL as u32 + 1).contains(&meta.levels) {
            return wrong(META, format!("{} levels, expected 1 to {}", meta.levels, MAX_LEVEL + 1));
        }
        Ok(meta)
    }

    /// Return the codec in use.
    pub(super) fn codec(&self) -> Option<CodecKind> {
        match self.options.storage {
            Storage::Codes(kind) if kind.number() == self.coding => Some(kind),
            _ => CodecKind::from_number(self.coding, None),
        }
    }

    /// Check the floats. The error of the codec may be infinite, since distances may overflow.
    fn check_floats(&self) -> Result<(), LoadError> {
        let share = |value: f32| (0.0..=1.0).contains(&value);
        let is_coded = self.codec().is_some();
        for (name, value, is_right) in [
            ("recall of the codec", self.trial.recall, share(self.trial.recall)),
            ("step of the codec", self.step, is_coded || self.step == 0.0),
            ("error of the codec", self.trial.error, self.trial.error >= 0.0),
            ("recall of the graph", self.graph_recall, (0.0..=f32::MAX).contains(&self.graph_recall)),
            ("build_seconds", self.build_seconds as f32, (0.0..=f64::MAX).contains(&self.build_seconds)),
        ] {
            if !is_right {
                return wrong(META, format!("{name}: {value}"));
            }
        }
        Ok(())
    }
}

pub(super) fn wrong<T>(tag: Tag, what: impl Display) -> Result<T, LoadError> {
    Err(Corruption { what: format!("section {}: unexpected {what}", tag.escape_ascii()), offset: 0 }.into())
}

fn unknown_kind<T>(meta: &[u8], at: usize) -> Result<T, LoadError> {
    wrong(META, format!("kind {} at {at}", meta[at]))
}
