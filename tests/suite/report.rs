//! JSON and text reports of traces built by hand.

use std::collections::BTreeSet;
use std::path::Path;

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, SourceKind};
use loopscope::insight::{RunSummary, Thresholds, busiest_tasks, most_woken_tasks, run_lints};
use loopscope::report::{AWAITS_MAX, JsonReport, RESOURCES_MAX, ReportInput, RunSource, WAKES_MAX, write_text};
use loopscope::trace::{
    AwaitId, AwaitKind, AwaitSite, Event, Location, Nanos, Resource, ResourceId, ResourceKind, SiteId, TaskCounts,
    TaskId, TaskMeta, TaskOutcome, Trace, WakeSource,
};
use loopscope::workload::manifest::ParamValue;
use serde_json::{Value, json};

use crate::cli::loopscope;
use crate::report_docs::schema_errors;

const SECOND: Nanos = 1_000_000_000;

fn task(number: usize) -> TaskId {
    TaskId::from_index(number - 1)
}

fn at_line(line: u32) -> Option<Location> {
    Some(Location { file: "workloads/naps.lua".into(), line })
}

fn spawn(number: usize, at: Nanos, name: &str, parent: Option<usize>) -> Event {
    let parent = parent.map(task);
    let spawned = TaskMeta { name: name.into(), parent, location: at_line(16), ..TaskMeta::default() };
    Event::Spawn { task: task(number), at, meta: Box::new(spawned) }
}

fn site(number: usize, kind: AwaitKind, source: &str, line: u32) -> Event {
    let described = AwaitSite { kind, source: source.into(), location: at_line(line), chain: None };
    Event::NewAwaitSite { id: SiteId::from_index(number - 1), site: Box::new(described) }
}

/// A trace in which main spawns a sleeper and awaits it, then spawns a task that still sleeps at the end.
fn naps() -> Trace {
    let (main, nap, late) = (task(1), task(2), task(3));
    let (gather, sleep) = (SiteId::from_index(0), SiteId::from_index(1));
    let await_id = AwaitId::from_index;
    let mut trace = Trace::default();
    let events = vec![
        spawn(1, 0, "main", None),
        Event::Unpark { at: 0 },
        Event::PollStart { task: main, at: 0 },
        spawn(2, 10, "nap", Some(1)),
        site(1, AwaitKind::Task, "gather", 20),
        Event::AwaitStart { id: await_id(0), task: main, at: 20, site: gather },
        Event::AwaitPoll { id: await_id(0), is_ready: false },
        Event::PollEnd { task: main, at: 30 },
        Event::PollStart { task: nap, at: 40 },
        site(2, AwaitKind::Timer, "sleep", 3),
        Event::AwaitStart { id: await_id(1), task: nap, at: 45, site: sleep },
        Event::AwaitPoll { id: await_id(1), is_ready: false },
        Event::Output { task: Some(nap), at: 45, text: "One".into() },
        Event::PollEnd { task: nap, at: 50 },
        Event::Park { at: 60 },
        Event::Unpark { at: SECOND },
        Event::Wake { task: nap, at: SECOND, source: WakeSource::Driver },
        Event::PollStart { task: nap, at: SECOND + 10 },
        Event::AwaitPoll { id: await_id(1), is_ready: true },
        Event::AwaitEnd { id: await_id(1), at: SECOND + 10 },
        Event::Wake { task: main, at: SECOND + 15, source: WakeSource::Task(nap) },
        Event::TaskEnd { task: nap, at: SECOND + 20, outcome: TaskOutcome::Completed },
        Event::PollEnd { task: nap, at: SECOND + 20 },
        Event::PollStart { task: main, at: SECOND + 30 },
        spawn(3, SECOND + 31, "", Some(1)),
        Event::Wake { task: main, at: SECOND + 32, source: WakeSource::SelfWake },
        Event::PollEnd { task: main, at: SECOND + 35 },
        Event::PollStart { task: late, at: SECOND + 40 },
        Event::AwaitStart { id: await_id(2), task: late, at: SECOND + 41, site: sleep },
        Event::AwaitPoll { id: await_id(2), is_ready: false },
        Event::PollEnd { task: late, at: SECOND + 50 },
        Event::Gap { from: 5, to: 6, dropped: 7 },
        Event::ConsoleUpdate { dropped: 0 },
        Event::ConsoleCounts { task: main, counts: TaskCounts { polls: 2, wakes: 2, self_wakes: 1, awaits: 1 } },
        Event::ConsoleCounts { task: nap, counts: TaskCounts { polls: 1, wakes: 1, self_wakes: 0, awaits: 1 } },
        Event::Advance { at: SECOND + 60 },
    ];
    trace.count_probe_events(events.len() as u64);
    events.into_iter().for_each(|event| trace.apply(event));
    trace
}

