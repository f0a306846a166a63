//! Commands of loopscope.

use std::sync::OnceLock;

use crate::breakpoint::Breakpoint;
use crate::handshake::is_equal;
use crate::protocol::{Command, Reply, SECRET_VARIABLE};
use crate::{collector, gate, hello, spawn};

/// Returns whether any connection may control the program.
pub(crate) fn is_possible() -> bool {
    hello::allows_control() || !secret().is_empty()
}

/// Returns the secret that permits control; empty if there is none.
fn secret() -> &'static str {
    static SECRET: OnceLock<String> = OnceLock::new();
    SECRET.get_or_init(|| std::env::var(SECRET_VARIABLE).unwrap_or_default())
}

/// Returns whether a connection may control the program: everyone may, or the peer knows the secret.
pub(crate) fn may_control(secret: Option<&str>) -> bool {
    let expected = self::secret();
    hello::allows_control()
        || secret.is_some_and(|secret| !expected.is_empty() && is_equal(secret.as_bytes(), expected.as_bytes()))
}

/// Carries out a command, and answers it.
pub(crate) fn carry_out(command: &Command, may_control: bool) {
    let result = if may_control {
        try_carry_out(command)
    } else {
        Err("the program does not permit control: call `loopscope_probe::init().allow_control()`, or start it with \
             `loopscope exec`"
            .to_owned())
    };
    let status = gate::status();
    collector::add_reply(Reply { may_control, error: result.err(), ..status });
}

fn try_carry_out(command: &Command) -> Result<(), String> {
    match command {
        Command::Pause => gate::close(),
        Command::Continue => gate::open(),
        Command::StepPolls { count } => gate::step_polls(*count),
        Command::StepToTask { task } => gate::step_to_task(*task),
        Command::Hold { task } => spawn::hold(*task)?,
        Command::Release { task } => spawn::release(*task)?,
        Command::Cancel { task } => spawn::cancel(*task)?,
        Command::SetBreakpoints { breakpoints } => gate::set_breakpoints(Breakpoint::parse_all(breakpoints)?),
    }
    Ok(())
}

/// Undoes everything that a connection demanded.
pub(crate) fn reset() {
    gate::reset();
    spawn::release_all();
}
