//! The commands `completions` and `man`, generated from the definition of the command line.

use anyhow::Context;

use super::exit::{CliExit, to_stdout};

/// Arguments of `loopscope completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Arguments of `loopscope man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Command to describe [default: loopscope itself]
    command: Option<String>,
}

/// Prints a shell completion script for `command`.
pub(super) fn completions(args: &CompletionsArgs, mut command: clap::Command) -> anyhow::Result<CliExit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "loopscope", &mut script);
    to_stdout(|out| out.write_all(&script))?;
    Ok(CliExit::Success)
}

/// Prints a manual page of `command`, or of its subcommand that the arguments name.
pub(super) fn man(args: &ManArgs, mut command: clap::Command) -> anyhow::Result<CliExit> {
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name).cloned();
        command =
            found.with_context(|| format!("unknown command `{name}`\nhelp: `loopscope --help` lists all commands"))?;
    }
    let version = concat!("loopscope ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command.disable_help_subcommand(true)).source(version);
    to_stdout(|mut out| page.render(&mut out))?;
    Ok(CliExit::Success)
}
