//! Opening a store in two steps: everything is read and checked before anything is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::log::{self, LogFile, LogHeader};
use tiercel_container::{Files, Identity, LockError, Vfs, VfsLock, is_temporary_of, make_directory};

use crate::errors::{OpenError, ReadError};
use crate::found::{self, Found, look};
use crate::names::{LOCK_FILE, RECORDS_FILE};
use crate::options::Options;
use crate::records::copy;
use crate::records::reader::Reader;
use crate::records::replay;
use crate::records::tables::{self, META};
use crate::records::transactions::Records;
use crate::records::view_file;
use crate::segment::{self, SegmentFile};
use crate::store::Store;
use crate::writer::Writer;

/// A store that is locked and read, and not written yet. Until [`Self::begin`] its directory stays
/// as it was found, so a wrong file can still be replaced by the right one.
#[derive(Debug)]
pub struct Prepared {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: Options,
    records: Records,
    writer: Writer,
    lock: Arc<dyn VfsLock>,
}

impl Store {
    /// Create a directory with an empty store that has the entries `meta`, and open it. An existing
    /// directory must be empty.
    pub fn create(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, meta: &[(&str, &[u8])]) -> Result<Self, OpenError> {
        Prepared::create(vfs, dir, options, meta)?.begin()
    }

    /// Open the store in a directory.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<Self, OpenError> {
        Prepared::open(vfs, dir, options)?.begin()
    }

    /// Whether a directory has a store. A lost record database is an error. A directory with only
    /// files of others has none.
    pub fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool, OpenError> {
        found::is_store(vfs, dir)
    }
}

impl Prepared {
    /// Create a directory with an empty store that has the entries `meta`. An existing directory
    /// must be empty; missing directories above it are made, too.
    pub fn create(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, meta: &[(&str, &[u8])]) -> Result<Self, OpenError> {
        vacant(&*vfs, dir)?;
        make_directory(&*vfs, dir, None)?;
        let lock = lock(&*vfs, dir)?;
        vacant(&*vfs, dir)?;
        let files = Files::new(&*vfs, dir, Identity::random(), RECORDS_FILE);
        log::create(files, LogHeader::first(files.identity))?;
        // The records come last: until then the log says that the store is being made.
        copy::create(files, 0, |transaction| {
            tables::create(transaction)?;
            let mut table = transaction.open_table(META)?;
            for (name, bytes) in meta {
                table.insert(*name, *bytes)?;
            }
            Ok(())
        })?;
        Self::locked(vfs, dir, options, lock)
    }

