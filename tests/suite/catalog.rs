//! Runs every built-in workload and compares results, durations, output and findings with the expected ones.
//!
//! Each workload on a virtual clock runs twice and must give identical runs. Every run also checks that both feeds agree
//! and that no event was dropped.

use std::collections::BTreeSet;
use std::sync::Mutex;

use loopscope::control::ClockKind;
use loopscope::insight::{Findings, Thresholds, run_lints};
use loopscope::trace::Trace;
use loopscope::workload::{
    build_program, catalog,
    manifest::{Manifest, ParamValue},
    params,
};
use serde_json::{Value, json};

use crate::lab_harness::{self, FinishedRun};

/// Number of concurrent runs. They mostly wait for updates from console-subscriber.
const CONCURRENT_RUNS_MAX: usize = 4;

/// The expected results of one workload.
struct ExpectedRun {
    name: &'static str,
    elapsed_ms: u64,
    busy_ms: u64,
    result: Result<Value, &'static str>,
    /// Lines that the output must contain, in this order.
    prints: &'static [&'static str],
}

fn expected_run(
    name: &'static str,
    elapsed_ms: u64,
    busy_ms: u64,
    result: Value,
    prints: &'static [&'static str],
) -> ExpectedRun {
    ExpectedRun { name, elapsed_ms, busy_ms, result: Ok(result), prints }
}

