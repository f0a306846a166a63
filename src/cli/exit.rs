//! Exit codes, and the two streams: documents on standard output, everything that is said to the person on standard
//! error.

use std::io::{self, BufWriter, Write};

use crate::report::plain;

/// What a script learns from the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// The run failed, or an assertion did not hold.
    Failed,
    /// Bad usage or bad input.
    BadInput,
    Interrupted,
    /// Ended by this signal.
    Signal(i32),
}

impl Exit {
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

/// The exit code for how a command came out, once its error is told. What cannot be done is the fault of what was
/// given; only writing and running fail for reasons of their own.
pub(super) fn told(result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        tell(&format!("{error:#}"));
        if error.is::<io::Error>() || error.is::<Broken>() { Exit::Failed } else { Exit::BadInput }
    })
}

/// Something of loopscope's own that did not work, whatever it was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub String);

/// Says `message` on standard error. It may quote a script, so nothing in it reaches the terminal unread.
pub(super) fn tell(message: &str) {
    let mut lines = message.lines().map(plain);
    let first = lines.next().unwrap_or_default();
    let rest: String = lines.map(|line| format!("\n{line}")).collect();
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "loopscope: {first}{rest}");
}

/// Lets `write` fill standard output. A reader that closed it early has what it wanted: that is no error.
pub(super) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
