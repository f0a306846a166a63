//! The options of the report that a headless run prints: its format, its length and its assertions.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::assertion::{AssertResult, Assertion};
use super::exit::{CliExit, print_error};
use super::lint_name::LintSelector;
use crate::report::{JsonReport, ReportFormat, ReportInput};

/// Heading of the options for runs without a screen.
const HEADING: &str = "Headless";

/// Arguments for the report of a headless run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    format: FormatArgs,
    /// Print the full report without truncating lists
    #[arg(long, requires = "headless", help_heading = HEADING)]
    full: bool,
    /// Exit with 1 unless EXPR holds for the report (repeatable)
    ///
    /// EXPR is PATH OP VALUE, such as 'loop.busy_ns <= 3s'. PATH is a field of the JSON report, such as tasks.length or
    /// tasks[0].state, or selects entries of a list: findings[name=blocked-loop].count == 0. OP is one of == != <= >= < >. VALUE is JSON, a word, or a duration for fields that end in _ns.
    #[arg(long, value_name = "EXPR", requires = "headless", help_heading = HEADING)]
    assert: Vec<Assertion>,
    /// Exit with 1 on a finding of these lints or `all` (repeatable)
    #[arg(long, value_name = "LINT", value_delimiter = ',', requires = "headless", help_heading = HEADING)]
    deny: Vec<LintSelector>,
    /// Except these lints from `--deny` (repeatable)
    #[arg(long, value_name = "LINT", value_delimiter = ',', requires = "headless", help_heading = HEADING)]
    allow: Vec<LintSelector>,
}

impl ReportArgs {
    /// Returns the format of the report.
    pub fn format(&self) -> &'static ReportFormat {
        self.format.0
    }

    /// Returns whether the report includes everything.
    pub fn full(&self) -> bool {
        self.full
    }

    /// Checks the assertions and the denied lints. Prints what does not hold.
    pub fn check(&self, input: &ReportInput) -> CliExit {
        let denied = self.check_denied(input);
        match self.check_assertions(input) {
            CliExit::Success => denied,
            exit => exit,
        }
    }

    /// Prints each finding of a denied lint.
    fn check_denied(&self, input: &ReportInput) -> CliExit {
        if self.deny.is_empty() {
            return CliExit::Success;
        }
        let selects = |selectors: &[LintSelector], name| selectors.iter().any(|selector| selector.selects(name));
        let mut exit = CliExit::Success;
        for finding in &input.findings.listed {
            if selects(&self.deny, finding.name) && !selects(&self.allow, finding.name) {
                print_error(&format!("denied finding `{}`: {}", finding.name, finding.message));
                exit = CliExit::Failed;
            }
        }
        exit
    }

    /// Checks each assertion against the full report and prints those that do not hold.
    fn check_assertions(&self, input: &ReportInput) -> CliExit {
        if self.assert.is_empty() {
            return CliExit::Success;
        }
        let report = JsonReport::new(&ReportInput { full: true, ..*input }).value();
        let mut exit = CliExit::Success;
        for assertion in &self.assert {
            match assertion.check(&report) {
                AssertResult::Passed => {}
                AssertResult::Failed(message) => {
                    print_error(&message);
                    exit = if exit == CliExit::Success { CliExit::Failed } else { exit };
                }
                AssertResult::Invalid(message) => {
                    print_error(&message);
                    exit = CliExit::BadInput;
                }
            }
        }
        exit
    }
}

/// One flag for each report format other than text: `--json`.
#[derive(Clone, Copy, Debug)]
struct FormatArgs(&'static ReportFormat);

impl clap::Args for FormatArgs {
    fn augment_args(command: Command) -> Command {
        let flags = ReportFormat::WITH_FLAG.iter().map(|format| {
            let others = ReportFormat::WITH_FLAG.iter().filter(|other| other.name != format.name);
            Arg::new(format.name)
                .long(format.name)
                .help(format.help)
                .action(ArgAction::SetTrue)
                .requires("headless")
                .conflicts_with_all(others.map(|other| other.name))
                .help_heading(HEADING)
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FormatArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let named = ReportFormat::WITH_FLAG.iter().find(|format| matches.get_flag(format.name));
        Ok(Self(named.unwrap_or(&ReportFormat::TEXT)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