fn source() -> RunSource {
    RunSource {
        kind: SourceKind::Workload,
        name: "naps".to_owned(),
        params: vec![
            ("length".to_owned(), ParamValue::Duration(std::time::Duration::from_secs(1))),
            ("nappers".to_owned(), ParamValue::Number(1.0)),
            ("share".to_owned(), ParamValue::Number(0.5)),
        ],
        clock: ClockKind::Virtual,
        seed: 7,
    }
}

fn json_of(trace: &Trace, outcome: &RunOutcome, feed: FeedChoice, full: bool) -> String {
    let mut bytes = Vec::new();
    let source = source();
    let input = ReportInput {
        source: &source,
        trace,
        outcome,
        feed,
        findings: &run_lints(trace, &Thresholds::default()),
        full,
    };
    JsonReport::new(&input).write(&mut bytes).expect("write to memory");
    String::from_utf8(bytes).expect("the report is UTF-8")
}

fn value_of(trace: &Trace, outcome: &RunOutcome, feed: FeedChoice, full: bool) -> Value {
    serde_json::from_str(&json_of(trace, outcome, feed, full)).expect("the report is JSON")
}

fn text_of(trace: &Trace, outcome: &RunOutcome, full: bool) -> String {
    let mut bytes = Vec::new();
    let source = source();
    let input = ReportInput {
        source: &source,
        trace,
        outcome,
        feed: FeedChoice::Both,
        findings: &run_lints(trace, &Thresholds::default()),
        full,
    };
    write_text(&input, &mut bytes).expect("write to memory");
    String::from_utf8(bytes).expect("the report is UTF-8")
}

/// Compares `actual` with a fixture. If `UPDATE_SNAPSHOTS` is set, writes it to the fixture instead.
fn assert_golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).expect("write the fixture");
    }
    let expected = std::fs::read_to_string(&path).expect("read the fixture");
    assert_eq!(actual, expected, "if the change is intended, set UPDATE_SNAPSHOTS=1 and review the diff");
}

#[test]
fn json_report_matches_golden_file() {
    let outcome = RunOutcome::Completed(json!({"slept": 1}));
    let report = json_of(&naps(), &outcome, FeedChoice::Both, false);
    assert_golden("naps.json", &report);
    assert_eq!(report, json_of(&naps(), &outcome, FeedChoice::Both, false));
}

#[test]
fn text_report_matches_golden_file() {
    let outcome = RunOutcome::Completed(json!({"slept": 1}));
    assert_golden("naps.txt", &text_of(&naps(), &outcome, false));
}

#[test]
fn json_has_outcome_and_error() {
    let failed = value_of(&naps(), &RunOutcome::Failed("naps.lua:3:1: no".to_owned()), FeedChoice::Both, false);
    assert_eq!((&failed["outcome"], &failed["error"]), (&json!("failed"), &json!("naps.lua:3:1: no")));
    assert_eq!(failed["result"], Value::Null);
    let cancelled = value_of(&naps(), &RunOutcome::Cancelled, FeedChoice::Both, false);
    assert_eq!((&cancelled["outcome"], &cancelled["error"]), (&json!("cancelled"), &Value::Null));
}

