//! Reads an archive as far as possible. The file may be truncated, damaged or malicious.

use std::io::{self, Read};
use std::sync::Arc;

use super::writer::checksum;
use super::{
    ArchiveHeader, ArchivedStatus, CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES, DELTA, FEED, HEADER, MAGIC, OLDEST_VERSION,
    QUEUE_DEPTHS, SEALED_BLOCKS, SOURCE_FILE, SOURCE_FILES_BYTES_MAX, SOURCE_FILES_MAX, TAIL, VERSION, restore_outcome,
};
use crate::control::{FeedChoice, RunOutcome, SourceKind};
use crate::sanitize::sanitize_cow;
use crate::trace::Trace;
use crate::trace::archive::{TraceLoadError, TraceLoader};

/// Why a file cannot be opened at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It is another kind of file.
    #[error("not a loopscope archive")]
    NotAnArchive,
    /// A newer loopscope wrote it.
    #[error(
        "archive version {0} is not supported: this loopscope reads versions {OLDEST_VERSION} to {VERSION}; use a newer loopscope"
    )]
    NewerVersion(u16),
    /// An older loopscope wrote it.
    #[error("archive version {0} is no longer supported: this loopscope reads versions {OLDEST_VERSION} to {VERSION}")]
    OlderVersion(u16),
    /// It ends before its header.
    #[error("truncated archive: it ends before its header, so nothing can be recovered")]
    NoHeader,
}

/// An archive, as far as it could be read.
#[derive(Debug)]
pub struct OpenedArchive {
    /// What ran.
    pub header: ArchiveHeader,
    /// What happened.
    pub trace: Trace,
    /// `None` if the run had not ended when the file was last written.
    pub outcome: Option<RunOutcome>,
    /// Caveats for the user; empty for none.
    pub note: String,
    /// Source files that locations refer to, with their texts.
    pub sources: Vec<(Arc<str>, String)>,
    /// Problems found while reading; empty if the file is complete.
    pub notes: Vec<String>,
}

/// Contents besides the trace.
#[derive(Default)]
struct ArchiveExtras {
    status: Option<ArchivedStatus>,
    sources: Vec<(Arc<str>, String)>,
    source_bytes: usize,
    feed: Option<FeedChoice>,
}

/// Whether a file with this beginning is an archive.
pub fn is_archive(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC)
}

/// Why reading stops.
enum ReadStop {
    /// Fewer bytes than the next chunk needs.
    Truncated,
    /// A checksum or a payload is wrong.
    Damaged(&'static str),
    /// Reading from the file failed.
    Io(io::Error),
}

/// Reads one chunk at a time, to bound memory.
struct ChunkReader<R> {
    file: R,
    payload: Vec<u8>,
    /// Bytes read so far.
    at: u64,
}

impl<R: Read> ChunkReader<R> {
    /// Reads up to `length` bytes. Allocates only for bytes that are present.
    fn fill(&mut self, length: usize) -> Result<(), ReadStop> {
        self.payload.clear();
        let read = (&mut self.file).take(length as u64).read_to_end(&mut self.payload).map_err(ReadStop::Io)?;
        self.at += read as u64;
        if read == length { Ok(()) } else { Err(ReadStop::Truncated) }
    }

