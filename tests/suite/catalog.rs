//! Every workload of the catalog, run to its end twice: what must come out, the same both times, with both witnesses of
//! one mind (the rig sees to that) and nothing lost; and the findings that it says must be made in it, and no others.

use std::collections::BTreeSet;
use std::sync::Mutex;

use loopscope::control::ClockKind;
use loopscope::insight::{Findings, Thresholds, findings};
use loopscope::trace::Trace;
use loopscope::workload::{
    catalog,
    manifest::{Manifest, ParamValue},
    params, program, script,
};
use serde_json::{Value, json};

use crate::rig::{self, Ran};

/// Runs under way at once: they mostly wait for an update of console-subscriber's.
const SIDE_BY_SIDE: usize = 4;

/// What must come out of one workload.
struct Row {
    name: &'static str,
    elapsed_ms: u64,
    busy_ms: u64,
    result: Result<Value, &'static str>,
    /// Lines that must be in the output, in this order.
    says: &'static [&'static str],
}

fn row(name: &'static str, elapsed_ms: u64, busy_ms: u64, result: Value, says: &'static [&'static str]) -> Row {
    Row { name, elapsed_ms, busy_ms, result: Ok(result), says }
}

fn rows() -> Vec<Row> {
    let nothing = || Value::Null;
    vec![
        row("countsync", 3_000, 3_000, nothing(), &["One", "Two", "One", "Two", "One", "Two"]),
        row("countasync", 1_000, 0, nothing(), &["One", "One", "One", "Two", "Two", "Two"]),
        row("gather", 10_000, 0, json!([[1, 2, 3], [0, 5, 10]]), &["short is done: true", "long is done: true"]),
        row("chess-sync", 43_200_000, 43_200_000, nothing(), &["game 24 is over at 12:00:00.000"]),
        row("chess-async", 3_655_000, 3_600_000, nothing(), &["every game is over at 01:00:55.000"]),
        row("chess-overlap", 1_800_000, 0, nothing(), &["every game is over at 00:30:00.000"]),
        row(
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
        row(
            "pause-here",
            1_000,
            0,
            nothing(),
            &[
                "1  g begins",
                "2  f begins: still the same turn, nobody else has run",
                "3  somebody else has a turn while g and f are paused",
                "4  f goes on where it paused",
                "5  g has f's result",
            ],
        ),
        row(
            "generator",
            3_000,
            0,
            nothing(),
            &["the others run", "page 1 at 1.0 s", "the others run", "page 2 at 2.0 s"],
        ),
        row(
            "rules",
            0,
            0,
            nothing(),
            &[
                "   await needs something to wait for, and got the number 5",
                "   await needs something to wait for, and got the async function count",
                "   create_task needs a coroutine, and got a function",
                "   this coroutine of `count` was awaited before; each one runs once",
                "   await inside a callback of table.sort, string.gsub or a metamethod",
                "   broken inside",
                "7. a coroutine that nobody awaits never runs",
            ],
        ),
        row("producer-consumer", 50_000, 0, json!([50, 50]), &["everything is handed over at 45.0 s"]),
        row("oneshot-reply", 50, 0, json!([10, 30, 60, 100, 150]), &[]),
        row(
            "broadcast-lag",
            34_000,
            0,
            json!({ "quick": { "heard": 20, "missed": 0 }, "slow": { "heard": 11, "missed": 9 } }),
            &["slow: heard 11, missed 9"],
        ),
        row("semaphore-pool", 4_000, 0, json!({ "seconds": 4.0, "most_at_once": 3, "free": 3 }), &[]),
        row("barrier", 17_000, 0, json!([17.0, 17.0, 17.0, 17.0]), &[]),
        row("select-race", 14_000, 0, json!({ "amsterdam": 1, "berlin": 3, "nobody": 1 }), &["nobody: nil"]),
        row(
            "timeout-retry",
            11_667,
            0,
            json!({ "answer": "answered", "attempt": 3, "seconds": 11.667 }),
            &["attempt 1 gave up at 3.0 s, and waits 1.0 s", "attempt 2 gave up at 7.0 s, and waits 2.0 s"],
        ),
        row(
            "cancellation",
            2_000,
            0,
            json!(true),
            &["downloading", "the half file is deleted", "the lock is free again at 2.0 s"],
        ),
        row("task-group", 3_000, 0, json!({ "over": 5, "seconds": 3.0 }), &["part 3 is broken"]),
        row("blocked-loop", 3_900, 2_000, json!(2.0), &["the latest beat came 2.0 s late"]),
        row("spawn-blocking", 3_900, 0, json!(0), &["the latest beat came 0 s late"]),
        row("busy-yield", 100, 100, json!(1_000), &["the impatient one looked 1000 times"]),
        row("starved-by-greed", 10_000, 10_000, json!(10.0), &["the modest task had its turn after 10.0 s"]),
        row("thundering-herd", 11_000, 0, json!({ "done": 10, "woken": 550 }), &[]),
        row("mutex-convoy", 5_000, 0, nothing(), &["50 turns took 5.0 s"]),
        row("rwlock-starvation", 62_500, 0, json!(62.5), &["the writer waited 59.5 s"]),
        row("interval-drift", 11_250, 1_350, json!({ "burst": 9.9, "delay": 11.25, "skip": 10.8 }), &[]),
        row("notify-lost-wakeup", 31_000, 0, json!(false), &["nobody heard it: timed out after 30s"]),
        Row {
            name: "deadlock",
            elapsed_ms: 10_000,
            busy_ms: 0,
            result: Err(
                "nothing can ever happen again: main waits on gather at workloads/deadlock.lua:22, transfer-1 \
                         waits on mutex.lock(right) at workloads/deadlock.lua:9, transfer-2 waits on mutex.lock(left) \
                         at workloads/deadlock.lua:9",
            ),
            says: &["somebody else is fine, and notices nothing"],
        },
        row("leak", 20_000, 0, nothing(), &["200 requests are answered, and as many tasks are still there"]),
        row("spawn-storm", 0, 0, json!(1_000), &[]),
    ]
}

fn run(name: &str) -> Ran {
    let manifest = catalog::find(name).expect("built in");
    let values = params::resolve(&manifest, &[]).expect("defaults are within their own bounds");
    rig::run(program(&manifest, values).expect("a script that loads"), 0)
}

fn check(row: &Row) {
    let name = row.name;
    let ran = run(name);
    match (&ran.outcome, &row.result) {
        (Some(Ok(result)), Ok(expected)) => assert_eq!(result, expected, "{name}"),
        (Some(Err(error)), Err(expected)) => assert_eq!(error, expected, "{name}"),
        (outcome, expected) => panic!("{name}: {outcome:?} in place of {expected:?}"),
    }
    assert_eq!((ran.elapsed_ns / 1_000_000, ran.busy_ns / 1_000_000), (row.elapsed_ms, row.busy_ms), "{name}");
    let mut output = ran.output.iter().map(|(_, _, text)| text.as_str());
    for line in row.says {
        assert!(output.any(|said| said == *line), "{name} was to say {line:?}: {:?}", ran.output);
    }
    let expects = script::expectations(&catalog::find(name).expect("built in")).expect("readable");
    assert_eq!(expects.fails, row.result.is_err(), "{name}: expects.outcome");
    // Left over at the end of the run means cut off by it; only those that teach it may be.
    let open = ran.endings.iter().filter(|(task, how)| task != "main" && how == "open").count();
    assert_eq!(open, 0, "{name}: {:?}", ran.endings);
    assert_eq!(format!("{:?}", run(name)), format!("{ran:?}"), "{name}: the second run differs");
}

#[test]
fn every_workload_comes_out_as_told_twice() {
    let rows = rows();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    // On the real clock no two runs are the same; `bytes_in_are_bytes_out` looks at those.
    let all: Vec<_> = catalog::all().into_iter().filter(|manifest| manifest.clock == ClockKind::Virtual).collect();
    assert_eq!(names, all.iter().map(|manifest| manifest.name.as_str()).collect(), "each workload has its row");
    let waiting = Mutex::new(rows.iter());
    let next = || waiting.lock().expect("nobody panics while taking the next").next();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(row) = next() {
                    check(row);
                }
            });
        }
    });
}

