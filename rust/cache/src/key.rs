//! Keys: text or bytes, which are never equal to each other.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

/// The kind of a key. Text and the same UTF-8 as bytes are two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Bytes,
    /// The BLAKE3 hash of a content, under which the ledger of [`Files`](crate::Files) packs a
    /// small one. Callers have no keys of this kind.
    #[doc(hidden)]
    Content,
}

/// A key that a tier keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    kind: Kind,
    bytes: Box<[u8]>,
}

/// A borrowed key, to ask with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRef<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// A key of text.
    pub fn text(text: &'a str) -> Self {
        Self { kind: Kind::Text, bytes: text.as_bytes() }
    }

    /// A key of bytes.
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self { kind: Kind::Bytes, bytes }
    }

    /// The key of a packed content.
    pub(crate) fn content(hash: &'a blake3::Hash) -> Self {
        Self { kind: Kind::Content, bytes: hash.as_bytes() }
    }

    /// The hash of a packed content; `None` for the key of a caller.
    pub(crate) fn content_hash(self) -> Option<blake3::Hash> {
        if self.kind == Kind::Content { blake3::Hash::from_slice(self.bytes).ok() } else { None }
    }

    /// Copy the key.
    pub fn to_key(self) -> Key {
        Key { kind: self.kind, bytes: self.bytes.into() }
    }

    /// The key as one string of bytes: the kind, then the bytes.
    pub(crate) fn encoded(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.bytes.len());
        out.push(self.kind as u8);
        out.extend_from_slice(self.bytes);
        out
    }

    /// Bytes of the [`encoded`](Self::encoded) key.
    pub(crate) fn encoded_len(self) -> u64 {
        1 + self.bytes.len() as u64
    }

    /// Decode a key that was [`encoded`](Self::encoded).
    pub(crate) fn decoded(encoded: &'a [u8]) -> Option<Self> {
        let (kind, bytes) = encoded.split_first()?;
        let (kind, is_sound) = match kind {
            0 => (Kind::Text, str::from_utf8(bytes).is_ok()),
            1 => (Kind::Bytes, true),
            2 => (Kind::Content, bytes.len() == blake3::OUT_LEN),
            _ => return None,
        };
        is_sound.then_some(Self { kind, bytes })
    }
}

impl Key {
    /// Borrow the key, to ask with.
    pub fn borrow(&self) -> KeyRef<'_> {
        KeyRef { kind: self.kind, bytes: &self.bytes }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    /// Whoever chooses keys must not be able to choose their hashes.
    #[test]
    fn tables_hash_by_seeds_of_their_own() {
        let key = KeyRef::bytes(b"key");
        let of_shares: HashSet<u64> =
            (0..8).map(|_| quick_cache::DefaultHashBuilder::default().hash_one(key)).collect();
        let of_tables: HashSet<u64> = (0..8).map(|_| hashbrown::DefaultHashBuilder::default().hash_one(key)).collect();
        assert!(of_shares.len() > 1 && of_tables.len() > 1, "{of_shares:?} {of_tables:?}");
    }
}