#[test]
fn single_feed_has_no_disagreements() {
    for (feed, fidelity) in [(FeedChoice::Probe, "exact"), (FeedChoice::Console, "sampled")] {
        let mut trace = naps();
        if feed == FeedChoice::Console {
            trace.set_sampled();
        }
        let report = value_of(&trace, &RunOutcome::Cancelled, feed, false);
        assert_eq!(report["feeds"]["agree"], json!(true));
        assert_eq!(report["feeds"]["disagreements"], json!([]));
        assert_eq!(report["fidelity"], json!(fidelity));
    }
}

#[test]
fn open_poll_and_park_count_up_to_now() {
    let mut trace = naps();
    trace.apply(Event::PollStart { task: task(3), at: SECOND + 60 });
    trace.apply(Event::Advance { at: 3 * SECOND });
    let busy_in_polls = 30 + 10 + 10 + 5 + 10;
    let summary = RunSummary::of(&trace);
    assert_eq!(summary.busy_ns, busy_in_polls + 2 * SECOND - 60);
    assert_eq!(summary.longest_poll_ns, 2 * SECOND - 60);
    assert_eq!(summary.busy_ns + summary.parked_ns + summary.overhead_ns, 3 * SECOND);
    let mut parked = naps();
    parked.apply(Event::Park { at: SECOND + 60 });
    parked.apply(Event::Advance { at: 5 * SECOND });
    assert_eq!(RunSummary::of(&parked).parked_ns, SECOND - 60 + 4 * SECOND - 60);
    assert_eq!(RunSummary::of(&Trace::default()).busy_share(), 0.0, "a run of zero length");
}

#[test]
fn busiest_and_most_woken_come_first() {
    let trace = naps();
    assert_eq!(busiest_tasks(&trace, 2), [task(1), task(2)]);
    assert_eq!(most_woken_tasks(&trace, 9), [task(1), task(2), task(3)]);
}

/// A trace with one await and one wake more than a short report lists.
fn long_run() -> Trace {
    let mut trace = Trace::default();
    let events = [spawn(1, 0, "a", None), spawn(2, 0, "b", None), site(1, AwaitKind::Sync, "lock", 5)];
    events.into_iter().for_each(|event| trace.apply(event));
    for index in 0..AWAITS_MAX + 1 {
        let (at, id) = (index as Nanos * 10, AwaitId::from_index(index));
        let task = task(2 - index % 2);
        trace.apply(Event::AwaitStart { id, task, at, site: SiteId::from_index(0) });
        trace.apply(Event::Wake { task, at, source: WakeSource::Thread });
        trace.apply(Event::AwaitEnd { id, at: at + 1 });
    }
    trace
}

#[test]
fn short_report_is_marked_truncated() {
    let trace = long_run();
    let length = |report: &Value, list: &str| report[list].as_array().map(Vec::len);
    let short = value_of(&trace, &RunOutcome::Cancelled, FeedChoice::Probe, false);
    assert_eq!((length(&short, "awaits"), length(&short, "wakes")), (Some(AWAITS_MAX), Some(WAKES_MAX)));
    assert_eq!(short["truncated"], json!(true));
    let full = value_of(&trace, &RunOutcome::Cancelled, FeedChoice::Probe, true);
    assert_eq!((length(&full, "awaits"), length(&full, "wakes")), (Some(AWAITS_MAX + 1), Some(WAKES_MAX + 1)));
    assert_eq!(full.get("truncated"), None);
    let times: Vec<u64> = full["wakes"].as_array().into_iter().flatten().filter_map(|w| w["at_ns"].as_u64()).collect();
    assert!(times.is_sorted() && times.len() == WAKES_MAX + 1, "wakes of both tasks are merged by time");
}

fn new_resource(number: usize, kind: ResourceKind, name: &str) -> Event {
    let resource = Resource { kind, name: name.into(), location: at_line(2), size: 1 };
    Event::NewResource { id: ResourceId::from_index(number - 1), at: 0, resource: Box::new(resource) }
}

