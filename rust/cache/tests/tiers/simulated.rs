//! Tiers on a simulated disk, steps of work on them, and a model of what they may hold after a
//! crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use tiercel_cache::{Begin, Files, KeyRef, Lasting, Look, OpenError, Put, Store};
use tiercel_container::Vfs;
use tiercel_container::sim::SimVfs;

use crate::given::content;

/// Keys of single steps, and those that a [`Step::Fill`] puts.
const KEYS: u8 = 7;
const FILLED: u8 = 20;

/// Number of contents.
const VALUES: u64 = 40;

/// The directory of a tier. The one above it is missing, too, unless a test makes it.
pub(crate) fn directory() -> PathBuf {
    std::path::absolute("/caches/tier").expect("a path")
}

/// A tier that outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Store,
    Files,
}

pub(crate) const BOTH: [Kind; 2] = [Kind::Store, Kind::Files];

/// The number of a content: its bytes follow from it.
type Value = usize;

/// One step of work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Put(u8, Value),
    /// Put enough contents that a flush syncs the whole file system.
    Fill,
    Delete(u8),
    /// Write without a sync.
    WriteOut,
    Flush,
    Clear,
    /// Close the tier and open it again.
    Reopen,
}

/// Splitmix64: the same numbers for the same seed, everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Contents of all sizes, so few that keys often have the same one.
pub(crate) struct Contents(Vec<Arc<[u8]>>);

impl Contents {
    pub(crate) fn of(kind: Kind) -> Self {
        let lengths: &[usize] = match kind {
            // A segment has a MiB, and many of these are written.
            Kind::Store => &[40, 3_000, 30_000, 60_000, 90_000],
            // In the ledger, and in files.
            Kind::Files => &[40, 6_000, 12_000, 17_000, 17_500, 30_000],
        };
        let length = |number: u64| if number == 0 { 0 } else { lengths[number as usize % lengths.len()] };
        Self((0..VALUES).map(|number| content(number, length(number))).collect())
    }

    fn of_value(&self, value: Value) -> Arc<[u8]> {
        Arc::clone(&self.0[value])
    }

    /// The value with this content.
    fn value(&self, found: &[u8]) -> Option<Value> {
        self.0.iter().position(|content| **content == *found)
    }
}

pub(crate) fn steps(kind: Kind, random: &mut Random, count: usize) -> Vec<Step> {
    let step = |_| match random.below(100) {
        0..62 => Step::Put(random.below(KEYS.into()) as u8, random.below(VALUES) as usize),
        62..72 => Step::Delete(random.below(KEYS.into()) as u8),
        72..84 => Step::WriteOut,
        84..94 => Step::Flush,
        94..96 => Step::Clear,
        96..98 if kind == Kind::Files => Step::Fill,
        _ => Step::Reopen,
    };
    (0..count).map(step).collect()
}

/// Steps that fill more than a segment, so that a flushed value of key 0 is in one and what replaced
/// it in the next.
pub(crate) fn across_segments(kind: Kind) -> Vec<Step> {
    let (count, value): (usize, fn(usize) -> usize) = match kind {
        Kind::Store => (13, |number| number % 8 * 5 + 4),
        Kind::Files => (12, |number| number % 6 * 6 + 2),
    };
    let fill = (1..count).flat_map(|number| [Step::Put(1 + number as u8 % 6, value(number)), Step::WriteOut]);
    [Step::Put(0, value(0)), Step::Flush].into_iter().chain(fill).chain([Step::Put(0, value(1)), Step::Flush]).collect()
}

/// An open tier on a simulated disk.
pub(crate) struct Simulated {
    pub(crate) kind: Kind,
    pub(crate) vfs: SimVfs,
    /// `None` if it could not be opened again.
    tier: Option<Box<dyn Lasting>>,
    /// Whether it was opened and nobody has asked.
    is_new: bool,
}

impl Simulated {
    pub(crate) fn open(kind: Kind, vfs: &SimVfs) -> Result<Self, OpenError> {
        Ok(Self { kind, vfs: vfs.clone(), tier: Some(opened(kind, vfs)?), is_new: false })
    }

