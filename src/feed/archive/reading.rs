//! Reading: as much as there is, of a file that may be cut off, damaged, or made to do harm.

use super::writing::checksum;
use super::{CHUNK_BYTES_MAX, CHUNK_HEAD_BYTES, HEAD, Head, MAGIC, REST, SEALED, TOLD, VERSION, outcome_of};
use crate::control::Outcome;
use crate::plain::plain_cow;
use crate::trace::Trace;
use crate::trace::archive::{Damage, Loader};

/// Why nothing can be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("it is no archive of loopscope")]
    NoArchive,
    #[error("it is an archive of version {0}, and this loopscope reads up to {VERSION}: a newer one will open it")]
    Newer(u16),
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
    /// What is wrong with it, in sentences; empty where it is whole.
    pub notes: Vec<String>,
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
}

/// Takes the next chunk.
fn take_chunk<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Stop> {
    let (head, rest) = bytes.split_first_chunk::<CHUNK_HEAD_BYTES>().ok_or(Stop::Cut)?;
    let [kind, a, b, c, d, e, f, g, h] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > CHUNK_BYTES_MAX {
        return Err(Stop::Damaged("a length that nothing has"));
    }
    let (payload, rest) = rest.split_at_checked(length).ok_or(Stop::Cut)?;
    if checksum(kind, payload) != u32::from_le_bytes([e, f, g, h]) {
        return Err(Stop::Damaged("a checksum that does not fit"));
    }
    *bytes = rest;
    Ok((kind, payload))
}

/// Reads a whole file into a trace that keeps at most about `budget_bytes`.
///
/// # Errors
/// Where it is something else, of a later version, or so short that nothing can be saved. Whatever else is wrong with
/// it is told among the notes.
pub fn read(bytes: &[u8], budget_bytes: usize) -> Result<Opened, Problem> {
    let whole_length = bytes.len();
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(Problem::NoArchive)?;
    let version = rest.split_first_chunk().ok_or(Problem::NoHead)?;
    rest = version.1;
    match u16::from_le_bytes(*version.0) {
        VERSION => {}
        newer if newer > VERSION => return Err(Problem::Newer(newer)),
        _ => return Err(Problem::NoArchive),
    }
    let head = match take_chunk(&mut rest) {
        Ok((HEAD, payload)) => postcard::from_bytes(payload).map_err(|_| Problem::NoHead)?,
        _ => return Err(Problem::NoHead),
    };
    let mut loader = Loader::new(budget_bytes, plain_cow);
    let (mut outcome, mut notes) = (None, Vec::new());
    while !rest.is_empty() {
        let at = whole_length - rest.len();
        let taken = take_chunk(&mut rest).and_then(|(kind, payload)| take(&mut loader, kind, payload, &mut outcome));
        match taken {
            Ok(()) => {}
            Err(Stop::Cut) => {
                notes.push(format!("the file ends within what begins at byte {at}: it was cut off there"));
                break;
            }
            Err(Stop::Damaged(why)) => {
                let left = whole_length - at;
                notes.push(format!("the file is damaged at byte {at}, {why}: {left} bytes from there on are left out"));
                break;
            }
        }
    }
    let (trace, is_whole) = loader.finish();
    if !is_whole {
        notes.push("its newest end was not written, so sums and the last moments of each task are missing".to_owned());
    } else if outcome.is_none() {
        notes.push("it ends before the run did".to_owned());
    }
    Ok(Opened { head, trace, outcome, notes })
}

fn take(loader: &mut Loader, kind: u8, payload: &[u8], outcome: &mut Option<Outcome>) -> Result<(), Stop> {
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
            *outcome = postcard::from_bytes(told).ok().and_then(outcome_of);
            Ok(())
        }
        // What a later version adds without changing what is here is passed over.
        _ => Ok(()),
    }
}
