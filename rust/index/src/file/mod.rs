//! The file of an index: checksummed [sections](tiercel_container::SectionReader), written and read
//! as streams. `docs/reference/format-index.md` describes it.

mod efforts;
pub(crate) mod keep;
mod meta;
mod norms;
mod partitions;
mod persist;

use tiercel_container::{Damage, SectionError};

use crate::errors::{Corruption, LoadError};

// Arrays have the same bytes in the file as in memory.
#[cfg(not(target_endian = "little"))]
compile_error!("tiercel files are little-endian, so the machine must be too");

impl From<SectionError> for LoadError {
    fn from(error: SectionError) -> Self {
        match error {
            SectionError::Damaged(Damage { what, offset }) => Self::Corrupt(Corruption { what, offset }),
            SectionError::Io(error) => Self::Io(error),
        }
    }
}
