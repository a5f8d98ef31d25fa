//! The nodes that a walk compares next, so that it can prefetch their codes in a steady stream.
//!
//! Memory takes only so many requests at a time: a burst of them stalls the walk, and then nothing
//! is under way while it computes. So a walk prefetches one node for each that it compares, a few
//! places ahead, and runs on into the neighbours of the node that it will most likely expand next:
//!
//! ```text
//!          behind   current          coming                padding
//! nodes  | ...... | c c c c c c c c | l l l l l l l l l l | 0 0 0 0 |
//!                   ^ first             ^ compare one, prefetch the one `AHEAD` places on
//! ```

use super::layers::NONE;

/// Nodes prefetched ahead of the one being compared: enough to cover the latency of memory, few
/// enough to stay in the cache.
pub(crate) const AHEAD: usize = 8;

/// Rows of nodes that fit, before what is behind has to go.
const ROWS: usize = 32;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Stream {
    nodes: Vec<u32>,
    /// Where the current nodes begin.
    first: usize,
    /// Number of current nodes.
    current: usize,
    /// Number of nodes after them: neighbours of the likely next node.
    coming: usize,
}

/// Which nodes a walk has met: those with its stamp.
pub(crate) struct Met<'a> {
    /// The stamp of the walk that last met each node.
    pub(crate) stamps: &'a mut [u8],
    /// The stamp of this walk.
    pub(crate) stamp: u8,
}

impl Stream {
    /// Begin a walk through rows of `stride` nodes.
    pub(crate) fn begin(&mut self, stride: usize) {
        let len = ROWS * stride + AHEAD;
        if self.nodes.len() < len {
            self.nodes.resize(len, 0);
        }
        (self.first, self.current, self.coming) = (0, 0, 0);
    }

    /// Go on to the neighbours of a node: those in its row that were not met yet.
    #[inline(always)]
    pub(crate) fn expand(&mut self, row: &[u32], met: &mut Met<'_>) {
        self.advance(0, row.len());
        self.current = gather(row, met, &mut self.nodes[self.first..], true);
    }

    /// Go on to the neighbours of the node that was likely, which are there already.
    #[inline(always)]
    pub(crate) fn expand_likely(&mut self, stride: usize, met: &mut Met<'_>) {
        let coming = self.coming;
        self.advance(coming, stride);
        let nodes = &mut self.nodes[self.first..][..coming];
        let mut count = 0;
        for at in 0..coming {
            // SAFETY: `count` is at most `at`; a gathered node has a stamp.
            unsafe {
                let node = *nodes.get_unchecked(at);
                let stamp = met.stamps.get_unchecked_mut(node as usize);
                *nodes.get_unchecked_mut(count) = node;
                // A row that holds a node twice must not find it twice.
                count += usize::from(*stamp != met.stamp);
                *stamp = met.stamp;
            }
        }
        self.current = count;
    }

    /// Leave the current nodes behind, and keep the `kept` after them. Make room for two more rows.
    #[inline(always)]
    fn advance(&mut self, kept: usize, stride: usize) {
        self.first += self.current;
        (self.current, self.coming) = (0, 0);
        if self.first + 2 * stride + AHEAD > self.nodes.len() {
            self.nodes.copy_within(self.first..self.first + kept, 0);
            self.first = 0;
        }
    }

    /// Let the neighbours of the likely next node follow.
    #[inline(always)]
    pub(crate) fn follow(&mut self, row: &[u32], met: &mut Met<'_>) {
        self.coming = gather(row, met, &mut self.nodes[self.first + self.current..], false);
    }

    /// The current nodes, followed by [`AHEAD`] to prefetch. Node 0, which every level has, fills
    /// up what is missing.
    #[inline(always)]
    pub(crate) fn nodes(&mut self) -> &[u32] {
        let end = self.first + self.current + self.coming;
        self.nodes[end..end + AHEAD].fill(0);
        &self.nodes[self.first..][..self.current + AHEAD]
    }
}

/// Gather the nodes of a row that were not met at the front of `out`, and mark them if told to.
/// Return their number.
#[inline(always)]
fn gather(row: &[u32], met: &mut Met<'_>, out: &mut [u32], mark: bool) -> usize {
    assert!(row.len() <= out.len(), "room for a row");
    let mut count = 0;
    for &other in row {
        if other == NONE {
            break;
        }
        debug_assert!((other as usize) < met.stamps.len() && count < out.len());
        // SAFETY: a row holds only nodes of its level, each of which has a stamp: `Graph::commit`
        // and `Graph::commit_reach` write no others, and `Graph::is_sound` is checked when a file
        // is read. `out` has room for a row, as checked above.
        unsafe {
            let stamp = met.stamps.get_unchecked_mut(other as usize);
            *out.get_unchecked_mut(count) = other;
            count += usize::from(*stamp != met.stamp);
            if mark {
                *stamp = met.stamp;
            }
        }
    }
    count
}
