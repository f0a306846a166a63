//! Reports of a trace built by hand: the JSON to the byte, and what a person reads.

use std::path::Path;

use loopscope::control::{ClockKind, FeedChoice, Outcome, SourceKind};
use loopscope::insight::{Summary, Thresholds, busiest, most_woken};
use loopscope::report::{AWAITS_MAX, Input, Report, Source, WAKES_MAX, write_text};
use loopscope::trace::{
    AwaitId, AwaitKind, Cause, Counts, Ending, Event, Location, Nanos, Site, SiteId, Spawned, TaskId, Trace,
};
use loopscope::workload::manifest::ParamValue;
use serde_json::{Value, json};

const SECOND: Nanos = 1_000_000_000;

fn task(number: usize) -> TaskId {
    TaskId::from_index(number - 1)
}

fn at_line(line: u32) -> Option<Location> {
    Some(Location { file: "workloads/naps.lua".into(), line })
}

fn spawn(number: usize, at: Nanos, name: &str, parent: Option<usize>) -> Event {
    let parent = parent.map(task);
    let spawned = Spawned { name: name.into(), parent, location: at_line(16), ..Spawned::default() };
    Event::Spawn { task: task(number), at, spawned: Box::new(spawned) }
}

fn site(number: usize, kind: AwaitKind, source: &str, line: u32) -> Event {
    let described = Site { kind, source: source.into(), location: at_line(line) };
    Event::Site { site: SiteId::from_index(number - 1), described: Box::new(described) }
}

/// Main spawns one sleeper and waits for it; a second task, spawned later, sleeps on at the end.
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
        Event::AwaitPoll { id: await_id(0), ready: false },
        Event::PollEnd { task: main, at: 30 },
        Event::PollStart { task: nap, at: 40 },
        site(2, AwaitKind::Timer, "sleep", 3),
        Event::AwaitStart { id: await_id(1), task: nap, at: 45, site: sleep },
        Event::AwaitPoll { id: await_id(1), ready: false },
        Event::Output { task: Some(nap), at: 45, text: "One".into() },
        Event::PollEnd { task: nap, at: 50 },
        Event::Park { at: 60 },
        Event::Unpark { at: SECOND },
        Event::Wake { task: nap, at: SECOND, cause: Cause::Driver },
        Event::PollStart { task: nap, at: SECOND + 10 },
        Event::AwaitPoll { id: await_id(1), ready: true },
        Event::AwaitEnd { id: await_id(1), at: SECOND + 10 },
        Event::Wake { task: main, at: SECOND + 15, cause: Cause::Task(nap) },
        Event::End { task: nap, at: SECOND + 20, outcome: Ending::Done },
        Event::PollEnd { task: nap, at: SECOND + 20 },
        Event::PollStart { task: main, at: SECOND + 30 },
        spawn(3, SECOND + 31, "", Some(1)),
        Event::Wake { task: main, at: SECOND + 32, cause: Cause::Own },
        Event::PollEnd { task: main, at: SECOND + 35 },
        Event::PollStart { task: late, at: SECOND + 40 },
        Event::AwaitStart { id: await_id(2), task: late, at: SECOND + 41, site: sleep },
        Event::AwaitPoll { id: await_id(2), ready: false },
        Event::PollEnd { task: late, at: SECOND + 50 },
        Event::Gap { from: 5, to: 6, dropped: 7 },
        Event::ConsoleUpdate { dropped: 0 },
        Event::Counted { task: main, counts: Counts { polls: 2, wakes: 2, self_wakes: 1, awaits: 1 } },
        Event::Counted { task: nap, counts: Counts { polls: 1, wakes: 1, self_wakes: 0, awaits: 1 } },
        Event::Now { at: SECOND + 60 },
    ];
    trace.count_probe_events(events.len() as u64);
    events.into_iter().for_each(|event| trace.apply(event));
    trace
}