/// Three locks and a semaphore: one lock has an owner and waiters, one is shared by readers, one was dropped.
#[test]
fn json_lists_owners_and_waiters_of_resources() {
    let mut trace = Trace::default();
    let id = |number: usize| ResourceId::from_index(number - 1);
    let acquire = |number: usize, by: usize| Event::ResourceAcquire { resource: id(number), task: task(by), at: 1 };
    let wait = |number: usize, by: usize, resource: usize| {
        let await_id = AwaitId::from_index(number - 1);
        let start = Event::AwaitStart { id: await_id, task: task(by), at: 2, site: SiteId::from_index(0) };
        [start, Event::AwaitResource { id: await_id, resource: id(resource) }]
    };
    let kinds = [ResourceKind::Lock, ResourceKind::Lock, ResourceKind::Semaphore, ResourceKind::Lock];
    let names = ["dropped", "books", "permits", "shelf"];
    let mut events: Vec<Event> = (1..=4).map(|number| spawn(number, 0, "", None)).collect();
    events.extend((1..).zip(kinds).zip(names).map(|((number, kind), name)| new_resource(number, kind, name)));
    events.extend([site(1, AwaitKind::Sync, "lock", 5), acquire(2, 3), acquire(3, 1), acquire(4, 1), acquire(4, 2)]);
    // One of the tasks waits for the same lock twice.
    events.extend([wait(1, 4, 2), wait(2, 1, 2), wait(3, 4, 2)].into_iter().flatten());
    events.push(Event::ResourceEnd { resource: id(1), at: 7 });
    events.into_iter().for_each(|event| trace.apply(event));
    let report = value_of(&trace, &RunOutcome::Cancelled, FeedChoice::Probe, false);
    let location = "workloads/naps.lua:2";
    let expected = json!([
        {"id": 2, "kind": "lock", "name": "books", "location": location, "owner": 3, "waiters": [1, 4]},
        {"id": 3, "kind": "semaphore", "name": "permits", "location": location, "owners": [1], "waiters": []},
        {"id": 4, "kind": "lock", "name": "shelf", "location": location, "owners": [1, 2], "waiters": []},
        {"id": 1, "kind": "lock", "name": "dropped", "location": location, "dropped_ns": 7, "waiters": []},
    ]);
    assert_eq!(report["resources"], expected);
    assert_eq!((&report["awaits"][0]["resource"], report.get("truncated")), (&json!(2), None));
    assert_eq!(schema_errors(&report), [""; 0]);
}

/// The end of a workload cancels its tasks, so its locks are free and nothing waits for them.
#[test]
fn workload_report_names_locks_and_their_awaits() {
    let reports = [(); 2].map(|()| loopscope(&["run", "deadlock", "--headless", "--json"]).stdout);
    let [first, second] = reports.map(|text| serde_json::from_str::<Value>(&text).expect("a report"));
    let lock = |id: u32, name: &str| {
        let location = "workloads/deadlock.lua:21";
        json!({"id": id, "kind": "lock", "name": name, "location": location, "waiters": []})
    };
    assert_eq!(first["resources"], json!([lock(1, "left"), lock(2, "right")]));
    assert_eq!(first["resources"], second["resources"]);
    let awaits = first["awaits"].as_array().expect("a list").iter().filter(|found| found["kind"] == "sync");
    let awaited: Vec<_> = awaits.map(|found| (&found["source"], &found["resource"])).collect();
    let (left, right) = (json!("mutex.lock(left)"), json!("mutex.lock(right)"));
    let (one, two) = (json!(1), json!(2));
    assert_eq!(awaited, [(&left, &one), (&right, &two), (&right, &two), (&left, &one)]);
}

#[test]
fn short_report_limits_resources() {
    let mut trace = Trace::default();
    (1..=RESOURCES_MAX + 1).for_each(|number| trace.apply(new_resource(number, ResourceKind::Lock, "lock")));
    for (is_full, length) in [(false, RESOURCES_MAX), (true, RESOURCES_MAX + 1)] {
        let report = value_of(&trace, &RunOutcome::Cancelled, FeedChoice::Probe, is_full);
        assert_eq!(report["resources"].as_array().map(Vec::len), Some(length));
        assert_eq!(report.get("truncated").is_some(), !is_full);
    }
}

