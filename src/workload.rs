//! Workloads: Lua scripts that run on the instrumented loop, their parameters and their catalog.
//!
//! [`catalog::find`] returns a [`manifest::Manifest`]. [`params::resolve`] returns the parameter values for a run, and
//! [`build_program`] turns both into a program for the lab. Errors point at a line of the script and never mention
//! Lua or Rust internals.

pub mod catalog;
pub mod duration;
pub mod fault;
mod host;
pub mod manifest;
pub mod params;
mod permissions;
pub mod script;
mod script_source;
pub mod user_folder;

pub use host::{
    LOADING_CPU_MAX, MEMORY_BYTES_MAX, POLL_CPU_MAX, SCRIPT_GLOBALS, TASKS_MAX, build_program, build_program_with,
};
pub use permissions::Permissions;
