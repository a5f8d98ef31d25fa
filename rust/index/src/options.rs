//! The options of an index.

use std::borrow::Cow;
use std::path::PathBuf;

use thiserror::Error;
use tiercel_quant::{CodecKind, order};

/// Longest vector of an index: the integer kernels sum in 32 bits.
pub const MAX_DIM: usize = 32_768;

/// A key of codes is at most a sum of squares of bytes, and
/// [`Best`](crate::search::best::Best) drops keys above that of infinity.
const _: () = assert!(MAX_DIM as i64 * 255 * 255 <= order(f32::INFINITY) as i64);

/// The distance, smallest for the nearest vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// 1 - cos.
    Cosine,
    /// The negated inner product.
    Dot,
    /// The squared Euclidean distance.
    L2,
}

/// How full vectors are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 4 bytes per value, as passed.
    F32,
    /// 2 bytes per value, rounded to half precision.
    F16,
}

/// Where the full vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// In memory.
    Memory,
    /// In a file, read when they are needed: to rescore candidates, for exact searches, and to code
    /// and link vectors.
    Disk,
    /// Nowhere, once there are codes: these stand for the vectors from then on.
    Nothing,
}

impl Raw {
    /// Return the name that users know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Nothing => "none",
        }
    }
}

/// What the candidates of a search are compared with once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerank {
    /// Full vectors, or the copy in half precision that a budget of memory has made because they are
    /// on disk.
    Auto,
    /// Full vectors.
    Full,
    /// A copy of them in half precision, in memory.
    Half,
    /// Nothing: distances are those of codes.
    Nothing,
}

/// How the nearest vectors are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By walking through a graph, once there are enough vectors for one.
    Graph,
    /// By scanning the codes of the nearest lists, once there are enough vectors for lists.
    Partitions,
    /// By scanning all codes.
    Flat,
}

/// The form of the vectors that a search compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The first of the others that ranks the data well enough.
    Auto,
    /// The codes of a codec.
    Codes(CodecKind),
    /// The full vectors.
    Raw,
}

impl Storage {
    /// All storages without parameters.
    pub fn all() -> impl Iterator<Item = Self> {
        let codes = CodecKind::ALL.iter().map(|kind| Self::Codes(*kind));
        [Self::Auto].into_iter().chain(codes).chain([Self::Raw])
    }

    /// Return the name that users know.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Auto => Cow::Borrowed("auto"),
            Self::Codes(kind) => kind.name(),
            Self::Raw => Cow::Borrowed("raw"),
        }
    }

    /// Return the storage that users know by this name; "f32" is another of "raw".
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "f32" {
            return Some(Self::Raw);
        }
        let plain = Self::all().find(|storage| storage.name() == name);
        plain.or_else(|| CodecKind::from_name(name).map(Self::Codes))
    }
}

/// The options of an index, fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Length of every vector, 1 to [`MAX_DIM`].
    pub dim: usize,
    /// The distance, smallest for the nearest vectors.
    pub metric: Metric,
    /// How full vectors are kept.
    pub dtype: Dtype,
    /// Where they are. A file of an index does not say.
    pub raw: Raw,
    /// The directory of the temporary file that full vectors on disk go to until the index is saved; the
    /// one for temporary files without it. A file of an index does not say.
    pub spill: Option<PathBuf>,
    /// What candidates are compared with once more. A file of an index does not say.
    pub rerank: Rerank,
    /// The form of the vectors that a search compares.
    pub storage: Storage,
    /// The most bytes of memory to take. If there is a limit, codes are chosen by it, and `storage`
    /// is [`Storage::Auto`]. A file of an index does not say.
    pub memory: Option<u64>,
    /// How the nearest vectors are found.
    pub kind: Kind,
    /// Neighbours of a node in the upper levels, 2 to 512; twice as many at level 0.
    pub m: usize,
    /// Candidates kept while a node is linked, 1 to 65536.
    pub ef_construction: usize,
    /// Seed of the levels and the rotation.
    pub seed: u64,
}

/// An option out of range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{option}: expected {low} to {high}, got {got}")]
pub struct OptionsError {
    /// Name of the option.
    pub option: &'static str,
    /// Smallest valid value.
    pub low: usize,
    /// Largest valid value.
    pub high: usize,
    /// The invalid value.
    pub got: usize,
}

impl Options {
    /// Return the default options.
    pub const fn new(dim: usize, metric: Metric) -> Self {
        Self {
            dim,
            metric,
            dtype: Dtype::F32,
            raw: Raw::Memory,
            spill: None,
            rerank: Rerank::Full,
            storage: Storage::Auto,
            memory: None,
            kind: Kind::Graph,
            m: 16,
            ef_construction: 200,
            seed: 0,
        }
    }

    /// Return how the rows are kept. If there is nothing but a copy in half precision, that is them.
    pub(crate) const fn kept(&self) -> Dtype {
        match (self.raw, self.rerank) {
            (Raw::Nothing, Rerank::Half) => Dtype::F16,
            _ => self.dtype,
        }
    }

    /// Return the least precise form in which vectors are kept, whose range they must not exceed.
    pub(crate) const fn narrowest(&self) -> Dtype {
        match self.rerank {
            Rerank::Half => Dtype::F16,
            Rerank::Auto | Rerank::Full | Rerank::Nothing => self.dtype,
        }
    }

    /// Whether there is a copy in half precision beside the rows.
    pub(crate) fn keeps_halves(&self) -> bool {
        // Without codes, searches compare full vectors from the start.
        self.rerank == Rerank::Half
            && self.storage != Storage::Raw
            && match self.raw {
                // The rows are in half precision themselves, but a budget may move them to disk.
                Raw::Nothing => false,
                Raw::Memory => self.dtype == Dtype::F32 || self.memory.is_some(),
                Raw::Disk => true,
            }
    }

    /// Whether full vectors are kept only until there are codes.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.raw == Raw::Nothing && self.rerank != Rerank::Half
    }

    /// Return the options of that copy.
    pub(crate) fn of_halves(&self) -> Self {
        Self { dtype: Dtype::F16, raw: Raw::Memory, ..self.clone() }
    }

    /// Return the bytes of a full vector.
    pub(crate) const fn row_bytes(&self) -> usize {
        match self.kept() {
            Dtype::F32 => 4 * self.dim,
            Dtype::F16 => 2 * self.dim,
        }
    }

    /// Check every option against its range.
    pub fn check(&self) -> Result<(), OptionsError> {
        let ranges = [
            ("dim", self.dim, 1, MAX_DIM),
            ("m", self.m, 2, 512),
            ("ef_construction", self.ef_construction, 1, 65_536),
        ];
        for (option, got, low, high) in ranges {
            if !(low..=high).contains(&got) {
                return Err(OptionsError { option, low, high, got });
            }
        }
        if let Storage::Codes(kind) = self.storage
            && let Some((got, high)) = kind.parts(self.dim)
            && got > high
        {
            return Err(OptionsError { option: "parts of storage", low: 1, high, got });
        }
        Ok(())
    }
}
