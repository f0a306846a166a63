//! Attaching to real programs over real sockets: the right tasks, what they do, what they await, and how often.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{Command, LinkState, Outcome, Phase, Status};
use loopscope::session::AttachSession;
use loopscope::trace::{AwaitKind, Ending, ResourceKind, State, Task, TaskKind, Trace};
use serde_json::Value;

use crate::cli::loopscope;
use crate::outside::{App, PATIENCE};

/// Bytes that a trace may keep here.
const MEMORY_BYTES: usize = 64 << 20;

pub fn attach(address: &str) -> AttachSession {
    AttachSession::start(&address.parse().expect("it is an address"), MEMORY_BYTES).expect("a thread can be had")
}

/// Takes in what comes until `reached`.
#[track_caller]
pub fn until(session: &mut dyn Session, what: &str, reached: impl Fn(&Trace, &Status) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached(session.trace(), &session.status()) {
        assert!(Instant::now() < deadline, "waited in vain for {what}: {:?}", session.status());
        if !session.pump(Duration::from_millis(5)) {
            session.wait(Duration::from_millis(5));
        }
    }
}

pub fn state(status: &Status) -> LinkState {
    status.link.as_ref().expect("it is not ours").state
}

pub fn note(status: &Status) -> &str {
    &status.link.as_ref().expect("it is not ours").note
}

fn named<'a>(trace: &'a Trace, name: &str) -> &'a Task {
    trace.tasks().iter().find(|task| &*task.spawned.name == name).unwrap_or_else(|| panic!("there is no task {name}"))
}

fn names(trace: &Trace) -> BTreeSet<String> {
    let named = trace.tasks().iter().filter(|task| !task.spawned.name.is_empty());
    named.map(|task| task.spawned.name.to_string()).collect()
}

/// Updates that are awaited before a look is taken, so that there was something to see.
const UPDATES: u64 = 6;

/// Attaches to `app`, looks at it while it runs, tells it to end, and holds what the wire counted against what its tasks
/// counted themselves.
#[track_caller]
fn look(mut app: App, look: impl Fn(&Trace)) {
    let mut session = attach(&app.address);
    until(&mut session, "updates", |trace, _| trace.console().0 >= UPDATES);
    look(session.trace());
    let seen: Vec<(String, u64, u64)> = (session.trace().tasks().iter())
        .map(|task| (task.spawned.name.to_string(), task.counts.polls, task.counts.wakes))
        .collect();
    let counts = app.stop();
    until(&mut session, "all of it", |trace, _| counts.keys().all(|name| named(trace, name).ending.is_some()));
    // One more update, in case the last one was read while the last of it happened.
    let updates = session.trace().console().0;
    until(&mut session, "all of it", |trace, _| trace.console().0 > updates);
    drop(app);
    until(&mut session, "the end", |_, status| status.phase == Phase::Ended);
    let status = session.status();
    assert_eq!((status.outcome.as_ref(), state(&status)), (Some(&Outcome::Detached), LinkState::Lost));
    for (name, count) in &counts {
        let task = named(session.trace(), name);
        let told = (task.counts.polls, task.counts.wakes);
        assert_eq!(told, (count.polls, count.wakes), "{name} by the wire, and by itself");
        assert!(seen.iter().any(|(seen, polls, wakes)| seen == name && *polls <= told.0 && *wakes <= told.1));
        assert_eq!(task.ending, Some(Ending::Done), "the wire tells no more than that it is gone");
        let totals = task.lane.totals_at(session.trace().now());
        let life_ns = task.lane.ended().expect("it ended") - task.lane.spawned();
        let sum_ns = totals.busy_ns + totals.scheduled_ns + totals.waiting_total_ns();
        assert!(sum_ns <= life_ns + life_ns / 20, "{name}: {totals:?} in {life_ns}");
    }
}

