//! Reads a file from front to back and trusts nothing that it has not checked.

use std::io::{self, Read};

use bytemuck::Pod;

use super::layout::{
    ALIGN, BLOCK, CHECKSUM, ENTRY, FIXED, Layout, MAGIC, MAX_SECTIONS, Section, Tag, VERSION, header_len, padding,
};
use crate::errors::{Corruption, LoadError};

/// Reads sections in the order in which they stand in the file.
pub(crate) struct Reader<R> {
    input: Input<R>,
    sections: Vec<Section>,
    file_len: u64,
    /// How many sections have been read.
    read: usize,
}

impl<R: Read> Reader<R> {
    /// Check the header of an input of `len` bytes that must hold the sections `tags`, in this order.
    pub(crate) fn new(input: R, len: u64, tags: &[Tag]) -> Result<Self, LoadError> {
        let mut input = Input { inner: input, position: 0 };
        let header = read_header(&mut input, len)?;
        let file_len = u64_at(&header, 16);
        if file_len != len {
            let what = format!("file: expected {file_len} bytes, as its header says, got {len}");
            return corrupt(what, file_len.min(len));
        }
        let table = &header[FIXED..header.len() - CHECKSUM];
        let entries = || table.chunks_exact(ENTRY);
        let found: Vec<(Tag, u64)> = entries().map(|entry| (tag_of(entry), u64_at(entry, 12))).collect();
        check_tags(&found, tags)?;
        let Some(layout) = Layout::new(&found).filter(|layout| layout.file_len == len) else {
            return corrupt(format!("header: expected sections that end with the file at {len}, got other lengths"), 0);
        };
        for (index, (section, entry)) in layout.sections.iter().zip(entries()).enumerate() {
            let (expected, got) = (section.offset, u64_at(entry, 4));
            if expected != got {
                let what = format!("header: expected section {} at byte {expected}, got {got}", name(section.tag));
                return corrupt(what, entry_at(index));
            }
        }
        input.padding("header")?;
        Ok(Self { input, sections: layout.sections, file_len, read: 0 })
    }

    /// Where section `tag` begins in the file.
    pub(crate) fn start(&self, tag: Tag) -> u64 {
        self.section(tag).offset
    }

    fn section(&self, tag: Tag) -> Section {
        let section = self.sections.iter().find(|section| section.tag == tag);
        *section.expect("a tag that the reader was made with")
    }

