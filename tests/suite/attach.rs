//! Attach sessions with real apps over real sockets: tasks, counts, awaits and resources.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope::control::{ConnectionState, RunOutcome, RunPhase, SessionCommand, SessionStatus};
use loopscope::session::{AttachSession, Session};
use loopscope::trace::{AwaitKind, ResourceKind, Task, TaskKind, TaskOutcome, TaskState, Trace};
use serde_json::Value;

use crate::cli::loopscope;
use crate::example_app::{ExampleApp, PATIENCE};

/// Memory budget of the traces in bytes.
const MEMORY_BYTES: usize = 64 << 20;

/// Attaches to the app at `address`.
pub fn attach(address: &str) -> AttachSession {
    AttachSession::start(&address.parse().expect("parse the address"), MEMORY_BYTES).expect("start the session")
}

/// Pumps `session` until `reached` returns true. Panics after a timeout; `what` names the condition.
#[track_caller]
pub fn until(session: &mut dyn Session, what: &str, reached: impl Fn(&Trace, &SessionStatus) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached(session.trace(), &session.status()) {
        assert!(Instant::now() < deadline, "timed out waiting for {what}: {:?}", session.status());
        if !session.pump(Duration::from_millis(5)) {
            session.wait(Duration::from_millis(5));
        }
    }
}

/// Returns the state of the session's connection.
pub fn state(status: &SessionStatus) -> ConnectionState {
    status.connection.as_ref().expect("the session has a connection").state
}

/// Returns the note of the session's connection.
pub fn note(status: &SessionStatus) -> &str {
    &status.connection.as_ref().expect("the session has a connection").note
}

fn task_named<'a>(trace: &'a Trace, name: &str) -> &'a Task {
    trace.tasks().iter().find(|task| &*task.meta.name == name).unwrap_or_else(|| panic!("no task {name}"))
}

fn task_names(trace: &Trace) -> BTreeSet<String> {
    let task_named = trace.tasks().iter().filter(|task| !task.meta.name.is_empty());
    task_named.map(|task| task.meta.name.to_string()).collect()
}

/// Minimum number of updates before the trace is checked.
const UPDATES: u64 = 6;

/// Attaches to `app`, calls `check` while it runs, stops it, and compares the console's counts with the app's own.
#[track_caller]
fn check_app(mut app: ExampleApp, check: impl Fn(&Trace)) {
    let mut session = attach(&app.address);
    until(&mut session, "updates", |trace, _| trace.console_feed_counts().0 >= UPDATES);
    check(session.trace());
    let seen: Vec<(String, u64, u64)> = (session.trace().tasks().iter())
        .map(|task| (task.meta.name.to_string(), task.counts.polls, task.counts.wakes))
        .collect();
    let counts = app.stop();
    until(&mut session, "all of it", |trace, _| counts.keys().all(|name| task_named(trace, name).outcome.is_some()));
    // The last update may have been taken during the last poll. Wait for one more.
    let updates = session.trace().console_feed_counts().0;
    until(&mut session, "all of it", |trace, _| trace.console_feed_counts().0 > updates);
    drop(app);
    until(&mut session, "the end", |_, status| status.phase == RunPhase::Ended);
    let status = session.status();
    assert_eq!((status.outcome.as_ref(), state(&status)), (Some(&RunOutcome::Detached), ConnectionState::Lost));
    for (name, count) in &counts {
        let task = task_named(session.trace(), name);
        let reported = (task.counts.polls, task.counts.wakes);
        assert_eq!(reported, (count.polls, count.wakes), "{name}: console and own counts");
        assert!(seen.iter().any(|(seen, polls, wakes)| seen == name && *polls <= reported.0 && *wakes <= reported.1));
        assert_eq!(task.outcome, Some(TaskOutcome::Completed), "the console does not report how a task ended");
        let totals = task.lane.totals_at(session.trace().now());
        let life_ns = task.lane.ended_at().expect("the task has ended") - task.lane.spawned_at();
        let sum_ns = totals.busy_ns + totals.scheduled_ns + totals.waiting_total_ns();
        assert!(sum_ns <= life_ns + life_ns / 20, "{name}: {totals:?} in {life_ns}");
    }
}

