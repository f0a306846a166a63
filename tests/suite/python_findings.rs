//! Findings about Python programs with one fault each (`tests/asyncio/faults`), and none about a healthy one.

use std::path::Path;

use serde_json::Value;

use crate::asyncio_programs::pythons;
use crate::cli::loopscope;

/// A program, options of `exec`, and its finding: lint, task, line, count, and a part of the evidence.
type Fault = (&'static str, &'static [&'static str], (&'static str, &'static str, u32, u64, &'static str));

/// Only waiting takes time on a virtual clock, so it shows only those that wait too long.
const FAULTS: [Fault; 5] = [
    (
        "convoy.py",
        &["--clock", "virtual"],
        ("convoy", "Lock #1", 8, 1, "from 0 s to 1.95 s; longest wait 350 ms; in use for 100 % of the time"),
    ),
    (
        "leak.py",
        &["--clock", "virtual"],
        ("leak", "forgotten", 13, 100, "from 0 s to 1.98 s; 0 of them ended during the run"),
    ),
    (
        "deadlock.py",
        &["--clock", "virtual", "--for", "4"],
        ("deadlock", "work, work-2 wait for each other in a cycle", 9, 1, "each is held by the next"),
    ),
    ("busy_yield.py", &[], ("busy-yield", "spin yielded ", 12, 1, " of them self-wakes")),
    ("starvation.py", &[], ("blocked-loop", "greedy blocked the only worker", 10, 1, "behind it waited ticker")),
];

/// Runs a program under `exec` and returns its findings.
fn findings(python: &str, program: &str, options: &[&str]) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncio/faults").join(program);
    let path = path.display().to_string();
    let words = [&["exec", "--headless", "--json"], options, &["--", python, &path]].concat();
    let ran = loopscope(&words);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{program}: {}", ran.stderr));
    report["findings"].as_array().expect("a list").clone()
}

#[test]
fn faults_of_python_programs_are_found() {
    for python in pythons() {
        for (program, options, (name, message, line, count, evidence)) in FAULTS {
            let found = findings(&python, program, options);
            let [found] = &found[..] else { panic!("{python} {program}: {found:?}") };
            let text = |field: &str| found[field].as_str().expect("text");
            assert_eq!(text("name"), name, "{python} {program}: {found}");
            // Only a busy machine leaves a doubt.
            let is_certain = found["certain"] == true || text("evidence").contains("the machine was busy");
            assert!(is_certain, "{python} {program}: {found}");
            assert!(text("message").contains(message) && text("evidence").contains(evidence), "{python}: {found}");
            assert_eq!(found["count"].as_u64(), Some(count), "{python} {program}: {found}");
            let location = format!("{program}:{line}");
            assert!(text("location").ends_with(&location), "{python} {location}: {found}");
        }
    }
}

#[test]
fn healthy_python_program_has_no_finding() {
    for python in pythons() {
        for clock in ["real", "virtual"] {
            let found = findings(&python, "healthy.py", &["--clock", clock]);
            assert!(found.is_empty(), "{python} on a {clock} clock: {found:?}");
        }
    }
}