fn source() -> Source {
    Source {
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

fn json_of(trace: &Trace, outcome: &Outcome, feed: FeedChoice, full: bool) -> String {
    let mut bytes = Vec::new();
    let source = source();
    let input = Input { source: &source, trace, outcome, feed, thresholds: &Thresholds::default(), full };
    Report::new(&input).write(&mut bytes).expect("memory takes everything");
    String::from_utf8(bytes).expect("JSON is text")
}

fn value_of(trace: &Trace, outcome: &Outcome, feed: FeedChoice, full: bool) -> Value {
    serde_json::from_str(&json_of(trace, outcome, feed, full)).expect("it is one JSON document")
}

fn text_of(trace: &Trace, outcome: &Outcome, full: bool) -> String {
    let mut bytes = Vec::new();
    let source = source();
    let input =
        Input { source: &source, trace, outcome, feed: FeedChoice::Both, thresholds: &Thresholds::default(), full };
    write_text(&input, &mut bytes).expect("memory takes everything");
    String::from_utf8(bytes).expect("it is text")
}

/// Holds `actual` to the file of that name; with `UPDATE_SNAPSHOTS` set it becomes the file, to be read in the diff.
fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).expect("the fixtures can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the fixture is part of the repository");
    assert_eq!(actual, expected, "if this change is meant, run again with UPDATE_SNAPSHOTS=1 and read the diff");
}

#[test]
fn the_json_report_is_this_to_the_byte() {
    let outcome = Outcome::Completed(json!({"slept": 1}));
    let report = json_of(&naps(), &outcome, FeedChoice::Both, false);
    golden("naps.json", &report);
    assert_eq!(report, json_of(&naps(), &outcome, FeedChoice::Both, false));
}

#[test]
fn the_text_report_is_this_to_the_byte() {
    let outcome = Outcome::Completed(json!({"slept": 1}));
    golden("naps.txt", &text_of(&naps(), &outcome, false));
}

#[test]
fn a_failed_and_a_cancelled_run_say_so() {
    let failed = value_of(&naps(), &Outcome::Failed("naps.lua:3:1: no".to_owned()), FeedChoice::Both, false);
    assert_eq!((&failed["outcome"], &failed["error"]), (&json!("failed"), &json!("naps.lua:3:1: no")));
    assert_eq!(failed["result"], Value::Null);
    let cancelled = value_of(&naps(), &Outcome::Cancelled, FeedChoice::Both, false);
    assert_eq!((&cancelled["outcome"], &cancelled["error"]), (&json!("cancelled"), &Value::Null));
}

#[test]
fn one_feed_alone_disagrees_with_nobody() {
    for (feed, fidelity) in [(FeedChoice::Probe, "exact"), (FeedChoice::Console, "sampled")] {
        let mut trace = naps();
        if feed == FeedChoice::Console {
            trace.set_sampled();
        }
        let report = value_of(&trace, &Outcome::Cancelled, feed, false);
        assert_eq!(report["feeds"]["agree"], json!(true));
        assert_eq!(report["feeds"]["disagreements"], json!([]));
        assert_eq!(report["fidelity"], json!(fidelity));
    }
}

#[test]
fn what_was_under_way_when_the_run_was_cut_off_counts() {
    let mut trace = naps();
    trace.apply(Event::PollStart { task: task(3), at: SECOND + 60 });
    trace.apply(Event::Now { at: 3 * SECOND });
    let busy_in_polls = 30 + 10 + 10 + 5 + 10;
    let summary = Summary::of(&trace);
    assert_eq!(summary.busy_ns, busy_in_polls + 2 * SECOND - 60);
    assert_eq!(summary.longest_poll_ns, 2 * SECOND - 60);
    assert_eq!(summary.busy_ns + summary.parked_ns + summary.overhead_ns, 3 * SECOND);
    let mut parked = naps();
    parked.apply(Event::Park { at: SECOND + 60 });
    parked.apply(Event::Now { at: 5 * SECOND });
    assert_eq!(Summary::of(&parked).parked_ns, SECOND - 60 + 4 * SECOND - 60);
    assert_eq!(Summary::of(&Trace::default()).busy_share(), 0.0, "a run that took no time");
}

#[test]
fn the_busiest_and_the_most_woken_come_first() {
    let trace = naps();
    assert_eq!(busiest(&trace, 2), [task(1), task(2)]);
    assert_eq!(most_woken(&trace, 9), [task(1), task(2), task(3)]);
}

/// Two tasks that wake and await a little more often than a short report lists.
fn long_run() -> Trace {
    let mut trace = Trace::default();
    let events = [spawn(1, 0, "a", None), spawn(2, 0, "b", None), site(1, AwaitKind::Sync, "lock", 5)];
    events.into_iter().for_each(|event| trace.apply(event));
    for index in 0..AWAITS_MAX + 1 {
        let (at, id) = (index as Nanos * 10, AwaitId::from_index(index));
        let task = task(2 - index % 2);
        trace.apply(Event::AwaitStart { id, task, at, site: SiteId::from_index(0) });
        trace.apply(Event::Wake { task, at, cause: Cause::Thread });
        trace.apply(Event::AwaitEnd { id, at: at + 1 });
    }
    trace
}

