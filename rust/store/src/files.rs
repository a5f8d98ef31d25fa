//! New files in the directory of a collection: written beside their place, synced, and put there by a rename.

use std::io;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::names::RECORDS_FILE;
use crate::vfs::{Vfs, VfsFile};

/// Ending of a file that is being written.
const TEMPORARY: &str = ".tmp";

/// The directory of a collection, to make files in.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) vfs: &'a dyn Vfs,
    pub(crate) dir: &'a Path,
    pub(crate) identity: Identity,
    /// The directory whose record database has the permissions that new files get.
    pub(crate) like: &'a Path,
}

impl<'a> Files<'a> {
    pub(crate) fn new(vfs: &'a dyn Vfs, dir: &'a Path, identity: Identity) -> Self {
        Self { vfs, dir, identity, like: dir }
    }

    /// Write a file through `write`. When this returns, the file is whole and on disk; when it fails, nothing has its name,
    /// unless it was the directory that could not be synced.
    pub(crate) fn write<E: From<io::Error>>(
        &self,
        name: &str,
        write: impl FnOnce(&dyn VfsFile) -> Result<(), E>,
    ) -> Result<(), E> {
        let temporary = self.temporary(name);
        let result = self.create(&temporary).map_err(E::from).and_then(|file| {
            write(&*file)?;
            Ok(file.sync()?)
        });
        self.place(&temporary, name, result)
    }

    /// Where a file is written before it has its name. No file of anybody else has this one.
    pub(crate) fn temporary(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{}{TEMPORARY}", self.identity))
    }

    /// Make a file of this temporary name, in place of what a failure left.
    pub(crate) fn create(&self, temporary: &Path) -> io::Result<Box<dyn VfsFile>> {
        let like = self.like.join(RECORDS_FILE);
        match self.vfs.create(temporary, Some(&like)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.vfs.remove(temporary)?;
                self.vfs.create(temporary, Some(&like))
            }
            created => created,
        }
    }

    /// Give a file that was written its name, or remove it.
    pub(crate) fn place<E: From<io::Error>>(
        &self,
        temporary: &Path,
        name: &str,
        written: Result<(), E>,
    ) -> Result<(), E> {
        if let Err(error) = written.and_then(|()| Ok(self.vfs.rename(temporary, &self.dir.join(name))?)) {
            // What failed before is the error to report; the next opening removes what is left.
            let _ = self.vfs.remove(temporary);
            return Err(error);
        }
        Ok(self.vfs.sync_dir(self.dir)?)
    }
}

/// Whether a name is that of a file which the collection was writing.
pub(crate) fn is_temporary_of(name: &str, identity: Identity) -> bool {
    !identity.is_none() && name.ends_with(&format!(".{identity}{TEMPORARY}"))
}

/// Whether a name is that of a file which some collection was writing.
pub(crate) fn is_temporary(name: &str) -> bool {
    let identity = name.strip_suffix(TEMPORARY).and_then(|name| name.rsplit_once('.')).map(|(_, identity)| identity);
    identity.is_some_and(|identity| {
        identity.len() == 2 * Identity::LEN && identity.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Make a directory, and those above it that are missing, so that they last. It is fine if the directory is there.
pub(crate) fn make_directory(vfs: &dyn Vfs, dir: &Path, like: Option<&Path>) -> io::Result<()> {
    match vfs.create_dir(dir, like) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = dir.parent().filter(|parent| *parent != Path::new("")) else { return Err(error) };
            make_directory(vfs, parent, None)?;
            vfs.create_dir(dir, like)?;
        }
        made => made?,
    }
    sync_parent(vfs, dir)
}

/// Make the name of a directory last.
pub(crate) fn sync_parent(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    match dir.parent() {
        Some(parent) if parent == Path::new("") => vfs.sync_dir(Path::new(".")),
        Some(parent) => vfs.sync_dir(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::ReadOnlyVfs;

    #[test]
    fn temporaries_of_one_collection_are_told_from_all_else() {
        let identity = Identity::random();
        let files = Files::new(&ReadOnlyVfs, Path::new("dir"), identity);
        let temporary = files.temporary("log-1");
        let name = temporary.file_name().unwrap().to_str().unwrap();
        assert!(is_temporary_of(name, identity) && is_temporary(name));
        assert!(!is_temporary_of(name, Identity::random()) && !is_temporary_of(name, Identity::NONE));
        for name in ["records.tmp", "notes.tmp", "log-1", ".tmp", &format!("{identity}.tmp"), "a.xyz.tmp"] {
            assert!(!is_temporary_of(name, identity) && !is_temporary(name), "{name}");
        }
    }
}
