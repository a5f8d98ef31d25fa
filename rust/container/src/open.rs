//! Opening regular files only.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::path::Path;

use thiserror::Error;

use crate::permissions::keep_permissions;

/// Something other than a regular file stands where one was expected. [`io::Error::get_ref`]
/// returns it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}: expected a regular file, got {got}")]
pub struct NotRegular {
    /// The last part of the path.
    pub name: String,
    /// The kind of thing found instead, such as "a pipe".
    pub got: &'static str,
}

impl NotRegular {
    /// Whether an error is of this kind.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
    }

    fn error(path: &Path, got: &'static str) -> io::Error {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let kind = if got == DIRECTORY { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
        io::Error::new(kind, Self { name, got })
    }
}

const DIRECTORY: &str = "a directory";

/// Open a regular file to read it. A symbolic link is refused.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true), false)
}

/// Open a regular file to read it, through symbolic links: for a path that the user chose.
pub fn read_through_links(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true), true)
}

/// Open an existing regular file to read and write it. A symbolic link is refused.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true), false)
}

/// Open a regular file to read and write it, or make one that only its owner may use. A symbolic
/// link is refused.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    open(path, &mut options, false)
}

/// Make a file to read and write; fails if anything has its name, even a symbolic link that leads
/// nowhere. It gets the permissions of the file `like` if that exists, else the usual ones.
pub(crate) fn create_new(path: &Path, like: Option<&Path>) -> io::Result<File> {
    let old = match like.map(std::fs::symlink_metadata) {
        Some(Ok(old)) if old.is_file() => Some(old),
        _ => None,
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    if old.is_some() {
        // At no moment may others read what the old file keeps from them.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let file = above_standard(options.open(path)?)?;
    if let Some(old) = old
        && let Err(error) = keep_permissions(&file, &old)
    {
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

fn open(path: &Path, options: &mut OpenOptions, through_links: bool) -> io::Result<File> {
    set_flags(options, through_links);
    let file = match options.open(path) {
        Ok(file) => file,
        // Error codes for files that are not regular differ between systems.
        Err(error) => return Err(describe(path, through_links).map_or(error, |got| NotRegular::error(path, got))),
    };
    match kind(file.metadata()?.file_type()) {
        Some(got) => Err(NotRegular::error(path, got)),
        None => above_standard(file),
    }
}

/// Move the file to a descriptor above those of standard input, output and error. In a process
/// started without them, the file would take one of their numbers, and the first message printed
/// would overwrite it.
#[cfg(unix)]
pub(crate) fn above_standard(file: File) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    const FIRST: i32 = 3;
    if file.as_raw_fd() >= FIRST {
        return Ok(file);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&file, FIRST)?.into())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn above_standard(file: File) -> io::Result<File> {
    Ok(file)
}

#[cfg(unix)]
fn set_flags(options: &mut OpenOptions, through_links: bool) {
    use rustix::fs::OFlags;
    // Without `NONBLOCK`, a pipe would block the call until its other end is opened.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !through_links {
        flags |= OFlags::NOFOLLOW;
    }
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits() as i32);
}

#[cfg(windows)]
fn set_flags(options: &mut OpenOptions, through_links: bool) {
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    if !through_links {
        std::os::windows::fs::OpenOptionsExt::custom_flags(options, FILE_FLAG_OPEN_REPARSE_POINT);
    }
}

/// Describe what stands at a path that could not be opened; `None` for a regular file or nothing.
fn describe(path: &Path, through_links: bool) -> Option<&'static str> {
    let there = if through_links { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    kind(there.ok()?.file_type())
}

/// Describe a file type; `None` for a regular file.
fn kind(there: FileType) -> Option<&'static str> {
    if there.is_file() {
        return None;
    }
    if there.is_dir() {
        return Some(DIRECTORY);
    }
    if there.is_symlink() {
        return Some("a symbolic link");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if there.is_fifo() {
            return Some("a pipe");
        }
        if there.is_socket() {
            return Some("a socket");
        }
    }
    Some("a device")
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    fn refused(result: io::Result<File>) -> &'static str {
        let error = result.unwrap_err();
        error.get_ref().and_then(|inner| inner.downcast_ref::<NotRegular>()).map_or("another error", |inner| inner.got)
    }

    #[test]
    fn regular_files_only_and_nothing_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "content").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("missing"), at("dangling")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        for open in [open_to_read, open_to_write, open_or_create] {
            assert_eq!(refused(open(&at("link"))), "a symbolic link");
            assert_eq!(refused(open(&at("dangling"))), "a symbolic link");
            assert_eq!(refused(open(&at("pipe"))), "a pipe");
            assert_eq!(refused(open(&at("socket"))), "a socket");
            assert_eq!(refused(open(dir.path())), "a directory");
            assert_eq!(refused(open(Path::new("/dev/zero"))), "a device");
            assert!(open(&at("file")).is_ok());
        }
        assert!(read_through_links(&at("link")).is_ok());
        assert_eq!(refused(read_through_links(&at("pipe"))), "a pipe");
        assert_eq!(read_through_links(&at("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(open_to_read(&at("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!at("missing").exists());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "content");
    }

    #[test]
    fn a_new_file_takes_no_place_and_keeps_what_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
        fs::write(at("old"), "content").unwrap();
        symlink(at("elsewhere"), at("link")).unwrap();
        for name in ["old", "link"] {
            assert_eq!(create_new(&at(name), None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(!at("elsewhere").exists());
        for private in [0o600, 0o640, 0o444] {
            fs::set_permissions(at("old"), fs::Permissions::from_mode(private)).unwrap();
            let name = format!("new-{private:o}");
            create_new(&at(&name), Some(&at("old"))).unwrap();
            assert_eq!(mode(&name), private);
        }
        create_new(&at("usual"), Some(&at("missing"))).unwrap();
        fs::File::create(at("plain")).unwrap();
        assert_eq!(mode("usual"), mode("plain"));
        open_or_create(&at("own")).unwrap();
        assert_eq!(mode("own"), 0o600);
    }
}
