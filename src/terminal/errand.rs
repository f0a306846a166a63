//! What the terminal is given back for while the program goes on: an editor, or the shell.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// How often it is asked whether an editor has ended.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// What is to be done before the next frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// The script of this name, in this file, is to be edited.
    Edit { name: String, path: PathBuf },
    /// The program is to stop until the shell lets it go on.
    Suspend,
    /// It was stopped and goes on: the terminal may be in any state.
    Return,
}

/// The person's editor with this file.
///
/// # Errors
/// Where it cannot be started, in words for the person.
pub(super) fn editor(path: &Path) -> Result<Child, String> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
    // As git and others do it: the variable may hold options and quotes, which are the shell's to read.
    let mut line = editor.clone();
    line.push(" \"$1\"");
    let started = Command::new("sh").arg("-c").arg(line).arg("sh").arg(absolute(path)).spawn();
    started.map_err(|error| format!("the editor `{}` cannot be started: {error}", editor.to_string_lossy()))
}

/// A name that no editor takes for an option.
fn absolute(path: &Path) -> OsString {
    std::path::absolute(path).map_or_else(|_| path.into(), PathBuf::into_os_string)
}

/// Whether there is a shell that would let the program go on again.
pub(super) fn has_shell() -> bool {
    // A shell with job control gives each job a group of its own; who shares the group of the session's first process
    // was started by something else.
    let group = rustix::process::getpgrp();
    rustix::process::getsid(None).is_ok_and(|session| session != group)
}

/// Stops the whole job, until the shell lets it go on.
pub(super) fn stop() {
    // The group, for a program that started this one (`cargo run`) is what the shell waits for.
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
}
