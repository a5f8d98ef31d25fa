//! Reads the sections of an open file in any order.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::errors::{SectionError, damaged};
use super::header::{Header, Input, name};
use super::layout::{BLOCK, Kind, Section, Tag, is_optional};
use super::reader::unequal;
use crate::bytes::{CHECKSUM, u32_at, zeros};
use crate::vfs::VfsFile;

/// An open file of sections. Its header has been checked; a section is checked when it is read.
#[derive(Debug)]
pub struct SectionFile {
    file: Arc<dyn VfsFile>,
    header: Header,
}

impl SectionFile {
    /// Read and check the header of a file.
    pub fn open(file: Box<dyn VfsFile>, kind: &Kind) -> Result<Self, SectionError> {
        let len = file.len()?;
        let header = Header::read(&mut Input::at(0, FromFile { file: &*file, at: 0 }), len, kind)?;
        Ok(Self { file: file.into(), header })
    }

    /// The label: header fields of this kind of file; empty in versions without one.
    pub fn label(&self) -> &[u8] {
        &self.header.label
    }

    /// Check that the file has no section that must be known, except these.
    pub fn check_known(&self, known: &[Tag]) -> Result<(), SectionError> {
        let known: Vec<Tag> = self.tags().filter(|tag| known.contains(tag) || is_optional(*tag)).collect();
        self.header.check_tags(&known)
    }

    /// The tags of the sections, in the order of the file.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.header.layout.sections.iter().map(|section| section.tag)
    }

    /// Bytes of a section; `None` if the file has no such section.
    pub fn len(&self, tag: Tag) -> Option<u64> {
        self.section(tag).ok().map(|section| section.len)
    }

    /// Whether the file has no sections.
    pub fn is_empty(&self) -> bool {
        self.header.layout.sections.is_empty()
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.header.layout.file_len
    }

    /// Read a section.
    pub fn read(&self, tag: Tag) -> Result<Vec<u8>, SectionError> {
        let section = self.section(tag)?;
        let mut out = zeros(section.len)?;
        let stored = self.checksums(section)?;
        for (block, bytes) in out.chunks_mut(BLOCK).enumerate() {
            self.read_block(section, &stored, block, bytes)?;
        }
        Ok(out)
    }

    /// Read a section from start to end without holding all of it in memory.
    pub fn reader(&self, tag: Tag) -> Result<PayloadReader<'_>, SectionError> {
        let section = self.section(tag)?;
        let stored = self.checksums(section)?;
        Ok(PayloadReader { file: self, section, stored, next: 0, block: Vec::new(), at: 0 })
    }

    /// The file, and where a section begins in it.
    pub fn place(&self, tag: Tag) -> Result<(Arc<dyn VfsFile>, u64), SectionError> {
        Ok((Arc::clone(&self.file), self.section(tag)?.offset))
    }

    /// Read and check every section.
    pub fn verify(&self) -> Result<(), SectionError> {
        self.tags().try_for_each(|tag| self.copy(tag, &mut io::sink()))
    }

    /// Copy a section, without holding all of it in memory. What was written before an error is sound.
    pub fn copy(&self, tag: Tag, out: &mut dyn Write) -> Result<(), SectionError> {
        io::copy(&mut self.reader(tag)?, out).map(drop).map_err(damage_in)
    }

    fn section(&self, tag: Tag) -> Result<Section, SectionError> {
        match self.header.layout.sections.iter().find(|section| section.tag == tag) {
            Some(section) => Ok(*section),
            None => damaged(format!("header: section {} is missing", name(tag)), 0),
        }
    }

    /// Read the checksums of the blocks of a section, and check the zeros after them.
    fn checksums(&self, section: Section) -> Result<Vec<u8>, SectionError> {
        let at = section.checksums();
        let mut input = Input::at(at, FromFile { file: &*self.file, at });
        let mut stored = zeros(section.blocks().saturating_mul(CHECKSUM as u64))?;
        input.fill(&mut stored)?;
        input.padding(&format!("section {}", name(section.tag)))?;
        Ok(stored)
    }

    /// Read a block and compare its checksum.
    fn read_block(&self, section: Section, stored: &[u8], block: usize, out: &mut [u8]) -> Result<(), SectionError> {
        let at = section.offset + (block * BLOCK) as u64;
        Input::at(at, FromFile { file: &*self.file, at }).fill(out)?;
        let (expected, got) = (u32_at(stored, block * CHECKSUM), crc32c::crc32c(out));
        if expected == got { Ok(()) } else { unequal(section, block, expected, got) }
    }
}

/// Reads a file from byte `at` on.
struct FromFile<'a> {
    file: &'a dyn VfsFile,
    at: u64,
}

impl Read for FromFile<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(self.at, out)?;
        self.at += out.len() as u64;
        Ok(out.len())
    }
}

/// Reads a section block by block, and returns only verified bytes. Damage is an error of kind
/// `InvalidData` with a [`Damage`](super::errors::Damage) in it.
#[derive(Debug)]
pub struct PayloadReader<'a> {
    file: &'a SectionFile,
    section: Section,
    stored: Vec<u8>,
    /// The block after the one in memory.
    next: usize,
    block: Vec<u8>,
    /// How much of the block has been returned.
    at: usize,
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let rest = self.section.len.saturating_sub((self.next * BLOCK) as u64);
            self.block.resize(rest.min(BLOCK as u64) as usize, 0);
            if rest > 0 {
                let read = self.file.read_block(self.section, &self.stored, self.next, &mut self.block);
                read.map_err(|error| match error {
                    SectionError::Io(error) => error,
                    SectionError::Damaged(damage) => io::Error::new(io::ErrorKind::InvalidData, damage),
                })?;
                self.next += 1;
            }
            self.at = 0;
        }
        let len = out.len().min(self.block.len() - self.at);
        out[..len].copy_from_slice(&self.block[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Turn an error of a section's reader back into a section error.
fn damage_in(error: io::Error) -> SectionError {
    match error.downcast() {
        Ok(damage) => SectionError::Damaged(damage),
        Err(error) => SectionError::Io(error),
    }
}
