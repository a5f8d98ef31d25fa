//! Where everything stands in a file.

/// Name of a section: four ASCII characters.
pub(crate) type Tag = [u8; 4];

pub(super) const MAGIC: [u8; 8] = *b"TIERCEL\0";
pub(super) const VERSION: u32 = 1;
/// Bounds the header, and with it what is read before a checksum has been seen.
pub(super) const MAX_SECTIONS: usize = 64;
/// Bytes of the header before the section table.
pub(super) const FIXED: usize = 24;
/// Bytes of an entry of the section table.
pub(super) const ENTRY: usize = 20;
/// Bytes of a checksum.
pub(super) const CHECKSUM: usize = 4;
/// Bytes of payload under one checksum.
pub(super) const BLOCK: usize = 64 * 1024;
/// Every payload starts at a multiple of this.
pub(super) const ALIGN: usize = 64;

/// A section's place in the file.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub(super) tag: Tag,
    /// Where the payload starts.
    pub(super) offset: u64,
    /// Bytes of payload.
    pub(super) len: u64,
}

/// Where the header and every section stand.
pub(super) struct Layout {
    pub(super) sections: Vec<Section>,
    pub(super) file_len: u64,
}

impl Layout {
    /// Place sections of these lengths one after another; `None` if they end beyond the largest u64.
    pub(super) fn new(sections: &[(Tag, u64)]) -> Option<Self> {
        let mut end = (header_len(sections.len()) as u64).next_multiple_of(ALIGN as u64);
        let place = |&(tag, len): &(Tag, u64)| {
            let section = Section { tag, offset: end, len };
            let checksums = len.div_ceil(BLOCK as u64) * CHECKSUM as u64;
            end = end.checked_add(len)?.checked_add(checksums)?.checked_next_multiple_of(ALIGN as u64)?;
            Some(section)
        };
        let sections = sections.iter().map(place).collect::<Option<_>>()?;
        Some(Self { sections, file_len: end })
    }

    /// The header with its checksum, without its padding.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(header_len(self.sections.len()));
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((self.sections.len() as u32).to_le_bytes());
        header.extend(self.file_len.to_le_bytes());
        for section in &self.sections {
            header.extend(section.tag);
            header.extend(section.offset.to_le_bytes());
            header.extend(section.len.to_le_bytes());
        }
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        header
    }
}

/// Bytes of a file with sections of these lengths; `None` if they end beyond the largest u64.
pub(crate) fn file_len(sections: &[(Tag, u64)]) -> Option<u64> {
    Layout::new(sections).map(|layout| layout.file_len)
}

/// Bytes of a header with `count` sections, without its padding.
pub(super) fn header_len(count: usize) -> usize {
    FIXED + count * ENTRY + CHECKSUM
}

/// How many zeros there are between `end` and the next multiple of [`ALIGN`].
pub(super) fn padding(end: u64) -> usize {
    (end.next_multiple_of(ALIGN as u64) - end) as usize
}
