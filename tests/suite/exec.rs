//! Apps that loopscope starts: real ones of tokio's own primitives, held against what they count themselves, and every
//! way in which an app can go wrong.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{Command, LinkState, Outcome, Phase, Status, Steering};
use loopscope::session::{ExecSession, Stdin};
use loopscope::trace::{AwaitKind, Cause, Cycle, Ending, Task, TaskKind, Trace};
use serde_json::Value;

use crate::attach::until;
use crate::cli::loopscope;
use crate::outside::{Folder, app, counts};

const MEMORY_BYTES: usize = 256 << 20;

/// The app, started by us, with its standard input in our hands.
struct Started {
    session: ExecSession,
    /// Closed, it ends the app.
    input: Option<File>,
    _folder: Folder,
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn shell(script: &str) -> ExecSession {
    ExecSession::start(&words(&["sh", "-c", script]), Stdin::Nothing, MEMORY_BYTES).expect("it can be tried")
}

fn start(scenario: &[&str]) -> Started {
    let folder = Folder::new(&format!("exec-{}", scenario.join("-")));
    let input = folder.file("input");
    assert!(Process::new("mkfifo").arg(&input).status().expect("there is mkfifo").success());
    let app = app();
    // It says who it is, and then is the app.
    let script = "echo $$; input=$0; exec \"$@\" < \"$input\"";
    let mut command = words(&["sh", "-c", script, input.to_str().expect("text"), app.to_str().expect("text")]);
    command.extend(words(scenario));
    let session = ExecSession::start(&command, Stdin::Nothing, MEMORY_BYTES).expect("it can be tried");
    let session = session.built_in(env!("CARGO_MANIFEST_DIR").into());
    let input = OpenOptions::new().write(true).open(&input).expect("the app reads it");
    Started { session, input: Some(input), _folder: folder }
}

impl Started {
    fn pid(&mut self) -> String {
        until(&mut self.session, "its first line", |trace, _| !trace.output().lines().is_empty());
        self.session.trace().output().lines()[0].text.to_string()
    }