    /// Returns kind and payload of the next chunk; `None` at the end of the file.
    fn next_chunk(&mut self) -> Result<Option<(u8, &[u8])>, ReadStop> {
        match self.fill(CHUNK_HEADER_BYTES) {
            Err(ReadStop::Truncated) if self.payload.is_empty() => return Ok(None),
            filled => filled?,
        }
        let Some(&[kind, a, b, c, d, e, f, g, h]) = self.payload.first_chunk::<CHUNK_HEADER_BYTES>() else {
            return Err(ReadStop::Truncated);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > CHUNK_BYTES_MAX {
            return Err(ReadStop::Damaged("chunk too long"));
        }
        self.fill(length)?;
        if checksum(kind, &self.payload) != u32::from_le_bytes([e, f, g, h]) {
            return Err(ReadStop::Damaged("checksum mismatch"));
        }
        Ok(Some((kind, &self.payload)))
    }
}

/// Reads a whole file into a trace that keeps at most about `budget_bytes`.
///
/// # Errors
/// If it is no archive, has another version, or has no header. Other problems become notes.
pub fn read_archive(file: impl Read, budget_bytes: usize) -> Result<OpenedArchive, ArchiveError> {
    let mut chunks = ChunkReader { file, payload: Vec::new(), at: 0 };
    let has_magic = chunks.fill(MAGIC.len()).is_ok() && is_archive(&chunks.payload);
    if !has_magic {
        return Err(ArchiveError::NotAnArchive);
    }
    chunks.fill(size_of_val(&VERSION)).map_err(|_| ArchiveError::NoHeader)?;
    match chunks.payload.first_chunk().map(|version| u16::from_le_bytes(*version)) {
        Some(OLDEST_VERSION..=VERSION) => {}
        Some(newer) if newer > VERSION => return Err(ArchiveError::NewerVersion(newer)),
        Some(older) => return Err(ArchiveError::OlderVersion(older)),
        None => return Err(ArchiveError::NoHeader),
    }
    let mut header: ArchiveHeader = match chunks.next_chunk() {
        Ok(Some((HEADER, payload))) => postcard::from_bytes(payload).map_err(|_| ArchiveError::NoHeader)?,
        _ => return Err(ArchiveError::NoHeader),
    };
    let mut loader = TraceLoader::new(budget_bytes, sanitize_cow);
    if header.feed == FeedChoice::Console.name() {
        loader.set_sampled();
    }
    if [SourceKind::Attach, SourceKind::Exec, SourceKind::Recording].iter().any(|kind| kind.name() == header.source) {
        loader.set_external();
    }
    let (mut extras, mut notes) = (ArchiveExtras::default(), Vec::new());
    loop {
        let at = chunks.at;
        let taken = chunks.next_chunk().and_then(|chunk| match chunk {
            Some((kind, payload)) => load_chunk(&mut loader, kind, payload, &mut extras).map(|()| true),
            None => Ok(false),
        });
        notes.push(match taken {
            Ok(true) => continue,
            Ok(false) => break,
            Err(ReadStop::Truncated) => format!("the file is truncated within the chunk at byte {at}"),
            Err(ReadStop::Damaged(why)) => {
                format!("the file is damaged at byte {at} ({why}): the rest is ignored")
            }
            Err(ReadStop::Io(error)) => format!("cannot read the file past byte {at}: {error}"),
        });
        break;
    }
    let (trace, is_whole) = loader.finish();
    if let Some(feed) = extras.feed {
        header.feed = feed.name().to_owned();
    }
    let ArchivedStatus { outcome, note } = extras.status.unwrap_or_default();
    let outcome = restore_outcome(outcome);
    if !is_whole {
        notes.push("its end is missing: totals and the last moments of each task are unknown".to_owned());
    } else if outcome.is_none() {
        notes.push("it ends before the run did".to_owned());
    }
    Ok(OpenedArchive { header, trace, outcome, note: sanitize_cow(&note).into_owned(), sources: extras.sources, notes })
}

fn load_chunk(loader: &mut TraceLoader, kind: u8, payload: &[u8], extras: &mut ArchiveExtras) -> Result<(), ReadStop> {
    let damaged = |damage: TraceLoadError| match damage {
        TraceLoadError::Mismatch => ReadStop::Damaged("reference to an unknown entity"),
        TraceLoadError::Malformed => ReadStop::Damaged("malformed payload"),
    };
    match kind {
        DELTA => loader.add_delta(payload).map_err(damaged),
        SEALED_BLOCKS => loader.add_blocks(payload).map_err(damaged),
        TAIL => {
            let (length, after) = payload.split_first_chunk().ok_or(ReadStop::Damaged("payload too short"))?;
            let length = u32::from_le_bytes(*length) as usize;
            let (status, trace) = after.split_at_checked(length).ok_or(ReadStop::Damaged("payload too short"))?;
            loader.add_tail(trace).map_err(damaged)?;
            extras.status = postcard::from_bytes(status).ok();
            Ok(())
        }
        QUEUE_DEPTHS => loader.add_queue_depths(payload).map_err(damaged),
        SOURCE_FILE => {
            let (file, text): (Arc<str>, String) =
                postcard::from_bytes(payload).map_err(|_| ReadStop::Damaged("malformed payload"))?;
            extras.source_bytes += text.len();
            if extras.sources.len() < SOURCE_FILES_MAX && extras.source_bytes <= SOURCE_FILES_BYTES_MAX {
                extras.sources.push((file, text));
            }
            Ok(())
        }
        FEED => {
            let feeds = [FeedChoice::Console, FeedChoice::Probe, FeedChoice::Both];
            extras.feed = feeds.into_iter().find(|feed| feed.name().as_bytes() == payload).or(extras.feed);
            Ok(())
        }
        // Chunk kinds that a later minor change may add are skipped.
        _ => Ok(()),
    }
}
