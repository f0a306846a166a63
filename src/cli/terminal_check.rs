//! The check that the screen has a terminal, and the command to type where it has none.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::CommandFactory;

use super::Cli;

/// Why the screen cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TerminalError {
    /// Standard input or output is a file or a pipe.
    #[error("standard input and output must be a terminal to show the screen")]
    NotATerminal,
    /// `TERM` is `dumb`.
    #[error("TERM=dumb: this terminal cannot move the cursor, which the screen needs")]
    Dumb,
}

/// Checks that standard input and output are a terminal that can show the screen.
///
/// # Errors
/// Returns why not.
pub(super) fn ensure_terminal() -> Result<(), TerminalError> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(TerminalError::NotATerminal);
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(TerminalError::Dumb);
    }
    Ok(())
}

/// Appends to a [`TerminalError`] the headless command that corresponds to `args`.
pub(super) fn add_suggestion(error: anyhow::Error, args: &[OsString]) -> anyhow::Error {
    if !error.is::<TerminalError>() {
        return error;
    }
    anyhow::Error::msg(format!("{error}\nhelp: to print a report instead, run `{}`", headless_command(args)))
}

/// Returns the headless command that corresponds to `args`, which begin with the program name. Options that need a
/// screen are left out.
fn headless_command(args: &[OsString]) -> String {
    let words: Vec<String> = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let command = Cli::command();
    let is_subcommand = |word: &String| command.find_subcommand(word).is_some();
    let Some(at) = words.iter().position(is_subcommand) else { return "loopscope run NAME --headless".to_owned() };
    let (before, after) = words.split_at(at);
    let mut suggested = vec!["loopscope".to_owned()];
    suggested.extend_from_slice(before);
    suggested.extend([after[0].clone(), "--headless".to_owned()]);
    let mut rest = after[1..].iter();
    match after[0].as_str() {
        "run" => {
            while let Some(word) = rest.next() {
                match word.as_str() {
                    "--paused" => {}
                    "--break" => drop(rest.next()),
                    word if word.starts_with("--break=") => {}
                    word => suggested.push(word.to_owned()),
                }
            }
        }
        // An attached app may never exit.
        "attach" if !after.iter().any(|word| word == "--recording" || word.starts_with("--recording=")) => {
            suggested.extend(["--for".to_owned(), "3s".to_owned()]);
            suggested.extend(rest.cloned());
        }
        _ => suggested.extend(rest.cloned()),
    }
    suggested.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a POSIX shell if necessary.
fn quote(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_@%+=:,./-".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(args: &[&str]) -> String {
        headless_command(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn suggestion_repeats_the_arguments() {
        assert_eq!(suggestion(&["/usr/bin/loopscope"]), "loopscope run NAME --headless");
        assert_eq!(
            suggestion(&["loopscope", "run", "chess-async", "--set", "opponents=8", "--seed=3", "--paused"]),
            "loopscope run --headless chess-async --set opponents=8 --seed=3"
        );
        assert_eq!(
            suggestion(&["loopscope", "run", "--break", "poll a > 1ms", "my script.lua"]),
            "loopscope run --headless 'my script.lua'"
        );
        assert_eq!(
            suggestion(&["loopscope", "--ascii", "attach", "7000", "--record", "it's.loop"]),
            r"loopscope --ascii attach --headless --for 3s 7000 --record 'it'\''s.loop'"
        );
        assert_eq!(
            suggestion(&["loopscope", "exec", "--record", "a.loop", "--", "./app", "--break"]),
            "loopscope exec --headless --record a.loop -- ./app --break"
        );
        assert_eq!(suggestion(&["loopscope", "open", "seen.loop"]), "loopscope open --headless seen.loop");
    }
}