    /// Lets its tasks end, waits until everything of them is told by both witnesses, and ends it. Gives what they counted
    /// themselves, and how it came out.
    fn stop(&mut self) -> (serde_json::Map<String, Value>, Outcome) {
        writeln!(self.input.as_mut().expect("it runs"), "stop").expect("it reads");
        let is_counts = |line: &str| line.starts_with('{');
        until(&mut self.session, "its counts", |trace, _| {
            trace.output().lines().back().is_some_and(|line| is_counts(&line.text))
        });
        let own = counts(&self.session.trace().output().lines().back().expect("it printed").text);
        until(&mut self.session, "its tasks' ends", |trace, _| {
            own.iter().all(|(name, own)| {
                let task = trace.tasks().iter().find(|task| task.name() == *name);
                let is_whole = |task: &Task| {
                    task.console().is_some_and(|told| own["polls"] == told.polls && own["wakes"] == told.wakes)
                        && task.spawned.location.is_some()
                        && task.ending.is_some()
                };
                task.is_some_and(is_whole)
            })
        });
        self.input = None;
        (own, end(&mut self.session))
    }
}

fn is_over(_: &Trace, status: &Status) -> bool {
    status.phase == Phase::Ended
}

fn end(session: &mut ExecSession) -> Outcome {
    until(session, "its end", is_over);
    session.status().outcome.expect("it has ended")
}

fn failed(outcome: Outcome) -> String {
    let Outcome::Failed(why) = outcome else { panic!("it should have failed: {outcome:?}") };
    why
}

fn note(session: &ExecSession) -> String {
    crate::attach::note(&session.status()).to_owned()
}

/// Starts `scenario`, lets it run for so many polls, ends it, and holds every task against its own counts.
#[track_caller]
fn run(scenario: &[&str], polls: u64) -> ExecSession {
    run_until(scenario, |trace| trace.counts().polls >= polls)
}

/// The same, until `reached`.
#[track_caller]
fn run_until(scenario: &[&str], reached: impl Fn(&Trace) -> bool) -> ExecSession {
    let mut started = start(scenario);
    until(&mut started.session, "its polls", |trace, _| reached(trace) && trace.console().0 >= 4);
    assert_eq!(started.session.status().steering, Steering::Process);
    let (own, outcome) = started.stop();
    let trace = started.session.trace();
    assert_eq!(outcome, Outcome::Completed(Value::Null));
    assert!(!own.is_empty() || scenario[0] == "nothing");
    for (name, own) in own {
        let task = trace.tasks().iter().find(|task| task.name() == name).unwrap_or_else(|| panic!("no task {name}"));
        let told = serde_json::json!({"polls": task.counts.polls, "wakes": task.counts.wakes});
        assert_eq!(told, own, "{scenario:?}: {name}");
        assert!(task.ending.is_some(), "{scenario:?}: {name} ended with the program");
        assert_eq!(
            task.spawned.location.as_ref().map(|place| &*place.file),
            Some("tests/apps/counted.rs"),
            "{scenario:?}: {name} of {:?}, {:?}",
            trace.console(),
            task.console()
        );
    }
    assert_eq!(trace.disagreements(), [], "{scenario:?}: its console counted the same");
    assert!(trace.tasks().iter().filter(|task| task.console().is_some()).count() > 0);
    let recorded = trace.recorded().expect("it is recorded");
    assert_eq!((recorded.skipped, recorded.unknown, recorded.lost, recorded.unspawned), (0, 0, 0, 0));
    started.session
}

/// Source and line's file of every await, with how many there are.
fn awaits(trace: &Trace) -> BTreeMap<(String, &'static str), usize> {
    let mut found = BTreeMap::new();
    for (_, told) in trace.awaits().iter() {
        let site = trace.site(told.site).expect("it is told");
        let location = site.location.as_ref().expect("the wire says where");
        assert!(location.file.contains("tests/apps/"), "{location}");
        *found.entry((site.source.to_string(), site.kind.name())).or_default() += 1;
    }
    found
}

fn has(trace: &Trace, source: &str, kind: AwaitKind) -> bool {
    awaits(trace).contains_key(&(source.to_owned(), kind.name()))
}

#[test]
fn a_mutex_is_seen_to_the_poll_with_who_woke_whom_and_what_was_awaited() {
    // What it waits for has a name, as soon as its console keeps up.
    let named = |task: &Task| task.lane.cycles().filter(|cycle| cycle.waiting_on().0.is_some()).count();
    let lockers =
        |trace: &Trace| trace.tasks().iter().filter(|task| task.name().starts_with("locker")).map(named).min();
    let session = run_until(&["mutex", "--abort"], |trace| {
        trace.counts().polls >= 60 && lockers(trace).is_some_and(|named| named >= 15)
    });
    let trace = session.trace();
    assert_eq!(trace.many_threads(), None);
    assert!(has(trace, "Mutex::lock", AwaitKind::Sync) && has(trace, "sleep", AwaitKind::Timer), "{:?}", awaits(trace));
    for task in trace.tasks().iter().filter(|task| task.spawned.kind == TaskKind::Task) {
        assert_eq!(task.ending, Some(Ending::Cancelled), "{}: it was aborted", task.name());
        // Whoever gives the lock back wakes the next; a sleep is ended by the timer.
        let causes: Vec<_> = task.wakes().map(|(_, cause)| cause).collect();
        assert!(causes.contains(&Cause::Driver) && causes.iter().any(|cause| matches!(cause, Cause::Task(_))));
        assert!(!causes.contains(&Cause::Task(task.id)));
        // However many names came in time: each is the right one, for who woke it tells what it waited for.
        let awaited = |cycle: &Cycle| trace.site(trace.awaits().get(cycle.waiting_on().0?)?.site);
        let cycles: Vec<Cycle> = task.lane.cycles().collect();
        for pair in cycles.windows(2).filter(|_| task.name().starts_with("locker")) {
            let [source, next] = [&pair[0], &pair[1]].map(|cycle| awaited(cycle).map(|site| &*site.source));
            let (_, cause) = pair[0].wake().expect("it was polled again");
            let is_woken_so = match source {
                Some("sleep") => cause == Cause::Driver,
                Some("Mutex::lock") => matches!(cause, Cause::Task(by) if by != task.id),
                other => other.is_none(),
            };
            assert!(is_woken_so, "{}: {source:?} was ended by {cause:?}", task.name());
            // Whoever has the lock sleeps next, and whoever has slept waits for it.
            assert!(source.is_none() || source != next, "{}: twice {source:?}", task.name());
        }
    }
    assert!(session.source("tests/apps/scenarios.rs").is_some_and(|text| text.contains("lock.lock().await")));
}

#[test]
fn every_scenario_on_one_thread() {
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
                assert!(longest >= 200_000_000, "a poll that blocks is seen to: {longest}");
                assert!(trace.tasks().iter().any(|task| task.spawned.kind == TaskKind::Blocking));
            }
            _ => {}
        }
        assert_eq!(trace.many_threads().is_some(), scenario[0] == "blocking", "{scenario:?}");
    }
}