/// Every await of this source has this kind, is at this line of the scenarios and belongs to a task whose name begins so.
#[track_caller]
fn awaits_of(trace: &Trace, source: &str, kind: AwaitKind, resource: ResourceKind, whose: &str) {
    let mut count = 0;
    for (_, found) in trace.awaits().iter() {
        let site = trace.site(found.site).expect("it was told");
        if &*site.source != source {
            continue;
        }
        count += 1;
        let task = trace.task(found.task).expect("it was told");
        assert!(task.spawned.name.starts_with(whose), "{source} by {}", task.spawned.name);
        assert_eq!(site.kind, kind, "{source}");
        let location = site.location.as_ref().expect("tokio says where it was made");
        assert!(location.file.ends_with("tests/apps/scenarios.rs") && location.line > 0, "{location}");
        let of = found.resource().and_then(|id| trace.resources().known(id)).expect("it is for something");
        assert_eq!((of.resource.kind, of.resource.location.as_ref()), (resource, Some(location)));
        assert!(found.start >= task.lane.spawned() && found.end().is_none_or(|end| end >= found.start));
    }
    assert!(count > 0, "{source} was awaited");
}

#[track_caller]
fn has_attribute(trace: &Trace, resource: &str, attribute: &str) {
    let told = trace.resources().iter().filter(|(_, known)| &*known.resource.name == resource);
    let mut attributes = told.flat_map(|(_, known)| known.attributes());
    assert!(attributes.any(|told| &*told.name == attribute && !told.value.is_empty()), "{resource} tells {attribute}");
}

#[test]
fn a_mutex_shows_who_waits_for_it() {
    look(App::start(&["mutex"]), |trace| {
        assert_eq!(names(trace), ["locker-0", "locker-1", "locker-2"].map(String::from).into());
        awaits_of(trace, "Mutex::lock", AwaitKind::Sync, ResourceKind::Lock, "locker-");
        has_attribute(trace, "Mutex", "locked");
        let locker = named(trace, "locker-0");
        assert_eq!(locker.spawned.kind, TaskKind::Task);
        let location = locker.spawned.location.as_ref().expect("tokio says where it was spawned");
        assert!(location.file.ends_with("tests/apps/counted.rs"), "{location}");
        let kinds: BTreeSet<_> = trace.tasks().iter().map(|task| task.spawned.kind.name()).collect();
        assert_eq!(kinds, ["block_on", "task"].into());
        assert!(trace.resources().iter().all(|(_, known)| &*known.resource.name != "Semaphore"), "part of the mutex");
    });
}

#[test]
fn a_lock_for_readers_and_a_writer_on_many_threads() {
    look(App::start(&["rwlock", "--threads", "2"]), |trace| {
        assert_eq!(names(trace), ["reader-0", "reader-1", "reader-2", "writer"].map(String::from).into());
        awaits_of(trace, "RwLock::read", AwaitKind::Sync, ResourceKind::Lock, "reader-");
        awaits_of(trace, "RwLock::write", AwaitKind::Sync, ResourceKind::Lock, "writer");
        has_attribute(trace, "RwLock", "max_readers");
    });
}

#[test]
fn a_semaphore_on_a_unix_socket() {
    look(App::start_on_socket(&["semaphore"]), |trace| {
        awaits_of(trace, "Semaphore::acquire", AwaitKind::Sync, ResourceKind::Semaphore, "worker-");
        has_attribute(trace, "Semaphore", "permits");
    });
}

#[test]
fn a_barrier_on_a_unix_socket_and_many_threads() {
    look(App::start_on_socket(&["barrier", "--threads", "3"]), |trace| {
        awaits_of(trace, "Barrier::wait", AwaitKind::Sync, ResourceKind::Other, "runner-");
        has_attribute(trace, "Barrier", "size");
    });
}

#[test]
fn channels_show_as_far_as_tokio_tells_of_them() {
    look(App::start(&["channels"]), |trace| {
        let expected = ["answerer", "asker", "consumer", "listener", "producer", "watcher"];
        assert_eq!(names(trace), expected.map(String::from).into());
        awaits_of(trace, "Receiver::await", AwaitKind::Channel, ResourceKind::Channel, "asker");
    });
}

