//! The list of codecs, one line each.

use std::borrow::Cow;

use crate::additive::Additive;
use crate::any::{ByGeometry, codecs, shape_of};
use crate::codec::{Codec, Geometry, Parameters, ParametersError, Training, Visitor};
use crate::half::{Bf16, F16};
use crate::rabitq::{Rabitq1, Rabitq2, Rabitq3, Rabitq4};
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
        /// The direction in a bit per value, and two floats.
        Rabitq1 = 4, "rabitq1", Rabitq1;
        /// The direction in 2 bits per value, and two floats.
        Rabitq2 = 5, "rabitq2", Rabitq2;
        /// The direction in 3 bits per value, and two floats.
        Rabitq3 = 6, "rabitq3", Rabitq3;
        /// The direction in 4 bits per value, and two floats.
        Rabitq4 = 7, "rabitq4", Rabitq4;
        /// Half precision.
        F16 = 13, "f16", F16;
        /// The upper half of a float per value.
        Bf16 = 14, "bf16", Bf16;
    }
    // kind(shape: its type), type; the shape knows name and number
    {
        /// Sums of centroids.
        Additive(shape: AdditiveShape), Additive;
    }
}
