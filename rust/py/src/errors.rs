//! Errors as Python sees them. Their classes are defined in Python (`tiercel.errors`), since
//! they inherit from builtins.

use std::io;
use std::path::Path;

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use tiercel_container::NoRoom;
use tiercel_container::{NotRegular, quoted};
use tiercel_engine::{CommitError, OpenError, QueryError, WriteError};
use tiercel_index::{AddError, BuildError, LoadError, NewError, RawError, SearchError};

// These are the same on every platform that has them, and in Python's `errno`.
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EISDIR: i32 = 21;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = if cfg!(target_os = "linux") {
    122
} else if cfg!(windows) {
    10_069
} else {
    69
};

/// An invalid argument.
pub(crate) fn invalid(py: Python<'_>, message: String) -> PyErr {
    error(py, "InvalidInputError", (message,))
}

/// Like [`invalid`], after converting an argument made Python or numpy raise. Exceptions that
/// are not about the argument pass through.
pub(crate) fn invalid_because(py: Python<'_>, message: &str, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<PyException>(py) || cause.is_instance_of::<PyMemoryError>(py) {
        return cause;
    }
    let error = invalid(py, format!("{message}: {}", cause.value(py)));
    error.set_cause(py, Some(cause));
    error
}

/// Vectors of the wrong length.
pub(crate) fn dimension(py: Python<'_>, argument: &str, expected: usize, got: usize) -> PyErr {
    let message = format!("{argument}: expected vectors of length {expected}, got {got}");
    error(py, "DimensionMismatchError", (message,))
}

/// Something impossible has happened.
pub(crate) fn internal(py: Python<'_>, message: &str) -> PyErr {
    error(py, "TiercelError", (format!("internal error, please report it: {message}"),))
}

/// A call was interrupted although no exception asked for that.
pub(crate) fn interrupted(py: Python<'_>) -> PyErr {
    internal(py, "interrupted")
}

/// A refusal of `Index.add` or `Index.upsert`.
pub(crate) fn add(py: Python<'_>, error: &AddError) -> PyErr {
    match error {
        AddError::Interrupted => interrupted(py),
        AddError::Taken { id, .. } => {
            // An index keeps no sequences.
            self::error(py, "ConflictError", (error.to_string(), *id, 0, py.None()))
        }
        AddError::Raw(error) => raw(py, error),
        _ => invalid(py, error.to_string()),
    }
}

/// A refusal of a search.
pub(crate) fn search(py: Python<'_>, error: &SearchError) -> PyErr {
    match error {
        SearchError::Interrupted => interrupted(py),
        SearchError::TooLarge { .. } => PyMemoryError::new_err(error.to_string()),
        SearchError::Raw(error) => raw(py, error),
        _ => invalid(py, error.to_string()),
    }
}

/// Why `Index.optimize` ended early.
pub(crate) fn optimize(py: Python<'_>, error: &BuildError) -> PyErr {
    match error {
        BuildError::Interrupted(_) => interrupted(py),
        BuildError::Raw(error) => raw(py, error),
        BuildError::Memory(_) => invalid(py, error.to_string()),
    }
}

/// Full vectors on disk that could not be written or read.
pub(crate) fn raw(py: Python<'_>, error: &RawError) -> PyErr {
    let message = format!("raw: {error}");
    match error {
        RawError::Io { kind: io::ErrorKind::UnexpectedEof, .. } | RawError::Changed { .. } => {
            self::error(py, "CorruptionError", (message,))
        }
        RawError::Io { code, kind, .. } => {
            let io = code.map_or_else(|| (*kind).into(), io::Error::from_raw_os_error);
            let class = NoRoom::of(&io).map_or("StorageFailedError", |why| no_room(why).0);
            self::error(py, class, (errno(&io), message))
        }
    }
}

/// A refusal of the constructor; `got` shows the value that the caller passed for an option.
pub(crate) fn new(py: Python<'_>, error: &NewError, got: impl Fn(&str) -> String) -> PyErr {
    let message = match error {
        NewError::Options(range) => {
            format!("{}: expected an int from {} to {}, got {}", range.option, range.low, range.high, got(range.option))
        }
        NewError::Compared { .. }
        | NewError::Forgotten
        | NewError::Budget
        | NewError::Chosen { .. }
        | NewError::Simd(_) => error.to_string(),
    };
    invalid(py, message)
}

