//! Run a loop in the space in which an index compares its vectors.

use std::any::Any;

use tiercel_quant::{Codec, Visitor};
use tiercel_simd::{Isa, Level, Loop};

use crate::storage::codes::{CodeSpace, Codes};
use crate::storage::rows::Rows;
use crate::storage::space::{RawSpace, Space};

/// The vectors or codes that are compared.
#[derive(Clone, Copy)]
pub(crate) enum AnySpace<'a> {
    /// The full vectors.
    Raw(&'a Rows),
    /// Codes.
    Codes(&'a Codes),
}

/// A loop over vectors, compiled for each space and each instruction set.
pub(crate) trait SpaceLoop {
    /// The result of the loop.
    type Output;

    /// Whether the loop only links vectors. It is not compiled for codes that do not
    /// [link](Codec::LINKS).
    const LINKS: bool = false;

    /// Run the loop. Mark it `#[inline(always)]`, as [`Loop::run`].
    fn run<I: Isa, S: Space>(self, space: S) -> Self::Output;
}

impl AnySpace<'_> {
    /// Return the number of slots; those below it can be compared.
    pub(crate) fn slots(self) -> usize {
        match self {
            Self::Raw(rows) => RawSpace(rows).slots(),
            Self::Codes(codes) => codes.bytes.len(),
        }
    }

    /// Run a loop in this space. The space and the instruction set are chosen once per loop.
    #[inline(always)]
    pub(crate) fn run<L: SpaceLoop>(self, level: Level, work: L) -> L::Output {
        match self {
            Self::Raw(rows) => level.run(InSpace { space: RawSpace(rows), work }),
            Self::Codes(codes) => codes.codec.accept(OnCodes { codes, level, work }),
        }
    }
}

struct OnCodes<'a, L> {
    codes: &'a Codes,
    level: Level,
    work: L,
}

impl<L: SpaceLoop> Visitor for OnCodes<'_, L> {
    type Output = L::Output;

    #[inline(always)]
    fn visit<C: Codec, const DIM: usize>(self, codec: &C) -> L::Output {
        if L::LINKS && !C::LINKS {
            unreachable!("State::linking_space has no such codes");
        }
        self.level.run(InSpace { space: CodeSpace::<C, DIM>::new(self.codes, codec), work: self.work })
    }
}

struct InSpace<S, L> {
    space: S,
    work: L,
}

impl<S: Space, L: SpaceLoop> Loop for InSpace<S, L> {
    type Output = L::Output;

    #[inline(always)]
    fn run<I: Isa>(self) -> L::Output {
        self.work.run::<I, S>(self.space)
    }
}

/// Memory that a thread keeps from one loop to the next, of types that depend on the space: one
/// value per requested type.
#[derive(Default)]
pub(crate) struct Kept(Vec<Box<dyn Any + Send>>);

impl Kept {
    /// Return the value of a type, as the last loop left it. Allocate on the first request for the
    /// type.
    #[inline]
    pub(crate) fn get<T: Default + Send + 'static>(&mut self) -> &mut T {
        let at = self.0.iter().position(|kept| kept.is::<T>()).unwrap_or_else(|| {
            self.0.push(Box::<T>::default());
            self.0.len() - 1
        });
        self.0[at].downcast_mut().expect("the type that was looked for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_their_type() {
        let mut kept = Kept::default();
        kept.get::<Vec<u8>>().push(7);
        kept.get::<Vec<u16>>().push(8);
        let place = kept.get::<Vec<u8>>().as_ptr();
        assert_eq!(kept.get::<Vec<u8>>(), &[7]);
        assert_eq!(kept.get::<Vec<u16>>(), &[8]);
        assert_eq!(kept.get::<Vec<u8>>().as_ptr(), place);
    }
}
