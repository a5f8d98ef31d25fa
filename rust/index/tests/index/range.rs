//! A range search returns everything within the radius.

use std::env;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use tiercel_index::{Dtype, Filter, Index, Options, RangeMatches, SearchError, Work};

use crate::common::data::clustered;
use crate::common::model::Model;
use crate::common::{METRICS, built, exact, new, options, quietly};

fn within(index: &Index, queries: &[f32], radius: f32, filter: Option<&Filter<'_>>) -> RangeMatches {
    quietly(|work| index.range_search(queries, radius, filter, work)).expect("queries that can be searched")
}

#[test]
fn equals_the_model() {
    for metric in METRICS {
        for (dim, dtype) in [(1, Dtype::F32), (3, Dtype::F16), (64, Dtype::F32), (100, Dtype::F16), (384, Dtype::F32)] {
            let options = Options { dtype, ..options(dim, metric) };
            let vectors = clustered(700, dim, 20, 1);
            let (index, mut model) = (built(options.clone(), &vectors), Model::of(&options, &vectors));
            let removed: Vec<u64> = (0..100).collect();
            assert_eq!(index.delete(&removed), model.remove(&removed));
            let allowed: Vec<u64> = model.ids().into_iter().filter(|id| id % 3 != 0).collect();
            for queries in [1, 6, 131] {
                let queries = clustered(queries, dim, 20, 2);
                let distances = exact(&index, &queries[..dim], 600, None).distances;
                for radius in [distances[0], distances[30], distances[300], f32::INFINITY, f32::NEG_INFINITY] {
                    model.assert_within(&queries, radius, |_| true, &within(&index, &queries, radius, None));
                    let filter = Filter::Ids(&allowed);
                    let found = within(&index, &queries, radius, Some(&filter));
                    model.assert_within(&queries, radius, |id| id % 3 != 0, &found);
                }
            }
        }
    }
}

#[test]
fn an_empty_index_and_no_queries_give_nothing() {
    let index = new(options(2, METRICS[2]));
    let found = within(&index, &[1.0, 2.0, 3.0, 4.0], f32::INFINITY, None);
    assert_eq!((found.ids, found.distances, found.offsets), (vec![], vec![], vec![0, 0, 0]));
    let index = built(options(2, METRICS[2]), &clustered(10, 2, 2, 1));
    assert_eq!(within(&index, &[], 1.0, None).offsets, [0]);
}

#[test]
fn nothing_is_within_a_radius_that_is_no_number() {
    let index = built(options(2, METRICS[2]), &clustered(10, 2, 2, 1));
    assert_eq!(within(&index, &[1.0, 2.0, 0.0, 0.0], f32::NAN, None).offsets, [0, 0, 0]);
}

/// Set in the process with little memory.
const LIMITED: &str = "TIERCEL_TEST_LIMITED";

/// The other half of [`too_many_results_are_an_error`]. On its own it checks nothing.
#[test]
fn found_with_little_memory() {
    if env::var_os(LIMITED).is_none() {
        return;
    }
    let (rows, count) = (8000, 10_000);
    let index = built(options(1, METRICS[2]), &vec![0.0; rows]);
    let found = index.range_search(&vec![0.0; count], f32::INFINITY, None, &Work::quiet(1, &AtomicBool::new(false)));
    assert_eq!(found, Err(SearchError::TooLarge { count, k: rows }));
}

/// Run in a child process, since nothing takes a limit back.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "limits the address space as Linux does")]
fn too_many_results_are_an_error() {
    let mut child = Command::new("sh");
    child.args(["-c", "ulimit -v 600000 && exec \"$0\" --exact range::found_with_little_memory"]);
    child.arg(env::current_exe().expect("the path of this test")).env(LIMITED, "1");
    let output = child.output().expect("the child starts");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("1 passed"), "{:?}:\n{report}", output.status);
}