/// On the real clock no two runs are the same, but what comes out is.
#[test]
fn bytes_in_are_bytes_out() {
    let rows: [(&str, u32); 2] = [("tcp-echo", 64), ("pipeline", 8)];
    let real: BTreeSet<String> = catalog::all()
        .into_iter()
        .filter(|manifest| manifest.clock == ClockKind::Real)
        .map(|manifest| manifest.name)
        .collect();
    assert_eq!(real, rows.iter().map(|(name, _)| (*name).to_owned()).collect(), "each workload has its row");
    for (name, mebibytes) in rows {
        let values = vec![("mebibytes".into(), ParamValue::Number(mebibytes.into()))];
        let program = program(&catalog::find(name).expect("built in"), values).expect("a script that loads");
        let ran = rig::run_on(program, ClockKind::Real);
        assert_eq!(ran.outcome, Some(Ok(json!({ "bytes": mebibytes << 20, "more": false }))), "{name}");
    }
}

/// Runs a workload as it comes, and looks at what it left behind.
fn found_in(manifest: &Manifest) -> Findings {
    let values = params::resolve(manifest, &[]).expect("defaults are within bounds");
    let program = program(manifest, values).expect("a script that loads");
    let mut thresholds = Thresholds::default();
    if manifest.clock == ClockKind::Real {
        // On a busy machine a poll takes as long as it has to wait for the processor, which is nobody's fault here.
        thresholds.blocked_loop_ns = rig::PATIENCE.as_nanos() as u64;
    }
    rig::run_for_trace(program, manifest.clock, |trace: &Trace| findings(trace, &thresholds))
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
