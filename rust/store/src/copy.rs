//! Copies of record databases, logs and segments, and reading all of a record database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::base::Base;
use crate::check::{Scope, check};
use crate::database::Db;
use crate::errors::{Corruption, ReadError};
use crate::files::Files;
use crate::log::{self, FIRST, LogHeader};
use crate::log_read;
use crate::names::RECORDS_FILE;
use crate::page_file::{Health, Origin, PageFile};
use crate::pages::Header;
use crate::reader::Reader;
use crate::record::RecordRef;
use crate::segment::{self, Segment, SegmentWriter};
use crate::tables::{Counters, IDS, META, OBSOLETE, RECORDS, SEGMENTS};
use crate::vfs::Vfs;

/// Cache of a database that is read or written from front to back.
const CACHE: usize = 16 << 20;
/// Bytes of a log file that are copied at a time.
const CHUNK: u64 = 1 << 20;

/// Make a record database in a directory with what `fill` puts into it; its rows were numbered anew so often.
pub(crate) fn create(
    files: Files<'_>,
    numbering: u32,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let temporary = files.temporary(RECORDS_FILE);
    let origin = Origin { identity: files.identity, file: 1, writes: 0, numbering };
    let result = fill_file(files, &temporary, origin, fill);
    files.place(&temporary, RECORDS_FILE, result)
}

/// Make a record database in a file of its own, whole and on disk but for its name.
fn fill_file(
    files: Files<'_>,
    path: &Path,
    origin: Origin,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let file = PageFile::create(files.create(path)?, RECORDS_FILE, origin);
    let db = Db::new(file.clone(), CACHE)?;
    db.transact(fill)?;
    db.close();
    match file.health() {
        Health::Sound => Ok(()),
        Health::Full(why) => Err(io::Error::from(why).into()),
        Health::Failed(why) => Err(io::Error::other(why).into()),
    }
}

/// Copy the record database below a reader into one of its own in another directory.
pub(crate) fn copy_records(files: Files<'_>, reader: &Reader) -> Result<(), ReadError> {
    create(files, reader.numbering(), |transaction| copy_tables(reader.base(), reader.counters(), transaction))
}

/// Copy the record database, with these counters, to a file beside its own that will take its place, and return its name.
pub(crate) fn copy_aside(
    files: Files<'_>,
    base: &Base,
    counters: Counters,
    old: &Header,
) -> Result<PathBuf, ReadError> {
    fill_aside(files, old, old.numbering, |transaction| copy_tables(base, counters, transaction))
}

/// Make a record database in a file beside the one with the header `old`, whose place it will take, and return its name.
fn fill_aside(
    files: Files<'_>,
    old: &Header,
    numbering: u32,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<PathBuf, ReadError> {
    let path = files.temporary(RECORDS_FILE);
    let (identity, file) = (files.identity, old.file.wrapping_add(1));
    match fill_file(files, &path, Origin { identity, file, writes: old.writes, numbering }, fill) {
        Ok(()) => Ok(path),
        Err(error) => {
            let _ = files.vfs.remove(&path);
            Err(error)
        }
    }
}

fn copy_tables(base: &Base, counters: Counters, transaction: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(base, transaction, IDS)?;
    copy_table(base, transaction, RECORDS)?;
    copy_table(base, transaction, META)?;
    copy_table(base, transaction, SEGMENTS)?;
    counters.write(transaction)
}

/// What a record database holds once its rows are numbered anew.
pub(crate) struct Renumbered<'a> {
    pub(crate) counters: Counters,
    /// The living rows, ascending: the place of each is its number from now on.
    pub(crate) rows: &'a [u32],
    pub(crate) segments: &'a [&'a str],
    pub(crate) obsolete: &'a [String],
    /// Entries that take the place of those of these names.
    pub(crate) meta: &'a [(&'a str, &'a [u8])],
}

