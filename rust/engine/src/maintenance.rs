//! Background work on request.

use tiercel_index::Storage;

use crate::collection::Collection;
use crate::config::check_storage;
use crate::errors::WriteError;
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::rebuild::{bytes_to_rebuild, fill_up, rebuild};
use crate::maintain::renumber::renumber;
use crate::maintain::upkeep::{apply, is_sparse, merge_graphs, merge_text, move_growing, take_out_dead};

impl Collection {
    /// Do all background work now: move all vectors into graphs, merge all texts, take out dead
    /// rows.
    pub fn wait_idle(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let _maintenance = writer.maintenance.lock();
        move_growing(writer)?;
        while merge_graphs(writer)? {}
        merge_text(writer)?;
        take_out_dead(writer)?;
        fill_up(writer)
    }

    /// Return about how many more bytes of memory a compaction holds at its peak.
    pub fn bytes_to_compact(&self, storage: Option<Storage>) -> Result<usize, WriteError> {
        let writer = self.writer()?;
        let _maintenance = writer.maintenance.lock();
        bytes_to_rebuild(writer, storage.unwrap_or_else(|| writer.storage()))
    }

    /// Rebuild indexes that have dead rows, write a checkpoint, and return unused disk space. If
    /// most rows are dead, renumber the live ones; writes wait meanwhile.
    pub fn compact(&self) -> Result<(), WriteError> {
        self.compact_to(None)
    }

    /// Do the same, and give the graphs another storage. The checkpoint has the index and the
    /// configuration; after a crash before it is published, both are as they were.
    pub fn change_storage(&self, storage: Storage) -> Result<(), WriteError> {
        self.compact_to(Some(storage))
    }

    fn compact_to(&self, storage: Option<Storage>) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let mut maintenance = writer.maintenance.lock();
        let storage = storage.unwrap_or_else(|| writer.storage());
        check_storage(storage, self.config().dim)?;
        writer.snapshot().placement.check(storage)?;
        rebuild(writer, storage)?;
        // Without a dim, the first vectors could come in between the new configuration on disk and
        // the one in memory, and fit only one of them. Renumbering lets no write come in between.
        if is_sparse(&writer.snapshot()) || writer.storage() != storage {
            renumber(writer, &mut maintenance, storage)?;
        } else {
            checkpoint(writer, &mut maintenance)?;
            writer.store.compact()?;
        }
        writer.core.events.info("compacted".to_owned());
        // Otherwise the old file would stay until the next write.
        apply(writer)
    }

    /// Write a checkpoint now.
    pub fn checkpoint(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        checkpoint(writer, &mut writer.maintenance.lock())
    }

    /// Renumber the rows of all records, whether that pays or not, and write a checkpoint. Writes
    /// wait meanwhile; searches do not.
    pub fn renumber(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let mut maintenance = writer.maintenance.lock();
        renumber(writer, &mut maintenance, writer.storage())?;
        // Otherwise the old file would stay until the next write.
        apply(writer)
    }
}