/// Asserts that there are awaits with this source, and their kind, location, resource kind and task name prefix.
#[track_caller]
fn assert_awaits(trace: &Trace, source: &str, kind: AwaitKind, resource: ResourceKind, whose: &str) {
    let mut count = 0;
    for (_, found) in trace.awaits().iter() {
        let site = trace.site(found.site).expect("the site is known");
        if &*site.source != source {
            continue;
        }
        count += 1;
        let task = trace.task(found.task).expect("the task is in the trace");
        assert!(task.meta.name.starts_with(whose), "{source} by {}", task.meta.name);
        assert_eq!(site.kind, kind, "{source}");
        let location = site.location.as_ref().expect("the site has a location");
        assert!(location.file.ends_with("tests/apps/scenarios.rs") && location.line > 0, "{location}");
        let of = found.resource().and_then(|id| trace.resources().entry(id)).expect("the await has a resource");
        assert_eq!((of.resource.kind, of.resource.location.as_ref()), (resource, Some(location)));
        assert!(found.start >= task.lane.spawned_at() && found.end().is_none_or(|end| end >= found.start));
    }
    assert!(count > 0, "{source} was awaited");
}

/// Asserts that a resource called `resource` has the attribute.
#[track_caller]
fn assert_attribute(trace: &Trace, resource: &str, attribute: &str) {
    let reported = trace.resources().iter().filter(|(_, known)| &*known.resource.name == resource);
    let mut attributes = reported.flat_map(|(_, known)| known.attributes());
    assert!(
        attributes.any(|reported| &*reported.name == attribute && !reported.value.is_empty()),
        "{resource} has {attribute}"
    );
}

/// The time that a task waited before it was aborted or its runtime was dropped is no time in the ready queue.
#[test]
fn dropped_tasks_were_waiting() {
    for (ending, threads) in [("--abort", "1"), ("--abort", "3"), ("--drop-runtime", "1"), ("--drop-runtime", "3")] {
        let mut app = ExampleApp::start(&["stuck", "--threads", threads, ending]);
        let mut session = attach(&app.address);
        let tasks = |trace: &Trace| task_names(trace).len();
        let is_stuck = |task: &Task, trace: &Trace| matches!(trace.state(task.id), Some(TaskState::Waiting(..)));
        until(&mut session, "stuck tasks", |trace, _| {
            let polls =
                |name: &str| trace.tasks().iter().find(|task| &*task.meta.name == name).map_or(0, |t| t.counts.polls);
            tasks(trace) == 3 && polls("philosopher-1") == 2 && polls("philosopher-2") == 2
        });
        let since = session.trace().now();
        until(&mut session, "a long wait", |trace, _| trace.now() > since + 500_000_000);
        let scheduled_ns = |trace: &Trace, name: &str| {
            let task = task_named(trace, name);
            task.totals_at(trace.now()).0.scheduled_ns
        };
        let names: Vec<String> = task_names(session.trace()).into_iter().collect();
        let before: Vec<u64> = names.iter().map(|name| scheduled_ns(session.trace(), name)).collect();
        assert!(names.iter().all(|name| is_stuck(task_named(session.trace(), name), session.trace())));
        app.stop();
        until(&mut session, "the ends", |trace, _| names.iter().all(|name| task_named(trace, name).outcome.is_some()));
        for (name, before) in names.iter().zip(before) {
            let (trace, context) = (session.trace(), format!("{name} with {ending} on {threads} threads"));
            // The drop of one philosopher wakes the other one, which is scheduled until it is dropped as well. On several
            // threads it may be polled before that, and then it completes.
            let outcome = task_named(trace, name).outcome.clone();
            let may_complete = threads != "1" && name != "unsignalled" && outcome == Some(TaskOutcome::Completed);
            assert!(outcome == Some(TaskOutcome::Cancelled) || may_complete, "{context}: {outcome:?}");
            let more = scheduled_ns(trace, name) - before;
            assert!(more < 250_000_000, "{context}: {more} ns more");
            assert!(more == 0 || name != "unsignalled", "{context}: {more} ns more");
        }
        // The task was never woken, so this is known even of a task that had ended before.
        let mut later = attach(&app.address);
        until(&mut later, "the ended tasks", |trace, _| tasks(trace) == 3);
        assert_eq!(scheduled_ns(later.trace(), "unsignalled"), scheduled_ns(session.trace(), "unsignalled"));
    }
}

