//! What threads share in code that is modelled: `model.rs` compiles that code with other locks, which try every order of events.

pub(crate) use std::sync::atomic::AtomicU64;

pub(crate) use parking_lot::RwLock;
