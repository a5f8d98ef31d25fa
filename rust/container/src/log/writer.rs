//! Appending to the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::files::Files;
use crate::identity::Identity;
use crate::log::file::{self as log_file, FIRST, LogFile, LogFiles, LogHeader};
use crate::log::new_group::SealedGroup;
use crate::log::rewrite::write_again;
use crate::place::gone;
use crate::room::NoRoom;
use crate::sector::write_sector;
use crate::vfs::Vfs;

/// Size in bytes at which a log file ends and the next one begins.
const FULL: u64 = 32 << 20;

/// Why an append failed.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The file system accepts no more data. Nothing was changed.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A write or a sync failed. From then on the content of the disk is unknown.
    #[error(transparent)]
    Failed(io::Error),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        NoRoom::of(&error).map_or_else(|| Self::Failed(error), Self::NoRoom)
    }
}

/// Appends to the log.
#[derive(Debug)]
pub struct LogWriter {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    /// The file whose permissions new files get, see [`Files::witness`].
    witness: &'static str,
    /// The files; the last one is appended to.
    parts: Vec<Part>,
    /// The header of the last file.
    header: LogHeader,
    /// The chain up to the last group.
    chain: u32,
    /// The files as readers get them.
    shared: LogFiles,
    /// Whether the last file may end with the remains of a write that found no room.
    torn: bool,
}

/// A file of the log.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: Arc<LogFile>,
    /// All rows with a vector in it are below this.
    pub rows: u32,
    /// Where its groups end.
    pub end: u64,
}

impl LogWriter {
    /// Continue the log in `dir`, which has a file `witness`, after the groups that were read.
    /// `parts` holds at least one file, `header` is that of the last one, and `chain` reaches to
    /// the last group.
    pub fn new(
        vfs: Arc<dyn Vfs>,
        (dir, witness): (PathBuf, &'static str),
        parts: Vec<Part>,
        header: LogHeader,
        chain: u32,
    ) -> Self {
        let shared = share(&parts);
        Self { vfs, dir, witness, parts, header, chain, shared, torn: false }
    }

    fn part(&self) -> &Part {
        &self.parts[self.parts.len() - 1]
    }

    /// The files of the log.
    pub fn files(&self) -> LogFiles {
        Arc::clone(&self.shared)
    }

    /// The file that is appended to, and where its groups end.
    pub fn last(&self) -> (Arc<LogFile>, u64) {
        (Arc::clone(&self.part().file), self.part().end)
    }

    /// Whether some groups are not synced.
    pub fn is_ahead(&self) -> bool {
        self.header.synced < self.part().end
    }

    /// Whether the file that is appended to should be ended.
    pub fn is_full(&self) -> bool {
        self.part().end >= FULL
    }

    /// The number of the file that is appended to, if it has no groups yet.
    pub fn unused(&self) -> Option<u64> {
        let part = self.part();
        (part.end == FIRST).then_some(part.file.number)
    }

    /// Append a group with vectors of rows below `rows`, and sync it if `durable`. Without room
    /// nothing changes; after any other failure the state of the file is unknown.
    pub fn append(&mut self, group: &SealedGroup<'_>, rows: u32, durable: bool) -> Result<(), AppendError> {
        self.cut_off()?;
        let (file, end) = self.last();
        // A failed sync cannot harm groups that were synced before. Others may be lost.
        let alone = durable && !self.is_ahead();
        let mut to = end;
        let write = |part: &[u8]| {
            file.file.write_at(to, part)?;
            to += part.len() as u64;
            Ok(())
        };
        let written = group.parts().try_for_each(write).and_then(|()| if alone { file.sync() } else { Ok(()) });
        if let Err(error) = written {
            let why = NoRoom::of(&error).ok_or(AppendError::Failed(error))?;
            self.torn = true;
            // If there is no room for this either, the next append tries again.
            return Err(self.cut_off().err().unwrap_or(AppendError::NoRoom(why)));
        }
        if let Some(part) = self.parts.last_mut() {
            part.end = to;
            part.rows = part.rows.max(rows);
        }
        self.chain = log_file::chain(self.chain, group.fixed());
        let synced = match (durable, alone) {
            (true, true) => self.mark(&file, to),
            (true, false) => self.sync(),
            (false, _) => Ok(()),
        };
        synced.map_err(AppendError::Failed)
    }

    /// Cut off what a write without room left. It may be a whole group, which a power cut must not
    /// bring back.
    fn cut_off(&mut self) -> Result<(), AppendError> {
        if self.torn {
            let (file, end) = self.last();
            file.file.set_len(end)?;
            // As in `append`: a failed sync may have lost groups that were not synced before.
            if self.is_ahead() {
                file.sync().map_err(AppendError::Failed)?;
            } else {
                file.sync_after_cut()?;
            }
            self.torn = false;
        }
        Ok(())
    }

    /// Check that the file that is appended to still has its name: otherwise nobody will find what
    /// is appended.
    pub fn check_in_place(&self) -> io::Result<()> {
        let LogFile { file, number, .. } = &*self.part().file;
        let path = self.dir.join(log_file::file_name(*number));
        file.check_at(&path)
    }

    /// Check that a file `name` exists beside the log. If `known` recognizes it, it is not opened.
    pub fn check_beside(&self, name: &str, known: impl FnOnce(&Path) -> io::Result<bool>) -> io::Result<()> {
        let path = self.dir.join(name);
        if known(&path)? {
            return Ok(());
        }
        match self.vfs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(gone(&path)),
            _ => Ok(()),
        }
    }

