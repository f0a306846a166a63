//! Sessions that show an archive: a whole run, loaded at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::interface::Session;
use crate::control::{
    ClockKind, ConnectionState, ConnectionStatus, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand,
    SessionStatus, SourceKind, Speed,
};
use crate::feed::archive::{self, ArchiveError, ArchiveHeader, ArchivedParam, OpenedArchive};
use crate::report::RunSource;
use crate::trace::Trace;
use crate::workload::manifest::ParamValue;

/// An error that prevents an archive from being opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveOpenError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file is not a readable archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Creates the header of an archive: the metadata of a run that the trace does not hold.
pub fn archive_head(source: &RunSource, feed: FeedChoice) -> ArchiveHeader {
    let param = |value: &ParamValue| match value {
        ParamValue::Number(number) => ArchivedParam::Number(*number),
        ParamValue::Duration(duration) => ArchivedParam::Duration(*duration),
        ParamValue::Boolean(yes) => ArchivedParam::Boolean(*yes),
        ParamValue::Text(text) => ArchivedParam::Text(text.clone()),
    };
    ArchiveHeader {
        loopscope: env!("CARGO_PKG_VERSION").to_owned(),
        source: source.kind.name().to_owned(),
        clock: source.clock.name().to_owned(),
        feed: feed.name().to_owned(),
        name: source.name.clone(),
        params: source.params.iter().map(|(name, value)| (name.clone(), param(value))).collect(),
        seed: source.seed,
    }
}

/// A session that shows an archive.
pub struct ArchiveSession {
    head: ArchiveHeader,
    trace: Trace,
    outcome: RunOutcome,
    sources: Vec<(Arc<str>, String)>,
    /// Link note that was shown when the archive was written.
    recorded_note: String,
    /// Problems of the file.
    notes: Vec<String>,
    /// Calls of `pump` so far, up to [`PUMPS_BEFORE_END`].
    pumps: u8,
}

/// Calls of `pump` before the session reports its end.
///
/// The first frame is drawn before that: the analysis of an ended run, such as its findings, may take longer than to
/// open the file.
const PUMPS_BEFORE_END: u8 = 2;

impl ArchiveSession {
    /// Opens the archive at `path` into a trace of at most about `budget_bytes`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if none of its data can be recovered.
    pub fn open(path: &Path, budget_bytes: usize) -> Result<Self, ArchiveOpenError> {
        let opened = archive::read_archive(std::fs::File::open(path)?, budget_bytes)?;
        let OpenedArchive { header: head, trace, outcome, note: recorded_note, sources, notes } = opened;
        // Without an outcome the run was still going on at the last write, so it counts as detached.
        Ok(Self {
            head,
            trace,
            outcome: outcome.unwrap_or(RunOutcome::Detached),
            sources,
            recorded_note,
            notes,
            pumps: 0,
        })
    }

    /// Returns the source of a report: the archived run with kind [`SourceKind::Archive`].
    pub fn run_source(&self) -> RunSource {
        let value = |param: &ArchivedParam| match param {
            ArchivedParam::Number(number) => ParamValue::Number(*number),
            ArchivedParam::Duration(duration) => ParamValue::Duration(*duration),
            ArchivedParam::Boolean(yes) => ParamValue::Boolean(*yes),
            ArchivedParam::Text(text) => ParamValue::Text(text.clone()),
        };
        RunSource {
            kind: SourceKind::Archive,
            name: self.head.name.clone(),
            params: self.head.params.iter().map(|(name, param)| (name.clone(), value(param))).collect(),
            clock: self.clock(),
            seed: self.head.seed,
        }
    }

    fn clock(&self) -> ClockKind {
        if self.head.clock == ClockKind::Virtual.name() { ClockKind::Virtual } else { ClockKind::Real }
    }

    /// Returns the problems of the file, one sentence each. An intact file has none.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Session for ArchiveSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        let feeds = [FeedChoice::Console, FeedChoice::Probe, FeedChoice::Both];
        let (whole, recorded_note) = ("complete".to_owned(), format!("while recording: {}", self.recorded_note));
        let notes = if self.notes.is_empty() { std::slice::from_ref(&whole) } else { &self.notes };
        let recorded_note = (!self.recorded_note.is_empty()).then_some(&recorded_note);
        let note = notes.iter().chain(recorded_note).map(String::as_str).collect::<Vec<_>>().join("; ");
        let has_ended = self.pumps >= PUMPS_BEFORE_END;
        SessionStatus {
            name: self.head.name.clone(),
            source: SourceKind::Archive,
            control_level: ControlLevel::ReadOnly,
            connection: Some(ConnectionStatus { state: ConnectionState::Live, note }),
            clock: self.clock(),
            speed: Speed::Factor(1.0),
            phase: if has_ended { RunPhase::Ended } else { RunPhase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: feeds.into_iter().find(|feed| feed.name() == self.head.feed).unwrap_or_default(),
            outcome: has_ended.then(|| self.outcome.clone()),
        }
    }

    fn pump(&mut self, _budget: Duration) -> bool {
        let changes = self.pumps < PUMPS_BEFORE_END;
        self.pumps += u8::from(changes);
        changes
    }

    fn command(&mut self, _command: SessionCommand) {}

    fn wait(&self, at_most: Duration) {
        std::thread::sleep(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        &self.sources
    }
}
