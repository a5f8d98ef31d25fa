//! Vectors of texts without a model.

use std::collections::BTreeMap;

use crate::analysis::tokenizer::MAX_WORD_BYTES;
use crate::analysis::words::for_each_unicode_word;

/// Number of characters in the parts of words.
const PARTS: std::ops::RangeInclusive<usize> = 3..=5;

/// Turns texts into unit vectors by their words and the parts of those. It is lexical: texts are
/// near if they share words or parts of words, regardless of meaning.
///
/// Each word in lower case, and each run of 3 to 5 characters of the word with a mark at either
/// end, is hashed to a dimension and a sign. A word weighs as much as all its runs together; one
/// that occurs n times weighs the square root of n. The same seed makes the same vector on
/// every machine, and in every version that finds the same words: where they end, and their lower
/// case, follow the Unicode tables of `unicode-segmentation` and of the standard library.
///
/// Opposite signs may cancel, so that two texts without a common word are only nearly orthogonal;
/// more dimensions bring them closer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingEmbedder {
    dim: usize,
    seed: u64,
}

impl HashingEmbedder {
    /// Make an embedder for vectors of `dim` values, at least one.
    pub const fn new(dim: usize, seed: u64) -> Self {
        Self { dim: if dim == 0 { 1 } else { dim }, seed }
    }

    /// Return the number of values in a vector.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Return the vector of `text`, of unit length. All texts without words share one vector, which
    /// is near others only by chance.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f64; self.dim];
        for (word, count) in counted_words(text) {
            self.add(&mut vector, &word, f64::from(count).sqrt());
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        if norm == 0.0 {
            // The text has no words, or its words cancel.
            let mut vector = vec![0.0; self.dim];
            vector[self.bucket(&[]).0] = 1.0;
            return vector;
        }
        vector.into_iter().map(|value| (value / norm) as f32).collect()
    }

    /// Add a word and its parts.
    fn add(&self, vector: &mut [f64], word: &str, weight: f64) {
        let marked = format!("<{word}>");
        self.add_one(vector, marked.as_bytes(), weight);
        let starts: Vec<usize> = marked.char_indices().map(|(at, _)| at).chain([marked.len()]).collect();
        let characters = starts.len() - 1;
        // A part with all characters would add the word a second time.
        let lengths = || PARTS.filter(|length| *length < characters);
        let parts: usize = lengths().map(|length| characters - length + 1).sum();
        for length in lengths() {
            for ends in starts.windows(length + 1) {
                self.add_one(vector, &marked.as_bytes()[ends[0]..ends[length]], weight / (parts as f64).sqrt());
            }
        }
    }

    fn add_one(&self, vector: &mut [f64], feature: &[u8], weight: f64) {
        let (at, negative) = self.bucket(feature);
        vector[at] += if negative { -weight } else { weight };
    }

    /// Return the dimension of a feature, and whether it counts negatively.
    fn bucket(&self, feature: &[u8]) -> (usize, bool) {
        let hash = hash(feature, self.seed);
        // The high bits choose the dimension, the lowest one the sign.
        (((u128::from(hash) * self.dim as u128) >> 64) as usize, hash & 1 == 1)
    }
}

/// Count the words of a text in lower case. The order depends only on the words, since sums depend
/// on it.
fn counted_words(text: &str) -> BTreeMap<String, u32> {
    let mut words = BTreeMap::new();
    for_each_unicode_word(text, |_, word| {
        if word.len() <= MAX_WORD_BYTES {
            *words.entry(lower(word)).or_default() += 1;
        }
    });
    words
}

/// Convert a word to lower case. Unlike in an index, forms of a letter stay distinct and words are
/// not cut, since existing vectors must not change.
fn lower(word: &str) -> String {
    if word.is_ascii() { word.to_ascii_lowercase() } else { word.to_lowercase().replace('\u{2019}', "'") }
}

/// Hash with FNV-1a, which is short and never changes, and the finalizer of `SplitMix64`, since FNV
/// mixes its high bits badly.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        let embedder = HashingEmbedder::new(384, 0);
        embedder.embed(a).iter().zip(embedder.embed(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_are_near_if_they_share_words_or_parts_of_them() {
        let shared = cosine("a dog barks at night", "the dog sleeps at night");
        let parts = cosine("fishing", "fishermen");
        assert!(cosine("Dogs bark.", "dogs BARK") > 0.999);
        assert!(shared > 0.4, "{shared}");
        assert!(parts > 0.1, "{parts}");
        assert!(cosine("volcano", "spreadsheet") < 0.1);
    }

    #[test]
    fn a_text_without_words_has_a_unit_vector() {
        assert!(cosine("", " \u{1f600} ...") > 0.999);
        assert!(cosine("", "dog").abs() < 0.3);
    }

    /// Vectors are kept in files, so these must not change.
    #[test]
    fn vectors_are_the_same_forever() {
        let bits = |text| HashingEmbedder::new(4, 7).embed(text).into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let cat = bits("The cat's caf\u{e9}, the cat");
        assert_eq!(cat, [1_059_847_928, 1_057_783_608, 3_191_781_935, 3_203_146_663]);
        // An index cuts these words.
        let code = bits("os.path foo_bar 1003,7 U.S.A.");
        assert_eq!(code, [1_055_479_837, 3_201_243_158, 1_055_692_153, 3_206_869_840]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

        #[test]
        fn any_text_has_a_unit_vector(text in any::<String>(), dim in 0..40_usize, seed in any::<u64>()) {
            let vector = HashingEmbedder::new(dim, seed).embed(&text);
            prop_assert_eq!(vector.len(), dim.max(1));
            let norm: f32 = vector.iter().map(|value| value * value).sum();
            prop_assert!((norm - 1.0).abs() < 1e-5);
        }
    }
}
