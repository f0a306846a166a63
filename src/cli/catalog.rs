//! The commands `workloads`, `show`, `check` and `new`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};

use super::exit::{CliExit, OperationError, print_error, to_stdout};
use crate::report::{ColumnAlign, table_lines};
use crate::sanitize::sanitize;
use crate::workload::catalog;
use crate::workload::manifest::{Manifest, Param, ParamKind, ParamValue};
use crate::workload::user_folder::{FOLDER_ENV, WorkloadFolder};

/// Arguments of `loopscope workloads`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct WorkloadsArgs {
    /// Print a JSON list with all parameters
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<WorkloadsCommand>,
}

/// Subcommands of `loopscope workloads`.
#[derive(Debug, clap::Subcommand)]
enum WorkloadsCommand {
    /// Check a script without running it
    Check(CheckArgs),
    /// Create a script from a template
    New(NewArgs),
}

/// Arguments of `loopscope check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Workload name or script file
    #[arg(value_name = "NAME|FILE.lua")]
    script: String,
}

/// Arguments of `loopscope new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// File to create
    ///
    /// An existing file is not overwritten.
    #[arg(value_name = "FILE.lua")]
    script: String,
}

/// Arguments of `loopscope show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Workload name or script file
    #[arg(value_name = "NAME|FILE.lua")]
    workload: String,
}

/// Returns the folder of the user's workloads.
pub(super) fn user_folder() -> WorkloadFolder {
    WorkloadFolder::from_env_or_default(std::env::var_os(FOLDER_ENV))
}

/// Runs the command `workloads`.
pub(super) fn workloads(args: &WorkloadsArgs) -> anyhow::Result<CliExit> {
    match &args.command {
        None => list(args),
        Some(WorkloadsCommand::Check(args)) => check(args),
        Some(WorkloadsCommand::New(args)) => new(args),
    }
}

/// Prints all workloads.
fn list(args: &WorkloadsArgs) -> anyhow::Result<CliExit> {
    let listing = catalog::list_workloads(&user_folder());
    // Report invalid scripts, and list the others.
    listing.broken.iter().for_each(|error| print_error(&error.to_string()));
    let all = listing.workloads;
    if args.json {
        let list: Vec<Value> = all.iter().map(manifest_json).collect();
        to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)
        })?;
        return Ok(CliExit::Success);
    }
    let row = |manifest: &Manifest| {
        vec![sanitize(&manifest.name), manifest.clock.name().to_owned(), sanitize(&manifest.title)]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    to_stdout(|out| {
        let mut lines = table_lines(&[ColumnAlign::Left; 3], &rows).into_iter();
        lines.try_for_each(|line| writeln!(out, "{line}"))
    })?;
    Ok(CliExit::Success)
}

/// Runs the command `show`.
pub(super) fn show(args: &ShowArgs) -> anyhow::Result<CliExit> {
    let manifest = catalog::find_in(&args.workload, &user_folder())?;
    to_stdout(|out| write_manifest(&manifest, out))?;
    Ok(CliExit::Success)
}

/// Runs the command `check`.
pub(super) fn check(CheckArgs { script }: &CheckArgs) -> anyhow::Result<CliExit> {
    let manifest = catalog::find_in(script, &user_folder())?;
    to_stdout(|out| writeln!(out, "{}: {}: no problems found", sanitize(&manifest.file), sanitize(&manifest.title)))?;
    Ok(CliExit::Success)
}

/// Runs the command `new`.
pub(super) fn new(NewArgs { script }: &NewArgs) -> anyhow::Result<CliExit> {
    let path = Path::new(script);
    ensure!(
        path.extension().is_some_and(|extension| extension == "lua"),
        "`{script}` does not end in .lua\nhelp: use a name such as my-workload.lua"
    );
    // Create atomically, so that a file created concurrently is not overwritten.
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!("`{script}` already exists"),
        io::ErrorKind::NotFound => anyhow::anyhow!("the folder of `{script}` does not exist"),
        _ => anyhow::anyhow!("cannot create `{script}`: {error}"),
    })?;
    if let Err(error) = file.write_all(catalog::SCRIPT_TEMPLATE.as_bytes()) {
        // Remove the incomplete file, so that the command can be repeated.
        let _ = fs::remove_file(path);
        return Err(OperationError(format!("cannot write `{script}`: {error}")).into());
    }
    let quoted = shell_quoted(script);
    to_stdout(|out| {
        writeln!(out, "created {}. Next:\n", sanitize(script))?;
        writeln!(out, "  loopscope run {quoted}")?;
        writeln!(out, "  loopscope check {quoted}")
    })?;
    Ok(CliExit::Success)
}

/// Quotes a file name for the shell, so that it is one word and not an option.
fn shell_quoted(name: &str) -> String {
    if name.starts_with('-') {
        return shell_quoted(&format!("./{name}"));
    }
    let is_safe = |character: char| character.is_alphanumeric() || "/._-+,".contains(character);
    if name.chars().all(is_safe) { name.to_owned() } else { format!("'{}'", sanitize(name).replace('\'', r"'\''")) }
}

/// Writes the description, parameters and script of a workload.
fn write_manifest(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", sanitize(&manifest.name), sanitize(&manifest.title))?;
    writeln!(out, "{}\n", sanitize(&manifest.lesson))?;
    writeln!(out, "clock   {}", manifest.clock.name())?;
    writeln!(out, "script  {}\n", sanitize(&manifest.file))?;
    if !manifest.params.is_empty() {
        writeln!(out, "parameters, set with --set NAME=VALUE")?;
        let row = |param: &Param| {
            vec![
                sanitize(&format!("{}={}", param.name, param.default)),
                sanitize(&param.allowed_values()),
                sanitize(&param.help),
            ]
        };
        let rows: Vec<_> = manifest.params.iter().map(row).collect();
        table_lines(&[ColumnAlign::Left; 3], &rows).into_iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        writeln!(out)?;
    }
    // Sanitize the script, which may be untrusted, but keep line ends and tabs.
    manifest.text.lines().try_for_each(|line| {
        let shown: Vec<String> = line.split('\t').map(sanitize).collect();
        writeln!(out, "{}", shown.join("\t"))
    })
}

/// Returns the JSON description of a workload.
fn manifest_json(manifest: &Manifest) -> Value {
    json!({
        "name": manifest.name,
        "title": manifest.title,
        "lesson": manifest.lesson,
        "clock": manifest.clock.name(),
        "file": manifest.file,
        "params": manifest.params.iter().map(param_json).collect::<Vec<_>>(),
    })
}

/// Returns the JSON description of a parameter.
fn param_json(param: &Param) -> Value {
    let seconds = |value: &std::time::Duration| value.as_secs_f64();
    let kind = match &param.kind {
        ParamKind::Number { min, max, whole } => json!({"type": "number", "min": min, "max": max, "whole": whole}),
        ParamKind::Duration { min, max } => {
            json!({"type": "duration", "min_seconds": seconds(min), "max_seconds": seconds(max)})
        }
        ParamKind::Boolean => json!({"type": "boolean"}),
        ParamKind::Choice(choices) => json!({"type": "choice", "choices": choices}),
        ParamKind::Text { max_chars } => json!({"type": "text", "max_chars": max_chars}),
    };
    let default = match &param.default {
        ParamValue::Number(number) => json!(number),
        ParamValue::Duration(duration) => json!(humantime::format_duration(*duration).to_string()),
        ParamValue::Boolean(yes) => json!(yes),
        ParamValue::Text(text) => json!(text),
    };
    json!({"name": param.name, "help": param.help, "kind": kind, "default": default})
}
