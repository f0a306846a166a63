//! Writing: chunks of what is new since the last time.

use std::io::{self, Write};
use std::sync::Arc;

use super::{
    CHUNK_BYTES_MAX, HEAD, Head, MAGIC, REST, SEALED, SOURCE, SOURCES_BYTES_MAX, SOURCES_MAX, Standing, TOLD, VERSION,
};
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
    push_chunk(&mut bytes, HEAD, &head).expect("memory takes it");
    bytes
}

fn push_chunk(out: &mut dyn Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= CHUNK_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "one piece of it is too long"))?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&checksum(kind, payload).to_le_bytes())?;
    out.write_all(payload)
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
    /// Files that were looked at, and bytes of those that are written.
    sources: usize,
    source_bytes: usize,
}

impl Writer {
    /// Appends those of the files that locations name that came since the last time. What is too much is left out: it is
    /// there to be read beside what happened, and no part of that.
    ///
    /// # Errors
    /// Whatever `out` refuses.
    pub fn new_sources(&mut self, sources: &[(Arc<str>, String)], out: &mut dyn Write) -> io::Result<()> {
        for source in sources.iter().take(SOURCES_MAX).skip(self.sources) {
            let source_bytes = self.source_bytes + source.1.len();
            if source_bytes <= SOURCES_BYTES_MAX {
                self.source_bytes = source_bytes;
                let source = postcard::to_stdvec(source).expect("memory is the only thing that this needs");
                push_chunk(out, SOURCE, &source)?;
            }
        }
        self.sources = sources.len();
        Ok(())
    }

    /// Blocks that were forgotten before they could be written: there was too little memory for too much.
    pub fn lost_blocks(&self) -> u64 {
        self.cursor.lost_blocks
    }

    /// Appends chunks of what is new and complete.
    ///
    /// # Errors
    /// Whatever `out` refuses.
    pub fn new_chunks(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
        if let Some(told) = trace.told_since(&mut self.cursor) {
            // Blocks that wait refer to nothing newer than themselves, so they may come after this.
            push_chunk(out, TOLD, &told)?;
        }
        let mut written = Ok(());
        trace.sealed_since(&mut self.cursor, &mut self.sealed, |sealed| {
            if sealed.len() >= SEALED_BYTES {
                if written.is_ok() {
                    written = push_chunk(out, SEALED, sealed);
                }
                sealed.clear();
            }
        });
        written?;
        if let Some(ended) = trace.ended_since(&mut self.cursor) {
            self.flush(out)?;
            push_chunk(out, TOLD, &ended)?;
        }
        Ok(())
    }

    /// Appends what waits to fill a chunk.
    ///
    /// # Errors
    /// Whatever `out` refuses.
    pub fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.sealed.is_empty() {
            push_chunk(out, SEALED, &self.sealed)?;
            self.sealed.clear();
        }
        Ok(())
    }

    /// A chunk of everything that still changes, to be written after all that is new, and in the place of the last one.
    /// The `note` is what a person is to know of what they see.
    ///
    /// # Errors
    /// Where there is too much of it for one chunk.
    pub fn rest(&self, trace: &Trace, outcome: Option<&Outcome>, note: &str) -> io::Result<Vec<u8>> {
        let standing = Standing::of(outcome, note);
        let standing = postcard::to_stdvec(&standing).expect("memory is the only thing that this needs");
        let mut payload = (standing.len() as u32).to_le_bytes().to_vec();
        payload.extend(standing);
        payload.extend(trace.rest(&self.cursor));
        let mut bytes = Vec::with_capacity(payload.len() + super::CHUNK_HEAD_BYTES);
        push_chunk(&mut bytes, REST, &payload)?;
        Ok(bytes)
    }
}
