//! The locks of `group.rs`; `model.rs` compiles it with loom's locks, which try every order of
//! events.

pub(super) use parking_lot::{Condvar, Mutex};
