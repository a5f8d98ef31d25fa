//! Invalid input is refused with an error that names the mistake, and changes nothing.

use tiercel_index::{
    AddError, Among, Dtype, Filter, Index, MAX_DIM, Metric, NewError, Options, OptionsError, RowError, SearchError,
    SearchSettings, check_vectors,
};

use crate::common::data::clustered;
use crate::common::{METRICS, add, built, new, options, quietly};

fn refused(index: &Index, vectors: &[f32], ids: Option<&[u64]>) -> AddError {
    let before = index.to_bytes().unwrap();
    let error = quietly(|work| index.add(vectors.to_vec(), ids, work)).expect_err("an addition that is refused");
    assert!(index.to_bytes().unwrap() == before, "{error}: the index has changed");
    error
}

fn unanswered(index: &Index, queries: &[f32], filter: Option<Filter<'_>>) -> SearchError {
    let before = index.to_bytes().unwrap();
    let settings = SearchSettings { k: 3, filter, ..SearchSettings::default() };
    let error = quietly(|work| index.search(queries, &settings, work)).expect_err("a search that is refused");
    let ranged = quietly(|work| index.range_search(queries, 1.0, filter.as_ref(), work));
    assert_eq!(ranged, Err(error.clone()));
    assert!(index.to_bytes().unwrap() == before, "{error}: the index has changed");
    error
}

/// Make indexes with nothing, a few vectors, and codes.
fn indexes(options: &Options) -> Vec<Index> {
    [0, 9, 1100].iter().map(|rows| built(options.clone(), &clustered(*rows, options.dim, 5, 1))).collect()
}

#[test]
fn ids_that_cannot_be_taken() {
    for index in indexes(&options(2, METRICS[2])) {
        let three = [1.0; 6];
        let repeated = AddError::Repeated { id: 1 << 50, first: 0, second: 2 };
        assert_eq!(refused(&index, &three, Some(&[1 << 50, 1 << 51, 1 << 50])), repeated);
        assert_eq!(refused(&index, &three, Some(&[1 << 50, u64::MAX, 5])), AddError::Reserved { row: 1 });
        if !index.is_empty() {
            assert_eq!(refused(&index, &three, Some(&[1 << 50, 4, 5])), AddError::Taken { id: 4, row: 1 });
        }
        add(&index, &[1.0; 2], Some(&[u64::MAX - 3]));
        let exhausted = AddError::Exhausted { last: u64::MAX - 1 };
        assert_eq!(refused(&index, &three, None), exhausted);
        assert_eq!(add(&index, &[1.0; 4], None), [u64::MAX - 2, u64::MAX - 1]);
        assert_eq!(refused(&index, &[1.0; 2], None), exhausted);
        assert_eq!(add(&index, &[1.0; 2], Some(&[1 << 60])), [1 << 60]);
    }
}

#[test]
fn another_number_of_ids_than_of_vectors() {
    for index in indexes(&options(2, METRICS[2])) {
        for ids in [&[][..], &[1 << 50], &[1 << 50, 1 << 51, 1 << 52]] {
            let error = AddError::Ids { expected: 2, got: ids.len() };
            assert_eq!(refused(&index, &[1.0; 4], Some(ids)), error);
        }
        assert_eq!(refused(&index, &[], Some(&[7])), AddError::Ids { expected: 0, got: 1 });
    }
}

#[test]
fn values_that_are_no_whole_rows() {
    for metric in METRICS {
        let options = options(3, metric);
        for index in indexes(&options) {
            for values in [1, 2, 4, 3 * 700 + 2] {
                let vectors = vec![1.0; values];
                let error = |argument| RowError::Ragged { argument, dim: 3, values };
                for ids in [None, Some(&[1 << 50][..])] {
                    assert_eq!(refused(&index, &vectors, ids), AddError::Row(error("vectors")));
                }
                for filter in [None, Some(Filter::Ids(&[1]))] {
                    assert_eq!(unanswered(&index, &vectors, filter), SearchError::Row(error("queries")));
                }
                assert_eq!(check_vectors("vectors", &vectors, &options), Err(error("vectors")));
            }
            // A search takes any number of queries; a search among some vectors takes exactly one.
            for values in [0, 2, 6] {
                let among = Among { k: 2, candidates: &[1, 2], since: 0, limit: 5000, filter: None };
                let error = RowError::Ragged { argument: "query", dim: 3, values };
                let result = quietly(|work| index.search_among(&vec![1.0; values], &among, work));
                assert_eq!(result, Err(SearchError::Row(error)));
            }
        }
    }
}

