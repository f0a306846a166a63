//! The session log: timestamped entries about the observation itself (connection, losses, pauses).

use std::collections::VecDeque;

use crate::control::{ConnectionState, ControlLevel, RunPhase, SessionStatus, SourceKind, measured_cost};
use crate::trace::{Nanos, Pause, PauseReason, Trace};

/// Maximum number of entries; the oldest are evicted first.
const ENTRIES_MAX: usize = 1_000;

/// Severity of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Normal course of events.
    Info,
    /// Accuracy or connection may suffer.
    Warning,
    /// Events or the connection were lost.
    Loss,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Loop time of the entry, in nanoseconds.
    pub at: Nanos,
    /// Severity.
    pub level: LogLevel,
    /// The message.
    pub text: String,
    /// Subject of the entry. It replaces an entry with the same subject, unless a unique one lies in between.
    topic: LogTopic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogTopic {
    Unique,
    Caveats,
    Retrying,
    Disconnected,
    Dropped,
    Evicted,
}

/// What has already been logged.
#[derive(Clone, Debug, Default)]
struct LoggedState {
    connection: Option<(std::mem::Discriminant<ConnectionState>, u32, String)>,
    phase: Option<RunPhase>,
    pauses: u64,
    gap_from: Option<Nanos>,
    evicted_until: Nanos,
    console_dropped: u64,
    is_multi_threaded: bool,
    has_ended: bool,
}

/// The log of one session, limited to 1,000 entries.
#[derive(Clone, Debug, Default)]
pub struct SessionLog {
    entries: VecDeque<LogEntry>,
    logged: LoggedState,
}

impl SessionLog {
    /// Returns all entries, oldest first.
    pub fn entries(&self) -> &VecDeque<LogEntry> {
        &self.entries
    }

    /// Logs everything that changed since the last call.
    pub fn observe(&mut self, trace: &Trace, status: &SessionStatus) {
        let at = trace.now().max(status.now);
        self.log_connection(at, status);
        self.log_phase(at, status);
        self.log_losses(at, trace);
        let (pauses, count) = trace.pauses_since(self.logged.pauses);
        self.logged.pauses = count;
        for Pause { at, reason } in pauses {
            self.push(*at, LogLevel::Info, LogTopic::Unique, describe_pause(reason, status.control_level));
        }
        if let Some(since) = trace.multi_threaded_since().filter(|_| !self.logged.is_multi_threaded) {
            self.logged.is_multi_threaded = true;
            let text = "multi-threaded: wake sources are unknown while several tasks run";
            self.push(since, LogLevel::Warning, LogTopic::Unique, text.to_owned());
        }
        if let Some(outcome) = status.outcome.as_ref().filter(|_| !self.logged.has_ended) {
            self.logged.has_ended = true;
            self.push(at, LogLevel::Info, LogTopic::Unique, format!("session ended: {}", outcome.name()));
        }
    }

    fn log_connection(&mut self, at: Nanos, status: &SessionStatus) {
        let Some(connection) = &status.connection else { return };
        let attempts = if let ConnectionState::Retrying { attempts, .. } = connection.state { attempts } else { 0 };
        let now = (std::mem::discriminant(&connection.state), attempts, connection.note.clone());
        if self.logged.connection.as_ref() == Some(&now) {
            return;
        }
        let was = self.logged.connection.replace(now).map(|(state, ..)| state);
        let (level, topic, lead) = match connection.state {
            ConnectionState::Connecting => (LogLevel::Info, LogTopic::Unique, "connecting".to_owned()),
            ConnectionState::AwaitingData => {
                (LogLevel::Info, LogTopic::Unique, "connected, waiting for the first update".to_owned())
            }
            // Only the note has changed, and its counts may change with every update.
            live if was == Some(std::mem::discriminant(&live)) && live == ConnectionState::Live => {
                (LogLevel::Info, LogTopic::Caveats, "connected".to_owned())
            }
            ConnectionState::Live => (LogLevel::Info, LogTopic::Unique, "connected".to_owned()),
            ConnectionState::Lost => (LogLevel::Loss, LogTopic::Disconnected, "connection lost".to_owned()),
            ConnectionState::Retrying { attempts, .. } => {
                (LogLevel::Warning, LogTopic::Retrying, format!("connection failed, attempt {attempts}"))
            }
        };
        let note = &connection.note;
        let text = if note.is_empty() { lead } else { format!("{lead}: {note}") };
        self.push(at, level, topic, text);
        let is_live = connection.state == ConnectionState::Live;
        if is_live && status.source == SourceKind::Exec && was != Some(std::mem::discriminant(&connection.state)) {
            self.push(at, LogLevel::Info, LogTopic::Unique, measured_cost(status.feed).to_owned());
        }
    }

