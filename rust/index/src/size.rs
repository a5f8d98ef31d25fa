//! Numbers of bytes in messages.

use std::fmt::{self, Display};

/// A number of bytes, for people.
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} bytes", self.0),
            1_000..1_000_000 => write!(f, "{:.2} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.2} MB", bytes / 1e6),
            _ => write!(f, "{:.2} GB", bytes / 1e9),
        }
    }
}
