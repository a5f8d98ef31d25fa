//! Replaces a file as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use tiercel_container::{create_new, quoted, sync_open_directory};

use super::layout::BLOCK;

/// Write `path` through `write`. When this returns, the file is whole and on disk; when it fails, `path` is as it was,
/// unless it was the directory that could not be synced.
///
/// An error of the system is returned as it came, since one with the path in it would lose its code.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    check(path)?;
    // Opened before anything changes. Windows has no call to sync one.
    let directory = if cfg!(unix) { Some(File::open(directory_of(path))?) } else { None };
    // Declared before the file, so that this is closed before it is removed, as Windows wants it.
    let mut temporary = Temporary(None);
    let file = temporary.create(path)?;
    let mut out = BufWriter::with_capacity(BLOCK, file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    drop(file);
    temporary.rename(path)?;
    directory.map_or(Ok(()), |directory| sync_open_directory(&directory))
}

/// Check that `path` names a file or nothing: a rename would replace a device as readily.
fn check(path: &Path) -> io::Result<()> {
    let (kind, got) = match fs::metadata(path) {
        Ok(there) if there.is_dir() => (io::ErrorKind::IsADirectory, "the directory"),
        Ok(there) if !there.is_file() => (io::ErrorKind::InvalidInput, "the device or pipe"),
        _ if path.file_name().is_none() => (io::ErrorKind::InvalidInput, "the path without a name"),
        _ => return Ok(()),
    };
    Err(io::Error::new(kind, format!("path: expected a file, got {got} {}", quoted(&path.to_string_lossy()))))
}

/// A file that is removed unless it has been renamed.
struct Temporary(Option<PathBuf>);

impl Temporary {
    /// Create a file beside `path` under a name that no other file has, with the permissions of the file that it will replace: a private
    /// index must not become readable by others.
    fn create(&mut self, path: &Path) -> io::Result<File> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // A link is replaced, and with it the file that it led to as far as readers of this path are concerned.
        let old = fs::canonicalize(path).ok();
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = path.with_file_name(format!(".tiercel-{}-{count}.tmp", process::id()));
            match create_new(&name, old.as_deref()) {
                // Left by a process that was killed, or by another one with this id in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    self.0 = Some(name);
                    return Ok(file);
                }
            }
        }
    }

    fn rename(&mut self, path: &Path) -> io::Result<()> {
        if let Some(name) = &self.0 {
            fs::rename(name, path)?;
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.0 {
            // What failed before is the error to report.
            let _ = fs::remove_file(name);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An empty directory that is removed at the end of a test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tiercel-test-{}-{test}", process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn creates_and_replaces() {
        let scratch = Scratch::new("replaces");
        let path = scratch.0.join("index");
        for content in ["first", "2nd"] {
            write_atomically(&path, |out| out.write_all(content.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(scratch.names(), ["index"]);
    }

    #[test]
    fn failure_keeps_the_old_content_and_the_code() {
        let scratch = Scratch::new("failure");
        let path = scratch.0.join("index");
        fs::write(&path, "old").unwrap();
        let disk_full = 28;
        let error = write_atomically(&path, |out| {
            out.write_all(&vec![7; 3 * BLOCK])?;
            Err(io::Error::from_raw_os_error(disk_full))
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(disk_full));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(scratch.names(), ["index"]);
    }

    #[test]
    fn panic_leaves_nothing_behind() {
        let scratch = Scratch::new("panic");
        let path = scratch.0.join("index");
        let call = || write_atomically(&path, |_| panic!("while writing"));
        assert!(std::panic::catch_unwind(call).is_err());
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn refuses_what_is_no_file() {
        let scratch = Scratch::new("refuses");
        let error = write_atomically(&scratch.0, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(error.to_string().contains(&quoted(&scratch.0.to_string_lossy())), "{error}");
        let error = write_atomically(Path::new(""), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = write_atomically(&scratch.0.join("missing").join("index"), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.raw_os_error().is_some());
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn name_left_by_another_process_is_passed_over() {
        let scratch = Scratch::new("leftover");
        for count in 0..1000 {
            fs::write(scratch.0.join(format!(".tiercel-{}-{count}.tmp", process::id())), "other").unwrap();
        }
        write_atomically(&scratch.0.join("index"), |out| out.write_all(b"new")).unwrap();
        assert_eq!(scratch.names().len(), 1001);
        assert_eq!(fs::read_to_string(scratch.0.join("index")).unwrap(), "new");
    }

    #[test]
    fn path_without_a_directory_is_in_the_current_one() {
        assert_eq!(directory_of(Path::new("index")), Path::new("."));
        assert_eq!(directory_of(Path::new("data/index")), Path::new("data"));
        assert_eq!(directory_of(Path::new("/index")), Path::new("/"));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("permissions");
        let path = scratch.0.join("index");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, |out| out.write_all(b"new")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        // A link is replaced, and what it led to stays as it is.
        let link = scratch.0.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_atomically(&link, |out| out.write_all(b"newer")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(mode(&link), 0o600);
    }
}