    /// A tier that is not open.
    pub(crate) fn closed(kind: Kind, vfs: &SimVfs) -> Self {
        Self { kind, vfs: vfs.clone(), tier: None, is_new: false }
    }

    /// The tier, which is opened if it is not.
    pub(crate) fn tier(&mut self) -> Result<&dyn Lasting, OpenError> {
        let tier = if let Some(tier) = self.tier.take() {
            tier
        } else {
            self.is_new = true;
            opened(self.kind, &self.vfs)?
        };
        Ok(&**self.tier.insert(tier))
    }

    pub(crate) fn close(&mut self) {
        self.tier = None;
    }

    /// Whether it was opened again since this was last asked.
    pub(crate) fn was_opened_again(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    /// Every value, each with a content that was put; none if the tier is not open.
    pub(crate) fn known_values(&mut self, contents: &Contents, what: &str) -> BTreeMap<u8, Value> {
        let found = if self.tier.is_some() { self.values(contents) } else { BTreeMap::new() };
        let known = |(key, value): (u8, Option<_>)| (key, value.unwrap_or_else(|| panic!("{what}: garbage of {key}")));
        found.into_iter().map(known).collect()
    }

    /// Every value; `None` in place of one with a content that was never put.
    pub(crate) fn values(&mut self, contents: &Contents) -> BTreeMap<u8, Option<Value>> {
        let tier = self.tier().expect("a tier that can be opened");
        let value = |key: u8| Some((key, contents.value(&tier.get(KeyRef::bytes(&[key]))?)));
        keys().filter_map(value).collect()
    }

    /// Find files that opening should have removed, because none of these values needs them.
    pub(crate) fn left_behind(&self, contents: &Contents, found: &BTreeMap<u8, Option<Value>>) -> Vec<PathBuf> {
        let in_use: BTreeSet<String> =
            found.values().flatten().map(|value| blake3::hash(&contents.of_value(*value)).to_string()).collect();
        let is_left = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str).expect("a name");
            let mut magic = [0; 4];
            let begins = self.vfs.open(path).and_then(|file| file.read_at(0, &mut magic));
            let is_used =
                name.starts_with("log-") && !name.ends_with(".damaged") || name == "synced" || in_use.contains(name);
            begins.is_err() || !magic.starts_with(b"TCL") || !is_used
        };
        self.vfs.files().into_iter().map(|(path, _)| path).filter(is_left).collect()
    }

    /// Do a step; return whether all of it was done. A tier that is not open does nothing.
    pub(crate) fn step(&mut self, contents: &Contents, step: Step) -> bool {
        if matches!(step, Step::Reopen) {
            self.close();
            return self.tier().is_ok();
        }
        let Some(tier) = &self.tier else { return false };
        let put = |key: u8, value| tier.put(KeyRef::bytes(&[key]), contents.of_value(value)) == Put::Kept;
        let failures = tier.counts().failures;
        match step {
            Step::Put(key, value) => put(key, value),
            Step::Fill => filled().filter(|(key, value)| !put(*key, *value)).count() == 0,
            Step::Delete(key) => {
                tier.delete(KeyRef::bytes(&[key]));
                tier.counts().failures == failures
            }
            Step::WriteOut => tier.write_out(),
            Step::Flush => tier.flush(),
            Step::Clear => {
                tier.clear();
                tier.counts().failures == failures
            }
            Step::Reopen => unreachable!("done above"),
        }
    }
}

fn opened(kind: Kind, vfs: &SimVfs) -> Result<Box<dyn Lasting>, OpenError> {
    let (vfs, directory) = (Arc::new(vfs.clone()), &directory());
    Ok(match kind {
        Kind::Store => Box::new(Store::open(vfs, directory, Begin::IfMissing, 2 << 20, None)?),
        Kind::Files => Box::new(Files::open(vfs, directory, Begin::IfMissing, 2 << 20, Some(1))?),
    })
}

pub(crate) fn look(kind: Kind, vfs: &SimVfs) -> Result<Look, OpenError> {
    let (vfs, directory) = (Arc::new(vfs.clone()), &directory());
    match kind {
        Kind::Store => Look::at_store(vfs, directory),
        Kind::Files => Look::at_files(vfs, directory),
    }
}

