//! loopscope shows what an async event loop is really doing.
//!
//! Facts flow one way: a [`workload`] runs in the [`lab`], a [`feed`] carries what happens there into the [`trace`],
//! [`insight`] says what it means, and [`app`], [`view`] and [`report`] bring it to people. ARCHITECTURE.md draws the
//! map; `tests/suite/laws.rs` holds the rooms to it.

#[cfg(not(unix))]
compile_error!("loopscope rests on signals, process groups and named pipes: it is for Linux and other Unix systems");

pub mod app;
pub mod belongings;
pub mod cli;
pub mod control;
pub mod feed;
pub mod insight;
pub mod lab;
pub mod plain;
pub mod report;
pub mod session;
pub mod settings;
pub mod terminal;
pub mod trace;
pub mod view;
pub mod workload;
