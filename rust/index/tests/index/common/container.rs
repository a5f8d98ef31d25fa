//! Take the container of a saved index apart and put it together again, as described in
//! `docs/reference/format-index.md`.

const FIXED: usize = 24;
const ENTRY: usize = 20;
const BLOCK: usize = 64 * 1024;
const ALIGN: usize = 64;

/// Name of a section.
pub(crate) type Tag = [u8; 4];

/// Sections with their payloads.
#[derive(Clone)]
pub(crate) struct Container {
    sections: Vec<(Tag, Vec<u8>)>,
}

impl Container {
    pub(crate) fn of(file: &[u8]) -> Self {
        let count = u32::from_le_bytes(file[12..16].try_into().expect("4 bytes")) as usize;
        let entries = file[FIXED..].chunks_exact(ENTRY).take(count);
        let sections = entries.map(|entry| {
            let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("8 bytes")) as usize;
            let (offset, len) = (number(4), number(12));
            ([entry[0], entry[1], entry[2], entry[3]], file[offset..offset + len].to_vec())
        });
        Self { sections: sections.collect() }
    }

    /// Return the file, with correct lengths and checksums.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let aligned = |len: usize| len.next_multiple_of(ALIGN);
        let start = aligned(FIXED + self.sections.len() * ENTRY + 4);
        let sealed: Vec<Vec<u8>> = self.sections.iter().map(|(_, payload)| seal_section(payload)).collect();
        let mut file = b"TIERCEL\0".to_vec();
        file.extend(1u32.to_le_bytes());
        file.extend((self.sections.len() as u32).to_le_bytes());
        file.extend(((start + sealed.iter().map(Vec::len).sum::<usize>()) as u64).to_le_bytes());
        let mut offset = start;
        for ((tag, payload), sealed) in self.sections.iter().zip(&sealed) {
            file.extend(tag);
            file.extend((offset as u64).to_le_bytes());
            file.extend((payload.len() as u64).to_le_bytes());
            offset += sealed.len();
        }
        file.extend(crc32c::crc32c(&file).to_le_bytes());
        file.resize(start, 0);
        for section in &sealed {
            file.extend(section);
        }
        file
    }

    pub(crate) fn section(&self, tag: Tag) -> &[u8] {
        &self.sections.iter().find(|(other, _)| *other == tag).expect("a section of an index").1
    }

    pub(crate) fn section_mut(&mut self, tag: Tag) -> &mut Vec<u8> {
        &mut self.sections.iter_mut().find(|(other, _)| *other == tag).expect("a section of an index").1
    }

    /// Remove a section.
    pub(crate) fn remove(&mut self, tag: Tag) {
        self.sections.retain(|(other, _)| *other != tag);
    }

    /// Overwrite bytes of a section.
    pub(crate) fn patch(&mut self, tag: Tag, at: usize, bytes: &[u8]) {
        self.section_mut(tag)[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Return a section as numbers.
    pub(crate) fn numbers(&self, tag: Tag) -> Vec<u32> {
        let words = self.section(tag).chunks_exact(4);
        words.map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes"))).collect()
    }

    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.sections.iter().map(|(tag, _)| *tag).collect()
    }

    /// Return the file without measured times.
    pub(crate) fn without_time(mut self) -> Vec<u8> {
        self.patch(*b"META", 72, &[0; 8]);
        self.seal()
    }
}

fn seal_section(payload: &[u8]) -> Vec<u8> {
    let mut section = payload.to_vec();
    for block in payload.chunks(BLOCK) {
        section.extend(crc32c::crc32c(block).to_le_bytes());
    }
    section.resize(section.len().next_multiple_of(ALIGN), 0);
    section
}
