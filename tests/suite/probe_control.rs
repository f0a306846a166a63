//! Control of real programs with the probe: the program counts its polls itself, on a thread that no pause stops.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope::control::{Breakpoint, ControlLevel, RunPhase, SessionCommand};
use loopscope::session::{ProbeSession, Session};
use loopscope::trace::{PauseReason, Task, TaskId, TaskKind, TaskOutcome, TaskState};

use crate::example_app::{PATIENCE, TempFolder, example_path};

const MEMORY_BYTES: usize = 64 << 20;

/// The runtimes on which everything is tried: workers, and how the runtime is set up.
const SET_UPS: [(&str, &str); 7] = [
    ("0", "hooks"),
    ("2", "hooks"),
    ("4", "hooks"),
    ("0", "spans"),
    ("2", "spans"),
    ("4", "spans"),
    ("2", "attribute"),
];

/// What the program counts of one task, or of its blocking closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AppCount {
    line: u32,
    polls: u64,
}

/// The program `controlled`, with the session that controls it. It is killed on drop.
struct ControlledApp {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: u16,
    session: ProbeSession,
    _folder: TempFolder,
}

impl Drop for ControlledApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ControlledApp {
    fn start((workers, set_up): (&str, &str), name: &str) -> Self {
        let folder = TempFolder::new(&format!("control-{name}-{workers}-{set_up}"));
        let socket = folder.path_of("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let mut child = Command::new(example_path("controlled"))
            .args([workers, set_up])
            .env("LOOPSCOPE_PROBE_SOCKET", &socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the app starts");
        let (stream, _) = listener.accept().expect("the app connects");
        let session = ProbeSession::attach(stream, "app".to_owned(), None, MEMORY_BYTES).expect("a session");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut app = Self { child, input, output, port: 0, session, _folder: folder };
        app.until("the start", |session| session.trace().counts().polls > 0);
        let port = app.line();
        app.port = port.strip_prefix("port ").and_then(|port| port.parse().ok()).expect("a port");
        assert_eq!(app.line(), "serving");
        app.until("some polls", |session| session.trace().counts().polls > 100);
        app
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").expect("the app reads its input");
    }

    /// Returns what the program counts, by name.
    fn counts(&mut self) -> BTreeMap<String, AppCount> {
        self.tell("counts");
        let line = self.line();
        let words: Vec<&str> = line.strip_prefix("counts ").expect("counts").split(' ').collect();
        let count = |words: &[&str]| {
            let (line, polls) = (words[1].parse().expect("a line"), words[2].parse().expect("a number"));
            (words[0].to_owned(), AppCount { line, polls })
        };
        words.chunks_exact(3).map(count).collect()
    }

    /// Returns the number of polls of all tasks, by the program's own count.
    fn all_polls(&mut self) -> u64 {
        self.counts().iter().filter(|(name, _)| *name != "blocking").map(|(_, count)| count.polls).sum()
    }

    fn polls(&mut self, name: &str) -> u64 {
        self.counts()[name].polls
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut condition: impl FnMut(&ProbeSession) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.session) {
            assert!(Instant::now() < deadline, "timed out: {what}; {:?}", self.session.status());
            if !self.session.pump(Duration::from_millis(5)) {
                self.session.wait(Duration::from_millis(5));
            }
        }
    }

    /// Waits until the program's own count of a task grows by `more`.
    #[track_caller]
    fn until_polled(&mut self, name: &str, more: u64) {
        let (deadline, before) = (Instant::now() + PATIENCE, self.polls(name));
        while self.polls(name) < before + more {
            assert!(Instant::now() < deadline, "`{name}` is not polled: {:?}", self.session.status());
            self.session.pump(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn until_phase(&mut self, phase: RunPhase) {
        self.until(phase.name(), |session| session.status().phase == phase);
    }

    fn pause(&mut self) {
        self.session.command(SessionCommand::Pause);
        self.until_phase(RunPhase::Paused);
    }

    fn resume(&mut self) {
        self.session.command(SessionCommand::Resume);
        self.until_phase(RunPhase::Running);
    }

    /// Sends a command that lets the paused program run for a limited time, and waits for the next pause.
    #[track_caller]
    fn step(&mut self, command: SessionCommand) {
        self.session.command(command);
        self.until_phase(RunPhase::Paused);
    }

    /// Returns the task that the program calls `name`.
    fn task(&mut self, name: &str) -> TaskId {
        let line = self.counts()[name].line;
        let is_it = |task: &&Task| match line {
            0 => task.name() == name,
            line => task.meta.location.as_ref().is_some_and(|location| location.line == line),
        };
        self.session.trace().tasks().iter().find(is_it).unwrap_or_else(|| panic!("no task `{name}`")).id
    }

    fn note(&self) -> String {
        self.session.status().connection.expect("a connection").note
    }

    /// Sends a command that the program refuses. Returns why.
    #[track_caller]
    fn refusal(&mut self, command: SessionCommand) -> String {
        self.session.command(command);
        self.until("an answer", |session| {
            session.status().connection.is_some_and(|connection| connection.note.contains("last command: "))
        });
        self.note()
    }

    /// Whether the program answers on its socket.
    fn request(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(b"x").expect("it reads");
        stream.read_exact(&mut [0]).expect("it answers");
    }

    /// Ends the program and checks that it exits by itself.
    fn end(mut self) {
        self.tell("end");
        assert_eq!(self.line(), "ended");
        assert!(self.child.wait().expect("it ends").success());
    }
}

/// Returns the number of polls of all tasks in the trace.
fn traced_polls(session: &ProbeSession) -> u64 {
    let is_task = |task: &&Task| matches!(task.meta.kind, TaskKind::Task | TaskKind::BlockOn);
    session.trace().tasks().iter().filter(is_task).map(|task| task.counts.polls).sum()
}

#[test]
fn pause_stops_all_polls_and_steps_are_exact() {
    for set_up in SET_UPS {
        let mut app = ControlledApp::start(set_up, "steps");
        assert_eq!(app.session.status().control_level, ControlLevel::Loop, "{set_up:?}");
        app.pause();
        let before = app.counts();
        // The closure goes on: by its own clock, much time passes for the tasks.
        let deadline = Instant::now() + PATIENCE;
        while app.counts()["blocking"].polls < before["blocking"].polls + 50 {
            assert!(Instant::now() < deadline, "the blocking closure stands still");
        }
        let without_closure = |mut counts: BTreeMap<String, AppCount>| {
            counts.remove("blocking");
            counts
        };
        assert_eq!(without_closure(app.counts()), without_closure(before), "{set_up:?}: polled while paused");

        for (round, polls) in [5, 1, 7].into_iter().enumerate() {
            let before = app.all_polls();
            app.step(SessionCommand::StepPolls(polls));
            assert_eq!(app.all_polls() - before, u64::from(polls), "{set_up:?}, round {round}");
        }
        let polls = app.all_polls();
        app.until("the polls in the trace", |session| traced_polls(session) >= polls);
        assert_eq!(traced_polls(&app.session), polls, "{set_up:?}");

        let plain = app.task("plain-3");
        let before = app.polls("plain-3");
        app.step(SessionCommand::StepToTask(plain));
        assert_eq!(app.polls("plain-3") - before, 1, "{set_up:?}");
        let reasons: Vec<PauseReason> =
            app.session.trace().pauses_since(0).0.map(|pause| pause.reason.clone()).collect();
        assert_eq!(reasons.first(), Some(&PauseReason::User), "{set_up:?}");
        assert!(reasons[1..].iter().all(|reason| *reason == PauseReason::Step), "{set_up:?}: {reasons:?}");
        app.resume();
        app.until_polled("plain-0", 20);
        app.request();
        app.end();
    }
}

#[test]
fn breakpoints_pause_a_program() {
    for set_up in SET_UPS {
        let mut app = ControlledApp::start(set_up, "breakpoints");
        for text in ["poll plain-2", "wake plain-4", "poll slow > 10ms", "poll > 10ms"] {
            let breakpoint: Breakpoint = text.parse().expect("a breakpoint");
            app.session.command(SessionCommand::AddBreakpoint(breakpoint));
            // A poll that begins before the breakpoint is set does not hit it.
            let deadline = Instant::now() + PATIENCE;
            while app.session.status().phase != RunPhase::Paused {
                assert!(Instant::now() < deadline, "{set_up:?}: `{text}` is not hit");
                if text.contains('>') {
                    app.tell("long");
                }
                app.session.pump(Duration::from_millis(5));
                app.session.wait(Duration::from_millis(50));
            }
            let hit = app.session.hit().unwrap_or_else(|| panic!("{set_up:?}: no hit of `{text}`"));
            assert_eq!(hit.breakpoint, breakpoint, "{set_up:?}");
            let name = hit.task.and_then(|task| app.session.trace().task(task)).expect("a task").name().into_owned();
            match text {
                // On a busy machine any poll may take this long.
                "poll > 10ms" => {}
                "poll slow > 10ms" => assert_eq!(name, "slow", "{set_up:?}"),
                _ => assert_eq!(name, text[5..], "{set_up:?}"),
            }
            assert_eq!(hit.duration_ns > 10_000_000, text.contains('>'), "{set_up:?}, `{text}`: {hit:?}");
            let counts = app.all_polls();
            app.session.command(SessionCommand::ClearBreakpoints);
            app.step(SessionCommand::StepPolls(5));
            assert_eq!(app.all_polls() - counts, 5, "{set_up:?}, after `{text}`");
            app.resume();
        }
        app.end();
    }
}

#[test]
fn a_finding_pauses_a_program() {
    for set_up in [("0", "spans"), ("2", "hooks"), ("4", "hooks")] {
        let mut app = ControlledApp::start(set_up, "finding");
        app.session.command(SessionCommand::AddBreakpoint("finding deadlock".parse().expect("a breakpoint")));
        app.tell("deadlock");
        app.until_phase(RunPhase::Paused);
        let hit = app.session.hit().expect("a hit");
        assert_eq!(hit.finding, "deadlock", "{set_up:?}");
        app.session.command(SessionCommand::ClearBreakpoints);
        app.resume();
        app.until_polled("plain-0", 20);
        app.end();
    }
}

#[test]
fn holds_a_task_of_spawn_while_others_go_on() {
    for set_up in SET_UPS {
        let mut app = ControlledApp::start(set_up, "hold");
        let ticker = app.task("ticker-0");
        app.session.command(SessionCommand::Hold(ticker));
        app.until("the hold", |session| session.trace().task(ticker).is_some_and(|task| task.is_held()));
        // Its timer fires while the others go on.
        app.until_polled("ticker-1", 20);
        let held = app.polls("ticker-0");
        app.until_polled("plain-0", 20);
        assert_eq!(app.polls("ticker-0"), held, "{set_up:?}");
        let traced = app.session.trace().task(ticker).map(|task| task.counts.polls);

        // A suppressed poll is no step.
        app.pause();
        let before = app.all_polls();
        app.step(SessionCommand::StepPolls(5));
        assert_eq!((app.all_polls() - before, app.polls("ticker-0")), (5, held), "{set_up:?}");
        assert_eq!(app.session.trace().task(ticker).map(|task| task.counts.polls), traced, "{set_up:?}");
        app.resume();

        app.session.command(SessionCommand::Release(ticker));
        app.until_polled("ticker-0", 20);
        app.until("the release", |session| session.trace().task(ticker).is_some_and(|task| !task.is_held()));
        app.end();
    }
}

#[test]
fn cancels_a_task_of_spawn() {
    for set_up in SET_UPS {
        let mut app = ControlledApp::start(set_up, "cancel");
        let (ticker, plain) = (app.task("ticker-0"), app.task("plain-0"));
        app.session.command(SessionCommand::Cancel(ticker));
        app.until("its end", |session| session.trace().state(ticker).is_some_and(|state| state.is_ended()));
        let outcome = app.session.trace().task(ticker).and_then(|task| task.outcome.clone());
        assert_eq!(outcome, Some(TaskOutcome::Cancelled), "{set_up:?}");
        let refusal = app.refusal(SessionCommand::Cancel(plain));
        assert!(refusal.contains("only a task of `loopscope_probe::spawn` can be cancelled"), "{refusal}");
        app.until_polled("plain-0", 20);
        app.end();
    }
}

#[test]
fn hooks_hold_any_task_of_a_worker() {
    for set_up in [("2", "hooks"), ("4", "hooks")] {
        let mut app = ControlledApp::start(set_up, "hook");
        let tasks: Vec<TaskId> = (0..5).map(|number| app.task(&format!("plain-{number}"))).collect();
        for task in &tasks[..4] {
            app.session.command(SessionCommand::Hold(*task));
        }
        app.until("the holds", |session| {
            tasks[..4].iter().all(|task| session.trace().task(*task).is_some_and(|task| task.is_held()))
        });
        let refusal = app.refusal(SessionCommand::Hold(tasks[4]));
        assert!(refusal.contains("4 tasks are held"), "{refusal}");
        // All others go on, although more tasks are held than there are workers.
        app.until_polled("plain-4", 20);
        let held: Vec<u64> = (0..4).map(|number| app.polls(&format!("plain-{number}"))).collect();
        app.until_polled("plain-5", 20);
        app.request();
        let still: Vec<u64> = (0..4).map(|number| app.polls(&format!("plain-{number}"))).collect();
        assert_eq!(still, held, "{set_up:?}");

        // Threads that hold a task do not keep a pause or a step from completing.
        app.pause();
        let before = app.all_polls();
        app.step(SessionCommand::StepPolls(5));
        assert_eq!(app.all_polls() - before, 5, "{set_up:?}");
        app.resume();

        for (number, task) in tasks[..4].iter().enumerate() {
            app.session.command(SessionCommand::Release(*task));
            app.until_polled(&format!("plain-{number}"), 5);
        }
        // The place is free again, and also in a pause.
        app.pause();
        app.session.command(SessionCommand::Hold(tasks[4]));
        app.until("the hold", |session| session.trace().task(tasks[4]).is_some_and(|task| task.is_held()));
        let before = app.polls("plain-4");
        app.resume();
        app.until_polled("plain-0", 20);
        assert_eq!(app.polls("plain-4"), before, "{set_up:?}: held while it waited at the gate");
        check_records(&mut app, set_up.0.parse().expect("a number"));
        app.end();
    }
}

/// Checks that the trace agrees with the program about a hook that held tasks.
#[track_caller]
fn check_records(app: &mut ControlledApp, workers: usize) {
    app.pause();
    for number in 0..6 {
        let name = format!("plain-{number}");
        let (polls, task) = (app.polls(&name), app.task(&name));
        app.until("all its polls", |session| session.trace().task(task).is_some_and(|task| task.counts.polls >= polls));
        assert_eq!(app.session.trace().task(task).expect("it lives").counts.polls, polls, "{name}");
        assert!(!matches!(app.session.trace().state(task), Some(TaskState::Running)), "{name}");
    }
    assert_eq!(app.session.trace().workers().len(), workers, "a thread that held a task is no further worker");
    let note = app.note();
    assert!(!note.contains("doubtful") && !note.contains("skipped") && !note.contains("dropped"), "{note}");
    app.resume();
}

#[test]
fn holds_say_why_they_are_refused() {
    for (set_up, expected) in [
        (("0", "hooks"), "hold needs `loopscope_probe::spawn` on a current-thread runtime"),
        (("0", "spans"), "hold needs `loopscope_probe::spawn` or a runtime with hooks"),
        (("2", "spans"), "hold needs `loopscope_probe::spawn` or a runtime with hooks"),
    ] {
        let mut app = ControlledApp::start(set_up, "refused");
        let plain = app.task("plain-0");
        let refusal = app.refusal(SessionCommand::Hold(plain));
        assert!(refusal.contains(expected), "{set_up:?}: {refusal}");
        app.until("no hold", |session| session.trace().task(plain).is_some_and(|task| !task.is_held()));
        app.until_polled("plain-0", 20);
        app.end();
    }
}

#[test]
fn shutdown_releases_held_tasks() {
    for set_up in [("2", "hooks"), ("4", "hooks"), ("0", "hooks"), ("2", "spans")] {
        let mut app = ControlledApp::start(set_up, "shutdown");
        let name = if set_up == ("2", "hooks") || set_up == ("4", "hooks") { "plain-0" } else { "ticker-0" };
        let task = app.task(name);
        app.session.command(SessionCommand::Hold(task));
        app.until("the hold", |session| session.trace().task(task).is_some_and(|task| task.is_held()));
        app.until_polled("plain-1", 20);
        app.tell("end");
        assert_eq!(app.line(), "ended", "{set_up:?}");
        app.until_phase(RunPhase::Ended);
        assert!(app.child.wait().expect("it ends").success());
        let outcome = app.session.trace().task(task).and_then(|task| task.outcome.clone());
        assert_eq!(outcome, Some(TaskOutcome::Cancelled), "{set_up:?}");
    }
}

#[test]
fn loss_of_loopscope_releases_everything() {
    for set_up in [("0", "spans"), ("2", "hooks"), ("2", "spans")] {
        let mut app = ControlledApp::start(set_up, "loss");
        let plain = app.task(if set_up.1 == "hooks" { "plain-0" } else { "ticker-0" });
        app.session.command(SessionCommand::Hold(plain));
        app.until("the hold", |session| session.trace().task(plain).is_some_and(|task| task.is_held()));
        app.session.command(SessionCommand::AddBreakpoint("poll *".parse().expect("a breakpoint")));
        app.until_phase(RunPhase::Paused);
        app.session.command(SessionCommand::Quit);
        for name in ["plain-0", "plain-1", "ticker-0"] {
            app.until_polled(name, 20);
        }
        app.request();
        app.end();
    }
}

#[test]
fn hold_needs_a_free_thread() {
    let mut app = ControlledApp::start(("2", "exhausted"), "exhausted");
    let plain = app.task("plain-0");
    let refusal = app.refusal(SessionCommand::Hold(plain));
    assert!(refusal.contains("no thread of the blocking pool is free"), "{refusal}");
    app.until("no hold", |session| session.trace().task(plain).is_some_and(|task| !task.is_held()));
    app.until_polled("plain-0", 20);
    app.until_polled("plain-1", 20);
    app.end();
}

/// A task whose poll contains polls of other futures can be stopped, stepped and held.
#[test]
fn nested_polls_do_not_get_stuck() {
    for set_up in [("2", "hooks"), ("4", "hooks"), ("2", "spans")] {
        let mut app = ControlledApp::start(set_up, "nested");
        app.tell("nest");
        app.until("the task", |session| session.trace().tasks().iter().any(|task| task.name() == "nested"));
        app.until_polled("nested", 5);
        let nested = app.task("nested");
        for _ in 0..5 {
            app.session.command(SessionCommand::Pause);
            app.step(SessionCommand::StepToTask(nested));
            app.step(SessionCommand::StepPolls(20));
            app.resume();
            app.until_polled("nested", 2);
        }
        if set_up.1 == "hooks" {
            app.session.command(SessionCommand::Hold(nested));
            app.until("the hold", |session| session.trace().task(nested).is_some_and(|task| task.is_held()));
            app.until_polled("plain-0", 20);
            let held = app.polls("nested");
            app.until_polled("plain-0", 20);
            assert!(app.polls("nested") <= held + 1, "{set_up:?}");
            app.session.command(SessionCommand::Release(nested));
            app.until_polled("nested", 5);
        }
        app.end();
    }
}
