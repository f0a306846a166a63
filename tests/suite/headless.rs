//! Runs without a screen, from the lab to the report: the same run gives the same document, and stops when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::cli::run_to_end;
use loopscope::control::{ClockKind, FeedChoice, SourceKind, Speed};
use loopscope::insight::Thresholds;
use loopscope::lab::{Options, Program, TaskSpec, World};
use loopscope::report::{Input, Report, Source};
use loopscope::session::LabSession;
use loopscope::trace::{AwaitKind, Site, Trace};
use serde_json::{Value, json};

const SPEC: Options = Options {
    clock: ClockKind::Virtual,
    speed: Speed::Max,
    feed: FeedChoice::Both,
    paused: false,
    seed: 0,
    until: None,
};

/// Main starts `tasks` that each sleep a second longer than the one before, and waits for all of them.
fn naps(tasks: u64) -> Program {
    Box::new(move |world: World| {
        let spec = |name: &str| TaskSpec { name: name.into(), location: None };
        let site = |kind, source: &str| Site { kind, source: source.into(), location: None };
        let main = async move {
            let sleeper = |seconds: u64| {
                let (inner, site) = (world.clone(), site(AwaitKind::Timer, "sleep"));
                world.spawn(spec(&format!("nap-{seconds}")), async move {
                    inner.print(&format!("nap {seconds}"));
                    inner.await_at(&site, inner.sleep(Duration::from_secs(seconds))).await;
                    Ok(())
                })
            };
            let sleepers: Vec<_> = (1..=tasks).map(sleeper).collect();
            for sleeper in sleepers {
                let joined = world.await_at(&site(AwaitKind::Task, "join"), sleeper).await;
                joined.map_err(|error| error.to_string())??;
            }
            Ok(json!(tasks))
        };
        (spec("main"), Box::pin(main))
    })
}

fn report(program: Program, options: Options, interrupted: &AtomicBool) -> Value {
    let mut session = LabSession::start("naps", program, options, Trace::default()).expect("a thread can be had");
    let outcome = run_to_end(&mut session, None, interrupted);
    let source = Source {
        kind: SourceKind::Workload,
        name: "naps".into(),
        params: Vec::new(),
        clock: options.clock,
        seed: options.seed,
    };
    let input = Input {
        source: &source,
        trace: session.trace(),
        outcome: &outcome,
        feed: options.feed,
        thresholds: &Thresholds::default(),
        full: true,
    };
    let mut bytes = Vec::new();
    Report::new(&input).write(&mut bytes).expect("memory takes everything");
    serde_json::from_slice(&bytes).expect("it is one JSON document")
}

fn without_updates(mut report: Value) -> Value {
    report["feeds"]["console"]["updates"] = Value::Null;
    report
}

#[test]
fn two_reports_of_one_virtual_run_are_the_same() {
    let never = AtomicBool::new(false);
    let first = report(naps(20), SPEC, &never);
    assert_eq!(first["outcome"], json!("completed"));
    assert_eq!(first["result"], json!(20));
    assert_eq!(first["elapsed_ns"], json!(20_000_000_000_u64));
    assert_eq!(first["loop"]["busy_ns"], json!(0), "nothing computes, so no virtual time is spent in polls");
    assert_eq!(first["feeds"]["agree"], json!(true), "{}", first["feeds"]);
    assert_eq!(first["feeds"]["console"]["tasks"], json!(21));
    let first = without_updates(first);
    for _ in 0..5 {
        assert_eq!(without_updates(report(naps(20), SPEC, &never)), first);
    }
}

#[test]
fn a_run_ends_at_its_limit_as_cancelled() {
    let until = Some(2_500_000_000);
    let report = report(naps(9), Options { until, ..SPEC }, &AtomicBool::new(false));
    assert_eq!(report["outcome"], json!("cancelled"));
    assert_eq!(report["elapsed_ns"], json!(2_500_000_000_u64));
    assert_eq!(report["loop"]["parked_ns"], json!(2_500_000_000_u64));
    let states: Vec<_> = report["tasks"].as_array().into_iter().flatten().map(|task| task["state"].clone()).collect();
    let done = |number: usize| json!(if number == 1 || number == 2 { "done" } else { "cancelled" });
    assert_eq!(states, (0..10).map(done).collect::<Vec<_>>(), "main, then the naps by length");
}

#[test]
fn an_interrupted_run_stops_and_leaves_its_report() {
    let interrupted = Arc::new(AtomicBool::new(false));
    let interrupt = Arc::clone(&interrupted);
    let program: Program = Box::new(move |world: World| {
        let body = async move {
            world.print("before");
            interrupt.store(true, Ordering::Relaxed);
            world.sleep(Duration::from_secs(3_600)).await;
            world.print("after");
            Ok(Value::Null)
        };
        (TaskSpec { name: "main".into(), location: None }, Box::pin(body))
    });
    let begun = Instant::now();
    let report = report(program, Options { speed: Speed::Times(1.0), ..SPEC }, &interrupted);
    assert!(begun.elapsed() < Duration::from_secs(60), "it stopped long before its hour");
    assert_eq!(report["outcome"], json!("cancelled"));
    assert_eq!(report["output"][0]["text"], json!("before"));
    assert_eq!(report["output"][1], Value::Null);
    assert_eq!(report["tasks"][0]["state"], json!("cancelled"));
}

#[test]
fn a_failure_is_the_reports_error() {
    let program: Program = Box::new(|_| {
        let spec = TaskSpec { name: "main".into(), location: None };
        (spec, Box::pin(std::future::ready(Err("naps.lua:3:1: too tired".to_owned()))))
    });
    let report = report(program, SPEC, &AtomicBool::new(false));
    assert_eq!((&report["outcome"], &report["error"]), (&json!("failed"), &json!("naps.lua:3:1: too tired")));
    assert_eq!(report["tasks"][0]["state"], json!("failed"));
}

#[test]
fn what_was_only_sampled_is_not_summed() {
    let binary = env!("CARGO_BIN_EXE_loopscope");
    let run = |feed, json: &[&str]| {
        let arguments = ["run", "countsync", "--headless", "--feed", feed];
        let output = std::process::Command::new(binary).args(arguments).args(json).output().expect("it starts");
        String::from_utf8(output.stdout).expect("a report is text")
    };
    let report: serde_json::Value = serde_json::from_str(&run("console", &["--json"])).expect("one JSON document");
    assert_eq!(report["fidelity"], "sampled");
    assert_eq!(report["loop"]["busy_ns"], serde_json::Value::Null);
    assert_eq!(report["tasks"][1]["waiting_ns"], serde_json::Value::Null);
    assert_eq!(report["tasks"][1]["polls"], 1, "counts are exact");
    assert!(run("console", &[]).contains("they were only sampled"));
    let report: serde_json::Value = serde_json::from_str(&run("probe", &["--json"])).expect("one JSON document");
    assert_eq!(report["loop"]["busy_ns"], 3_000_000_000_u64);
}
