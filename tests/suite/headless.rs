//! Headless runs, from the lab to the report: determinism, time limits, interrupts and failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopscope::control::{ClockKind, FeedChoice, SourceKind, Speed};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::internals::cli::run_to_end;
use loopscope::lab::{LoopHandle, LoopOptions, LoopProgram, TaskSpec};
use loopscope::report::{JsonReport, ReportInput, RunSource};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{AwaitKind, AwaitSite, Trace};
use serde_json::{Value, json};

const SPEC: LoopOptions = LoopOptions {
    clock: ClockKind::Virtual,
    speed: Speed::Max,
    feed: FeedChoice::Both,
    start_paused: false,
    seed: 0,
    stop_at: None,
};

/// A program whose main spawns `tasks` tasks, the n-th sleeping n seconds, and awaits all of them.
fn naps(tasks: u64) -> LoopProgram {
    Box::new(move |loop_handle: LoopHandle| {
        let spec = |name: &str| TaskSpec { name: name.into(), location: None };
        let site = |kind, source: &str| AwaitSite { kind, source: source.into(), location: None, chain: None };
        let main = async move {
            let sleeper = |seconds: u64| {
                let (inner, site) = (loop_handle.clone(), site(AwaitKind::Timer, "sleep"));
                loop_handle.spawn(spec(&format!("nap-{seconds}")), async move {
                    inner.print(&format!("nap {seconds}"));
                    inner.await_at(&site, inner.sleep(Duration::from_secs(seconds))).await;
                    Ok(())
                })
            };
            let sleepers: Vec<_> = (1..=tasks).map(sleeper).collect();
            for sleeper in sleepers {
                let joined = loop_handle.await_at(&site(AwaitKind::Task, "join"), sleeper).await;
                joined.map_err(|error| error.to_string())??;
            }
            Ok(json!(tasks))
        };
        (spec("main"), Box::pin(main))
    })
}

fn report(program: LoopProgram, options: LoopOptions, interrupted: &AtomicBool) -> Value {
    let mut session = LabSession::start("naps", program, options, Trace::default()).expect("start the session");
    let outcome = run_to_end(&mut session, None, interrupted);
    let source = RunSource {
        kind: SourceKind::Workload,
        name: "naps".into(),
        params: Vec::new(),
        clock: options.clock,
        seed: options.seed,
    };
    let input = ReportInput {
        source: &source,
        trace: session.trace(),
        outcome: &outcome,
        feed: options.feed,
        findings: &run_lints(session.trace(), &Thresholds::default()),
        full: true,
    };
    let mut bytes = Vec::new();
    JsonReport::new(&input).write(&mut bytes).expect("write to memory");
    serde_json::from_slice(&bytes).expect("the report is JSON")
}

fn without_updates(mut report: Value) -> Value {
    report["feeds"]["console"]["updates"] = Value::Null;
    report
}

#[test]
fn virtual_runs_give_identical_reports() {
    let never = AtomicBool::new(false);
    let first = report(naps(20), SPEC, &never);
    assert_eq!(first["outcome"], json!("completed"));
    assert_eq!(first["result"], json!(20));
    assert_eq!(first["elapsed_ns"], json!(20_000_000_000_u64));
    assert_eq!(first["loop"]["busy_ns"], json!(0), "without computation, polls take no virtual time");
    assert_eq!(first["feeds"]["agree"], json!(true), "{}", first["feeds"]);
    assert_eq!(first["feeds"]["console"]["tasks"], json!(21));
    let first = without_updates(first);
    for _ in 0..5 {
        assert_eq!(without_updates(report(naps(20), SPEC, &never)), first);
    }
}

#[test]
fn time_limit_cancels_the_run() {
    let until = Some(2_500_000_000);
    let report = report(naps(9), LoopOptions { stop_at: until, ..SPEC }, &AtomicBool::new(false));
    assert_eq!(report["outcome"], json!("cancelled"));
    assert_eq!(report["elapsed_ns"], json!(2_500_000_000_u64));
    assert_eq!(report["loop"]["parked_ns"], json!(2_500_000_000_u64));
    let states: Vec<_> = report["tasks"].as_array().into_iter().flatten().map(|task| task["state"].clone()).collect();
    let done = |number: usize| json!(if number == 1 || number == 2 { "done" } else { "cancelled" });
    assert_eq!(states, (0..10).map(done).collect::<Vec<_>>(), "main, then the naps by length");
}

#[test]
fn interrupted_run_has_a_report() {
    let interrupted = Arc::new(AtomicBool::new(false));
    let interrupt = Arc::clone(&interrupted);
    let program: LoopProgram = Box::new(move |loop_handle: LoopHandle| {
        let body = async move {
            loop_handle.print("before");
            interrupt.store(true, Ordering::Relaxed);
            loop_handle.sleep(Duration::from_secs(3_600)).await;
            loop_handle.print("after");
            Ok(Value::Null)
        };
        (TaskSpec { name: "main".into(), location: None }, Box::pin(body))
    });
    let begun = Instant::now();
    let report = report(program, LoopOptions { speed: Speed::Factor(1.0), ..SPEC }, &interrupted);
    assert!(begun.elapsed() < Duration::from_secs(60), "the run stopped before its hour of sleep");
    assert_eq!(report["outcome"], json!("cancelled"));
    assert_eq!(report["output"][0]["text"], json!("before"));
    assert_eq!(report["output"][1], Value::Null);
    assert_eq!(report["tasks"][0]["state"], json!("cancelled"));
}

#[test]
fn failure_is_reported_as_error() {
    let program: LoopProgram = Box::new(|_| {
        let spec = TaskSpec { name: "main".into(), location: None };
        (spec, Box::pin(std::future::ready(Err("naps.lua:3:1: too tired".to_owned()))))
    });
    let report = report(program, SPEC, &AtomicBool::new(false));
    assert_eq!((&report["outcome"], &report["error"]), (&json!("failed"), &json!("naps.lua:3:1: too tired")));
    assert_eq!(report["tasks"][0]["state"], json!("failed"));
}

#[test]
fn sampled_times_are_null() {
    let binary = env!("CARGO_BIN_EXE_loopscope");
    let run = |feed, json: &[&str]| {
        let arguments = ["run", "countsync", "--headless", "--feed", feed];
        let output = std::process::Command::new(binary).args(arguments).args(json).output().expect("run the binary");
        String::from_utf8(output.stdout).expect("the report is UTF-8")
    };
    let report: serde_json::Value = serde_json::from_str(&run("console", &["--json"])).expect("the report is JSON");
    assert_eq!(report["fidelity"], "sampled");
    assert_eq!(report["loop"]["busy_ns"], serde_json::Value::Null);
    assert_eq!(report["tasks"][1]["waiting_ns"], serde_json::Value::Null);
    assert_eq!(report["tasks"][1]["polls"], 1, "counts are exact");
    assert!(run("console", &[]).contains("polls were only sampled"));
    let report: serde_json::Value = serde_json::from_str(&run("probe", &["--json"])).expect("the report is JSON");
    assert_eq!(report["loop"]["busy_ns"], 3_000_000_000_u64);
}
