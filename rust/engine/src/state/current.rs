//! The newest of something. Who holds an older one keeps it.

use std::sync::Arc;

use super::sync::RwLock;

pub(crate) struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    pub(crate) fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// The newest.
    pub(crate) fn get(&self) -> Arc<T> {
        self.0.read().clone()
    }

    /// Put another in the place of the newest, which is returned.
    pub(crate) fn replace(&self, next: T) -> Arc<T> {
        let next = Arc::new(next);
        std::mem::replace(&mut *self.0.write(), next)
    }
}
