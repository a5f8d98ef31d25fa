//! Permissions of a file that replaces another one.

use std::fs::{File, Metadata};
use std::io;

/// Give `file` the permissions of the file that it will replace, and its owner and group if this
/// process may do so.
#[cfg(unix)]
pub(crate) fn keep_permissions(file: &File, old: &Metadata) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o7777;
    // Only a privileged process may give a file away.
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) && fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
        // The new group must not get the rights of the old one.
        if new.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
            mode &= 0o707;
        }
        mode &= 0o777;
    }
    // Giving a file away clears bits of its mode, so this comes last.
    if file.metadata()?.mode() & 0o7777 == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(mode)) }
}

/// Do nothing: other systems keep permissions in lists that files inherit from their directory.
#[cfg(not(unix))]
pub(crate) fn keep_permissions(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
