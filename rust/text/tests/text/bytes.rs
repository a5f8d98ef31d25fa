//! Segments from invalid bytes.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tiercel_text::{DecodeError, Query, Segment, TextIndex, Tokenizer};

/// Make a segment with long lists and short ones.
fn bytes() -> Vec<u8> {
    let texts: Vec<String> =
        (0..300).map(|row| format!("red {} wine{} {}", row % 2, row % 7, "red ".repeat(row % 5))).collect();
    let documents = (0..).map(|row| row * 3).zip(texts.iter().map(String::as_str));
    Segment::build(documents, &Tokenizer::default()).unwrap().to_bytes()
}

/// Call everything that reads a segment.
fn use_all(segment: Segment) {
    let tokenizer = Tokenizer::default();
    let rows = segment.rows().to_vec();
    let Ok(index) = TextIndex::new().with(Arc::new(segment)) else { return };
    for text in ["red wine1 0", "+red \"red wine2\" -wine3", "\"wine1 red\" 1", "\"red red\""] {
        let hits = index.search(&Query::parse(text, &tokenizer).unwrap(), 10, |_| true);
        assert!(hits.len() <= 10);
    }
    let index = index.without(&rows[..rows.len() * 2 / 3]);
    index.search(&Query::parse("red wine1", &tokenizer).unwrap(), 10, |_| true);
    if let Some(merge) = index.plan_merge() {
        let _ = merge.run().map(|segment| segment.to_bytes());
    }
}

#[test]
fn an_empty_segment_can_be_kept() {
    let segment = Segment::build([].into_iter(), &Tokenizer::default()).unwrap();
    assert_eq!(Segment::from_bytes(&segment.to_bytes()).unwrap().documents(), 0);
}

#[test]
fn a_term_that_stands_twice_is_refused() {
    let bytes = Segment::build([(0, "cat cow")].into_iter(), &Tokenizer::PLAIN).unwrap().to_bytes();
    let (rest, terms) = bytes.split_at(bytes.len() - 6);
    assert_eq!(terms, b"catcow");
    let twice = [rest, b"catcat"].concat();
    assert_eq!(Segment::from_bytes(&twice).err(), Some(DecodeError::Damaged { what: "dictionary" }));
}

#[test]
fn bytes_cut_anywhere_are_refused() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        assert!(matches!(Segment::from_bytes(&bytes[..length]), Err(DecodeError::Damaged { .. })), "{length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(Segment::from_bytes(&longer).is_err());
}

#[test]
fn another_format_is_named() {
    let mut bytes = bytes();
    bytes[0] = 9;
    assert_eq!(Segment::from_bytes(&bytes).unwrap_err(), DecodeError::Format { expected: 1, got: 9 });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default()
    })]

    #[test]
    fn changed_bytes_are_refused_or_can_be_searched(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(segment) = Segment::from_bytes(&bytes) {
            use_all(segment);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_can_be_searched(mut bytes in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..200)) {
        if let Some(format) = bytes.get_mut(..4) {
            format.copy_from_slice(&[1, 0, 0, 0]);
        }
        if let Ok(segment) = Segment::from_bytes(&bytes) {
            use_all(segment);
        }
    }
}
