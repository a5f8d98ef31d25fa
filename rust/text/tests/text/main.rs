//! The promises of the text index, tested against a plain reference.

mod bytes;
mod large;
mod model;
mod reference;
mod words;
