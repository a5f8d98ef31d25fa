//! The locks of code that is modelled: `model.rs` compiles that code with others, which try every order of events.

pub(super) use parking_lot::{Condvar, Mutex};
