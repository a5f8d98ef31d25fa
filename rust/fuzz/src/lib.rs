//! Functions that fuzzers call with any bytes. They must neither panic nor return a wrong answer.
//!
//! `fuzz/` calls these from libFuzzer, on a nightly toolchain, for any length of time;
//! `tests/short.rs` calls them from a seed, on any toolchain. Both begin with the seeds of a
//! target.
#![forbid(unsafe_code)]

mod filters;
mod index;
mod text;

pub use filters::filter;
pub use index::index_file;
pub use text::{text_query, text_segment};

/// A target for fuzzing.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, as of the file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Called with any bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 4] = [
    Target { name: "index_file", run: index_file, seeds: index::seeds },
    Target { name: "text_segment", run: text_segment, seeds: text::segments },
    Target { name: "text_query", run: text_query, seeds: text::queries },
    Target { name: "filter", run: filter, seeds: filters::seeds },
];
