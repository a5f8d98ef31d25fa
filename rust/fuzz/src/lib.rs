//! What fuzzers call with any bytes: it must neither panic nor give a wrong answer.
//!
//! `fuzz/` feeds these from libFuzzer, on a nightly toolchain, for as long as wanted;
//! `tests/short.rs` from a seed, on any toolchain. Each has seeds, from which both begin.
#![forbid(unsafe_code)]

mod filters;
mod index;
mod text;

pub use filters::filter;
pub use index::index_file;
pub use text::{text_query, text_segment};

/// Something to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of a file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Called with any bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All there is.
pub const TARGETS: [Target; 4] = [
    Target { name: "index_file", run: index_file, seeds: index::seeds },
    Target { name: "text_segment", run: text_segment, seeds: text::segments },
    Target { name: "text_query", run: text_query, seeds: text::queries },
    Target { name: "filter", run: filter, seeds: filters::seeds },
];
