//! Replacing a file as a whole or not at all: the new one is written beside it, synced, and renamed
//! into place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::directory::directory_of;
use crate::quoted::quoted;
use crate::vfs::{OsVfs, Vfs, VfsFile, VfsWriter};

/// A file with a temporary name, removed on drop unless it was put in its place or kept.
#[derive(Debug)]
pub struct Draft<'a> {
    vfs: &'a dyn Vfs,
    /// `None` once the file has another name or another owner.
    path: Option<PathBuf>,
}

impl<'a> Draft<'a> {
    /// Make a file at this temporary path, in the directory of the file that it will replace. It
    /// gets the permissions of the file `like` if that exists.
    pub fn begin(vfs: &'a dyn Vfs, path: PathBuf, like: Option<&Path>) -> io::Result<(Self, Box<dyn VfsFile>)> {
        let file = vfs.create(&path, like)?;
        Ok((Self { vfs, path: Some(path) }, file))
    }

    /// Put the file, which must be closed and synced, in the place of `target`. On failure the old
    /// file is still there, unless only the sync of the directory failed.
    pub fn put(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.vfs.rename(path, target)?;
            self.path = None;
        }
        self.vfs.sync_dir(directory_of(target))
    }

    /// Leave the file under its temporary name to the caller.
    pub fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // The earlier failure is the error to report.
            let _ = self.vfs.remove(path);
        }
    }
}

/// Write the file of a draft through `write` and put it in the place of `target`. On success the
/// file is whole and on disk; on failure `target` is unchanged, unless only the sync of the
/// directory failed.
pub fn replace<E: From<io::Error>>(
    (draft, file): (Draft<'_>, Box<dyn VfsFile>),
    target: &Path,
    write: impl FnOnce(&dyn VfsFile) -> Result<(), E>,
) -> Result<(), E> {
    // Moved in here, so that it is closed before the draft is removed, as Windows requires.
    let file = file;
    write(&*file)?;
    file.sync_all()?;
    drop(file);
    Ok(draft.put(target)?)
}

/// Replace the file at a path that the user chose. The path may be a link, or not exist.
///
/// System errors are returned unchanged: adding the path would lose their code.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut VfsWriter<'_>) -> io::Result<()>) -> io::Result<()> {
    check(path)?;
    // A directory that cannot be opened cannot be synced: fail before anything changes.
    if cfg!(unix) {
        File::open(directory_of(path))?;
    }
    replace(draft_beside(path)?, path, |file| {
        let mut out = VfsWriter::new(file);
        write(&mut out)?;
        io::Write::flush(&mut out)
    })
}

/// Check that `path` names a file or nothing: a rename would replace a device, too.
fn check(path: &Path) -> io::Result<()> {
    let (kind, got) = match fs::metadata(path) {
        Ok(there) if there.is_dir() => (io::ErrorKind::IsADirectory, "the directory"),
        Ok(there) if !there.is_file() => (io::ErrorKind::InvalidInput, "the device or pipe"),
        _ if path.file_name().is_none() => (io::ErrorKind::InvalidInput, "the path without a name"),
        _ => return Ok(()),
    };
    Err(io::Error::new(kind, format!("path: expected a file, got {got} {}", quoted(&path.to_string_lossy()))))
}

/// Make a file beside `path` under an unused name, with the permissions of the file that it will
/// replace: a private file must not become readable by others.
fn draft_beside(path: &Path) -> io::Result<(Draft<'static>, Box<dyn VfsFile>)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    // The new file replaces a link itself, but takes the permissions of the link's target, which
    // readers of this path have seen until now.
    let old = fs::canonicalize(path).ok();
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = path.with_file_name(format!(".tiercel-{}-{count}.tmp", process::id()));
        match Draft::begin(&OsVfs, name, old.as_deref()) {
            // Left by a process that was killed, or used by one with the same id in another
            // container.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            begun => return begun,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::{TempDir, tempdir};

    use super::*;

    fn names(scratch: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(scratch.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn creates_and_replaces() {
        let scratch = tempdir().unwrap();
        let path = scratch.path().join("index");
        for content in ["first", "2nd"] {
            replace_file(&path, |out| out.write_all(content.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(&scratch), ["index"]);
    }

    #[test]
    fn failure_keeps_the_old_content_and_the_code() {
        let scratch = tempdir().unwrap();
        let path = scratch.path().join("index");
        fs::write(&path, "old").unwrap();
        let disk_full = 28;
        let error = replace_file(&path, |out| {
            out.write_all(&vec![7; 200_000])?;
            Err(io::Error::from_raw_os_error(disk_full))
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(disk_full));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(&scratch), ["index"]);
    }

    #[test]
    fn panic_leaves_nothing_behind() {
        let scratch = tempdir().unwrap();
        let path = scratch.path().join("index");
        let call = || replace_file(&path, |_| panic!("while writing"));
        assert!(std::panic::catch_unwind(call).is_err());
        assert!(names(&scratch).is_empty());
    }

    #[test]
    fn refuses_what_is_no_file() {
        let scratch = tempdir().unwrap();
        let error = replace_file(scratch.path(), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(error.to_string().contains(&quoted(&scratch.path().to_string_lossy())), "{error}");
        let error = replace_file(Path::new(""), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = replace_file(&scratch.path().join("missing").join("index"), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.raw_os_error().is_some());
        assert!(names(&scratch).is_empty());
    }

    #[test]
    fn name_left_by_another_process_is_passed_over() {
        let scratch = tempdir().unwrap();
        for count in 0..1000 {
            fs::write(scratch.path().join(format!(".tiercel-{}-{count}.tmp", process::id())), "other").unwrap();
        }
        replace_file(&scratch.path().join("index"), |out| out.write_all(b"new")).unwrap();
        assert_eq!(names(&scratch).len(), 1001);
        assert_eq!(fs::read_to_string(scratch.path().join("index")).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempdir().unwrap();
        let path = scratch.path().join("index");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace_file(&path, |out| out.write_all(b"new")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        // A link is replaced, and its target stays as it is.
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace_file(&link, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(mode(&link), 0o600);
    }
}
