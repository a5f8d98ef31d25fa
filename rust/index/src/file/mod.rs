//! The file an index is kept in: checksummed sections, written and read as streams. `docs/reference/format-index.md` describes it.

mod layout;
mod persist;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

// Arrays go to the file and come from it as the bytes that they are in memory.
#[cfg(not(target_endian = "little"))]
compile_error!("tiercel files are little endian, and so must be the machine");
