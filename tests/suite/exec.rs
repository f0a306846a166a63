//! Apps that loopscope starts: their traces compared with the apps' own counts, and failures of apps.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use loopscope::control::{ConnectionState, ControlLevel, RunOutcome, RunPhase, SessionCommand, SessionStatus};
use loopscope::session::{AppStdin, ExecSession, Session};
use loopscope::trace::{AwaitKind, Cycle, Task, TaskKind, TaskOutcome, Trace, WakeSource};
use serde_json::Value;

use crate::attach::until;
use crate::cli::loopscope;
use crate::example_app::{TempFolder, counts, example_app_path};

const MEMORY_BYTES: usize = 256 << 20;

/// The example app in an exec session, with its standard input.
struct StartedApp {
    session: ExecSession,
    /// Standard input of the app, which ends when this is closed.
    input: Option<File>,
    _folder: TempFolder,
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn shell(script: &str) -> ExecSession {
    ExecSession::start(&words(&["sh", "-c", script]), AppStdin::Null, MEMORY_BYTES).expect("create the session")
}

fn start(scenario: &[&str]) -> StartedApp {
    let folder = TempFolder::new(&format!("exec-{}", scenario.join("-")));
    let input = folder.path_of("input");
    assert!(Process::new("mkfifo").arg(&input).status().expect("run mkfifo").success());
    let app = example_app_path();
    // The shell prints its process id and replaces itself with the app.
    let script = "echo $$; input=$0; exec \"$@\" < \"$input\"";
    let mut command = words(&["sh", "-c", script, input.to_str().expect("text"), app.to_str().expect("text")]);
    command.extend(words(scenario));
    let session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
    let session = session.with_source_folder(env!("CARGO_MANIFEST_DIR").into());
    let input = OpenOptions::new().write(true).open(&input).expect("open the pipe to the app");
    StartedApp { session, input: Some(input), _folder: folder }
}

impl StartedApp {
    fn pid(&mut self) -> String {
        until(&mut self.session, "its first line", |trace, _| !trace.output().lines().is_empty());
        self.session.trace().output().lines()[0].text.to_string()
    }

    /// Stops the app's tasks, waits until both feeds have reported them completely, and ends the app.
    ///
    /// Returns the counts that the app printed, and the outcome.
    fn stop(&mut self) -> (serde_json::Map<String, Value>, RunOutcome) {
        writeln!(self.input.as_mut().expect("the app runs"), "stop").expect("write to the app");
        let is_counts = |line: &str| line.starts_with('{');
        until(&mut self.session, "its counts", |trace, _| {
            trace.output().lines().back().is_some_and(|line| is_counts(&line.text))
        });
        let own = counts(&self.session.trace().output().lines().back().expect("the app printed a line").text);
        until(&mut self.session, "its tasks' ends", |trace, _| {
            own.iter().all(|(name, own)| {
                let task = trace.tasks().iter().find(|task| task.name() == *name);
                let is_whole = |task: &Task| {
                    task.console_counts()
                        .is_some_and(|counted| own["polls"] == counted.polls && own["wakes"] == counted.wakes)
                        && task.meta.location.is_some()
                        && task.outcome.is_some()
                };
                task.is_some_and(is_whole)
            })
        });
        self.input = None;
        (own, end(&mut self.session))
    }
}

fn is_over(_: &Trace, status: &SessionStatus) -> bool {
    status.phase == RunPhase::Ended
}

fn end(session: &mut ExecSession) -> RunOutcome {
    until(session, "its end", is_over);
    session.status().outcome.expect("the session has ended")
}

fn failed(outcome: RunOutcome) -> String {
    let RunOutcome::Failed(why) = outcome else { panic!("expected a failure: {outcome:?}") };
    why
}

fn note(session: &ExecSession) -> String {
    crate::attach::note(&session.status()).to_owned()
}

/// Runs `scenario` for at least `polls` polls and compares every task with the app's own counts.
#[track_caller]
fn run(scenario: &[&str], polls: u64) -> ExecSession {
    run_until(scenario, |trace| trace.counts().polls >= polls)
}

/// Runs `scenario` until `reached` and compares every task with the app's own counts.
#[track_caller]
fn run_until(scenario: &[&str], reached: impl Fn(&Trace) -> bool) -> ExecSession {
    let mut started = start(scenario);
    until(&mut started.session, "its polls", |trace, _| reached(trace) && trace.console_feed_counts().0 >= 4);
    assert_eq!(started.session.status().control_level, ControlLevel::Process);
    let (own, outcome) = started.stop();
    let trace = started.session.trace();
    assert_eq!(outcome, RunOutcome::Completed(Value::Null));
    assert!(!own.is_empty() || scenario[0] == "nothing");
    for (name, own) in own {
        let task = trace.tasks().iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}"));
        let counted = serde_json::json!({"polls": task.counts.polls, "wakes": task.counts.wakes});
        assert_eq!(counted, own, "{scenario:?}: {name}");
        assert!(task.outcome.is_some(), "{scenario:?}: {name} has not ended");
        assert_eq!(
            task.meta.location.as_ref().map(|location| &*location.file),
            Some("tests/apps/counted.rs"),
            "{scenario:?}: {name} of {:?}, {:?}",
            trace.console_feed_counts(),
            task.console_counts()
        );
    }
    assert_eq!(trace.disagreements(), [], "{scenario:?}: the console's counts agree");
    assert!(trace.tasks().iter().filter(|task| task.console_counts().is_some()).count() > 0);
    let recorded = trace.recording_stats().expect("it is recorded");
    assert_eq!(
        (recorded.skipped_lines, recorded.unknown_lines, recorded.lost_lines, recorded.tasks_without_spawn),
        (0, 0, 0, 0)
    );
    started.session
}

