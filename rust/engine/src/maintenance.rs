//! What the background does, when a user asks for it.

use crate::collection::Collection;
use crate::errors::WriteError;
use crate::maintain::checkpoint::checkpoint;
use crate::maintain::renumber::{is_sparse, renumber};
use crate::maintain::upkeep::{apply, fill_up, merge_text, move_growing, rebuild, take_out_dead};

impl Collection {
    /// Move everything into the graph, merge all texts, take out the dead: what the background does, at once.
    pub fn wait_idle(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let _maintenance = writer.maintenance.lock();
        move_growing(writer)?;
        merge_text(writer)?;
        take_out_dead(writer)?;
        fill_up(writer)
    }

    /// Rebuild what has many dead rows, write a checkpoint, and give unused space on disk back. Where most rows are dead, the living are
    /// numbered anew, and writes wait for that.
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
        // Or the old file would stay for as long as nothing is written.
        apply(writer)
    }

    /// Write a checkpoint now.
    pub fn checkpoint(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        checkpoint(writer, &mut writer.maintenance.lock())
    }

    /// Number the rows of the records anew, whether that pays or not, and write a checkpoint. Writes wait meanwhile; searches do not.
    pub fn renumber(&self) -> Result<(), WriteError> {
        let writer = self.writer()?;
        renumber(writer, &mut writer.maintenance.lock())?;
        // Or the old file would stay for as long as nothing is written.
        apply(writer)
    }
}
