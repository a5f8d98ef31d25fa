//! A codec of any kind, made from the list in `registry.rs`.

use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training, Visitor};
use crate::rotation::Rotation;

/// A codec for one of the two geometries, each compiled separately.
#[derive(Clone)]
pub(crate) enum ByGeometry<P, S> {
    Product(P),
    Square(S),
}

impl<P: Codec, S: Codec<Shape = P::Shape>> ByGeometry<P, S> {
    pub(crate) fn train(shape: P::Shape, training: Training<'_>) -> Self {
        match training.geometry {
            Geometry::Product { .. } => Self::Product(P::train(shape, training)),
            Geometry::Square => Self::Square(S::train(shape, training)),
        }
    }

    pub(crate) fn from_parameters(
        shape: P::Shape,
        geometry: Geometry,
        rotation: Rotation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, ParametersError> {
        Ok(match geometry {
            Geometry::Product { .. } => Self::Product(P::from_parameters(shape, geometry, rotation, parameters)?),
            Geometry::Square => Self::Square(S::from_parameters(shape, geometry, rotation, parameters)?),
        })
    }

    pub(crate) fn section_bytes(shape: P::Shape, geometry: Geometry, dim: usize) -> usize {
        match geometry {
            Geometry::Product { .. } => P::section_bytes(shape, dim),
            Geometry::Square => S::section_bytes(shape, dim),
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
            Self::Product(codec) => codec.row_bytes(codec.dim()),
            Self::Square(codec) => codec.row_bytes(codec.dim()),
        }
    }

    pub(crate) fn stride(&self) -> usize {
        match self {
            Self::Product(codec) => codec.stride(codec.dim()),
            Self::Square(codec) => codec.stride(codec.dim()),
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

/// Make the list of all codecs from one line each: first those without parameters, then those with.
macro_rules! codecs {
    (
        { $($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $codec:ident;)+ }
        { $($(#[$shaped_doc:meta])* $shaped:ident($shape:ident: $type:ty), $shaped_codec:ident;)* }
    ) => {
        codecs! {
            $($(#[$doc])* $kind = $number, $name, $codec;)+
            $($(#[$shaped_doc])* $shaped($shape: $type) = $shape.number(), $shape.name(), $shaped_codec;)*
        }

        impl CodecKind {
            /// All codecs without parameters.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Return the codec that users know by this name.
            pub fn from_name(name: &str) -> Option<Self> {
                let plain = Self::ALL.iter().copied().find(|kind| kind.name() == name);
                plain$(.or_else(|| <$type>::from_name(name).map(Self::$shaped)))*
            }

            /// Return the codec of a number in files, and of its number of parts if it has any.
            pub fn from_number(number: u8, parts: Option<u32>) -> Option<Self> {
                let Some(parts) = parts else {
                    return Self::ALL.iter().copied().find(|kind| kind.number() == number);
                };
                None$(.or_else(|| <$type>::from_number(number, parts).map(Self::$shaped)))*
            }

            /// Return the number of parts, and the most that vectors of `dim` values can have; `None`
            /// for a codec without parts.
            pub fn parts(self, dim: usize) -> Option<(usize, usize)> {
                match self {
                    $(Self::$shaped($shape) => Some(($shape.parts(), $shape.most_parts(dim))),)*
                    _ => None,
                }
            }
        }
    };

    ($($(#[$doc:meta])* $kind:ident $(($shape:ident: $type:ty))? = $number:expr, $name:expr, $codec:ident;)+) => {
        /// The codecs by name, in the order in which `storage="auto"` tries them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CodecKind {
            $($(#[$doc])* $kind $(($type))?,)+
        }

        impl CodecKind {
            /// Return the name that users know.
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(Self::$kind $(($shape))? => Cow::from($name),)+
                }
            }

            /// Return the number in files.
            pub fn number(self) -> u8 {
                match self {
                    $(Self::$kind $(($shape))? => $number,)+
                }
            }

            /// See [`Codec::AUTO_MIN_DIM`].
            pub const fn auto_min_dim(self) -> Option<usize> {
                match self {
                    $(Self::$kind { .. } => $codec::<false>::AUTO_MIN_DIM,)+
                }
            }

            /// See [`Codec::LINKS`].
            pub const fn links(self) -> bool {
                match self {
                    $(Self::$kind { .. } => $codec::<false>::LINKS,)+
                }
            }

            /// See [`Codec::section_bytes`].
            pub fn section_bytes(self, geometry: Geometry, dim: usize) -> usize {
                match self {
                    $(Self::$kind $(($shape))? => ByGeometry::<$codec<false>, $codec<true>>::section_bytes(
                        shape_of!($($shape)?), geometry, dim,
                    ),)+
                }
            }

            /// See [`Codec::train`].
            pub fn train(self, training: Training<'_>) -> AnyCodec {
                let codec = match self {
                    $(Self::$kind $(($shape))? => Any::$kind(ByGeometry::train(shape_of!($($shape)?), training)),)+
                };
                AnyCodec { kind: self, codec }
            }

            /// See [`Codec::from_parameters`].
            pub fn from_parameters(
                self,
                geometry: Geometry,
                rotation: Rotation,
                parameters: &Parameters<'_>,
            ) -> Result<AnyCodec, ParametersError> {
                let codec = match self {
                    $(Self::$kind $(($shape))? => Any::$kind(ByGeometry::from_parameters(
                        shape_of!($($shape)?), geometry, rotation, parameters,
                    )?),)+
                };
                Ok(AnyCodec { kind: self, codec })
            }
        }

        #[derive(Clone)]
        enum Any {
            $($kind(ByGeometry<$codec<false>, $codec<true>>),)+
        }

        /// A fitted codec of any kind.
        #[derive(Clone)]
        pub struct AnyCodec {
            kind: CodecKind,
            codec: Any,
        }

        impl AnyCodec {
            /// Return the kind of the codec.
            pub const fn kind(&self) -> CodecKind {
                self.kind
            }

            /// Pass the codec to a visitor under its concrete type.
            #[inline(always)]
            pub fn accept<V: Visitor>(&self, visitor: V) -> V::Output {
                match &self.codec {
                    $(Any::$kind(codec) => codec.accept(visitor),)+
                }
            }

            /// See [`Codec::row_bytes`].
            pub fn row_bytes(&self) -> usize {
                match &self.codec {
                    $(Any::$kind(codec) => codec.row_bytes(),)+
                }
            }

            /// See [`Codec::stride`].
            pub fn stride(&self) -> usize {
                match &self.codec {
                    $(Any::$kind(codec) => codec.stride(),)+
                }
            }

            /// See [`Codec::error`].
            pub fn error(&self, vector: &[f32], scratch: &mut Vec<f32>) -> f64 {
                match &self.codec {
                    $(Any::$kind(codec) => codec.error(vector, scratch),)+
                }
            }

            /// See [`Codec::parameters`].
            pub fn parameters(&self) -> Parameters<'_> {
                match &self.codec {
                    $(Any::$kind(codec) => codec.parameters(),)+
                }
            }
        }
    };
}
pub(crate) use codecs;

/// The shape that a pattern of [`codecs`] binds; `()` if it binds none.
macro_rules! shape_of {
    () => {
        ()
    };
    ($shape:ident) => {
        $shape
    };
}
pub(crate) use shape_of;
