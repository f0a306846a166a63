//! Messages for whoever runs the program.

use std::fmt::Display;
use std::io::Write;

/// Prints a line on standard error. A closed standard error is no error.
pub(crate) fn print_problem(problem: impl Display) {
    let _ = writeln!(std::io::stderr(), "loopscope-probe: {problem}");
}