/// Returns the number of awaits by source and kind.
fn awaits(trace: &Trace) -> BTreeMap<(String, &'static str), usize> {
    let mut found = BTreeMap::new();
    for (_, span) in trace.awaits().iter() {
        let site = trace.site(span.site).expect("the site is known");
        let location = site.location.as_ref().expect("the console reports the location");
        assert!(location.file.contains("tests/apps/"), "{location}");
        *found.entry((site.source.to_string(), site.kind.name())).or_default() += 1;
    }
    found
}

fn has(trace: &Trace, source: &str, kind: AwaitKind) -> bool {
    awaits(trace).contains_key(&(source.to_owned(), kind.name()))
}

#[test]
fn mutex_shows_wake_sources_and_awaits() {
    // Number of cycles whose await is known. The console must keep up for that.
    let named = |task: &Task| task.lane.cycles().filter(|cycle| cycle.waiting_on().0.is_some()).count();
    let lockers =
        |trace: &Trace| trace.tasks().iter().filter(|task| task.name().starts_with("locker")).map(named).min();
    let session = run_until(&["mutex", "--abort"], |trace| {
        trace.counts().polls >= 60 && lockers(trace).is_some_and(|named| named >= 15)
    });
    let trace = session.trace();
    assert_eq!(trace.multi_threaded_since(), None);
    assert!(has(trace, "Mutex::lock", AwaitKind::Sync) && has(trace, "sleep", AwaitKind::Timer), "{:?}", awaits(trace));
    for task in trace.tasks().iter().filter(|task| task.meta.kind == TaskKind::Task) {
        assert_eq!(task.outcome, Some(TaskOutcome::Cancelled), "{} was aborted", task.name());
        // The task that releases the lock wakes the next one; the timer ends a sleep.
        let causes: Vec<_> = task.wakes().map(|(_, cause)| cause).collect();
        assert!(
            causes.contains(&WakeSource::Driver) && causes.iter().any(|cause| matches!(cause, WakeSource::Task(_)))
        );
        assert!(!causes.contains(&WakeSource::Task(task.id)));
        // Not all awaits are known, but the known ones must match the wake sources.
        let awaited = |cycle: &Cycle| trace.site(trace.awaits().get(cycle.waiting_on().0?)?.site);
        let cycles: Vec<Cycle> = task.lane.cycles().collect();
        for pair in cycles.windows(2).filter(|_| task.name().starts_with("locker")) {
            let [source, next] = [&pair[0], &pair[1]].map(|cycle| awaited(cycle).map(|site| &*site.source));
            let (_, cause) = pair[0].first_wake().expect("the task was polled again");
            let is_woken_so = match source {
                Some("sleep") => cause == WakeSource::Driver,
                Some("Mutex::lock") => matches!(cause, WakeSource::Task(by) if by != task.id),
                other => other.is_none(),
            };
            assert!(is_woken_so, "{}: {source:?} was ended by {cause:?}", task.name());
            // Each task alternates between the lock and the sleep.
            assert!(source.is_none() || source != next, "{}: twice {source:?}", task.name());
        }
    }
    assert!(session.source("tests/apps/scenarios.rs").is_some_and(|text| text.contains("lock.lock().await")));
}

