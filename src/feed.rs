//! Event feeds: every source decodes what it receives into [`crate::trace::Event`]s.
//!
//! Nothing past this module depends on where an event came from.

pub mod app_probe;
pub mod archive;
mod asyncio_names;
pub(crate) mod await_resolver;
pub(crate) mod console;
pub(crate) mod console_health;
pub(crate) mod probe;
pub mod recording;
pub(crate) mod time_map;
mod tokio_names;
pub mod wire;
