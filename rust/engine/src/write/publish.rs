//! Making committed batches visible to searches.

use tiercel_store::Applied;

use crate::state::apply::{Fresh, apply, changed};
use crate::state::snapshot::Snapshot;
use crate::state::unindexed::NewMetadata;
use crate::state::writer::Writer;
use crate::trouble::caught;

/// Make a committed batch visible. This runs in the order of commits, never concurrently. The
/// batches of a transaction become visible together: the reader shows all of them, so a record that
/// a later one replaced could be found neither in its old nor in its new form.
pub(crate) fn publish(writer: &Writer, applied: &Applied, fresh: Fresh) {
    if writer.failure.lock().is_some() {
        // Without the rows of the missing batch, later rows would get other numbers than in the
        // store.
        return;
    }
    if let Err(why) = caught(|| show(writer, applied, fresh)) {
        writer.fail(why);
    }
    writer.signal.wake();
}

fn show(writer: &Writer, applied: &Applied, fresh: Fresh) -> Result<(), String> {
    let mut batches = writer.unpublished.lock();
    batches.push((applied.clone(), fresh));
    if writer.store.reader().sequence() > applied.sequence {
        return Ok(());
    }
    let mut batches = std::mem::take(&mut *batches);
    let metadata: Vec<Option<String>> =
        batches.iter_mut().flat_map(|(_, fresh)| std::mem::take(&mut fresh.metadata)).collect();
    let changed = batches.iter().flat_map(|(applied, _)| changed(applied)).collect();
    let apply_one = |snapshot: &mut Snapshot, (applied, fresh): (Applied, Fresh)| {
        let dead = apply(snapshot, &applied, fresh, writer.store.reader())?;
        writer.buried.lock().extend(dead.into_iter().map(|row| (u64::from(row), applied.sequence)));
        Ok::<_, String>(())
    };
    writer.change(|snapshot| batches.into_iter().try_for_each(|batch| apply_one(snapshot, batch)))?;
    writer.unindexed.queue(NewMetadata::of(&writer.snapshot(), metadata, changed));
    Ok(())
}