    /// Begin to write: cut off what is after the last group, for good, and sync the rest.
    pub fn begin(&mut self, identity: Identity) -> io::Result<()> {
        let (file, end) = self.last();
        if self.is_ahead() {
            write_again(&*file.file, self.header.synced.max(FIRST)..end)?;
        }
        if file.file.len()? > end {
            file.file.set_len(end)?;
            file.sync()?;
            self.mark(&file, end)?;
        }
        if self.header.making || self.header.identity.is_none() {
            self.header = LogHeader { making: false, identity, ..self.header };
            self.write_header()?;
            // A collection with records must never look like one that is being made.
            file.sync()?;
        }
        self.sync()
    }

    /// Note how often the record database was written, so that an older copy of it is noticed.
    pub fn note_writes(&mut self, writes: u64) -> io::Result<()> {
        self.header.writes = writes;
        self.write_header()
    }

    /// Sync all groups.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.is_ahead() {
            let (file, end) = self.last();
            file.sync()?;
            self.mark(&file, end)?;
        }
        Ok(())
    }

    /// Note that a file has been synced up to `end`.
    pub fn mark(&mut self, file: &LogFile, end: u64) -> io::Result<()> {
        if file.number == self.header.number && end > self.header.synced {
            self.header.synced = end;
            self.write_header()?;
        }
        Ok(())
    }

    fn write_header(&self) -> io::Result<()> {
        match write_sector(self.part().file.file.as_ref(), &self.header.encode()) {
            // The mark helps to tell damage from a crash; without it nothing is lost.
            Err(error) if NoRoom::of(&error).is_some() => Ok(()),
            result => result,
        }
    }

    /// End the file and begin the next one after batch `sequence`, unless it has no groups or
    /// there is no room.
    pub fn rotate(&mut self, sequence: u64) -> Result<(), AppendError> {
        self.cut_off()?;
        if self.part().end == FIRST {
            return Ok(());
        }
        self.end_file(sequence).map_err(AppendError::Failed)
    }

    fn end_file(&mut self, sequence: u64) -> io::Result<()> {
        self.sync()?;
        let header = self.header.next(sequence, self.chain);
        let files = Files::new(&*self.vfs, &self.dir, header.identity, self.witness);
        files.check_free(&log_file::file_name(header.number), || false)?;
        let file = match create(files, header) {
            Err(error) if NoRoom::of(&error).is_some() && !self.has(header.number)? => return Ok(()),
            file => file?,
        };
        self.header.ended = true;
        self.write_header()?;
        // Otherwise a power cut could take the next file, and its loss would go unnoticed.
        self.part().file.sync()?;
        self.parts.push(Part { file: Arc::new(file), rows: 0, end: FIRST });
        self.header = header;
        self.shared = share(&self.parts);
        Ok(())
    }

    /// Whether there is a file of this number.
    fn has(&self, number: u64) -> io::Result<bool> {
        Ok(self.vfs.list(&self.dir)?.contains(&log_file::file_name(number)))
    }

    /// Return the number of the first file that is still needed when the batches up to `sequence`
    /// are in the record database and the vectors of rows below `covered` are in segments.
    pub fn first_needed(&self, sequence: u64, covered: u32) -> u64 {
        let passed =
            self.parts.windows(2).take_while(|pair| pair[1].file.before <= sequence && pair[0].rows <= covered);
        self.parts[passed.count()].file.number
    }

    /// Remove the files before `number`, which nothing refers to any more.
    pub fn remove_before(&mut self, number: u64) {
        for part in self.parts.extract_if(.., |part| part.file.number < number) {
            // If this fails, the next opening removes the file.
            let _ = self.vfs.remove(&self.dir.join(log_file::file_name(part.file.number)));
        }
        self.shared = share(&self.parts);
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.end).sum()
    }
}

/// Make a log file without groups.
pub fn create(files: Files<'_>, header: LogHeader) -> io::Result<LogFile> {
    let name = log_file::file_name(header.number);
    files.write(&name, |file| file.write_at(0, &header.encode()))?;
    let LogHeader { number, before, chain, .. } = header;
    Ok(LogFile::new(files.vfs.open(&files.dir.join(name))?, number, before, chain))
}

fn share(parts: &[Part]) -> LogFiles {
    parts.iter().map(|part| Arc::clone(&part.file)).collect()
}
