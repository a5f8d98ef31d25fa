//! How a store is opened.

/// What a commit survives when it returns. A crash of the process, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine, too.
    #[default]
    Always,
    /// A crash of the machine from the next [`crate::Store::sync`] on, which the owner of the store calls at an interval.
    Interval,
    /// A crash of the machine from a sync on that somebody asks for.
    None,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a commit survives when it returns.
    pub durability: Durability,
    /// Bytes of memory that hold pages of the record database.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { durability: Durability::Always, cache_bytes: 64 << 20 }
    }
}