#[test]
fn mutex_shows_waiters() {
    check_app(ExampleApp::start(&["mutex"]), |trace| {
        assert_eq!(task_names(trace), ["locker-0", "locker-1", "locker-2"].map(String::from).into());
        assert_awaits(trace, "Mutex::lock", AwaitKind::Sync, ResourceKind::Lock, "locker-");
        assert_attribute(trace, "Mutex", "locked");
        let locker = task_named(trace, "locker-0");
        assert_eq!(locker.meta.kind, TaskKind::Task);
        let location = locker.meta.location.as_ref().expect("the task has a location");
        assert!(location.file.ends_with("tests/apps/counted.rs"), "{location}");
        let kinds: BTreeSet<_> = trace.tasks().iter().map(|task| task.meta.kind.name()).collect();
        assert_eq!(kinds, ["block_on", "task"].into());
        assert!(
            trace.resources().iter().all(|(_, known)| &*known.resource.name != "Semaphore"),
            "the semaphore is part of the mutex"
        );
    });
}

#[test]
fn rwlock_on_several_threads() {
    check_app(ExampleApp::start(&["rwlock", "--threads", "2"]), |trace| {
        assert_eq!(task_names(trace), ["reader-0", "reader-1", "reader-2", "writer"].map(String::from).into());
        assert_awaits(trace, "RwLock::read", AwaitKind::Sync, ResourceKind::Lock, "reader-");
        assert_awaits(trace, "RwLock::write", AwaitKind::Sync, ResourceKind::Lock, "writer");
        assert_attribute(trace, "RwLock", "max_readers");
    });
}

#[test]
fn semaphore_over_unix_socket() {
    check_app(ExampleApp::start_on_socket(&["semaphore"]), |trace| {
        assert_awaits(trace, "Semaphore::acquire", AwaitKind::Sync, ResourceKind::Semaphore, "worker-");
        assert_attribute(trace, "Semaphore", "permits");
    });
}

#[test]
fn barrier_over_unix_socket_on_several_threads() {
    check_app(ExampleApp::start_on_socket(&["barrier", "--threads", "3"]), |trace| {
        assert_awaits(trace, "Barrier::wait", AwaitKind::Sync, ResourceKind::Other, "runner-");
        assert_attribute(trace, "Barrier", "size");
    });
}

#[test]
fn channels_show_instrumented_awaits() {
    check_app(ExampleApp::start(&["channels"]), |trace| {
        let expected = ["answerer", "asker", "consumer", "listener", "producer", "watcher"];
        assert_eq!(task_names(trace), expected.map(String::from).into());
        assert_awaits(trace, "Receiver::await", AwaitKind::Channel, ResourceKind::Channel, "asker");
    });
}

#[test]
fn sleep_is_a_timer_without_await() {
    check_app(ExampleApp::start(&["sleeps", "--tasks", "20"]), |trace| {
        assert_eq!(task_names(trace).len(), 20);
        let timers: Vec<_> =
            trace.resources().iter().filter(|(_, known)| known.resource.kind == ResourceKind::Timer).collect();
        assert!(!timers.is_empty());
        for (_, timer) in timers {
            let location = timer.resource.location.as_ref().expect("the timer has a location");
            assert!(location.file.ends_with(".rs") && location.line > 0, "{location}");
        }
        assert_attribute(trace, "Sleep", "duration");
        assert!(trace.awaits().is_empty(), "tokio does not report which task sleeps");
        assert!(matches!(
            trace.state(task_named(trace, "sleeper-3").id),
            Some(TaskState::Waiting(None, AwaitKind::Other))
        ));
    });
}