/// A failure to load; `path` names the source of the bytes.
pub(crate) fn load(py: Python<'_>, error: LoadError, path: &Path) -> PyErr {
    match error {
        LoadError::Io(io) => storage(py, &io, path),
        LoadError::Corrupt(corruption) => {
            self::error(py, "CorruptionError", (format!("{}: {corruption}", path.display()),))
        }
        LoadError::Compared { .. } | LoadError::Forgotten | LoadError::Half(_) | LoadError::Simd(_) => {
            invalid(py, error.to_string())
        }
    }
}

/// Why a collection was not opened.
pub(crate) fn open(py: Python<'_>, problem: OpenError, path: &Path) -> PyErr {
    use tiercel_engine::StoreOpenError as Store;
    let named = |what: &dyn std::fmt::Display| (format!("{}: {what}", path.display()),);
    match problem {
        OpenError::Store(Store::Io(io)) => storage(py, &io, path),
        OpenError::Store(Store::NotFound) => {
            error(py, "MissingFileError", (ENOENT, "no collection there", path.as_os_str().to_owned()))
        }
        OpenError::Store(Store::AlreadyOpen { pid }) => {
            let by = pid.map(|pid| format!(" by process {pid}")).unwrap_or_default();
            error(py, "AlreadyOpenError", named(&format!("already open{by}; one process writes at a time")))
        }
        OpenError::Store(Store::Occupied(_)) => {
            let Some(path) = path.to_str() else { return invalid(py, format!("path: {problem}")) };
            invalid(py, format!("path: {problem} in {}: choose a separate directory for the collection", quoted(path)))
        }
        OpenError::Options(range) => {
            invalid(py, format!("{}: expected an int from {} to {}", range.option, range.low, range.high))
        }
        OpenError::Write(problem) => commit(py, &problem),
        OpenError::Differs { .. }
        | OpenError::Disagrees { .. }
        | OpenError::Simd(_)
        | OpenError::Storage(_)
        | OpenError::RawStorage(_)
        | OpenError::Halves => invalid(py, problem.to_string()),
        OpenError::Thread(why) => internal(py, &why),
        OpenError::Forked => error(py, "ForkedProcessError", named(&problem)),
        OpenError::Replaced => error(py, "StorageFailedError", (EIO, problem.to_string(), path.as_os_str().to_owned())),
        _ => error(py, "CorruptionError", named(&problem)),
    }
}

/// A refusal of a write to a collection; `path` is its directory.
pub(crate) fn write(py: Python<'_>, problem: WriteError, path: &Path) -> PyErr {
    match problem {
        WriteError::Commit(commit) => self::commit(py, &commit),
        WriteError::Query(query) => self::query(py, &query, path),
        WriteError::Dim { expected, got } => dimension(py, "vectors", expected, got),
        WriteError::Unsearchable(_) | WriteError::Unpublished(_) => {
            error(py, "StorageFailedError", (EIO, problem.to_string()))
        }
        _ => invalid(py, problem.to_string()),
    }
}

/// Why a backup failed.
pub(crate) fn backup(py: Python<'_>, problem: WriteError, path: &Path) -> PyErr {
    match problem {
        WriteError::Commit(CommitError::Io(io)) => storage(py, &io, path),
        WriteError::Commit(CommitError::NoRoom(why)) => storage(py, &why.into(), path),
        _ => write(py, problem, path),
    }
}

fn commit(py: Python<'_>, problem: &CommitError) -> PyErr {
    match problem {
        CommitError::NoRoom(why) => {
            let (class, errno) = no_room(*why);
            error(py, class, (errno, problem.to_string()))
        }
        CommitError::Corrupt(_) => error(py, "CorruptionError", (problem.to_string(),)),
        CommitError::Invalid(_) => invalid(py, problem.to_string()),
        CommitError::Forked { .. } => error(py, "ForkedProcessError", (problem.to_string(),)),
        CommitError::Conflict { id, expected, actual } => {
            error(py, "ConflictError", (problem.to_string(), id.clone(), *expected, *actual))
        }
        CommitError::Io(io) => match full_vectors(io) {
            Some(error) => raw(py, error),
            None => error(py, "StorageFailedError", (errno(io), reason(io))),
        },
        _ => error(py, "StorageFailedError", (EIO, problem.to_string())),
    }
}

