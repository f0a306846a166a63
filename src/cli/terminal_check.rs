//! The check that the screen has a terminal, and the command to type where it has none.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::{CommandFactory, Parser};

use super::{Cli, CliCommand};

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
    let (mut words, mut times) = (headless_command(args), "");
    if keep_first_address(&mut words) {
        times = " once for each address";
    }
    let command = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    anyhow::Error::msg(format!("{error}\nhelp: to print a report instead, run `{command}`{times}"))
}

/// Removes all addresses of `attach` but the first, because a report covers only one app. Returns whether there were
/// several.
fn keep_first_address(words: &mut Vec<String>) -> bool {
    let address_count = |words: &[String]| match Cli::try_parse_from(words).ok()?.command? {
        CliCommand::Attach(attach) => Some(attach.address_count()),
        _ => None,
    };
    let Some(mut count) = address_count(words).filter(|count| *count > 1) else { return false };
    // From the right, so that no address becomes the value of an option before it.
    for at in (0..words.len()).rev() {
        let fewer: Vec<String> = [&words[..at], &words[at + 1..]].concat();
        if count > 1 && address_count(&fewer) == Some(count - 1) {
            (*words, count) = (fewer, count - 1);
        }
    }
    true
}

/// Returns the words of the headless command that corresponds to `args`, which begin with the program name. Options that
/// need a screen are left out.
fn headless_command(args: &[OsString]) -> Vec<String> {
    let words: Vec<String> = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let command = Cli::command();
    let is_subcommand = |word: &String| command.find_subcommand(word).is_some();
    let Some(at) = words.iter().position(is_subcommand) else {
        return ["loopscope", "run", "NAME", "--headless"].map(str::to_owned).to_vec();
    };
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
    suggested
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

    /// Returns what follows `run` in the message. Asserts that the program accepts the suggested command.
    fn suggestion(args: &[&str]) -> String {
        assert!(Cli::try_parse_from(args).is_ok(), "{args:?}");
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let message = add_suggestion(TerminalError::NotATerminal.into(), &args).to_string();
        let (_, suggestion) = message.split_once("run `").expect("there is a suggestion");
        let (command, times) = suggestion.split_once('`').expect("the suggestion ends");
        let parsed = Cli::try_parse_from(split_words(command)).unwrap_or_else(|error| panic!("{command}: {error}"));
        let (is_headless, is_one_app) = match parsed.command.expect("there is a subcommand") {
            CliCommand::Run(run) => (run.is_accepted_headless(), true),
            CliCommand::Attach(attach) => (attach.is_headless(), attach.address_count() == 1),
            CliCommand::Exec(exec) => (exec.is_headless(), true),
            CliCommand::Open(open) => (open.is_headless(), true),
            _ => (false, false),
        };
        assert!(is_headless && is_one_app, "{command}");
        format!("{command}{times}")
    }

    /// Splits a command at spaces as a POSIX shell does, for the kinds of quoting that [`quote`] uses.
    fn split_words(command: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let (mut is_quoted, mut chars) = (false, command.chars());
        while let Some(char) = chars.next() {
            match char {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                '\\' if !is_quoted => words.last_mut().into_iter().for_each(|word| word.extend(chars.next())),
                char => words.last_mut().into_iter().for_each(|word| word.push(char)),
            }
        }
        words
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

    #[test]
    fn suggestion_reports_on_one_app() {
        assert_eq!(suggestion(&["loopscope", "attach"]), "loopscope attach --headless --for 3s");
        assert_eq!(
            suggestion(&["loopscope", "attach", "7000", "--record", "7001", "unix:/tmp/a b.sock", "7000"]),
            "loopscope attach --headless --for 3s 7000 --record 7001 once for each address"
        );
        assert_eq!(
            suggestion(&["loopscope", "attach", "7000", "7001", "--record", "7002", "--theme=mono", "--", "7003"]),
            "loopscope attach --headless --for 3s 7000 --record 7002 --theme=mono -- once for each address"
        );
        assert_eq!(
            suggestion(&["loopscope", "attach", "--recording", "app.jsonl", "--ascii"]),
            "loopscope attach --headless --recording app.jsonl --ascii"
        );
    }
}
