//! New files in the directory of a collection: written under a temporary name, synced, and renamed
//! into place.

use std::io;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::replace::{Draft, replace};
use crate::vfs::{Vfs, VfsFile};

/// Suffix of a file that is being written.
const TEMPORARY: &str = ".tmp";

/// The directory of a collection, as a place for new files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The file system of the directory.
    pub vfs: &'a dyn Vfs,
    /// The directory.
    pub dir: &'a Path,
    /// The collection that its files belong to.
    pub identity: Identity,
    /// The directory of the file whose permissions new files get.
    pub witness_dir: &'a Path,
    /// The name of that file.
    pub witness: &'static str,
}

impl<'a> Files<'a> {
    /// Describe the directory of a collection whose file `witness` sets the permissions of new
    /// files.
    pub fn new(vfs: &'a dyn Vfs, dir: &'a Path, identity: Identity, witness: &'static str) -> Self {
        Self { vfs, dir, identity, witness_dir: dir, witness }
    }

    /// Write a file through `write`, and let it replace what has its name. On success the file is
    /// whole and on disk. On failure nothing has changed, unless only the sync of the directory
    /// failed.
    pub fn write<E: From<io::Error>>(
        &self,
        name: &str,
        write: impl FnOnce(&dyn VfsFile) -> Result<(), E>,
    ) -> Result<(), E> {
        replace(self.begin(name)?, &self.dir.join(name), write)
    }

    /// Check that a name is free, or that of a file of this collection, as `is_ours` says. Anything
    /// else must not be replaced.
    pub fn check_free(&self, name: &str, is_ours: impl FnOnce() -> bool) -> io::Result<()> {
        match self.vfs.metadata(&self.dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) if is_ours() => Ok(()),
            Ok(_) => {
                let what =
                    format!("{name}: expected no file, or one of this collection, got another: move it elsewhere");
                Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
            }
        }
    }

    /// Begin a file under a temporary name, replacing what an earlier failure left. Only this
    /// collection uses this name.
    pub fn begin(&self, name: &str) -> io::Result<(Draft<'a>, Box<dyn VfsFile>)> {
        let (temporary, like) = (self.temporary(name), self.witness_dir.join(self.witness));
        match Draft::begin(self.vfs, temporary.clone(), Some(&like)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.vfs.remove(&temporary)?;
                Draft::begin(self.vfs, temporary, Some(&like))
            }
            begun => begun,
        }
    }

    /// The path of a file until it gets its own name.
    fn temporary(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{}{TEMPORARY}", self.identity))
    }
}

/// Whether `name` is a temporary file of this collection.
pub fn is_temporary_of(name: &str, identity: Identity) -> bool {
    !identity.is_none() && name.ends_with(&format!(".{identity}{TEMPORARY}"))
}

/// Whether `name` is a temporary file of any collection.
pub fn is_temporary(name: &str) -> bool {
    let identity = name.strip_suffix(TEMPORARY).and_then(|name| name.rsplit_once('.')).map(|(_, identity)| identity);
    identity.is_some_and(|identity| {
        identity.len() == 2 * Identity::LEN && identity.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Make a directory and its missing parents, and sync them. An existing directory is fine.
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

/// Sync the parent of a directory, so that its name survives a power cut. A user who may not read
/// the parent cannot sync it: then its owner has to.
pub fn sync_parent(vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
    let synced = match dir.parent() {
        Some(parent) if parent == Path::new("") => vfs.sync_dir(Path::new(".")),
        Some(parent) => vfs.sync_dir(parent),
        None => Ok(()),
    };
    match synced {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::{OsVfs, ReadOnlyVfs};

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
    /// Root may read anything, so this shows something only to other users.
    #[cfg(unix)]
    #[test]
    fn a_directory_below_one_that_may_not_be_read_can_be_used() {
        use std::fs::{self, Permissions};
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let parent = scratch.path().join("parent");
        fs::create_dir_all(parent.join("mine")).unwrap();
        fs::set_permissions(&parent, Permissions::from_mode(0o311)).unwrap();
        let made = ["mine", "new"].map(|name| make_directory(&OsVfs, &parent.join(name), None));
        fs::set_permissions(&parent, Permissions::from_mode(0o700)).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}
