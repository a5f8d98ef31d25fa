//! Replaying the log on top of the record database, when a store is opened or followed.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::Vfs;
use tiercel_container::log::{self, LogFile, LogHeader, LogWriter, LoggedGroup, Part, Place, walk};

use crate::batch::{Applied, Change};
use crate::errors::{Corruption, RESTORE, ReadError};
use crate::log::batch::LoggedBatch;
use crate::log::read::for_each_batch;
use crate::names::RECORDS_FILE;
use crate::records::memtable::Changes;
use crate::records::pages::header::Header;
use crate::records::reader::Reader;
use crate::records::stage::Stage;
use crate::records::tables::Counters;

/// The log, and those of its changes that are not in the record database.
pub(crate) struct Replayed {
    pub(crate) log: LogWriter,
    pub(crate) changes: Changes,
    pub(crate) counters: Counters,
}

/// Read the log on top of what a reader of the record database shows. Nothing is written.
pub(crate) fn replay(vfs: &Arc<dyn Vfs>, dir: &Path, records: &Header, reader: &Reader) -> Result<Replayed, ReadError> {
    let opened = open_files(&**vfs, dir, records, reader.counters().log)?;
    let mut stage = Stage::new(reader);
    let mut parts = Vec::with_capacity(opened.len());
    let mut place = Place::start(&opened[0].0);
    for (index, (file, header)) in opened.iter().enumerate() {
        let len = file.file.len()?;
        let mut rows = 0;
        let sound = if index + 1 < opened.len() { len } else { header.synced };
        place = walk(file, place.in_next(file)?, len, sound, |group| {
            replay_group(file, group, &mut stage, |first, batch, _| {
                rows = batch.rows(first).last().map_or(rows, |row| row + 1);
            })
        })?;
        parts.push(Part { file: Arc::clone(file), rows, end: place.end });
    }
    if place.after < reader.sequence() {
        let what = format!("expected batches up to {}, got {}", reader.sequence(), place.after);
        let (file, _) = &opened[opened.len() - 1];
        return Err(file.corrupt(&what, place.end));
    }
    let (changes, counters, header) = (stage.changes, stage.counters, opened[opened.len() - 1].1);
    let log = LogWriter::new(Arc::clone(vfs), (dir.to_owned(), RECORDS_FILE), parts, header, place.chain);
    Ok(Replayed { log, changes, counters })
}

/// Open the files of the log from number `first` on, oldest first: at least one. They must belong
/// to the record database with this header.
pub(crate) fn open_files(
    vfs: &dyn Vfs,
    dir: &Path,
    records: &Header,
    first: u64,
) -> Result<Vec<(Arc<LogFile>, LogHeader)>, ReadError> {
    let mut numbers: Vec<u64> = vfs.list(dir)?.iter().filter_map(|name| log::number_of(name)).collect();
    numbers.retain(|number| *number >= first);
    numbers.sort_unstable();
    let mut files = Vec::with_capacity(numbers.len());
    let mut expected = Some(first);
    // Files after a gap are among the numbers, so that the gap is noticed.
    let mut gap = false;
    for number in numbers {
        if expected != Some(number) {
            gap = true;
            break;
        }
        let (file, header) = LogFile::open(vfs.open(&dir.join(log::file_name(number)))?, number)?;
        if !header.identity.fits(records.identity) {
            return Err(file.corrupt(&header.identity.is_foreign(records.identity, RECORDS_FILE), 40));
        }
        records.check_age(header.writes, &log::file_name(number))?;
        files.push((Arc::new(file), header));
        expected = Some(number + 1);
    }
    // The header of the last file says whether it is the last.
    match files.last() {
        Some((_, header)) if !header.ended && !gap => Ok(files),
        _ => {
            let number = files.last().map_or(first, |(file, _)| file.number + 1);
            let what = format!("expected a part of the log, got no file: {RESTORE}");
            Err(Corruption { file: log::file_name(number), what, offset: None }.into())
        }
    }
}

/// Apply the batches of a group that a stage does not have yet. `each` gets every batch of the
/// group with its first row and, if it was applied now, its changes and their result.
pub(crate) fn replay_group(
    file: &LogFile,
    group: &LoggedGroup,
    stage: &mut Stage<'_>,
    mut each: impl FnMut(u32, &LoggedBatch<'_>, Option<(Vec<Change>, Applied)>),
) -> Result<(), ReadError> {
    for_each_batch(file, group, |sequence, first, batch| {
        if sequence <= stage.counters.sequence {
            each(first, batch, None);
            return Ok(());
        }
        let (row, changes) = (stage.counters.next_row, batch.changes());
        let (Some(changes), true) = (changes, row == first) else {
            return Err(file.corrupt(&format!("batch {sequence}: expected changes from row {row} on"), group.start));
        };
        match stage.change_all(&changes)? {
            Ok(applied) => {
                each(first, batch, Some((changes, applied)));
                Ok(())
            }
            Err(error) => Err(file.corrupt(&format!("batch {sequence}: {error}"), group.start)),
        }
    })
}
