//! An archive: a run as it was, whole at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::app;
use crate::control::{
    ClockKind, Command, FeedChoice, Link, LinkState, Outcome, Phase, SourceKind, Speed, Status, Steering,
};
use crate::feed::archive::{self, Head, Opened, Param, Problem};
use crate::report::Source;
use crate::trace::Trace;
use crate::workload::manifest::ParamValue;

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Archive(#[from] Problem),
}

/// What an archive is to say of a run, besides its trace.
pub fn head(source: &Source, feed: FeedChoice) -> Head {
    let param = |value: &ParamValue| match value {
        ParamValue::Number(number) => Param::Number(*number),
        ParamValue::Duration(duration) => Param::Duration(*duration),
        ParamValue::Boolean(yes) => Param::Boolean(*yes),
        ParamValue::Text(text) => Param::Text(text.clone()),
    };
    Head {
        loopscope: env!("CARGO_PKG_VERSION").to_owned(),
        source: source.kind.name().to_owned(),
        clock: source.clock.name().to_owned(),
        feed: feed.name().to_owned(),
        name: source.name.clone(),
        params: source.params.iter().map(|(name, value)| (name.clone(), param(value))).collect(),
        seed: source.seed,
    }
}

/// See the module.
pub struct ArchiveSession {
    head: Head,
    trace: Trace,
    outcome: Outcome,
    sources: Vec<(Arc<str>, String)>,
    /// What a person was to know of what they saw when it was recorded.
    said: String,
    notes: Vec<String>,
    pumps: u8,
}

/// It is over only after it was looked at once: what is worked out of a run that is over, as findings are, may take longer
/// than to show it.
const PUMPS_UNTIL_OVER: u8 = 2;

impl ArchiveSession {
    /// Opens the archive at `path` into a trace of at most about `budget_bytes`.
    ///
    /// # Errors
    /// When it cannot be read, or nothing can be saved of it.
    pub fn open(path: &Path, budget_bytes: usize) -> Result<Self, OpenError> {
        let opened = archive::read(std::fs::File::open(path)?, budget_bytes)?;
        let Opened { head, trace, outcome, note: said, sources, notes } = opened;
        // What was not over when it was written last was left there.
        Ok(Self { head, trace, outcome: outcome.unwrap_or(Outcome::Detached), sources, said, notes, pumps: 0 })
    }

    /// What a report calls it.
    pub fn archived(&self) -> Source {
        let value = |param: &Param| match param {
            Param::Number(number) => ParamValue::Number(*number),
            Param::Duration(duration) => ParamValue::Duration(*duration),
            Param::Boolean(yes) => ParamValue::Boolean(*yes),
            Param::Text(text) => ParamValue::Text(text.clone()),
        };
        Source {
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

    /// What is wrong with the file, in sentences; empty where it is whole.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl app::Session for ArchiveSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        let feeds = [FeedChoice::Console, FeedChoice::Probe, FeedChoice::Both];
        let (whole, said) = ("complete".to_owned(), format!("when it was recorded: {}", self.said));
        let notes = if self.notes.is_empty() { std::slice::from_ref(&whole) } else { &self.notes };
        let said = (!self.said.is_empty()).then_some(&said);
        let note = notes.iter().chain(said).map(String::as_str).collect::<Vec<_>>().join("; ");
        let is_over = self.pumps >= PUMPS_UNTIL_OVER;
        Status {
            name: self.head.name.clone(),
            source: SourceKind::Archive,
            steering: Steering::Nothing,
            link: Some(Link { state: LinkState::Live, note }),
            clock: self.clock(),
            speed: Speed::Times(1.0),
            phase: if is_over { Phase::Ended } else { Phase::Running },
            now: self.trace.now(),
            next_timer: None,
            feed: feeds.into_iter().find(|feed| feed.name() == self.head.feed).unwrap_or_default(),
            outcome: is_over.then(|| self.outcome.clone()),
        }
    }

    fn pump(&mut self, _budget: Duration) -> bool {
        let changes = self.pumps < PUMPS_UNTIL_OVER;
        self.pumps += u8::from(changes);
        changes
    }

    fn command(&mut self, _command: Command) {}

    fn wait(&self, at_most: Duration) {
        std::thread::sleep(at_most);
    }

    fn sources(&self) -> &[(Arc<str>, String)] {
        &self.sources
    }
}
