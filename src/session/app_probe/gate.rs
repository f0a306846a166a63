//! The gate of a program with the probe: commands to it, and its answers.

use loopscope_probe::protocol::{Command, Reply};

use crate::control::{BREAKPOINTS_MAX, Breakpoint, BreakpointHit, RunPhase, SessionCommand};
use crate::sanitize::{sanitize, truncate};
use crate::trace::{Nanos, TaskId};

/// Longest answer that is shown, in bytes.
const ERROR_BYTES_MAX: usize = 256;

/// What a program that counts commands to continue reports before the first one.
const FIRST_CONTINUES: u64 = 1;

/// The state of the gate, as far as it is known.
#[derive(Debug, Default)]
pub struct RemoteGate {
    reply: Reply,
    /// Number of commands to continue or to step that the program will have got: earlier replies are about the past.
    continues: u64,
    breakpoints: Vec<Breakpoint>,
    /// Why the last command had no effect.
    problem: Option<String>,
}

impl RemoteGate {
    /// Returns the phase of the program while it runs.
    pub fn phase(&self) -> RunPhase {
        match (self.reply.is_paused, self.reply.is_pausing) {
            (true, _) => RunPhase::Paused,
            (false, true) => RunPhase::Pausing,
            (false, false) => RunPhase::Running,
        }
    }

    /// Whether the program permits control.
    pub fn may_control(&self) -> bool {
        self.reply.may_control
    }

    /// Permits control until the program says otherwise.
    pub fn expect_control(&mut self, may_control: bool) {
        self.reply.may_control = may_control;
        self.continues = FIRST_CONTINUES;
    }

    /// Returns why the last command had no effect.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Handles an answer.
    pub fn answer(&mut self, reply: Reply) {
        if let Some(error) = &reply.error {
            self.problem = Some(truncate(&sanitize(error), ERROR_BYTES_MAX));
            // The refused command may have been one to continue.
            self.continues = reply.continues;
        }
        self.continues = self.continues.max(reply.continues);
        self.reply = self.current(reply);
    }

    /// Returns a reply without the pause that a command has ended since.
    fn current(&self, reply: Reply) -> Reply {
        match reply.continues {
            counted if counted != 0 && counted < self.continues => {
                Reply { is_pausing: false, is_paused: false, hit: None, ..reply }
            }
            _ => reply,
        }
    }

    /// Returns the breakpoint that has paused the program, for display.
    pub fn breakpoint(&self) -> Option<String> {
        Some(truncate(&sanitize(self.reply.hit.as_ref()?), ERROR_BYTES_MAX))
    }

    /// Returns the breakpoint hit that paused the program at loop time `at`. `task` maps the program's ids.
    pub fn hit(&self, at: Nanos, task: impl Fn(u64) -> Option<TaskId>) -> Option<BreakpointHit> {
        let text = self.reply.hit.as_ref().filter(|_| self.reply.is_paused)?;
        let breakpoint = text.parse().ok()?;
        Some(BreakpointHit {
            breakpoint,
            task: task(self.reply.task),
            at,
            duration_ns: self.reply.poll_ns,
            finding: "",
        })
    }

    /// Translates a command for the program; `None` if there is nothing to send. `number` maps to the program's ids.
    pub fn command(&mut self, command: SessionCommand, number: impl Fn(TaskId) -> Option<u64>) -> Option<Command> {
        self.problem = None;
        let of_task = |task, command: fn(u64) -> Command| number(task).map(command).ok_or("the task has ended");
        let translated = match command {
            SessionCommand::Pause => Ok(Command::Pause),
            SessionCommand::Resume => Ok(Command::Continue),
            SessionCommand::StepPolls(count) => Ok(Command::StepPolls { count }),
            SessionCommand::StepToTask(task) => of_task(task, |task| Command::StepToTask { task }),
            SessionCommand::Hold(task) => of_task(task, |task| Command::Hold { task }),
            SessionCommand::Release(task) => of_task(task, |task| Command::Release { task }),
            SessionCommand::Cancel(task) => of_task(task, |task| Command::Cancel { task }),
            SessionCommand::AddBreakpoint(Breakpoint::LongWait(..)) => {
                Err("`wait` breakpoints work only in workloads: waits of an app are not watched")
            }
            SessionCommand::AddBreakpoint(breakpoint) => {
                if self.breakpoints.len() < BREAKPOINTS_MAX && !self.breakpoints.contains(&breakpoint) {
                    self.breakpoints.push(breakpoint);
                }
                Ok(self.set_breakpoints())
            }
            SessionCommand::ClearBreakpoints => {
                self.breakpoints.clear();
                Ok(self.set_breakpoints())
            }
            SessionCommand::Reconnect => Err("the app's process has ended or detached: attach again"),
            SessionCommand::StepTurn => Err("an app has no turns to step through: its workers park by themselves"),
            SessionCommand::RunUntil(_) => Err("an app runs in real time: pause it at the right moment instead"),
            SessionCommand::SetSpeed(_) => Err("an app runs in real time: its speed cannot be set"),
            SessionCommand::Suspend(_)
            | SessionCommand::FreezeProcess(_)
            | SessionCommand::SelectTask(_)
            | SessionCommand::Quit => return None,
        };
        match translated {
            Ok(sent) => {
                if command.resumes_loop() {
                    self.continues = self.continues.saturating_add(1);
                    self.reply = self.current(self.reply.clone());
                }
                Some(sent)
            }
            Err(problem) => {
                self.problem = Some(problem.to_owned());
                None
            }
        }
    }

    /// Findings are searched for by loopscope; the program knows nothing of them.
    fn set_breakpoints(&self) -> Command {
        let own = self.breakpoints.iter().filter(|breakpoint| !matches!(breakpoint, Breakpoint::Finding(_)));
        Command::SetBreakpoints { breakpoints: own.map(ToString::to_string).collect() }
    }
}