/// Evicted tasks may have been the busiest, so the ranking must not claim to include them.
#[test]
fn text_report_separates_evicted_tasks() {
    let mut trace = Trace::with_budget(1 << 20);
    crate::trace::declare_site(&mut trace);
    crate::trace::run_short_tasks(&mut trace, 10_000, &mut 0, true);
    let (retained, evicted) = (trace.tasks().retained() as u64, trace.evicted().count);
    assert!(retained > 40 && evicted > 5_000, "{retained} tasks remain");
    let text = text_of(&trace, &RunOutcome::Cancelled, false);
    let [retained, more, evicted] = [retained, retained - 40, evicted].map(loopscope::insight::units::human_number);
    assert!(text.contains(&format!("tasks (the 40 busiest of {retained})")), "{text}");
    assert!(text.contains(&format!("{more} tasks not shown: --full shows all")), "{text}");
    assert!(
        text.contains(&format!("plus {evicted} tasks evicted (memory budget), the last of which ended at")),
        "{text}"
    );
}

#[test]
fn wakes_name_their_task_after_evictions() {
    let mut trace = Trace::with_budget(1 << 20);
    crate::trace::declare_site(&mut trace);
    crate::trace::run_short_tasks(&mut trace, 10_000, &mut 0, true);
    assert!(trace.evicted().count > 5_000);
    let report = value_of(&trace, &RunOutcome::Cancelled, FeedChoice::Probe, true);
    let ids_of = |list: &str, field: &str| -> BTreeSet<u64> {
        report[list].as_array().into_iter().flatten().filter_map(|entry| entry[field].as_u64()).collect()
    };
    let (woken, listed) = (ids_of("wakes", "task"), ids_of("tasks", "id"));
    assert!(!woken.is_empty() && woken.is_subset(&listed), "{:?}", woken.difference(&listed).next());
}

#[test]
fn text_report_is_truncated_and_sanitized() {
    let mut trace = Trace::default();
    for number in 1..=60 {
        trace.apply(spawn(number, 0, &format!("\u{1b}[31mtask-{number}"), None));
    }
    trace.apply(Event::PollStart { task: task(50), at: 0 });
    trace.apply(Event::PollEnd { task: task(50), at: 9 });
    for line in 0..150 {
        trace.apply(Event::Output { task: None, at: line, text: format!("line {line}\u{7}").into() });
    }
    let failed = RunOutcome::Failed("first\u{1b}]0;title\u{7}\nsecond".to_owned());
    let short = text_of(&trace, &failed, false);
    assert!(short.contains("tasks (the 40 busiest of 60)"), "{short}");
    assert!(short.contains("20 tasks not shown: --full shows all"), "{short}");
    assert!(short.contains("50 lines not shown: --full shows all"), "{short}");
    let first =
        short.lines().skip_while(|line| !line.contains("waiting on")).nth(1).expect("the report has a task table");
    assert!(first.contains("task-50"), "the busiest task comes first: {first}");
    assert!(short.contains("error\n  first\u{fffd}]0;title\u{fffd}\n  second\n"), "{short}");
    let full = text_of(&trace, &failed, true);
    assert!(full.contains("task-60") && full.contains("line 149") && !full.contains("--full"), "{full}");
    for text in [short, full] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn json_report_escapes_control_characters() {
    let mut trace = naps();
    let text = "a\u{9b}31mb\u{202e}c\x1b[2J";
    trace.apply(Event::Output { task: None, at: trace.now(), text: text.into() });
    let source = source();
    let outcome = RunOutcome::Cancelled;
    let input = ReportInput {
        source: &source,
        trace: &trace,
        outcome: &outcome,
        feed: FeedChoice::Both,
        full: true,
        findings: &run_lints(&trace, &Thresholds::default()),
    };
    let mut document = Vec::new();
    JsonReport::new(&input).write(&mut document).expect("write to memory");
    let document = String::from_utf8(document).expect("the report is UTF-8");
    assert!(!document.contains(|char: char| char != '\n' && loopscope::internals::is_unsafe_char(char)), "{document}");
    let read: Value = serde_json::from_str(&document).expect("the report is JSON");
    let output = read["output"].as_array().expect("a list");
    assert_eq!(output.last().expect("a line")["text"], json!(text), "the escapes preserve the text");
}
