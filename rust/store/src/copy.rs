//! Files that are written anew: beside their place, synced, and put there by a rename.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::base::Base;
use crate::check::{Scope, check};
use crate::database::{Db, FILE};
use crate::errors::{Corruption, ReadError};
use crate::log::{self, FIRST, LogHeader};
use crate::page_file::{Health, PageFile};
use crate::reader::Reader;
use crate::record::RecordRef;
use crate::replay;
use crate::segment::{Segment, SegmentWriter};
use crate::store::TEMPORARY;
use crate::tables::{Counters, IDS, META, RECORDS, SEGMENTS};
use crate::vfs::{Vfs, VfsFile};

/// Cache of a database that is read or written from front to back.
const CACHE: usize = 16 << 20;
/// Bytes of a log file that are copied at a time.
const CHUNK: u64 = 1 << 20;

/// Write a file through `write`. When this returns, the file is whole and on disk; when it fails, nothing has its name,
/// unless it was the directory that could not be synced.
pub(crate) fn write_file<E: From<io::Error>>(
    vfs: &dyn Vfs,
    path: &Path,
    write: impl FnOnce(&dyn VfsFile) -> Result<(), E>,
) -> Result<(), E> {
    let temporary = temporary(path);
    let result = vfs.create(&temporary).map_err(E::from).and_then(|file| {
        write(&*file)?;
        Ok(file.sync()?)
    });
    place(vfs, &temporary, path, result)
}

/// Make a record database in a directory with what `fill` puts into it.
pub(crate) fn create(
    vfs: &dyn Vfs,
    dir: &Path,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let path = dir.join(FILE);
    let temporary = temporary(&path);
    let result = fill_file(vfs, &temporary, 1, fill);
    place(vfs, &temporary, &path, result)
}

/// Make a record database in a file of its own, whole and on disk but for its name.
fn fill_file(
    vfs: &dyn Vfs,
    path: &Path,
    number: u32,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), ReadError> {
    let file = PageFile::create(vfs.create(path)?, FILE, number);
    let db = Db::new(file.clone(), CACHE)?;
    db.transact(fill)?;
    db.close();
    match file.health() {
        Health::Sound => Ok(()),
        Health::Full => Err(io::Error::from(io::ErrorKind::StorageFull).into()),
        Health::Failed(why) => Err(io::Error::other(why).into()),
    }
}

/// Copy the record database below a reader into one of its own in another directory.
pub(crate) fn copy_records(vfs: &dyn Vfs, reader: &Reader, dir: &Path) -> Result<(), ReadError> {
    create(vfs, dir, |transaction| copy_tables(reader.base(), reader.counters(), transaction))
}

/// Copy the record database, with these counters, to a file of this number beside its own, and return its name.
pub(crate) fn copy_aside(
    vfs: &dyn Vfs,
    base: &Base,
    counters: Counters,
    number: u32,
    dir: &Path,
) -> Result<PathBuf, ReadError> {
    let path = temporary(&dir.join(FILE));
    match fill_file(vfs, &path, number, |transaction| copy_tables(base, counters, transaction)) {
        Ok(()) => Ok(path),
        Err(error) => {
            let _ = vfs.remove(&path);
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
pub(crate) fn copy_log(vfs: &dyn Vfs, reader: &Reader, dir: &Path) -> Result<(), ReadError> {
    let files = reader.files();
    let needed = files.iter().skip(1).take_while(|file| file.before < reader.sequence()).count();
    for (index, file) in files[..=needed].iter().enumerate() {
        let end = replay::end(file, files.get(index + 1).map(|next| &**next), reader.sequence())?;
        let header = LogHeader { synced: end, ended: index < needed, ..LogHeader::new(file.number, file.before) };
        write_file(vfs, &dir.join(log::file_name(file.number)), |to| {
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
pub(crate) fn copy_segment(vfs: &dyn Vfs, segment: &Segment, path: &Path) -> Result<(), ReadError> {
    write_file(vfs, path, |file| {
        let sections: Vec<_> = segment.tags().filter_map(|tag| Some((tag, segment.len(tag)?))).collect();
        let mut writer = SegmentWriter::new(file, &sections)?;
        for (tag, _) in sections {
            let bytes = segment.read(tag)?;
            writer.section(tag, |out| out.write_all(&bytes))?;
        }
        Ok(writer.finish()?)
    })
}

/// Read the record database without writing to it: as the last transaction left it.
fn view_records(vfs: &dyn Vfs, path: &Path, cache_bytes: usize) -> Result<Base, ReadError> {
    let file = PageFile::scratch(vfs.open(path)?, FILE)?;
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
    Corruption { file: FILE.to_owned(), what, offset: 0 }.into()
}

/// Give a file that was written its name, or remove it.
fn place<E: From<io::Error>>(vfs: &dyn Vfs, temporary: &Path, path: &Path, written: Result<(), E>) -> Result<(), E> {
    if let Err(error) = written.and_then(|()| Ok(vfs.rename(temporary, path)?)) {
        // What failed before is the error to report; the next opening removes what is left.
        let _ = vfs.remove(temporary);
        return Err(error);
    }
    match path.parent() {
        Some(dir) => Ok(vfs.sync_dir(dir)?),
        None => Ok(()),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    name.into()
}
