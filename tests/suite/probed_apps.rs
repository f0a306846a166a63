//! Real programs with the probe: their traces compared with the counts that they print themselves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope::control::{
    ConnectionState, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand, SourceKind, Speed,
};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::session::{AppStdin, ExecSession, ProbeSession, Session};
use loopscope::trace::{AwaitKind, AwaitOutcome, Task, TaskKind, TaskOutcome, Trace, WakeSource};

use loopscope_probe::protocol::{Facts, Hello};

use crate::attach::until;
use crate::example_app::{PATIENCE, TempFolder, example_path};
use crate::probe_stream::{ProbeStreamBuilder, hello};
use crate::pty::PtyTerminal;

const MEMORY_BYTES: usize = 256 << 20;

/// A program that connects to a session of the test. It is killed on drop.
pub struct ConnectedApp {
    child: KilledChild,
    pub session: ProbeSession,
    _folder: TempFolder,
}

impl ConnectedApp {
    pub fn start(arguments: &[&str]) -> Self {
        let folder = TempFolder::new(&format!("probed-{}", arguments.join("-")));
        let socket = folder.path_of("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let child = Command::new(example_path("probed"))
            .args(arguments)
            .env("LOOPSCOPE_PROBE_SOCKET", &socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the app starts");
        let (stream, _) = listener.accept().expect("the app connects");
        let session = ProbeSession::attach(stream, "app".to_owned(), None, MEMORY_BYTES).expect("a session");
        Self { child: KilledChild(child), session, _folder: folder }
    }

    /// Writes a line to its standard input.
    pub fn write_line(&mut self, line: &str) {
        writeln!(self.child.0.stdin.as_mut().expect("stdin is piped"), "{line}").expect("the app reads");
    }

    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&ProbeSession) -> bool) {
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
    pub fn run_to_end(&mut self) -> Vec<String> {
        let output = BufReader::new(self.child.0.stdout.take().expect("stdout is piped"));
        let lines = std::thread::spawn(move || output.lines().map_while(Result::ok).collect());
        self.until("its end", |session| session.status().phase == RunPhase::Ended);
        assert!(self.child.0.wait().expect("the app ends").success());
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

/// Runs the load to its end. Returns what it printed too. Without hooks, a thread that a busy machine keeps from running
/// while it drops a future leaves a doubt, which is stated. Not every run has one.
fn run_load(workers: &str, hooks: &str) -> (ConnectedApp, Vec<String>) {
    let run = || {
        let mut app = ConnectedApp::start(&["load", workers, hooks]);
        let lines = app.run_to_end();
        let note = app.session.status().connection.expect("a connection").note;
        ((app, lines), note.contains("doubtful"))
    };
    let is_exact = hooks == "hooks";
    for _ in 0..3 {
        let (found, is_doubtful) = run();
        if is_exact || !is_doubtful {
            return found;
        }
    }
    run().0
}

fn check_load(workers: &str, hooks: &str) {
    let (app, lines) = run_load(workers, hooks);
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
    let main = trace.tasks().iter().find(|task| task.meta.kind == TaskKind::BlockOn);
    assert_eq!(main.and_then(|main| main.outcome.clone()), Some(TaskOutcome::Completed));
    assert_eq!(task(trace, "cancelled").counts.polls, 1);
    assert!(matches!(task(trace, "panicked").outcome, Some(TaskOutcome::Failed(_))));
    let of_kind = |kind: TaskKind| trace.tasks().iter().filter(|task| task.meta.kind == kind).count();
    assert_eq!((of_kind(TaskKind::Task), of_kind(TaskKind::BlockOn), of_kind(TaskKind::Blocking)), (82, 1, 1));
    let polls_on_workers: u64 = trace.workers().iter().map(|worker| worker.totals_at(trace.now()).polls).sum();
    let polls = trace.tasks().iter().filter(|task| task.meta.kind == TaskKind::Task).map(|task| task.counts.polls);
    match workers {
        "0" => assert!(trace.workers().len() <= 1),
        _ => assert_eq!(
            (trace.workers().len().to_string().as_str(), polls_on_workers),
            (workers, polls.sum()),
            "each poll of a task has its worker"
        ),
    }
    if hooks == "hooks" && workers != "0" {
        assert!(trace.workers().iter().all(|worker| worker.parks() > 0));
    }
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
        let mut app = ConnectedApp::start(&["deadlock", workers, "hooks"]);
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

/// Starts the program in an exec session.
fn exec(arguments: &[&str]) -> ExecSession {
    let app = example_path("probed");
    let command: Vec<OsString> = [app.to_str().expect("text")].iter().chain(arguments).map(OsString::from).collect();
    ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session")
}

#[test]
fn exec_uses_the_probe_alone() {
    let mut session = exec(&["load", "2", "hooks"]);
    until(&mut session, "its end", |_, status| status.phase == RunPhase::Ended);
    let status = session.status();
    assert_eq!((status.source, status.feed), (SourceKind::Exec, FeedChoice::Probe));
    assert_eq!(status.outcome, Some(RunOutcome::Completed(serde_json::Value::Null)));
    let trace = session.trace();
    let lines: Vec<String> = trace.output().lines().iter().map(|line| line.text.to_string()).collect();
    let players = counts(&lines, "task ");
    assert_eq!(players.len(), 40);
    for (name, (polls, wakes)) in &players {
        let task = task(trace, name);
        assert_eq!((task.counts.polls, task.counts.wakes), (*polls, *wakes), "{name}");
    }
    assert_eq!((trace.console_feed_counts().0, trace.recording_stats()), (0, None), "neither console nor recording");
    let facts = trace.reported_facts().expect("the program has described itself");
    assert!(facts.polls && facts.wakes && facts.awaits);
    let findings = run_lints(trace, &Thresholds::default()).listed;
    let failures: Vec<_> = findings
        .iter()
        .filter(|finding| matches!(finding.name, "panic" | "failed-task"))
        .map(|finding| finding.name)
        .collect();
    assert_eq!(failures, ["failed-task"], "of the task `panicked`");
    // Loop time is that of the output too.
    assert!(trace.output().lines().iter().all(|line| line.at <= trace.now() + 1_000_000_000));
}

#[test]
fn exec_ends_the_app() {
    let mut session = exec(&["serve", "2", "hooks"]);
    until(&mut session, "some polls", |trace, _| trace.counts().polls > 100);
    assert_eq!(session.status().connection.expect("a connection").state, ConnectionState::Live);
    session.command(SessionCommand::FreezeProcess(true));
    until(&mut session, "the stop", |_, status| status.phase == RunPhase::Paused);
    session.command(SessionCommand::FreezeProcess(false));
    let polls = session.trace().counts().polls;
    until(&mut session, "further polls", |trace, _| trace.counts().polls > polls + 100);
    session.command(SessionCommand::Quit);
    until(&mut session, "its end", |_, status| status.phase == RunPhase::Ended);
    assert_eq!(session.status().outcome, Some(RunOutcome::Cancelled));
}

#[test]
fn exec_pauses_and_steps() {
    let mut session = exec(&["serve", "2", "hooks"]);
    until(&mut session, "some polls", |trace, _| trace.counts().polls > 100);
    assert_eq!(session.status().control_level, ControlLevel::Loop);
    session.command(SessionCommand::Pause);
    until(&mut session, "the pause", |_, status| status.phase == RunPhase::Paused);
    // Polls that ended before the pause may still arrive.
    let (mut polls, mut rounds) = (0, 0);
    while rounds < 20 {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(20));
        let now = session.trace().counts().polls;
        rounds = if now == polls { rounds + 1 } else { 0 };
        polls = now;
    }
    assert!(session.trace().pauses().count() > 0);
    session.command(SessionCommand::StepPolls(5));
    until(&mut session, "five polls", |trace, status| {
        status.phase == RunPhase::Paused && trace.counts().polls == polls + 5
    });
    session.command(SessionCommand::SetSpeed(Speed::Max));
    let note = session.status().connection.expect("a connection").note;
    assert!(note.contains("an app runs in real time"), "{note}");
    session.command(SessionCommand::Resume);
    until(&mut session, "further polls", |trace, _| trace.counts().polls > polls + 200);
    session.command(SessionCommand::Quit);
    until(&mut session, "its end", |_, status| status.phase == RunPhase::Ended);
}

#[test]
fn lost_app_leaves_what_it_had() {
    let mut app = ConnectedApp::start(&["serve", "2", "hooks"]);
    app.until("some polls", |session| session.trace().counts().polls > 100);
    app.child.0.kill().expect("it runs");
    app.until("the loss", |session| session.status().phase == RunPhase::Ended);
    let connection = app.session.status().connection.expect("a connection");
    assert_eq!(connection.state, ConnectionState::Lost);
    assert!(connection.note.contains("it may have been killed"), "{}", connection.note);
    assert!(app.session.trace().counts().polls > 100);
}

/// Runs the program so that it listens in a folder of its own, which stands for the user's runtime folder.
pub struct ListeningApp {
    pub child: KilledChild,
    pub runtime_folder: TempFolder,
}

/// A process that is killed on drop.
pub struct KilledChild(pub Child);

impl Drop for KilledChild {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ListeningApp {
    pub fn start(name: &str) -> Self {
        let runtime_folder = TempFolder::new(name);
        let child = Self::spawn(&runtime_folder);
        Self { child, runtime_folder }
    }

    /// Starts one and waits until it works.
    pub fn spawn(folder: &TempFolder) -> KilledChild {
        let mut child = Command::new(example_path("probed"))
            .args(["serve", "2", "hooks"])
            .env("XDG_RUNTIME_DIR", &folder.0)
            .env("PROBED_RECORDER", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the app starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let child = KilledChild(child);
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("serving"));
        child
    }

    /// Runs loopscope with this folder. Returns its exit code and both outputs.
    pub fn loopscope(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_loopscope"))
            .args(arguments)
            .env("XDG_RUNTIME_DIR", &self.runtime_folder.0)
            .output()
            .expect("loopscope runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn attach_finds_the_only_app() {
    let app = ListeningApp::start("probe-only");
    let folder = app.runtime_folder.path_of("loopscope");
    // The socket of a process that has ended.
    drop(UnixListener::bind(folder.join("1.sock")).expect("a socket"));
    std::fs::write(folder.join("2.sock"), "no socket").expect("a file");
    let (code, report, errors) = app.loopscope(&["attach", "--for", "1s", "--headless", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["source"]["name"], format!("pid:{}", app.child.0.id()));
    assert_eq!(report["source"]["kind"], "attach");
    assert!(report["loop"]["polls"].as_u64() > Some(100), "{}", report["loop"]);
    let exact = serde_json::json!({"polls": "exact", "wakes": "exact", "awaits": "exact", "wakers": "exact"});
    assert_eq!(report["fidelity_by"], exact);
    let tasks = report["tasks"].as_array().expect("tasks");
    let idle = tasks.iter().find(|task| task["name"] == "idle").expect("it lived before");
    assert_eq!((&idle["state"], &idle["polls"]), (&"waiting".into(), &0.into()), "{idle}");
    assert!(!folder.join("1.sock").exists(), "the socket of a dead process");
    let (code, _, errors) = app.loopscope(&["attach", "pid:1", "--for", "1s", "--headless"]);
    assert!(code == Some(1) && errors.contains("process 1 cannot be attached to"), "{errors}");
    let (code, _, errors) = app.loopscope(&["attach", "pid:x", "--headless"]);
    assert!(code == Some(2) && errors.contains("invalid process id"), "{errors}");
}

#[test]
fn flight_recording_is_saved_and_opened() {
    let app = ListeningApp::start("probe-dump");
    let file = app.runtime_folder.path_of("saved.lsprobe");
    let path = file.to_str().expect("text");
    // The recorder needs a moment to have something to save.
    let deadline = Instant::now() + PATIENCE;
    let polls = loop {
        let (code, _, errors) = app.loopscope(&["attach", "--dump", path]);
        assert_eq!(code, Some(0), "{errors}");
        let (code, report, errors) = app.loopscope(&["open", path, "--headless", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(
            (&report["source"]["kind"], &report["fidelity_by"]["polls"]),
            (&"recording".into(), &"exact".into())
        );
        let polls = report["loop"]["polls"].as_u64().expect("a count");
        assert!(Instant::now() < deadline, "no polls in the flight recording");
        if polls > 100 {
            break polls;
        }
    };
    let (code, _, errors) = app.loopscope(&["open", path, "--headless", "--assert", &format!("loop.polls == {polls}")]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn second_attach_says_why_it_fails() {
    let app = ListeningApp::start("probe-second");
    let socket = app.runtime_folder.path_of("loopscope").join(format!("{}.sock", app.child.0.id()));
    let connect = || {
        let stream = UnixStream::connect(&socket).expect("the app listens");
        ProbeSession::attach(stream, "app".to_owned(), None, MEMORY_BYTES).expect("a session")
    };
    let mut first = connect();
    until(&mut first, "some polls", |trace, _| trace.counts().polls > 100);
    let mut second = connect();
    until(&mut second, "its end", |_, status| status.phase == RunPhase::Ended);
    let outcome = second.status().outcome;
    assert!(matches!(&outcome, Some(RunOutcome::Failed(reason)) if reason.contains("another")), "{outcome:?}");
    let polls = first.trace().counts().polls;
    until(&mut first, "further polls", |trace, _| trace.counts().polls > polls + 100);
}

#[test]
fn attach_lists_several_apps() {
    let app = ListeningApp::start("probe-several");
    let other = ListeningApp::spawn(&app.runtime_folder);
    let (code, report, errors) = app.loopscope(&["attach", "--for", "1s", "--headless"]);
    let pids = [app.child.0.id(), other.0.id()].map(|pid| format!("pid {pid}"));
    assert_eq!((code, report.as_str()), (Some(2), ""));
    assert!(pids.iter().all(|pid| errors.contains(pid)) && errors.contains("probed"), "{errors}");
    assert!(errors.contains("help: name one, such as `loopscope attach pid:"), "{errors}");
    let (code, diagnosis, _) = app.loopscope(&["doctor"]);
    assert_eq!(code, Some(0));
    assert_eq!(diagnosis.matches("the app has the probe").count(), 2, "{diagnosis}");
    assert!(diagnosis.contains("does not permit control"), "{diagnosis}");
    drop(other);
    let (code, _, errors) = app.loopscope(&["attach", "--for", "200ms", "--headless"]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn open_folders_are_refused() {
    let app = ListeningApp::start("probe-open");
    let folder = app.runtime_folder.path_of("loopscope");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let (code, _, errors) = app.loopscope(&["attach", "--for", "1s", "--headless"]);
    assert!(code == Some(1) && errors.contains("is not a folder that only this user can enter"), "{errors}");
}

#[test]
fn doctor_names_missing_facts() {
    let folder = TempFolder::new("probe-doctor");
    let sockets = folder.path_of("loopscope");
    std::fs::DirBuilder::new().mode(0o700).create(&sockets).expect("a folder");
    let listener = UnixListener::bind(sockets.join("77.sock")).expect("a socket");
    let facts = Facts { polls: true, ..Facts::default() };
    let hello = Hello { name: "a\u{1b}b".to_owned(), facts, tasks: 3, ..hello() };
    let bytes = ProbeStreamBuilder::of(&hello).bytes().to_vec();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("loopscope connects");
        stream.write_all(&bytes).expect("it reads");
    });
    let output = Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["doctor", "pid:77"])
        .env("XDG_RUNTIME_DIR", &folder.0)
        .output()
        .expect("loopscope runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("3 tasks") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("wakes are not recorded") && text.contains("loopscope_probe::layer()"), "{text}");
    assert!(text.contains("awaits and resources are not recorded") && text.contains("feature `tracing`"), "{text}");
    assert!(text.contains("no hooks") && text.contains("loopscope_probe::runtime"), "{text}");
}

/// A peer on the socket that is no program with the probe, or a malicious one.
#[test]
fn hostile_peers_end_the_session_only() {
    let endless = ProbeStreamBuilder::new().frame(2, &[7; 1 << 19]);
    let many: Vec<u8> = (0..20).flat_map(|_| endless.bytes().to_vec()).collect();
    let mut closed_early = ProbeStreamBuilder::new().round(5).bytes().to_vec();
    closed_early.truncate(closed_early.len() - 3);
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("nothing", Vec::new(), "no answer"),
        ("garbage", vec![0x55; 100_000], "not a program with the probe"),
        ("huge frame", [&u32::MAX.to_le_bytes()[..], &[1; 1_000]].concat(), "a frame of 4294967295 bytes"),
        ("closed early", closed_early, "before it recorded anything"),
        ("endless", many, "before it recorded anything"),
    ];
    for (case, bytes, expected) in cases {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let writer = std::thread::spawn(move || {
            let mut theirs = theirs;
            let _ = theirs.write_all(&bytes);
        });
        let mut session = ProbeSession::attach(ours, "app".to_owned(), None, MEMORY_BYTES).expect("a session");
        until(&mut session, case, |_, status| status.phase == RunPhase::Ended);
        let outcome = session.status().outcome;
        let has_reason = matches!(&outcome, Some(RunOutcome::Failed(reason)) if reason.contains(expected));
        assert!(has_reason, "{case}: {outcome:?}");
        drop(session);
        writer.join().expect("it is not stuck");
    }
}

#[test]
fn ends_when_the_user_quits() {
    let mut app = ConnectedApp::start(&["serve", "2", "hooks"]);
    app.until("some polls", |session| session.trace().counts().polls > 100);
    assert_eq!(app.session.status().control_level, ControlLevel::ReadOnly, "the app does not permit control");
    app.session.command(SessionCommand::Quit);
    assert_eq!(app.session.status().outcome, Some(RunOutcome::Detached));
    assert_eq!(app.session.status().connection.expect("a connection").state, ConnectionState::Lost);
}

/// Waits until the screen is a list of this many apps.
fn wait_for_list(terminal: &mut PtyTerminal, count: usize) {
    terminal.wait_for_text(&format!("running apps {count}"));
}

#[test]
fn picker_lists_starts_and_ends_of_apps() {
    let app = ListeningApp::start("probe-picker");
    let other = ListeningApp::spawn(&app.runtime_folder);
    let folder = app.runtime_folder.0.to_str().expect("text").to_owned();
    let variables = [("XDG_RUNTIME_DIR", folder.as_str())];
    let mut terminal = PtyTerminal::start_with(env!("CARGO_BIN_EXE_loopscope"), &["attach"], &variables, 80, 24);
    wait_for_list(&mut terminal, 2);
    let third = ListeningApp::spawn(&app.runtime_folder);
    wait_for_list(&mut terminal, 3);
    terminal.resize(120, 40);
    terminal
        .wait_until("the list at the new size", |screen| screen.contains("running apps 3") && screen.contains("quit"));
    let mut pids = [app.child.0.id(), other.0.id(), third.0.id()];
    pids.sort_unstable();
    for pid in pids {
        terminal.wait_for_text(&pid.to_string());
    }
    // The arrow keys, as a terminal sends them.
    terminal.press("\x1b[B\x1b[B\x1b[A");
    terminal.wait_for_text(&format!("▸ {}", pids[1]));
    terminal.resize(80, 24);
    terminal.press("\r");
    terminal.wait_for_text(&format!("pid:{}", pids[1]));
    terminal.press("\x1b");
    terminal.wait_for_text("go to the list of apps");
    terminal.press("\x1b");
    wait_for_list(&mut terminal, 3);
    drop((other, third));
    wait_for_list(&mut terminal, 1);
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

/// Only a test that runs as root can start a program as another user.
#[test]
#[cfg(target_os = "linux")]
fn other_users_apps_are_not_listed() {
    use std::os::unix::fs::{MetadataExt, chown};
    use std::os::unix::process::CommandExt;

    const OTHER_USER: u32 = 65_534;
    if std::fs::metadata("/proc/self").expect("the folder of this process").uid() != 0 {
        return;
    }
    let app = ListeningApp::start("probe-others");
    let own = app.child.0.id();
    let sockets = app.runtime_folder.path_of("loopscope");
    chown(&app.runtime_folder.0, Some(OTHER_USER), None).expect("root may");
    let listed = |pid: u32| app.loopscope(&["doctor", &format!("pid:{pid}")]).0 == Some(0);
    assert!(listed(own));
    // A socket of another user, although this user's process listens on it.
    let own_socket = sockets.join(format!("{own}.sock"));
    chown(&own_socket, Some(OTHER_USER), None).expect("root may");
    assert!(!listed(own));
    chown(&own_socket, Some(0), None).expect("root may");
    // The folder of another user.
    chown(&sockets, Some(OTHER_USER), None).expect("root may");
    let (code, _, errors) = app.loopscope(&["attach", "--headless"]);
    assert!(code == Some(1) && errors.contains("is not a folder that only this user can enter"), "{errors}");
    // A program of that user, which listens there.
    let mut other = Command::new(example_path("probed"))
        .args(["serve", "2", "hooks"])
        .env("XDG_RUNTIME_DIR", &app.runtime_folder.0)
        .uid(OTHER_USER)
        .stdout(Stdio::piped())
        .spawn()
        .map(KilledChild)
        .expect("the app starts");
    let mut lines = BufReader::new(other.0.stdout.take().expect("stdout is piped")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("serving"));
    let (pid, socket) = (other.0.id(), sockets.join(format!("{}.sock", other.0.id())));
    assert!(socket.exists(), "it listens");
    chown(&sockets, Some(0), None).expect("root may");
    assert!(listed(own) && !listed(pid), "its socket belongs to the other user");
    chown(&socket, Some(0), None).expect("root may");
    assert!(listed(own) && !listed(pid), "the process that listens belongs to the other user");
    let (code, _, errors) = app.loopscope(&["attach", &format!("pid:{pid}"), "--headless"]);
    assert!(code == Some(1) && errors.contains("another user listens on its socket"), "{errors}");
    let (code, _, errors) = app.loopscope(&["attach", "--for", "200ms", "--headless"]);
    assert_eq!(code, Some(0), "there is only one app to attach to: {errors}");
    assert!(socket.exists(), "only sockets of processes that have ended are removed");
}

#[test]
fn only_sockets_are_listed() {
    let app = ListeningApp::start("probe-sockets");
    let folder = app.runtime_folder.path_of("loopscope");
    let own = format!("{}.sock", app.child.0.id());
    std::os::unix::fs::symlink(&own, folder.join("5.sock")).expect("a link");
    std::fs::write(folder.join("6.sock"), "").expect("a file");
    let _nameless = UnixListener::bind(folder.join("seven.sock")).expect("a socket");
    // A process that is about to listen.
    let _unready = UnixListener::bind(folder.join("8.new")).expect("a socket");
    let (code, diagnosis, _) = app.loopscope(&["doctor"]);
    assert_eq!((code, diagnosis.matches("pid:").count()), (Some(0), 1), "{diagnosis}");
    for name in [own.as_str(), "5.sock", "6.sock", "seven.sock", "8.new"] {
        assert!(folder.join(name).exists(), "{name}");
    }
}

/// A program that was stopped answers nothing, and its queue of connections may be full.
#[test]
fn stopped_apps_do_not_stop_loopscope() {
    let folder = TempFolder::new("probe-stopped");
    let sockets = folder.path_of("loopscope");
    std::fs::DirBuilder::new().mode(0o700).create(&sockets).expect("a folder");
    let path = sockets.join("77.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    rustix::net::listen(&listener, 0).expect("a short queue");
    // The queue takes one connection more than its length; a further one would wait.
    let _first = UnixStream::connect(&path).expect("a connection");
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_loopscope"))
            .args(["doctor", "pid:77"])
            .env("XDG_RUNTIME_DIR", &folder.0)
            .output()
            .expect("loopscope runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.code() == Some(1) && text.contains("it does not answer: it may be stopped"), "{text}");
    }
}

/// The archive is opened before it is known whether the app has the probe.
#[test]
fn archive_of_exec_names_the_feed() {
    let folder = TempFolder::new("probe-archive");
    let (file, app) = (folder.path_of("app.loop"), example_path("probed"));
    let (file, app) = (file.to_str().expect("text"), app.to_str().expect("text"));
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_loopscope")).args(arguments).output().expect("loopscope runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        assert!(output.status.success(), "{}", text(output.stderr));
        (text(output.stdout), text(output.stderr))
    };
    let command = ["exec", "--headless", "--json", "--record", file, "--", app, "load", "2", "hooks"];
    let (live, errors) = run(&command);
    assert!(errors.contains("observed through its probe: the probe adds 63 ns to a poll that yields"), "{errors}");
    let (text, _) = run(&["open", file, "--headless"]);
    assert!(text.contains("probe only: counts are not cross-checked"), "{text}");
    let (archived, _) = run(&["open", file, "--headless", "--json"]);
    let feeds = |report: &str| serde_json::from_str::<serde_json::Value>(report).expect("JSON")["feeds"].clone();
    assert_eq!(feeds(&archived), feeds(&live));
    // The figures are those of the README.
    let readme = include_str!("../../README.md");
    assert!(readme.contains("adds to a poll that yields (63 ns) | console-subscriber's layer (487 ns)"));
}
