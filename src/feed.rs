//! HOW FACTS ARRIVE: each source says what it knows as [`crate::trace::Event`]s, and behind this door nobody knows
//! where a fact came from.

pub mod archive;
pub mod console;
pub mod examination;
mod lateness;
pub mod probe;
pub mod recording;
pub mod time_map;
pub mod wire;