#[test]
fn a_sleep_shows_as_a_timer_and_nobody_is_said_to_wait_for_it() {
    look(App::start(&["sleeps", "--tasks", "20"]), |trace| {
        assert_eq!(names(trace).len(), 20);
        let timers: Vec<_> =
            trace.resources().iter().filter(|(_, known)| known.resource.kind == ResourceKind::Timer).collect();
        assert!(!timers.is_empty());
        for (_, timer) in timers {
            let location = timer.resource.location.as_ref().expect("tokio says where");
            assert!(location.file.ends_with(".rs") && location.line > 0, "{location}");
        }
        has_attribute(trace, "Sleep", "duration");
        assert!(trace.awaits().is_empty(), "tokio does not tell whose sleep it is");
        assert!(matches!(trace.state(named(trace, "sleeper-3").id), Some(State::Waiting(None, AwaitKind::Other))));
    });
}

#[test]
fn a_blocking_poll_is_seen_while_it_goes_on() {
    let app = App::start(&["blocking"]);
    let mut session = attach(&app.address);
    until(&mut session, "the blocker in its poll", |trace, _| {
        let blocker = trace.tasks().iter().find(|task| &*task.spawned.name == "blocker");
        blocker.is_some_and(|task| trace.state(task.id) == Some(State::Running))
    });
    let busy_ns = |trace: &Trace| named(trace, "blocker").lane.totals_at(trace.now()).busy_ns;
    let before_ns = busy_ns(session.trace());
    until(&mut session, "its time to grow", |trace, _| busy_ns(trace) > before_ns + 500_000_000);
    let trace = session.trace();
    assert!(trace.counts().busy_ns <= trace.now(), "one thread cannot be busy for longer than time went by");
    until(&mut session, "a closure on the pool", |trace, _| {
        trace.tasks().iter().any(|task| task.spawned.kind == TaskKind::Blocking && task.ending.is_some())
    });
}

#[test]
fn a_task_that_wakes_itself_is_counted_as_such() {
    look(App::start(&["self-waker"]), |trace| {
        let counts = named(trace, "self-waker").counts;
        assert!(counts.self_wakes > 0 && counts.self_wakes < counts.wakes, "{counts:?}");
        assert!(named(trace, "self-waker").wakers().is_some_and(|(clones, drops)| clones >= drops));
    });
}

#[test]
fn tasks_that_wait_for_ever_show_what_for() {
    look(App::start(&["stuck"]), |trace| {
        for name in ["philosopher-1", "philosopher-2"] {
            let state = trace.state(named(trace, name).id);
            assert!(matches!(state, Some(State::Waiting(Some(_), AwaitKind::Sync))), "{name}: {state:?}");
        }
        let forgotten = trace.state(named(trace, "forgotten").id);
        assert_eq!(forgotten, Some(State::Waiting(None, AwaitKind::Other)), "tokio does not tell of its signals");
    });
}

#[test]
fn everything_at_once_on_many_threads() {
    look(App::start(&["mixed", "--threads", "4"]), |trace| {
        assert_eq!(names(trace).len(), 3 + 4 + 4 + 3 + 6 + 1);
        awaits_of(trace, "Mutex::lock", AwaitKind::Sync, ResourceKind::Lock, "locker-");
        awaits_of(trace, "RwLock::write", AwaitKind::Sync, ResourceKind::Lock, "writer");
        awaits_of(trace, "Semaphore::acquire", AwaitKind::Sync, ResourceKind::Semaphore, "worker-");
        awaits_of(trace, "Barrier::wait", AwaitKind::Sync, ResourceKind::Other, "runner-");
    });
}

#[test]
fn a_program_that_ends_by_itself_is_told_to_its_end() {
    let app = App::start(&["quits"]);
    let mut session = attach(&app.address);
    until(&mut session, "the end", |_, status| status.phase == Phase::Ended);
    let trace = session.trace();
    for (name, count) in &app.counts() {
        let task = named(trace, name);
        assert_eq!((task.counts.polls, task.counts.wakes), (count.polls, count.wakes), "{name}");
        assert_eq!(trace.state(task.id), Some(State::Done));
    }
}

