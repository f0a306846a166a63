//! `loopscope workloads` and `loopscope show`: what there is to run, one of them read aloud, and a person's own script
//! checked or begun.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::ensure;
use serde_json::{Value, json};

use super::exit::{Broken, Exit, tell, to_stdout};
use crate::report::{Lean, plain, table_lines};
use crate::workload::catalog;
use crate::workload::manifest::{Manifest, Param, ParamKind, ParamValue};
use crate::workload::own::{FOLDER_VARIABLE, Folder, listing};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct WorkloadsArguments {
    /// Print JSON: one list, with every parameter
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<WorkloadsCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum WorkloadsCommand {
    /// Read a script as `run` would, run nothing, and say what is wrong with it
    Check(CheckArguments),
    /// Write a script to start from, which runs as it is
    New(NewArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// A script of your own, or a workload's name
    #[arg(value_name = "FILE.lua")]
    script: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct NewArguments {
    /// The file to write; one that is there already is left alone
    #[arg(value_name = "FILE.lua")]
    script: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// A workload's name, or a script of your own
    #[arg(value_name = "NAME|FILE.lua")]
    workload: String,
}

/// The folder of the person who is at the command line.
pub(super) fn own_folder() -> Folder {
    Folder::of(std::env::var_os(FOLDER_VARIABLE))
}

pub(super) fn workloads(arguments: &WorkloadsArguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        None => list(arguments),
        Some(WorkloadsCommand::Check(arguments)) => check(arguments),
        Some(WorkloadsCommand::New(arguments)) => new(arguments),
    }
}

fn list(arguments: &WorkloadsArguments) -> anyhow::Result<Exit> {
    let listing = listing(&own_folder());
    // The list is had all the same: one broken script is no reason to keep the others from anybody.
    listing.broken.iter().for_each(|error| tell(&error.to_string()));
    let all = listing.workloads;
    if arguments.json {
        let list: Vec<Value> = all.iter().map(manifest_json).collect();
        to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &list)?;
            writeln!(out)
        })?;
        return Ok(Exit::Success);
    }
    let row =
        |manifest: &Manifest| vec![plain(&manifest.name), manifest.clock.name().to_owned(), plain(&manifest.title)];
    let rows: Vec<_> = all.iter().map(row).collect();
    to_stdout(|out| {
        let mut lines = table_lines(&[Lean::Left; 3], &rows).into_iter();
        lines.try_for_each(|line| writeln!(out, "{line}"))
    })?;
    Ok(Exit::Success)
}

pub(super) fn show(arguments: &ShowArguments) -> anyhow::Result<Exit> {
    let manifest = catalog::find_with(&arguments.workload, &own_folder())?;
    to_stdout(|out| write_manifest(&manifest, out))?;
    Ok(Exit::Success)
}

pub(super) fn check(CheckArguments { script }: &CheckArguments) -> anyhow::Result<Exit> {
    let manifest = catalog::find_with(script, &own_folder())?;
    to_stdout(|out| writeln!(out, "{}: {}: nothing wrong", plain(&manifest.file), plain(&manifest.title)))?;
    Ok(Exit::Success)
}

pub(super) fn new(NewArguments { script }: &NewArguments) -> anyhow::Result<Exit> {
    let path = Path::new(script);
    ensure!(
        path.extension().is_some_and(|extension| extension == "lua"),
        "{script}: a script's name ends in .lua: give a name like my-workload.lua"
    );
    // Made only where nothing is, in one step: no other program can put a file there in between.
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!("{script}: it is there already, and is left as it is"),
        io::ErrorKind::NotFound => anyhow::anyhow!("{script}: its folder does not exist: make that first"),
        _ => anyhow::anyhow!("{script}: it cannot be written: {error}"),
    })?;
    if let Err(error) = file.write_all(catalog::TEMPLATE.as_bytes()) {
        // Half a script would only be in the way of the next attempt.
        let _ = fs::remove_file(path);
        return Err(Broken(format!("{script}: it cannot be written: {error}")).into());
    }
    let typed = as_typed(script);
    to_stdout(|out| {
        writeln!(out, "{} is written. Next, type:\n", plain(script))?;
        writeln!(out, "  loopscope run {typed}")?;
        writeln!(out, "  loopscope check {typed}")
    })?;
    Ok(Exit::Success)
}

/// `name` as a shell takes it for one word, and a command for a file.
fn as_typed(name: &str) -> String {
    if name.starts_with('-') {
        return as_typed(&format!("./{name}"));
    }
    let is_safe = |character: char| character.is_alphanumeric() || "/._-+,".contains(character);
    if name.chars().all(is_safe) { name.to_owned() } else { format!("'{}'", plain(name).replace('\'', r"'\''")) }
}

fn write_manifest(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", plain(&manifest.name), plain(&manifest.title))?;
    writeln!(out, "{}\n", plain(&manifest.lesson))?;
    writeln!(out, "clock   {}", manifest.clock.name())?;
    writeln!(out, "script  {}\n", plain(&manifest.file))?;
    if !manifest.params.is_empty() {
        writeln!(out, "parameters, set with --set NAME=VALUE")?;
        let row = |param: &Param| {
            vec![plain(&format!("{}={}", param.name, param.default)), plain(&param.allowed()), plain(&param.help)]
        };
        let rows: Vec<_> = manifest.params.iter().map(row).collect();
        table_lines(&[Lean::Left; 3], &rows).into_iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        writeln!(out)?;
    }
    // Line by line, for the script may be a stranger's; its tabs are indentation and stay.
    manifest.text.lines().try_for_each(|line| {
        let shown: Vec<String> = line.split('\t').map(plain).collect();
        writeln!(out, "{}", shown.join("\t"))
    })
}

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
