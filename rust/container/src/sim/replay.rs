//! States that a disk may have after a power cut at any point of a recording.

use std::path::Path;

use super::tree::{Event, Op, Tree};
use super::vfs::SimVfs;
use crate::sector::SECTOR;

/// Steps through a recording event by event.
#[derive(Debug)]
pub struct Replay {
    events: std::vec::IntoIter<Event>,
    /// The state that is on the disk for certain.
    durable: Tree,
    /// Operations that may be on the disk or not, in order.
    pending: Vec<Op>,
    mark: u64,
}

impl SimVfs {
    /// Replay the recording from its start.
    pub fn replay(&self) -> Replay {
        let (durable, events) = self.recorded();
        Replay { events: events.into_iter(), durable, pending: Vec::new(), mark: 0 }
    }
}

impl Replay {
    /// Move past the next event; return false at the end.
    pub fn step(&mut self) -> bool {
        match self.events.next() {
            None => return false,
            Some(Event::Op(op)) => self.pending.push(op),
            Some(Event::Sync(inode)) => self.settle(|op| match op {
                Op::Write { file, .. } | Op::SetLen { file, .. } => *file == inode,
                _ => false,
            }),
            Some(Event::Lose(inode)) => {
                self.pending.retain(|op| !matches!(op, Op::Write { file, .. } if *file == inode));
            }
            Some(Event::SyncDir(dir)) => self.settle(|op| match op {
                Op::Names(changes) => changes.iter().any(|(path, _)| path.parent() == Some(Path::new(&dir))),
                Op::MakeDir(path) | Op::RemoveDir(path) => path.parent() == Some(Path::new(&dir)),
                _ => false,
            }),
            Some(Event::SyncAll) => self.settle(|_| true),
            Some(Event::Mark(mark)) => self.mark = mark,
        }
        true
    }

    /// The last mark.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Return a state that the disk may have if the power fails here. The seed chooses it.
    ///
    /// It has none of the unsynced operations, all of them, the first few, or any subset. In the
    /// last two cases writes may be torn: the one after the first few, and any one of the subset. A
    /// torn write keeps any of its sectors.
    pub fn image(&self, seed: u64) -> SimVfs {
        let mut random = Random(seed);
        let mut tree = self.durable.clone();
        let count = self.pending.len() as u64;
        match random.below(8) {
            0 => {}
            1 => tree.apply_all(&self.pending),
            2..5 => {
                let kept = random.below(count + 1) as usize;
                tree.apply_all(&self.pending[..kept]);
                if let Some(op) = self.pending.get(kept) {
                    apply_torn(&mut tree, op, &mut random);
                }
            }
            _ => {
                for op in &self.pending {
                    match random.below(3) {
                        0 => {}
                        1 => tree.apply(op),
                        _ => apply_torn(&mut tree, op, &mut random),
                    }
                }
            }
        }
        tree.drop_unreachable();
        SimVfs::with(tree)
    }

    /// Put operations on the disk for certain.
    fn settle(&mut self, which: impl Fn(&Op) -> bool) {
        let (settled, pending) = std::mem::take(&mut self.pending).into_iter().partition(which);
        self.pending = pending;
        let settled: Vec<Op> = settled;
        self.durable.apply_all(&settled);
    }
}

/// Apply any of the sectors of a write; any other operation is done whole.
fn apply_torn(tree: &mut Tree, op: &Op, random: &mut Random) {
    let Op::Write { file, offset, bytes } = op else { return tree.apply(op) };
    let mut at = 0;
    while at < bytes.len() {
        let start = offset + at as u64;
        let end = (SECTOR - start as usize % SECTOR + at).min(bytes.len());
        if random.below(2) == 0 {
            tree.files.entry(*file).or_default().write(start, &bytes[at..end]);
        }
        at = end;
    }
}

/// Splitmix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