#[test]
fn a_program_without_tasks_says_that_it_has_none() {
    let app = App::start(&["nothing", "--threads", "2"]);
    let mut session = attach(&app.address);
    until(&mut session, "an answer", |_, status| state(status) == LinkState::Live);
    until(&mut session, "updates", |trace, _| trace.console().0 >= UPDATES);
    // Its main is a task of a kind: the future that its first thread blocks on.
    let status = session.status();
    assert!(names(session.trace()).is_empty() && status.phase == Phase::Running, "{status:?}");
    assert_eq!(status.outcome, None);
}

#[test]
fn the_selected_tasks_histograms_come_on_request() {
    let app = App::start(&["mutex"]);
    let mut session = attach(&app.address);
    until(&mut session, "tasks", |trace, _| !names(trace).is_empty());
    for name in ["locker-1", "locker-2"] {
        let id = named(session.trace(), name).id;
        session.command(Command::Select(id));
        until(&mut session, "its histograms", |trace, _| named(trace, name).histograms().is_some());
        let histograms = named(session.trace(), name).histograms().expect("just seen");
        let polls: u64 = histograms.polls.buckets.iter().map(|(_, count)| count).sum();
        assert!(polls + histograms.polls.outliers > 0, "{histograms:?}");
        assert!(histograms.polls.buckets.is_sorted_by_key(|(ends_ns, _)| *ends_ns));
    }
    assert!(named(session.trace(), "locker-0").histograms().is_none(), "nobody asked");
}

#[test]
fn the_line_that_awaits_can_be_read() {
    let app = App::start(&["mutex"]);
    let address = app.address.parse().expect("it is an address");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, is_shown) in [(Some(here), true), (None, false), (Some(&*here.join("src")), false)] {
        let folder = folder.map(Path::to_owned);
        let session = AttachSession::start_built_in(folder, &address, MEMORY_BYTES);
        let mut session = session.expect("a thread can be had");
        until(&mut session, "tasks", |trace, _| !trace.awaits().is_empty());
        let file = named(session.trace(), "locker-0").spawned.location.clone().expect("it is told").file;
        let has_line = session.source(&file).is_some_and(|text| text.contains("fn spawn"));
        assert_eq!(has_line, is_shown, "{file}");
    }
}

#[test]
fn a_report_says_what_the_wire_knows_and_leaves_open_what_it_does_not() {
    let app = App::start(&["mutex"]);
    let ran = loopscope(&["attach", &app.address, "--for", "1s", "--headless", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("one document and nothing else");
    assert_eq!(report["source"]["kind"], "attach");
    assert_eq!(report["source"]["name"], app.address.as_str());
    assert_eq!((&report["source"]["clock"], &report["source"]["seed"]), (&"real".into(), &0.into()));
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"detached".into(), &"sampled".into()));
    assert_eq!((&report["error"], &report["loop"]["longest_poll_ns"]), (&Value::Null, &Value::Null));
    let tasks = report["tasks"].as_array().expect("it is a list");
    let locker = tasks.iter().find(|task| task["name"] == "locker-1").expect("it was told");
    for field in ["polls", "wakes", "busy_ns", "scheduled_ns", "waiting_ns"] {
        assert!(locker[field].as_u64().is_some_and(|number| number > 0), "{field}: {locker}");
    }
    assert_eq!(locker["state"], "waiting");
    let feeds = &report["feeds"];
    assert_eq!((&feeds["agree"], &feeds["probe"]["events"]), (&true.into(), &0.into()));
    let awaits = report["awaits"].as_array().expect("it is a list");
    assert!(awaits.iter().any(|found| found["outcome"] == "ready" && found["source"] == "Mutex::lock"));
}

#[test]
fn a_headless_attach_lasts_until_the_program_goes() {
    let app = App::start(&["quits"]);
    let ran = loopscope(&["attach", &app.address, "--headless", "--assert", "loop.polls > 0"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("short-3"), "{}", ran.out);
    app.counts();
}