#[test]
fn every_scenario_on_three_threads() {
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
        assert!(session.trace().many_threads().is_some(), "{scenario}");
        assert!(note(&session).contains("who woke whom is a guess"), "{}", note(&session));
        // The runtime's own workers run all the time, and keep no loop.
        let trace = session.trace();
        let others = trace.tasks().iter().filter(|task| task.spawned.kind != TaskKind::Blocking);
        let polls = others.flat_map(|task| task.lane.cycles().filter_map(|cycle| Some(cycle.end()? - cycle.start)));
        assert!(trace.counts().longest_poll_ns <= polls.max().unwrap_or(0), "{scenario}");
    }
}

#[test]
fn a_report_of_an_app_is_one_document() {
    let app = app();
    let ran = loopscope(&["exec", "--headless", "--json", "--full", "--", app.to_str().expect("text"), "quits"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("one document and nothing else");
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
    // main's own end may or may not be written in time.
    assert!(report["feeds"]["recording"]["unfinished"].is_boolean(), "{}", report["feeds"]["recording"]);
    assert!(report["feeds"]["console"]["updates"].as_u64() > Some(0));
}

#[test]
fn a_panic_is_told_as_far_as_anybody_tells_of_it() {
    let mut started = start(&["panics"]);
    until(&mut started.session, "the panic and the task's end", |trace, _| {
        let has_ended = trace.tasks().iter().any(|task| task.name() == "panicker" && task.ending.is_some());
        has_ended && trace.output().lines().iter().any(|line| line.text.contains("panicked at"))
    });
    let trace = started.session.trace();
    let panicker = trace.tasks().iter().find(|task| task.name() == "panicker").expect("it is there");
    assert_eq!(panicker.ending, Some(Ending::Done), "its recording tells no more than that it is gone");
    assert!(note(&started.session).contains("its output tells of a panic"), "{}", note(&started.session));
    let (_, outcome) = started.stop();
    assert_eq!(outcome, Outcome::Completed(Value::Null), "the app itself goes on");
}

#[test]
fn how_an_app_ends_is_how_it_comes_out() {
    assert_eq!(failed(end(&mut shell("exit 3"))), "exited with 3");
    assert_eq!(failed(end(&mut shell("kill -9 $$"))), "killed by SIGKILL");
    assert_eq!(end(&mut shell("true")), Outcome::Completed(Value::Null));
    let folder = Folder::new("exec-refused");
    std::fs::write(folder.file("text"), "no program").expect("the folder is ours");
    let text = folder.file("text");
    for (command, expected) in [
        ("no-such-program-anywhere", "not found in PATH"),
        ("/nowhere/at/all", "no such file"),
        (text.to_str().expect("text"), "not executable"),
        ("/", "not executable"),
    ] {
        let mut session =
            ExecSession::start(&words(&[command]), Stdin::Nothing, MEMORY_BYTES).expect("it can be tried");
        let why = failed(end(&mut session));
        assert!(why.contains(command) && why.contains(expected), "{why}");
        let ran = loopscope(&["exec", "--headless", "--json", "--", command]);
        let report: Value = serde_json::from_str(&ran.out).expect("there is a report");
        assert_eq!((ran.code, &report["outcome"]), (Some(1), &"failed".into()), "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
    assert_eq!(loopscope(&["exec", "--headless", "--"]).code, Some(2), "there is no command");
}

#[test]
fn an_app_without_a_console_runs_and_it_is_said_why_there_are_no_tasks() {
    let ran = loopscope(&["exec", "--headless", "--", "/bin/echo", "hi"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("hi") && ran.out.contains("no task was spawned"), "{}", ran.out);
    assert!(ran.err.contains("does not call console_subscriber::init()"), "{}", ran.err);
    let mut session = shell("sleep 1000");
    until(&mut session, "time to pass", |trace, _| trace.now() > 0);
    assert!(note(&session).contains("has not begun to record"), "{}", note(&session));
    assert_eq!(session.status().link.expect("it is not ours").state, LinkState::Waiting);
}

#[test]
fn an_app_that_is_killed_leaves_its_trace() {
    let mut started = start(&["mutex"]);
    let pid = started.pid();
    until(&mut started.session, "polls", |trace, _| trace.counts().polls > 60);
    assert!(Process::new("kill").args(["-9", &pid]).status().expect("there is kill").success());
    assert_eq!(failed(end(&mut started.session)), "killed by SIGKILL");
    let trace = started.session.trace();
    assert!(trace.counts().polls > 60);
    assert_eq!(trace.disagreements(), [], "what the console had told by then is true");
    assert_eq!(started.session.status().steering, Steering::Nothing);
}

#[test]
fn a_writer_that_is_killed_in_the_middle_of_a_line_is_no_trouble() {
    let stamp = r#""at":{"secs_since_epoch":1,"nanos_since_epoch":2}"#;
    let script = format!(
        r#"printf '{{"v":1}}\n{{"Spawn":{{"id":7,{stamp},"fields":[]}}}}\n{{"Enter":{{"id":7,"a' > "$TOKIO_CONSOLE_RECORD_PATH"; kill -9 $$"#
    );
    let mut session = shell(&script);
    assert_eq!(failed(end(&mut session)), "killed by SIGKILL");
    assert_eq!(session.trace().tasks().len(), 1);
    assert!(note(&session).contains("its last line is cut off"), "{}", note(&session));

    let mut session = shell("echo hello > \"$TOKIO_CONSOLE_RECORD_PATH\"");
    assert!(failed(end(&mut session)).contains("no recording of console-subscriber"));
}

#[test]
fn a_recording_that_cannot_be_understood_is_said_at_once_and_drained_to_its_end() {
    // Far more than a pipe holds, and in it what would make tasks if it were read.
    let stamp = r#""at":{"secs_since_epoch":1,"nanos_since_epoch":2}"#;
    let script = format!(
        r#"exec 3> "$TOKIO_CONSOLE_RECORD_PATH"; printf '{{"v":7}}\n' >&3; read -r go < "$0"
        yes '{{"Spawn":{{"id":7,{stamp},"fields":[]}}}}' | head -n 20000 >&3; printf '{{"v":9}}\n' >&3; echo written"#
    );
    let folder = Folder::new("exec-unreadable");
    let go = folder.file("go");
    assert!(Process::new("mkfifo").arg(&go).status().expect("there is mkfifo").success());
    let command = words(&["sh", "-c", &script, go.to_str().expect("text")]);
    let mut session = ExecSession::start(&command, Stdin::Nothing, MEMORY_BYTES).expect("it can be tried");
    crate::outside::until("it to be said", || {
        session.pump(Duration::from_millis(5));
        note(&session).contains("format version 7")
    });
    assert!(!note(&session).contains("tracing") && !note(&session).contains('\n'), "{}", note(&session));
    assert_eq!(session.status().phase, Phase::Running, "the app itself goes on");
    std::fs::write(&go, "go\n").expect("it is read");
    let why = failed(end(&mut session));
    assert!(why.contains("version 7"), "the first that is wrong is what is told: {why}");
    assert_eq!(session.trace().tasks().len(), 0, "nothing is read out of its middle");
    assert!(session.trace().output().lines().iter().any(|line| &*line.text == "written"), "it was never held up");
}

#[test]
fn the_app_is_told_where_to_listen_and_to_record() {
    let mut session = shell(
        "echo $TOKIO_CONSOLE_BIND; echo $TOKIO_CONSOLE_PUBLISH_INTERVAL; stat -c %a \"$(dirname $TOKIO_CONSOLE_RECORD_PATH)\"; \
         echo $TOKIO_CONSOLE_RECORD_PATH; printf '\\033[31mred\\n' >&2",
    );
    end(&mut session);
    let lines: Vec<String> = session.trace().output().lines().iter().map(|line| line.text.to_string()).collect();
    let said = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(said("127.0.0.1:") && said("10ms") && said("700"), "{lines:?}");
    assert!(said("! \u{fffd}[31mred"), "standard error is marked, and nothing in it reaches the terminal: {lines:?}");
    let pipe = lines.iter().find(|line| line.ends_with("recording")).map(PathBuf::from).expect("a path");
    assert!(!pipe.exists() && !pipe.parent().expect("a folder").exists(), "nothing is left behind");
}

fn state_of(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_stop_of_the_process_takes_no_loop_time() {
    /// How long it stands still.
    const STOP: Duration = Duration::from_secs(2);
    let began = Instant::now();
    let mut started = start(&["mutex"]);
    let pid = started.pid();
    let session = &mut started.session;
    until(session, "polls", |trace, _| trace.counts().polls > 30);
    session.command(Command::Freeze(true));
    until(session, "the stop", |_, status| status.phase == Phase::Paused);
    assert_eq!(session.status().steering, Steering::Process);
    assert!(note(session).contains("SIGSTOP"), "{}", note(session));
    until(session, "it to stand", |_, _| state_of(&pid) == Some('T'));
    let stopped = Instant::now();
    until(session, "time to pass", |_, _| stopped.elapsed() > STOP);
    let (now, polls) = (session.trace().now(), session.trace().counts().polls);
    assert!(!session.pump(Duration::from_millis(5)) || session.trace().now() == now, "loop time stands");
    session.command(Command::Freeze(false));
    assert_eq!(session.status().phase, Phase::Running);
    until(session, "it to go on", |trace, _| trace.counts().polls > polls + 30);
    let (own, _) = started.stop();
    let trace = started.session.trace();
    assert_eq!(trace.pauses().count(), 1, "it is a mark");
    let wall_ns = u64::try_from(began.elapsed().as_nanos()).expect("it is not that long");
    let stop_ns = u64::try_from(STOP.as_nanos()).expect("it is not that long");
    assert!(trace.now() + stop_ns <= wall_ns, "{} and {stop_ns} in {wall_ns}", trace.now());
    for task in trace.tasks() {
        let totals = task.lane.totals_at(trace.now());
        assert!(totals.busy_ns < stop_ns && trace.counts().longest_poll_ns < stop_ns, "{}: {totals:?}", task.name());
    }
    for (name, own) in own {
        let task = trace.tasks().iter().find(|task| task.name() == name).expect("it is told");
        assert_eq!(own["polls"], task.counts.polls, "{name}");
    }
}

#[test]
fn to_leave_ends_the_app_and_all_that_it_started() {
    let mut session = shell("sleep 1000 & echo $!; trap '' TERM; echo $$; while true; do sleep 0.05; done");
    until(&mut session, "two lines", |trace, _| trace.output().lines().len() == 2);
    let pids: Vec<String> = session.trace().output().lines().iter().map(|line| line.text.to_string()).collect();
    assert!(pids.iter().all(|pid| state_of(pid).is_some()));
    // A stopped one too, and one that takes no notice of being asked.
    session.command(Command::Freeze(true));
    until(&mut session, "the stop", |_, status| status.phase == Phase::Paused);
    session.command(Command::Quit);
    assert_eq!(end(&mut session), Outcome::Cancelled);
    drop(session);
    crate::outside::until("both to go", || pids.iter().all(|pid| state_of(pid).is_none_or(|state| state == 'Z')));

    let mut session = shell("echo $$; sleep 1000");
    until(&mut session, "a line", |trace, _| trace.output().lines().len() == 1);
    let pid = session.trace().output().lines()[0].text.to_string();
    drop(session);
    crate::outside::until("its app to end with the session", || state_of(&pid).is_none());
}

#[test]
fn what_takes_no_notice_of_being_asked_ends_even_where_its_shell_is_gone_before_it() {
    let stubborn = "sh -c 'trap \"\" TERM; echo $$; while true; do sleep 0.05; done'";
    let is_gone = |pid: &str| state_of(pid).is_none_or(|state| state == 'Z');
    for is_asked in [true, false] {
        let mut session = shell(&format!("{stubborn} & wait"));
        until(&mut session, "a line", |trace, _| trace.output().lines().len() == 1);
        let pid = session.trace().output().lines()[0].text.to_string();
        assert!(!is_gone(&pid));
        if is_asked {
            session.command(Command::Quit);
            assert_eq!(end(&mut session), Outcome::Cancelled);
        }
        drop(session);
        crate::outside::until("the rest of the group to go", || is_gone(&pid));
    }
}

#[test]
fn a_limit_and_a_signal_end_the_app_and_leave_a_report() {
    let ran = loopscope(&["exec", "--headless", "--json", "--for", "300ms", "--", "sh", "-c", "echo $$; sleep 1000"]);
    let report: Value = serde_json::from_str(&ran.out).expect("there is a report");
    assert_eq!((ran.code, &report["outcome"]), (Some(0), &"cancelled".into()), "{}", ran.err);
    assert_eq!(state_of(report["output"][0]["text"].as_str().expect("a number")), None);

    end_by("-TERM");
    // Where the suite itself runs under `nohup`, a hangup is nothing to anybody.
    let status = std::fs::read_to_string("/proc/self/status").expect("there is /proc");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("it is told");
    if u64::from_str_radix(ignored.trim(), 16).expect("it is a number") & 1 == 0 {
        end_by("-HUP");
    }
}

fn end_by(signal: &str) {
    let folder = Folder::new("exec-signal");
    let said = folder.file("pid");
    let script = format!("echo $$ > {}; sleep 1000", said.display());
    let child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["exec", "--headless", "--json", "--", "sh", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary is built with the tests");
    let pid = || std::fs::read_to_string(&said).ok().filter(|text| text.ends_with('\n'));
    crate::outside::until("the app", || pid().is_some());
    Process::new("kill").args([signal, &child.id().to_string()]).status().expect("there is kill");
    let ran = child.wait_with_output().expect("it ends");
    assert_eq!(ran.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&ran.stdout).expect("there is a report");
    assert_eq!(report["outcome"], "cancelled");
    assert_eq!(state_of(pid().expect("it said so").trim()), None);
}

#[test]
fn a_second_signal_ends_the_app_and_all_that_belongs_to_it_at_once() {
    let folder = Folder::new("exec-second-signal");
    let [asked, said] = ["asked", "pid"].map(|name| folder.file(name));
    // It takes no notice of being asked, but says that it was, and where it was to record.
    let script = format!(
        "trap 'echo > {}' TERM; echo $$ $TOKIO_CONSOLE_RECORD_PATH > {}; while true; do sleep 0.01; done",
        asked.display(),
        said.display()
    );
    let mut child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["exec", "--headless", "--json", "--", "sh", "-c", &script])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary is built with the tests");
    let read = || std::fs::read_to_string(&said).ok().filter(|text| text.ends_with('\n'));
    crate::outside::until("the app", || read().is_some());
    let read = read().expect("it said so");
    let (pid, recording) = read.trim().split_once(' ').expect("both");
    let ask = || Process::new("kill").arg(child.id().to_string()).status().expect("there is kill");
    ask();
    crate::outside::until("the app to be asked", || asked.exists());
    ask();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    crate::outside::until("the app to go", || state_of(pid).is_none_or(|state| state == 'Z'));
    assert!(!std::path::Path::new(recording).parent().expect("a folder").exists(), "nothing is left behind");
}

#[test]
fn a_flood_of_output_holds_nobody_up_and_what_is_lost_is_said() {
    let folder = Folder::new("exec-flood");
    let written = folder.file("written");
    let mut session = shell(&format!("yes 0123456789 | head -c 5000000; echo > {}", written.display()));
    // Nobody takes anything in until it has written everything.
    crate::outside::until("all of it to be written", || written.exists());
    end(&mut session);
    let lines = session.trace().output().lines();
    let lost = lines.iter().filter(|line| line.text.contains("came too fast")).count();
    assert!(lost > 0 || lines.len() + usize::try_from(session.trace().output().dropped()).unwrap_or(0) > 400_000);
}

/// The process stands still, at the system's word.
fn stands(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[test]
fn an_app_that_we_started_stands_while_the_whole_program_does_and_that_is_a_pause() {
    let command = ["sh", "-c", "echo $$; sleep 1000"].map(Into::into);
    let mut session = ExecSession::start(&command, Stdin::Nothing, 1 << 20).expect("it can be tried");
    until(&mut session, "its number", |trace, _| !trace.output().lines().is_empty());
    let pid = session.trace().output().lines()[0].text.to_string();
    let mut stage = crate::stage::Stage::default();
    let mut desk = crate::terminal::Desk::new(&mut stage);
    desk.frames.watch(Box::new(session), None);
    let mut has_stopped = false;
    desk.frames.stop_time(|| {
        crate::outside::until("the app to stand", || stands(&pid));
        has_stopped = true;
    });
    assert!(has_stopped);
    crate::outside::until("the app to go on", || !stands(&pid));
    let mut session = desk.frames.into_session().expect("it is watched");
    crate::outside::until("the pause to be told", || {
        session.pump(Duration::from_millis(5));
        session.trace().pauses().count() == 1
    });
}
