//! Shared vocabulary for controlling a session: the commands a session accepts and the status it reports.
//!
//! The lab, the screen and the command line all use these types, so none of them depends on another.
//!
//! ```
//! use loopscope::control::{Breakpoint, Speed};
//!
//! let breakpoint: Breakpoint = "poll > 10ms".parse()?;
//! assert!(matches!(breakpoint, Breakpoint::LongPoll(_, 10_000_000)));
//! assert_eq!(breakpoint.to_string(), "poll > 10ms");
//!
//! let speed: Speed = "3600".parse()?;
//! assert_eq!(speed.faster(), Speed::Factor(10_000.0));
//! # Ok::<(), String>(())
//! ```

mod breakpoint;
pub mod duration;
mod feed_cost;

pub use breakpoint::{BREAKPOINT_GRAMMAR, BREAKPOINTS_MAX, Breakpoint, BreakpointHit, TaskPattern};
pub use feed_cost::measured_cost;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::trace::{Nanos, TaskId};

/// A command to a session. Sessions that cannot carry out a command ignore it; see [`ControlLevel`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SessionCommand {
    /// Stops the loop before its next poll.
    Pause,
    /// Continues without a limit.
    Resume,
    /// Polls this many tasks, one after the other, then pauses.
    StepPolls(u32),
    /// Runs until no task is ready, then pauses.
    StepTurn,
    /// Runs until this task has been polled once, then pauses.
    StepToTask(TaskId),
    /// Runs until loop time reaches this instant, then pauses.
    RunUntil(Nanos),
    /// Keeps this task from being polled while others run. Its wakes are deferred.
    Hold(TaskId),
    /// Releases a held task and delivers its deferred wake.
    Release(TaskId),
    /// Cancels this task at its await, as `AbortHandle::abort` does: its future is dropped and releases what it owns.
    Cancel(TaskId),
    /// Adds a breakpoint.
    AddBreakpoint(Breakpoint),
    /// Removes every breakpoint.
    ClearBreakpoints,
    /// Sets the speed of a virtual clock.
    SetSpeed(Speed),
    /// Suspends (`true`) or resumes (`false`) the loop together with loopscope itself, as Ctrl-Z does. On resume, a
    /// step or run that was under way continues.
    Suspend(bool),
    /// Stops (`true`) or continues (`false`) the whole process of an app that loopscope started. Loop time does not
    /// advance while it is stopped.
    FreezeProcess(bool),
    /// Marks this task as selected, so that data sent only on request (its poll-time histogram) is requested for it.
    SelectTask(TaskId),
    /// Reconnects now instead of waiting for the next attempt.
    Reconnect,
    /// Stops the run.
    Quit,
}

impl SessionCommand {
    /// Returns whether this command makes a paused loop run.
    pub fn resumes_loop(self) -> bool {
        matches!(self, Self::Resume | Self::StepPolls(_) | Self::StepTurn | Self::StepToTask(_) | Self::RunUntil(_))
    }
}

/// The kind of source that a session shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A built-in or scripted workload on a loop that loopscope runs itself.
    Workload,
    /// A running program, over its console-subscriber port.
    Attach,
    /// A program that loopscope started, over its console port and recording.
    Exec,
    /// A console-subscriber recording, read from a file.
    Recording,
    /// An archive that loopscope wrote.
    Archive,
}

impl SourceKind {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Attach => "attach",
            Self::Exec => "exec",
            Self::Recording => "recording",
            Self::Archive => "archive",
        }
    }
}

/// What the user can control in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlLevel {
    /// Every poll: the loop runs inside loopscope.
    Loop,
    /// The process as a whole (stop and continue): loopscope started it.
    Process,
    /// Nothing: the program is only observed, or its run is over.
    ReadOnly,
}

/// The state of a data source outside loopscope, with a note for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Whether data is arriving.
    pub state: ConnectionState,
    /// The reason for the state, or a caveat about the data shown; empty where there is none.
    pub note: String,
}

/// The state of a connection to an external app. A file that is being read is [`Live`](Self::Live).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The first connection attempt is under way.
    Connecting,
    /// Connected, but no data has arrived yet.
    AwaitingData,
    /// Data is arriving.
    Live,
    /// The last attempt failed; the next one follows after a delay.
    Retrying {
        /// Attempts that failed so far.
        attempts: u32,
        /// Milliseconds from the last failure to the next attempt.
        wait_ms: u64,
    },
    /// The connection ended. The trace received so far stays available.
    Lost,
}

/// The clock that defines loop time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// Deterministic: time advances only while no task is ready, at the set [`Speed`].
    Virtual,
    /// The machine's monotonic clock, with pauses cut out.
    Real,
}

impl ClockKind {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Real => "real",
        }
    }
}

