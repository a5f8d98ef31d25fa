//! How far a log is synced.
//!
//! ```text
//!  0                          512
//!  +--------------------------+--------------------------+
//!  | slot                     | slot                     |      written in turn, each in a sector of its own
//!  +--------------------------+--------------------------+
//!
//!  slot:  0      4         8     16      24        32       40
//!         +------+---------+-----+-------+---------+--------+--------+
//!         | TCLS | version | log | turn  | segment | offset | CRC32C |     little endian
//!         +------+---------+-----+-------+---------+--------+--------+
//! ```
//!
//! It is written after each sync of the log, and then synced itself: anything missing before that
//! place is damage, anything missing after it was lost in a crash.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;

use tiercel_container::{NotRegular, SECTOR, VfsFile, check_seal, seal, u32_at, u64_at};

use super::purpose::Purpose;
use crate::directory::{Directory, kind};

pub(super) const NAME: &str = "synced";
const MAGIC: [u8; 4] = *b"TCLS";
const VERSION: u32 = 1;
const SLOT: usize = 44;

/// The file of synced places, and the latest place.
pub(super) struct Synced {
    file: Box<dyn VfsFile>,
    turn: u64,
    pub(super) log: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Synced {
    /// Read the latest place; `None` if there is no such file, or it cannot be trusted.
    pub(super) fn open(directory: &Directory, purpose: Purpose) -> io::Result<Option<Self>> {
        let file = match purpose.open(&*directory.vfs, &Self::path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut latest: Option<[u64; 4]> = None;
        for slot in 0..2 {
            let mut bytes = [0; SLOT];
            match file.read_at(slot * SECTOR as u64, &mut bytes) {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                _ => {}
            }
            latest = latest.into_iter().chain(decode(&bytes)).max_by_key(|fields| fields[1]);
        }
        Ok(latest.map(|[log, turn, segment, offset]| Self { file, turn, log, segment, offset }))
    }

    /// Whether there is a file that a log wrote, even a damaged one.
    pub(super) fn is_ours(directory: &Directory) -> io::Result<bool> {
        match directory.vfs.open_to_read(&Self::path(directory)) {
            Err(error) if NotRegular::is(&error) || error.kind() == io::ErrorKind::NotFound => Ok(false),
            opened => has_magic(&*opened?),
        }
    }

    pub(super) fn path(directory: &Directory) -> PathBuf {
        directory.at(NAME)
    }

    /// Make a file that says that nothing of a new log is synced, or overwrite an earlier one, and
    /// sync it. Any other file of this name is set aside.
    pub(super) fn create(directory: &Directory) -> io::Result<Self> {
        let (vfs, path) = (&*directory.vfs, Self::path(directory));
        let file = match vfs.open(&path) {
            Ok(file) if file.len()? == 0 || has_magic(&*file)? => file,
            Ok(_) => {
                let aside = path.with_extension("damaged");
                if kind(vfs, &aside)?.is_some() {
                    let expected =
                        format!("{NAME}: expected a file of a log, got another one; move it and {NAME}.damaged away");
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, expected));
                }
                vfs.rename(&path, &aside)?;
                vfs.create(&path, Some(&aside))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => vfs.create(&path, None)?,
            Err(error) => return Err(error),
        };
        let log = RandomState::new().hash_one(std::process::id());
        let mut synced = Self { file, turn: 0, log, segment: 0, offset: 0 };
        // Both slots are overwritten, and never cut off: whatever a crash leaves of this, the file
        // shows that the directory is a log's.
        let mut slots = [0; SECTOR + SLOT];
        for turn in 0..2 {
            synced.turn = turn;
            slots[turn as usize * SECTOR..][..SLOT].copy_from_slice(&synced.encode());
        }
        synced.file.write_at(0, &slots)?;
        if synced.file.len()? > slots.len() as u64 {
            synced.file.set_len(slots.len() as u64)?;
        }
        synced.file.sync()?;
        Ok(synced)
    }

    /// Check that the file still has its name.
    pub(super) fn check_in_place(&self, directory: &Directory) -> io::Result<()> {
        self.file.check_at(&Self::path(directory))
    }

    /// Note that everything up to an offset of a segment is synced.
    pub(super) fn write(&mut self, segment: u64, offset: u64) -> io::Result<()> {
        // A damaged file may claim any turn: after the next crash the slot of an earlier one is
        // then read, and less counts as synced.
        (self.turn, self.segment, self.offset) = (self.turn.wrapping_add(1), segment, offset);
        self.file.write_at(self.turn % 2 * SECTOR as u64, &self.encode())?;
        self.file.sync()
    }

    fn encode(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&VERSION.to_le_bytes());
        for (place, field) in out[8..40].chunks_exact_mut(8).zip([self.log, self.turn, self.segment, self.offset]) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        seal(0, &mut out);
        out
    }
}

/// Whether one of the two slots begins with the magic.
fn has_magic(file: &dyn VfsFile) -> io::Result<bool> {
    for slot in 0..2 {
        let mut found = [0; MAGIC.len()];
        match file.read_at(slot * SECTOR as u64, &mut found) {
            Ok(()) if found == MAGIC => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Decode log, turn, segment and offset.
fn decode(bytes: &[u8; SLOT]) -> Option<[u64; 4]> {
    let whole = bytes[..4] == MAGIC && u32_at(bytes, 4) == VERSION && check_seal(0, bytes).is_ok();
    whole.then(|| [8, 16, 24, 32].map(|at| u64_at(bytes, at)))
}
