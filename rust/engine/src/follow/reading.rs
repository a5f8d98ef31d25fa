//! Following: applying the commits of another process to the snapshots of a reader.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tiercel_store::{Applied, Change, Followed, Follower, RowChange, View};
use tiercel_text::Segment;

use crate::config::Config;
use crate::errors::OpenError;
use crate::follow::steady::steady;
use crate::state::apply::{Fresh, Packed, apply, changed, merge_few};
use crate::state::checkpoint::{Maintenance, Written, last_checkpoint};
use crate::state::core::Core;
use crate::state::load::{config_of, read};
use crate::state::placement::Placement;
use crate::state::snapshot::Snapshot;
use crate::state::unindexed::NewMetadata;
use crate::state::vectors::{SEGMENT, Vectors};

/// Additional rows that a newer checkpoint must have in its files before a reader loads them. Until
/// then the reader keeps the vectors that it followed in growing segments. The limit keeps readers
/// from getting slower without end while the writer writes checkpoints.
const MANY: u32 = 4 * SEGMENT as u32;
/// Dead rows at which they are taken out of the indexes.
const BURIED: usize = 1024;
/// How long a forked process waits for a lock that a thread of its parent may have held at the
/// fork.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the committed state of one collection from disk.
pub(crate) struct Reading {
    pub(crate) view: View,
    placement: Arc<Placement>,
    opened_by: u32,
    /// Locked while a newer state is read.
    state: Mutex<State>,
}

struct State {
    follower: Follower,
    /// Rows that died and are still in an index, each with the last batch of the advance that
    /// removed it.
    buried: Vec<(u64, u64)>,
    /// Rows below this were read from the files of a checkpoint.
    from_files: u32,
    /// The graphs of these files.
    graphs: Vec<Written>,
}

impl Reading {
    /// Read the committed state.
    pub(crate) fn begin(view: View, placement: Arc<Placement>) -> Result<(Self, Snapshot), OpenError> {
        let (state, snapshot) = State::begin(&view, &placement, None)?;
        Ok((Self { view, placement, opened_by: process::id(), state: Mutex::new(state) }, snapshot))
    }

    /// Advance to everything that was committed before this call, and return whether anything
    /// changed.
    pub(crate) fn go_on(&self, core: &Core) -> Result<bool, OpenError> {
        let mut state = self.lock()?;
        let course = state.follow(core);
        // Now that the snapshot before is no longer needed.
        if state.buried.len() >= BURIED {
            state.take_out_dead(core);
        }
        let (changed, known) = match course {
            Ok(Course::Along(changed)) => return Ok(changed),
            Ok(Course::Load(changed)) => (changed, Some(&*state)),
            // Something is damaged, or the committed state does not follow from the one shown.
            Ok(Course::Lost) | Err(_) => (true, None),
        };
        let (next, snapshot) = State::begin(&self.view, &self.placement, known)?;
        if !core.snapshot().config.can_become(&snapshot.config) || !next.follower.is_of_same_store(&state.follower) {
            return Err(OpenError::Replaced);
        }
        *state = next;
        core.change(|now| {
            *now = snapshot;
            Ok::<_, OpenError>(())
        })?;
        Ok(changed)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, OpenError> {
        if self.opened_by == process::id() {
            return Ok(self.state.lock());
        }
        self.state.try_lock_for(PATIENCE).ok_or(OpenError::Forked)
    }
}

/// How to reach the committed state, and whether it differs from the one shown.
enum Course {
    /// It was applied to the snapshot.
    Along(bool),
    /// Load the newest checkpoint, which has much of it, but for graphs that are in memory.
    Load(bool),
    /// Load everything.
    Lost,
}

impl State {
    /// Read the committed state. Take from an earlier state of the same rows the graphs that are still
    /// in it.
    fn begin(view: &View, placement: &Arc<Placement>, earlier: Option<&Self>) -> Result<(Self, Snapshot), OpenError> {
        steady(|| {
            let follower = view.follow()?;
            let reader = follower.reader().clone();
            let config = config_of(&reader)?;
            let earlier = earlier.filter(|earlier| {
                earlier.follower.is_of_same_store(&follower)
                    && earlier.follower.reader().numbering() == reader.numbering()
            });
            let known = earlier.map_or(&[][..], |earlier| &earlier.graphs);
            let (snapshot, Maintenance { last, graphs, .. }) =
                read(reader, &|name| view.open_segment(name), &config, placement, known)?;
            let kept = graphs.iter().filter(|graph| known.iter().any(|known| known.name == graph.name));
            let rows = kept.filter_map(Written::graph).flat_map(|graph| graph.ids());
            // Searches in older snapshots may need them.
            let dead = rows.filter(|row| !snapshot.lives(*row as u32)).map(|row| (row, snapshot.sequence));
            Ok((Self { follower, buried: dead.collect(), from_files: last.rows, graphs }, snapshot))
        })
    }

