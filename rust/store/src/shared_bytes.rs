//! Bytes that several owners share without a copy.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that a batch shares with its maker: vectors go from the same memory into the log and into
/// an index.
#[derive(Clone, Default)]
pub struct SharedBytes(Option<Arc<dyn AsRef<[u8]> + Send + Sync>>);

impl SharedBytes {
    /// Share the bytes of `owner`.
    pub fn of(owner: Arc<impl AsRef<[u8]> + Send + Sync + 'static>) -> Self {
        Self(Some(owner))
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |owner| (**owner).as_ref())
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(Arc::new(bytes))
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
