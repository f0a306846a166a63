//! What tasks wait on, and how awaits and tasks end, in apps with one and with several workers (`tests/apps/waits.rs`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use loopscope::control::{FeedChoice, RunOutcome, SourceKind};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::report::{JsonReport, ReportInput, RunSource};
use loopscope::session::{AppStdin, ExecSession, Session};
use loopscope::trace::{Await, Task, TaskOutcome, TaskState, Trace};

use serde_json::{Value, json};

use crate::attach::until;
use crate::example_app::{PATIENCE, TempFolder, example_path};
use crate::report_docs::schema_errors;

const MEMORY_BYTES: usize = 256 << 20;

/// Loop time after which both feeds have reported what came before, in nanoseconds.
const SETTLE_NS: u64 = 700_000_000;

/// Worker counts on which each app runs; 0 stands for a current-thread runtime.
const WORKERS: [usize; 4] = [0, 1, 2, 4];

/// An app in an exec session. Its standard input stays open, so the app runs until the end of the test.
struct WaitingApp {
    session: ExecSession,
    _input: File,
    _folder: TempFolder,
}

/// Starts the app in `mode`, until all of its tasks wait or have ended and both feeds have reported that.
fn start(mode: &str, workers: usize) -> WaitingApp {
    let folder = TempFolder::new(&format!("waits-{mode}-{workers}"));
    let input = folder.path_of("input");
    assert!(Process::new("mkfifo").arg(&input).status().expect("run mkfifo").success());
    let script = format!("exec {} {mode} {workers} < {}", example_path("waits").display(), input.display());
    let command = ["sh", "-c", &script].map(Into::into);
    let session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
    let input = OpenOptions::new().write(true).open(&input).expect("open the pipe to the app");
    let mut app = WaitingApp { session, _input: input, _folder: folder };
    let ready = |trace: &Trace| trace.output().lines().iter().find(|line| &*line.text == "ready").map(|line| line.at);
    // Loop time follows the feeds: once it is well past, they have reported everything before. On a busy machine a feed
    // may come later, so both must have been silent for as long.
    let last_event = Cell::new(((0, 0), 0));
    until(&mut app.session, "the app to be ready", |trace, _| {
        // Of the recording, and of the console.
        let events = (trace.probe_feed_counts().0, trace.awaits().iter().count());
        if events != last_event.get().0 {
            last_event.set((events, trace.now()));
        }
        ready(trace).is_some_and(|at| trace.now() > at.max(last_event.get().1) + SETTLE_NS)
    });
    app
}

impl WaitingApp {
    fn trace(&self) -> &Trace {
        self.session.trace()
    }

    fn task(&self, name: &str) -> &Task {
        self.trace().tasks().iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}"))
    }

    /// Waits until a task waits on `source`. On a busy machine the console tells what it waits on later.
    fn wait_until_on(&mut self, name: &str, source: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.waits_on(name) != Some(source) {
            assert!(Instant::now() < deadline, "{name} waits on {:?}, not on {source}", self.waits_on(name));
            if !self.session.pump(Duration::from_millis(5)) {
                self.session.wait(Duration::from_millis(5));
            }
        }
    }

    /// Returns what a task waits on.
    fn waits_on(&self, name: &str) -> Option<&str> {
        match self.trace().state(self.task(name).id) {
            Some(TaskState::Waiting(Some(id), _)) => {
                let site = self.trace().awaits().get(id).and_then(|found| self.trace().site(found.site));
                Some(&site.expect("the site is known").source)
            }
            Some(TaskState::Waiting(None, _)) => None,
            other => panic!("{name} does not wait: {other:?}"),
        }
    }

    /// Returns the sources of the awaits on which a task waits side by side, in order of creation.
    fn open_awaits(&self, name: &str) -> Vec<&str> {
        let sites = self
            .task(name)
            .open_awaits()
            .filter_map(|id| self.trace().site(self.trace().awaits().get(id).expect("an open await is retained").site));
        sites.map(|site| &*site.source).collect()
    }

    /// Returns the number of awaits of tasks whose names start with `name`, by source and outcome.
    fn outcomes(&self, name: &str) -> BTreeMap<(&str, &'static str), usize> {
        let mut found = BTreeMap::new();
        for (_, wait) in self.trace().awaits().iter() {
            let task = self.trace().task(wait.task).expect("the task is retained");
            if task.name().starts_with(name) {
                let source = &*self.trace().site(wait.site).expect("the site is known").source;
                *found.entry((source, wait.outcome().name())).or_default() += 1;
            }
        }
        found
    }

    /// Returns the name of the owner of the lock for which a task waits.
    fn owner_awaited_by(&self, name: &str) -> Option<String> {
        let mut open = self.task(name).open_awaits().filter_map(|id| self.trace().awaits().get(id)?.resource());
        let owner = open.find_map(|lock| self.trace().lock_owner(lock))?;
        Some(self.trace().task(owner)?.name().into_owned())
    }

    /// Returns the JSON report at this time.
    fn report(&self) -> Value {
        let input = ReportInput {
            source: &RunSource::external(SourceKind::Exec, "waits".to_owned()),
            trace: self.trace(),
            outcome: &RunOutcome::Detached,
            feed: FeedChoice::Both,
            findings: &run_lints(self.trace(), &Thresholds::default()),
            full: false,
        };
        JsonReport::new(&input).value()
    }
}