    /// Advance from the newest snapshot, if the committed state follows from it.
    fn follow(&mut self, core: &Core) -> Result<Course, OpenError> {
        let now = core.snapshot();
        let width = now.config.dim.map(|dim| dim * size_of::<f32>());
        let mut gathered = Gathered { width, first: now.rows, grown: now.vectors.clone(), ..Gathered::default() };
        // After a failure the follower can be ahead.
        if self.follower.reader().sequence() != now.sequence
            || !self.follower.advance(|batch| gathered.add(batch))?
            || gathered.is_damaged
        {
            return Ok(Course::Lost);
        }
        let reader = self.follower.reader().clone();
        if reader.is_same(&now.reader) {
            return Ok(Course::Along(false));
        }
        let Some(config) = reached(&now.config, config_of(&reader)?) else { return Ok(Course::Lost) };
        let damaged = |what| OpenError::Damaged { file: "log".into(), what };
        if config.storage != now.config.storage {
            // The newest checkpoint has the index with the new one.
            return Ok(Course::Load(gathered.sequence > 0));
        }
        let enough = self.from_files.saturating_add(MANY);
        if reader.next_row() >= enough && last_checkpoint(&reader)?.rows >= enough {
            return Ok(Course::Load(gathered.sequence > 0));
        }
        if gathered.sequence == 0 {
            core.change(|snapshot| {
                snapshot.reader = reader;
                snapshot.take_config(config).map_err(damaged)
            })?;
            return Ok(Course::Along(false));
        }
        let (applied, mut fresh) = gathered.finish(core).map_err(damaged)?;
        let (sequence, metadata) = (applied.sequence, std::mem::take(&mut fresh.metadata));
        core.change(|snapshot| {
            snapshot.take_config(config).map_err(damaged)?;
            let dead = apply(snapshot, &applied, fresh, reader).map_err(damaged)?;
            self.buried.extend(dead.into_iter().map(|row| (u64::from(row), sequence)));
            Ok::<_, OpenError>(())
        })?;
        NewMetadata::of(&core.snapshot(), metadata, changed(&applied).collect()).index(core);
        merge_few(core).map_err(damaged)?;
        Ok(Course::Along(true))
    }

    fn take_out_dead(&mut self, core: &Core) {
        let seen = core.seen_by_all();
        let dead: Vec<u64> = self.buried.extract_if(.., |(_, died)| *died <= seen).map(|(row, _)| row).collect();
        for index in core.snapshot().vectors.iter().flat_map(Vectors::indexes) {
            index.delete(&dead);
        }
    }
}

/// Return the next configuration of a reader: the stored one, with the dim known from vectors.
/// Return `None` if the stored one belongs to another collection.
fn reached(now: &Config, mut stored: Config) -> Option<Config> {
    stored.dim = stored.dim.or(now.dim);
    now.can_become(&stored).then_some(stored)
}

/// The changes of several batches that matter to searches, gathered as one batch.
#[derive(Default)]
struct Gathered {
    /// Bytes of a vector, once there is one.
    width: Option<usize>,
    sequence: u64,
    rows: Vec<RowChange>,
    fresh: Fresh,
    /// The first new row.
    first: u32,
    /// The vectors of the collection with those of the batches, but for the last ones.
    grown: Option<Vectors>,
    vectors: Vec<f32>,
    rows_of_vectors: Vec<u64>,
    texts: Vec<(u32, String)>,
    is_damaged: bool,
}

/// Bytes of vectors that are gathered before they go into growing segments. Readers of the snapshot shown
/// do not see them there.
const GATHERED: usize = 8 << 20;

impl Gathered {
    fn add(&mut self, batch: Followed<'_>) {
        if !batch.vectors.is_empty() {
            self.is_damaged |= *self.width.get_or_insert(batch.width) != batch.width;
        }
        self.sequence = batch.applied.sequence;
        self.rows.extend(&batch.applied.rows);
        let values = batch.vectors.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        self.vectors.extend(values);
        for change in batch.changes {
            let Change::Upsert { vector, text, metadata, .. } = change else { continue };
            let place = self.fresh.with_vector.len() as u32;
            let (text, metadata) = (text.clone().map(String::from_utf8), metadata.clone().map(String::from_utf8));
            let (text, metadata) = (text.transpose(), metadata.transpose());
            self.is_damaged |= text.is_err() || metadata.is_err();
            self.texts.extend(text.unwrap_or_default().map(|text| (place, text)));
            self.fresh.metadata.push(metadata.unwrap_or_default());
            self.rows_of_vectors.extend(vector.then(|| u64::from(self.first + place)));
            self.fresh.with_vector.push(*vector);
        }
        if self.vectors.len() * size_of::<f32>() >= GATHERED {
            self.grow();
        }
    }

    /// Put gathered vectors into growing segments.
    fn grow(&mut self) {
        if let Some(grown) = self.grown.as_ref().filter(|_| !self.is_damaged) {
            match grown.with(&self.rows_of_vectors, &self.vectors) {
                Ok(more) => self.grown = Some(more),
                // What was read does not fit what is shown.
                Err(_) => self.is_damaged = true,
            }
            self.vectors.clear();
            self.rows_of_vectors.clear();
        }
    }

    fn finish(mut self, core: &Core) -> Result<(Applied, Fresh), String> {
        if !self.fresh.with_vector.is_empty() {
            let texts = self.texts.iter().map(|(place, text)| (*place, text.as_str()));
            let segment =
                Segment::build(texts, &core.snapshot().config.tokenizer).map_err(|error| error.to_string())?;
            self.fresh.segment = Some(segment);
        }
        self.grow();
        if self.is_damaged {
            return Err("vectors that do not follow those before".into());
        }
        self.fresh.grown = self.grown;
        self.fresh.vectors = Arc::new(Packed(self.vectors));
        Ok((Applied { sequence: self.sequence, rows: self.rows }, self.fresh))
    }
}

#[cfg(test)]
mod tests;
