//! A directory of a tier on its file system.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiercel_container::{DirEntry, FileKind, Vfs};

/// A directory, and the file system that it is on. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) path: Arc<Path>,
}

impl Directory {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, path: &Path) -> Self {
        Self { vfs, path: path.into() }
    }

    /// A directory in this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self::new(Arc::clone(&self.vfs), &self.at(name))
    }

    /// The path of a name in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Make it, unless it exists. A link to a directory is refused.
    pub(crate) fn make(&self) -> io::Result<()> {
        make(&*self.vfs, &self.path)
    }

    /// Whether it exists, and is not a link to one.
    pub(crate) fn exists(&self) -> io::Result<bool> {
        Ok(kind(&*self.vfs, &self.path)? == Some(FileKind::Directory))
    }

    /// Its entries; none if it is missing, or a link.
    pub(crate) fn entries(&self) -> io::Result<Vec<DirEntry>> {
        if self.exists()? { self.vfs.entries(&self.path) } else { Ok(Vec::new()) }
    }

    /// Make the names in it survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.vfs.sync_dir(&self.path)
    }
}

/// What has a name, if anything has it.
pub(crate) fn kind(vfs: &dyn Vfs, path: &Path) -> io::Result<Option<FileKind>> {
    match vfs.metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        there => Ok(Some(there?.kind)),
    }
}

/// Make a directory, unless it exists. A link to one is refused.
pub(crate) fn make(vfs: &dyn Vfs, path: &Path) -> io::Result<()> {
    loop {
        match kind(vfs, path)? {
            Some(FileKind::Directory) => return Ok(()),
            Some(_) => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                let expected = format!("{name}: expected a directory, got a link or a file");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, expected));
            }
            // Others may make or remove it at any moment.
            None => vfs.create_dir(path, None)?,
        }
    }
}
