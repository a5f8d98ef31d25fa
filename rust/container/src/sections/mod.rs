//! Files of named sections, every byte of which is under a checksum, is one, or is a zero that is looked at.
//!
//! ```text
//! header    0    8  magic of the kind of file
//!           8    4  format version, u32
//!           12   4  number of sections n, u32: at most 64
//!           16   8  length of the file, u64
//!           24   l  label: what the kind of file has in its header besides, of a length that the version tells
//!           24+l 20n  of each section: tag, 4 bytes; offset, u64; length, u64
//!                4    CRC32C of the bytes before, u32, then zeros up to a multiple of 64
//! section      payload, CRC32C of each 64 KiB of it, u32, then zeros up to a multiple of 64
//! ```
//!
//! The header says where the file ends, so that one which was cut is found by its length alone.
//!
//! A tag whose first letter is lower case belongs to an *optional* section: who does not know it passes it over, and whoever copies a
//! file copies it. Any other section that a reader does not know is an error, for the rest may mean something else because of it.

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