#[test]
fn blocking_poll_shows_while_it_runs() {
    let app = ExampleApp::start(&["blocking"]);
    let mut session = attach(&app.address);
    until(&mut session, "the blocker in its poll", |trace, _| {
        let blocker = trace.tasks().iter().find(|task| &*task.meta.name == "blocker");
        blocker.is_some_and(|task| trace.state(task.id) == Some(TaskState::Running))
    });
    let busy_ns = |trace: &Trace| task_named(trace, "blocker").lane.totals_at(trace.now()).busy_ns;
    let before_ns = busy_ns(session.trace());
    until(&mut session, "its time to grow", |trace, _| busy_ns(trace) > before_ns + 500_000_000);
    let trace = session.trace();
    assert!(trace.counts().busy_ns <= trace.now(), "one thread cannot be busy longer than the elapsed time");
    until(&mut session, "a closure on the pool", |trace, _| {
        trace.tasks().iter().any(|task| task.meta.kind == TaskKind::Blocking && task.outcome.is_some())
    });
}

#[test]
fn self_wakes_are_counted() {
    check_app(ExampleApp::start(&["self-waker"]), |trace| {
        let counts = task_named(trace, "self-waker").counts;
        assert!(counts.self_wakes > 0 && counts.self_wakes < counts.wakes, "{counts:?}");
        assert!(task_named(trace, "self-waker").waker_counts().is_some_and(|(clones, drops)| clones >= drops));
    });
}

#[test]
fn stuck_tasks_show_what_they_await() {
    check_app(ExampleApp::start(&["stuck"]), |trace| {
        for name in ["philosopher-1", "philosopher-2"] {
            let state = trace.state(task_named(trace, name).id);
            assert!(matches!(state, Some(TaskState::Waiting(Some(_), AwaitKind::Sync))), "{name}: {state:?}");
        }
        let unsignalled = trace.state(task_named(trace, "unsignalled").id);
        assert_eq!(unsignalled, Some(TaskState::Waiting(None, AwaitKind::Other)), "tokio does not instrument `Notify`");
    });
}

#[test]
fn mixed_scenario_on_several_threads() {
    check_app(ExampleApp::start(&["mixed", "--threads", "4"]), |trace| {
        assert_eq!(task_names(trace).len(), 3 + 4 + 4 + 3 + 6 + 1);
        assert_awaits(trace, "Mutex::lock", AwaitKind::Sync, ResourceKind::Lock, "locker-");
        assert_awaits(trace, "RwLock::write", AwaitKind::Sync, ResourceKind::Lock, "writer");
        assert_awaits(trace, "Semaphore::acquire", AwaitKind::Sync, ResourceKind::Semaphore, "worker-");
        assert_awaits(trace, "Barrier::wait", AwaitKind::Sync, ResourceKind::Other, "runner-");
    });
}

#[test]
fn app_that_exits_is_complete() {
    let app = ExampleApp::start(&["quits"]);
    let mut session = attach(&app.address);
    until(&mut session, "the end", |_, status| status.phase == RunPhase::Ended);
    let trace = session.trace();
    for (name, count) in &app.counts() {
        let task = task_named(trace, name);
        assert_eq!((task.counts.polls, task.counts.wakes), (count.polls, count.wakes), "{name}");
        assert_eq!(trace.state(task.id), Some(TaskState::Completed));
    }
}

#[test]
fn app_without_tasks_stays_attached() {
    let app = ExampleApp::start(&["nothing", "--threads", "2"]);
    let mut session = attach(&app.address);
    until(&mut session, "an answer", |_, status| state(status) == ConnectionState::Live);
    until(&mut session, "updates", |trace, _| trace.console_feed_counts().0 >= UPDATES);
    // The future of `block_on` is a task without a name.
    let status = session.status();
    assert!(task_names(session.trace()).is_empty() && status.phase == RunPhase::Running, "{status:?}");
    assert_eq!(status.outcome, None);
}

