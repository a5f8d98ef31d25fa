//! What a cache over tiers writes around a value, so that every tier tells by itself whether it may still be given.
//!
//! ```text
//!  0      1   2         4      8       16     24        32      40      48     56        64
//!  +------+---+---------+------+-------+------+---------+-------+-------+------+---------+------+------
//!  | kind |   | bytes   | cost | epoch | turn | written | fresh | grace | idle | touched | tags | value
//!  |      |   | of tags |      |       |      |         | until |       |      |         |      |
//!  +------+---+---------+------+-------+------+---------+-------+-------+------+---------+------+------
//!   0 or, of a copy of what a tier outside of the process has, 1; little endian; times in nanoseconds; a tag is its length in two bytes and its UTF-8
//! ```

const KIND: u8 = 2;
const HEAD: usize = 64;

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Envelope {
    /// Seconds that it took to load.
    pub cost: f32,
    /// That of the namespace when what the value comes from was begun to be read.
    pub epoch: u64,
    /// How often tags of the namespace had been invalidated by then.
    pub turn: u64,
    /// When that was.
    pub written: u64,
    /// Until when it is given, if it is used.
    pub fresh: u64,
    /// How long past its time it may stand in for one that cannot be loaded.
    pub grace: u64,
    /// How long it may lie unused; 0 for any time.
    pub idle: u64,
    /// When it was last seen to be used.
    pub touched: u64,
}

/// Why there is no envelope around a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// A tag, or all tags together, are longer than two bytes can tell.
    LongTags,
    /// There is no memory for it.
    NoMemory,
}

/// An envelope, its tags, and the value, of what a tier keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened<'a> {
    /// What is known of the value.
    pub envelope: Envelope,
    tags: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Envelope {
    /// The bytes that a tier keeps.
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
    /// What a tier gave; none if it is no envelope.
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
        // Nothing takes an infinite time, or none at all that is a number: one such cost would spoil every comparison with others.
        (envelope.cost.is_finite() && envelope.cost >= 0.0).then_some(Self { envelope, tags, value })
    }

    /// Whether the value belongs to nothing but its namespace, and may lie unused for any time.
    pub fn is_plain(&self) -> bool {
        self.tags.is_empty() && self.envelope.idle == 0
    }

    /// The tags; none if they are damaged.
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
