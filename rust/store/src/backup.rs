//! A copy of a store in another directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::log::{self, FIRST, LogHeader};
use tiercel_container::{Files, Identity, is_temporary_of, make_directory, sync_parent};

use crate::errors::{CommitError, ReadError};
use crate::names::RECORDS_FILE;
use crate::records::copy;
use crate::records::reader::Reader;
use crate::segment::{self, SegmentFile};
use crate::store::Store;

/// Bytes of a log file that are copied at a time.
const CHUNK: u64 = 1 << 20;

impl Store {
    /// Copy the store, as it is now, to a directory that is empty or missing, and outside the
    /// store's own. Commits go on meanwhile. On failure nothing of the copy is left.
    pub fn backup(&self, dir: &Path) -> Result<(), CommitError> {
        self.check_process()?;
        let new = self.check_outside(dir)?;
        let there = match self.vfs.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            names => Some(names?),
        };
        if there.is_some_and(|names| !names.is_empty()) {
            let expected = "path: expected a directory that is absent or empty, got one with files in it";
            return Err(CommitError::Invalid(expected.to_owned()));
        }
        // The copy is a separate store: from now on the files of the two must not be mixed.
        let there =
            Files { vfs: &*self.vfs, dir, identity: Identity::random(), witness_dir: &self.dir, witness: RECORDS_FILE };
        let copied = self.copy_to(there);
        if copied.is_err() {
            // The first failure is the error to report, even if the removal fails, too.
            let _ = remove_copy(there, &new);
        }
        copied
    }

    /// Check that a directory is outside the store's own. Return it and those above it that do not
    /// exist yet, the innermost first.
    fn check_outside(&self, dir: &Path) -> Result<Vec<PathBuf>, CommitError> {
        let mut new = Vec::new();
        let mut above = dir;
        let there = loop {
            let at = if above == Path::new("") { Path::new(".") } else { above };
            match (self.vfs.resolve(at), above.parent()) {
                (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                    new.push(above.to_owned());
                    above = parent;
                }
                (resolved, _) => break resolved?,
            }
        };
        if there.starts_with(self.vfs.resolve(&self.dir)?) {
            let expected = "path: expected a directory outside that of the collection, got one within it";
            return Err(CommitError::Invalid(expected.to_owned()));
        }
        Ok(new)
    }

    fn copy_to(&self, there: Files<'_>) -> Result<(), CommitError> {
        make_directory(&*self.vfs, there.dir, Some(&self.dir))?;
        let _files = self.segment_files.read();
        let reader = {
            let mut records = self.records.lock();
            self.apply_to(&mut records)?;
            Reader::of_base(Arc::clone(records.base()), self.writer.lock().log.files())
        };
        for name in reader.segments()? {
            copy_segment(there, &self.open_segment(&name)?, &name)?;
        }
        copy_log(there, &reader)?;
        // The records come last: without them the directory is no store.
        copy::copy_records(there, &reader)?;
        Ok(sync_parent(&*self.vfs, there.dir)?)
    }
}

/// Remove what a failed copy to an empty directory left, the records first, and the directories
/// that were made for it.
fn remove_copy(there: Files<'_>, new: &[PathBuf]) -> io::Result<()> {
    let is_ours = |name: &String| {
        name == RECORDS_FILE
            || log::number_of(name).is_some()
            || name.ends_with(segment::SUFFIX)
            || is_temporary_of(name, there.identity)
    };
    let mut names = there.vfs.list(there.dir)?;
    names.retain(is_ours);
    names.sort_unstable_by_key(|name| name != RECORDS_FILE);
    for name in names {
        there.vfs.remove(&there.dir.join(name))?;
    }
    new.iter().try_for_each(|dir| there.vfs.remove_dir(dir))
}

/// Copy the log files that a reader needs to another directory.
fn copy_log(there: Files<'_>, reader: &Reader) -> Result<(), ReadError> {
    let files = reader.files();
    let needed = files.iter().skip(1).take_while(|file| file.before < reader.sequence()).count();
    for (index, file) in files[..=needed].iter().enumerate() {
        let end = log::end(file, files.get(index + 1).map(|next| &**next), reader.sequence())?;
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

/// Copy a segment, including sections that this version does not know. Damage in it is an error and
/// is not copied.
fn copy_segment(there: Files<'_>, segment: &SegmentFile, name: &str) -> Result<(), ReadError> {
    there.write(&segment::file_name(name), |file| {
        let sections: Vec<_> = segment.tags().filter_map(|tag| Some((tag, segment.len(tag)?))).collect();
        let mut writer = segment::writer(file, there.identity, &sections)?;
        for (tag, _) in sections {
            let mut copied = Ok(());
            let written = writer.section(tag, |out| {
                copied = segment.copy(tag, out);
                copied.as_ref().map_or(Err(io::ErrorKind::Other.into()), |()| Ok(()))
            });
            copied?;
            written?;
        }
        Ok(writer.finish().map(drop)?)
    })
}