#[test]
fn selected_task_has_histograms() {
    let app = ExampleApp::start(&["mutex"]);
    let mut session = attach(&app.address);
    // One update may report only some of the tasks.
    until(&mut session, "all lockers", |trace, _| {
        ["locker-0", "locker-1", "locker-2"].iter().all(|name| task_names(trace).contains(*name))
    });
    for name in ["locker-1", "locker-2"] {
        let id = task_named(session.trace(), name).id;
        session.command(SessionCommand::SelectTask(id));
        until(&mut session, "its histograms", |trace, _| task_named(trace, name).histograms().is_some());
        let histograms = task_named(session.trace(), name).histograms().expect("the task has histograms");
        let polls: u64 = histograms.polls.buckets.iter().map(|(_, count)| count).sum();
        assert!(polls + histograms.polls.outliers > 0, "{histograms:?}");
        assert!(histograms.polls.buckets.is_sorted_by_key(|(ends_ns, _)| *ends_ns));
    }
    assert!(task_named(session.trace(), "locker-0").histograms().is_none(), "the task was not selected");
}

#[test]
fn source_lines_need_the_build_folder() {
    let app = ExampleApp::start(&["mutex"]);
    let address = app.address.parse().expect("parse the address");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, is_shown) in [(Some(here), true), (None, false), (Some(&*here.join("src")), false)] {
        let folder = folder.map(Path::to_owned);
        let session = AttachSession::start_with_source_folder(folder, &address, MEMORY_BYTES);
        let mut session = session.expect("start the session");
        until(&mut session, "tasks", |trace, _| !trace.awaits().is_empty());
        let file = task_named(session.trace(), "locker-0").meta.location.clone().expect("the task has a location").file;
        let has_line = session.source(&file).is_some_and(|text| text.contains("fn spawn"));
        assert_eq!(has_line, is_shown, "{file}");
    }
}

#[test]
fn json_report_of_an_attached_app() {
    let app = ExampleApp::start(&["mutex"]);
    let output = loopscope(&["attach", &app.address, "--for", "1s", "--headless", "--json"]);
    assert_eq!(output.exit_code, Some(0), "{}", output.stderr);
    let report: Value = serde_json::from_str(&output.stdout).expect("standard output is JSON");
    assert_eq!(report["source"]["kind"], "attach");
    assert_eq!(report["source"]["name"], app.address.as_str());
    assert_eq!((&report["source"]["clock"], &report["source"]["seed"]), (&"real".into(), &0.into()));
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"detached".into(), &"sampled".into()));
    assert_eq!((&report["error"], &report["loop"]["longest_poll_ns"]), (&Value::Null, &Value::Null));
    let tasks = report["tasks"].as_array().expect("the field is a list");
    let locker = tasks.iter().find(|task| task["name"] == "locker-1").expect("the report has the task");
    for field in ["polls", "wakes", "busy_ns", "scheduled_ns", "waiting_ns"] {
        assert!(locker[field].as_u64().is_some_and(|number| number > 0), "{field}: {locker}");
    }
    assert_eq!(locker["state"], "waiting");
    let feeds = &report["feeds"];
    assert_eq!((&feeds["agree"], &feeds["probe"]["events"]), (&true.into(), &0.into()));
    let awaits = report["awaits"].as_array().expect("the field is a list");
    assert!(awaits.iter().any(|found| found["outcome"] == "ready" && found["source"] == "Mutex::lock"));
}

#[test]
fn headless_attach_ends_with_the_app() {
    let app = ExampleApp::start(&["quits"]);
    let output = loopscope(&["attach", &app.address, "--headless", "--assert", "loop.polls > 0"]);
    assert_eq!(output.exit_code, Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("short-3"), "{}", output.stdout);
    app.counts();
}
