//! The archive: a run in a file that is written while the run goes on. Reading it restores the same trace.
//!
//! ```text
//! file  = "loopscope" 0x00, version (u16), then chunks; all numbers little-endian
//! chunk = kind (u8), payload length (u32), CRC-32 of kind and payload (u32), payload
//! ```
//! A `HEADER` chunk describes the run, and each `SOURCE_FILE` holds a file that locations refer to. `DELTA` and
//! `SEALED_BLOCKS` are pieces of the trace in order of time; they are never rewritten. The `TAIL` after them is
//! everything that still changes; the next one overwrites it. A `QUEUE_DEPTHS` chunk may follow it, as a part of it. A
//! `FEED` chunk corrects the feed of the header.
//!
//! Each chunk has its own checksum, so a file that is truncated or damaged is good up to that point. Without its `TAIL`
//! it lacks its newest end, a few seconds at most. The format version is 4. Version 3, which has no workers and no chains
//! of awaits, is read as well; earlier ones were never released.
//!
//! ```
//! use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning, read_archive};
//! use loopscope::trace::{Event, Trace};
//!
//! let mut trace = Trace::default();
//! trace.apply(Event::Advance { at: 1_000 });
//!
//! let header = ArchiveHeader { name: "idle".to_owned(), ..ArchiveHeader::default() };
//! let mut file = encode_beginning(&header);
//! let mut writer = ArchiveWriter::default();
//! writer.write_new_chunks(&trace, &mut file)?;
//! file.extend(writer.encode_tail(&trace, None, "")?);
//!
//! let opened = read_archive(&file[..], usize::MAX).expect("the archive is complete");
//! assert_eq!(opened.header.name, "idle");
//! assert_eq!(opened.trace.now(), 1_000);
//! # Ok::<(), std::io::Error>(())
//! ```

mod reader;
mod writer;

pub use reader::{ArchiveError, OpenedArchive, is_archive, read_archive};
pub use writer::{ArchiveWriter, encode_beginning, write_feed};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::RunOutcome;

/// First bytes of a file.
const MAGIC: &[u8; 10] = b"loopscope\0";

/// Format version that is written. Version 3 differs only in that it has no workers and no chains of awaits.
const VERSION: u16 = 4;

/// Oldest format version that is read.
const OLDEST_VERSION: u16 = 3;

/// Longest payload of a chunk.
const CHUNK_BYTES_MAX: usize = 1 << 30;

/// Bytes of a chunk before its payload.
const CHUNK_HEADER_BYTES: usize = 9;

const HEADER: u8 = 1;
const DELTA: u8 = 2;
const SEALED_BLOCKS: u8 = 3;
const TAIL: u8 = 4;
const SOURCE_FILE: u8 = 5;
/// The feed, if it turned out to be another one than the header says. The last one counts.
const FEED: u8 = 6;
/// Sampled depths of the runtime's queues. It follows the tail.
const QUEUE_DEPTHS: u8 = 7;

/// Most source files, and their total size in bytes.
const SOURCE_FILES_MAX: usize = 256;
const SOURCE_FILES_BYTES_MAX: usize = 16 << 20;

/// What ran and how: everything in a report besides the trace and the outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveHeader {
    /// Version of the loopscope that wrote the file.
    pub loopscope: String,
    /// Kind of source, as in the report: for example `workload`.
    pub source: String,
    /// Clock, as in the report: `real` or `virtual`.
    pub clock: String,
    /// Feed, as in the report: for example `both`.
    pub feed: String,
    /// Name of the workload, program or file.
    pub name: String,
    /// Parameters of the workload by name.
    pub params: Vec<(String, ArchivedParam)>,
    /// Random seed of the workload.
    pub seed: u64,
}

/// Value of a workload parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ArchivedParam {
    /// A number.
    Number(f64),
    /// A duration.
    Duration(Duration),
    /// A switch.
    Boolean(bool),
    /// A string.
    Text(String),
}

/// State of the run when the file was last written.
#[derive(Default, Serialize, Deserialize)]
struct ArchivedStatus {
    /// Outcome as named in the report, with its result as JSON or its error.
    outcome: Option<(String, String)>,
    /// Caveats for the user, as in the report.
    note: String,
}

impl ArchivedStatus {
    fn of(outcome: Option<&RunOutcome>, note: &str) -> Self {
        let text = |outcome: &RunOutcome| match outcome {
            RunOutcome::Completed(value) => value.to_string(),
            RunOutcome::Failed(error) => error.clone(),
            RunOutcome::Cancelled | RunOutcome::Detached => String::new(),
        };
        let outcome = outcome.map(|outcome| (outcome.name().to_owned(), text(outcome)));
        Self { outcome, note: note.to_owned() }
    }
}

fn restore_outcome(archived: Option<(String, String)>) -> Option<RunOutcome> {
    let (name, text) = archived?;
    Some(match name.as_str() {
        "completed" => RunOutcome::Completed(serde_json::from_str(&text).unwrap_or_default()),
        "failed" => RunOutcome::Failed(text),
        "detached" => RunOutcome::Detached,
        _ => RunOutcome::Cancelled,
    })
}
