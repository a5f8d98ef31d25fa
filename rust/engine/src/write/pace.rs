//! Waiting for the graph after a write.

use std::time::Duration;

use crate::collection::{Access, Collection};

impl Collection {
    /// Return how long a caller who has just put in this many vectors should wait for the graph.
    pub fn pause(&self, new: usize) -> Duration {
        let Access::Write(writer, _) = &self.access else { return Duration::ZERO };
        writer.snapshot().vectors.as_ref().map_or(Duration::ZERO, |vectors| writer.pace.pause(new, vectors))
    }

    /// Wait until the background has caught up, at most this long. Return whether it still has not.
    pub fn wait_for_graph(&self, at_most: Duration) -> bool {
        let Access::Write(writer, _) = &self.access else { return false };
        writer.pace.wait(at_most, || writer.snapshot().vectors.clone())
    }
}
