//! A group on its way into the log.

use std::borrow::Cow;

use super::file::{GROUP, checksum};

/// Parts of at least this many bytes are written in place; smaller ones are copied.
const LARGE: usize = 64 << 10;

/// A group that is being put together. Small parts are copied, large ones only pointed to: the
/// vectors of a batch are written from the memory in which they came.
#[derive(Debug)]
pub struct NewGroup<'a> {
    /// The first one begins with room for the fixed part.
    parts: Vec<Cow<'a, [u8]>>,
}

/// A group with all its batches and their checksum.
#[derive(Debug)]
pub struct SealedGroup<'a> {
    parts: Vec<Cow<'a, [u8]>>,
}

impl<'a> NewGroup<'a> {
    /// A group without batches.
    #[expect(clippy::new_without_default, reason = "nobody would use a Default")]
    pub fn new() -> Self {
        Self { parts: vec![Cow::Owned(vec![0; GROUP])] }
    }

    /// Where to put small parts, after all others.
    pub fn end(&mut self) -> &mut Vec<u8> {
        if matches!(self.parts.last(), None | Some(Cow::Borrowed(_))) {
            self.parts.push(Cow::Owned(Vec::new()));
        }
        let last = self.parts.len() - 1;
        self.parts[last].to_mut()
    }

    /// Put a part of any size after all others.
    pub fn push(&mut self, part: &'a [u8]) {
        if part.len() < LARGE {
            self.end().extend_from_slice(part);
        } else {
            self.parts.push(Cow::Borrowed(part));
        }
    }

    /// Fill in the fixed part.
    pub fn seal(mut self, sequence: u64, count: u32, first_row: u32) -> SealedGroup<'a> {
        let length = self.parts.iter().map(|part| part.len()).sum::<usize>() - GROUP;
        let (first, rest) = self.parts.split_at_mut(1);
        let (fixed, batches) = first[0].to_mut().split_at_mut(GROUP);
        fixed[..8].copy_from_slice(&(length as u64).to_le_bytes());
        fixed[8..16].copy_from_slice(&sequence.to_le_bytes());
        fixed[16..20].copy_from_slice(&count.to_le_bytes());
        fixed[20..24].copy_from_slice(&first_row.to_le_bytes());
        let checksum = rest.iter().fold(checksum(fixed, batches), |sum, part| crc32c::crc32c_append(sum, part));
        fixed[24..].copy_from_slice(&checksum.to_le_bytes());
        SealedGroup { parts: self.parts }
    }
}

impl SealedGroup<'_> {
    /// The group, in parts that stand one after the other. The first one has all of the fixed part.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(AsRef::as_ref)
    }

    pub(super) fn fixed(&self) -> &[u8] {
        &self.parts[0][..GROUP]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_large_and_small_parts_is_that_of_their_bytes() {
        let large: Vec<u8> = (0..=LARGE).map(|at| at as u8).collect();
        let parts: [&[u8]; 6] = [b"one", &large, &large[..LARGE - 1], &large[1..], b"", b"two"];
        let mut group = NewGroup::new();
        let mut bytes = vec![0; GROUP];
        for part in parts {
            group.push(part);
            group.end().extend_from_slice(b"between");
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"between");
        }
        let group = group.seal(5, 6, 7);
        assert_eq!(group.parts().filter(|part| part.as_ptr_range().start == large.as_ptr()).count(), 1);
        let whole = NewGroup { parts: vec![Cow::Owned(bytes)] }.seal(5, 6, 7);
        assert_eq!(group.parts().collect::<Vec<_>>().concat(), whole.parts().next().unwrap());
        assert_eq!(group.fixed(), whole.fixed());
    }
}
