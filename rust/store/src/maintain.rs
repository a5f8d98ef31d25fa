//! What is done to a store as a whole: looking at it, copying it, making it small, telling its size.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::copy;
use crate::database::FILE;
use crate::errors::{CommitError, Corruption, ReadError};
use crate::files::{Files, make_directory, sync_parent};
use crate::identity::Identity;
use crate::reader::Reader;
use crate::replay;
use crate::segment;
use crate::store::{Sizes, Store};

impl Store {
    /// Read everything and return what is damaged. Commits go on meanwhile.
    pub fn verify(&self) -> Result<Vec<Corruption>, ReadError> {
        let mut found = Vec::new();
        let mut note = |result: Result<(), ReadError>| match result {
            Err(ReadError::Corrupt(corruption)) => {
                found.push(corruption);
                Ok(())
            }
            result => result,
        };
        {
            let _records = self.records.lock();
            let (files, end) = {
                let writer = self.writer.lock();
                (writer.log.files(), writer.log.last().1)
            };
            note(copy::verify_records(&*self.vfs, &self.dir.join(FILE)))?;
            note(replay::verify(&*self.vfs, &self.dir, &files, end))?;
        }
        let _files = self.files.read();
        for name in self.reader().segments()? {
            note(self.open_segment(&name).and_then(|segment| segment.verify()))?;
        }
        Ok(found)
    }

    /// Copy the store, as it is now, to a directory that is empty or not there. Commits go on meanwhile.
    pub fn backup(&self, dir: &Path) -> Result<(), CommitError> {
        self.check_process()?;
        make_directory(&*self.vfs, dir, Some(&self.dir))?;
        if !self.vfs.list(dir)?.is_empty() {
            return Err(CommitError::Invalid(
                "path: expected a directory that is absent or empty, got one with files in it".to_owned(),
            ));
        }
        let _files = self.files.read();
        let reader = {
            let mut records = self.records.lock();
            self.apply_to(&mut records)?;
            Reader::of_base(Arc::clone(records.base()), self.writer.lock().log.files())
        };
        // A copy is a store of its own: from now on their files must not be mixed.
        let there = Files { vfs: &*self.vfs, dir, identity: Identity::random(), like: &self.dir };
        for name in reader.segments()? {
            copy::copy_segment(there, &self.open_segment(&name)?, &name)?;
        }
        copy::copy_log(there, &reader)?;
        // The records come last: without them the directory is no store.
        copy::copy_records(there, &reader)?;
        sync_parent(&*self.vfs, dir)?;
        Ok(())
    }

    /// Write the record database anew without the space that is free in it. Commits go on meanwhile; readers that exist keep
    /// the old file until they end.
    pub fn compact(&self) -> Result<(), CommitError> {
        self.guarded(|| self.rewrite_records())
    }

    fn rewrite_records(&self) -> Result<(), CommitError> {
        let mut records = self.records.lock();
        self.writer.lock().begin_file()?;
        self.apply_to(&mut records)?;
        let mut counters = records.base().counters();
        counters.log = self.writer.lock().log.first_needed(counters.sequence, counters.covered);
        let copy = copy::copy_aside(self.place(), records.base(), counters, &records.header())?;
        // From here on the old file may be gone, or come back after a crash: no way leads back to it.
        let renamed = self.vfs.rename(&copy, &self.dir.join(FILE)).and_then(|()| self.vfs.sync_dir(&self.dir));
        let reopened = renamed.map_err(ReadError::from).and_then(|()| records.reopen());
        let result = reopened.map_err(|error| CommitError::Failed { why: error.to_string() });
        self.install(&records, 0, result, |_| ())?;
        self.writer.lock().note_writes(records.header().writes)
    }

    /// Bytes on the disk.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let records = self.records.lock().db().file().allocated()?;
        let log = self.log_bytes();
        let _files = self.files.read();
        let mut segments = 0;
        for name in self.reader().segments().map_err(|error| io::Error::other(error.to_string()))? {
            segments += self.vfs.open(&self.dir.join(segment::file_name(&name)))?.allocated()?;
        }
        Ok(Sizes { records, log, segments })
    }
}
