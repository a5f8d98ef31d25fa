//! The norms of vectors that are not in the file.
//!
//! ```text
//! norm       smallest norm, largest norm: f64 each | 1 / norm of each slot, f32, under cosine
//! ```

use std::io::{self, Read, Write};

use tiercel_container::{SectionReader, Tag};

use super::meta::wrong;
use crate::errors::LoadError;
use crate::options::{Metric, Options};
use crate::storage::check::has_direction;
use crate::storage::rows::Rows;

/// Only files without full vectors have it, and not under l2.
pub(super) const NORMS: Tag = *b"norm";

/// Return the length of the section, 0 if there is none.
pub(super) fn norms_len(rows: &Rows) -> usize {
    if !rows.are_coded() || rows.metric() == Metric::L2 {
        return 0;
    }
    2 * size_of::<f64>() + size_of::<f32>() * rows.inverse_norms().len()
}

pub(super) fn write_norms(rows: &Rows, out: &mut dyn Write) -> io::Result<()> {
    let (least, most) = rows.norms();
    out.write_all(&least.to_le_bytes())?;
    out.write_all(&most.to_le_bytes())?;
    rows.inverse_norms().runs().try_for_each(|run| out.write_all(bytemuck::cast_slice(run)))
}

/// Read the norms of forgotten vectors, of which there are `slots`, into rows that have none.
pub(super) fn read_norms(
    reader: &mut SectionReader<impl Read>,
    options: &Options,
    slots: u64,
    rows: &mut Rows,
) -> Result<(), LoadError> {
    if options.metric == Metric::L2 {
        return Ok(());
    }
    let count = if options.metric == Metric::Cosine { slots } else { 0 };
    let bytes: Vec<u8> = reader.read_vec(NORMS, 16 + 4 * count)?;
    let (ends, inverse) = bytes.split_at(16);
    let ends: Vec<f64> = ends.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let inverse: Vec<f32> = inverse.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let is_norm = |norm: f64| norm.is_finite() && norm >= 0.0 && (options.metric == Metric::Dot || has_direction(norm));
    // There may have been none.
    let are_norms = (ends[0] <= ends[1] && is_norm(ends[0]) && is_norm(ends[1])) || (slots == 0 && ends[1] == 0.0);
    if !are_norms || inverse.iter().any(|inverse| !(inverse.is_finite() && *inverse > 0.0)) {
        return wrong(NORMS, "norm");
    }
    rows.set_norms((ends[0], ends[1]), &inverse);
    Ok(())
}
