//! The data of each vector, by slot: the row, its code, its id, whether it is alive.

pub(crate) mod any_space;
pub(crate) mod bitset;
pub(crate) mod candidate;
pub(crate) mod check;
pub(crate) mod coarse;
mod coded;
pub(crate) mod codes;
pub(crate) mod efforts;
mod filed;
pub(crate) mod ids;
pub(crate) mod on_disk;
pub(crate) mod ranks;
pub(crate) mod rows;
pub(crate) mod space;
pub(crate) mod staying;
