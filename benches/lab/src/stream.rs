//! The nodes that a walk compares next: the neighbours of the current node, then those of the likely
//! next one, so that a walk can prefetch one node for each that it compares.

use crate::flat::{Flat, NONE};
use crate::hop::{Met, gather, prefetch_row};
use crate::pool::{Pool, node_of};

/// Nodes that follow the current ones: at least as many as any walk looks ahead.
pub const PADDING: usize = 32;

/// Rows that fit before what is behind has to go.
const ROWS: usize = 32;

#[derive(Default)]
pub struct Stream {
    nodes: Vec<u32>,
    first: usize,
    current: usize,
    coming: usize,
    likely: u32,
}

impl Stream {
    pub fn begin(&mut self, degree: usize) {
        self.nodes.resize(ROWS * degree + PADDING, 0);
        (self.first, self.current, self.coming, self.likely) = (0, 0, 0, NONE);
    }

    /// Go on to the neighbours of `next`, if any, and let those of the likely next node follow.
    /// Return whether the likely one came.
    #[inline(always)]
    pub fn expand(&mut self, flat: &Flat, next: Option<u32>, pool: &Pool, met: &mut Met<'_>) -> bool {
        let was_likely = next == Some(self.likely);
        let kept = if was_likely { self.coming } else { 0 };
        self.first += self.current;
        if self.first + 2 * flat.degree + PADDING > self.nodes.len() {
            self.nodes.copy_within(self.first..self.first + kept, 0);
            self.first = 0;
        }
        (self.current, self.coming) = (0, 0);
        if was_likely {
            self.current = kept;
            for node in &self.nodes[self.first..][..kept] {
                met.stamps[*node as usize] = met.stamp;
            }
        } else if let Some(next) = next {
            self.current = gather(flat.row(next), met, &mut self.nodes[self.first..], true);
        }
        let mut coming = pool.unexpanded().map(node_of);
        self.likely = NONE;
        if let Some(after) = coming.next() {
            self.likely = after;
            self.coming = gather(flat.row(after), met, &mut self.nodes[self.first + self.current..], false);
        }
        if let Some(after) = coming.next() {
            prefetch_row(flat, after);
        }
        was_likely
    }

    /// The current nodes and [`PADDING`] more to prefetch; the number of current ones.
    #[inline(always)]
    pub fn nodes(&mut self) -> (&[u32], usize) {
        let end = self.first + self.current + self.coming;
        self.nodes[end..end + PADDING].fill(0);
        (&self.nodes[self.first..][..self.current + PADDING], self.current)
    }
}
