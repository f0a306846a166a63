//! Event feeds: every source decodes what it receives into [`crate::trace::Event`]s.
//!
//! Nothing past this module depends on where an event came from.

pub mod archive;
pub mod await_resolver;
pub mod console;
pub mod console_health;
pub mod probe;
pub mod recording;
pub mod time_map;
pub mod wire;