fn expected_runs() -> Vec<ExpectedRun> {
    let nothing = || Value::Null;
    vec![
        expected_run("countsync", 3_000, 3_000, nothing(), &["One", "Two", "One", "Two", "One", "Two"]),
        expected_run("countasync", 1_000, 0, nothing(), &["One", "One", "One", "Two", "Two", "Two"]),
        expected_run(
            "gather",
            10_000,
            0,
            json!([[1, 2, 3], [0, 5, 10]]),
            &["short is done: true", "long is done: true"],
        ),
        expected_run("chess-sync", 43_200_000, 43_200_000, nothing(), &["game 24 is over at 12:00:00.000"]),
        expected_run("chess-async", 3_655_000, 3_600_000, nothing(), &["every game is over at 01:00:55.000"]),
        expected_run("chess-overlap", 1_800_000, 0, nothing(), &["every game is over at 00:30:00.000"]),
        expected_run(
            "chaining",
            8_000,
            0,
            json!([
                { "result": "1-2", "seconds": 8.0 },
                { "result": "2-2", "seconds": 7.0 },
                { "result": "3-2", "seconds": 8.0 },
            ]),
            &["chain 2 stored 2-2 after 7.0 s"],
        ),
        expected_run(
            "pause-here",
            1_000,
            0,
            nothing(),
            &[
                "1  g begins",
                "2  f begins: still the same poll, no other task has run",
                "3  another task runs while g and f are suspended",
                "4  f goes on where it was suspended",
                "5  g has f's result",
            ],
        ),
        expected_run(
            "generator",
            3_000,
            0,
            nothing(),
            &["the others run", "page 1 at 1.0 s", "the others run", "page 2 at 2.0 s"],
        ),
        expected_run(
            "rules",
            0,
            0,
            nothing(),
            &[
                "   await needs an awaitable, but got the number 5",
                "   await needs an awaitable, but got the coroutine function count",
                "   create_task needs a coroutine, but got a function",
                "   this coroutine of `count` was already awaited; it can run only once",
                "   cannot await inside a callback of table.sort or string.gsub, or inside a metamethod",
                "   broken inside",
                "7. a coroutine that nobody awaits never runs",
            ],
        ),
        expected_run("producer-consumer", 50_000, 0, json!([50, 50]), &["everything is handed over at 45.0 s"]),
        expected_run("oneshot-reply", 50, 0, json!([10, 30, 60, 100, 150]), &[]),
        expected_run(
            "broadcast-lag",
            34_000,
            0,
            json!({ "quick": { "heard": 20, "missed": 0 }, "slow": { "heard": 11, "missed": 9 } }),
            &["slow: heard 11, missed 9"],
        ),
        expected_run("semaphore-pool", 4_000, 0, json!({ "seconds": 4.0, "most_at_once": 3, "free": 3 }), &[]),
        expected_run("barrier", 17_000, 0, json!([17.0, 17.0, 17.0, 17.0]), &[]),
        expected_run("select-race", 14_000, 0, json!({ "amsterdam": 1, "berlin": 3, "nobody": 1 }), &["nobody: nil"]),
        expected_run(
            "timeout-retry",
            11_667,
            0,
            json!({ "answer": "answered", "attempt": 3, "seconds": 11.667 }),
            &["attempt 1 gave up at 3.0 s, and waits 1.0 s", "attempt 2 gave up at 7.0 s, and waits 2.0 s"],
        ),
        expected_run(
            "cancellation",
            2_000,
            0,
            json!(true),
            &["downloading", "the half file is deleted", "the lock is free again at 2.0 s"],
        ),
        expected_run("task-group", 3_000, 0, json!({ "over": 5, "seconds": 3.0 }), &["part 3 is broken"]),
        expected_run("blocked-loop", 3_900, 2_000, json!(2.0), &["the latest beat came 2.0 s late"]),
        expected_run("spawn-blocking", 3_900, 0, json!(0), &["the latest beat came 0 s late"]),
        expected_run("busy-yield", 100, 100, json!(1_000), &["the impatient one looked 1000 times"]),
        expected_run("starved-by-greed", 10_000, 10_000, json!(10.0), &["the modest task was polled after 10.0 s"]),
        expected_run("thundering-herd", 11_000, 0, json!({ "done": 10, "woken": 550 }), &[]),
        expected_run("mutex-convoy", 5_000, 0, nothing(), &["50 lock holds took 5.0 s"]),
        expected_run("rwlock-starvation", 62_500, 0, json!(62.5), &["the writer waited 59.5 s"]),
        expected_run("interval-drift", 11_250, 1_350, json!({ "burst": 9.9, "delay": 11.25, "skip": 10.8 }), &[]),
        expected_run("notify-lost-wakeup", 31_000, 0, json!(false), &["nobody heard it: timed out after 30s"]),
        ExpectedRun {
            name: "deadlock",
            elapsed_ms: 10_000,
            busy_ms: 0,
            result: Err(
                "deadlock: no scheduled task and no pending timer; main waits for gather at workloads/deadlock.lua:22, \
                         transfer-1 waits for mutex.lock(right) at workloads/deadlock.lua:9, transfer-2 waits for mutex.lock(left) \
                         at workloads/deadlock.lua:9",
            ),
            prints: &["somebody else is fine, and notices nothing"],
        },
        expected_run("leak", 20_000, 0, nothing(), &["200 requests are answered, and as many tasks are still there"]),
        expected_run("spawn-storm", 0, 0, json!(1_000), &[]),
    ]
}

fn run(name: &str) -> FinishedRun {
    let manifest = catalog::find(name).expect("built in");
    let values = params::resolve(&manifest, &[]).expect("defaults are within their own bounds");
    lab_harness::run(build_program(&manifest, values).expect("a script that loads"), 0)
}

fn check_workload(expected: &ExpectedRun) {
    let name = expected.name;
    let ran = run(name);
    match (&ran.outcome, &expected.result) {
        (Some(Ok(result)), Ok(expected)) => assert_eq!(result, expected, "{name}"),
        (Some(Err(error)), Err(expected)) => assert_eq!(error, expected, "{name}"),
        (outcome, expected) => panic!("{name}: {outcome:?} instead of {expected:?}"),
    }
    assert_eq!(
        (ran.elapsed_ns / 1_000_000, ran.busy_ns / 1_000_000),
        (expected.elapsed_ms, expected.busy_ms),
        "{name}"
    );
    let mut output = ran.output.iter().map(|(_, _, text)| text.as_str());
    for line in expected.prints {
        assert!(output.any(|printed| printed == *line), "{name} must print {line:?}: {:?}", ran.output);
    }
    let expects = catalog::find(name).expect("built in").expects;
    assert_eq!(expects.must_fail, expected.result.is_err(), "{name}: expects.outcome");
    // A task that is still open when the run ends was cut off.
    let open = ran.task_outcomes.iter().filter(|(task, how)| task != "main" && how == "open").count();
    assert_eq!(open, 0, "{name}: {:?}", ran.task_outcomes);
    assert_eq!(format!("{:?}", run(name)), format!("{ran:?}"), "{name}: the second run differs");
}

