//! Commits: to the log, and to what readers see.

use std::io;
use std::sync::Arc;

use tiercel_container::log::{LogWriter, NewGroup};
use tiercel_container::{Identity, VfsLock};

use crate::batch::{Applied, Batch, Condition};
use crate::errors::{CommitError, failed};
use crate::log::batch as log_batch;
use crate::names::RECORDS_FILE;
use crate::records::base::Base;
use crate::records::memtable::Layer;
use crate::records::reader::Reader;
use crate::records::replay::Replayed;
use crate::records::stage::Stage;
use crate::records::tables::{self, Counters};
use crate::records::transactions::Records;

/// Commits batches.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: LogWriter,
    base: Arc<Base>,
    /// Changes on top of the base, oldest first; the last layer is added to.
    layers: Vec<Arc<Layer>>,
    counters: Counters,
    /// What is committed.
    reader: Reader,
    /// Why writes are refused.
    failed: Option<CommitError>,
    /// Nothing is written without it.
    lock: Option<Arc<dyn VfsLock>>,
}

/// Layers that nothing more is added to.
#[derive(Debug)]
pub(crate) struct Frozen {
    layers: Vec<Arc<Layer>>,
    /// The counters after the last batch in them.
    counters: Counters,
}

impl Frozen {
    /// Put their changes into the record database. Return the number of layers that are in it, too:
    /// none after an error.
    pub(crate) fn apply(&self, records: &mut Records) -> (usize, Result<(), CommitError>) {
        let result = records.transact(|transaction| {
            for layer in &self.layers {
                tables::apply(transaction, &layer.read())?;
            }
            self.counters.write(transaction)
        });
        (if result.is_ok() { self.layers.len() } else { 0 }, result)
    }
}

impl Writer {
    /// Continue after what the log had on top of the base.
    pub(crate) fn new(base: Arc<Base>, replayed: Replayed) -> Self {
        let Replayed { log, changes, counters } = replayed;
        let layer = Layer::default();
        layer.add(changes);
        let layers = vec![Arc::new(layer)];
        let reader = Reader::new(Arc::clone(&base), layers.clone(), log.files(), counters);
        Self { log, base, layers, counters, reader, failed: None, lock: None }
    }

    /// Begin to write.
    pub(crate) fn begin(&mut self, identity: Identity, lock: &Arc<dyn VfsLock>) -> io::Result<()> {
        self.lock = Some(Arc::clone(lock));
        self.log.begin(identity)
    }

    /// Note in the log how often the record database was written.
    pub(crate) fn note_writes(&mut self, writes: u64) -> Result<(), CommitError> {
        let noted = self.log.note_writes(writes).map_err(failed);
        self.latch(noted)
    }

    /// What is committed.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Bytes of memory of the changes that are not in the base.
    pub(crate) fn unapplied(&self) -> usize {
        self.layers.iter().map(|layer| layer.bytes()).sum()
    }

    /// Check that writes are not refused, that no other process may write, and that log and record
    /// database still have their names.
    pub(crate) fn ready(&mut self) -> Result<(), CommitError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let held = self.lock.as_ref().map_or(Ok(()), |lock| lock.check());
        let in_place = held.and_then(|()| self.log.check_in_place()).and_then(|()| self.check_records());
        self.latch(in_place.map_err(failed))
    }

    /// Check that there is a record database. While it is replaced by one without gaps, its name
    /// leads to a file other than the base's, but always to one.
    fn check_records(&self) -> io::Result<()> {
        self.log.check_beside(RECORDS_FILE, |path| self.base.is_at(path))
    }

    /// Check conditions against what is committed.
    pub(crate) fn check(&self, conditions: &[Condition]) -> Result<(), CommitError> {
        Stage::new(&self.reader).conflict(conditions)?.map_or(Ok(()), Err)
    }

    /// Refuse all further writes if the error is `Failed`. Other errors, such as lack of room,
    /// pass.
    pub(crate) fn latch<T>(&mut self, result: Result<T, CommitError>) -> Result<T, CommitError> {
        if let Err(error @ CommitError::Failed { .. }) = &result {
            self.failed.get_or_insert(error.clone());
        }
        result
    }

    /// Commit batches as one group. On failure nothing is shown, but after a failed write or sync
    /// the group may be in the log, and appears at the next opening. The inner errors concern
    /// single batches.
    pub(crate) fn commit(
        &mut self,
        batches: &[Batch],
        durable: bool,
    ) -> Result<Vec<Result<Applied, CommitError>>, CommitError> {
        self.ready()?;
        if self.log.is_full() {
            self.begin_file()?;
        }
        let mut stage = Stage::new(&self.reader);
        let mut results = Vec::with_capacity(batches.len());
        let mut group = NewGroup::new();
        let mut count = 0;
        let mut vectors = false;
        for batch in batches {
            let result = stage.apply(batch)?;
            if result.is_ok() {
                log_batch::encode(batch, &mut group);
                count += 1;
                vectors |= !batch.vectors.is_empty();
            }
            results.push(result);
        }
        if count == 0 {
            return Ok(results);
        }
        let (changes, counters) = (stage.changes, stage.counters);
        let group = group.seal(self.counters.sequence + 1, count, self.counters.next_row);
        let written = self.log.append(&group, if vectors { counters.next_row } else { 0 }, durable);
        self.latch(written.map_err(CommitError::from))?;
        if durable {
            // Otherwise another opener may write its own group without having seen this one.
            self.ready()?;
        }
        self.layers[self.layers.len() - 1].add(changes);
        self.counters = counters;
        self.show();
        Ok(results)
    }

    /// Begin another log file.
    pub(crate) fn begin_file(&mut self) -> Result<(), CommitError> {
        self.ready()?;
        let rotated = self.log.rotate(self.counters.sequence);
        self.latch(rotated.map_err(CommitError::from))
    }

    /// Sync what was committed.
    pub(crate) fn sync(&mut self) -> Result<(), CommitError> {
        self.ready()?;
        let synced = self.log.sync().map_err(failed);
        self.latch(synced)
    }

    /// Sync the layers that are not in the base, and return them; nothing more is added to them.
    /// `None` if there are none.
    pub(crate) fn freeze(&mut self) -> Result<Option<Frozen>, CommitError> {
        self.sync()?;
        if self.counters.sequence == self.base.counters().sequence {
            return Ok(None);
        }
        // Some layers may have failed to apply before.
        if self.layers.last().is_none_or(|last| last.bytes() > 0) {
            self.layers.push(Arc::default());
        }
        let layers = self.layers[..self.layers.len() - 1].to_vec();
        Ok(Some(Frozen { layers, counters: self.counters }))
    }

    /// Continue from another base, which has the first `applied` layers.
    pub(crate) fn install(&mut self, base: Arc<Base>, applied: usize) {
        self.layers.drain(..applied);
        let Counters { log, covered, .. } = base.counters();
        self.counters = Counters { log, covered, ..self.counters };
        self.log.remove_before(log);
        self.base = base;
        self.show();
    }

    /// Continue from a base that has everything, with other numbers for the rows.
    pub(crate) fn restart(&mut self, base: Arc<Base>) {
        self.counters = base.counters();
        self.layers = vec![Arc::default()];
        self.install(base, 0);
    }

    fn show(&mut self) {
        self.reader = Reader::new(Arc::clone(&self.base), self.layers.clone(), self.log.files(), self.counters);
    }
}
