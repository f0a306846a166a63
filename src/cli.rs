//! The command line: what a person types, one file a subcommand, and the exit code that a script gets back.

mod assertion;
mod attach;
mod catalog;
mod doctor;
mod exec;
mod exit;
mod headless;
mod open;
mod pages;
mod record;
mod run;
mod screen;
mod settings;

pub use assertion::{Assertion, Verdict};
pub use exit::Exit;
pub use headless::run_to_end;
pub use run::Plan;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use crate::settings::{Settings, ThemeChoice, Wishes};
use crate::trace::Nanos;
use crate::workload::duration;

const EXAMPLES: &str = "\
Examples:
  loopscope                                   choose a workload and watch it
  loopscope run countasync                    watch one
  loopscope run chess-async --speed 3600      an hour of loop time each second
  loopscope run countasync --headless         no screen: print what happened
  loopscope run countasync --headless --json --assert 'elapsed_ns == 1s'
  loopscope exec -- ./my-app                  start an app that uses console-subscriber, and see every poll
  loopscope attach                            look at one that runs already
  loopscope doctor                            why is there nothing to see?
  loopscope open recording.jsonl              look at what an app recorded of itself

Exit code: 0 success, 1 the run failed or an assertion did not hold, 2 bad usage or bad input, 130 interrupted.";

/// See what an async event loop is really doing.
///
/// loopscope runs a small async program on an event loop that it owns, or looks at a tokio program of yours, and draws
/// every task's life: when it was polled, who woke it, and what it awaited. Without a command it lets you choose.
#[derive(Debug, Parser)]
#[command(name = "loopscope", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    command: Option<Command>,
}

/// How the screen looks, for this one start.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Look {
    /// Colours: ansi (the terminal's own), rgb (fixed 24-bit) or mono (none)
    #[arg(long, global = true, value_name = "THEME", help_heading = "Screen")]
    theme: Option<ThemeChoice>,
    /// Draw with ASCII characters only
    #[arg(long, global = true, help_heading = "Screen")]
    ascii: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a workload, on screen or headless
    Run(run::RunArguments),
    /// Attach to somebody else's tokio program, on screen or headless
    Attach(attach::AttachArguments),
    /// Start an app that uses console-subscriber, and watch its every poll and wake
    Exec(exec::ExecArguments),
    /// Look at an archive of a run, or at a recording that console-subscriber made of an app
    Open(open::OpenArguments),
    /// Say why a tokio-console app shows nothing, or too little, and what to do
    Doctor(doctor::DoctorArguments),
    /// List the workloads, check a script of your own, or begin one
    Workloads(catalog::WorkloadsArguments),
    /// Show what a workload teaches, its parameters and its script
    Show(catalog::ShowArguments),
    /// Read a script as `run` would, run nothing, and say what is wrong with it
    Check(catalog::CheckArguments),
    /// Write a script to start from, which runs as it is
    New(catalog::NewArguments),
    /// Print a completion script for a shell
    Completions(pages::CompletionsArguments),
    /// Print the manual page
    Man(pages::ManArguments),
    /// Print the settings in force, or a settings file to start from
    Settings(settings::SettingsArguments),
}

/// Does what the command line `words` says, program name first. Everything that can go wrong has been told on standard
/// error when this returns.
pub fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Printed to whichever stream it belongs; a reader that went away has what it wanted.
            let _ = error.print();
            return if error.use_stderr() { Exit::BadInput } else { Exit::Success };
        }
    };
    let exit = exit::told(dispatch(arguments));
    // A run that was left behind may not have come to removing its own folder.
    crate::belongings::sweep();
    exit
}

/// The command line's definition, for completions and manual pages.
pub fn command() -> clap::Command {
    Arguments::command()
}

fn dispatch(arguments: Arguments) -> anyhow::Result<Exit> {
    let flags =
        Wishes { theme: arguments.look.theme, ascii: arguments.look.ascii.then_some(true), ..Wishes::default() };
    let settings = || Settings::load(|name| std::env::var(name).ok(), &flags);
    match arguments.command {
        None => run::pick(&settings()?),
        Some(Command::Run(run)) => run::run(run, &settings()?),
        Some(Command::Attach(attach)) => attach::attach(&attach, &settings()?),
        Some(Command::Workloads(workloads)) => catalog::workloads(&workloads),
        Some(Command::Show(show)) => catalog::show(&show),
        Some(Command::Exec(exec)) => exec::exec(&exec, &settings()?),
        Some(Command::Open(open)) => open::open(&open, &settings()?),
        Some(Command::Check(check)) => catalog::check(&check),
        Some(Command::New(new)) => catalog::new(&new),
        Some(Command::Doctor(doctor)) => doctor::doctor(&doctor),
        Some(Command::Completions(completions)) => pages::completions(&completions),
        Some(Command::Man(man)) => pages::man(&man),
        // The template must be had even while the file that it should replace is broken.
        Some(Command::Settings(arguments)) if arguments.default => settings::template(),
        Some(Command::Settings(_)) => settings::in_force(&settings()?),
    }
}

/// A length of loop time, written as in workloads: seconds as a number, or text such as `10ms`.
fn loop_time(text: &str) -> Result<Nanos, String> {
    let duration = duration::parse(text)?;
    Nanos::try_from(duration.as_nanos()).map_err(|_| format!("`{text}` is too long: loop time ends after 584 years"))
}
