//! What is promised about speed, each claim against its peer in one run.
//!
//! ```sh
//! cargo bench --bench side_by_side                     # every claim
//! cargo bench --bench side_by_side -- probe_over_bare  # one
//! cargo bench --bench side_by_side -- --quick          # fewer rounds, for CI
//! ```
//!
//! Each claim says on one line what it paired with what, and on the next `ratio NAME VALUE`. Numbers that stand for
//! themselves are told as `number NAME VALUE UNIT`. A claim is one function in a file of its own and a line in [`CLAIMS`].

mod absolute;
mod archive;
mod attach;
mod frame;
mod loops;
mod machine;
mod pairs;
mod probe;
mod recording;
mod store;
#[path = "../synthetic.rs"]
mod synthetic;

use std::process::ExitCode;

/// How much time to spend.
#[derive(Clone, Copy, PartialEq)]
pub enum Effort {
    /// Enough rounds that a noisy neighbour does not move a median.
    Full,
    /// Enough to see that it runs, and about how fast.
    Quick,
}

impl Effort {
    /// So many rounds, or a sixth of them.
    pub fn rounds(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => full.div_ceil(6),
        }
    }
}

/// What a claim came to.
pub enum Measured {
    /// What was paired with what, and the ratio of the two.
    Ratio { pairing: String, value: f64 },
    /// Numbers that stand for themselves: name, value, unit.
    Numbers(Vec<(&'static str, f64, &'static str)>),
    /// What is missing here for it to be measured.
    Skipped(String),
}

struct Claim {
    name: &'static str,
    /// What it must not exceed; `None` where nothing is promised.
    reach: Option<f64>,
    measure: fn(Effort) -> Measured,
}

const CLAIMS: &[Claim] = &[
    Claim { name: "probe_over_console", reach: Some(0.10), measure: probe::over_console },
    Claim { name: "probe_over_bare", reach: Some(1.03), measure: probe::over_bare },
    Claim { name: "ingest_over_push", reach: Some(8.0), measure: store::ingest_over_push },
    Claim { name: "bytes_per_event", reach: Some(24.0), measure: store::bytes_per_event },
    Claim { name: "frame_50m_over_50k", reach: Some(1.5), measure: frame::by_events },
    Claim { name: "frame_new_50m_over_50k", reach: Some(1.5), measure: frame::new_windows },
    Claim { name: "frame_follow_50m_over_50k", reach: Some(1.5), measure: frame::following },
    Claim { name: "frame_100k_tasks_over_100", reach: Some(1.5), measure: frame::by_tasks },
    Claim { name: "frame_other_ways", reach: None, measure: frame::other_ways },
    Claim { name: "frame_by_tasks_in_other_ways", reach: None, measure: frame::by_tasks_in_other_ways },
    Claim { name: "archive_bytes_per_event", reach: Some(5.0), measure: archive::bytes_per_event },
    Claim { name: "archive_load_over_read", reach: Some(10.0), measure: archive::load_over_read },
    Claim { name: "recording_load_over_serde", reach: Some(1.2), measure: recording::load_over_serde },
    Claim { name: "attach_cpu_over_console", reach: Some(0.5), measure: attach::cpu_over_console },
    Claim { name: "absolute", reach: None, measure: absolute::numbers },
];

/// What cargo says to a bench that is to run as one.
const BENCH: &str = "--bench";

/// Said to a process that measures one claim for another that measures several.
const ALONE: &str = "--alone";

fn main() -> ExitCode {
    if let Some(telling) = std::env::args().find_map(|argument| Some(argument.strip_prefix("--keep=")?.to_owned())) {
        store::keep(&telling);
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` runs benches too, as tests.
    if !std::env::args().any(|argument| argument == BENCH || argument == ALONE) {
        println!("nothing was measured: that is what `cargo bench --bench side_by_side` is for");
        return ExitCode::SUCCESS;
    }
    let mut effort = Effort::Full;
    let mut wanted = Vec::new();
    let mut is_alone = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => effort = Effort::Quick,
            ALONE => is_alone = true,
            BENCH => {}
            name if CLAIMS.iter().any(|claim| claim.name == name) => wanted.push(argument),
            other => {
                let names: Vec<_> = CLAIMS.iter().map(|claim| claim.name).collect();
                eprintln!("`{other}` is no claim: give --quick, or any of {}", names.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    if !is_alone {
        println!("machine: {}", machine::describe());
    }
    let chosen = |claim: &&Claim| wanted.is_empty() || wanted.iter().any(|name| name == claim.name);
    let claims: Vec<&Claim> = CLAIMS.iter().filter(chosen).collect();
    match claims.as_slice() {
        [claim] => tell(claim, (claim.measure)(effort)),
        claims => claims.iter().for_each(|claim| in_a_process_of_its_own(claim, effort)),
    }
    ExitCode::SUCCESS
}

/// Memory that an earlier claim left behind is there for the next, and makes whoever reads into it look quick.
fn in_a_process_of_its_own(claim: &Claim, effort: Effort) {
    let quick = (effort == Effort::Quick).then_some("--quick");
    let ended = std::env::current_exe()
        .and_then(|bench| std::process::Command::new(bench).args([claim.name, ALONE]).args(quick).status());
    if !ended.is_ok_and(|status| status.success()) {
        println!("{}: skipped: a process of its own", claim.name);
    }
}

fn tell(claim: &Claim, measured: Measured) {
    let name = claim.name;
    match measured {
        Measured::Ratio { pairing, value } => {
            let reach = claim.reach.map(|reach| {
                let verdict = if value <= reach { "reached" } else { "missed" };
                format!(" [at most {reach}: {verdict}]")
            });
            println!("{name}: {pairing}{}", reach.unwrap_or_default());
            println!("ratio {name} {value:.4}");
        }
        Measured::Numbers(numbers) => {
            for (name, value, unit) in numbers {
                println!("number {name} {value:.1} {unit}");
            }
        }
        Measured::Skipped(why) => println!("{name}: skipped: {why}"),
    }
}
