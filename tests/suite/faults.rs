//! Findings of real programs: the example `faults`, healthy or with one fault, started by `exec` or watched by `attach`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use loopscope::insight::{Finding, Thresholds, run_lints};
use loopscope::session::{AppStdin, ExecSession};
use loopscope::trace::Trace;
use serde_json::Value;

use crate::attach::{attach, until};
use crate::cli::loopscope;
use crate::example_app::{example_app_path, free_port};
use crate::report_docs::schema_errors;

const MEMORY_BYTES: usize = 256 << 20;

/// Returns the path of the example `faults`, which `cargo test` builds.
fn faults_path() -> PathBuf {
    let path = example_app_path().with_file_name("faults");
    assert!(path.is_file(), "run `cargo build --example faults` to build {}", path.display());
    path
}

/// Loop time between two searches for a finding.
const SEARCH_NS: u64 = 200_000_000;

/// Searches for one finding, at most once in [`SEARCH_NS`].
struct FindingSearch<'a> {
    name: &'a str,
    searched_at: Cell<u64>,
    found: RefCell<Option<Finding>>,
}

impl<'a> FindingSearch<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, searched_at: Cell::new(0), found: RefCell::new(None) }
    }

    fn has_found(&self, trace: &Trace) -> bool {
        if trace.now() >= self.searched_at.get() + SEARCH_NS {
            self.searched_at.set(trace.now());
            let found =
                run_lints(trace, &Thresholds::default()).listed.into_iter().find(|found| found.name == self.name);
            *self.found.borrow_mut() = found;
        }
        self.found.borrow().is_some()
    }

    fn into_found(self) -> Finding {
        self.found.into_inner().expect("there is a finding")
    }
}

/// Starts the app with this fault and a console, and waits until the lint `name` has a finding.
fn found_by_exec(mode: &str, threads: &str, name: &str) -> Finding {
    found_in_started_app(&[mode, "--threads", threads], name)
}

/// Starts the app with this fault and the probe, and waits until the lint `name` has a finding.
fn found_with_probe(mode: &str, threads: &str, name: &str) -> Finding {
    found_in_started_app(&[mode, "--threads", threads, "--probe"], name)
}

fn found_in_started_app(arguments: &[&str], name: &str) -> Finding {
    let mode = arguments[0];
    let mut command = vec![faults_path().into_os_string()];
    command.extend(arguments.iter().chain(&["--seconds", "600"]).map(OsString::from));
    let mut session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
    let search = FindingSearch::new(name);
    until(&mut session, &format!("{name} in {mode}"), |trace, _| search.has_found(trace));
    search.into_found()
}

/// Runs the app with this fault to its end, and returns the full report.
fn report_by_exec(mode: &str, threads: &str, seconds: &str) -> Value {
    report_of(&[mode, "--threads", threads, "--seconds", seconds])
}

fn report_of(arguments: &[&str]) -> Value {
    let app = faults_path();
    let app = app.to_str().expect("text");
    let output = loopscope(&[&["exec", "--headless", "--json", "--full", "--", app], arguments].concat());
    serde_json::from_str(&output.stdout).expect("a report")
}

/// Returns the names of the lints that have a finding in a report.
fn lint_names(report: &Value) -> BTreeSet<&str> {
    report["findings"].as_array().into_iter().flatten().filter_map(|found| found["name"].as_str()).collect()
}

/// The app with its console on a port of its own. It is killed on drop.
struct WatchedApp(Child, u16);

impl WatchedApp {
    fn start(mode: &str) -> Self {
        let port = free_port();
        let child = Command::new(faults_path())
            .args([mode, "--seconds", "600"])
            .env("TOKIO_CONSOLE_BIND", format!("127.0.0.1:{port}"))
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", "100ms")
            .stdout(Stdio::null())
            .spawn()
            .expect("the app starts");
        Self(child, port)
    }
}

