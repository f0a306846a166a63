//! The protocol between an instrumented program and loopscope. `docs/protocol.md` in the repository describes it.
//!
//! Both sides send frames: the length of the rest (4 bytes, little-endian), the kind (1 byte), and the payload.

mod frame;

use serde::{Deserialize, Serialize};

pub(crate) use frame::write_frame_head;
pub use frame::{CommandKind, Frame, FrameKind, split_frame, write_frame};

/// Version of the protocol. A program and loopscope understand each other only if it is equal.
pub const VERSION: u32 = 1;

/// Longest frame from the program, in bytes without its length field.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Longest frame to the program, in bytes without its length field.
pub const COMMAND_BYTES_MAX: usize = 1 << 16;

/// Environment variable with the path of a socket to which the program connects when it starts. Without it, the program
/// listens on a socket of its own.
pub const SOCKET_VARIABLE: &str = "LOOPSCOPE_PROBE_SOCKET";

/// Environment variable with the secret that permits control.
pub const SECRET_VARIABLE: &str = "LOOPSCOPE_PROBE_SECRET";

/// Environment variable that asks a program for a virtual clock, by the value `virtual`. Programs with tokio ignore it.
pub const CLOCK_VARIABLE: &str = "LOOPSCOPE_CLOCK";

/// First bytes of a file that holds frames of a program.
pub const FILE_MAGIC: &[u8; 8] = b"LSPROBE\x01";

/// Describes the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub protocol: u32,
    /// Process id.
    pub pid: u32,
    /// Name of the program.
    pub name: String,
    /// What runs the tasks: `tokio` or `asyncio`.
    pub runtime: String,
    /// Version of what runs the program, such as `CPython 3.11.7`; empty if unknown.
    #[serde(default)]
    pub runtime_version: String,
    /// Version of the probe.
    pub probe: String,
    /// Time is virtual: it advances only to the next timer.
    #[serde(default)]
    pub is_clock_virtual: bool,
    /// Start of the process, in nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Time of the base of the stream (ticks 0), in nanoseconds since 1970.
    pub base_unix_ns: u64,
    /// Time of the base of the stream, in nanoseconds of the monotonic clock.
    pub base_monotonic_ns: u64,
    /// Ticks per second, as far as it is known; pairs in [`FrameKind::Round`] are more precise.
    pub ticks_per_second: u64,
    /// Identifies the boot of the machine, so that times of several programs can be compared. Empty if unknown.
    pub boot_id: String,
    /// Live tasks, without workers, futures of `block_on` and closures of the blocking pool.
    pub tasks: u64,
    /// What is recorded.
    pub facts: Facts,
    /// The program permits control without a secret that loopscope passed to it.
    pub allows_control: bool,
}

/// What a program can record. The user is shown what is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Polls, spawns and ends of tasks.
    pub polls: bool,
    /// Wakes.
    pub wakes: bool,
    /// Awaits and resources of the runtime.
    pub resources: bool,
    /// Runtime hooks are installed: polls and drops are distinguished where they happen.
    pub hooks: bool,
}

/// The text or description behind an id that records use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Definition {
    /// A site: where something is spawned, created or awaited, and what it is.
    Site(Site),
    /// A thread.
    Thread(Thread),
    /// Name of a task that has one.
    TaskName {
        /// The task.
        task: u64,
        /// Its name.
        name: String,
    },
    /// Name of an attribute of resources.
    AttributeName {
        /// Its id.
        id: u64,
        /// The name.
        name: String,
    },
    /// The exception with which a task ended. Precedes its [`TaskEnded`](crate::record::RecordKind::TaskEnded).
    TaskError {
        /// The task.
        task: u64,
        /// Its text with the traceback, such as Python prints it.
        text: String,
    },
    /// Something that the runtime noticed.
    Notice(Notice),
}

/// Something that the runtime noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When, in ticks.
    pub ticks: u64,
    /// The task that it concerns; 0 if unknown.
    pub task: u64,
    /// `never_awaited`: a coroutine was created and never awaited, in the task. `never_retrieved`: the task ended with an
    /// exception that nothing retrieved. Others are skipped.
    pub kind: String,
    /// Name of the coroutine's function; may be empty.
    #[serde(default)]
    pub name: String,
    /// Source file in which it was created; empty if unknown.
    #[serde(default)]
    pub file: String,
    /// Line, from 1; 0 if unknown.
    #[serde(default)]
    pub line: u32,
    /// The exception; may be empty.
    #[serde(default)]
    pub text: String,
}

