//! WHAT RUNS: scripts that a person can read on one screen, with their parameters and what they teach.
//!
//! [`catalog::find`] gives a [`manifest::Manifest`], [`params::resolve`] the values to run it with, and [`program`] what
//! the lab runs. Errors show the script's own line; nothing of Lua's or Rust's insides is in them.

pub mod catalog;
pub mod duration;
pub mod fault;
mod host;
pub mod manifest;
pub mod own;
pub mod params;
mod permissions;
pub mod script;
mod source;

pub use host::{LOADING_MAX, MEMORY_BYTES_MAX, STRETCH_MAX, TASKS_MAX, WORDS, program, program_with};
pub use permissions::Permissions;