#[test]
fn scenarios_match_counts_on_one_thread() {
    for (scenario, polls) in [
        (&["rwlock"][..], 60),
        (&["semaphore"], 60),
        (&["barrier"], 60),
        (&["channels"], 60),
        (&["sleeps", "--tasks", "100"], 600),
        (&["blocking"], 8),
        (&["self-waker"], 60),
        (&["stuck"], 3),
        (&["nothing"], 1),
    ] {
        let session = run(scenario, polls);
        let trace = session.trace();
        match scenario[0] {
            "rwlock" => {
                assert!(has(trace, "RwLock::read", AwaitKind::Sync));
                assert!(has(trace, "RwLock::write", AwaitKind::Sync));
            }
            "semaphore" => assert!(has(trace, "Semaphore::acquire", AwaitKind::Sync)),
            "barrier" => assert!(has(trace, "Barrier::wait", AwaitKind::Sync)),
            "self-waker" => assert!(trace.tasks().iter().any(|task| task.counts.self_wakes > 5)),
            "blocking" => {
                let longest = trace.counts().longest_poll_ns;
                assert!(longest >= 200_000_000, "the blocking poll is recorded: {longest}");
                assert!(trace.tasks().iter().any(|task| task.meta.kind == TaskKind::Blocking));
            }
            _ => {}
        }
        assert_eq!(trace.multi_threaded_since().is_some(), scenario[0] == "blocking", "{scenario:?}");
    }
}

#[test]
fn scenarios_match_counts_on_three_threads() {
    for (scenario, polls) in [
        ("mutex", 60),
        ("rwlock", 60),
        ("semaphore", 60),
        ("barrier", 60),
        ("channels", 60),
        ("blocking", 8),
        ("self-waker", 60),
        ("stuck", 6),
    ] {
        let session = run(&[scenario, "--threads", "3"], polls);
        assert!(session.trace().multi_threaded_since().is_some(), "{scenario}");
        assert!(note(&session).contains("wake sources are unknown while several tasks run"), "{}", note(&session));
        // The workers of the runtime are blocking tasks that run all the time. They do not count as polls of the loop.
        let trace = session.trace();
        let others = trace.tasks().iter().filter(|task| task.meta.kind != TaskKind::Blocking);
        let polls = others.flat_map(|task| task.lane.cycles().filter_map(|cycle| Some(cycle.end()? - cycle.start)));
        assert!(trace.counts().longest_poll_ns <= polls.max().unwrap_or(0), "{scenario}");
    }
}

