//! HOW A PERSON DRIVES IT: the commands that a session takes and the status that it gives, as plain words that the
//! lab, the screen and the command line share.

mod breakpoint;

pub use breakpoint::{BREAKPOINTS_MAX, Breakpoint, GRAMMAR, Hit, Who};

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::trace::{Nanos, TaskId};

/// What a person may ask of a loop that loopscope controls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Stop before the next poll.
    Pause,
    Resume,
    /// Let this many tasks be polled, one after the other, then stop again.
    StepPolls(u32),
    /// Run until the loop has nothing ready, then stop.
    StepTurn,
    /// Run until this task was polled, then stop.
    StepTo(TaskId),
    /// Run until loop time reaches this, then stop.
    RunUntil(Nanos),
    /// Keep this task from being polled while the others go on; its wakes are kept.
    Hold(TaskId),
    /// Let a held task go on, and deliver its kept wakes.
    Release(TaskId),
    /// Cancel this task where it waits, as its own program could: it is dropped and lets go of what it holds.
    Cancel(TaskId),
    /// Stop here by itself from now on.
    Break(Breakpoint),
    /// Forget every breakpoint.
    ForgetBreaks,
    Speed(Speed),
    /// The whole of loopscope is about to stand still, and whatever it runs with it; or it goes on, and what it runs goes on
    /// as far as it was meant to.
    Suspend(bool),
    /// Stop somebody else's program as a whole, or let it go on: loop time stands still meanwhile.
    Freeze(bool),
    /// This task is looked at: what is only told on request is wanted of it.
    Select(TaskId),
    /// Try to reach the program now, without waiting any longer.
    Retry,
    Quit,
}

impl Command {
    /// The loop goes on because of it.
    pub fn moves_the_loop(self) -> bool {
        matches!(self, Self::Resume | Self::StepPolls(_) | Self::StepTurn | Self::StepTo(_) | Self::RunUntil(_))
    }
}

/// What kind of thing a session looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Workload,
    Attach,
    Exec,
    Recording,
    Archive,
}

impl SourceKind {
    /// The word in reports.
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

/// How far a person can drive what they look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Every poll: the loop is ours.
    Loop,
    /// The process as a whole: we started it.
    Process,
    /// Not at all: it is somebody else's, or over.
    Nothing,
}

/// How it stands with a program that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub state: LinkState,
    /// Why that is so, or what is to be known of what is seen; empty where there is nothing to say.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Connecting,
    /// It answered, and has told nothing yet.
    Waiting,
    Live,
    /// It could not be reached; the next attempt comes after so long.
    Retrying {
        attempts: u32,
        wait_ms: u64,
    },
    /// It is gone; what it told is kept.
    Lost,
}

/// Which clock the loop lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// Deterministic: time passes only while nothing is ready, at the speed that the person sets.
    Virtual,
    /// The machine's own.
    Real,
}

impl ClockKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Real => "real",
        }
    }
}

/// Which witnesses watch the embedded loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FeedChoice {
    Console,
    Probe,
    #[default]
    Both,
}

impl FeedChoice {
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Probe => "probe",
            Self::Both => "both",
        }
    }

    pub fn console(self) -> bool {
        self != Self::Probe
    }

    pub fn probe(self) -> bool {
        self != Self::Console
    }
}

/// Virtual nanoseconds per real nanosecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Between [`Speed::MIN`] and [`Speed::MAX`].
    Times(f64),
    /// Never wait.
    Max,
}

impl Speed {
    pub const MIN: f64 = 0.1;
    pub const MAX: f64 = 1_000_000.0;

    /// The speeds that one key moves between.
    const LADDER: [f64; 17] = [
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

    /// The next faster step; past the last is [`Speed::Max`].
    #[must_use]
    pub fn faster(self) -> Self {
        match self {
            Self::Times(times) => Self::LADDER.into_iter().find(|step| *step > times).map_or(Self::Max, Self::Times),
            Self::Max => Self::Max,
        }
    }

    /// The next slower step.
    #[must_use]
    pub fn slower(self) -> Self {
        let below = match self {
            Self::Times(times) => times,
            Self::Max => f64::INFINITY,
        };
        Self::Times(Self::LADDER.into_iter().rev().find(|step| *step < below).unwrap_or(Self::MIN))
    }

    /// The real time that `virtual_ns` takes; `None` for no wait at all.
    pub fn real(self, virtual_ns: u64) -> Option<Duration> {
        match self {
            Self::Times(times) => Some(Duration::from_secs_f64(virtual_ns as f64 / 1e9 / times)),
            Self::Max => None,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "×{times}"),
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
            Ok(times) if (Self::MIN..=Self::MAX).contains(&times) => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is not a speed: give max, or a number from {} to {}", Self::MIN, Self::MAX)),
        }
    }
}

/// What the loop as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// A pause was asked for, and a poll that began before it has yet to end.
    Pausing,
    Paused,
    /// The run is over; the trace stays.
    Ended,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// How a run came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// What main returned, as JSON.
    Completed(serde_json::Value),
    /// What went wrong, in lines a person can act on.
    Failed(String),
    /// The person, or a limit that they gave, ended it.
    Cancelled,
    /// It was only watched: it goes on, or went, without us.
    Detached,
}

impl Outcome {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Detached => "detached",
        }
    }
}

/// A session at a glance: what the header shows beside the trace.
#[derive(Clone, Debug)]
pub struct Status {
    /// What is looked at: a workload's name, an address.
    pub name: String,
    pub source: SourceKind,
    pub steering: Steering,
    /// How it stands with somebody else's program; `None` for what is our own.
    pub link: Option<Link>,
    pub clock: ClockKind,
    pub speed: Speed,
    pub phase: Phase,
    /// Loop time as it should be shown now: it moves on while the loop waits for a timer at a set speed.
    pub now: Nanos,
    /// When the earliest timer is due, in loop time.
    pub next_timer: Option<Nanos>,
    pub feed: FeedChoice,
    pub outcome: Option<Outcome>,
}