impl Drop for WatchedApp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attaches to the app with this fault, and waits until the lint `name` has a finding.
fn found_by_attach(mode: &str, name: &str) -> Finding {
    let app = WatchedApp::start(mode);
    let mut session = attach(&format!("http://127.0.0.1:{}", app.1));
    let search = FindingSearch::new(name);
    until(&mut session, &format!("{name} in {mode}"), |trace, _| search.has_found(trace));
    search.into_found()
}

#[test]
fn exec_finds_a_lost_waker() {
    let found = found_by_exec("lost-waker", "1", "lost-waker");
    assert!(found.is_certain && found.count == 1, "{found:?}");
    assert!(found.location.is_some_and(|location| location.file.ends_with("modes.rs")));
}

#[test]
fn exec_finds_a_panic_and_guesses_its_task() {
    let found = found_by_exec("panic", "2", "panic");
    assert!(found.message.contains(" panicked at tests/apps/faults/modes.rs:"), "{found:?}");
    assert!(found.evidence.contains("printed: on purpose"), "{found:?}");
    assert_eq!(found.is_certain, found.task.is_none(), "{found:?}");
}

#[test]
fn exec_finds_a_lost_notification() {
    let found = found_by_exec("lost-notify", "1", "no-progress");
    assert!(!found.is_certain && found.evidence.contains("an await that is not reported"), "{found:?}");
}

#[test]
fn exec_finds_back_pressure_of_a_bounded_channel() {
    let found = found_by_exec("back-pressure", "1", "back-pressure");
    assert!(found.message.contains("waited for capacity of a channel"), "{found:?}");
}

#[test]
fn exec_finds_a_lock_held_across_an_await() {
    let found = found_by_exec("lock-across-await", "1", "convoy");
    assert!(found.evidence.contains("most of it across sleep at tests/apps/faults/modes.rs"), "{found:?}");
    assert!(found.message.contains("tasks queued for `Mutex #"), "{found:?}");
}

#[test]
fn exec_finds_a_deadlock_and_a_blocked_handler() {
    let found = found_by_exec("deadlock-only", "1", "deadlock");
    assert!(found.message.contains("wait for each other in a cycle") && !found.is_certain, "{found:?}");
    let found = found_by_exec("sleep-in-handler", "1", "blocked-loop");
    assert!(found.evidence.contains("delayed "), "{found:?}");
}

/// On several workers most wakes of a task that yields come while other tasks are polled.
#[test]
fn exec_finds_a_yield_spin_on_several_workers() {
    for threads in ["2", "4"] {
        let found = found_by_exec("yield-spin", threads, "busy-yield");
        assert!(!found.is_certain && found.count == 1, "{threads} threads: {found:?}");
    }
}

/// The task that spawns the others awaits each of them. It does not yield.
#[test]
fn task_that_awaits_short_tasks_does_not_spin() {
    let found = found_by_exec("retry-storm", "1", "spawn-storm");
    assert!(found.message.contains("short tasks"), "{found:?}");
    for threads in ["1", "2"] {
        let report = report_by_exec("retry-storm", threads, "3");
        assert!(!lint_names(&report).contains("busy-yield"), "{threads} threads: {}", report["findings"]);
    }
}

/// Each fault with the lint that finds it with the probe, and a part of the finding.
const FAULTS: [(&str, &str, &str); 12] = [
    ("back-pressure", "back-pressure", "waited for capacity of a channel"),
    ("cpu-hog", "blocked-loop", "worker "),
    ("deadlock-only", "deadlock", "wait for each other in a cycle"),
    ("huge-future", "large-future", "takes 39"),
    ("leak", "leak", "did not end during the run"),
    ("lock-across-await", "convoy", "most of it across sleep at tests/apps/faults/modes.rs"),
    ("lost-notify", "no-progress", "an await that is not reported"),
    ("panic", "failed-task", "panicker"),
    ("retry-storm", "spawn-storm", "short tasks"),
    ("sleep-in-handler", "blocked-loop", "worker "),
    ("wake-spin", "busy-yield", "yielded "),
    ("yield-spin", "busy-yield", "yields are not reported"),
];

