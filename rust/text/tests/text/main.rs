//! What a user of the text index is promised, against a plain reference.

mod bytes;
mod large;
mod model;
mod reference;
mod words;