/// One function in a chain of awaits, or on a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StackFrame {
    /// Name of the function, such as `Server.handle`.
    pub function: String,
    /// Source file.
    pub file: String,
    /// Line that it awaits or executes, from 1; 0 if unknown.
    pub line: u32,
}

/// A site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Site {
    /// Its id, from 1.
    pub id: u64,
    /// What it makes: for a task `task`, `local`, `blocking`, `block_on`, `worker` or `callback`; for a resource or an
    /// operation the kind that the runtime states, such as `Sync` or `timer`. If the runtime is `asyncio`, an await is a
    /// `timer`, `task`, `sync`, `channel`, `io`, `block`, `yield` or `other`, and a resource a `lock`, `semaphore`,
    /// `channel`, `signal` or `other`.
    pub kind: String,
    /// Type of the resource (`Mutex`), source of the operation (`Mutex::lock`), or function of the task; may be empty.
    pub name: String,
    /// Source file; empty if unknown.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// Size of the future in bytes; 0 if unknown.
    pub size_bytes: u64,
    /// Size before it was boxed; 0 if it was not.
    pub original_size_bytes: u64,
    /// The resource is an implementation detail of another one.
    pub is_internal: bool,
    /// The chain of awaits at this site, or the stack, from the outermost function. Of more than 64, the innermost ones are
    /// read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<StackFrame>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its id, from 1. Id 0 is used for the records of the snapshot.
    pub id: u32,
    /// Name of the thread; may be empty.
    pub name: String,
    /// Index of the worker that this thread is; `None` if it is none, or is not known to be one.
    pub worker: Option<u32>,
    /// Identifies the runtime of the worker, from 1.
    pub runtime: u32,
    /// Id of the thread in the system; 0 if it is not known.
    #[serde(default)]
    pub system_id: u32,
}

/// A line of output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Time in ticks.
    pub ticks: u64,
    /// The task that printed it; 0 if unknown.
    pub task: u64,
    /// Whether it was printed on standard error.
    pub is_error: bool,
    /// The text without the line end.
    pub text: String,
}

/// First message of loopscope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`VERSION`].
    pub protocol: u32,
    /// The secret that permits control; `None` to observe only.
    pub secret: Option<String>,
    /// Asks for the frames of the flight recorder and the end of the connection, instead of a live stream.
    pub dump: bool,
}

/// A command to the program. Each is answered by a [`Reply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Stops every worker before its next poll.
    Pause,
    /// Continues.
    Continue,
    /// Lets this many polls happen, one after the other, then pauses.
    StepPolls {
        /// Number of polls.
        count: u32,
    },
    /// Continues until this task was polled once, then pauses.
    StepToTask {
        /// The task.
        task: u64,
    },
    /// Holds a task.
    Hold {
        /// The task.
        task: u64,
    },
    /// Releases a held task.
    Release {
        /// The task.
        task: u64,
    },
    /// Cancels a task.
    Cancel {
        /// The task.
        task: u64,
    },
    /// Replaces all breakpoints.
    SetBreakpoints {
        /// The breakpoints, as the user writes them.
        breakpoints: Vec<String>,
    },
}

/// State of the program's gate, sent after every change and as the answer to every command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Control is permitted on this connection.
    pub may_control: bool,
    /// A pause was requested.
    pub is_pausing: bool,
    /// Every worker that is not parked has stopped.
    pub is_paused: bool,
    /// The breakpoint that paused the program, as the user wrote it.
    pub hit: Option<String>,
    /// The task at which it paused; 0 if none.
    pub task: u64,
    /// How long the poll took that hit the breakpoint `poll > DURATION`, in nanoseconds; 0 otherwise.
    #[serde(default)]
    pub poll_ns: u64,
    /// 1, and 1 more for each command of this connection to continue or to step that was carried out. A reply from before a
    /// command is thus recognized. 0 if the program does not count.
    #[serde(default)]
    pub continues: u64,
    /// Why the last command could not be carried out.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_plain_json() {
        let command = serde_json::to_string(&Command::StepPolls { count: 5 }).expect("JSON");
        assert_eq!(command, r#"{"command":"step_polls","count":5}"#);
        let definition = Definition::TaskName { task: 7, name: "main".to_owned() };
        assert_eq!(serde_json::to_string(&definition).expect("JSON"), r#"{"task_name":{"task":7,"name":"main"}}"#);
    }
}