fn findings(trace: &Trace) -> Vec<&'static str> {
    run_lints(trace, &Thresholds::default()).listed.into_iter().map(|finding| finding.name).collect()
}

#[test]
fn report_lists_owners_and_waiters_of_locks() {
    for workers in WORKERS {
        let app = start("deadlock", workers);
        let report = app.report();
        assert_eq!(schema_errors(&report), [""; 0]);
        let locks: Vec<&Value> =
            report["resources"].as_array().into_iter().flatten().filter(|found| found["kind"] == "lock").collect();
        let [one, two] = ["one", "two"].map(|name| json!(app.task(name).id.number()));
        let found: Vec<_> = locks
            .iter()
            .map(|lock| {
                let waiters = lock["waiters"].as_array().expect("a list");
                (&lock["name"], &lock["number"], &lock["owner"], waiters.len(), waiters.contains(&two))
            })
            .collect();
        let name = json!("Mutex");
        let expected = [(&name, &json!(1), &one, 41, true), (&name, &json!(2), &two, 1, false)];
        assert_eq!(found, expected, "{workers} workers");
        assert!(locks.iter().all(|lock| lock.get("owners").is_none() && lock.get("dropped_ns").is_none()));
        assert!(locks.iter().all(|lock| lock["owner_inferred"] == true), "tokio does not report owners");
        let tasks = report["tasks"].as_array().expect("a list");
        let stuck = tasks.iter().find(|task| task["name"] == "one").expect("the task is listed");
        assert_eq!(stuck["waiting_on"]["resource"], locks[1]["id"]);
        assert_eq!(stuck["open_awaits"][0]["resource"], locks[1]["id"]);
        assert!(report["awaits"].as_array().expect("a list").iter().any(|found| found["resource"] == locks[0]["id"]));
    }
}

#[test]
fn every_stuck_task_waits_for_its_lock() {
    for workers in WORKERS {
        let mut app = start("deadlock", workers);
        let stuck = |app: &WaitingApp| {
            let tasks = app.trace().tasks().iter().filter(|task| task.meta.kind.is_task());
            tasks.filter(|task| app.waits_on(&task.name()) == Some("Mutex::lock")).count()
        };
        assert_eq!(stuck(&app), 42, "{workers} workers");
        // The time in which a busy machine brought no data does not count for it.
        until(&mut app.session, "a finding", |trace, _| !findings(trace).is_empty());
        assert_eq!((stuck(&app), findings(app.trace())), (42, vec!["deadlock"]), "{workers} workers");
    }
}

#[test]
fn sleeps_belong_to_the_tasks_that_sleep() {
    for workers in WORKERS {
        let app = start("sleeps", workers);
        for sleeper in ["sleeper-0", "sleeper-1", "sleeper-2", "sleeper-3"] {
            let found = app.outcomes(sleeper);
            let unknown = usize::try_from(app.trace().unknown_counts().awaits).expect("a small number");
            let sleeps: usize = found.values().sum();
            assert!(
                sleeps <= 30 && sleeps + unknown >= 30,
                "{workers} workers: {sleeper} {found:?}, {unknown} unknown"
            );
            // The first ones end before the console is connected, but not before their duration is known.
            assert!(
                found
                    .keys()
                    .all(|(source, outcome)| (*source, *outcome) == ("sleep", "ready") || *outcome == "unknown")
            );
        }
        // At most 5 % of the awaits are unknown.
        let unknown = app.trace().unknown_counts().awaits;
        assert!(unknown * 20 <= 120, "{workers} workers: {unknown} of 120 unknown");
    }
}

