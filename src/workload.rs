//! Workloads: Lua scripts that run on the instrumented loop, their parameters and their catalog.
//!
//! [`catalog::find`] returns a [`manifest::Manifest`]. [`params::resolve`] returns the parameter values for a run, and
//! [`build_program`] turns both into a program for the lab. Errors point at a line of the script and never mention
//! Lua or Rust internals.

pub mod catalog;
mod closest_match;
mod fault;
mod find_error;
mod host;
pub mod manifest;
pub mod params;
mod permissions;
mod program;
pub mod script;
mod script_source;
pub mod user_folder;

pub use fault::ScriptError;
pub use find_error::FindWorkloadError;
pub use host::global_names::GLOBAL_NAMES as SCRIPT_GLOBALS;
pub use permissions::Permissions;
pub use program::{build_program, build_program_with};
