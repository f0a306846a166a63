//! Writes a trace to an archive incrementally: chunks of what is new since the last time.

use std::io::{self, Write};
use std::sync::Arc;

use super::{
    ArchiveHeader, ArchivedStatus, CHUNK_BYTES_MAX, DELTA, FEED, HEADER, MAGIC, QUEUE_DEPTHS, SEALED_BLOCKS,
    SOURCE_FILE, SOURCE_FILES_BYTES_MAX, SOURCE_FILES_MAX, TAIL, VERSION,
};
use crate::control::{FeedChoice, RunOutcome};
use crate::trace::Trace;
use crate::trace::archive::ArchiveCursor;

/// Bytes of sealed blocks per chunk: what one damaged byte can destroy.
const SEALED_BYTES: usize = 1 << 18;

/// Encodes magic, version and header chunk.
pub fn encode_beginning(header: &ArchiveHeader) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    let header = postcard::to_stdvec(header).expect("encoding to memory cannot fail");
    push_chunk(&mut bytes, HEADER, &header).expect("writing to memory cannot fail");
    bytes
}

/// Appends that the feed is another one than the header says.
///
/// # Errors
/// If writing to `out` fails.
pub fn write_feed(feed: FeedChoice, out: &mut dyn Write) -> io::Result<()> {
    push_chunk(out, FEED, feed.name().as_bytes())
}

fn push_chunk(out: &mut dyn Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= CHUNK_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "archive chunk too long"))?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&checksum(kind, payload).to_le_bytes())?;
    out.write_all(payload)
}

/// Returns the CRC-32 of a chunk.
pub(super) fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Writes one trace, and keeps track of how far it is written.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    cursor: ArchiveCursor,
    /// Encoded sealed blocks that do not fill a chunk yet.
    sealed: Vec<u8>,
    /// Source files considered so far, and bytes of those written.
    sources: usize,
    source_bytes: usize,
}

impl ArchiveWriter {
    /// Appends the source files that are new since the last time. Files past a limit are left out, because they only
    /// accompany the trace.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write_sources(&mut self, sources: &[(Arc<str>, String)], out: &mut dyn Write) -> io::Result<()> {
        for source in sources.iter().take(SOURCE_FILES_MAX).skip(self.sources) {
            let source_bytes = self.source_bytes + source.1.len();
            if source_bytes <= SOURCE_FILES_BYTES_MAX {
                self.source_bytes = source_bytes;
                let source = postcard::to_stdvec(source).expect("encoding to memory cannot fail");
                push_chunk(out, SOURCE_FILE, &source)?;
            }
        }
        self.sources = sources.len();
        Ok(())
    }

    /// Returns the number of blocks that were evicted before they could be written.
    pub fn lost_blocks(&self) -> u64 {
        self.cursor.lost_blocks
    }

    /// Appends chunks of what is new and complete.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write_new_chunks(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
        if let Some(delta) = trace.encode_delta(&mut self.cursor) {
            // Pending sealed blocks refer to nothing newer than themselves, so they may follow this chunk.
            push_chunk(out, DELTA, &delta)?;
        }
        let mut written = Ok(());
        trace.encode_blocks(&mut self.cursor, &mut self.sealed, |sealed| {
            if sealed.len() >= SEALED_BYTES {
                if written.is_ok() {
                    written = push_chunk(out, SEALED_BLOCKS, sealed);
                }
                sealed.clear();
            }
        });
        written?;
        if let Some(ended) = trace.encode_ends(&mut self.cursor) {
            self.flush(out)?;
            push_chunk(out, DELTA, &ended)?;
        }
        Ok(())
    }

    /// Appends pending sealed blocks that do not fill a chunk.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.sealed.is_empty() {
            push_chunk(out, SEALED_BLOCKS, &self.sealed)?;
            self.sealed.clear();
        }
        Ok(())
    }

    /// Encodes chunks of everything that still changes, to be written after all other chunks and over the last ones of
    /// their kinds. `note` holds the caveats for the user.
    ///
    /// # Errors
    /// If it is too long for one chunk.
    pub fn encode_tail(&self, trace: &Trace, outcome: Option<&RunOutcome>, note: &str) -> io::Result<Vec<u8>> {
        let status = ArchivedStatus::of(outcome, note);
        let status = postcard::to_stdvec(&status).expect("encoding to memory cannot fail");
        let mut payload = (status.len() as u32).to_le_bytes().to_vec();
        payload.extend(status);
        payload.extend(trace.encode_tail(&self.cursor));
        let mut bytes = Vec::with_capacity(payload.len() + super::CHUNK_HEADER_BYTES);
        push_chunk(&mut bytes, TAIL, &payload)?;
        if let Some(depths) = trace.encode_queue_depths() {
            push_chunk(&mut bytes, QUEUE_DEPTHS, &depths)?;
        }
        Ok(bytes)
    }
}
