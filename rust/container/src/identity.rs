//! Which collection a file belongs to.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::time::SystemTime;

/// The identity of a collection: random and stored in all of its files, so that a file of another
/// collection is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity(pub [u8; Identity::LEN]);

impl Identity {
    /// Length in bytes.
    pub const LEN: usize = 16;
    /// Stands for files of an older format, which stored no identity.
    pub const NONE: Self = Self([0; Self::LEN]);

    /// Make an identity that no other collection has.
    pub fn random() -> Self {
        // The system seeds each thread's hashers. A forked process has the same seeds but another
        // id.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let half = |part: u8| RandomState::new().hash_one((now, process::id(), part)).to_le_bytes();
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&half(0));
        bytes[8..].copy_from_slice(&half(1));
        Self(bytes)
    }

    /// Read the identity at byte `at` of a header.
    pub fn at(bytes: &[u8], at: usize) -> Self {
        Self(bytes[at..].first_chunk().copied().unwrap_or_default())
    }

    /// Whether this stands for a file of an older format, which stored no identity.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The error text for a file with this identity in another collection, which is known by the
    /// file `witness`.
    pub fn is_foreign(self, collection: Self, witness: &str) -> String {
        format!(
            "header: expected a file of collection {collection}, like {witness}, got one of {self}: one of the two is foreign"
        )
    }

    /// Whether a file with this identity can belong to `collection`: files of older formats have
    /// none.
    pub fn fits(self, collection: Self) -> bool {
        self == collection || self.is_none() || collection.is_none()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_equal_and_none_fits_all() {
        let (one, other) = (Identity::random(), Identity::random());
        assert!(one != other && !one.is_none() && !one.fits(other));
        assert!(one.fits(one) && one.fits(Identity::NONE) && Identity::NONE.fits(one));
        assert_eq!(Identity([0xab; 16]).to_string(), "ab".repeat(16));
    }
}
