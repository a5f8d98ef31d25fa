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
pub(crate) fn steady<T, E: Display>(
    is_damage: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut result = attempt();
    for _ in 1..ATTEMPTS {
        let Some(damage) = result.as_ref().err().filter(|error| is_damage(error)).map(ToString::to_string) else {
            break;
        };
        result = attempt();
        if result.as_ref().is_err_and(|error| error.to_string() == damage) {
            break;
        }
    }
    result
}

impl OpenError {
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(StoreError::Io(error)) => is_outdated(error),
            error => matches!(error, Self::Store(StoreError::Corrupt(_)) | Self::Damaged { .. }),
        }
    }
}

impl QueryError {
    /// Whether a writer has overwritten what should be read.
    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Self::Io(error) if is_outdated(error))
    }

    pub(crate) fn is_damage(&self) -> bool {
        self.is_outdated() || matches!(self, Self::Corrupt(_))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::steady;

    /// Return the number of attempts and the result, where attempt `n` fails with `damage(n)` and
    /// attempt 101 succeeds.
    fn attempts(damage: impl Fn(usize) -> String) -> (usize, Result<(), String>) {
        let made = Cell::new(0);
        let result = steady(
            |_: &String| true,
            || {
                made.set(made.get() + 1);
                if made.get() > 100 { Ok(()) } else { Err(damage(made.get())) }
            },
        );
        (made.get(), result)
    }

    #[test]
    fn what_a_writer_replaces_again_and_again_is_read_in_the_end() {
        assert_eq!(attempts(|attempt| format!("no file {attempt}")), (101, Ok(())));
    }

    #[test]
    fn what_stays_damaged_is_told_at_once() {
        assert_eq!(attempts(|_| "no file".to_owned()), (2, Err("no file".to_owned())));
    }
}
