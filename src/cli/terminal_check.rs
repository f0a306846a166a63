//! The check that the screen has a terminal.

use std::io::IsTerminal;

use anyhow::ensure;

/// Checks that standard input and output are a terminal, which the screen needs.
///
/// # Errors
/// Returns an error that suggests `headless_command` if either is not a terminal.
pub(super) fn ensure_terminal(headless_command: &str) -> anyhow::Result<()> {
    ensure!(
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        "standard input and output must be a terminal to show the screen\n\
         help: to print a report instead, add --headless, as in `{headless_command}`"
    );
    Ok(())
}
