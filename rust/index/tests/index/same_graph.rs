//! The same vectors, options and seed make the same index with any threads, and from codes with any
//! instruction set.

use std::env;
use std::process::Command;

use tiercel_index::{CodecKind, Index, Metric, Options, Storage, Work};
use tiercel_simd::Level;

use crate::common::container::Container;
use crate::common::data::clustered;
use crate::common::{FLAT, METRICS, new, options};

const ROWS: usize = FLAT + 1500;
const DIM: usize = 20;

/// The variable with the checksums that [`built_in_a_child`] must find in a child process.
const EXPECTED: &str = "TIERCEL_TEST_EXPECTED";

fn small(metric: Metric) -> Options {
    Options { ef_construction: 60, ..options(DIM, metric) }
}

/// Build an index in two parts, one for each way into the graph, and return its bytes.
fn bytes(options: Options, threads: usize) -> Vec<u8> {
    let vectors = clustered(ROWS, options.dim, 50, 1);
    let index = new(options);
    let stop = false.into();
    for part in [&vectors[..(ROWS - 600) * DIM], &vectors[(ROWS - 600) * DIM..]] {
        index.add(part.to_vec(), None, &Work::quiet(threads, &stop)).expect("vectors that can be added");
    }
    index.optimize(&Work::quiet(threads, &stop)).expect("nobody stops it");
    assert_eq!(index.stats().linked, ROWS);
    Container::of(&index.to_bytes().unwrap()).without_time()
}

#[test]
fn whatever_the_threads() {
    for metric in METRICS {
        let one = bytes(small(metric), 1);
        for threads in [0, 2, 5] {
            assert!(bytes(small(metric), threads) == one, "{metric:?}, {threads} threads");
        }
    }
}

#[test]
fn another_seed_makes_another_one() {
    let graph = |seed| {
        let file = Container::of(&bytes(Options { seed, ..small(Metric::L2) }, 2));
        (file.numbers(*b"LNK0"), file.section(*b"LEVL").to_vec())
    };
    let (first, second) = (graph(1), graph(2));
    assert!(first.0 != second.0 && first.1 != second.1);
}

/// Return checksums of indexes built from codes, by metric and storage. Codes are compared by sums
/// of integers, which are the same everywhere.
fn checksums() -> String {
    let checksum = |metric, storage| {
        format!("{metric:?} {storage:?} {:08x}\n", crc32c::crc32c(&bytes(Options { storage, ..small(metric) }, 2)))
    };
    [checksum(Metric::Cosine, Storage::Codes(CodecKind::Sq4)), checksum(Metric::L2, Storage::Codes(CodecKind::Sq8))]
        .concat()
}

/// The other half of [`whatever_the_instruction_set`]. On its own it checks nothing.
#[test]
fn built_in_a_child() {
    if let Ok(expected) = env::var(EXPECTED) {
        assert_eq!(checksums(), expected);
    }
}

/// Run in child processes, since a process has only one environment.
#[test]
fn whatever_the_instruction_set() {
    let expected = checksums();
    let own = Index::new(options(1, Metric::L2)).expect("options within their ranges").stats().simd;
    for level in Level::available().filter(|level| level.name() != own) {
        let mut child = Command::new(env::current_exe().expect("the path of this test"));
        child.args(["--exact", "same_graph::built_in_a_child"]);
        let output =
            child.env(EXPECTED, &expected).env("TIERCEL_SIMD", level.name()).output().expect("the child starts");
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("1 passed"), "{level:?}:\n{report}");
    }
}
