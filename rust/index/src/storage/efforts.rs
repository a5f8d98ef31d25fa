//! What walks need to reach a recall.

use crate::storage::ranks::TARGETS;

/// What walks need to reach each of [`TARGETS`] in an index, in percent of the usual
/// candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Efforts(pub(crate) [u32; TARGETS.len()]);

impl Efforts {
    /// What a survey tries.
    pub(crate) const TRIED: [u32; 7] = [100, 150, 200, 300, 400, 600, 800];

    /// No walk that was tried reached the target.
    pub(crate) const NEVER: u32 = u32::MAX;

    /// What is assumed before a survey.
    pub(crate) const USUAL: Self = Self([Self::TRIED[0]; TARGETS.len()]);

    /// What is kept for a target, in percent.
    pub(crate) fn percent(&self, target: usize) -> usize {
        self.0[target].min(Self::TRIED[Self::TRIED.len() - 1]) as usize
    }

    /// Whether walks reach a target.
    pub(crate) fn reach(&self, target: usize) -> bool {
        self.0[target] != Self::NEVER
    }

    /// Find the least effort for each target: at least that of the one before. `reaches` walks with
    /// an effort for a target.
    pub(crate) fn search<E>(mut reaches: impl FnMut(&Self, usize) -> Result<bool, E>) -> Result<Self, E> {
        let (mut found, mut tried) = (Self::USUAL, Self::TRIED.into_iter().peekable());
        for target in 0..TARGETS.len() {
            found.0[target] = loop {
                let Some(percent) = tried.peek() else { break Self::NEVER };
                found.0[target] = *percent;
                if reaches(&found, target)? {
                    break *percent;
                }
                tried.next();
            };
        }
        Ok(found)
    }
}
