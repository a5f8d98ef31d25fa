//! The work after an addition: fit a codec, link vectors or divide them into lists, survey what that
//! finds.

pub(crate) mod budget;
pub(crate) mod link;
mod partition;
mod survey;
mod train;
