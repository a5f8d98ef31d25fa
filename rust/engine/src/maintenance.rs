//! Background work on request.

use crate::collection::Collection;
use crate::errors::WriteError;
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::renumber::{is_sparse, renumber};
use crate::maintain::upkeep::{apply, fill_up, merge_text, move_growing, rebuild, take_out_dead};

impl Collection {
    /// Do all background work now: move all vectors into the graph, merge all texts, take out dead
    /// rows.
    pub fn wait_idle(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let _maintenance = writer.maintenance.lock();
        move_growing(writer)?;
        merge_text(writer)?;
        take_out_dead(writer)?;
        fill_up(writer)
    }

    /// Rebuild indexes that have many dead rows, write a checkpoint, and return unused disk space.
    /// If most rows are dead, renumber the live ones; writes wait meanwhile.
    pub fn compact(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let mut maintenance = writer.maintenance.lock();
        rebuild(writer)?;
        if is_sparse(&writer.snapshot()) {
            renumber(writer, &mut maintenance)?;
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
        renumber(writer, &mut writer.maintenance.lock())?;
        // Otherwise the old file would stay until the next write.
        apply(writer)
    }
}
