//! Workloads: Lua scripts that run on the instrumented loop, their parameters and their catalog.
//!
//! [`catalog::find`] returns a [`manifest::Manifest`]. [`params::resolve`] returns the parameter values for a run, and
//! [`build_program`] turns both into a program for the lab. Errors point at a line of the script and never mention
//! Lua or Rust internals.
//!
//! ```
//! use loopscope::workload::manifest::ParamValue;
//! use loopscope::workload::{build_program, catalog, params};
//!
//! let manifest = catalog::find("countasync")?;
//! let values = params::resolve(&manifest, &[("counters".to_owned(), "5".to_owned())])?;
//! assert_eq!(values, [("counters".to_owned(), ParamValue::Number(5.0))]);
//! let _program = build_program(&manifest, values).expect("the script loads");
//!
//! assert!(catalog::find("countasinc").unwrap_err().to_string().contains("countasync"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

pub use closest_match::closest_match;
pub use fault::ScriptError;
pub use find_error::FindWorkloadError;
pub use host::global_names::GLOBAL_NAMES as SCRIPT_GLOBALS;
pub use permissions::Permissions;
pub use program::{build_program, build_program_with};
