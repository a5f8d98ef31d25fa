//! Fault injection: lets tests make a step of the background work fail or panic; does nothing
//! otherwise.

pub(crate) use inner::Faults;

#[cfg(not(test))]
mod inner {
    use crate::errors::WriteError;

    /// Nothing fails.
    #[derive(Default)]
    pub(crate) struct Faults {}

    impl Faults {
        #[inline(always)]
        #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the version for tests can fail")]
        pub(crate) const fn meet(&self, _step: &'static str) -> Result<(), WriteError> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod inner {
    use parking_lot::Mutex;

    use crate::errors::WriteError;

    /// Records the steps that are reached, and makes one of them fail.
    #[derive(Default)]
    pub(crate) struct Faults {
        met: Mutex<Vec<&'static str>>,
        planted: Mutex<Option<(usize, bool)>>,
    }

    impl Faults {
        pub(crate) fn meet(&self, step: &'static str) -> Result<(), WriteError> {
            let count = {
                let mut met = self.met.lock();
                met.push(step);
                met.len()
            };
            let planted = self.planted.lock().take_if(|(nth, _)| *nth == count);
            match planted {
                None => Ok(()),
                Some((_, true)) => panic!("planted: {step}"),
                Some((_, false)) => Err(WriteError::Unsearchable(format!("planted: {step}"))),
            }
        }

        /// Make the `nth` step from now on fail, by a panic or an error.
        pub(crate) fn plant(&self, nth: usize, panics: bool) {
            self.met.lock().clear();
            *self.planted.lock() = Some((nth, panics));
        }

        /// Return the steps reached since, and whether the planted one was among them.
        pub(crate) fn clear(&self) -> (Vec<&'static str>, bool) {
            let reached = self.planted.lock().take().is_none();
            (std::mem::take(&mut *self.met.lock()), reached)
        }
    }
}
