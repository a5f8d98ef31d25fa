//! Tests of filters through the public interface.

mod common;
mod concurrent;
mod forms;
mod model;
mod refused;
mod upkeep;
