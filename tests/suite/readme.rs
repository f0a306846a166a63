//! The README is true: its first commands, the help of the binary, and the files it names.

use std::fs;
use std::path::Path;

use crate::cli::loopscope;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there is a README")
}

/// Returns the contents of the fenced blocks, in order.
fn blocks(markdown: &str) -> Vec<String> {
    let mut parts = markdown.split("\n```");
    let mut blocks = Vec::new();
    parts.next();
    while let Some(block) = parts.next() {
        blocks.push(block.split_once('\n').map_or(String::new(), |(_, body)| body.to_owned()));
        parts.next();
    }
    blocks
}

#[test]
fn it_begins_with_how_to_run_and_test() {
    let blocks = blocks(&readme());
    let lines: Vec<&str> = blocks.first().expect("there is a block").lines().collect();
    assert_eq!(lines, ["cargo run --release", "cargo test"]);
}

#[test]
fn its_help_is_the_help_of_the_program() {
    let help = loopscope(&["--help"]);
    let blocks = blocks(&readme());
    let shown = blocks.iter().find(|block| block.contains("Usage: loopscope")).expect("the README shows the help");
    // clap ends empty lines with spaces, which editors remove.
    let trimmed = |text: &str| text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(shown), trimmed(&help.stdout), "put the output of `loopscope --help` into README.md");
}

#[test]
fn its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = readme();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let broken: Vec<&str> = targets
        .filter(|target| !target.starts_with("http") && !target.starts_with('#'))
        // Drawn from the real program, by a command of its own.
        .filter(|target| *target != "assets/dashboard.svg")
        .filter(|target| !root.join(target.split('#').next().unwrap_or(target)).exists())
        .collect();
    assert!(broken.is_empty(), "the README links to what is not there: {}", broken.join(", "));
}
