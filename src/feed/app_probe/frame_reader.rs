//! Splits the bytes of a stream into frames and parses them.

use loopscope_probe::protocol::{
    Definition, FILE_MAGIC, FRAME_BYTES_MAX, FrameKind, Hello, Output, Reply, VERSION, split_frame,
};
use serde::de::DeserializeOwned;

use super::timed_record::{TimedRecord, parse_records, parse_words};
use crate::sanitize::{sanitize, truncate};

/// Longest part of a malformed message that an error shows, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// Ticks per second of a stream whose ticks are nanoseconds.
const NANOSECONDS: u64 = 1_000_000_000;

/// Why a stream cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The stream does not begin with a description of the program.
    #[error("not a program with the probe: {0}")]
    NotAProbe(String),
    /// The program speaks another version of the protocol.
    #[error(
        "the program's probe speaks version {0} of the protocol, and this loopscope version {VERSION}\n\
         help: use a loopscope and a loopscope-probe of the same release"
    )]
    Version(u32),
    /// The length of a frame is 0 or above the limit.
    #[error("malformed stream: a frame of {0} bytes")]
    FrameLength(u32),
}

/// A frame from the program.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeFrame {
    /// The description of the program.
    Hello(Box<Hello>),
    /// Records of one thread.
    Records {
        /// The thread; 0 for the snapshot.
        thread: u32,
        /// Its records, in order.
        records: Vec<TimedRecord>,
    },
    /// The text or description behind an id.
    Definition(Box<Definition>),
    /// The end of a round.
    Round {
        /// Everything before these ticks was sent.
        ticks: u64,
        /// The monotonic clock at that time, in nanoseconds.
        monotonic_ns: u64,
    },
    /// The state of the program's gate.
    Reply(Box<Reply>),
    /// The program ends.
    Bye,
    /// A line that the program printed.
    Output(Box<Output>),
    /// Everything that lived when recording began has been sent.
    SnapshotEnd,
}

/// Splits and parses a stream.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of the stream before the buffer.
    before: u64,
    /// Bytes of the buffer that are parsed.
    parsed: usize,
    has_hello: bool,
    /// The monotonic clock at the base of the stream, in nanoseconds, if a tick is a nanosecond.
    base_ns: Option<u64>,
    /// A file begins with its magic bytes, a connection does not.
    is_file: bool,
    skipped_frames: u64,
    skipped_records: u64,
}

impl FrameReader {
    /// Creates a reader of a connection.
    pub fn of_connection() -> Self {
        Self::default()
    }

