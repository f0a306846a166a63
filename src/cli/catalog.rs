//! `loopscope workloads` and `loopscope show`: what there is to run, and one of them read aloud.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::exit::{Exit, to_stdout};
use crate::report::{Lean, plain, table_lines};
use crate::workload::catalog;
use crate::workload::manifest::{Manifest, Param, ParamKind, ParamValue};

#[derive(Debug, clap::Args)]
pub(super) struct WorkloadsArguments {
    /// Print JSON: one list, with every parameter
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// A workload's name, or a script of your own
    #[arg(value_name = "NAME|FILE.lua")]
    workload: String,
}

pub(super) fn workloads(arguments: &WorkloadsArguments) -> anyhow::Result<Exit> {
    let all = catalog::all();
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
    let manifest = catalog::find(&arguments.workload)?;
    to_stdout(|out| write_manifest(&manifest, out))?;
    Ok(Exit::Success)
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
