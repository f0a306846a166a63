//! Stopping (SIGSTOP) and continuing the app's process.

use std::time::{Duration, Instant};

use super::process::AppProcess;
use crate::control::SessionCommand;
use crate::trace::PauseReason;

/// Maximum delay of a stop while waiting for a console update.
const FREEZE_TIMEOUT: Duration = Duration::from_millis(250);

/// Whether the app's process is stopped, or will be.
#[derive(Debug, Default)]
pub struct FreezeState {
    /// The process is stopped.
    is_frozen: bool,
    /// The process is stopped only while loopscope itself is suspended.
    is_suspended: bool,
    /// When a stop was requested, until the process is stopped.
    requested_at: Option<Instant>,
}

impl FreezeState {
    /// Returns whether the process is stopped.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Returns whether a stop was requested and the process is not yet stopped.
    pub fn is_requested(&self) -> bool {
        self.requested_at.is_some()
    }

    /// Requests a stop if the command does that and `can_stop` says that the process runs. Returns whether the command
    /// continues the process.
    pub fn handle_command(&mut self, command: SessionCommand, can_stop: bool) -> bool {
        match command {
            SessionCommand::FreezeProcess(true) | SessionCommand::Suspend(true) => {
                if can_stop && !self.is_frozen {
                    self.request(command == SessionCommand::Suspend(true));
                }
                false
            }
            SessionCommand::Suspend(false) => self.take_suspension(),
            SessionCommand::FreezeProcess(false) => true,
            _ => false,
        }
    }

    /// Requests a stop. `is_suspension` means that it lasts only while loopscope itself is suspended.
    fn request(&mut self, is_suspension: bool) {
        self.is_suspended = is_suspension && self.requested_at.is_none();
        self.requested_at.get_or_insert_with(Instant::now);
    }

    /// Returns whether the last stop was requested for a suspension of loopscope, and forgets it.
    fn take_suspension(&mut self) -> bool {
        std::mem::take(&mut self.is_suspended)
    }

    /// Stops the process after the next console update, or after a timeout. Returns the reason if it was stopped now.
    ///
    /// The update gives the names of what the tasks wait for. `has_update` is whether one has just arrived.
    pub fn stop_if_due(&mut self, has_update: bool, app: Option<&mut AppProcess>) -> Option<PauseReason> {
        self.requested_at.filter(|requested_at| has_update || requested_at.elapsed() >= FREEZE_TIMEOUT)?;
        self.requested_at = None;
        let app = app.filter(|_| !self.is_frozen)?;
        self.is_frozen = app.freeze(true);
        let reason = if self.is_suspended { PauseReason::Suspended } else { PauseReason::User };
        self.is_frozen.then_some(reason)
    }

    /// Continues the process, or cancels a requested stop. Calls `before_signal` just before the process continues.
    pub fn thaw(&mut self, app: Option<&mut AppProcess>, before_signal: impl FnOnce()) {
        self.requested_at = None;
        let Some(app) = app.filter(|_| self.is_frozen) else { return };
        before_signal();
        self.is_frozen = !app.freeze(false);
    }

    /// Records that the process has ended.
    pub fn clear(&mut self) {
        (self.is_frozen, self.requested_at) = (false, None);
    }
}
