//! The sections of a file that hold the lists of slots and their centroids.

use std::io::{self, Read, Write};

use tiercel_container::{SectionReader, SectionWriter, Tag};

use super::meta::wrong;
use crate::errors::LoadError;
use crate::options::{Kind, Options};
use crate::partitions::Partitions;
use crate::partitions::centroids::Centroids;
use crate::partitions::reach::Reach;
use crate::storage::ranks::TARGETS;

/// Counts, and how many lists hold true neighbours. Only files of indexes with lists have this
/// section and the next two.
pub(super) const PROBE: Tag = *b"prob";
pub(super) const CENTROIDS: Tag = *b"cntr";
/// The list of each slot that is in one.
pub(super) const LISTS: Tag = *b"list";

/// Values of [`PROBE`]: the numbers of lists, of slots in them, of slots when centroids were fitted
/// and at the last survey, of living ones then, of lists added since; for each target the lists for few and for many
/// neighbours.
const PROBE_LEN: usize = COUNTS + 2 * TARGETS.len();
const COUNTS: usize = 6;

/// Return the lengths of the three sections in bytes.
pub(super) fn lengths(partitions: Option<&Partitions>) -> [usize; 3] {
    partitions.map_or([0; 3], |partitions| {
        let values = [PROBE_LEN, partitions.centroids().values().len(), partitions.assigned()];
        values.map(|values| size_of::<u32>() * values)
    })
}

pub(super) fn write<W: Write>(partitions: &Partitions, writer: &mut SectionWriter<W>) -> io::Result<()> {
    let Reach { few, many, among, added } = partitions.reach;
    // Empty lists may have been dropped since.
    let lists = partitions.len() as u32;
    let within = |ranks: [u32; TARGETS.len()]| ranks.map(|rank| if rank == u32::MAX { rank } else { rank.min(lists) });
    let (few, many) = (within(few), within(many));
    let counts = [partitions.len(), partitions.assigned(), partitions.fitted, partitions.surveyed];
    let counts = counts.map(|count| count as u32);
    writer.section(PROBE, |out| {
        [&counts[..], &[among, added.min(lists)], &few, &many]
            .into_iter()
            .try_for_each(|values| out.write_all(bytemuck::cast_slice(values)))
    })?;
    writer.section(CENTROIDS, |out| out.write_all(bytemuck::cast_slice(partitions.centroids().values())))?;
    writer.section(LISTS, |out| out.write_all(bytemuck::cast_slice(&partitions.list_of_each())))
}

/// Read the lists of `slots` slots, if the file has any.
pub(super) fn read(
    reader: &mut SectionReader<impl Read>,
    options: &Options,
    slots: usize,
) -> Result<Option<Partitions>, LoadError> {
    let found = [PROBE, CENTROIDS, LISTS].map(|tag| reader.has(tag));
    if found == [false; 3] {
        return Ok(None);
    }
    if found != [true; 3] || options.kind != Kind::Partitions {
        return wrong(PROBE, "lists, or sections of lists without the others");
    }
    let values: Vec<u32> = reader.read_vec(PROBE, PROBE_LEN as u64)?;
    let counts: [usize; COUNTS] = std::array::from_fn(|at| values[at] as usize);
    let [lists, assigned, fitted, surveyed, among, added] = counts;
    if lists == 0 || assigned > slots || fitted.max(surveyed).max(among) > assigned || added > lists {
        return wrong(PROBE, format!("counts {counts:?} of {slots} slots"));
    }
    let of_lists = |rank: &u32| *rank == u32::MAX || (1..=lists as u32).contains(rank);
    let ranks = &values[COUNTS..];
    if !ranks.iter().all(of_lists) {
        return wrong(PROBE, format!("ranks {ranks:?} of {lists} lists"));
    }
    let reach = Reach {
        few: std::array::from_fn(|target| ranks[target]),
        many: std::array::from_fn(|target| ranks[TARGETS.len() + target]),
        among: values[4],
        added: values[5],
    };
    let Some(count) = (lists as u64).checked_mul(options.dim as u64) else { return wrong(PROBE, "number of lists") };
    let centroids: Vec<f32> = reader.read_vec(CENTROIDS, count)?;
    if let Some(at) = centroids.iter().position(|value| !value.is_finite()) {
        return wrong(CENTROIDS, format!("value {} of centroid {}", centroids[at], at / options.dim));
    }
    let list_of: Vec<u32> = reader.read_vec(LISTS, assigned as u64)?;
    let centroids = Centroids::new(centroids, options.dim, options.metric);
    let partitions = Partitions::of(centroids, &list_of, fitted, surveyed, reach);
    partitions.map_or_else(|| wrong(LISTS, "list without a centroid"), |partitions| Ok(Some(partitions)))
}
