//! A set of slots, one bit each.

/// A set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitset {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl Bitset {
    /// The empty set over `len` slots.
    pub(crate) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len, count: 0 }
    }

    /// Slots that the set is over.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Slots in the set.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Be over `len` slots; new ones are not in the set.
    pub(crate) fn resize(&mut self, len: usize) {
        if len < self.len {
            for slot in len..self.len {
                self.remove(slot);
            }
        }
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
    }

    #[inline]
    pub(crate) fn contains(&self, slot: usize) -> bool {
        self.words[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Put a slot in.
    pub(crate) fn insert(&mut self, slot: usize) {
        let (word, bit) = (&mut self.words[slot / 64], 1 << (slot % 64));
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Take a slot out.
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

    /// The words that hold the bits, lowest slot in the lowest bit.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// A set over `len` slots from its words; `None` when they do not fit.
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
