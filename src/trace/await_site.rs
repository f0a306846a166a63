//! Await sites: where the program awaits, and which kind of operation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::location::Location;
use super::stack_frame::StackFrame;

/// Category of an awaited operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AwaitKind {
    /// A sleep, interval or timeout.
    Timer,
    /// Another task, through its join handle.
    Task,
    /// A mutex, semaphore, barrier or similar.
    Sync,
    /// A send or receive on a channel.
    Channel,
    /// A socket, file or other I/O.
    Io,
    /// A call that blocks the loop thread, shown inside the poll that makes it.
    BlockingCall,
    /// A yield to the other ready tasks.
    Yield,
    /// Anything else.
    Other,
}

impl AwaitKind {
    /// All kinds, in order of their discriminants.
    pub const ALL: [Self; 8] =
        [Self::Timer, Self::Task, Self::Sync, Self::Channel, Self::Io, Self::BlockingCall, Self::Yield, Self::Other];

    /// Returns the name used on the console wire and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Task => "task",
            Self::Sync => "sync",
            Self::Channel => "channel",
            Self::Io => "io",
            Self::BlockingCall => "block",
            Self::Yield => "yield",
            Self::Other => "other",
        }
    }

    /// Returns the rank by which one of several awaits side by side is shown first. A lock or a channel says more about
    /// why a task waits than the timer of its timeout.
    pub fn wait_rank(self) -> u8 {
        match self {
            Self::Sync => 0,
            Self::Channel => 1,
            Self::Task | Self::Io | Self::BlockingCall => 2,
            Self::Yield | Self::Other => 3,
            Self::Timer => 4,
        }
    }

    /// Returns the kind called `name`, or [`AwaitKind::Other`] for an unknown name.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(Self::Other)
    }
}

/// An await expression in the program: an operation and its location.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AwaitSite {
    /// Category of the operation.
    pub kind: AwaitKind,
    /// The operation, such as `sleep` or `gather`: console-subscriber's `source`.
    pub source: Arc<str>,
    /// Where it is awaited, if known.
    pub location: Option<Location>,
    /// The functions that await each other at this site, from the outermost one, if known. An archive has them apart.
    #[serde(skip)]
    pub chain: Option<Arc<[StackFrame]>>,
}