    /// Creates a reader of a file.
    pub fn of_file() -> Self {
        Self { is_file: true, ..Self::default() }
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.parsed == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.parsed);
        }
        self.before += self.parsed as u64;
        self.parsed = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the number of bytes that are parsed.
    pub fn position(&self) -> u64 {
        self.before + self.parsed as u64
    }

    /// Whether bytes of an incomplete frame are left.
    pub fn is_truncated(&self) -> bool {
        self.parsed < self.buffer.len()
    }

    /// Returns how many frames, and how many records, were skipped because they are unknown or malformed.
    pub fn skipped(&self) -> (u64, u64) {
        (self.skipped_frames, self.skipped_records)
    }

    /// Returns the next complete frame; `None` until more bytes arrive. Unknown and malformed frames are skipped.
    ///
    /// # Errors
    /// Returns an error if this is no stream of a probe, if its version differs, or if it is malformed.
    pub fn next_frame(&mut self) -> Result<Option<ProbeFrame>, ProbeError> {
        if self.is_file && !self.take_magic()? {
            return Ok(None);
        }
        loop {
            let bytes = &self.buffer[self.parsed..];
            if !self.has_hello {
                check_start(bytes)?;
            }
            let ((kind, payload), left) = match split_frame(bytes, FRAME_BYTES_MAX) {
                Ok(Some((frame, rest))) => (frame, rest.len()),
                Ok(None) => return Ok(None),
                Err(length) => return Err(ProbeError::FrameLength(length)),
            };
            let frame = match (FrameKind::from_number(kind), payload.split_first_chunk::<4>()) {
                (Some(FrameKind::Records), Some((thread, records))) => {
                    let (records, skipped) = parse_records(records);
                    self.skipped_records += skipped;
                    Some(ProbeFrame::Records { thread: u32::from_le_bytes(*thread), records })
                }
                (Some(FrameKind::Words), Some((thread, words))) => self.base_ns.map(|base_ns| {
                    let (records, skipped) = parse_words(words, base_ns);
                    self.skipped_records += skipped;
                    ProbeFrame::Records { thread: u32::from_le_bytes(*thread), records }
                }),
                (kind, _) => parse_rare(kind, payload),
            };
            if !self.has_hello {
                let Some(ProbeFrame::Hello(hello)) = &frame else { return Err(first_frame_error(payload)) };
                if hello.protocol != VERSION {
                    return Err(ProbeError::Version(hello.protocol));
                }
                self.has_hello = true;
                self.base_ns = (hello.ticks_per_second == NANOSECONDS).then_some(hello.base_monotonic_ns);
            }
            self.parsed = self.buffer.len() - left;
            match frame {
                Some(frame) => return Ok(Some(frame)),
                None => self.skipped_frames += 1,
            }
        }
    }

    /// Skips the magic bytes of a file. Returns whether they are complete.
    fn take_magic(&mut self) -> Result<bool, ProbeError> {
        let start = &self.buffer[self.parsed..];
        let length = start.len().min(FILE_MAGIC.len());
        if start[..length] != FILE_MAGIC[..length] {
            // The last byte is the version.
            return Err(match start.split_at_checked(FILE_MAGIC.len() - 1) {
                Some((name, [version, ..])) if *name == FILE_MAGIC[..FILE_MAGIC.len() - 1] => {
                    ProbeError::Version((*version).into())
                }
                _ => ProbeError::NotAProbe("the file does not begin with its magic bytes".to_owned()),
            });
        }
        let is_complete = length == FILE_MAGIC.len();
        if is_complete {
            self.parsed += length;
            self.is_file = false;
        }
        Ok(is_complete)
    }
}

/// Returns whether the bytes at the start of a file are those of a probe's file, of whatever version.
pub fn is_probe_file(start: &[u8]) -> bool {
    let name = FILE_MAGIC.split_last().map_or(&FILE_MAGIC[..], |(_, name)| name);
    start.starts_with(name)
}

/// Checks the first bytes of a stream. Another program may never send as many bytes as they seem to announce.
fn check_start(bytes: &[u8]) -> Result<(), ProbeError> {
    let is_hello = bytes.get(4).is_none_or(|kind| *kind == FrameKind::Hello as u8);
    if is_hello { Ok(()) } else { Err(first_frame_error(bytes)) }
}

fn first_frame_error(bytes: &[u8]) -> ProbeError {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    ProbeError::NotAProbe(format!("it begins with `{}`", truncate(&sanitize(&start), SHOWN_BYTES_MAX)))
}

/// Parses a frame without records. Returns `None` if it is unknown or malformed.
fn parse_rare(kind: Option<FrameKind>, payload: &[u8]) -> Option<ProbeFrame> {
    Some(match kind? {
        FrameKind::Records | FrameKind::Words => return None,
        FrameKind::Hello => ProbeFrame::Hello(json(payload)?),
        FrameKind::Definition => ProbeFrame::Definition(json(payload)?),
        FrameKind::Round => {
            let (ticks, rest) = payload.split_first_chunk::<8>()?;
            let (monotonic, _) = rest.split_first_chunk::<8>()?;
            ProbeFrame::Round { ticks: u64::from_le_bytes(*ticks), monotonic_ns: u64::from_le_bytes(*monotonic) }
        }
        FrameKind::Reply => ProbeFrame::Reply(json(payload)?),
        FrameKind::Bye => ProbeFrame::Bye,
        FrameKind::Output => ProbeFrame::Output(json(payload)?),
        FrameKind::SnapshotEnd => ProbeFrame::SnapshotEnd,
    })
}

fn json<T: DeserializeOwned>(payload: &[u8]) -> Option<Box<T>> {
    serde_json::from_slice(payload).ok().map(Box::new)
}
