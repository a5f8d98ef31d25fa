//! What filters promise, tested from outside.

mod common;
mod concurrent;
mod forms;
mod model;
mod refused;
mod upkeep;