    fn log_phase(&mut self, at: Nanos, status: &SessionStatus) {
        let before = self.logged.phase.replace(status.phase);
        let text = match (before, status.phase, status.control_level) {
            (Some(before), now, _) if before == now => return,
            (Some(RunPhase::Paused), RunPhase::Running, ControlLevel::Process) => "process continued",
            (Some(RunPhase::Paused), RunPhase::Running, ControlLevel::Loop) => "loop resumed",
            _ => return,
        };
        self.push(at, LogLevel::Info, LogTopic::Unique, text.to_owned());
    }

    fn log_losses(&mut self, at: Nanos, trace: &Trace) {
        let dropped = trace.console_feed_counts().1;
        let more = dropped.saturating_sub(self.logged.console_dropped);
        if more > 0 {
            self.logged.console_dropped = dropped;
            let text = format!("console-subscriber dropped events (buffer full): {dropped} so far");
            self.push(at, LogLevel::Loss, LogTopic::Dropped, text);
        }
        let after = self.logged.gap_from;
        let is_new = |from: Nanos| after.is_none_or(|last| from > last);
        let gaps = trace.gaps().filter(|gap| !gap.is_evicted());
        let gaps: Vec<_> = gaps.rev().take_while(|gap| is_new(gap.from)).copied().collect();
        for gap in gaps.into_iter().rev() {
            self.logged.gap_from = Some(gap.from);
            let length = super::time::duration(gap.to.saturating_sub(gap.from));
            let text = match gap.is_disconnected {
                true => {
                    format!(
                        "no updates for {length} (not connected, or the app was stopped): polls and tasks may be missing"
                    )
                }
                false => format!("{} events dropped within {length}", gap.dropped),
            };
            self.push(gap.from, LogLevel::Loss, LogTopic::Unique, text);
        }
        let evicted = trace.gaps().rev().find(|gap| gap.is_evicted()).map_or(0, |gap| gap.to);
        if evicted > self.logged.evicted_until {
            self.logged.evicted_until = evicted;
            let text = format!(
                "memory budget reached: history of some tasks before {} was evicted",
                super::time::duration(evicted)
            );
            self.push(at, LogLevel::Loss, LogTopic::Evicted, text);
        }
    }

    fn push(&mut self, at: Nanos, level: LogLevel, topic: LogTopic, text: String) {
        let entry = LogEntry { at, level, text, topic };
        let replaceable = self.entries.iter().rev().take_while(|entry| entry.topic != LogTopic::Unique);
        if let Some(back) = replaceable.into_iter().position(|entry| entry.topic == topic) {
            self.entries.remove(self.entries.len() - 1 - back);
        } else if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

/// Describes who paused the loop or process, and why.
fn describe_pause(reason: &PauseReason, control_level: ControlLevel) -> String {
    let (what, stopped) = match control_level {
        ControlLevel::Process => ("process", "stopped"),
        _ => ("loop", "paused"),
    };
    match reason {
        PauseReason::User if control_level == ControlLevel::Process => "process stopped by you".to_owned(),
        PauseReason::User => "loop paused by you".to_owned(),
        PauseReason::Breakpoint(breakpoint) => format!("{what} paused by breakpoint `{breakpoint}`"),
        PauseReason::Step => format!("{what} paused: step finished"),
        PauseReason::Suspended => format!("{what} {stopped} while loopscope was suspended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{ClockKind, ConnectionStatus, FeedChoice, Speed};

    #[test]
    fn changing_caveats_take_one_row() {
        let status = |note: String| SessionStatus {
            name: "app".into(),
            source: SourceKind::Attach,
            control_level: ControlLevel::ReadOnly,
            connection: Some(ConnectionStatus { state: ConnectionState::Live, note }),
            clock: ClockKind::Real,
            speed: Speed::Factor(1.0),
            phase: RunPhase::Running,
            now: 0,
            next_timer: None,
            feed: FeedChoice::Console,
            outcome: None,
        };
        let mut trace = Trace::with_budget(1 << 20);
        let mut log = SessionLog::default();
        log.observe(&trace, &status(String::new()));
        for count in 1..=5 {
            trace.apply(crate::trace::Event::ConsoleUpdate { dropped: 1 });
            log.observe(&trace, &status(format!("{count} events dropped by the program")));
        }
        let texts: Vec<_> = log.entries().iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert_eq!(texts[..2], ["connected", "connected: 5 events dropped by the program"]);
    }
}