/// A refusal of a read of a collection; `path` is its directory.
pub(crate) fn query(py: Python<'_>, problem: &QueryError, path: &Path) -> PyErr {
    match problem {
        QueryError::Row(_)
        | QueryError::NoVectors
        | QueryError::Filter(_)
        | QueryError::Text(_)
        | QueryError::Schema(_)
        | QueryError::Position(_)
        | QueryError::OldPosition => invalid(py, problem.to_string()),
        QueryError::Interrupted => interrupted(py),
        QueryError::Forked(_) => error(py, "ForkedProcessError", (problem.to_string(),)),
        QueryError::Corrupt(_) => error(py, "CorruptionError", (problem.to_string(),)),
        QueryError::LeftBehind => error(py, "StorageFailedError", (EIO, problem.to_string())),
        QueryError::Io(io) => storage(py, io, path),
        QueryError::Failed(_) => error(py, "TiercelError", (problem.to_string(),)),
    }
}

/// A call on a closed object.
pub(crate) fn closed(py: Python<'_>, what: &str) -> PyErr {
    error(py, "ClosedError", (format!("the {what} is closed"),))
}

/// Why a tier of a cache was not opened.
pub(crate) fn store_open(py: Python<'_>, problem: &tiercel_cache::OpenError, path: &Path) -> PyErr {
    match problem {
        tiercel_cache::OpenError::AlreadyOpen => {
            let message = format!(
                "{}: already open, here or in another process; one tier uses a directory at a time",
                path.display()
            );
            error(py, "AlreadyOpenError", (message,))
        }
        tiercel_cache::OpenError::Missing => {
            error(py, "MissingFileError", (ENOENT, problem.to_string(), path.as_os_str().to_owned()))
        }
        tiercel_cache::OpenError::Foreign(name) => {
            let expected = "expected a directory that is absent, empty or a tier's";
            invalid(
                py,
                format!(
                    "path: {expected}, got {}, which contains {}; choose a separate directory for the tier",
                    path.display(),
                    quoted(name)
                ),
            )
        }
        tiercel_cache::OpenError::Io(io) => storage(py, io, path),
    }
}

/// Return the failure of full vectors on disk that is behind an error, if there is one.
fn full_vectors(io: &io::Error) -> Option<&RawError> {
    io.get_ref().and_then(|inner| inner.downcast_ref())
}

/// A file could not be read or written.
pub(crate) fn storage(py: Python<'_>, io: &io::Error, path: &Path) -> PyErr {
    if let Some(error) = full_vectors(io) {
        return raw(py, error);
    }
    let errno = errno(io);
    let class = match NoRoom::of(io) {
        Some(why) => no_room(why).0,
        None if errno == ENOENT => "MissingFileError",
        None => "StorageFailedError",
    };
    error(py, class, (errno, reason_at(io, path), path.as_os_str().to_owned()))
}

/// Return the message without the path, which Python adds.
fn reason_at(io: &io::Error, path: &Path) -> String {
    if let Some(NotRegular { got, .. }) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
        return format!("expected a regular file, got {got}");
    }
    let reason = reason(io);
    let named = format!(" {}", quoted(&path.to_string_lossy()));
    match reason.strip_prefix("path: ").and_then(|rest| rest.strip_suffix(&named)) {
        Some(rest) => rest.to_owned(),
        None => reason,
    }
}

/// Return the class of an error, and its errno.
const fn no_room(why: NoRoom) -> (&'static str, i32) {
    match why {
        NoRoom::Disk => ("DiskFullError", ENOSPC),
        NoRoom::Quota => ("DiskFullError", EDQUOT),
        NoRoom::FileSize => ("DiskFullError", EFBIG),
        NoRoom::ReadOnly => ("ReadOnlyFileSystemError", EROFS),
    }
}

/// Return Python's errno of an error; by its kind on Windows, and for errors that carry no
/// errno.
fn errno(io: &io::Error) -> i32 {
    match io.raw_os_error() {
        Some(errno) if cfg!(unix) => errno,
        _ => match (NoRoom::of(io), io.kind()) {
            (Some(why), _) => no_room(why).1,
            (_, io::ErrorKind::NotFound) => ENOENT,
            (_, io::ErrorKind::PermissionDenied) => EACCES,
            (_, io::ErrorKind::IsADirectory) => EISDIR,
            _ => EIO,
        },
    }
}

/// Return the message without the number, which Python adds.
fn reason(io: &io::Error) -> String {
    let text = io.to_string();
    let number = io.raw_os_error().map(|code| format!(" (os error {code})")).unwrap_or_default();
    text.strip_suffix(&number).unwrap_or(&text).to_owned()
}

/// Make an instance of a class of `tiercel.errors`.
fn error<A>(py: Python<'_>, class: &str, arguments: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    // Imported late: `tiercel` imports this module before `tiercel` itself is complete.
    let found = py.import("tiercel.errors").and_then(|module| module.getattr(class));
    match found.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, arguments),
        Err(error) => error,
    }
}
