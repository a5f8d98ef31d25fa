//! Instruction sets: those that the machine has, and the one in use.

use std::env;

use thiserror::Error;

/// Environment variable that forces an instruction set.
pub(crate) const VARIABLE: &str = "TIERCEL_SIMD";

/// An instruction set, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Portable code, vectorized by the compiler for the baseline of the target.
    Scalar,
    /// AVX2 with FMA, F16C, BMI1, BMI2, LZCNT and POPCNT (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI, on top of [`Level::Avx2`].
    Avx512,
}

/// An instruction set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LevelError {
    /// The instruction set is unknown.
    #[error("{VARIABLE}: expected scalar, avx2 or avx512, got '{0}'")]
    Unknown(String),
    /// This machine lacks the instruction set.
    #[error("{VARIABLE}: expected an instruction set of this machine ({available}), got {got}")]
    Unavailable {
        /// The requested instruction set.
        got: &'static str,
        /// Names of those that the machine has.
        available: String,
    },
}

impl Level {
    /// All instruction sets, weakest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// Return the name that `TIERCEL_SIMD` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this machine and this build have the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(all(target_arch = "x86_64", not(without_avx512)))]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(any(not(target_arch = "x86_64"), without_avx512))]
            _ => false,
        }
    }

    /// List the instruction sets of this machine, weakest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|level| level.is_available())
    }

    /// Return the best that this machine has, or the one that `TIERCEL_SIMD` names.
    pub fn active() -> Result<Self, LevelError> {
        let available: Vec<Self> = Self::available().collect();
        match env::var_os(VARIABLE) {
            // A name that is not UTF-8 is an error, never ignored.
            Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy(), &available),
            _ => Ok(available.last().copied().unwrap_or(Self::Scalar)),
        }
    }

    fn named(name: &str, available: &[Self]) -> Result<Self, LevelError> {
        let level = Self::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or_else(|| LevelError::Unknown(name.to_owned()))?;
        if available.contains(&level) {
            return Ok(level);
        }
        let names: Vec<&str> = available.iter().map(|level| level.name()).collect();
        Err(LevelError::Unavailable { got: level.name(), available: names.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_level() {
        for level in Level::ALL {
            assert_eq!(Level::named(level.name(), &Level::ALL), Ok(level));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = Level::named("sse", &Level::ALL).unwrap_err();
        assert_eq!(error.to_string(), "TIERCEL_SIMD: expected scalar, avx2 or avx512, got 'sse'");
    }

    #[test]
    fn an_instruction_set_of_other_machines_is_an_error() {
        let error = Level::named("avx512", &[Level::Scalar, Level::Avx2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TIERCEL_SIMD: expected an instruction set of this machine (scalar, avx2), got avx512"
        );
    }
}
