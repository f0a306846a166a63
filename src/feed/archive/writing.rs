//! Writing: chunks of what is new since the last time.

use super::{CHUNK_BYTES_MAX, HEAD, Head, MAGIC, PAUSED, REST, SEALED, TOLD, VERSION, told_outcome};
use crate::control::Outcome;
use crate::trace::Trace;
use crate::trace::archive::Cursor;

/// Bytes of sealed blocks that go into one chunk: what a damaged byte takes with it.
const SEALED_BYTES: usize = 1 << 18;

/// How a file begins.
pub fn beginning(head: &Head) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    let head = postcard::to_stdvec(head).expect("memory is the only thing that this needs");
    push_chunk(&mut bytes, HEAD, &head);
    bytes
}

fn push_chunk(bytes: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= CHUNK_BYTES_MAX) else { return };
    bytes.push(kind);
    bytes.extend(length.to_le_bytes());
    bytes.extend(checksum(kind, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

pub(super) fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// How far a trace is written.
#[derive(Debug, Default)]
pub struct Writer {
    cursor: Cursor,
    /// Sealed blocks that do not fill a chunk yet.
    sealed: Vec<u8>,
}

impl Writer {
    /// Blocks that were forgotten before they could be written: there was too little memory for too much.
    pub fn lost_blocks(&self) -> u64 {
        self.cursor.lost_blocks
    }

    /// Appends chunks of what is new and complete.
    pub fn new_chunks(&mut self, trace: &Trace, bytes: &mut Vec<u8>) {
        if let Some(told) = trace.told_since(&mut self.cursor) {
            // Blocks that wait refer to nothing newer than themselves, so they may come after this.
            push_chunk(bytes, TOLD, &told);
        }
        if let Some(pauses) = trace.pauses_told_since(&mut self.cursor) {
            push_chunk(bytes, PAUSED, &pauses);
        }
        trace.sealed_since(&mut self.cursor, &mut self.sealed);
        let ended = trace.ended_since(&mut self.cursor);
        if ended.is_some() || self.sealed.len() >= SEALED_BYTES {
            self.flush(bytes);
        }
        if let Some(ended) = ended {
            push_chunk(bytes, TOLD, &ended);
        }
    }

    /// Appends what waits to fill a chunk.
    pub fn flush(&mut self, bytes: &mut Vec<u8>) {
        if !self.sealed.is_empty() {
            push_chunk(bytes, SEALED, &self.sealed);
            self.sealed.clear();
        }
    }

    /// A chunk of everything that still changes, to be written after all that is new, and in the place of the last one.
    pub fn rest(&self, trace: &Trace, outcome: Option<&Outcome>) -> Vec<u8> {
        let outcome = postcard::to_stdvec(&told_outcome(outcome)).expect("memory is the only thing that this needs");
        let mut payload = (outcome.len() as u32).to_le_bytes().to_vec();
        payload.extend(outcome);
        payload.extend(trace.rest());
        let mut bytes = Vec::with_capacity(payload.len() + super::CHUNK_HEAD_BYTES);
        push_chunk(&mut bytes, REST, &payload);
        bytes
    }
}
