//! Whether an open file still has its name.

use std::fs::File;
use std::io;
use std::path::Path;

/// Whether the open file still has this name: it was neither removed nor replaced.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok(place(&there) == place(&file.metadata()?)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether any file has this name: here the standard library cannot compare files.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    std::fs::exists(path)
}

/// Device and inode of a file. No two files that exist at one time share them.
#[cfg(unix)]
fn place(file: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// The error for an open file that no longer has this name.
pub(crate) fn gone(path: &Path) -> io::Error {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    io::Error::other(format!("{name}: the open file was removed or replaced"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_removed_renamed_or_replaced_has_its_name_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("log"), dir.path().join("other"));
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::rename(&path, &other).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        assert!(is_at(&file, &other).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_at(&file, &path).unwrap());
        assert_eq!(gone(&path).to_string(), "log: the open file was removed or replaced");
        fs::remove_file(&other).unwrap();
        assert!(!is_at(&file, &other).unwrap());
        assert!(!is_at(&file, &other.join("below")).unwrap());
    }
}
