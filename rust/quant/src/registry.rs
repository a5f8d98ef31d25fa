//! The list of codecs, one line each.

use std::borrow::Cow;

use crate::additive::Additive;
use crate::any::{ByGeometry, codecs, shape_of};
use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training, Visitor};
use crate::rotation::Rotation;
use crate::scalar::{Sq4, Sq8};
use crate::shape::AdditiveShape;

codecs! {
    // kind = number in files, name, type; `storage="auto"` tries them in this order
    {
        /// Half a byte per value.
        Sq4 = 2, "sq4", Sq4;
        /// A byte per value.
        Sq8 = 3, "sq8", Sq8;
    }
    // kind(shape: its type), type; the shape knows name and number
    {
        /// Sums of centroids.
        Additive(shape: AdditiveShape), Additive;
    }
}
