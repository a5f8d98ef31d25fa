//! The envelope that a cache over tiers puts around a value. It lets every tier decide by itself
//! whether the value is still valid.
//!
//! ```text
//!  0      1   2         4      8       16     24        32      40      48     56        64
//!  +------+---+---------+------+-------+------+---------+-------+-------+------+---------+------+------
//!  | kind |   | bytes   | cost | epoch | turn | written | fresh | grace | idle | touched | tags | value
//!  |      |   | of tags |      |       |      |         | until |       |      |         |      |
//!  +------+---+---------+------+-------+------+---------+-------+-------+------+---------+------+------
//!   byte 1 is 0, or 1 in a copy from a tier outside of the process; little endian; times in
//!   nanoseconds; a tag is its length in two bytes and its UTF-8
//! ```

const KIND: u8 = 2;
const HEAD: usize = 64;

/// Facts about a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Envelope {
    /// Seconds that it took to load.
    pub cost: f32,
    /// Epoch of the namespace when reading the source of the value began.
    pub epoch: u64,
    /// How often tags of the namespace had been invalidated by that time.
    pub turn: u64,
    /// The time when that reading began.
    pub written: u64,
    /// Time until which it is valid, if it is used.
    pub fresh: u64,
    /// How long after that it may stand in for a value that cannot be loaded.
    pub grace: u64,
    /// How long it may stay unused; 0 for any time.
    pub idle: u64,
    /// When it was last known to be used.
    pub touched: u64,
}

/// Why a value cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// A tag, or all tags together, are longer than two bytes can express.
    LongTags,
    /// There is not enough memory.
    NoMemory,
}

/// An envelope, its tags, and the value, as a tier keeps them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened<'a> {
    /// Facts about the value.
    pub envelope: Envelope,
    tags: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Envelope {
    /// Return the bytes that a tier keeps.
    pub fn pack(&self, tags: &[&str], value: &[u8]) -> Result<Vec<u8>, Unpacked> {
        let size: usize = tags.iter().map(|tag| 2 + tag.len()).sum();
        let size = u16::try_from(size).map_err(|_| Unpacked::LongTags)?;
        let mut out = Vec::new();
        out.try_reserve_exact(HEAD + usize::from(size) + value.len()).map_err(|_| Unpacked::NoMemory)?;
        out.extend_from_slice(&[KIND, 0]);
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&self.cost.to_le_bytes());
        for number in [self.epoch, self.turn, self.written, self.fresh, self.grace, self.idle, self.touched] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for tag in tags {
            out.extend_from_slice(&(tag.len() as u16).to_le_bytes());
            out.extend_from_slice(tag.as_bytes());
        }
        out.extend_from_slice(value);
        Ok(out)
    }
}

impl<'a> Opened<'a> {
    /// Read the bytes from a tier; `None` if they are no envelope.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (head, rest) = data.split_first_chunk::<HEAD>()?;
        let [KIND, 0 | 1, low, high, ..] = *head else { return None };
        let (tags, value) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
        let envelope = Envelope {
            cost: f32::from_le_bytes(std::array::from_fn(|byte| head[4 + byte])),
            epoch: number(8),
            turn: number(16),
            written: number(24),
            fresh: number(32),
            grace: number(40),
            idle: number(48),
            touched: number(56),
        };
        // Costs are finite and at least 0: any other would spoil every comparison.
        (envelope.cost.is_finite() && envelope.cost >= 0.0).then_some(Self { envelope, tags, value })
    }

    /// Whether the value has no tags and may stay unused for any time.
    pub fn is_plain(&self) -> bool {
        self.tags.is_empty() && self.envelope.idle == 0
    }

    /// The tags; `None` if they are damaged.
    pub fn tags(&self) -> Option<Vec<&'a str>> {
        let mut tags = Vec::new();
        let mut rest = self.tags;
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (tag, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            tags.push(str::from_utf8(tag).ok()?);
            rest = after;
        }
        Some(tags)
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
        fn what_was_packed_is_opened(
            numbers in any::<[u64; 7]>(),
            cost in 0.0_f32..1e9,
            tags in prop::collection::vec(".{0,20}", 0..4),
            value in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let [epoch, turn, written, fresh, grace, idle, touched] = numbers;
            let envelope = Envelope { cost, epoch, turn, written, fresh, grace, idle, touched };
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let data = envelope.pack(&tags, &value).unwrap();
            let opened = Opened::read(&data).unwrap();
            prop_assert_eq!(opened.envelope, envelope);
            prop_assert_eq!(opened.tags(), Some(tags.clone()));
            prop_assert_eq!(opened.value, &value[..]);
            prop_assert_eq!(opened.is_plain(), tags.is_empty() && idle == 0);
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut data in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            if whole && data.len() > 1 {
                data[..2].copy_from_slice(&[KIND, 0]);
            }
            if let Some(opened) = Opened::read(&data) {
                opened.tags();
            }
        }
    }

    #[test]
    fn tags_that_are_too_long_are_refused() {
        let long = "x".repeat(40_000);
        assert_eq!(Envelope::default().pack(&[&long, &long], b""), Err(Unpacked::LongTags));
    }

    #[test]
    fn a_cost_that_is_none_is_no_envelope() {
        for cost in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
            let data = Envelope { cost, ..Envelope::default() }.pack(&[], b"value").unwrap();
            assert_eq!(Opened::read(&data), None, "{cost}");
        }
    }
}