    /// Lock and read the store in a directory.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<Self, OpenError> {
        if !found::is_store(&*vfs, dir)? {
            return Err(OpenError::NotFound);
        }
        let lock = lock(&*vfs, dir)?;
        Self::locked(vfs, dir, options, lock)
    }

    fn locked(vfs: Arc<dyn Vfs>, dir: &Path, options: Options, lock: Arc<dyn VfsLock>) -> Result<Self, OpenError> {
        let records = Records::open(Arc::clone(&vfs), dir.join(RECORDS_FILE), options.cache_bytes)?;
        let header = records.header();
        view_file::check_beside(&*vfs, dir, &header)?;
        let base = Arc::clone(records.base());
        let replayed = replay::replay(&vfs, dir, &header, &Reader::of_base(Arc::clone(&base), Arc::new([])))?;
        let writer = Writer::new(Arc::clone(&base), replayed);
        let prepared = Self { vfs, dir: dir.to_owned(), options, records, writer, lock };
        for name in base.segments()? {
            prepared.open_segment(&name)?;
        }
        Ok(prepared)
    }

    /// The records.
    pub fn reader(&self) -> Reader {
        self.writer.reader().clone()
    }

    /// Number of batches in the log but not in the record database: those of a process that did not
    /// close it.
    pub fn batches_in_log(&self) -> u64 {
        self.reader().sequence() - self.records.base().counters().sequence
    }

    /// Open a segment file.
    pub fn open_segment(&self, name: &str) -> Result<SegmentFile, ReadError> {
        SegmentFile::open(&*self.vfs, &self.dir, self.records.header().identity, name)
    }

    /// Begin to write.
    pub fn begin(mut self) -> Result<Store, OpenError> {
        // A store of the first format gets an identity now.
        let mut identity = self.records.header().identity;
        if identity.is_none() {
            identity = Identity::random();
        }
        let leftovers = self.leftovers(identity)?;
        self.lock.sign()?;
        // Whoever wrote the records may have been killed before it synced them or their name. A
        // power cut could then bring back older ones: these need what the new ones call obsolete,
        // and do not go with a newer view.
        self.vfs.sync_dir(&self.dir)?;
        self.records.begin(identity)?;
        self.writer.begin(identity, &self.lock)?;
        for name in leftovers {
            match self.vfs.remove(&self.dir.join(name)) {
                // The beginning has used its temporary name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        let Self { vfs, dir, options, records, writer, lock } = self;
        Ok(Store::new(vfs, dir, identity, options.durability, records, writer, lock))
    }

    /// The files that a crash left and those that the records call obsolete, if they are certainly
    /// ours.
    fn leftovers(&self, identity: Identity) -> Result<Vec<String>, OpenError> {
        let base = self.records.base();
        let (first, obsolete) = (base.counters().log, base.obsolete()?);
        let mut names = self.vfs.list(&self.dir)?;
        names.retain(|name| match (log::number_of(name), name.strip_suffix(segment::SUFFIX)) {
            (Some(number), _) => number < first && self.is_log(name, number),
            (_, Some(segment)) => {
                obsolete.iter().any(|obsolete| obsolete == segment) && self.open_segment(segment).is_ok()
            }
            _ => is_temporary_of(name, identity),
        });
        Ok(names)
    }

    /// Whether a file is a part of the log.
    fn is_log(&self, name: &str, number: u64) -> bool {
        let opened =
            self.vfs.open(&self.dir.join(name)).map_err(Into::into).and_then(|file| LogFile::open(file, number));
        opened.is_ok_and(|(_, header)| header.identity.fits(self.records.header().identity))
    }
}

/// Check that a store can be made in a directory.
fn vacant(vfs: &dyn Vfs, dir: &Path) -> Result<(), OpenError> {
    match look(vfs, dir)? {
        Found::Nothing => Ok(()),
        Found::Store => Err(OpenError::Exists),
        Found::Others(names) => Err(OpenError::Occupied(names)),
    }
}

fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Arc<dyn VfsLock>, OpenError> {
    match vfs.lock(&dir.join(LOCK_FILE)) {
        Ok(lock) => Ok(lock.into()),
        Err(LockError::Held { pid }) => Err(OpenError::AlreadyOpen { pid }),
        Err(LockError::Io(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::CommitError;
    use crate::records::tables::{OBSOLETE, SEGMENTS};
    use tiercel_container::sim::SimVfs;

    const DIR: &str = "/collection";

    fn files(vfs: &SimVfs) -> Vec<(PathBuf, Vec<u8>)> {
        let content = |path: &Path, len: u64| {
            let mut bytes = vec![0; len as usize];
            vfs.open(path).unwrap().read_at(0, &mut bytes).unwrap();
            bytes
        };
        vfs.files().into_iter().map(|(path, len)| (path.clone(), content(&path, len))).collect()
    }

    #[test]
    fn names_that_lead_elsewhere_are_damage() {
        for table in [SEGMENTS, OBSOLETE] {
            for name in ["../x/yy", "/etc/x", "", "a/b", ".", "a.b"] {
                let vfs = SimVfs::new();
                let store = Store::create(Arc::new(vfs.clone()), Path::new(DIR), Options::default(), &[]).unwrap();
                let named = store.records.lock().transact(|transaction| {
                    transaction.open_table(table)?.insert(name, ())?;
                    Ok(())
                });
                named.unwrap();
                if redb::TableHandle::name(&table) == redb::TableHandle::name(&SEGMENTS) {
                    assert!(matches!(store.backup(Path::new("/backup")), Err(CommitError::Corrupt(_))), "{name}");
                }
                drop(store);
                let before = files(&vfs);
                let opened = Store::open(Arc::new(vfs.clone()), Path::new(DIR), Options::default());
                let Err(OpenError::Corrupt(corruption)) = opened else { panic!("{name}: {opened:?}") };
                assert_eq!(corruption.file, RECORDS_FILE);
                assert_eq!(files(&vfs), before);
            }
        }
    }

    /// Opening leaves the files as they were, whatever it finds.
    #[test]
    fn nothing_is_written_before_begin() {
        let vfs = SimVfs::new();
        let store = Store::create(Arc::new(vfs.clone()), Path::new(DIR), Options::default(), &[]).unwrap();
        store.write_segment("part", &[], |_| Ok(())).unwrap();
        let killed = vfs.snapshot();
        let before = files(&killed);
        drop(Prepared::open(Arc::new(killed.clone()), Path::new(DIR), Options::default()).unwrap());
        assert_eq!(files(&killed), before);
    }

    /// If a power cut or a kill interrupts the making of a store, after any operation, a later call
    /// finishes it.
    #[test]
    fn a_making_that_was_cut_short_is_finished() {
        for nth in 1.. {
            let vfs = SimVfs::new();
            vfs.set_fault(Some(tiercel_container::sim::Fault {
                nth,
                forever: true,
                kind: tiercel_container::sim::FaultKind::Io,
            }));
            let made = Store::create(Arc::new(vfs.clone()), Path::new(DIR), Options::default(), &[]);
            let is_made = made.is_ok();
            drop(made);
            vfs.set_fault(None);
            let vfs = vfs.snapshot();
            let there = Store::exists(&vfs, Path::new(DIR)).unwrap();
            let open =
                if there { Store::open } else { |vfs, dir: &Path, options| Store::create(vfs, dir, options, &[]) };
            let store = open(Arc::new(vfs.clone()), Path::new(DIR), Options::default()).unwrap();
            assert_eq!(store.verify().unwrap(), []);
            drop(store);
            vfs.remove(&Path::new(DIR).join(RECORDS_FILE)).unwrap();
            assert!(matches!(look(&vfs, Path::new(DIR)), Err(OpenError::Corrupt(_))), "operation {nth}");
            if is_made {
                break;
            }
        }
    }
}
