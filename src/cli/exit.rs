//! Exit codes and output streams: documents go to standard output, messages to standard error.

use std::io::{self, BufWriter, Write};

use crate::sanitize::sanitize;

/// The result of a command, which determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CliExit {
    /// The command succeeded. Code 0.
    Success,
    /// The run or an assertion failed. Code 1.
    Failed,
    /// The usage or the input was invalid. Code 2.
    BadInput,
    /// A headless run was interrupted. Code 130.
    Interrupted,
    /// A signal ended the screen. Code 128 plus the signal number.
    Signal(i32),
}

impl CliExit {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::Interrupted => 130,
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// Prints the error of a command, if any, and returns the exit code.
///
/// Errors count as invalid input, except I/O errors and [`OperationError`].
pub(super) fn exit_code_of(result: anyhow::Result<CliExit>) -> CliExit {
    result.unwrap_or_else(|error| {
        print_error(&format!("{error:#}"));
        if error.is::<io::Error>() || error.is::<OperationError>() { CliExit::Failed } else { CliExit::BadInput }
    })
}

/// A failure that is not caused by invalid input.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct OperationError(pub String);

/// Prints `message` to standard error, without control characters: it may quote untrusted text.
pub(super) fn print_error(message: &str) {
    let mut lines = message.lines().map(sanitize);
    let first = lines.next().unwrap_or_default();
    let rest: String = lines.map(|line| format!("\n{line}")).collect();
    // Ignore write errors: there is no other stream to report them.
    let _ = writeln!(io::stderr(), "loopscope: {first}{rest}");
}

/// Calls `write` with buffered standard output. A broken pipe is not an error.
pub(super) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
