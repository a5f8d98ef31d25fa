//! Files of named sections. Every byte is under a checksum, part of one, or a zero that is checked.
//!
//! ```text
//! header    0    8  magic of the kind of file
//!           8    4  format version, u32
//!           12   4  number of sections n, u32: at most 64
//!           16   8  length of the file, u64
//!           24   l  label: further fields of this kind of file; the version determines its length
//!           24+l 20n  per section: tag, 4 bytes; offset, u64; length, u64
//!                4    CRC32C of the bytes before, u32, then zeros up to a multiple of 64
//! section      payload, CRC32C of each 64 KiB of it, u32, then zeros up to a multiple of 64
//! ```
//!
//! The header stores the length of the file, so a cut is found by the length alone.
//!
//! A tag whose first letter is lower case belongs to an *optional* section: readers that do not
//! know it skip it, and copies of a file keep it. Any other unknown section is an error, because
//! the rest may mean something else with it.

mod errors;
mod file;
mod header;
mod layout;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use errors::{Damage, SectionError};
pub use file::{PayloadReader, SectionFile};
pub use layout::{Kind, Tag, file_len, is_optional};
pub use reader::SectionReader;
pub use writer::SectionWriter;
