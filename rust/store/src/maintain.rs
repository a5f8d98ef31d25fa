//! Work on a store as a whole: verifying it, compacting it, reporting its size.

use std::io;
use std::path::Path;

use tiercel_container::NoRoom;

use crate::errors::{CommitError, Corruption, ReadError, failed};
use crate::log::read::verify_log;
use crate::names::RECORDS_FILE;
use crate::records::copy;
use crate::records::transactions::Records;
use crate::records::verify::verify_records;
use crate::segment;
use crate::sizes::Sizes;
use crate::store::Store;

impl Store {
    /// Read everything and return the damage found. Commits go on meanwhile, but once much of them
    /// waits for the record database, they wait, too.
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
            note(verify_records(&*self.vfs, &self.dir.join(RECORDS_FILE)))?;
            note(verify_log(&*self.vfs, &self.dir, &files, end))?;
        }
        let _files = self.segment_files.read();
        for name in self.reader().segments()? {
            note(self.open_segment(&name).and_then(|segment| segment.verify()))?;
        }
        Ok(found)
    }

    /// Rewrite the record database without its free space. Commits go on meanwhile; existing
    /// readers keep the old file until they end.
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
        let result = self.put_in_place(&mut records, &copy);
        self.install(&records, 0, result, |_| ())?;
        self.writer.lock().note_writes(records.header().writes)
    }

    /// Put a copy of the record database in the place of the open one, and open it.
    pub(crate) fn put_in_place(&self, records: &mut Records, copy: &Path) -> Result<(), CommitError> {
        if let Err(error) = self.vfs.rename(copy, &self.dir.join(RECORDS_FILE)) {
            let Some(why) = NoRoom::of(&error) else { return Err(failed(error)) };
            let _ = self.vfs.remove(copy);
            return Err(why.into());
        }
        // There is no way back to the old file: it may be gone, or come back after a crash.
        self.vfs.sync_dir(&self.dir).map_err(failed)?;
        match records.reopen().map_err(CommitError::from) {
            // The new file is in place, and is written once there is room.
            Ok(()) | Err(CommitError::NoRoom(_)) => Ok(()),
            Err(error) => Err(CommitError::Failed { why: error.to_string() }),
        }
    }

    /// Bytes on the disk.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let records = self.records.lock().db().file().allocated()?;
        let log = self.log_bytes();
        let mut segments = 0;
        let used = || self.reader().segments().map_err(|error| io::Error::other(error.to_string()));
        for name in used()? {
            match self.vfs.open(&self.dir.join(segment::file_name(&name))) {
                Ok(file) => segments += file.allocated()?,
                // It may have become obsolete meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !used()?.contains(&name) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Sizes { records, log, segments })
    }
}
