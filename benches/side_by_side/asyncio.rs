//! Cost of observing Python asyncio programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::paired::{Spread, measure_rounds};
use crate::{ClaimResult, Effort};

/// How a program is run.
#[derive(Clone, Copy)]
enum Observation {
    /// By itself.
    Bare,
    /// By `loopscope exec`, with everything recorded.
    Exec,
    /// By itself, with `loopscope.install()`, and nothing attached.
    Installed,
}

/// A program of `benches/asyncio`, and the folder in which it writes its processor time.
struct PythonProgram {
    name: &'static str,
    folder: tempfile::TempDir,
}

impl PythonProgram {
    fn new(name: &'static str) -> Result<Self, ClaimResult> {
        let skipped = |what: &str| Err(ClaimResult::Skipped(what.to_owned()));
        let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return skipped("python3, on the PATH");
        }
        tempfile::tempdir().map_or_else(|_| skipped("a temporary folder"), |folder| Ok(Self { name, folder }))
    }

    /// Runs the program. Returns its processor time in milliseconds.
    fn run(&self, observation: Observation) -> f64 {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("benches/asyncio").join(self.name);
        let [result, report] = ["result", "report"].map(|name| self.folder.path().join(name));
        let mut command = match observation {
            Observation::Exec => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope"));
                command.args(["exec", "--headless", "--json", "--", "python3"]);
                command
            }
            Observation::Bare | Observation::Installed => Command::new("python3"),
        };
        command.arg(program).arg(&result);
        if let Observation::Installed = observation {
            command.arg("install").env("PYTHONPATH", root.join("python"));
        }
        let printed = std::fs::File::create(&report).expect("create a file for the report");
        let status = command.stdin(Stdio::null()).stdout(printed).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{} fails", self.name);
        if let Observation::Exec = observation {
            check_complete(&report);
        }
        let text = std::fs::read_to_string(result).expect("the program writes its processor time");
        1e3 * text.trim().parse::<f64>().expect("seconds")
    }

    /// Returns the processor time of both ways of running it, in each round.
    fn compare(&self, observation: Observation, rounds: usize) -> Vec<[f64; 2]> {
        measure_rounds(rounds, &[&|| self.run(Observation::Bare), &|| self.run(observation)])
    }
}

/// Checks that a report of a run has all events.
fn check_complete(report: &PathBuf) {
    let text = std::fs::read_to_string(report).expect("read the report");
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    assert_eq!((&report["fidelity"], &report["gaps"]), (&"exact".into(), &Value::Array(Vec::new())));
}

/// Compares processor times and describes them.
fn ratio(name: &'static str, observation: Observation, rounds: usize, pairing: &str) -> ClaimResult {
    let program = match PythonProgram::new(name) {
        Ok(program) => program,
        Err(skipped) => return skipped,
    };
    let times = program.compare(observation, rounds);
    let of = |index: usize| Spread::of(times.iter().map(|round| round[index]));
    let value = Spread::of(times.iter().map(|[bare, observed]| observed / bare)).median;
    let pairing = format!("ms of processor time of {pairing}: {} over {} bare", of(1), of(0));
    ClaimResult::Ratio { pairing, value }
}

/// Steps that do nothing, recorded, over the bare program.
pub fn steps_over_bare(effort: Effort) -> ClaimResult {
    let pairing = "1,000 Python tasks that each yield 300 times, with everything recorded";
    ratio("steps.py", Observation::Exec, effort.rounds(24), pairing)
}

/// An echo server, recorded, over the bare program.
pub fn echo_over_bare(effort: Effort) -> ClaimResult {
    let pairing = "a Python echo server that answers 16,000 lines of 8 clients, with everything recorded";
    ratio("echo.py", Observation::Exec, effort.rounds(24), pairing)
}

/// Steps that do nothing, with the module installed and nothing attached, over the bare program.
pub fn unattached_over_bare(effort: Effort) -> ClaimResult {
    let pairing = "1,000 Python tasks that each yield 300 times, with `loopscope.install()` and nothing attached";
    ratio("steps.py", Observation::Installed, effort.rounds(24), pairing)
}