#[test]
fn json_report_of_an_app() {
    let app = example_app_path();
    let output = loopscope(&["exec", "--headless", "--json", "--full", "--", app.to_str().expect("text"), "quits"]);
    assert_eq!(output.exit_code, Some(0), "{}", output.stderr);
    let report: Value = serde_json::from_str(&output.stdout).expect("standard output is JSON");
    assert_eq!(report["source"]["kind"], "exec");
    assert!(report["source"]["name"].as_str().is_some_and(|name| name.ends_with("app quits")));
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"completed".into(), &"exact".into()));
    let lines: Vec<_> = report["output"].as_array().expect("a list").iter().map(|line| &line["text"]).collect();
    assert_eq!(lines[0], "ready");
    let own = counts(lines[1].as_str().expect("text"));
    for (name, own) in own {
        let task = report["tasks"].as_array().expect("a list").iter().find(|task| task["name"] == *name);
        let task = task.unwrap_or_else(|| panic!("no task {name}"));
        assert_eq!((&task["polls"], &task["wakes"], &task["state"]), (&own["polls"], &own["wakes"], &"done".into()));
    }
    assert_eq!((&report["feeds"]["agree"], &report["loop"]["parked_ns"]), (&true.into(), &Value::Null));
    assert!(report["feeds"]["recording"]["events"].as_u64() > Some(500));
    // The end of main may be missing from the recording.
    assert!(report["feeds"]["recording"]["unfinished"].is_boolean(), "{}", report["feeds"]["recording"]);
    assert!(report["feeds"]["console"]["updates"].as_u64() > Some(0));
}

#[test]
fn panic_is_noted_from_the_output() {
    let mut started = start(&["panics"]);
    until(&mut started.session, "the panic and the task's end", |trace, _| {
        let has_ended = trace.tasks().iter().any(|task| task.name() == "panicker" && task.outcome.is_some());
        has_ended && trace.output().lines().iter().any(|line| line.text.contains("panicked at"))
    });
    let trace = started.session.trace();
    let panicker = trace.tasks().iter().find(|task| task.name() == "panicker").expect("it is there");
    assert_eq!(
        panicker.outcome,
        Some(TaskOutcome::Unknown),
        "the recording does not distinguish a panic from a return"
    );
    assert!(note(&started.session).contains("the app's output shows a panic"), "{}", note(&started.session));
    let (_, outcome) = started.stop();
    assert_eq!(outcome, RunOutcome::Completed(Value::Null), "the app itself continues");
}

#[test]
fn exit_status_determines_the_outcome() {
    assert_eq!(failed(end(&mut shell("exit 3"))), "exited with code 3");
    assert_eq!(failed(end(&mut shell("kill -9 $$"))), "killed by SIGKILL");
    assert_eq!(end(&mut shell("true")), RunOutcome::Completed(Value::Null));
    let folder = TempFolder::new("exec-refused");
    std::fs::write(folder.path_of("text"), "no program").expect("write the file");
    let text = folder.path_of("text");
    for (command, expected) in [
        ("no-such-program-anywhere", "not found in PATH"),
        ("/nowhere/at/all", "no such file"),
        (text.to_str().expect("text"), "not executable"),
        ("/", "not executable"),
    ] {
        let mut session =
            ExecSession::start(&words(&[command]), AppStdin::Null, MEMORY_BYTES).expect("create the session");
        let why = failed(end(&mut session));
        assert!(why.contains(command) && why.contains(expected), "{why}");
        let output = loopscope(&["exec", "--headless", "--json", "--", command]);
        let report: Value = serde_json::from_str(&output.stdout).expect("the report is JSON");
        assert_eq!((output.exit_code, &report["outcome"]), (Some(1), &"failed".into()), "{}", output.stderr);
        assert!(output.stderr.contains(expected), "{}", output.stderr);
    }
    assert_eq!(loopscope(&["exec", "--headless", "--"]).exit_code, Some(2), "missing command");
}

#[test]
fn app_without_console_has_an_explanation() {
    let output = loopscope(&["exec", "--headless", "--", "/bin/echo", "hi"]);
    assert_eq!(output.exit_code, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("hi") && output.stdout.contains("\nno tasks\n"), "{}", output.stdout);
    assert!(output.stderr.contains("does not call console_subscriber::init()"), "{}", output.stderr);
    let mut session = shell("sleep 1000");
    until(&mut session, "time to pass", |trace, _| trace.now() > 0);
    assert!(note(&session).contains("no recording yet"), "{}", note(&session));
    assert_eq!(session.status().connection.expect("the session has a connection").state, ConnectionState::AwaitingData);
}

