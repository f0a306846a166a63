//! `loopscope completions` and `loopscope man`: both written from the command line's own definition.

use anyhow::Context;

use super::exit::{Exit, to_stdout};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArguments {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// The command to describe; without it, loopscope as a whole
    command: Option<String>,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "loopscope", &mut script);
    to_stdout(|out| out.write_all(&script))?;
    Ok(Exit::Success)
}

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<Exit> {
    let mut command = super::command();
    command.build();
    if let Some(name) = &arguments.command {
        let found = command.find_subcommand(name).cloned();
        command = found.with_context(|| format!("there is no command `{name}`: `loopscope --help` lists them"))?;
    }
    let page = clap_mangen::Man::new(command.disable_help_subcommand(true));
    to_stdout(|mut out| page.render(&mut out))?;
    Ok(Exit::Success)
}