#[test]
fn probe_shows_each_fault() {
    for (mode, name, text) in FAULTS {
        let found = found_with_probe(mode, "2", name);
        assert!(found.message.contains(text) || found.evidence.contains(text), "{mode}: {found:?}");
        let location = found.location.as_ref().map(|location| &*location.file);
        assert!(location.is_some_and(|file| file.ends_with("modes.rs")), "{mode}: {found:?}");
        let must_be_certain = matches!(name, "deadlock" | "leak" | "large-future" | "failed-task" | "spawn-storm");
        assert!(found.is_certain || !must_be_certain, "{mode}: {found:?}");
    }
}

/// No task is left when the app has ended, so the finding is about the time before.
#[test]
fn probe_shows_a_lost_notification_at_the_end() {
    let report = report_of(&["lost-notify", "--threads", "1", "--seconds", "11", "--probe"]);
    let findings = &report["findings"];
    assert_eq!(lint_names(&report), BTreeSet::from(["no-progress"]), "{findings}");
    assert_eq!((&findings[0]["certain"], &findings[0]["count"]), (&false.into(), &1.into()));
    let main = report["tasks"].as_array().into_iter().flatten().find(|task| task["kind"] == "block_on");
    assert_eq!(main.map(|main| (&main["state"], &main["polls"])), Some((&"done".into(), &2.into())));
}

#[test]
fn probe_shows_no_fault_of_a_healthy_service() {
    for threads in ["1", "2", "4"] {
        let report = report_of(&["healthy", "--threads", threads, "--seconds", "5", "--probe"]);
        assert_eq!(report["findings"], serde_json::json!([]), "{threads} threads");
        assert_eq!((&report["unknown"]["awaits"], &report["feeds"]["probe"]["dropped"]), (&0.into(), &0.into()));
    }
}

#[test]
fn attach_finds_a_lost_waker() {
    assert_eq!(found_by_attach("lost-waker", "lost-waker").count, 1);
}

#[test]
fn attach_finds_a_deadlock() {
    let found = found_by_attach("deadlock-only", "deadlock");
    assert!(found.evidence.contains("`Mutex #1`") && found.evidence.contains("`Mutex #2`"), "{found:?}");
}

/// Runs of [`healthy_service_has_no_findings`] of which one must have few unknown awaits. On a busy machine, the app's
/// console is late: what it has not reported when the app ends is unknown, however long the app ran.
const HEALTHY_RUNS_MAX: usize = 4;

/// The service runs for some seconds on one and more workers, with the default thresholds.
#[test]
fn healthy_service_has_no_findings() {
    for threads in ["1", "2", "4"] {
        let mut seen = Vec::new();
        let has_few_unknown = (0..HEALTHY_RUNS_MAX).any(|_| {
            let (unknown, known) = unknown_awaits_of_healthy_service(threads);
            seen.push((unknown, known));
            unknown * 20 <= unknown + known
        });
        assert!(has_few_unknown, "{threads} threads: more than 5 % unknown each time (unknown, known): {seen:?}");
    }
}

/// Runs the healthy service, checks its report, and returns its numbers of unknown and of known awaits.
fn unknown_awaits_of_healthy_service(threads: &str) -> (u64, u64) {
    let report = report_by_exec("healthy", threads, "5");
    assert_eq!(report["findings"], serde_json::json!([]), "{threads} threads");
    assert_eq!(schema_errors(&report), [""; 0]);
    let kinds: BTreeSet<&str> =
        report["tasks"].as_array().into_iter().flatten().filter_map(|task| task["kind"].as_str()).collect();
    assert!(kinds.contains("task"), "the service ran");
    let known = report["awaits"].as_array().expect("a list").len() as u64;
    (report["unknown"]["awaits"].as_u64().expect("a number"), known)
}
