//! Vector indexes: an exact flat scan, a scan of codes, and an HNSW graph, in one [`Index`].

mod budget;
mod build;
mod errors;
mod file;
mod graph;
mod index;
#[cfg(feature = "lab")]
pub mod lab;
mod options;
mod partitions;
mod search;
mod size;
mod state;
mod storage;
mod work;

pub use budget::{Budget, Ended, Seconds, Trace};
pub use errors::{AddError, BuildError, Corruption, GetError, Interrupted, LoadError, RawError, RowError, SearchError};
pub use file::keep::Place;
pub use index::among::Among;
pub use index::chosen::{Chosen, Filter};
pub use index::read::{Matches, RangeMatches, SearchSettings};
pub use index::stats::Stats;
pub use index::{Index, NewError};
pub use options::{Dtype, Kind, MAX_DIM, Metric, Options, OptionsError, Raw, Rerank, Storage};
pub use storage::check::check_vectors;
pub use tiercel_quant::CodecKind;
pub use tiercel_simd::NoMemory;
pub use work::Work;
