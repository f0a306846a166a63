//! The library behind `loopscope`, a terminal inspector for tokio event loops.
//!
//! It records what the tasks of an event loop do, keeps the history in bounded memory, finds problems in it and writes
//! reports. Use it to run a program on the instrumented loop in a test, to read recordings and archives, or to check a
//! trace with lints:
//!
//! | module | purpose |
//! |---|---|
//! | [`session`] | one source of events with its trace: a run, an attached app, a recording or an archive |
//! | [`workload`] | Lua scripts that run on the instrumented loop |
//! | [`lab`] | the instrumented loop, also for programs in Rust |
//! | [`feed`] | decoders of archives, of console-subscriber's recordings and of its wire format |
//! | [`trace`] | the event store, which answers questions about any loop time |
//! | [`insight`] | findings and a summary of a trace |
//! | [`report`] | JSON and text reports |
//! | [`control`] | commands, breakpoints and the status of a session |
//!
//! Data flows in one direction: a source is decoded by a feed into [`trace::Event`]s, [`trace::Trace::apply`] stores them,
//! and everything else only reads. ARCHITECTURE.md describes all modules, also those of the program.
//!
//! The crate needs `--cfg tokio_unstable`, because tokio's instrumentation does.
//!
//! ```
//! use loopscope::feed::recording::{RecordingClock, RecordingDecoder};
//! use loopscope::insight::{Thresholds, run_lints};
//! use loopscope::trace::Trace;
//!
//! let mut trace = Trace::default();
//! let mut decoder = RecordingDecoder::new(RecordingClock::from_first());
//! decoder.decode(b"{\"v\":1}\n", &(), &mut |event| trace.apply(event))?;
//! assert!(run_lints(&trace, &Thresholds::default()).listed.is_empty());
//! # Ok::<(), loopscope::feed::recording::RecordingError>(())
//! ```

#![warn(missing_docs)]

#[cfg(not(unix))]
compile_error!("loopscope supports Unix systems only: it needs signals, process groups and named pipes");

mod app;
mod cleanup;
mod cli;
pub mod control;
pub mod feed;
pub mod insight;
#[doc(hidden)]
pub mod internals;
pub mod lab;
pub mod report;
mod sanitize;
pub mod session;
mod settings;
mod terminal;
pub mod trace;
mod view;
pub mod workload;

pub use cli::{CliExit, main as run_command_line};
