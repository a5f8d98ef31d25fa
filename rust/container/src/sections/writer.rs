//! Writes a file from front to back, so that any `Write` works and no payload is copied.

use std::io::{self, Write};

use super::header::name;
use super::layout::{ALIGN, BLOCK, Kind, Layout, MAX_SECTIONS, Section, Tag, padding};

/// Writes sections in the order and with the lengths passed at the start.
#[derive(Debug)]
pub struct SectionWriter<W> {
    out: W,
    layout: Layout,
    written: usize,
}

impl<W: Write> SectionWriter<W> {
    /// Write the header of a file of this kind, with its label, and with sections of these lengths
    /// in bytes.
    pub fn new(mut out: W, kind: &Kind, label: &[u8], sections: &[(Tag, u64)]) -> io::Result<Self> {
        if sections.len() > MAX_SECTIONS {
            return Err(misuse(format!("expected at most {MAX_SECTIONS} sections, got {}", sections.len())));
        }
        let (_, expected) = kind.newest();
        if label.len() != expected {
            return Err(misuse(format!("expected a label of {expected} bytes, got {}", label.len())));
        }
        let layout =
            Layout::new(label.len(), sections).ok_or_else(|| misuse("the sections do not fit in a file".into()))?;
        let header = layout.header(kind, label);
        out.write_all(&header)?;
        pad(&mut out, header.len() as u64)?;
        Ok(Self { out, layout, written: 0 })
    }

    /// Write the next section, which must be `tag`; `fill` writes its payload in pieces of any size.
    pub fn section(&mut self, tag: Tag, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let section = match self.layout.sections.get(self.written) {
            Some(next) if next.tag == tag => *next,
            next => {
                let next = next.map_or("the end".into(), |next| name(next.tag));
                return Err(misuse(format!("expected section {next} next, got {}", name(tag))));
            }
        };
        let mut payload = Payload { out: &mut self.out, section, done: 0, checksum: 0, checksums: Vec::new() };
        fill(&mut payload)?;
        let end = payload.finish()?;
        self.written += 1;
        pad(&mut self.out, end)
    }

    /// Check that every section was written, flush, and return the output.
    pub fn finish(mut self) -> io::Result<W> {
        let (expected, got) = (self.layout.sections.len(), self.written);
        if expected != got {
            return Err(misuse(format!("expected {expected} sections, got {got}")));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Takes the payload of one section.
struct Payload<'a, W> {
    out: &'a mut W,
    section: Section,
    done: u64,
    /// Checksum of the block that is being written.
    checksum: u32,
    /// Checksums of the complete blocks, as they will be written.
    checksums: Vec<u8>,
}

impl<W: Write> Payload<'_, W> {
    /// Write the checksums and return where they end.
    fn finish(mut self) -> io::Result<u64> {
        let Section { tag, offset, len } = self.section;
        if self.done != len {
            return Err(misuse(format!("section {}: expected {len} bytes, got {}", name(tag), self.done)));
        }
        if !len.is_multiple_of(BLOCK as u64) {
            self.end_block();
        }
        self.out.write_all(&self.checksums)?;
        Ok(offset + len + self.checksums.len() as u64)
    }

    fn end_block(&mut self) {
        self.checksums.extend(self.checksum.to_le_bytes());
        self.checksum = 0;
    }
}

impl<W: Write> Write for Payload<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Section { tag, len, .. } = self.section;
        if bytes.len() as u64 > len - self.done {
            return Err(misuse(format!("section {}: expected {len} bytes, got more", name(tag))));
        }
        let block_left = BLOCK - (self.done % BLOCK as u64) as usize;
        let written = self.out.write(&bytes[..bytes.len().min(block_left)])?;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes[..written]);
        self.done += written as u64;
        if written == block_left {
            self.end_block();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn pad(out: &mut impl Write, end: u64) -> io::Result<()> {
    out.write_all(&[0; ALIGN][..padding(end)])
}

fn misuse(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
