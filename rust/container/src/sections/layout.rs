//! Where the header and the sections are in a file.

use crate::bytes::{CHECKSUM, seal};

/// Name of a section: four ASCII characters.
pub type Tag = [u8; 4];

/// Bounds the header, and so what is read before any checksum is compared.
pub(super) const MAX_SECTIONS: usize = 64;
/// Bytes of the header before the label.
pub(super) const FIXED: usize = 24;
/// Bytes of an entry of the section table.
pub(super) const ENTRY: usize = 20;
/// Bytes of payload under one checksum.
pub(super) const BLOCK: usize = 64 * 1024;
/// Every payload starts at a multiple of this.
pub(super) const ALIGN: usize = 64;

/// A kind of file: how its header begins.
#[derive(Debug)]
pub struct Kind {
    /// The first bytes of the file.
    pub magic: [u8; 8],
    /// The name of the kind in messages.
    pub name: &'static str,
    /// The format versions that are read, each with the bytes of its label. The last one is written.
    pub versions: &'static [(u32, usize)],
}

impl Kind {
    /// The version that is written, and the bytes of its label.
    pub(super) fn newest(&self) -> (u32, usize) {
        self.versions.last().copied().unwrap_or_default()
    }
}

/// Whether readers that do not know a section of this tag may skip it.
pub fn is_optional(tag: Tag) -> bool {
    tag[0].is_ascii_lowercase()
}

/// A section's place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) tag: Tag,
    /// Where the payload starts.
    pub(super) offset: u64,
    /// Bytes of payload.
    pub(super) len: u64,
}

impl Section {
    /// Where the checksums of its blocks start.
    pub(super) fn checksums(&self) -> u64 {
        self.offset + self.len
    }

    /// How many blocks it has.
    pub(super) fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK as u64)
    }
}

/// Where the header and every section are.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) sections: Vec<Section>,
    pub(super) file_len: u64,
}

impl Layout {
    /// Place sections of these lengths after a header whose label has `label` bytes; `None` if
    /// they end beyond the largest u64.
    pub(super) fn new(label: usize, sections: &[(Tag, u64)]) -> Option<Self> {
        let mut end = (header_len(label, sections.len()) as u64).next_multiple_of(ALIGN as u64);
        let place = |&(tag, len): &(Tag, u64)| {
            let section = Section { tag, offset: end, len };
            let checksums = section.blocks() * CHECKSUM as u64;
            end = end.checked_add(len)?.checked_add(checksums)?.checked_next_multiple_of(ALIGN as u64)?;
            Some(section)
        };
        let sections = sections.iter().map(place).collect::<Option<_>>()?;
        Some(Self { sections, file_len: end })
    }

    /// The header with its checksum, without its padding.
    pub(super) fn header(&self, kind: &Kind, label: &[u8]) -> Vec<u8> {
        let mut header = Vec::with_capacity(header_len(label.len(), self.sections.len()));
        header.extend(kind.magic);
        header.extend(kind.newest().0.to_le_bytes());
        header.extend((self.sections.len() as u32).to_le_bytes());
        header.extend(self.file_len.to_le_bytes());
        header.extend(label);
        for section in &self.sections {
            header.extend(section.tag);
            header.extend(section.offset.to_le_bytes());
            header.extend(section.len.to_le_bytes());
        }
        header.extend([0; CHECKSUM]);
        seal(0, &mut header);
        header
    }
}

/// Bytes of a file with sections of these lengths; `None` if they end beyond the largest u64.
pub fn file_len(kind: &Kind, sections: &[(Tag, u64)]) -> Option<u64> {
    Layout::new(kind.newest().1, sections).map(|layout| layout.file_len)
}

/// Bytes of a header with `count` sections and a label of `label` bytes, without its padding.
pub(super) fn header_len(label: usize, count: usize) -> usize {
    FIXED + label + count * ENTRY + CHECKSUM
}

/// Number of zeros between `end` and the next multiple of [`ALIGN`].
pub(super) fn padding(end: u64) -> usize {
    (end.next_multiple_of(ALIGN as u64) - end) as usize
}
