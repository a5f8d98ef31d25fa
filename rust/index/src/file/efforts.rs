//! The section of a file with what walks need to reach each target recall.

use std::io::{self, Read, Write};

use tiercel_container::{SectionReader, Tag};

use super::meta::wrong;
use crate::errors::LoadError;
use crate::storage::efforts::Efforts;
use crate::storage::ranks::TARGETS;

/// A percentage for each target. Early versions did not write it, and skip it.
pub(super) const EFFORTS: Tag = *b"walk";

/// Return the length of the section: 0 if walks need no more than usual.
pub(super) fn length(efforts: &Efforts) -> usize {
    if *efforts == Efforts::USUAL { 0 } else { 4 * TARGETS.len() }
}

/// Write the section.
pub(super) fn write(efforts: &Efforts, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(bytemuck::cast_slice(&efforts.0))
}

/// Read the section, if the file has it.
pub(super) fn read(reader: &mut SectionReader<impl Read>) -> Result<Efforts, LoadError> {
    if !reader.has(EFFORTS) {
        return Ok(Efforts::USUAL);
    }
    let values: Vec<u32> = reader.read_vec(EFFORTS, TARGETS.len() as u64)?;
    let is_known = |percent: &u32| *percent == Efforts::NEVER || Efforts::TRIED.contains(percent);
    if !values.is_sorted() || !values.iter().all(is_known) {
        return wrong(EFFORTS, format!("percentages {values:?}"));
    }
    Ok(Efforts(std::array::from_fn(|target| values[target])))
}