#[test]
fn a_short_report_says_where_it_stops() {
    let trace = long_run();
    let length = |report: &Value, list: &str| report[list].as_array().map(Vec::len);
    let short = value_of(&trace, &Outcome::Cancelled, FeedChoice::Probe, false);
    assert_eq!((length(&short, "awaits"), length(&short, "wakes")), (Some(AWAITS_MAX), Some(WAKES_MAX)));
    assert_eq!(short["truncated"], json!(true));
    let full = value_of(&trace, &Outcome::Cancelled, FeedChoice::Probe, true);
    assert_eq!((length(&full, "awaits"), length(&full, "wakes")), (Some(AWAITS_MAX + 1), Some(WAKES_MAX + 1)));
    assert_eq!(full.get("truncated"), None);
    let times: Vec<u64> = full["wakes"].as_array().into_iter().flatten().filter_map(|w| w["at_ns"].as_u64()).collect();
    assert!(times.is_sorted() && times.len() == WAKES_MAX + 1, "wakes of several tasks are merged by time");
}

/// Who is forgotten may have kept the loop busiest; nobody says that others did of them all.
#[test]
fn text_for_people_tells_tasks_that_are_kept_from_those_that_are_forgotten() {
    let mut trace = Trace::with_budget(1 << 20);
    crate::trace::site(&mut trace);
    crate::trace::storm(&mut trace, 10_000, &mut 0, true);
    let (kept, forgotten) = (trace.tasks().kept() as u64, trace.forgotten().tasks);
    assert!(kept > 40 && forgotten > 5_000, "{kept} are kept");
    let text = text_of(&trace, &Outcome::Cancelled, false);
    let [kept, more, forgotten] = [kept, kept - 40, forgotten].map(loopscope::report::human_number);
    assert!(text.contains(&format!("tasks (the 40 that kept the loop busiest, of {kept})")), "{text}");
    assert!(text.contains(&format!("and {more} tasks more: --full shows all")), "{text}");
    assert!(text.contains(&format!("and {forgotten} tasks that ended by")), "{text}");
}

#[test]
fn text_for_people_is_short_unless_full_and_never_an_escape() {
    let mut trace = Trace::default();
    for number in 1..=60 {
        trace.apply(spawn(number, 0, &format!("\u{1b}[31mtask-{number}"), None));
    }
    trace.apply(Event::PollStart { task: task(50), at: 0 });
    trace.apply(Event::PollEnd { task: task(50), at: 9 });
    for line in 0..150 {
        trace.apply(Event::Output { task: None, at: line, text: format!("line {line}\u{7}").into() });
    }
    let failed = Outcome::Failed("first\u{1b}]0;title\u{7}\nsecond".to_owned());
    let short = text_of(&trace, &failed, false);
    assert!(short.contains("tasks (the 40 that kept the loop busiest, of 60)"), "{short}");
    assert!(short.contains("and 20 tasks more: --full shows all"), "{short}");
    assert!(short.contains("and 50 lines more: --full shows all"), "{short}");
    let first = short.lines().skip_while(|line| !line.contains("waiting on")).nth(1).expect("there are tasks");
    assert!(first.contains("task-50"), "the busiest comes first: {first}");
    assert!(short.contains("error\n  first\u{fffd}]0;title\u{fffd}\n  second\n"), "{short}");
    let full = text_of(&trace, &failed, true);
    assert!(full.contains("task-60") && full.contains("line 149") && !full.contains("--full"), "{full}");
    for text in [short, full] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn what_a_program_printed_cannot_act_on_a_terminal_that_shows_the_document() {
    let mut trace = naps();
    let text = "a\u{9b}31mb\u{202e}c\x1b[2J";
    trace.apply(Event::Output { task: None, at: trace.now(), text: text.into() });
    let source = source();
    let outcome = Outcome::Cancelled;
    let input = Input {
        source: &source,
        trace: &trace,
        outcome: &outcome,
        feed: FeedChoice::Both,
        full: true,
        thresholds: &Thresholds::default(),
    };
    let mut document = Vec::new();
    Report::new(&input).write(&mut document).expect("memory can be written to");
    let document = String::from_utf8(document).expect("JSON is text");
    assert!(!document.contains(|char: char| char != '\n' && loopscope::plain::is_unsafe(char)), "{document}");
    let read: Value = serde_json::from_str(&document).expect("it is still JSON");
    let output = read["output"].as_array().expect("a list");
    assert_eq!(output.last().expect("a line")["text"], json!(text), "and says the same");
}
