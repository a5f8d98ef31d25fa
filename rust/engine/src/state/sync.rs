//! The shared types of modelled code: `model.rs` compiles that code with locks that try every order
//! of events.

pub(crate) use std::sync::atomic::AtomicU64;

pub(crate) use parking_lot::RwLock;
