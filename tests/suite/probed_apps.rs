//! Real programs with the probe: their traces compared with the counts that they print themselves.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope::control::{ConnectionState, ControlLevel, RunOutcome, RunPhase, SessionCommand, SourceKind};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::session::{ProbeSession, Session};
use loopscope::trace::{AwaitKind, AwaitOutcome, Task, TaskKind, TaskOutcome, Trace, WakeSource};

use crate::example_app::{PATIENCE, TempFolder, example_path};

const MEMORY_BYTES: usize = 256 << 20;

/// A program that connects to a session of the test. It is killed on drop.
struct ProbedApp {
    child: Child,
    session: ProbeSession,
    _folder: TempFolder,
}

impl Drop for ProbedApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ProbedApp {
    fn start(arguments: &[&str]) -> Self {
        let folder = TempFolder::new(&format!("probed-{}", arguments.join("-")));
        let socket = folder.path_of("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let child = Command::new(example_path("probed"))
            .args(arguments)
            .env("LOOPSCOPE_PROBE_SOCKET", &socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the app starts");
        let (stream, _) = listener.accept().expect("the app connects");
        let session = ProbeSession::attach(stream, "app".to_owned(), None, MEMORY_BYTES).expect("a session");
        Self { child, session, _folder: folder }
    }

    fn until(&mut self, what: &str, mut condition: impl FnMut(&ProbeSession) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.session) {
            let now = Instant::now();
            assert!(now < deadline, "timed out: {what}; {:?}", self.session.status());
            if !self.session.pump(Duration::from_millis(5)) {
                self.session.wait(Duration::from_millis(5));
            }
        }
    }

    /// Waits for the end of the app. Returns the lines that it printed.
    fn run_to_end(&mut self) -> Vec<String> {
        let output = BufReader::new(self.child.stdout.take().expect("stdout is piped"));
        let lines = std::thread::spawn(move || output.lines().map_while(Result::ok).collect());
        self.until("its end", |session| session.status().phase == RunPhase::Ended);
        assert!(self.child.wait().expect("the app ends").success());
        lines.join().expect("the lines of the app")
    }
}

fn task<'a>(trace: &'a Trace, name: &str) -> &'a Task {
    let mut named = trace.tasks().iter().filter(|task| task.name() == name);
    let found = named.next().unwrap_or_else(|| panic!("no task `{name}`"));
    assert!(named.next().is_none(), "several tasks `{name}`");
    found
}

