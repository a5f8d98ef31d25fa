//! Reading the log: all of it when a store is opened, and the vectors in it.

use std::path::Path;
use std::sync::Arc;

use crate::batch::{Applied, Change};
use crate::database::FILE;
use crate::errors::{Corruption, RESTORE, ReadError};
use crate::fresh::FreshChunk;
use crate::log::{self, FIRST, LogFile, LogHeader, LoggedGroup};
use crate::log_batch::{self, LoggedBatch};
use crate::log_writer::{LogFiles, LogWriter, Part};
use crate::overlay::Changes;
use crate::pages::Header;
use crate::reader::Reader;
use crate::stage::Stage;
use crate::tables::Counters;
use crate::vfs::Vfs;

/// The log, and what of it is not in the record database.
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
    let log = LogWriter::new(Arc::clone(vfs), dir.to_owned(), parts, header, place.chain);
    Ok(Replayed { log, changes, counters })
}

/// The files of the log from this one on, oldest first: at least one. They belong to a record database with this header.
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
    // Those behind a gap are among them, so that it is noticed.
    let mut gap = false;
    for number in numbers {
        if expected != Some(number) {
            gap = true;
            break;
        }
        let (file, header) = LogFile::open(vfs.open(&dir.join(log::file_name(number)))?, number)?;
        if !header.identity.fits(records.identity) {
            return Err(file.corrupt(&header.identity.is_foreign(records.identity), 40));
        }
        check_age(records, header.writes, &log::file_name(number))?;
        files.push((Arc::new(file), header));
        expected = Some(number + 1);
    }
    // The last one says whether it is the last one.
    match files.last() {
        Some((_, header)) if !header.ended && !gap => Ok(files),
        _ => {
            let number = files.last().map_or(first, |(file, _)| file.number + 1);
            let what = format!("expected a part of the log, got no file: {RESTORE}");
            Err(Corruption { file: log::file_name(number), what, offset: None }.into())
        }
    }
}

/// Check that a record database is not older than a file beside it that knows how often it was written.
pub(crate) fn check_age(records: &Header, writes: u64, witness: &str) -> Result<(), ReadError> {
    if records.writes >= writes {
        return Ok(());
    }
    let got = records.writes;
    let what = format!("header: expected write {writes} or a later one, as {witness} says, got {got}: an older copy");
    Err(Corruption { file: FILE.to_owned(), what, offset: Some(372) }.into())
}

/// How far a file was read: the last batch, where its group ends, and the chain up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) after: u64,
    pub(crate) end: u64,
    pub(crate) chain: u32,
}

impl Place {
    /// Before the first group of a file.
    pub(crate) fn start(file: &LogFile) -> Self {
        Self { after: file.before, end: FIRST, chain: file.chain }
    }

    /// The start of the file that must follow.
    pub(crate) fn in_next(self, file: &LogFile) -> Result<Self, ReadError> {
        if file.before != self.after {
            let what = format!("header: expected batch {} before it, got {}", self.after, file.before);
            return Err(file.corrupt(&what, 20));
        }
        // An earlier version did not write it.
        if file.chain != 0 && file.chain != self.chain {
            return Err(file.corrupt("header: expected the groups of the file before it to be before it", 64));
        }
        Ok(Self::start(file))
    }

    /// Behind a group that follows.
    fn behind(self, group: &LoggedGroup) -> Self {
        Self { after: group.last(), end: group.end, chain: group.chain(self.chain) }
    }
}

/// Visit the groups of a file of `len` bytes from a place on. A group behind `sound` that is not whole ends the walk; before, it is
/// damage.
pub(crate) fn walk(
    file: &LogFile,
    from: Place,
    len: u64,
    sound: u64,
    mut each: impl FnMut(&LoggedGroup) -> Result<(), ReadError>,
) -> Result<Place, ReadError> {
    let mut place = from;
    while place.end < len {
        let group = match file.group(place.end, len, place.after) {
            Err(ReadError::Corrupt(_)) if place.end >= sound => break,
            group => group?,
        };
        each(&group)?;
        place = place.behind(&group);
    }
    if place.end < sound {
        return Err(file.corrupt(&format!("file: expected {sound} bytes, as its header says, got {len}"), len));
    }
    Ok(place)
}

/// Apply those batches of a group that a stage does not have yet. `each` gets every batch of the group with its first row and, if
/// it was applied now, its changes and what became of them.
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

/// Visit the batches of a group: the number of each, its first row, and what it is.
fn for_each_batch<E: From<ReadError>>(
    file: &LogFile,
    group: &LoggedGroup,
    mut each: impl FnMut(u64, u32, &LoggedBatch<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = group.batches.as_slice();
    let mut first = group.first_row;
    for sequence in group.sequence..=group.last() {
        let batch = log_batch::decode(&mut rest);
        let batch = batch.ok_or_else(|| file.corrupt(&format!("batch {sequence}: expected one"), group.start))?;
        each(sequence, first, &batch)?;
        first = first.saturating_add(batch.upserts());
    }
    Ok(())
}

/// Visit the groups of a file up to batch `until` or the begin of the next file; gives where they end.
fn read<E: From<ReadError>>(
    file: &LogFile,
    next: Option<&LogFile>,
    until: u64,
    mut each: impl FnMut(&LoggedGroup) -> Result<(), E>,
) -> Result<u64, E> {
    let last = next.map_or(until, |next| next.before.min(until));
    let mut place = Place::start(file);
    while place.after < last {
        let len = file.file.len().map_err(ReadError::from)?;
        let group = file.group(place.end, len, place.after)?;
        each(&group)?;
        place = place.behind(&group);
    }
    Ok(place.end)
}

/// Where the groups of a file up to batch `until` end.
pub(crate) fn end(file: &LogFile, next: Option<&LogFile>, until: u64) -> Result<u64, ReadError> {
    read(file, next, until, |_| Ok(()))
}

/// Visit the vectors of rows from `from` on in batches up to `until`, a chunk a batch.
pub(crate) fn fresh<E: From<ReadError>>(
    files: &LogFiles,
    from: u32,
    until: u64,
    mut each: impl FnMut(FreshChunk<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for (index, file) in files.iter().enumerate() {
        let next = files.get(index + 1).map(|next| &**next);
        read(file, next, until, |group| {
            for_each_batch(file, group, |_, first, batch| {
                let rows = batch.rows(first);
                let skipped = rows.partition_point(|row| *row < from);
                let (rows, vectors) = (&rows[skipped..], &batch.vectors[skipped * batch.width..]);
                if rows.is_empty() { Ok(()) } else { each(FreshChunk { rows, width: batch.width, vectors }) }
            })
        })?;
    }
    Ok(())
}

/// Read the files of the log up to `end` in the last one.
pub(crate) fn verify(vfs: &dyn Vfs, dir: &Path, files: &LogFiles, end: u64) -> Result<(), ReadError> {
    let mut place = Place::start(&files[0]);
    for (index, file) in files.iter().enumerate() {
        let (file, _) = LogFile::open(vfs.open(&dir.join(log::file_name(file.number)))?, file.number)?;
        let len = if index + 1 < files.len() { file.file.len()? } else { end };
        place = walk(&file, place.in_next(&file)?, len, len, |group| for_each_batch(&file, group, |_, _, _| Ok(())))?;
    }
    Ok(())
}