/// As [`copy_aside`], with new numbers for the rows.
pub(crate) fn renumber_aside(
    files: Files<'_>,
    base: &Base,
    new: &Renumbered<'_>,
    old: &Header,
) -> Result<PathBuf, ReadError> {
    let number_of = |row: u32| {
        let number = new.rows.binary_search(&row).map(|number| number as u32);
        number.map_err(|_| redb::Error::Corrupted(format!("row {row}: expected a record")))
    };
    fill_aside(files, old, old.numbering.wrapping_add(1), |transaction| {
        let mut ids = transaction.open_table(IDS)?;
        for entry in base.table(IDS)?.iter()? {
            let (id, row) = entry?;
            ids.insert(id.value(), number_of(row.value())?)?;
        }
        let mut records = transaction.open_table(RECORDS)?;
        for entry in base.table(RECORDS)?.iter()? {
            let (row, record) = entry?;
            records.insert(number_of(row.value())?, record.value())?;
        }
        copy_table(base, transaction, META)?;
        let mut meta = transaction.open_table(META)?;
        for (name, bytes) in new.meta {
            meta.insert(*name, *bytes)?;
        }
        let mut segments = transaction.open_table(SEGMENTS)?;
        new.segments.iter().try_for_each(|name| segments.insert(*name, ()).map(drop))?;
        let mut obsolete = transaction.open_table(OBSOLETE)?;
        new.obsolete.iter().try_for_each(|name| obsolete.insert(&**name, ()).map(drop))?;
        new.counters.write(transaction)
    })
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    base: &Base,
    transaction: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let from = base.table(definition)?;
    let mut to = transaction.open_table(definition)?;
    for entry in from.iter()? {
        let (key, value) = entry?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Copy the log files that a reader needs to another directory.
pub(crate) fn copy_log(there: Files<'_>, reader: &Reader) -> Result<(), ReadError> {
    let files = reader.files();
    let needed = files.iter().skip(1).take_while(|file| file.before < reader.sequence()).count();
    for (index, file) in files[..=needed].iter().enumerate() {
        let end = log_read::end(file, files.get(index + 1).map(|next| &**next), reader.sequence())?;
        let header = LogHeader {
            number: file.number,
            before: file.before,
            chain: file.chain,
            synced: end,
            ended: index < needed,
            making: false,
            ..LogHeader::first(there.identity)
        };
        there.write(&log::file_name(file.number), |to| {
            to.write_at(0, &header.encode())?;
            let mut at = FIRST;
            let mut bytes = Vec::new();
            while at < end {
                bytes.resize((end - at).min(CHUNK) as usize, 0);
                file.file.read_at(at, &mut bytes)?;
                to.write_at(at, &bytes)?;
                at += bytes.len() as u64;
            }
            Ok::<_, ReadError>(())
        })?;
    }
    Ok(())
}

/// Copy a segment; what is damaged in it is found and not copied.
pub(crate) fn copy_segment(there: Files<'_>, segment: &Segment, name: &str) -> Result<(), ReadError> {
    there.write(&segment::file_name(name), |file| {
        let sections: Vec<_> = segment.tags().filter_map(|tag| Some((tag, segment.len(tag)?))).collect();
        let mut writer = SegmentWriter::new(file, there.identity, &sections)?;
        for (tag, _) in sections {
            let bytes = segment.read(tag)?;
            writer.section(tag, |out| out.write_all(&bytes))?;
        }
        Ok(writer.finish()?)
    })
}

/// Read the record database without writing to it: as the last transaction left it.
fn view_records(vfs: &dyn Vfs, path: &Path, cache_bytes: usize) -> Result<Base, ReadError> {
    let file = PageFile::scratch(vfs.open(path)?, RECORDS_FILE)?;
    check(&file, Scope::Write)?;
    Base::new(&Arc::new(Db::read(file, cache_bytes)?))
}

/// Read the record database in a file.
pub(crate) fn verify_records(vfs: &dyn Vfs, path: &Path) -> Result<(), ReadError> {
    verify(&Reader::of_base(Arc::new(view_records(vfs, path, CACHE)?), Arc::new([])))
}

/// Read all that a reader shows.
pub(crate) fn verify(reader: &Reader) -> Result<(), ReadError> {
    let mut ids = 0;
    reader.scan(0, |row, record: RecordRef<'_>| {
        ids += 1;
        match reader.row(record.id)? {
            Some(found) if found == row => Ok(()),
            _ => Err(corrupt(format!("row {row}: expected its id to name it"))),
        }
    })?;
    if ids != reader.len() {
        return Err(corrupt(format!("expected {} records, as there are ids, got {ids}", reader.len())));
    }
    reader.fresh(0, |_| Ok::<_, ReadError>(()))?;
    reader.segments().map(drop)
}

fn corrupt(what: String) -> ReadError {
    Corruption { file: RECORDS_FILE.to_owned(), what, offset: None }.into()
}
