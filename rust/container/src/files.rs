//! New files in the directory of a collection: written beside their place, synced, and put there by a rename.

use std::io;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::replace::{Draft, replace};
use crate::vfs::{Vfs, VfsFile};

/// Ending of a file that is being written.
const TEMPORARY: &str = ".tmp";

/// The directory of a collection, to make files in.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// Where the directory is.
    pub vfs: &'a dyn Vfs,
    /// The directory.
    pub dir: &'a Path,
    /// The collection that its files belong to.
    pub identity: Identity,
    /// The directory of the file whose permissions new files get.
    pub like: &'a Path,
    /// The name of that file.
    pub witness: &'static str,
}

impl<'a> Files<'a> {
    /// The directory of a collection that has a file `witness`.
    pub fn new(vfs: &'a dyn Vfs, dir: &'a Path, identity: Identity, witness: &'static str) -> Self {
        Self { vfs, dir, identity, like: dir, witness }
    }

    /// Write a file through `write`. When this returns, the file is whole and on disk; when it fails, nothing has its name,
    /// unless it was the directory that could not be synced.
    pub fn write<E: From<io::Error>>(
        &self,
        name: &str,
        write: impl FnOnce(&dyn VfsFile) -> Result<(), E>,
    ) -> Result<(), E> {
        replace(self.begin(name)?, &self.dir.join(name), write)
    }

    /// Begin a file under a temporary name, in place of what a failure left. No file of anybody else has this name.
    pub fn begin(&self, name: &str) -> io::Result<(Draft<'a>, Box<dyn VfsFile>)> {
        let (temporary, like) = (self.temporary(name), self.like.join(self.witness));
        match Draft::begin(self.vfs, temporary.clone(), Some(&like)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.vfs.remove(&temporary)?;
                Draft::begin(self.vfs, temporary, Some(&like))
            }
            begun => begun,
        }
    }

    /// Where a file is written before it has its name.
    fn temporary(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{}{TEMPORARY}", self.identity))
    }
}

/// Whether a name is that of a file which the collection was writing.
pub fn is_temporary_of(name: &str, identity: Identity) -> bool {
    !identity.is_none() && name.ends_with(&format!(".{identity}{TEMPORARY}"))
}

/// Whether a name is that of a file which some collection was writing.
pub fn is_temporary(name: &str) -> bool {
    let identity = name.strip_suffix(TEMPORARY).and_then(|name| name.rsplit_once('.')).map(|(_, identity)| identity);
    identity.is_some_and(|identity| {
        identity.len() == 2 * Identity::LEN && identity.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Make a directory, and those above it that are missing, so that they last. It is fine if the directory is there.
pub fn make_directory(vfs: &dyn Vfs, dir: &Path, like: Option<&Path>) -> io::Result<()> {
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
pub fn sync_parent(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
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
        let files = Files::new(&ReadOnlyVfs, Path::new("dir"), identity, "records");
        let temporary = files.temporary("log-1");
        let name = temporary.file_name().unwrap().to_str().unwrap();
        assert!(is_temporary_of(name, identity) && is_temporary(name));
        assert!(!is_temporary_of(name, Identity::random()) && !is_temporary_of(name, Identity::NONE));
        for name in ["records.tmp", "notes.tmp", "log-1", ".tmp", &format!("{identity}.tmp"), "a.xyz.tmp"] {
            assert!(!is_temporary_of(name, identity) && !is_temporary(name), "{name}");
        }
    }
}
