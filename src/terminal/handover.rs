//! Handing the terminal over to an editor or to the shell while the program continues.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Interval at which the editor process is polled for its end.
pub(super) const EDITOR_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A reason to hand over the terminal before the next frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalHandover {
    /// Edit the script of this workload, in this file.
    Edit { name: String, path: PathBuf },
    /// Suspend the program until the shell resumes it.
    Suspend,
    /// Redraw after the program was resumed: the terminal may be in any state.
    Resume,
}

/// Starts the user's editor (`$VISUAL`, `$EDITOR` or `vi`) on a file.
///
/// # Errors
/// Fails if the editor cannot be started; the error is a message for the user.
pub(super) fn start_editor(path: &Path) -> Result<Child, String> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
    // As git does: the variable may hold options and quotes, so a shell parses it.
    let mut line = editor.clone();
    line.push(" \"$1\"");
    let started = Command::new("sh").arg("-c").arg(line).arg("sh").arg(absolute(path)).spawn();
    started.map_err(|error| format!("cannot start the editor `{}`: {error}", editor.to_string_lossy()))
}

/// Returns an absolute path, which no editor mistakes for an option.
fn absolute(path: &Path) -> OsString {
    std::path::absolute(path).map_or_else(|_| path.into(), PathBuf::into_os_string)
}

/// Whether a shell with job control can resume the program.
pub(super) fn has_shell() -> bool {
    // A shell with job control gives each job its own process group. A process in the group of the session leader was
    // started by something else.
    let group = rustix::process::getpgrp();
    rustix::process::getsid(None).is_ok_and(|session| session != group)
}

/// Stops the whole job until the shell resumes it.
pub(super) fn stop_job() {
    // The whole group: the shell may be waiting for a parent such as `cargo run`.
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
}
