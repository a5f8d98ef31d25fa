//! The store compared with a model: on a disk that works, fails, crashes, and is damaged.

mod behaviour;
mod conditions;
mod crash;
mod damage;
mod faults;
mod following;
mod hostile;
mod kill;
mod model;
mod reopening;
