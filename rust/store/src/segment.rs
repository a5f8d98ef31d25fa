//! Segment files: immutable, in [sections](tiercel_container::SectionFile), with the identity of
//! the collection as their label.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tiercel_container::{
    Identity, Kind, PayloadReader, SectionError, SectionFile, SectionWriter, Tag, Vfs, VfsFile, VfsWriter, quoted,
};

use crate::errors::{Corruption, RESTORE, ReadError, corrupt_records};
use crate::names::RECORDS_FILE;

/// Suffix of the name of a segment file.
pub(crate) const SUFFIX: &str = ".seg";

/// Files of the first version have no identity.
const KIND: Kind = Kind { magic: *b"TIERCELS", name: "a segment", versions: &[(1, 0), (2, Identity::LEN)] };
/// Where the label begins.
const LABEL: u64 = 24;

/// Writes the sections of a segment in the order in which they were declared.
pub type SegmentWriter<'a> = SectionWriter<VfsWriter<'a>>;

/// Begin to write a segment.
pub(crate) fn writer<'a>(
    file: &'a dyn VfsFile,
    identity: Identity,
    sections: &[(Tag, u64)],
) -> io::Result<SegmentWriter<'a>> {
    SectionWriter::new(VfsWriter::new(file), &KIND, &identity.0, sections)
}

/// An open segment file. Its header has been checked; a section is checked when it is read.
#[derive(Debug)]
pub struct SegmentFile {
    sections: SectionFile,
    name: String,
}

impl SegmentFile {
    /// Open a segment file in the directory of the store that has this identity.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path, identity: Identity, name: &str) -> Result<Self, ReadError> {
        check_stored_name(name)?;
        let name = file_name(name);
        let file = match vfs.open(&dir.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("expected a segment, got no file: {RESTORE}");
                return Err(Corruption { file: name, what, offset: None }.into());
            }
            file => file?,
        };
        let sections = SectionFile::open(file, &KIND).map_err(|error| in_file(&name, error))?;
        let segment = Self { sections, name };
        if segment.identity().fits(identity) {
            return Ok(segment);
        }
        let what = segment.identity().is_foreign(identity, RECORDS_FILE);
        Err(Corruption { file: segment.name, what, offset: Some(LABEL) }.into())
    }

    fn identity(&self) -> Identity {
        match self.sections.label() {
            [] => Identity::NONE,
            label => Identity::at(label, 0),
        }
    }

    /// Whether it has this identity; a missing one does not count.
    pub(crate) fn is_of(&self, identity: Identity) -> bool {
        self.identity() == identity
    }

    /// Check that the file has no section that must be known, except these.
    pub fn check_known(&self, known: &[Tag]) -> Result<(), ReadError> {
        self.sections.check_known(known).map_err(|error| in_file(&self.name, error))
    }

    /// The tags of the sections, in the order of the file.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.sections.tags()
    }

    /// Bytes of a section; `None` if the file has no such section.
    pub fn len(&self, tag: Tag) -> Option<u64> {
        self.sections.len(tag)
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.sections.file_len()
    }

    /// Read a section.
    pub fn read(&self, tag: Tag) -> Result<Vec<u8>, ReadError> {
        self.sections.read(tag).map_err(|error| in_file(&self.name, error))
    }

    /// Read a section from start to end without holding all of it in memory.
    pub fn reader(&self, tag: Tag) -> Result<PayloadReader<'_>, ReadError> {
        self.sections.reader(tag).map_err(|error| in_file(&self.name, error))
    }

    /// Copy a section without holding all of it in memory.
    pub(crate) fn copy(&self, tag: Tag, out: &mut dyn Write) -> Result<(), ReadError> {
        self.sections.copy(tag, out).map_err(|error| in_file(&self.name, error))
    }

    /// The file, and where a section begins in it.
    pub fn place(&self, tag: Tag) -> Result<(Arc<dyn VfsFile>, u64), ReadError> {
        self.sections.place(tag).map_err(|error| in_file(&self.name, error))
    }

    /// Read and check every section.
    pub(crate) fn verify(&self) -> Result<(), ReadError> {
        self.sections.verify().map_err(|error| in_file(&self.name, error))
    }
}

/// The error for a file of this name.
fn in_file(name: &str, error: SectionError) -> ReadError {
    match error {
        SectionError::Io(error) => error.into(),
        SectionError::Damaged(damage) => {
            Corruption { file: name.to_owned(), what: damage.what, offset: Some(damage.offset) }.into()
        }
    }
}

/// Whether a segment can have this name. It becomes the name of a file, so it must not lead to
/// another directory.
pub fn is_segment_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 100 && name.bytes().all(plain)
}

/// Check the name of a segment from the record database.
pub(crate) fn check_stored_name(name: &str) -> Result<(), ReadError> {
    if is_segment_name(name) {
        return Ok(());
    }
    Err(corrupt_records(format!("expected the name of a segment, got {}", quoted(name))))
}

/// The name of the file of a segment.
pub(crate) fn file_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}
