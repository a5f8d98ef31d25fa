//! The section of a file with what walks need to reach each target recall.

use std::io::{self, Read, Write};

use tiercel_container::{SectionReader, Tag};

use super::meta::wrong;
use crate::errors::LoadError;
use crate::state::State;
use crate::storage::efforts::Efforts;
use crate::storage::ranks::TARGETS;

/// A percentage for each target. Only files with a graph have it. Early versions did not write it, and
/// skip it.
pub(super) const EFFORTS: Tag = *b"walk";

/// Return the length of the section, 0 if there is none.
pub(super) fn length(state: &State) -> usize {
    if state.graph.len() == 0 { 0 } else { 4 * TARGETS.len() }
}

/// Write the section.
pub(super) fn write(efforts: &Efforts, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(bytemuck::cast_slice(&efforts.0))
}

/// Read the section into a state with its graph. Without it, the next `optimize` surveys.
pub(super) fn read(reader: &mut SectionReader<impl Read>, state: &mut State) -> Result<(), LoadError> {
    if !reader.has(EFFORTS) {
        state.surveyed = state.surveyed.min(state.graph.len().saturating_sub(1));
        return Ok(());
    }
    if state.graph.len() == 0 {
        return wrong(EFFORTS, "efforts without a graph");
    }
    let values: Vec<u32> = reader.read_vec(EFFORTS, TARGETS.len() as u64)?;
    let is_known = |percent: &u32| *percent == Efforts::NEVER || Efforts::TRIED.contains(percent);
    if !values.is_sorted() || !values.iter().all(is_known) {
        return wrong(EFFORTS, format!("percentages {values:?}"));
    }
    state.efforts = Efforts(std::array::from_fn(|target| values[target]));
    Ok(())
}
