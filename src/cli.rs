//! The command line: one file per subcommand, and the exit codes.

mod assertion;
mod attach;
mod attach_target;
mod catalog;
mod doctor;
mod exec;
mod exit;
mod external_app;
mod headless;
mod lint_name;
mod open;
mod open_recording;
mod pages;
mod plan;
mod record;
mod report_args;
mod run;
mod screen;
mod settings;
mod terminal_check;

pub use assertion::{AssertResult, Assertion};
pub use exit::CliExit;
pub use headless::run_to_end;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use crate::settings::{PartialSettings, Settings, ThemeChoice};

const EXAMPLES: &str = "\
Examples:
  loopscope                                   choose a workload and run it
  loopscope run countasync                    run a workload
  loopscope run chess-async --speed 3600      one hour of loop time per second
  loopscope run countasync --headless         print a report, without a screen
  loopscope run countasync --headless --json --assert 'elapsed_ns == 1s'
  loopscope exec -- ./my-app                  start an app and record every poll
  loopscope attach                            attach to a running app
  loopscope doctor                            diagnose why an app shows no tasks
  loopscope open recording.jsonl              show an app's recording

Exit codes: 0 success, 1 run or assertion failed, 2 invalid usage or input, 130 interrupted.";

/// Inspect what an async event loop is doing
///
/// loopscope runs a workload on its own tokio event loop, or observes an external tokio app. It shows a timeline of
/// every task: when it was polled, what woke it and what it awaited. Without a command, it opens the workload picker.
#[derive(Debug, Parser)]
#[command(name = "loopscope", version, max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    screen: ScreenArgs,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

/// Options for the appearance of the screen.
#[derive(Clone, Copy, Debug, clap::Args)]
struct ScreenArgs {
    /// Set the colours: ansi, rgb or mono
    ///
    /// ansi uses the palette of the terminal, rgb 24-bit colours, and mono no colours.
    #[arg(long, global = true, value_name = "THEME", help_heading = "Screen")]
    theme: Option<ThemeChoice>,
    /// Draw with ASCII characters only
    #[arg(long, global = true, help_heading = "Screen")]
    ascii: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a workload
    Run(run::RunArgs),
    /// Attach to running apps
    Attach(attach::AttachArgs),
    /// Start an app and inspect it
    Exec(exec::ExecArgs),
    /// Open an archive, a flight recording or a recording
    Open(open::OpenArgs),
    /// Diagnose why an app shows no tasks or incomplete data
    Doctor(doctor::DoctorArgs),
    /// List workloads, check a script, or create one
    Workloads(catalog::WorkloadsArgs),
    /// Show a workload's description, parameters and script
    Show(catalog::ShowArgs),
    /// Check a script without running it
    Check(catalog::CheckArgs),
    /// Create a script from a template
    New(catalog::NewArgs),
    /// Print a shell completion script
    Completions(pages::CompletionsArgs),
    /// Print a manual page
    Man(pages::ManArgs),
    /// Print the effective settings, or a template
    Settings(settings::SettingsArgs),
}

/// Runs the command line `args`, which begins with the program name. Prints all errors to standard error.
pub fn main(args: impl IntoIterator<Item = OsString>) -> CliExit {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Ignore write errors: the reader may have closed the stream.
            let _ = error.print();
            return if error.use_stderr() { CliExit::BadInput } else { CliExit::Success };
        }
    };
    let result = dispatch(cli).map_err(|error| terminal_check::add_suggestion(error, &args));
    let exit = exit::exit_code_of(result);
    // A run whose thread is still active may not have removed its folder.
    crate::cleanup::clean_up_all();
    exit
}

/// Returns the definition of the command line, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the subcommand of `cli`, or the workload picker.
fn dispatch(cli: Cli) -> anyhow::Result<CliExit> {
    let flags = PartialSettings {
        theme: cli.screen.theme,
        ascii: cli.screen.ascii.then_some(true),
        ..PartialSettings::default()
    };
    let settings = || Settings::load(|name| std::env::var(name).ok(), &flags);
    match cli.command {
        None => run::pick(&settings()?),
        Some(CliCommand::Run(run)) => run::run(run, &settings()?),
        Some(CliCommand::Attach(attach)) => attach::attach(&attach, &settings()?),
        Some(CliCommand::Workloads(workloads)) => catalog::workloads(&workloads),
        Some(CliCommand::Show(show)) => catalog::show(&show),
        Some(CliCommand::Exec(exec)) => exec::exec(&exec, &settings()?),
        Some(CliCommand::Open(open)) => open::open(&open, &settings()?),
        Some(CliCommand::Check(check)) => catalog::check(&check),
        Some(CliCommand::New(new)) => catalog::new(&new),
        Some(CliCommand::Doctor(doctor)) => doctor::doctor(&doctor),
        Some(CliCommand::Completions(completions)) => pages::completions(&completions, command()),
        Some(CliCommand::Man(man)) => pages::man(&man, command()),
        // Print the template without loading the settings file, which may be invalid.
        Some(CliCommand::Settings(cli)) if cli.default => settings::print_template(),
        Some(CliCommand::Settings(_)) => settings::print_effective(&settings()?),
    }
}