#[test]
fn killed_app_leaves_its_trace() {
    let mut started = start(&["mutex"]);
    let pid = started.pid();
    until(&mut started.session, "polls", |trace, _| trace.counts().polls > 60);
    assert!(Process::new("kill").args(["-9", &pid]).status().expect("run kill").success());
    assert_eq!(failed(end(&mut started.session)), "killed by SIGKILL");
    let trace = started.session.trace();
    assert!(trace.counts().polls > 60);
    assert_eq!(trace.disagreements(), [], "the console's counts agree up to the kill");
    assert_eq!(started.session.status().control_level, ControlLevel::ReadOnly);
}

#[test]
fn truncated_last_line_is_noted() {
    let stamp = r#""at":{"secs_since_epoch":1,"nanos_since_epoch":2}"#;
    let script = format!(
        r#"printf '{{"v":1}}\n{{"Spawn":{{"id":7,{stamp},"fields":[]}}}}\n{{"Enter":{{"id":7,"a' > "$TOKIO_CONSOLE_RECORD_PATH"; kill -9 $$"#
    );
    let mut session = shell(&script);
    assert_eq!(failed(end(&mut session)), "killed by SIGKILL");
    assert_eq!(session.trace().tasks().len(), 1);
    assert!(note(&session).contains("last line truncated"), "{}", note(&session));

    let mut session = shell("echo hello > \"$TOKIO_CONSOLE_RECORD_PATH\"");
    assert!(failed(end(&mut session)).contains("not a console-subscriber recording"));
}

#[test]
fn unsupported_recording_is_reported_and_drained() {
    // This is far more than a pipe holds, and includes lines that would create tasks if they were parsed.
    let stamp = r#""at":{"secs_since_epoch":1,"nanos_since_epoch":2}"#;
    let script = format!(
        r#"exec 3> "$TOKIO_CONSOLE_RECORD_PATH"; printf '{{"v":7}}\n' >&3; read -r go < "$0"
        yes '{{"Spawn":{{"id":7,{stamp},"fields":[]}}}}' | head -n 20000 >&3; printf '{{"v":9}}\n' >&3; echo written"#
    );
    let folder = TempFolder::new("exec-unreadable");
    let go = folder.path_of("go");
    assert!(Process::new("mkfifo").arg(&go).status().expect("run mkfifo").success());
    let command = words(&["sh", "-c", &script, go.to_str().expect("text")]);
    let mut session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
    crate::example_app::wait_until("the error", || {
        session.pump(Duration::from_millis(5));
        note(&session).contains("format version 7")
    });
    assert!(!note(&session).contains("tracing") && !note(&session).contains('\n'), "{}", note(&session));
    assert_eq!(session.status().phase, RunPhase::Running, "the app itself continues");
    std::fs::write(&go, "go\n").expect("write to the app");
    let why = failed(end(&mut session));
    assert!(why.contains("version 7"), "the first error is reported: {why}");
    assert_eq!(session.trace().tasks().len(), 0, "the rest is not parsed");
    assert!(session.trace().output().lines().iter().any(|line| &*line.text == "written"), "the app was never blocked");
}

#[test]
fn app_gets_environment_and_private_pipe() {
    let mut session = shell(
        "echo $TOKIO_CONSOLE_BIND; echo $TOKIO_CONSOLE_PUBLISH_INTERVAL $TOKIO_CONSOLE_BUFFER_CAPACITY; stat -c %a \"$(dirname $TOKIO_CONSOLE_RECORD_PATH)\"; \
         echo $TOKIO_CONSOLE_RECORD_PATH; printf '\\033[31mred\\n' >&2",
    );
    end(&mut session);
    let lines: Vec<String> = session.trace().output().lines().iter().map(|line| line.text.to_string()).collect();
    let printed = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(printed("127.0.0.1:") && printed("5ms 8192") && printed("700"), "{lines:?}");
    assert!(printed("! red"), "standard error is marked and has no colours: {lines:?}");
    let pipe =
        lines.iter().find(|line| line.ends_with("recording")).map(PathBuf::from).expect("the app printed the path");
    assert!(!pipe.exists() && !pipe.parent().expect("the path has a parent").exists(), "the folder is removed");
}

