//! Runs every example in docs/workloads.md and compares its output with the `-->` comments.

use crate::lab_harness;
use crate::workload::output_lines;
use loopscope::control::ClockKind;
use loopscope::workload::{build_program, params, script};

const GUIDE: &str = include_str!("../../docs/workloads.md");

/// Returns the line number, clock and text of each example.
fn examples() -> Vec<(usize, ClockKind, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, ClockKind, String)> = None;
    for (index, line) in GUIDE.lines().enumerate() {
        match (&mut open, line) {
            (None, "```lua") => open = Some((index + 1, ClockKind::Virtual, String::new())),
            (None, "```lua real") => open = Some((index + 1, ClockKind::Real, String::new())),
            (Some(_), "```") => found.extend(open.take()),
            (Some((.., text)), line) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    assert!(open.is_none(), "an example has no closing fence");
    found
}

#[test]
fn examples_print_documented_output() {
    let examples = examples();
    assert!(examples.len() > 15);
    for (line, clock, text) in examples {
        let expected: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("--> ").map(|(_, expected)| expected.trim_end())).collect();
        let script_text = match text.contains("\nreturn {") {
            true => text.clone(),
            false => format!("return {{ title = \"t\", lesson = \"l\", main = async(function(p)\n{text}\nend) }}"),
        };
        let manifest = script::read_manifest("guide", "guide.lua", &script_text)
            .unwrap_or_else(|error| panic!("line {line}: {error}"));
        let values = params::resolve(&manifest, &[]).expect("defaults");
        let ran = lab_harness::run_on_clock(build_program(&manifest, values).expect("it loads"), clock);
        assert!(matches!(ran.outcome, Some(Ok(_))), "line {line}: {:?}", ran.outcome);
        // A printed tab is a control character and is replaced by a space.
        let expected: Vec<String> = expected.iter().map(|expected| expected.replace('\t', " ")).collect();
        assert_eq!(output_lines(&ran), expected, "the example at line {line}");
        assert!(!expected.is_empty(), "the example at line {line} documents no output");
    }
}

/// The guide mentions every function of the language.
#[test]
fn every_function_is_documented() {
    for word in loopscope::workload::SCRIPT_GLOBALS {
        let is_lua_builtin = ["error", "ipairs", "math", "next", "pairs", "setmetatable", "string", "table"]
            .contains(word)
            || ["tonumber", "tostring", "type", "utf8", "xpcall"].contains(word);
        assert!(
            is_lua_builtin || GUIDE.contains(&format!("{word}(")) || GUIDE.contains(&format!("{word}{{")),
            "{word}"
        );
    }
}
