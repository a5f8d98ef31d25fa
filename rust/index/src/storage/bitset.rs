//! A set of slots, one bit each.

/// A set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitset {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl Bitset {
    /// Make the empty set over `len` slots.
    pub(crate) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len, count: 0 }
    }

    /// Make the set of the slots whose value is not 0.
    pub(crate) fn from_mask(mask: &[u8]) -> Self {
        let word =
            |values: &[u8]| values.iter().enumerate().fold(0, |word, (at, value)| word | u64::from(*value != 0) << at);
        let words: Vec<u64> = mask.chunks(64).map(word).collect();
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, len: mask.len(), count }
    }

    /// Number of slots that the set is over.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Number of slots in the set.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Change the set to be over `len` slots; new ones are not in it.
    pub(crate) fn resize(&mut self, len: usize) {
        if len < self.len {
            for slot in len..self.len {
                self.remove(slot);
            }
        }
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
    }

    /// Keep the slots that are also in another set over as many.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }

    /// Remove the slots that are in another set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }

    /// Whether a slot is in the set; slots beyond its length are not.
    #[inline]
    pub(crate) fn contains(&self, slot: usize) -> bool {
        self.words.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Add a slot.
    pub(crate) fn insert(&mut self, slot: usize) {
        let (word, bit) = (&mut self.words[slot / 64], 1 << (slot % 64));
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Remove a slot.
    pub(crate) fn remove(&mut self, slot: usize) {
        let (word, bit) = (&mut self.words[slot / 64], 1 << (slot % 64));
        self.count -= usize::from(*word & bit != 0);
        *word &= !bit;
    }

    /// The slots in the set, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            std::iter::successors((word != 0).then_some(word), |word| Some(word & (word - 1)).filter(|word| *word != 0))
                .map(move |word| at * 64 + word.trailing_zeros() as usize)
        })
    }

    /// The words of bits, lowest slot in the lowest bit.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Make a set over `len` slots from its words; `None` if they do not fit.
    pub(crate) fn from_words(words: Vec<u64>, len: usize) -> Option<Self> {
        let tail = len % 64;
        let clean = tail == 0 || words.last().is_some_and(|word| word >> tail == 0);
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        (words.len() == len.div_ceil(64) && clean).then_some(Self { words, len, count })
    }

    /// Memory taken, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn assert_is(bitset: &Bitset, model: &BTreeSet<usize>, len: usize) {
        assert_eq!((bitset.len(), bitset.count()), (len, model.len()));
        assert!(bitset.iter().eq(model.iter().copied()));
        assert!((0..len).all(|slot| bitset.contains(slot) == model.contains(&slot)));
        assert_eq!(Bitset::from_words(bitset.words().to_vec(), len).as_ref(), Some(bitset));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
        })]

        #[test]
        fn is_a_set(
            mut len in 0..200usize,
            steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>()), 0..60),
        ) {
            let (mut bitset, mut model) = (Bitset::new(len), BTreeSet::new());
            for (step, at) in steps {
                match step {
                    0 => {
                        len = at.index(200);
                        bitset.resize(len);
                        model.retain(|slot| *slot < len);
                    }
                    1 if len > 0 => {
                        bitset.remove(at.index(len));
                        model.remove(&at.index(len));
                    }
                    _ if len > 0 => {
                        bitset.insert(at.index(len));
                        model.insert(at.index(len));
                    }
                    _ => {}
                }
                assert_is(&bitset, &model, len);
            }
        }
    }

    #[test]
    fn words_that_do_not_fit_are_refused() {
        for (words, len) in [(vec![], 1), (vec![0], 0), (vec![0, 0], 64), (vec![1 << 63], 63), (vec![0, 2], 65)] {
            assert_eq!(Bitset::from_words(words, len), None);
        }
    }
}
