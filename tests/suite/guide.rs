//! The guide to workloads, held to its word: every example runs and prints what it says it prints.

use crate::rig;
use crate::workload::lines;
use loopscope::control::ClockKind;
use loopscope::workload::{params, program, script};

const GUIDE: &str = include_str!("../../docs/workloads.md");

/// Line, clock and text of each example.
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
    assert!(open.is_none(), "an example has no end");
    found
}

#[test]
fn every_example_prints_what_it_says() {
    let examples = examples();
    assert!(examples.len() > 15);
    for (line, clock, text) in examples {
        let said: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("--> ").map(|(_, said)| said.trim_end())).collect();
        let whole = match text.contains("\nreturn {") {
            true => text.clone(),
            false => format!("return {{ title = \"t\", lesson = \"l\", main = async(function(p)\n{text}\nend) }}"),
        };
        let manifest =
            script::read("guide", "guide.lua", &whole).unwrap_or_else(|error| panic!("line {line}: {error}"));
        let values = params::resolve(&manifest, &[]).expect("defaults");
        let ran = rig::run_on(program(&manifest, values).expect("it loads"), clock);
        assert!(matches!(ran.outcome, Some(Ok(_))), "line {line}: {:?}", ran.outcome);
        // A printed tab is a control character, and comes out as a space.
        let said: Vec<String> = said.iter().map(|said| said.replace('\t', " ")).collect();
        assert_eq!(lines(&ran), said, "the example at line {line}");
        assert!(!said.is_empty(), "the example at line {line} shows nothing");
    }
}

/// The words of the language are all in the guide.
#[test]
fn every_word_is_explained() {
    for word in loopscope::workload::WORDS {
        let of_lua = ["error", "ipairs", "math", "next", "pairs", "setmetatable", "string", "table"].contains(word)
            || ["tonumber", "tostring", "type", "utf8", "xpcall"].contains(word);
        assert!(of_lua || GUIDE.contains(&format!("{word}(")) || GUIDE.contains(&format!("{word}{{")), "{word}");
    }
}
