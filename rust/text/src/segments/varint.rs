//! Store numbers in as few bytes as they need.
//!
//! A number is stored as groups of 7 bits from the lowest on, each in a byte whose highest bit is
//! set if another follows. The entries of a list, an increasing key and a count of at least one,
//! are written as
//!
//! ```text
//! 2 * (keys left out since the last) + 0            a count of one
//! 2 * (keys left out since the last) + 1, count     more
//! ```

pub(crate) fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Read a number from the front of `bytes`; `None` if there is none, or if it has more than 63
/// bits.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    if *first < 0x80 {
        return Some(u64::from(*first));
    }
    let mut value = u64::from(first & 0x7f);
    for shift in (7..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Writes the entries of a list.
#[derive(Default)]
pub(crate) struct EntryWriter {
    next: u32,
}

impl EntryWriter {
    /// Append an entry. Keys must increase.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, key: u32, count: u32) {
        let gap = u64::from(key - self.next) << 1;
        if count == 1 {
            push(out, gap);
        } else {
            push(out, gap | 1);
            push(out, u64::from(count));
        }
        self.next = key.wrapping_add(1);
    }
}

/// The entries of a list, up to the first malformed one.
#[derive(Clone)]
pub(crate) struct Entries<'a> {
    pub(crate) bytes: &'a [u8],
    next: u64,
}

impl<'a> Entries<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0 }
    }
}

impl Iterator for Entries<'_> {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<(u32, u32)> {
        let gap = take(&mut self.bytes)?;
        let key = u32::try_from(self.next + (gap >> 1)).ok()?;
        let count = if gap & 1 == 0 { 1 } else { u32::try_from(take(&mut self.bytes)?).ok()? };
        self.next = u64::from(key) + 1;
        Some((key, count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn entries_are_read_as_written(entries in prop::collection::btree_map(any::<u32>(), 1..=u32::MAX, 0..40)) {
            let (mut bytes, mut writer) = (Vec::new(), EntryWriter::default());
            for (key, count) in &entries {
                writer.push(&mut bytes, *key, *count);
            }
            let read: Vec<_> = Entries::new(&bytes).collect();
            prop_assert_eq!(read, entries.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(Entries::new(&bytes).count() <= bytes.len());
        }
    }
}
