//! Vector indexes: an exact flat scan, a scan of codes, and an HNSW graph, behind one [`Index`].

mod among;
mod best;
mod bitset;
mod codes;
mod errors;
mod file;
mod flat;
mod hnsw;
mod ids;
mod index;
mod link;
mod options;
mod persist;
mod pool;
mod recall;
mod rows;
mod search;
mod space;
mod state;
mod survey;
mod train;
mod work;

pub use among::Among;
pub use errors::{AddError, Corruption, Interrupted, LoadError, NotFound, RowError, SearchError};
pub use index::{Filter, Index, Matches, NewError, RangeMatches, SearchSettings, Stats};
pub use options::{Dtype, MAX_DIM, Metric, Options, OptionsError, Storage};
pub use rows::check_vectors;
pub use work::Work;
