//! The archive: a run in a file, written while it goes on, from which the same trace can be made again.
//!
//! ```text
//! file  = "loopscope" 0x00, version (u16), then chunks; all numbers little-endian
//! chunk = kind (u8), length of what follows (u32), CRC-32 of kind and payload (u32), payload
//! ```
//! A `HEAD` says what ran, and each `SOURCE` has a file that locations name. `TOLD` and `SEALED` are pieces of the trace
//! in order of time, which are never written again; the `REST` after them is everything that still changes, and the next
//! one takes its place. Each chunk is checked by
//! itself, so a file that ends anywhere, or is damaged somewhere, is good up to there: without its `REST` it lacks its
//! newest end, some seconds of it at most. Version 2; nothing reads version 1, which no
//! release wrote.

mod reading;
mod writing;

pub use reading::{Opened, Problem, is_archive, read};
pub use writing::{Writer, beginning};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::Outcome;

/// With what a file begins.
const MAGIC: &[u8; 10] = b"loopscope\0";

/// The version that is written, and the only one that is read.
const VERSION: u16 = 2;

/// Bytes of the longest payload.
const CHUNK_BYTES_MAX: usize = 1 << 30;

/// Bytes before a chunk's payload.
const CHUNK_HEAD_BYTES: usize = 9;

const HEAD: u8 = 1;
const TOLD: u8 = 2;
const SEALED: u8 = 3;
const REST: u8 = 4;
const SOURCE: u8 = 5;

/// Files that locations name, and bytes of all of them.
const SOURCES_MAX: usize = 256;
const SOURCES_BYTES_MAX: usize = 16 << 20;

/// What ran, and how: all that a report says besides the trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The program that wrote the file.
    pub loopscope: String,
    /// Words as in the report: `workload`, `virtual`, `both`.
    pub source: String,
    pub clock: String,
    pub feed: String,
    pub name: String,
    pub params: Vec<(String, Param)>,
    pub seed: u64,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Param {
    Number(f64),
    Duration(Duration),
    Boolean(bool),
    Text(String),
}

/// How a run stood when it was written last, besides its trace.
#[derive(Default, Serialize, Deserialize)]
struct Standing {
    /// How it came out, in the words of the report, with the result as JSON or what went wrong.
    outcome: Option<(String, String)>,
    /// What a person was to know of what they saw.
    note: String,
}

impl Standing {
    fn of(outcome: Option<&Outcome>, note: &str) -> Self {
        let text = |outcome: &Outcome| match outcome {
            Outcome::Completed(value) => value.to_string(),
            Outcome::Failed(error) => error.clone(),
            Outcome::Cancelled | Outcome::Detached => String::new(),
        };
        let outcome = outcome.map(|outcome| (outcome.name().to_owned(), text(outcome)));
        Self { outcome, note: note.to_owned() }
    }
}

fn outcome_of(told: Option<(String, String)>) -> Option<Outcome> {
    let (name, text) = told?;
    Some(match name.as_str() {
        "completed" => Outcome::Completed(serde_json::from_str(&text).unwrap_or_default()),
        "failed" => Outcome::Failed(text),
        "detached" => Outcome::Detached,
        _ => Outcome::Cancelled,
    })
}
