//! Changes that wait to be written, the latest of each key.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{Key, KeyRef};

/// Values by key; none for a key that was deleted.
pub(super) type Changes = HashMap<Key, Option<Arc<[u8]>>>;

/// What waits, and what is being written.
#[derive(Default)]
pub(super) struct Pending {
    waiting: Changes,
    bytes: u64,
    writing: Arc<Changes>,
}

/// What is known of a key before the file is asked.
pub(super) enum Waiting {
    Value(Arc<[u8]>),
    Deleted,
    No,
}

/// What a change takes beside its key and its value until it is written.
const CHANGE: u64 = 64;

impl Pending {
    pub(super) fn get(&self, key: KeyRef<'_>) -> Waiting {
        match self.waiting.get(&key).or_else(|| self.writing.get(&key)) {
            Some(Some(value)) => Waiting::Value(Arc::clone(value)),
            Some(None) => Waiting::Deleted,
            None => Waiting::No,
        }
    }

    pub(super) fn set(&mut self, key: Key, value: Option<Arc<[u8]>>) {
        let key_len = key.borrow().bytes.len() as u64;
        let bytes = |value: &Option<Arc<[u8]>>| CHANGE + key_len + value.as_ref().map_or(0, |value| value.len() as u64);
        self.bytes += bytes(&value);
        if let Some(before) = self.waiting.insert(key, value) {
            self.bytes -= bytes(&before);
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Begin to write what waits, and tell its bytes. It is found here until [`end`](Self::end).
    pub(super) fn begin(&mut self) -> (Arc<Changes>, u64) {
        self.writing = Arc::new(std::mem::take(&mut self.waiting));
        (Arc::clone(&self.writing), std::mem::take(&mut self.bytes))
    }

    /// What was being written is in the file.
    pub(super) fn end(&mut self) {
        self.writing = Arc::default();
    }
}