/// Returns the numbers that the app printed of its tasks of this role, by task name.
fn counts(lines: &[String], role: &str) -> BTreeMap<String, (u64, u64)> {
    let parse = |line: &String| {
        let mut words = line.strip_prefix(role)?.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, (words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
    };
    lines.iter().filter_map(parse).collect()
}

fn check_load(workers: &str, hooks: &str) {
    let mut app = ProbedApp::start(&["load", workers, hooks]);
    let lines = app.run_to_end();
    let trace = app.session.trace();
    let status = app.session.status();
    assert_eq!((status.source, status.outcome), (SourceKind::Attach, Some(RunOutcome::Detached)));
    let note = status.connection.expect("a connection").note;
    assert!(!note.contains("dropped") && !note.contains("skipped") && !note.contains("doubtful"), "{note}");

    let players = counts(&lines, "task ");
    assert_eq!(players.len(), 40);
    for (name, (polls, wakes)) in &players {
        let task = task(trace, name);
        assert_eq!((task.counts.polls, task.counts.wakes), (*polls, *wakes), "{name}");
        assert_eq!(task.outcome, Some(TaskOutcome::Completed), "{name}");
        let partner = if name.ends_with('0') { name.replace("-0", "-1") } else { name.clone() };
        let partner = if name.ends_with('0') { partner } else { format!("{}0", &name[..name.len() - 1]) };
        let is_known = |source: WakeSource| match source {
            WakeSource::Task(waker) => trace.task(waker).is_some_and(|waker| waker.name() == partner),
            source => source == WakeSource::SelfWake,
        };
        let unknown: Vec<_> = task.wakes().filter(|(_, source)| !is_known(*source)).collect();
        assert!(unknown.is_empty() || name.starts_with("player-0"), "{name}: {unknown:?}");
        // Every seventh of 2,000 rounds.
        assert_eq!(task.counts.self_wakes, 286, "{name}");
    }
    let lockers = counts(&lines, "locker ");
    assert_eq!(lockers.len(), 20);
    for (name, (polls, waits)) in &lockers {
        let task = task(trace, name);
        assert_eq!(task.counts.polls, *polls, "{name}");
        let awaits: Vec<_> = task.awaits().filter_map(|id| trace.awaits().get(id)).collect();
        let waited = awaits.iter().filter(|lock| lock.polls > 1).count();
        assert_eq!((awaits.len(), waited as u64), (300, *waits), "{name}");
        assert!(awaits.iter().all(|lock| lock.outcome() == AwaitOutcome::Ready && lock.resource().is_some()));
        let site = trace.site(awaits[0].site).expect("a site");
        assert_eq!((site.kind, &*site.source), (AwaitKind::Sync, "Mutex::lock"));
        assert!(site.location.as_ref().is_some_and(|location| location.file.ends_with("tests/apps/probed.rs")));
        let held = trace.resources().acquisitions().filter(|held| held.task == task.id);
        assert_eq!(held.filter(|held| held.end().is_some()).count(), 300, "{name}");
    }
    // Only one task at a time owns the lock.
    let mut held: Vec<_> = trace.resources().acquisitions().map(|held| (held.start, held.end())).collect();
    held.sort_unstable();
    assert!(held.windows(2).all(|pair| pair[0].1.is_some_and(|end| end <= pair[1].0)), "the owners overlap");
    assert_eq!(task(trace, "cancelled").outcome, Some(TaskOutcome::Cancelled));
    assert_eq!(task(trace, "cancelled").counts.polls, 1);
    assert!(matches!(task(trace, "panicked").outcome, Some(TaskOutcome::Failed(_))));
    let of_kind = |kind: TaskKind| trace.tasks().iter().filter(|task| task.meta.kind == kind).count();
    assert_eq!((of_kind(TaskKind::Task), of_kind(TaskKind::BlockOn), of_kind(TaskKind::Blocking)), (82, 1, 1));
    let open = trace.tasks().iter().filter(|task| task.outcome.is_none());
    assert_eq!(open.map(Task::name).collect::<Vec<_>>(), [""; 0]);
    assert_eq!((trace.gaps().count(), trace.unknown_counts().awaits), (0, 0));
}

#[test]
fn current_thread_counts_agree() {
    check_load("0", "hooks");
}

#[test]
fn current_thread_counts_agree_without_hooks() {
    check_load("0", "spans");
}

#[test]
fn one_worker_counts_agree() {
    check_load("1", "hooks");
}

#[test]
fn two_worker_counts_agree() {
    check_load("2", "hooks");
}

#[test]
fn two_worker_counts_agree_without_hooks() {
    check_load("2", "spans");
}

#[test]
fn four_worker_counts_agree() {
    check_load("4", "hooks");
}

#[test]
fn deadlock_is_certain() {
    for workers in ["1", "2", "4"] {
        let mut app = ProbedApp::start(&["deadlock", workers, "hooks"]);
        // Longer than the lint requires.
        let open_waits = |trace: &Trace| {
            let open = trace.tasks().iter().flat_map(|task| task.open_awaits());
            let is_lock = |kind| kind == Some(AwaitKind::Sync);
            let waits = open.filter_map(|id| trace.awaits().get(id));
            waits.filter(|wait| is_lock(trace.site(wait.site).map(|site| site.kind))).map(|wait| wait.start).collect()
        };
        app.until("the deadlock", |session| {
            let waits: Vec<u64> = open_waits(session.trace());
            waits.len() == 42 && waits.iter().all(|start| session.trace().now() > start + 1_200_000_000)
        });
        let trace = app.session.trace();
        let owners: Vec<_> = trace
            .resources()
            .open_acquisitions(None)
            .map(|(_, owner)| trace.task(owner).expect("an owner").name())
            .collect();
        assert_eq!(owners.len(), 2);
        assert!(owners.contains(&"holder-0".into()) && owners.contains(&"holder-1".into()), "{owners:?}");
        let findings = run_lints(trace, &Thresholds::default());
        let deadlocks: Vec<_> = findings.listed.iter().filter(|finding| finding.name == "deadlock").collect();
        let [deadlock] = deadlocks.as_slice() else { panic!("{findings:?}") };
        assert!(deadlock.is_certain, "{deadlock:?}");
        assert!(deadlock.evidence.contains("40 more waits behind them"), "{deadlock:?}");
    }
}

#[test]
fn later_attach_shows_what_lives() {
    let mut app = ProbedApp::start(&["serve", "2", "hooks"]);
    app.until("some polls", |session| session.trace().counts().polls > 100);
    assert_eq!(app.session.status().control_level, ControlLevel::ReadOnly, "the app does not permit control");
    app.session.command(SessionCommand::Quit);
    assert_eq!(app.session.status().outcome, Some(RunOutcome::Detached));
    assert_eq!(app.session.status().connection.expect("a connection").state, ConnectionState::Lost);
}
