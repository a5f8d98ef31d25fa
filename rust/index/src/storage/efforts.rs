//! What walks need to reach a recall.

use crate::storage::ranks::TARGETS;

/// What walks need to reach each of [`TARGETS`] in an index, in percent of the usual
/// candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Efforts(pub(crate) [u32; TARGETS.len()]);

impl Efforts {
    /// What a survey tries.
    pub(crate) const TRIED: [u32; 7] = [100, 150, 200, 300, 400, 600, 800];

    /// No walk that was tried found enough, but a scan of the codes did far better.
    pub(crate) const NEVER: u32 = u32::MAX;

    /// What is assumed before a survey.
    pub(crate) const USUAL: Self = Self([Self::TRIED[0]; TARGETS.len()]);

    /// What a walk keeps for a target, in percent.
    pub(crate) fn percent(&self, target: usize) -> usize {
        self.0[target].min(MOST) as usize
    }

    /// Whether walks find enough for a target, or as much as a scan of the codes would.
    pub(crate) fn suffice(&self, target: usize) -> bool {
        self.0[target] != Self::NEVER
    }

    /// The first target for which no walk that was tried finds enough.
    pub(crate) fn first_missed(&self) -> Option<usize> {
        self.0.iter().position(|percent| *percent == Self::NEVER)
    }

    /// Walk for all targets, though none that was tried finds enough for some.
    pub(crate) fn walk_anyway(self) -> Self {
        Self(self.0.map(|percent| percent.min(MOST)))
    }

    /// Find the least effort for each target, none less than the one before. `attempt` walks with an
    /// effort for a target.
    pub(crate) fn search<E>(mut attempt: impl FnMut(&Self, usize) -> Result<Attempt, E>) -> Result<Self, E> {
        let (mut found, mut tried) = (Self::USUAL, Self::TRIED.into_iter().peekable());
        for target in 0..TARGETS.len() {
            found.0[target] = loop {
                let Some(percent) = tried.peek() else { break Self::NEVER };
                found.0[target..].fill(*percent);
                match attempt(&found, target)? {
                    Attempt::Enough => break *percent,
                    Attempt::TooFew => tried.next(),
                    Attempt::TooCostly => return Ok(found),
                };
            };
        }
        Ok(found)
    }
}

/// The greatest effort.
const MOST: u32 = Efforts::TRIED[Efforts::TRIED.len() - 1];

/// What walks with an effort did.
#[derive(Clone, Copy)]
pub(crate) enum Attempt {
    Enough,
    TooFew,
    /// A scan of all codes takes less time, and so would it for any greater effort. More vectors may
    /// change that before the next survey.
    TooCostly,
}
