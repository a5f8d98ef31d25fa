//! Who may use a file that replaces another one.

use std::fs::{File, Metadata};
use std::io;

/// Give `file` the permissions, and where this process may do so the owner and the group, of the file that it will replace.
#[cfg(unix)]
pub fn keep_permissions(file: &File, old: &Metadata) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o7777;
    // Only a privileged process may give a file away.
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) && fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
        // What the old group was allowed is not for the new one.
        if new.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
            mode &= 0o707;
        }
        mode &= 0o777;
    }
    // Giving a file away clears bits of its mode, so this comes last.
    if file.metadata()?.mode() & 0o7777 == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(mode)) }
}

/// Other systems keep permissions in lists that a directory hands down.
#[cfg(not(unix))]
pub fn keep_permissions(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
