//! The newest value of something. Holders of an older value keep it.

use std::sync::Arc;

use super::sync::RwLock;

pub(crate) struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    pub(crate) fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// Return the newest value.
    pub(crate) fn get(&self) -> Arc<T> {
        self.0.read().clone()
    }

    /// Replace the newest value, and return the old one.
    pub(crate) fn replace(&self, next: T) -> Arc<T> {
        let next = Arc::new(next);
        std::mem::replace(&mut *self.0.write(), next)
    }
}