/// All keys.
pub(crate) fn keys() -> std::ops::Range<u8> {
    0..KEYS + FILLED
}

/// The keys and values of [`Step::Fill`].
fn filled() -> impl Iterator<Item = (u8, Value)> {
    (0..FILLED).map(|number| (KEYS + number, usize::from(number) * 2))
}

/// What a tier holds, and what it may hold after a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: BTreeMap<u8, Value>,
    /// What it held at the last flush.
    synced: BTreeMap<u8, Value>,
    /// What keys had since; `None` for nothing.
    since: BTreeMap<u8, BTreeSet<Option<Value>>>,
}

impl Model {
    /// A model of a tier that was flushed when it held this.
    fn of(found: BTreeMap<u8, Value>) -> Self {
        Self { synced: found.clone(), now: found, since: BTreeMap::new() }
    }

    /// A model of what was found after a crash that may have left one of these.
    pub(crate) fn after_crash(kind: Kind, before: &[Self], found: &BTreeMap<u8, Option<Value>>) -> Self {
        let known = found.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
        let mut model = Self::of(known.collect());
        // A key whose content is missing comes back with it, if another key gets that content
        // before the next flush.
        for before in before.iter().filter(|_| kind == Kind::Files) {
            for (key, values) in &before.since {
                let since = model.since.entry(*key).or_default();
                since.extend(values);
                since.insert(before.synced.get(key).copied());
            }
        }
        model
    }

    /// Note a step that was done.
    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Put(key, value) => self.set(key, Some(value)),
            Step::Fill => filled().for_each(|(key, value)| self.set(key, Some(value))),
            Step::Delete(key) => self.set(key, None),
            Step::WriteOut => {}
            Step::Flush | Step::Reopen => *self = Self::of(std::mem::take(&mut self.now)),
            Step::Clear => *self = Self::default(),
        }
    }

    /// Note a step on a disk that may fail, and whether all of it was done.
    pub(crate) fn apply_to_a_failing_disk(&mut self, step: Step, done: bool) {
        match step {
            Step::Reopen => {}
            _ if done => self.apply(step),
            Step::Put(key, value) => {
                // It may have reached the disk.
                self.set(key, Some(value));
                self.set(key, None);
            }
            // A part of it may have been done.
            Step::Fill => filled().for_each(|(key, value)| self.set(key, Some(value))),
            Step::Delete(key) => self.set(key, None),
            Step::Clear => keys().for_each(|key| self.set(key, None)),
            Step::WriteOut | Step::Flush => {}
        }
    }

    /// Note that a key has this value now.
    fn set(&mut self, key: u8, value: Option<Value>) {
        match value {
            Some(value) => drop(self.now.insert(key, value)),
            None => drop(self.now.remove(&key)),
        }
        self.since.entry(key).or_default().insert(value);
    }

    /// Whether a crash may leave this value of a key, or none.
    fn allows(&self, kind: Kind, key: u8, found: Option<Value>) -> bool {
        let is_synced = self.synced.get(&key).copied() == found;
        // Files remove a content when it is replaced, and not only with the next flush.
        let was_since = |since: &BTreeSet<_>| since.contains(&found) || kind == Kind::Files && found.is_none();
        is_synced || self.since.get(&key).is_some_and(was_since)
    }

    /// Whether a crash may leave this value of a key, given that a tier may forget.
    pub(crate) fn allows_or_forgets(&self, key: u8, found: Option<Value>) -> bool {
        found.is_none() || self.allows(Kind::Files, key, found)
    }
}

/// Whether a crash may leave these values while the step between two models is done.
pub(crate) fn are_possible(kind: Kind, models: &[Model], found: &BTreeMap<u8, Option<Value>>) -> bool {
    let all_known = found.values().all(Option::is_some);
    let is_possible = |key| {
        let value = found.get(&key).copied().flatten();
        models.iter().any(|model| model.allows(kind, key, value))
    };
    all_known && keys().all(is_possible)
}
