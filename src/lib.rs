//! loopscope is a terminal inspector for tokio event loops.
//!
//! Data flows in one direction. A [`workload`] runs in the [`lab`]; a [`feed`] turns what happens into events in the
//! [`trace`]; [`insight`] analyses the trace; [`app`], [`view`] and [`report`] present it. ARCHITECTURE.md describes
//! the modules, and `tests/suite/layering.rs` enforces their dependencies.

#[cfg(not(unix))]
compile_error!("loopscope supports Unix systems only: it needs signals, process groups and named pipes");

pub mod app;
pub mod cleanup;
pub mod cli;
pub mod control;
pub mod feed;
pub mod insight;
pub mod lab;
pub mod report;
pub mod sanitize;
pub mod session;
pub mod settings;
pub mod terminal;
pub mod trace;
pub mod view;
pub mod workload;