#[test]
fn every_lock_is_attributed() {
    for workers in WORKERS {
        let mut app = start("locks", workers);
        // The console reports 12,800 events per second at most, so the last awaits come late.
        until(&mut app.session, "all locks", |trace, _| {
            let sources = ["Mutex::lock", "Semaphore::acquire", "RwLock::write", "RwLock::read"];
            let is_lock = |wait: &Await| trace.site(wait.site).is_some_and(|site| sources.contains(&&*site.source));
            trace.awaits().iter().filter(|(_, wait)| is_lock(wait)).count() == 4 * 300
        });
        let users = app.outcomes("user");
        let is_lock = |source: &str| source != "sleep";
        let outcomes = users.keys().filter(|(source, _)| is_lock(source)).map(|(_, outcome)| *outcome);
        assert!(outcomes.into_iter().all(|outcome| ["ready", "unknown"].contains(&outcome)), "{workers}: {users:?}");
        let locks: usize = users.iter().filter(|((source, _), _)| is_lock(source)).map(|(_, count)| count).sum();
        assert_eq!(locks, 4 * 300, "{workers} workers: all belong to a user");
        let unknown = app.trace().unknown_counts().awaits;
        assert!(unknown * 20 <= 5 * 300, "{workers} workers: {unknown} of 1,500 awaits unknown");
    }
}

#[test]
fn kept_interval_is_no_wait() {
    for workers in WORKERS {
        let app = start("interval", workers);
        assert_eq!(app.waits_on("client"), None, "{workers} workers: it waits for a message");
        assert_eq!(app.open_awaits("client"), Vec::<&str>::new());
        let ticks = app.outcomes("client");
        assert!(ticks.keys().all(|(source, _)| *source == "Interval::tick"), "{workers} workers: {ticks:?}");
        assert_eq!(ticks.values().sum::<usize>(), 4, "{workers} workers: {ticks:?}");
    }
}

#[test]
fn oneshot_is_awaited_by_its_receiver() {
    for workers in WORKERS {
        let app = start("oneshot", workers);
        assert_eq!(app.waits_on("waiter"), Some("Receiver::await"), "{workers} workers");
        assert_eq!((app.waits_on("maker"), app.open_awaits("maker")), (None, vec![]), "{workers} workers");
    }
}

#[test]
fn blocking_lock_is_an_await_of_its_closure() {
    for workers in WORKERS {
        let app = start("blocking-lock", workers);
        assert_eq!(app.open_awaits("closure"), ["Mutex::lock"], "{workers} workers");
    }
}

#[test]
fn lock_comes_before_its_timeout() {
    for workers in WORKERS {
        let mut app = start("timeout-lock", workers);
        app.wait_until_on("patient", "Mutex::lock");
        let open = app.open_awaits("patient");
        let is_unknown = app.trace().unknown_counts().awaits > 0;
        assert!(open == ["Mutex::lock", "sleep"] || is_unknown || open == ["Mutex::lock"], "{workers}: {open:?}");
        let mut app = start("join", workers);
        app.wait_until_on("joiner", "Semaphore::acquire");
    }
}

#[test]
fn lost_lock_attempts_are_not_ready() {
    for workers in WORKERS {
        let app = start("lost-locks", workers);
        for name in ["timed-out", "lost"] {
            let locks = app.outcomes(name);
            let lost = |outcome| locks.get(&("Mutex::lock", outcome)).copied().unwrap_or(0);
            assert_eq!(lost("cancelled") + lost("unknown"), 20, "{workers} workers: {locks:?}");
        }
    }
}

/// Channels and barriers have no permits that tell how a wait ended: only their reported polls do.
#[test]
fn lost_channels_and_barriers_are_not_ready() {
    for workers in WORKERS {
        let app = start("lost-channels", workers);
        for name in ["timed-out", "lost", "ready"] {
            let waits = app.outcomes(name);
            for source in ["Receiver::await", "Barrier::wait"] {
                let count = |outcome| waits.get(&(source, outcome)).copied().unwrap_or(0);
                let (right, wrong) = if name == "ready" { ("ready", "cancelled") } else { ("cancelled", "ready") };
                assert_eq!((count(wrong), count(right) + count("unknown")), (0, 20), "{workers}: {name} {waits:?}");
                // At most 5 % are unknown.
                assert!(count("unknown") <= 1, "{workers} workers: {name} {waits:?}");
            }
        }
    }
}

