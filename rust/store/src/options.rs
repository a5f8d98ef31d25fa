//! How a store is opened.

/// Which crashes a commit survives when it returns. It always survives a crash of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine, too.
    #[default]
    Always,
    /// A crash of the machine after the next [`crate::Store::sync`], which the owner of the store
    /// calls at an interval.
    Interval,
    /// A crash of the machine after a sync that somebody asks for.
    None,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which crashes a commit survives when it returns.
    pub durability: Durability,
    /// Bytes of memory for pages of the record database.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Always, cache_bytes: 64 << 20 }
    }
}
