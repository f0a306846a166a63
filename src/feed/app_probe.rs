//! Decodes the stream of a program that has the probe (`loopscope-probe`): from a socket, or from a file.
//!
//! The stream has the records of each thread in order, and rounds that say up to which time all of them were sent.
//! [`AppProbeDecoder`] merges the threads, follows what each of them does, and turns records into events: exact polls,
//! wakes with their sources, awaits, resources with their owners, and ends. `docs/protocol.md` describes the protocol.
//!
//! ```
//! use loopscope::feed::app_probe::AppProbeDecoder;
//!
//! let mut decoder = AppProbeDecoder::of_connection();
//! let error = decoder.push(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
//! assert!(error.to_string().starts_with("not a program with the probe"));
//! ```

mod causality;
mod decoder;
mod definitions;
mod frame_reader;
mod lock_ownership;
mod operations;
mod replay;
mod resources;
mod suspension;
mod tasks;
mod thread_context;
mod thread_merger;
mod tick_clock;
mod timed_record;
mod workers;

pub use decoder::AppProbeDecoder;
pub use frame_reader::{ProbeError, is_probe_file};
