//! Reading files that another process may replace meanwhile.

use std::fmt::Display;

use tiercel_store::{OpenError as StoreError, is_outdated};

use crate::errors::{OpenError, QueryError};

/// The most attempts to read something that a writer keeps replacing. Real damage looks the same
/// twice and ends the attempts much earlier, so this only guarantees an end. With a writer that
/// never rests, ten were too few.
const ATTEMPTS: usize = 1000;

/// Read something that a writer may replace meanwhile. A replacement looks like damage that differs
/// from one attempt to the next; real damage stays the same.
pub(crate) fn steady<T, E: MayBeReplaced>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut before = None;
    for _ in 1..ATTEMPTS {
        let result = attempt();
        let damage = match &result {
            Err(error) if error.is_outdated() => None,
            Err(error) if error.is_damage() => Some(error.to_string()),
            _ => return result,
        };
        if damage.is_some() && damage == before {
            return result;
        }
        before = damage;
    }
    attempt()
}

/// An error in something that a writer may replace.
pub(crate) trait MayBeReplaced: Display {
    /// Whether a writer has certainly overwritten what should be read.
    fn is_outdated(&self) -> bool;

    /// Whether it looks like damage.
    fn is_damage(&self) -> bool;
}

impl MayBeReplaced for OpenError {
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Store(StoreError::Io(error)) if is_outdated(error))
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Store(StoreError::Corrupt(_)) | Self::Damaged { .. })
    }
}

impl MayBeReplaced for QueryError {
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Io(error) if is_outdated(error))
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::{MayBeReplaced, steady};

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Error {
        Outdated,
        Damage(usize),
        Other,
    }

    impl fmt::Display for Error {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self, out)
        }
    }

    impl MayBeReplaced for Error {
        fn is_outdated(&self) -> bool {
            *self == Self::Outdated
        }

        fn is_damage(&self) -> bool {
            matches!(self, Self::Damage(_))
        }
    }

    /// Return the number of attempts and the result, where attempt `n` fails with `error(n)` and
    /// attempt 101 succeeds.
    fn attempts(error: impl Fn(usize) -> Error) -> (usize, Result<(), Error>) {
        let mut made = 0;
        let result = steady(|| {
            made += 1;
            if made > 100 { Ok(()) } else { Err(error(made)) }
        });
        (made, result)
    }

    #[test]
    fn what_a_writer_replaces_again_and_again_is_read_in_the_end() {
        assert_eq!(attempts(Error::Damage), (101, Ok(())));
        assert_eq!(attempts(|_| Error::Outdated), (101, Ok(())));
        assert_eq!(attempts(|made| if made % 2 == 0 { Error::Outdated } else { Error::Damage(1) }), (101, Ok(())));
    }

    #[test]
    fn what_stays_damaged_is_told_at_once() {
        assert_eq!(attempts(|_| Error::Damage(1)), (2, Err(Error::Damage(1))));
        assert_eq!(attempts(|_| Error::Other), (1, Err(Error::Other)));
    }
}