#[test]
fn app_without_tasks_has_an_explanation() {
    let mut app = start("no-tasks", 0);
    until(&mut app.session, "an explanation", |trace, status| {
        let note = crate::attach::note(status);
        trace.tasks().is_empty() && note.contains("no task reported") && note.contains("at their first use")
    });
}

#[test]
fn lock_that_was_given_up_is_no_deadlock() {
    let mut known_owners = 0;
    for workers in WORKERS {
        let mut app = start("timed-out-lock", workers);
        assert_eq!((app.waits_on("x"), app.waits_on("s")), (Some("Mutex::lock"), Some("Mutex::lock")));
        // The attempt that was given up leaves the owners of both locks, as far as it is known that it was.
        let is_known = |owner: &str| app.outcomes(owner).contains_key(&("Mutex::lock", "ready"));
        let is_given_up = !app.outcomes("s").contains_key(&("Mutex::lock", "unknown"));
        for (waiter, owner) in [("x", "holder"), ("s", "x")] {
            let expected = Some(owner.to_owned()).filter(|_| is_known(owner) && is_given_up);
            assert_eq!(app.owner_awaited_by(waiter), expected, "{workers} workers: {waiter}");
            known_owners += usize::from(expected.is_some());
        }
        let attempts = app.outcomes("s");
        assert_eq!(attempts.get(&("Mutex::lock", "ready")), None, "{workers} workers: {attempts:?}");
        if attempts.contains_key(&("Mutex::lock", "unknown")) {
            // The attempt ended before the console was connected.
            continue;
        }
        let now = app.trace().now();
        until(&mut app.session, "a long wait", |trace, _| trace.now() > now + 1_200_000_000);
        assert!(!findings(app.trace()).contains(&"deadlock"), "{workers} workers");
    }
    assert!(known_owners > 0, "the owners are known once the console is connected");
}

#[test]
fn ends_are_known_or_unknown() {
    for workers in WORKERS {
        let app = start("ends", workers);
        let outcome = |name: &str| app.task(name).outcome.clone().unwrap_or_else(|| panic!("{name} has not ended"));
        let (aborted, unpolled) = (outcome("aborted"), outcome("unpolled"));
        // A worker may poll it before it is aborted.
        let was_polled = app.task("unpolled").counts.polls > 0;
        assert!(was_polled || unpolled == TaskOutcome::Cancelled, "{workers} workers: {unpolled:?}");
        assert!(matches!(aborted, TaskOutcome::Cancelled | TaskOutcome::Unknown), "{workers} workers: {aborted:?}");
        assert!(matches!(outcome("panicked"), TaskOutcome::Unknown), "{workers} workers: the app printed its panic");
        let completed = outcome("completed");
        assert!(matches!(completed, TaskOutcome::Completed | TaskOutcome::Unknown), "{workers} workers: {completed:?}");
    }
}

#[test]
fn blocking_work_does_not_keep_a_task_alive() {
    for (mode, name, workers) in [
        ("unawaited", "starter", 0),
        ("unawaited", "starter", 2),
        ("block-in-place", "blocker", 1),
        ("block-in-place", "blocker", 4),
    ] {
        let mut app = start(mode, workers);
        until(&mut app.session, "the task's end, and feeds that agree", |trace, _| {
            let has_ended = trace.tasks().iter().any(|task| task.name() == name && task.outcome.is_some());
            has_ended && trace.disagreements().is_empty()
        });
    }
}

#[test]
fn workers_and_closures_are_no_tasks() {
    for workers in WORKERS {
        let app = start("closure", workers);
        let mut roles: Vec<_> = app.trace().tasks().iter().map(|task| task.meta.kind.role()).collect();
        roles.sort_unstable();
        let expected = [vec!["block_on", "blocking"], vec!["worker"; workers]].concat();
        assert_eq!(roles, expected);
        let counts = app.trace().task_counts();
        assert_eq!((counts.running, counts.scheduled, counts.waiting, counts.completed), (0, 0, 0, 0));
    }
}
