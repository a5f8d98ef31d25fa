//! Syncing a directory, so that the names in it survive a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

/// Make the names in a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no call that syncs a directory.
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(path)?.sync_all() {
        // File systems with nothing to sync in a directory refuse the call.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// The directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_directory_is_in_the_current_one() {
        assert_eq!(directory_of(Path::new("index")), Path::new("."));
        assert_eq!(directory_of(Path::new("data/index")), Path::new("data"));
        assert_eq!(directory_of(Path::new("/index")), Path::new("/"));
    }
}