/// Returns the state letter of a process in `/proc`, or `None` if the process does not exist.
fn state_of(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn stopped_process_takes_no_loop_time() {
    /// Length of the stop.
    const STOP: Duration = Duration::from_secs(2);
    let began = Instant::now();
    let mut started = start(&["mutex"]);
    let pid = started.pid();
    let session = &mut started.session;
    until(session, "polls", |trace, _| trace.counts().polls > 30);
    session.command(SessionCommand::FreezeProcess(true));
    until(session, "the stop", |_, status| status.phase == RunPhase::Paused);
    assert_eq!(session.status().control_level, ControlLevel::Process);
    assert!(note(session).contains("SIGSTOP"), "{}", note(session));
    until(session, "the process to stop", |_, _| state_of(&pid) == Some('T'));
    let stopped = Instant::now();
    until(session, "time to pass", |_, _| stopped.elapsed() > STOP);
    let (now, polls) = (session.trace().now(), session.trace().counts().polls);
    assert!(!session.pump(Duration::from_millis(5)) || session.trace().now() == now, "loop time is paused");
    session.command(SessionCommand::FreezeProcess(false));
    assert_eq!(session.status().phase, RunPhase::Running);
    until(session, "more polls", |trace, _| trace.counts().polls > polls + 30);
    let (own, _) = started.stop();
    let trace = started.session.trace();
    assert_eq!(trace.pauses().count(), 1, "the stop is one pause");
    let wall_ns = u64::try_from(began.elapsed().as_nanos()).expect("the time fits");
    let stop_ns = u64::try_from(STOP.as_nanos()).expect("the time fits");
    assert!(trace.now() + stop_ns <= wall_ns, "{} and {stop_ns} in {wall_ns}", trace.now());
    for task in trace.tasks() {
        let totals = task.lane.totals_at(trace.now());
        assert!(totals.busy_ns < stop_ns && trace.counts().longest_poll_ns < stop_ns, "{}: {totals:?}", task.name());
    }
    for (name, own) in own {
        let task = trace.tasks().iter().find(|task| task.name() == name).expect("the task is in the trace");
        assert_eq!(own["polls"], task.counts.polls, "{name}");
    }
}

#[test]
fn quit_ends_the_app_and_its_children() {
    let mut session = shell("sleep 1000 & echo $!; trap '' TERM; echo $$; while true; do sleep 0.05; done");
    until(&mut session, "two lines", |trace, _| trace.output().lines().len() == 2);
    let pids: Vec<String> = session.trace().output().lines().iter().map(|line| line.text.to_string()).collect();
    assert!(pids.iter().all(|pid| state_of(pid).is_some()));
    // This includes a stopped process and one that ignores SIGTERM.
    session.command(SessionCommand::FreezeProcess(true));
    until(&mut session, "the stop", |_, status| status.phase == RunPhase::Paused);
    session.command(SessionCommand::Quit);
    assert_eq!(end(&mut session), RunOutcome::Cancelled);
    drop(session);
    crate::example_app::wait_until("both processes to end", || {
        pids.iter().all(|pid| state_of(pid).is_none_or(|state| state == 'Z'))
    });

    let mut session = shell("echo $$; sleep 1000");
    until(&mut session, "a line", |trace, _| trace.output().lines().len() == 1);
    let pid = session.trace().output().lines()[0].text.to_string();
    drop(session);
    crate::example_app::wait_until("the app to end with the session", || state_of(&pid).is_none());
}

#[test]
fn child_that_ignores_sigterm_is_killed() {
    let stubborn = "sh -c 'trap \"\" TERM; echo $$; while true; do sleep 0.05; done'";
    let is_gone = |pid: &str| state_of(pid).is_none_or(|state| state == 'Z');
    for quits_first in [true, false] {
        let mut session = shell(&format!("{stubborn} & wait"));
        until(&mut session, "a line", |trace, _| trace.output().lines().len() == 1);
        let pid = session.trace().output().lines()[0].text.to_string();
        assert!(!is_gone(&pid));
        if quits_first {
            session.command(SessionCommand::Quit);
            assert_eq!(end(&mut session), RunOutcome::Cancelled);
        }
        drop(session);
        crate::example_app::wait_until("the rest of the group to end", || is_gone(&pid));
    }
}

#[test]
fn time_limit_and_signals_end_the_app() {
    let output =
        loopscope(&["exec", "--headless", "--json", "--for", "300ms", "--", "sh", "-c", "echo $$; sleep 1000"]);
    let report: Value = serde_json::from_str(&output.stdout).expect("the report is JSON");
    assert_eq!((output.exit_code, &report["outcome"]), (Some(0), &"cancelled".into()), "{}", output.stderr);
    assert_eq!(state_of(report["output"][0]["text"].as_str().expect("the first line is a process id")), None);

    end_by("-TERM");
    // Skip SIGHUP if it is ignored, because the suite runs under `nohup`.
    let status = std::fs::read_to_string("/proc/self/status").expect("read /proc");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("the status has SigIgn");
    if u64::from_str_radix(ignored.trim(), 16).expect("parse the mask") & 1 == 0 {
        end_by("-HUP");
    }
}

/// Ends a headless exec with `signal` and checks that the app is gone and there is a report.
fn end_by(signal: &str) {
    let folder = TempFolder::new("exec-signal");
    let pid_file = folder.path_of("pid");
    let script = format!("echo $$ > {}; sleep 1000", pid_file.display());
    let child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["exec", "--headless", "--json", "--", "sh", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run the binary");
    let pid = || std::fs::read_to_string(&pid_file).ok().filter(|text| text.ends_with('\n'));
    crate::example_app::wait_until("the app", || pid().is_some());
    Process::new("kill").args([signal, &child.id().to_string()]).status().expect("run kill");
    let output = child.wait_with_output().expect("wait for the binary");
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(report["outcome"], "cancelled");
    assert_eq!(state_of(pid().expect("the app wrote its process id").trim()), None);
}

#[test]
fn second_signal_cleans_up_at_once() {
    let folder = TempFolder::new("exec-second-signal");
    let [signalled, info_file] = ["signalled", "pid"].map(|name| folder.path_of(name));
    // The app ignores SIGTERM but notes it, and prints its process id and the path of its recording.
    let script = format!(
        "trap 'echo > {}' TERM; echo $$ $TOKIO_CONSOLE_RECORD_PATH > {}; while true; do sleep 0.01; done",
        signalled.display(),
        info_file.display()
    );
    let mut child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["exec", "--headless", "--json", "--", "sh", "-c", &script])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("run the binary");
    let info = || std::fs::read_to_string(&info_file).ok().filter(|text| text.ends_with('\n'));
    crate::example_app::wait_until("the app", || info().is_some());
    let info = info().expect("the app wrote its information");
    let (pid, recording) = info.trim().split_once(' ').expect("two values");
    let interrupt = || Process::new("kill").arg(child.id().to_string()).status().expect("run kill");
    interrupt();
    crate::example_app::wait_until("the app's SIGTERM", || signalled.exists());
    interrupt();
    assert_eq!(child.wait().expect("wait for the binary").code(), Some(130));
    crate::example_app::wait_until("the app to end", || state_of(pid).is_none_or(|state| state == 'Z'));
    assert!(
        !std::path::Path::new(recording).parent().expect("the path has a parent").exists(),
        "the folder is removed"
    );
}

#[test]
fn child_that_records_too_is_not_mixed_in() {
    let script = r#"
        spawn() { echo '{"Spawn":{"id":'$1',"at":{"secs_since_epoch":'$(date +%s)',"nanos_since_epoch":0},"fields":[]}}'; }
        inode() { stat -c %i "$TOKIO_CONSOLE_RECORD_PATH"; }
        before=$(inode)
        exec 3> "$TOKIO_CONSOLE_RECORD_PATH"
        { echo '{"v":1}'; spawn 1; } >&3
        while [ "$(inode)" = "$before" ]; do sleep 0.01; done
        for child in 1 2; do
            before=$(inode)
            ( exec 4> "$TOKIO_CONSOLE_RECORD_PATH"
              { echo '{"v":1}'; spawn 1; spawn 9; } >&4
              while [ "$(inode)" = "$before" ]; do sleep 0.01; done )
        done
        spawn 2 >&3"#;
    let mut session = shell(script);
    end(&mut session);
    assert_eq!(session.trace().tasks().len(), 2, "tasks of the app");
    let stats = session.trace().recording_stats().expect("there is a recording");
    assert_eq!((stats.skipped_lines, stats.lines), (0, 3));
    let note = note(&session);
    assert!(note.contains("2 other processes of the app also called console_subscriber::init()"), "{note}");
}

#[test]
fn output_is_shown_as_a_terminal_would() {
    let script = r"printf '\033[32mINFO\033[0m ready\n1%%\r2%%\rdone\n'; printf 'name? '; exec sleep 60";
    let mut session = shell(script);
    until(&mut session, "the prompt", |trace, _| trace.output().pending().next().is_some());
    let texts = |trace: &Trace| -> Vec<String> {
        let output = trace.output();
        output.lines().iter().chain(output.pending()).map(|line| line.text.to_string()).collect()
    };
    assert_eq!(texts(session.trace()), ["INFO ready", "done", "name? "]);
    session.command(SessionCommand::Quit);
    until(&mut session, "the end", is_over);
    assert_eq!(texts(session.trace()), ["INFO ready", "done", "name? "]);
    assert!(session.trace().output().pending().next().is_none(), "the line has ended");
}

#[test]
fn output_flood_is_dropped_and_counted() {
    let folder = TempFolder::new("exec-flood");
    let written = folder.path_of("written");
    let mut session = shell(&format!("yes 0123456789 | head -c 5000000; echo > {}", written.display()));
    // The session is not pumped until the app has written everything.
    crate::example_app::wait_until("all output", || written.exists());
    end(&mut session);
    let lines = session.trace().output().lines();
    let lost = lines.iter().filter(|line| line.text.contains("dropped: printed faster")).count();
    assert!(lost > 0 || lines.len() + usize::try_from(session.trace().output().dropped()).unwrap_or(0) > 400_000);
}

/// Returns whether the process is stopped.
fn is_stopped(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process exists");
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[test]
fn app_is_stopped_while_loopscope_is_suspended() {
    let command = ["sh", "-c", "echo $$; sleep 1000"].map(Into::into);
    let mut session = ExecSession::start(&command, AppStdin::Null, 1 << 20).expect("create the session");
    until(&mut session, "its process id", |trace, _| !trace.output().lines().is_empty());
    let pid = session.trace().output().lines()[0].text.to_string();
    let mut launcher = crate::fake_session::FakeLauncher::default();
    let mut harness = crate::terminal::EventLoopHarness::new(&mut launcher);
    harness.event_loop.watch(Box::new(session), None);
    let mut has_stopped = false;
    harness.event_loop.with_sessions_suspended(|| {
        crate::example_app::wait_until("the app to stop", || is_stopped(&pid));
        has_stopped = true;
    });
    assert!(has_stopped);
    crate::example_app::wait_until("the app to continue", || !is_stopped(&pid));
    let mut session = harness.event_loop.into_session().expect("the session exists");
    crate::example_app::wait_until("the pause", || {
        session.pump(Duration::from_millis(5));
        session.trace().pauses().count() == 1
    });
}