    /// Check that section `tag` holds `items` items of `item_len` bytes, before memory is allocated for them; returns
    /// how many bytes that is.
    pub(crate) fn expect_len(&self, tag: Tag, items: u64, item_len: usize) -> Result<usize, LoadError> {
        let section = self.section(tag);
        if items.checked_mul(item_len as u64) != Some(section.len) {
            let got = section.len;
            let what = format!("section {}: expected {items} items of {item_len} bytes, got {got} bytes", name(tag));
            return corrupt(what, section.offset);
        }
        usize::try_from(section.len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory).into())
    }

    /// Read section `tag`, which must be the next one, into memory of its length. On failure the memory holds anything.
    pub(crate) fn read_into(&mut self, tag: Tag, out: &mut [u8]) -> Result<(), LoadError> {
        self.expect_len(tag, out.len() as u64, 1)?;
        self.read_pieces(tag, &mut std::iter::once(out))
    }

    /// Read section `tag`, which must be the next one, into pieces of memory that together are as long. On failure they hold anything.
    pub(crate) fn read_pieces(
        &mut self,
        tag: Tag,
        pieces: &mut dyn Iterator<Item = &mut [u8]>,
    ) -> Result<(), LoadError> {
        let section = self.sections[self.read];
        assert_eq!(section.tag, tag, "sections are read in order");
        // A block is summed while it is in the cache, and compared when the stored checksums come by.
        let (mut checksums, mut checksum, mut done) = (Vec::new(), 0, 0);
        for mut piece in pieces {
            while !piece.is_empty() {
                let left = (BLOCK - done % BLOCK).min(piece.len());
                let (some, rest) = piece.split_at_mut(left);
                self.input.fill(some)?;
                checksum = crc32c::crc32c_append(checksum, some);
                done += left;
                if done.is_multiple_of(BLOCK) {
                    checksums.extend(checksum.to_le_bytes());
                    checksum = 0;
                }
                piece = rest;
            }
        }
        if !done.is_multiple_of(BLOCK) {
            checksums.extend(checksum.to_le_bytes());
        }
        assert_eq!(done as u64, section.len, "pieces are as long as their section");
        self.compare(section, &checksums)?;
        self.input.padding(&format!("section {}", name(tag)))?;
        self.read += 1;
        Ok(())
    }

    /// Read section `tag`, which must be the next one and hold `items` items.
    pub(crate) fn read_vec<T: Pod>(&mut self, tag: Tag, items: u64) -> Result<Vec<T>, LoadError> {
        let items = self.expect_len(tag, items, size_of::<T>())? / size_of::<T>();
        let mut out = Vec::new();
        out.try_reserve_exact(items).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        out.resize(items, T::zeroed());
        self.read_into(tag, bytemuck::cast_slice_mut(&mut out))?;
        Ok(out)
    }

    /// Check that every section was read and that the input ends.
    pub(crate) fn finish(mut self) -> Result<(), LoadError> {
        assert_eq!(self.read, self.sections.len(), "every section is read, or its bytes go unchecked");
        match self.input.fill(&mut [0]) {
            Ok(()) => corrupt(format!("file: expected {} bytes, got more", self.file_len), self.file_len),
            Err(LoadError::Corrupt(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Compare the checksums of a section's blocks with those in the file.
    fn compare(&mut self, section: Section, computed: &[u8]) -> Result<(), LoadError> {
        const CHUNK: usize = 4096;
        for (chunk, computed) in computed.chunks(CHUNK).enumerate() {
            let mut stored = [0; CHUNK];
            let stored = &mut stored[..computed.len()];
            self.input.fill(stored)?;
            let mut pairs = stored.chunks_exact(CHECKSUM).zip(computed.chunks_exact(CHECKSUM));
            if let Some(index) = pairs.position(|(stored, computed)| stored != computed) {
                let (expected, got) = (u32_at(stored, index * CHECKSUM), u32_at(computed, index * CHECKSUM));
                let block = chunk * CHUNK / CHECKSUM + index;
                let tag = name(section.tag);
                let what = format!("section {tag}, block {block}: expected checksum {expected:08x}, got {got:08x}");
                return corrupt(what, section.offset + (block * BLOCK) as u64);
            }
        }
        Ok(())
    }
}

/// Reads the header without its padding, and checks what can be told without knowing its sections.
fn read_header<R: Read>(input: &mut Input<R>, len: u64) -> Result<Vec<u8>, LoadError> {
    if len < FIXED as u64 {
        return corrupt(format!("file: expected a tiercel index, got {len} bytes"), len);
    }
    let mut header = vec![0; FIXED];
    input.fill(&mut header)?;
    if header[..8] != MAGIC {
        let got = header[..8].escape_ascii();
        return corrupt(format!("file: expected a tiercel index, which begins with TIERCEL, got {got}"), 0);
    }
    let version = u32_at(&header, 8);
    if version != VERSION {
        let why = if version > VERSION { "; a newer tiercel wrote the file, or it is damaged" } else { "" };
        return corrupt(format!("header: expected format version {VERSION}, got {version}{why}"), 8);
    }
    let count = u32_at(&header, 12) as usize;
    if count > MAX_SECTIONS {
        return corrupt(format!("header: expected at most {MAX_SECTIONS} sections, got {count}"), 12);
    }
    if header_len(count) as u64 > len {
        return corrupt(format!("header: expected a table of {count} sections, got a file of {len} bytes"), 12);
    }
    header.resize(header_len(count), 0);
    input.fill(&mut header[FIXED..])?;
    let (summed, stored) = header.split_at(header.len() - CHECKSUM);
    let (expected, got) = (u32_at(stored, 0), crc32c::crc32c(summed));
    if expected != got {
        return corrupt(format!("header: expected checksum {expected:08x}, got {got:08x}"), 0);
    }
    Ok(header)
}

/// Checks that the sections found are those expected, each once and in order.
fn check_tags(found: &[(Tag, u64)], expected: &[Tag]) -> Result<(), LoadError> {
    for (index, &(tag, _)) in found.iter().enumerate() {
        if expected.get(index) == Some(&tag) {
            continue;
        }
        let stands_in = |found: &[(Tag, u64)], tag: Tag| found.iter().any(|&(other, _)| other == tag);
        let what = match expected.get(index) {
            _ if !expected.contains(&tag) => format!("header: unknown section {}", name(tag)),
            Some(&next) if !stands_in(&found[..index], tag) => {
                if stands_in(found, next) {
                    format!("header: expected section {} before {}", name(next), name(tag))
                } else {
                    format!("header: section {} is missing", name(next))
                }
            }
            _ => format!("header: section {} twice", name(tag)),
        };
        return corrupt(what, entry_at(index));
    }
    match expected.get(found.len()) {
        Some(missing) => corrupt(format!("header: section {} is missing", name(*missing)), entry_at(found.len())),
        None => Ok(()),
    }
}

/// An input that knows how far it has been read.
struct Input<R> {
    inner: R,
    position: u64,
}

impl<R: Read> Input<R> {
    /// Read `out.len()` bytes.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), LoadError> {
        match self.inner.read_exact(out) {
            Ok(()) => {
                self.position += out.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                corrupt("file: ended while it was read".into(), self.position)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Read the zeros up to the next multiple of [`ALIGN`].
    fn padding(&mut self, of: &str) -> Result<(), LoadError> {
        let start = self.position;
        let mut zeros = [0; ALIGN];
        let zeros = &mut zeros[..padding(start)];
        self.fill(zeros)?;
        match zeros.iter().position(|&byte| byte != 0) {
            Some(at) => corrupt(format!("{of}: expected padding of zeros, got {}", zeros[at]), start + at as u64),
            None => Ok(()),
        }
    }
}

fn corrupt<T>(what: String, offset: u64) -> Result<T, LoadError> {
    Err(Corruption { what, offset }.into())
}

/// A tag as it is shown: one from a file may hold any bytes.
fn name(tag: Tag) -> String {
    tag.escape_ascii().to_string()
}

/// Where entry `index` of the section table stands.
fn entry_at(index: usize) -> u64 {
    (FIXED + index * ENTRY) as u64
}

fn tag_of(entry: &[u8]) -> Tag {
    [entry[0], entry[1], entry[2], entry[3]]
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
