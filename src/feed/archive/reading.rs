//! Reading: as much as there is, of a file that may be cut off, damaged, or made to do harm.

use std::io::{self, Read};
use std::sync::Arc;

use super::writing::checksum;
use super::{
    CHUNK_BYTES_MAX, CHUNK_HEAD_BYTES, HEAD, Head, MAGIC, REST, SEALED, SOURCE, SOURCES_BYTES_MAX, SOURCES_MAX,
    Standing, TOLD, VERSION, outcome_of,
};
use crate::control::{FeedChoice, Outcome, SourceKind};
use crate::plain::plain_cow;
use crate::trace::Trace;
use crate::trace::archive::{Damage, Loader};

/// Why nothing can be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("it is no archive of loopscope")]
    NoArchive,
    #[error("it is an archive of version {0}, and this loopscope reads version {VERSION}: a newer one will open it")]
    Newer(u16),
    #[error("it is an archive of version {0}, which this loopscope does not read any more: it reads version {VERSION}")]
    Older(u16),
    #[error("it is an archive that ends before it says what ran: nothing can be saved of it")]
    NoHead,
}

/// An archive as far as it could be read.
#[derive(Debug)]
pub struct Opened {
    pub head: Head,
    pub trace: Trace,
    /// `None` where the run was not over when it was written last.
    pub outcome: Option<Outcome>,
    /// What a person was to know of what they saw; empty for nothing.
    pub note: String,
    /// Files that locations name, with their texts.
    pub sources: Vec<(Arc<str>, String)>,
    /// What is wrong with it, in sentences; empty where it is whole.
    pub notes: Vec<String>,
}

/// What there is besides the trace.
#[derive(Default)]
struct Beside {
    standing: Option<Standing>,
    sources: Vec<(Arc<str>, String)>,
    source_bytes: usize,
}

/// Whether a file that begins with these bytes is an archive.
pub fn is_archive(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC)
}

/// Why reading stops.
enum Stop {
    /// Fewer bytes than the next chunk needs.
    Cut,
    /// A checksum or a piece is wrong.
    Damaged(&'static str),
    File(io::Error),
}

/// Chunks one by one, so that no more of a file is in memory than one of them.
struct Chunks<R> {
    file: R,
    payload: Vec<u8>,
    /// Bytes that were read so far.
    at: u64,
}

impl<R: Read> Chunks<R> {
    /// Reads up to `length` bytes; memory is taken only for bytes that are there.
    fn fill(&mut self, length: usize) -> Result<(), Stop> {
        self.payload.clear();
        let read = (&mut self.file).take(length as u64).read_to_end(&mut self.payload).map_err(Stop::File)?;
        self.at += read as u64;
        if read == length { Ok(()) } else { Err(Stop::Cut) }
    }

    /// The next chunk's kind and payload; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<(u8, &[u8])>, Stop> {
        match self.fill(CHUNK_HEAD_BYTES) {
            Err(Stop::Cut) if self.payload.is_empty() => return Ok(None),
            filled => filled?,
        }
        let Some(&[kind, a, b, c, d, e, f, g, h]) = self.payload.first_chunk::<CHUNK_HEAD_BYTES>() else {
            return Err(Stop::Cut);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > CHUNK_BYTES_MAX {
            return Err(Stop::Damaged("a length that nothing has"));
        }
        self.fill(length)?;
        if checksum(kind, &self.payload) != u32::from_le_bytes([e, f, g, h]) {
            return Err(Stop::Damaged("a checksum that does not fit"));
        }
        Ok(Some((kind, &self.payload)))
    }
}

/// Reads a whole file into a trace that keeps at most about `budget_bytes`.
///
/// # Errors
/// Where it is something else, of a later version, or so short that nothing can be saved. Whatever else is wrong with
/// it is told among the notes.
pub fn read(file: impl Read, budget_bytes: usize) -> Result<Opened, Problem> {
    let mut chunks = Chunks { file, payload: Vec::new(), at: 0 };
    let is_begun = chunks.fill(MAGIC.len()).is_ok() && is_archive(&chunks.payload);
    if !is_begun {
        return Err(Problem::NoArchive);
    }
    chunks.fill(size_of_val(&VERSION)).map_err(|_| Problem::NoHead)?;
    match chunks.payload.first_chunk().map(|version| u16::from_le_bytes(*version)) {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(Problem::Newer(newer)),
        Some(older) => return Err(Problem::Older(older)),
        None => return Err(Problem::NoHead),
    }
    let head: Head = match chunks.next() {
        Ok(Some((HEAD, payload))) => postcard::from_bytes(payload).map_err(|_| Problem::NoHead)?,
        _ => return Err(Problem::NoHead),
    };
    let mut loader = Loader::new(budget_bytes, plain_cow);
    if head.feed == FeedChoice::Console.name() {
        loader.set_sampled();
    }
    if [SourceKind::Attach, SourceKind::Exec, SourceKind::Recording].iter().any(|kind| kind.name() == head.source) {
        loader.set_foreign();
    }
    let (mut beside, mut notes) = (Beside::default(), Vec::new());
    loop {
        let at = chunks.at;
        let taken = chunks.next().and_then(|chunk| match chunk {
            Some((kind, payload)) => take(&mut loader, kind, payload, &mut beside).map(|()| true),
            None => Ok(false),
        });
        notes.push(match taken {
            Ok(true) => continue,
            Ok(false) => break,
            Err(Stop::Cut) => format!("the file ends within what begins at byte {at}: it was cut off there"),
            Err(Stop::Damaged(why)) => {
                format!("the file is damaged at byte {at}, {why}: what comes from there on is left out")
            }
            Err(Stop::File(error)) => format!("the file cannot be read on at byte {at}: {error}"),
        });
        break;
    }
    let (trace, is_whole) = loader.finish();
    let Standing { outcome, note } = beside.standing.unwrap_or_default();
    let outcome = outcome_of(outcome);
    if !is_whole {
        notes.push("its newest end was not written, so sums and the last moments of each task are missing".to_owned());
    } else if outcome.is_none() {
        notes.push("it ends before the run did".to_owned());
    }
    Ok(Opened { head, trace, outcome, note: plain_cow(&note).into_owned(), sources: beside.sources, notes })
}

fn take(loader: &mut Loader, kind: u8, payload: &[u8], beside: &mut Beside) -> Result<(), Stop> {
    let damaged = |damage: Damage| match damage {
        Damage::Unknown => Stop::Damaged("a piece that names what was never told of"),
        Damage::Malformed => Stop::Damaged("a piece that is not what it says"),
    };
    match kind {
        TOLD => loader.told(payload).map_err(damaged),
        SEALED => loader.sealed(payload).map_err(damaged),
        REST => {
            let (length, after) = payload.split_first_chunk().ok_or(Stop::Damaged("a piece that is too short"))?;
            let length = u32::from_le_bytes(*length) as usize;
            let (told, trace) = after.split_at_checked(length).ok_or(Stop::Damaged("a piece that is too short"))?;
            loader.rest(trace).map_err(damaged)?;
            beside.standing = postcard::from_bytes(told).ok();
            Ok(())
        }
        SOURCE => {
            let (file, text): (Arc<str>, String) =
                postcard::from_bytes(payload).map_err(|_| Stop::Damaged("a piece that is not what it says"))?;
            beside.source_bytes += text.len();
            if beside.sources.len() < SOURCES_MAX && beside.source_bytes <= SOURCES_BYTES_MAX {
                beside.sources.push((file, text));
            }
            Ok(())
        }
        // What a later version adds without changing what is here is passed over.
        _ => Ok(()),
    }
}
