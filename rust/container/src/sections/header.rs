//! Reading a header without trusting anything unchecked.

use std::io::{self, Read};

use super::errors::{SectionError, damaged};
use super::layout::{ALIGN, ENTRY, FIXED, Kind, Layout, MAX_SECTIONS, Tag, header_len, is_optional, padding};
use crate::bytes::{CHECKSUM, WrongChecksum, check_seal, u32_at, u64_at};

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) label: Vec<u8>,
    pub(super) layout: Layout,
}

impl Header {
    /// Read the header of an input of `len` bytes, with its padding.
    pub(super) fn read<R: Read>(input: &mut Input<R>, len: u64, kind: &Kind) -> Result<Self, SectionError> {
        let (bytes, label) = read_bytes(input, len, kind)?;
        let file_len = u64_at(&bytes, 16);
        if file_len != len {
            let what = format!("file: expected {file_len} bytes, as its header says, got {len}");
            return damaged(what, file_len.min(len));
        }
        let entries = || bytes[FIXED + label..bytes.len() - CHECKSUM].chunks_exact(ENTRY);
        let found: Vec<(Tag, u64)> = entries().map(|entry| (tag_of(entry), u64_at(entry, 12))).collect();
        let Some(layout) = Layout::new(label, &found).filter(|layout| layout.file_len == len) else {
            return damaged(format!("header: expected sections that end with the file at {len}, got other lengths"), 0);
        };
        for (index, (section, entry)) in layout.sections.iter().zip(entries()).enumerate() {
            let (expected, got) = (section.offset, u64_at(entry, 4));
            if expected != got {
                let what = format!("header: expected section {} at byte {expected}, got {got}", name(section.tag));
                return damaged(what, entry_at(label, index));
            }
        }
        input.padding("header")?;
        Ok(Self { label: bytes[FIXED..FIXED + label].to_vec(), layout })
    }

    /// Check that the expected sections are present, each once and in order. Expected ones that are
    /// optional may be missing; unknown optional ones are ignored.
    pub(super) fn check_tags(&self, expected: &[Tag]) -> Result<(), SectionError> {
        let found: Vec<Tag> = self.layout.sections.iter().map(|section| section.tag).collect();
        let wrong = |what: String, index: usize| damaged(format!("header: {what}"), entry_at(self.label.len(), index));
        let mut next = expected.iter().filter(|tag| !is_optional(**tag) || found.contains(tag));
        for (index, tag) in found.iter().enumerate() {
            if found[..index].contains(tag) {
                return wrong(format!("section {} twice", name(*tag)), index);
            }
            if !expected.contains(tag) {
                if is_optional(*tag) {
                    continue;
                }
                let what = format!("unknown section {}; a newer tiercel wrote the file, or it is damaged", name(*tag));
                return wrong(what, index);
            }
            match next.next() {
                Some(next) if next == tag => {}
                Some(next) if found.contains(next) => {
                    return wrong(format!("expected section {} before {}", name(*next), name(*tag)), index);
                }
                Some(next) => return wrong(format!("section {} is missing", name(*next)), index),
                // All expected sections came before, so this one is a repetition.
                None => return wrong(format!("section {} twice", name(*tag)), index),
            }
        }
        next.next().map_or(Ok(()), |missing| wrong(format!("section {} is missing", name(*missing)), found.len()))
    }
}

/// Read the header without its padding, and check all that does not depend on its sections. Return
/// it and the length of its label.
fn read_bytes<R: Read>(input: &mut Input<R>, len: u64, kind: &Kind) -> Result<(Vec<u8>, usize), SectionError> {
    if len < FIXED as u64 {
        return damaged(format!("file: expected {}, got {len} bytes", kind.name), len);
    }
    let mut header = vec![0; FIXED];
    input.fill(&mut header)?;
    if header[..8] != kind.magic {
        let (magic, got) = (String::from_utf8_lossy(&kind.magic), header[..8].escape_ascii());
        let magic = magic.trim_end_matches('\0');
        return damaged(format!("file: expected {}, which begins with {magic}, got {got}", kind.name), 0);
    }
    let (version, (newest, _)) = (u32_at(&header, 8), kind.newest());
    let Some((_, label)) = kind.versions.iter().find(|(known, _)| *known == version) else {
        let why = if version > newest { "; a newer tiercel wrote the file, or it is damaged" } else { "" };
        return damaged(format!("header: expected format version {newest}, got {version}{why}"), 8);
    };
    let count = u32_at(&header, 12) as usize;
    if count > MAX_SECTIONS {
        return damaged(format!("header: expected at most {MAX_SECTIONS} sections, got {count}"), 12);
    }
    if header_len(*label, count) as u64 > len {
        return damaged(format!("header: expected a table of {count} sections, got a file of {len} bytes"), 12);
    }
    header.resize(header_len(*label, count), 0);
    input.fill(&mut header[FIXED..])?;
    if let Err(WrongChecksum { expected, got }) = check_seal(0, &header) {
        return damaged(format!("header: expected checksum {expected:08x}, got {got:08x}"), 0);
    }
    Ok((header, *label))
}

/// An input that knows how far it has been read.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    position: u64,
}

impl<R: Read> Input<R> {
    /// An input that begins at this byte of the file.
    pub(super) fn at(position: u64, inner: R) -> Self {
        Self { inner, position }
    }

    /// Read `out.len()` bytes.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Result<(), SectionError> {
        match self.inner.read_exact(out) {
            Ok(()) => {
                self.position += out.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                damaged("file: ended while it was read".into(), self.position)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Read the zeros up to the next multiple of [`ALIGN`].
    pub(super) fn padding(&mut self, of: &str) -> Result<(), SectionError> {
        let start = self.position;
        let mut zeros = [0; ALIGN];
        let zeros = &mut zeros[..padding(start)];
        self.fill(zeros)?;
        match zeros.iter().position(|&byte| byte != 0) {
            Some(at) => damaged(format!("{of}: expected padding of zeros, got {}", zeros[at]), start + at as u64),
            None => Ok(()),
        }
    }
}

/// A tag for messages: one from a file may hold any bytes.
pub(super) fn name(tag: Tag) -> String {
    tag.escape_ascii().to_string()
}

/// Where entry `index` of the section table is.
fn entry_at(label: usize, index: usize) -> u64 {
    (FIXED + label + index * ENTRY) as u64
}

fn tag_of(entry: &[u8]) -> Tag {
    [entry[0], entry[1], entry[2], entry[3]]
}