/// The feeds that observe the embedded loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FeedChoice {
    /// console-subscriber only.
    Console,
    /// The probe only.
    Probe,
    /// Both feeds, whose counts are compared.
    #[default]
    Both,
}

impl FeedChoice {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Probe => "probe",
            Self::Both => "both",
        }
    }

    /// Returns whether console-subscriber observes the loop.
    pub fn has_console(self) -> bool {
        self != Self::Probe
    }

    /// Returns whether the probe observes the loop.
    pub fn has_probe(self) -> bool {
        self != Self::Console
    }
}

/// The speed of a virtual clock: virtual nanoseconds per real nanosecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// A factor from [`Speed::MIN`] to [`Speed::MAX`].
    Factor(f64),
    /// No delay: virtual time jumps to the next timer at once.
    Max,
}

impl Speed {
    /// The smallest factor.
    pub const MIN: f64 = 0.1;
    /// The largest factor; [`Speed::Max`] is faster still.
    pub const MAX: f64 = 1_000_000.0;

    /// The factors that [`faster`](Self::faster) and [`slower`](Self::slower) step through.
    const PRESETS: [f64; 17] = [
        0.1,
        0.25,
        0.5,
        1.0,
        2.0,
        5.0,
        10.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        3_600.0,
        10_000.0,
        60_000.0,
        300_000.0,
        1_000_000.0,
    ];

    /// Returns the next larger preset, or [`Speed::Max`] after the last.
    #[must_use]
    pub fn faster(self) -> Self {
        match self {
            Self::Factor(times) => Self::PRESETS.into_iter().find(|step| *step > times).map_or(Self::Max, Self::Factor),
            Self::Max => Self::Max,
        }
    }

    /// Returns the next smaller preset, or [`Speed::MIN`] before the first.
    #[must_use]
    pub fn slower(self) -> Self {
        let below = match self {
            Self::Factor(times) => times,
            Self::Max => f64::INFINITY,
        };
        Self::Factor(Self::PRESETS.into_iter().rev().find(|step| *step < below).unwrap_or(Self::MIN))
    }

    /// Returns the real duration of `virtual_ns` at this speed; `None` for no delay.
    ///
    /// ```
    /// # use loopscope::control::Speed;
    /// # use std::time::Duration;
    /// let hour_ns = 3_600_000_000_000;
    /// assert_eq!(Speed::Factor(3_600.0).real_duration(hour_ns), Some(Duration::from_secs(1)));
    /// assert_eq!(Speed::Max.real_duration(hour_ns), None);
    /// ```
    pub fn real_duration(self, virtual_ns: u64) -> Option<Duration> {
        match self {
            Self::Factor(times) => Some(Duration::from_secs_f64(virtual_ns as f64 / 1e9 / times)),
            Self::Max => None,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(times) => write!(f, "×{times}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let digits = text.strip_prefix(['x', '×']).unwrap_or(text);
        match digits.replace(['_', ','], "").parse::<f64>() {
            Ok(times) if (Self::MIN..=Self::MAX).contains(&times) => Ok(Self::Factor(times)),
            _ => Err(format!("`{text}` is not a speed: use `max` or a number from {} to {}", Self::MIN, Self::MAX)),
        }
    }
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// The loop runs.
    Running,
    /// A pause was requested, and the poll that began before it has not ended.
    Pausing,
    /// The loop is stopped.
    Paused,
    /// The run is over; its trace stays available.
    Ended,
}

impl RunPhase {
    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunOutcome {
    /// Main returned this value, as JSON.
    Completed(serde_json::Value),
    /// The run failed, with this message for the user.
    Failed(String),
    /// The user, or a limit that the user set, ended the run.
    Cancelled,
    /// The program was only observed; loopscope disconnected from it.
    Detached,
}

impl RunOutcome {
    /// Returns the name used in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Detached => "detached",
        }
    }
}

/// The state of a session that the header shows beside the trace.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// What the session shows: a workload's name or an address.
    pub name: String,
    /// The kind of source.
    pub source: SourceKind,
    /// What the user can control.
    pub control_level: ControlLevel,
    /// The state of the data source: the connection to an external app, or the file. `None` for the embedded loop.
    pub connection: Option<ConnectionStatus>,
    /// The clock that defines loop time.
    pub clock: ClockKind,
    /// The speed of a virtual clock.
    pub speed: Speed,
    /// The phase of the run.
    pub phase: RunPhase,
    /// Loop time for display. On a virtual clock it advances through a paced wait.
    pub now: Nanos,
    /// The loop time at which the earliest timer is due.
    pub next_timer: Option<Nanos>,
    /// The feeds that observe the loop.
    pub feed: FeedChoice,
    /// The result of the run, once it is over.
    pub outcome: Option<RunOutcome>,
}
