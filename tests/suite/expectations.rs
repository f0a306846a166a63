//! The catalog is the acceptance suite of the lints: each workload says what must be found in it, and nothing else may.

use std::collections::BTreeSet;

use crate::rig;
use loopscope::insight::{Findings, Thresholds, findings};
use loopscope::trace::Trace;
use loopscope::workload::{catalog, manifest::Manifest, params, program, script};

/// Runs a workload as it comes, and looks at what it left behind.
fn found_in(manifest: &Manifest) -> Findings {
    let values = params::resolve(manifest, &[]).expect("defaults are within bounds");
    let program = program(manifest, values).expect("a script that loads");
    rig::run_for_trace(program, manifest.clock, |trace: &Trace| findings(trace, &Thresholds::default()))
}

#[test]
fn each_workload_shows_what_it_is_there_to_show_and_nothing_else() {
    let mut wrong = Vec::new();
    for manifest in catalog::all() {
        let expected: BTreeSet<String> =
            script::expectations(&manifest).expect("readable").findings.into_iter().collect();
        let found = found_in(&manifest);
        let names: BTreeSet<String> = found.listed.iter().map(|finding| finding.name.to_owned()).collect();
        if names != expected {
            let shown: Vec<_> =
                found.listed.iter().take(5).map(|f| format!("{} ({})", f.message, f.evidence)).collect();
            wrong.push(format!("{}: found {names:?}, expected {expected:?}\n  {}", manifest.name, shown.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
