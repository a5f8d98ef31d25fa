//! Reading all of a record database to find damage.

use std::path::Path;
use std::sync::Arc;

use tiercel_container::Vfs;

use crate::errors::{ReadError, corrupt_records};
use crate::names::RECORDS_FILE;
use crate::record::RecordRef;
use crate::records::base::Base;
use crate::records::check::{Scope, check};
use crate::records::database::{Db, SMALL_CACHE};
use crate::records::pages::file::PageFile;
use crate::records::reader::Reader;

/// Open the record database as the last transaction left it, without writing to it.
fn open(vfs: &dyn Vfs, path: &Path) -> Result<Base, ReadError> {
    let file = PageFile::scratch(vfs.open(path)?, RECORDS_FILE)?;
    check(&file, Scope::Write)?;
    Base::new(&Arc::new(Db::read(file, SMALL_CACHE)?))
}

/// Read all of the record database in a file.
pub(crate) fn verify_records(vfs: &dyn Vfs, path: &Path) -> Result<(), ReadError> {
    verify_reader(&Reader::of_base(Arc::new(open(vfs, path)?), Arc::new([])))
}

/// Read everything that a reader shows.
pub(crate) fn verify_reader(reader: &Reader) -> Result<(), ReadError> {
    let mut ids = 0;
    reader.scan(0, |row, record: RecordRef<'_>| {
        ids += 1;
        match reader.row(record.id)? {
            Some(found) if found == row => Ok(()),
            _ => Err(corrupt_records(format!("row {row}: expected its id to name it"))),
        }
    })?;
    if ids != reader.len() {
        return Err(corrupt_records(format!("expected {} records, as counted, got {ids}", reader.len())));
    }
    reader.fresh(0, |_| Ok::<_, ReadError>(()))?;
    reader.segments().map(drop)
}
