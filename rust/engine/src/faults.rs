//! Where tests let a step of the background fail or panic; nothing otherwise.

pub(crate) use inner::Faults;

#[cfg(not(test))]
mod inner {
    use crate::errors::WriteError;

    /// Nothing fails.
    #[derive(Default)]
    pub(crate) struct Faults {}

    impl Faults {
        #[inline(always)]
        #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "what tests put here fails")]
        pub(crate) const fn meet(&self, _step: &'static str) -> Result<(), WriteError> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod inner {
    use parking_lot::Mutex;

    use crate::errors::WriteError;

    /// Counts the steps that are met, and lets one of them fail.
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

        /// Let the `nth` step from now on fail, by a panic or an error.
        pub(crate) fn plant(&self, nth: usize, panics: bool) {
            self.met.lock().clear();
            *self.planted.lock() = Some((nth, panics));
        }

        /// What was met since, and whether the planted step was among it.
        pub(crate) fn clear(&self) -> (Vec<&'static str>, bool) {
            let reached = self.planted.lock().take().is_none();
            (std::mem::take(&mut *self.met.lock()), reached)
        }
    }
}
