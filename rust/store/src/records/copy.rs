//! Writing record databases whole, to a new file: new ones and copies.

use std::io;
use std::path::PathBuf;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use tiercel_container::{Files, VfsFile};

use crate::errors::ReadError;
use crate::names::RECORDS_FILE;
use crate::records::base::Base;
use crate::records::database::{Db, SMALL_CACHE};
use crate::records::pages::file::{Origin, PageFile};
use crate::records::pages::header::Header;
use crate::records::pages::state::Health;
use crate::records::reader::Reader;
use crate::records::tables::{Counters, IDS, META, OBSOLETE, RECORDS, SEGMENTS};

/// Make a record database in a directory with the content that `fill` puts into it. Its rows have
/// been renumbered `numbering` times.
pub(crate) fn create(
    files: Files<'_>,
    numbering: u32,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let origin = Origin { identity: files.identity, file: 1, writes: 0, numbering };
    let (draft, file) = files.begin(RECORDS_FILE)?;
    fill_file(file, origin, fill)?;
    Ok(draft.put(&files.dir.join(RECORDS_FILE))?)
}

/// Make a record database in a new file, whole and on disk except for its name.
fn fill_file(
    file: Box<dyn VfsFile>,
    origin: Origin,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let file = PageFile::create(file, RECORDS_FILE, origin);
    let db = Db::new(file.clone(), SMALL_CACHE)?;
    db.transact(fill)?;
    db.close();
    match file.health() {
        Health::Sound => Ok(()),
        Health::Full(why) => Err(io::Error::from(why).into()),
        Health::Failed(why) => Err(io::Error::other(why).into()),
    }
}

/// Copy the record database of a reader to another directory.
pub(crate) fn copy_records(files: Files<'_>, reader: &Reader) -> Result<(), ReadError> {
    create(files, reader.numbering(), |transaction| copy_tables(reader.base(), reader.counters(), transaction))
}

/// Copy the record database, with these counters, to a file beside it that will take its place, and
/// return its path.
pub(crate) fn copy_aside(
    files: Files<'_>,
    base: &Base,
    counters: Counters,
    old: &Header,
) -> Result<PathBuf, ReadError> {
    fill_aside(files, old, old.numbering, |transaction| copy_tables(base, counters, transaction))
}

/// Make a record database in a file beside the one with the header `old`, whose place it will take,
/// and return its path.
fn fill_aside(
    files: Files<'_>,
    old: &Header,
    numbering: u32,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<PathBuf, ReadError> {
    let origin = Origin { identity: files.identity, file: old.file.wrapping_add(1), writes: old.writes, numbering };
    let (draft, file) = files.begin(RECORDS_FILE)?;
    fill_file(file, origin, fill)?;
    Ok(draft.keep())
}

fn copy_tables(base: &Base, counters: Counters, transaction: &WriteTransaction) -> Result<(), redb::Error> {
    copy_table(base, transaction, IDS)?;
    copy_table(base, transaction, RECORDS)?;
    copy_table(base, transaction, META)?;
    copy_table(base, transaction, SEGMENTS)?;
    counters.write(transaction)
}

/// The content of a record database after its rows are renumbered.
pub(crate) struct Renumbered<'a> {
    pub(crate) counters: Counters,
    /// The live rows, ascending: the position of each is its new number.
    pub(crate) rows: &'a [u32],
    pub(crate) segments: &'a [&'a str],
    pub(crate) obsolete: &'a [String],
    /// Entries that replace those of the same names.
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