#[test]
fn values_that_are_not_finite() {
    for metric in METRICS {
        for index in indexes(&options(3, metric)) {
            for value in [f32::INFINITY, f32::NEG_INFINITY] {
                let mut vectors = vec![1.0; 9];
                (vectors[4], vectors[8]) = (value, f32::NAN);
                let error = |argument| RowError::NotFinite { argument, row: 1, column: 1, value };
                assert_eq!(refused(&index, &vectors, None), AddError::Row(error("vectors")));
                assert_eq!(unanswered(&index, &vectors, None), SearchError::Row(error("queries")));
            }
            let AddError::Row(RowError::NotFinite { row: 0, column: 2, value, .. }) =
                refused(&index, &[1.0, 1.0, f32::NAN], None)
            else {
                panic!("a value that is not a number has been added")
            };
            assert!(value.is_nan());
        }
    }
}

#[test]
fn values_beyond_half_precision() {
    for metric in METRICS {
        let options = Options { dtype: Dtype::F16, ..options(2, metric) };
        for index in indexes(&options) {
            let value = -65_520.0;
            let error = RowError::Overflow { argument: "vectors", row: 1, column: 0, value };
            assert_eq!(refused(&index, &[1.0, 65_504.0, value, 1.0], None), AddError::Row(error));
            let settings = SearchSettings { k: 1, ..SearchSettings::default() };
            assert!(quietly(|work| index.search(&[value, 1.0], &settings, work)).is_ok(), "queries stay as they are");
        }
    }
}

#[test]
fn vectors_without_a_direction() {
    for index in indexes(&options(2, Metric::Cosine)) {
        let error = |argument, norm| RowError::NoDirection { argument, row: 1, norm };
        assert_eq!(refused(&index, &[1.0, 0.0, 0.0, -0.0], None), AddError::Row(error("vectors", 0.0)));
        assert_eq!(unanswered(&index, &[1.0, 0.0, 0.0, 0.0], None), SearchError::Row(error("queries", 0.0)));
        let huge = AddError::Row(error("vectors", f32::INFINITY));
        assert_eq!(refused(&index, &[1.0, 0.0, f32::MAX, f32::MAX], None), huge);
        let tiny = [1.0, 0.0, f32::MIN_POSITIVE / 64.0, 0.0];
        assert!(matches!(refused(&index, &tiny, None), AddError::Row(RowError::NoDirection { row: 1, .. })));
    }
    // Half precision rounds this norm to zero.
    let index = new(Options { dtype: Dtype::F16, ..options(2, Metric::Cosine) });
    let error = RowError::NoDirection { argument: "vectors", row: 0, norm: 0.0 };
    assert_eq!(refused(&index, &[1e-9, 1e-9], None), AddError::Row(error));
    // Other metrics need no direction.
    for metric in [Metric::Dot, Metric::L2] {
        assert_eq!(add(&new(options(2, metric)), &[0.0, 0.0], None), [0]);
    }
}

#[test]
fn a_mask_of_another_length() {
    for index in indexes(&options(2, METRICS[1])) {
        index.delete(&[3]);
        let expected = index.len();
        for got in [expected + 1, 2 * expected + 3] {
            let mask = vec![1; got];
            let error = unanswered(&index, &[1.0, 2.0], Some(Filter::Mask(&mask)));
            assert_eq!(error, SearchError::MaskLength { expected, got });
        }
    }
}

#[test]
fn options_out_of_range() {
    let good = options(4, Metric::L2);
    for (option, low, high, of) in [
        ("dim", 1, MAX_DIM, (|dim, good| Options { dim, ..good }) as fn(usize, Options) -> Options),
        ("m", 2, 512, |m, good| Options { m, ..good }),
        ("ef_construction", 1, 65_536, |ef_construction, good| Options { ef_construction, ..good }),
    ] {
        for got in [low - 1, high + 1, usize::MAX] {
            let error = Index::new(of(got, good.clone())).err();
            assert_eq!(error, Some(NewError::Options(OptionsError { option, low, high, got })));
        }
        for got in [low, high] {
            assert!(Index::new(of(got, good.clone())).is_ok(), "{option} {got}");
        }
    }
}
