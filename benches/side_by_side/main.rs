//! Benchmarks of all performance claims, each measured against a baseline in the same run.
//!
//! ```sh
//! cargo bench --bench side_by_side                     # every claim
//! cargo bench --bench side_by_side -- probe_over_bare  # one
//! cargo bench --bench side_by_side -- --quick          # fewer rounds, for CI
//! ```
//!
//! Each claim prints a line that describes the comparison, then `ratio NAME VALUE`. Absolute numbers are printed as
//! `number NAME VALUE UNIT`. A claim is a function and a line in [`CLAIMS`].

mod absolute;
mod archive;
mod asyncio;
mod attach;
mod frame;
mod loops;
mod machine;
mod outside;
mod paired;
mod probe;
mod recording;
mod store;
#[path = "../synthetic.rs"]
mod synthetic;

use std::process::ExitCode;

/// How many rounds to measure.
#[derive(Clone, Copy, PartialEq)]
pub enum Effort {
    /// Enough rounds for a median that is robust against other load on the machine.
    Full,
    /// Enough rounds for a smoke test and a rough estimate.
    Quick,
}

impl Effort {
    /// Returns `full` rounds, or a sixth of them for a quick run.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(6),
        }
    }
}

/// Result of a claim.
pub enum ClaimResult {
    /// Description of the comparison, and the ratio.
    Ratio { pairing: String, value: f64 },
    /// Absolute numbers: name, value, unit.
    Numbers(Vec<(&'static str, f64, &'static str)>),
    /// Not measured; says what is missing on this machine.
    Skipped(String),
}

/// A performance claim and how to measure it.
struct Claim {
    name: &'static str,
    /// Maximum ratio that the claim promises, or `None` if it promises none.
    limit: Option<f64>,
    measure: fn(Effort) -> ClaimResult,
}

const CLAIMS: &[Claim] = &[
    Claim { name: "probe_over_console", limit: Some(0.10), measure: probe::over_console },
    Claim { name: "probe_over_bare", limit: Some(1.03), measure: probe::over_bare },
    Claim { name: "outside_probe_over_console", limit: Some(0.15), measure: outside::probe_over_console },
    Claim { name: "outside_probe_over_console_mt", limit: Some(0.15), measure: outside::probe_over_console_mt },
    Claim { name: "outside_probe_over_dial9", limit: Some(0.5), measure: outside::probe_over_dial9 },
    Claim { name: "outside_probe_off_over_bare", limit: Some(1.03), measure: outside::probe_off_over_bare },
    Claim { name: "service_with_probe_over_bare", limit: None, measure: outside::service_with_probe_over_bare },
    Claim { name: "ingest_over_push", limit: Some(8.0), measure: store::ingest_over_push },
    Claim { name: "bytes_per_event", limit: Some(24.0), measure: store::bytes_per_event },
    Claim { name: "frame_50m_over_50k", limit: Some(1.5), measure: frame::by_events },
    Claim { name: "frame_new_50m_over_50k", limit: Some(1.5), measure: frame::uncached_windows },
    Claim { name: "frame_follow_50m_over_50k", limit: Some(1.5), measure: frame::following },
    Claim { name: "frame_100k_tasks_over_100", limit: Some(1.5), measure: frame::by_tasks },
    Claim { name: "frame_other_ways", limit: None, measure: frame::other_modes_by_events },
    Claim { name: "frame_by_tasks_in_other_ways", limit: None, measure: frame::other_modes_by_tasks },
    Claim { name: "archive_bytes_per_event", limit: Some(5.0), measure: archive::bytes_per_event },
    Claim { name: "archive_load_over_read", limit: Some(10.0), measure: archive::load_over_read },
    Claim { name: "recording_load_over_serde", limit: Some(1.2), measure: recording::load_over_serde },
    Claim { name: "attach_cpu_over_console", limit: Some(0.5), measure: attach::cpu_over_console },
    Claim { name: "asyncio_steps_over_bare", limit: Some(2.0), measure: asyncio::steps_over_bare },
    Claim { name: "asyncio_echo_over_bare", limit: Some(1.1), measure: asyncio::echo_over_bare },
    Claim { name: "asyncio_unattached_over_bare", limit: Some(1.05), measure: asyncio::unattached_over_bare },
    Claim { name: "absolute", limit: None, measure: absolute::numbers },
];

/// Argument that `cargo bench` passes to benches.
const BENCH_FLAG: &str = "--bench";

/// Argument of a child process that measures a single claim.
const SINGLE_FLAG: &str = "--alone";

fn main() -> ExitCode {
    if let Some(mix) = std::env::args().find_map(|argument| Some(argument.strip_prefix("--keep=")?.to_owned())) {
        store::measure_memory(&mix);
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == BENCH_FLAG || argument == SINGLE_FLAG) {
        println!("nothing measured: run `cargo bench --bench side_by_side`");
        return ExitCode::SUCCESS;
    }
    let mut effort = Effort::Full;
    let mut selected = Vec::new();
    let mut is_single = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            SINGLE_FLAG => is_single = true,
            BENCH_FLAG => {}
            name if CLAIMS.iter().any(|claim| claim.name == name) => selected.push(argument),
            other => {
                let names: Vec<_> = CLAIMS.iter().map(|claim| claim.name).collect();
                eprintln!("unknown claim `{other}`\nhelp: pass `--quick` or any of {}", names.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    if !is_single {
        println!("machine: {}", machine::describe());
    }
    let is_selected = |claim: &&Claim| selected.is_empty() || selected.iter().any(|name| name == claim.name);
    let claims: Vec<&Claim> = CLAIMS.iter().filter(is_selected).collect();
    match claims.as_slice() {
        [claim] => print_result(claim, (claim.measure)(effort)),
        claims => claims.iter().for_each(|claim| measure_in_child_process(claim, effort)),
    }
    ExitCode::SUCCESS
}

/// Measures a claim in a child process, because memory freed by earlier claims would be reused and distort the result.
fn measure_in_child_process(claim: &Claim, effort: Effort) {
    let quick = (effort == Effort::Quick).then_some("--quick");
    let status = std::env::current_exe()
        .and_then(|bench| std::process::Command::new(bench).args([claim.name, SINGLE_FLAG]).args(quick).status());
    if !status.is_ok_and(|status| status.success()) {
        println!("{}: skipped: the child process failed", claim.name);
    }
}

/// Prints the result of a claim.
fn print_result(claim: &Claim, measured: ClaimResult) {
    let name = claim.name;
    match measured {
        ClaimResult::Ratio { pairing, value } => {
            let verdict = claim.limit.map(|limit| {
                let result = if value <= limit { "met" } else { "exceeded" };
                format!(" [limit {limit}: {result}]")
            });
            println!("{name}: {pairing}{}", verdict.unwrap_or_default());
            println!("ratio {name} {value:.4}");
        }
        ClaimResult::Numbers(numbers) => {
            for (name, value, unit) in numbers {
                println!("number {name} {value:.1} {unit}");
            }
        }
        ClaimResult::Skipped(why) => println!("{name}: skipped: {why}"),
    }
}
