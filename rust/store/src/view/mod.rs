//! A store that is read while another process may write it.

pub(crate) mod follow;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::Vfs;
use tiercel_container::log::{self};

use crate::errors::{Corruption, OpenError, ReadError, is_outdated};
use crate::names::RECORDS_FILE;
use crate::records::pages::header;
use crate::records::reader::Reader;
use crate::records::verify::verify_reader;
use crate::segment::{self, SegmentFile};
use crate::sizes::Sizes;
use crate::view::follow::Follower;

/// Maximum number of looks at the files, repeated because a writer may come in between.
const LOOKS: usize = 10;

/// The directory of a collection, opened for reading. It takes no lock and changes nothing.
#[derive(Clone, Debug)]
pub struct View {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    cache_bytes: usize,
}

impl View {
    /// The store in a directory; `cache_bytes` of memory hold pages of the record database.
    pub fn new(vfs: Arc<dyn Vfs>, dir: &Path, cache_bytes: usize) -> Self {
        Self { vfs, dir: dir.to_owned(), cache_bytes }
    }

    /// Follow a writer from everything committed so far. What a follower shows does not change
    /// under its readers. Once a writer has published twice, though, pages of it may be
    /// overwritten; the opening of a writer counts as two publications. Reading those pages is an
    /// error for which [`is_outdated`](crate::is_outdated) returns true.
    pub fn follow(&self) -> Result<Follower, OpenError> {
        Follower::open(&self.vfs, &self.dir, self.cache_bytes)
    }

    /// The records as they are committed now.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Ok(self.follow()?.reader().clone())
    }

    /// Open a segment file.
    pub fn open_segment(&self, name: &str) -> Result<SegmentFile, ReadError> {
        let records = header::read(&*self.vfs.open(&self.dir.join(RECORDS_FILE))?, RECORDS_FILE)?;
        SegmentFile::open(&*self.vfs, &self.dir, records.identity, name)
    }

    /// Read everything and return the damage found. Files that a writer replaces meanwhile look
    /// damaged once; real damage looks the same twice.
    pub fn verify(&self) -> Result<Vec<Corruption>, OpenError> {
        let mut before = None;
        for _ in 1..LOOKS {
            match self.look() {
                // The next look takes a newer state.
                Err(OpenError::Io(error)) if is_outdated(&error) => before = None,
                Ok(found) if found.is_empty() || before.as_ref() == Some(&found) => return Ok(found),
                found => before = Some(found?),
            }
        }
        self.look()
    }

    fn look(&self) -> Result<Vec<Corruption>, OpenError> {
        let mut found = Vec::new();
        let mut note = |error| match error {
            OpenError::Corrupt(corruption) => {
                if !found.contains(&corruption) {
                    found.push(corruption);
                }
                Ok(())
            }
            error => Err(error),
        };
        match self.reader().and_then(|reader| Ok((reader.segments()?, reader))) {
            Ok((names, reader)) => {
                verify_reader(&reader).or_else(|error| note(error.into()))?;
                for name in names {
                    let read = self.open_segment(&name).and_then(|segment| segment.verify());
                    read.or_else(|error| note(error.into()))?;
                }
            }
            Err(error) => note(error)?,
        }
        Ok(found)
    }

    /// Bytes on the disk.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let mut sizes = Sizes::default();
        for name in self.vfs.list(&self.dir)? {
            let part = match &*name {
                RECORDS_FILE => &mut sizes.records,
                name if name.ends_with(segment::SUFFIX) => &mut sizes.segments,
                name if log::number_of(name).is_some() => &mut sizes.log,
                _ => continue,
            };
            match self.vfs.open(&self.dir.join(&name)) {
                Ok(file) => *part += file.allocated()?,
                // A writer has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sizes)
    }
}