#[test]
fn workloads_give_expected_results_twice() {
    let expected_runs = expected_runs();
    let names: BTreeSet<&str> = expected_runs.iter().map(|expected| expected.name).collect();
    // Runs on the real clock differ; `real_clock_workloads_return_all_bytes` covers those.
    let all: Vec<_> =
        catalog::built_in_workloads().into_iter().filter(|manifest| manifest.clock == ClockKind::Virtual).collect();
    assert_eq!(names, all.iter().map(|manifest| manifest.name.as_str()).collect(), "every workload has an entry");
    let remaining = Mutex::new(expected_runs.iter());
    let next = || remaining.lock().expect("not poisoned").next();
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENT_RUNS_MAX {
            scope.spawn(|| {
                while let Some(expected) = next() {
                    check_workload(expected);
                }
            });
        }
    });
}

/// Runs on the real clock differ in timing, but not in their results.
#[test]
fn real_clock_workloads_return_all_bytes() {
    let expected_runs: [(&str, u32); 2] = [("tcp-echo", 64), ("pipeline", 8)];
    let real: BTreeSet<String> = catalog::built_in_workloads()
        .into_iter()
        .filter(|manifest| manifest.clock == ClockKind::Real)
        .map(|manifest| manifest.name)
        .collect();
    assert_eq!(real, expected_runs.iter().map(|(name, _)| (*name).to_owned()).collect(), "every workload has an entry");
    for (name, mebibytes) in expected_runs {
        let values = vec![("mebibytes".into(), ParamValue::Number(mebibytes.into()))];
        let program = build_program(&catalog::find(name).expect("built in"), values).expect("a script that loads");
        let ran = lab_harness::run_on_clock(program, ClockKind::Real);
        assert_eq!(ran.outcome, Some(Ok(json!({ "bytes": mebibytes << 20, "more": false }))), "{name}");
    }
}

/// Runs a workload with default parameters and returns its findings.
fn findings_in(manifest: &Manifest) -> Findings {
    let values = params::resolve(manifest, &[]).expect("defaults are within bounds");
    let program = build_program(manifest, values).expect("a script that loads");
    let mut thresholds = Thresholds::default();
    if manifest.clock == ClockKind::Real {
        // On a busy machine a poll includes waiting for the processor, so the blocked-loop lint is switched off here.
        thresholds.blocked_loop_ns = lab_harness::RUN_TIMEOUT.as_nanos() as u64;
    }
    lab_harness::inspect_trace(program, manifest.clock, |trace: &Trace| run_lints(trace, &thresholds))
}

#[test]
fn workloads_show_exactly_the_expected_findings() {
    let mut mismatches = Vec::new();
    for manifest in catalog::built_in_workloads() {
        let expected: BTreeSet<String> = manifest.expects.findings.iter().cloned().collect();
        let found = findings_in(&manifest);
        let names: BTreeSet<String> = found.listed.iter().map(|finding| finding.name.to_owned()).collect();
        if names != expected {
            let shown: Vec<_> =
                found.listed.iter().take(5).map(|f| format!("{} ({})", f.message, f.evidence)).collect();
            mismatches.push(format!(
                "{}: found {names:?}, expected {expected:?}\n  {}",
                manifest.name,
                shown.join("\n  ")
            ));
        }
    }
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}
