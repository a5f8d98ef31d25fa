//! A codec of any kind, made from the list in `registry.rs`.

use crate::codec::{Codec, Geometry, Parameters, ParametersError, Visitor};
use crate::rotation::Rotation;

/// A codec for one of the two geometries, each compiled separately.
#[derive(Clone)]
pub(crate) enum ByGeometry<P, S> {
    Product(P),
    Square(S),
}

impl<P: Codec, S: Codec> ByGeometry<P, S> {
    pub(crate) fn train(geometry: Geometry, rotation: Rotation, sample: &[f32]) -> Self {
        match geometry {
            Geometry::Product { .. } => Self::Product(P::train(geometry, rotation, sample)),
            Geometry::Square => Self::Square(S::train(geometry, rotation, sample)),
        }
    }

    pub(crate) fn from_parameters(
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError> {
        Ok(match geometry {
            Geometry::Product { .. } => Self::Product(P::from_parameters(geometry, rotation, parameters)?),
            Geometry::Square => Self::Square(S::from_parameters(geometry, rotation, parameters)?),
        })
    }

    pub(crate) fn section_bytes(geometry: Geometry, dim: usize) -> usize {
        match geometry {
            Geometry::Product { .. } => P::section_bytes(dim),
            Geometry::Square => S::section_bytes(dim),
        }
    }

    #[inline(always)]
    pub(crate) fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
        match self {
            Self::Product(codec) => codec.accept(visitor),
            Self::Square(codec) => codec.accept(visitor),
        }
    }

    pub(crate) fn row_bytes(&self) -> usize {
        match self {
            Self::Product(codec) => P::row_bytes(codec.dim()),
            Self::Square(codec) => S::row_bytes(codec.dim()),
        }
    }

    pub(crate) fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
        match self {
            Self::Product(codec) => codec.error(vector, scratch),
            Self::Square(codec) => codec.error(vector, scratch),
        }
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        match self {
            Self::Product(codec) => codec.parameters(),
            Self::Square(codec) => codec.parameters(),
        }
    }
}

/// Make the list of all codecs from one line each.
macro_rules! codecs {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $codec:ident;)+) => {
        /// The codecs by name, in the order in which `storage="auto"` tries them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CodecKind {
            $($(#[$doc])* $kind,)+
        }

        impl CodecKind {
            /// All codecs.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Return the name that users know.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Return the number in files.
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$kind => $number,)+
                }
            }

            /// See [`Codec::AUTO_MIN_DIM`].
            pub const fn auto_min_dim(self) -> Option<usize> {
                match self {
                    $(Self::$kind => $codec::<false>::AUTO_MIN_DIM,)+
                }
            }

            /// See [`Codec::LINKS`].
            pub const fn links(self) -> bool {
                match self {
                    $(Self::$kind => $codec::<false>::LINKS,)+
                }
            }

            /// See [`Codec::section_bytes`].
            pub fn section_bytes(self, geometry: Geometry, dim: usize) -> usize {
                match self {
                    $(Self::$kind => ByGeometry::<$codec<false>, $codec<true>>::section_bytes(geometry, dim),)+
                }
            }

            /// See [`Codec::train`].
            pub fn train(self, geometry: Geometry, rotation: Rotation, sample: &[f32]) -> AnyCodec {
                match self {
                    $(Self::$kind => AnyCodec(Any::$kind(ByGeometry::train(geometry, rotation, sample))),)+
                }
            }

            /// See [`Codec::from_parameters`].
            pub fn from_parameters(
                self,
                geometry: Geometry,
                rotation: Rotation,
                parameters: &Parameters<'_>,
            ) -> Result<AnyCodec, ParametersError> {
                Ok(AnyCodec(match self {
                    $(Self::$kind => Any::$kind(ByGeometry::from_parameters(geometry, rotation, parameters)?),)+
                }))
            }
        }

        #[derive(Clone)]
        enum Any {
            $($kind(ByGeometry<$codec<false>, $codec<true>>),)+
        }

        /// A fitted codec of any kind.
        #[derive(Clone)]
        pub struct AnyCodec(Any);

        impl AnyCodec {
            /// Return the kind of the codec.
            pub const fn kind(&self) -> CodecKind {
                match &self.0 {
                    $(Any::$kind(_) => CodecKind::$kind,)+
                }
            }

            /// Pass the codec to a visitor under its concrete type.
            #[inline(always)]
            pub fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
                match &self.0 {
                    $(Any::$kind(codec) => codec.accept(visitor),)+
                }
            }

            /// See [`Codec::row_bytes`].
            pub fn row_bytes(&self) -> usize {
                match &self.0 {
                    $(Any::$kind(codec) => codec.row_bytes(),)+
                }
            }

            /// See [`Codec::error`].
            pub fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
                match &self.0 {
                    $(Any::$kind(codec) => codec.error(vector, scratch),)+
                }
            }

            /// See [`Codec::parameters`].
            pub fn parameters(&self) -> Parameters<'_> {
                match &self.0 {
                    $(Any::$kind(codec) => codec.parameters(),)+
                }
            }
        }
    };
}
pub(crate) use codecs;
