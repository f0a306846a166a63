//! Python programs with asyncio under `exec`: what the programs count themselves equals the report (`tests/asyncio`), and
//! they are paused, stepped, held and cancelled.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use loopscope::control::{ControlLevel, RunPhase, SessionCommand};
use loopscope::feed::app_probe::AppProbeDecoder;
use loopscope::session::{AppStdin, ExecSession, Session};
use loopscope::trace::{Task, TaskOutcome, Trace};
use loopscope_probe::protocol::{
    Command as ProbeCommand, CommandKind, SECRET_VARIABLE, SOCKET_VARIABLE, VERSION, write_frame,
};
use serde_json::Value;

use crate::attach::until;
use crate::cli::{loopscope, loopscope_with_env};
use crate::example_app::TempFolder;

const MEMORY_BYTES: usize = 64 << 20;

/// Names under which a Python that is tested may be on the path; further ones are those of `scripts/fetch-pythons`.
const PYTHONS: [&str; 6] = ["python3", "python3.9", "python3.11", "python3.12", "python3.13", "python3.14"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the version of a Python that works and is supported, as it says itself.
fn version_of(python: &str) -> Option<String> {
    let code = "import sys, asyncio; assert sys.version_info >= (3, 9); print(sys.version)";
    let output = Command::new(python).args(["-c", code]).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns each Python that is found, one of each version. Says so if there is none.
pub fn pythons() -> Vec<String> {
    let fetched = std::fs::read_dir(repository().join("target/pythons")).into_iter().flatten().flatten();
    let fetched = fetched.map(|entry| entry.path().join("python3").display().to_string());
    let mut versions = BTreeSet::new();
    let mut is_new = |python: &String| version_of(python).is_some_and(|version| versions.insert(version));
    let found: Vec<_> = PYTHONS.map(str::to_owned).into_iter().chain(fetched).filter(|python| is_new(python)).collect();
    if found.is_empty() {
        println!("SKIPPED: there is no python3 of version 3.9 or later");
    }
    found
}

/// Returns the program of the notes with this name.
fn workload(name: &str) -> String {
    repository().join("workloads/asyncio").join(name).display().to_string()
}

/// Runs a program under `exec` and returns its report.
fn report_of(python: &str, program: &str, variables: &[(&str, &str)]) -> Value {
    let ran = loopscope_with_env(&["exec", "--headless", "--json", "--full", "--", python, program], variables);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{program}: {}", ran.stderr))
}

fn list<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the lines that a program printed, each with the name of its task.
fn output_of(report: &Value) -> Vec<(&str, &str)> {
    let name = |line: &Value| {
        let task = list(report, "tasks").iter().find(|task| task["id"] == line["task"]);
        task.and_then(|task| task["name"].as_str()).unwrap_or_default()
    };
    list(report, "output").iter().map(|line| (name(line), line["text"].as_str().expect("text"))).collect()
}

/// Returns the programs that count their own tasks and steps.
fn counting_programs() -> Vec<PathBuf> {
    let folder = repository().join("tests/asyncio");
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let is_program = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "py")
            && path.file_stem().is_some_and(|stem| stem != "counting")
    };
    let mut programs: Vec<PathBuf> = files.filter(is_program).collect();
    programs.sort();
    programs
}

#[test]
fn counts_of_programs_agree() {
    let programs = counting_programs();
    assert!(programs.len() >= 40, "{} programs", programs.len());
    let folder = TempFolder::new("asyncio-counts");
    let counts = folder.path_of("counts").display().to_string();
    for python in pythons() {
        for program in &programs {
            let program = program.display().to_string();
            let _ = std::fs::remove_file(&counts);
            let report = report_of(&python, &program, &[("LOOPSCOPE_TEST_COUNTS", &counts)]);
            let text = std::fs::read_to_string(&counts).unwrap_or_else(|_| panic!("{python} {program}: {report}"));
            let counted: Value = serde_json::from_str(&text).expect("JSON");
            let tasks: Vec<&Value> = list(&report, "tasks").iter().filter(|task| task["role"] == "task").collect();
            let steps: u64 = tasks.iter().filter_map(|task| task["polls"].as_u64()).sum();
            let found = serde_json::json!({ "tasks": tasks.len(), "steps": steps });
            assert_eq!(found, counted, "{python} {program}");
            assert_eq!(report["feeds"]["probe"]["dropped"], 0, "{python} {program}");
            // One of them exits inside a task.
            let outcome = if program.ends_with("exit_in_task.py") { "failed" } else { "completed" };
            assert_eq!(report["outcome"], outcome, "{python} {program}: {}", report["error"]);
            assert!(tasks.iter().all(|task| task["state"] != "running"), "{python} {program}");
        }
    }
}

#[test]
fn counters_sleep_at_the_same_time() {
    for python in pythons() {
        let program = workload("countasync.py");
        let report = report_of(&python, &program, &[]);
        let names = ["count", "count-2", "count-3"];
        let expected: Vec<_> = ["One", "Two"].iter().flat_map(|text| names.map(|name| (name, *text))).collect();
        assert_eq!(output_of(&report), expected, "{python}");
        let elapsed_ns = report["elapsed_ns"].as_u64().expect("a number");
        assert!(elapsed_ns >= 1_000_000_000, "{python}: {elapsed_ns}");
        let awaits = list(&report, "awaits");
        let sleeps: Vec<_> = awaits.iter().filter(|found| found["source"] == "sleep").collect();
        assert_eq!(sleeps.len(), 3, "{python}: {awaits:?}");
        let location = format!("{program}:8");
        assert!(sleeps.iter().all(|found| found["location"] == *location && found["outcome"] == "ready"), "{sleeps:?}");
        for name in names {
            let task = list(&report, "tasks").iter().find(|task| task["name"] == name).expect("the task");
            let chain = "count (countasync.py:8)";
            assert_eq!(
                (&task["await_chain"][0], &task["polls"], &task["wakes"]),
                (&chain.into(), &2.into(), &1.into())
            );
            assert_eq!(task["location"], format!("{program}:13"), "{python}");
        }
        assert!(list(&report, "findings").is_empty(), "{python}: {}", report["findings"]);
        let causes: Vec<_> = list(&report, "wakes").iter().map(|wake| wake["cause"].as_str().expect("text")).collect();
        assert_eq!(causes, ["driver", "driver", "driver", "task"], "{python}: three timers, then the last counter");
    }
}

#[test]
fn line_that_blocks_the_loop_is_named() {
    for python in pythons() {
        let program = workload("countsync.py");
        let report = report_of(&python, &program, &[]);
        let [finding] = list(&report, "findings") else { panic!("{python}: {}", report["findings"]) };
        // What a busy machine keeps the program from running is not counted.
        let count = finding["count"].as_u64().expect("a number");
        assert!(finding["name"] == "blocked-loop" && (1..=3).contains(&count), "{python}: {finding}");
        assert_eq!(finding["location"], format!("{program}:9"), "{python}: {finding}");
    }
}

#[test]
fn rules_are_broken_and_explained() {
    for python in pythons() {
        let program = workload("rules.py");
        let report = report_of(&python, &program, &[]);
        let mut names: Vec<_> =
            list(&report, "findings").iter().map(|found| found["name"].as_str().expect("text")).collect();
        names.sort_unstable();
        assert_eq!(names, ["failed-task", "never-awaited"], "{python}: {}", report["findings"]);
        let lines = output_of(&report);
        let warning = format!("{program}:56: RuntimeWarning: coroutine 'forgotten' was never awaited");
        assert!(lines.iter().any(|(_, line)| line.contains(&warning)), "{python}: as without loopscope: {lines:?}");
    }
}

/// Runs a program of the notes on a virtual clock and returns its report.
fn virtual_report(python: &str, name: &str) -> Value {
    let program = workload(name);
    let ran = loopscope(&["exec", "--clock", "virtual", "--headless", "--json", "--full", "--", python, &program]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{program}: {}", ran.stderr))
}

#[test]
fn virtual_clock_makes_the_notes_exact() {
    let cases = [
        ("countasync.py", 1, "Two"),
        ("countsync.py", 3, "Two"),
        ("gather.py", 10, "[[1, 2, 3], [0, 5, 10]]"),
        ("generator.py", 3, "page 3"),
        ("chess_async.py", 3_655, "every game is over after 3655 s"),
        ("chess_sync.py", 43_200, "game 24 is over after 43200 s"),
    ];
    for python in pythons() {
        for (name, seconds, last) in cases {
            let report = virtual_report(&python, name);
            let line = output_of(&report).last().map_or("", |(_, text)| *text).to_owned();
            let elapsed = report["elapsed_ns"].as_u64().expect("a number");
            assert_eq!((elapsed, line.as_str()), (seconds * 1_000_000_000, last), "{python} {name}");
            assert_eq!((&report["source"]["clock"], &report["outcome"]), (&"virtual".into(), &"completed".into()));
        }
        // As for their twins.
        for (name, line, count, evidence) in [
            ("countsync.py", 9, 3, "1 blocking call, the longest 1 s: time.sleep at "),
            ("chess_sync.py", 19, 1, "1,440 blocking calls, the longest 55 s: time.sleep at "),
        ] {
            let report = virtual_report(&python, name);
            let [finding] = list(&report, "findings") else { panic!("{python}: {}", report["findings"]) };
            let location = format!("{}:{line}", workload(name));
            assert_eq!((&finding["count"], &finding["location"]), (&count.into(), &location.into()), "{python}");
            assert_eq!((&finding["name"], &finding["certain"]), (&"blocked-loop".into(), &true.into()), "{python}");
            assert!(finding["evidence"].as_str().is_some_and(|text| text.contains(evidence)), "{python}: {finding}");
        }
    }
}

#[test]
fn virtual_clock_is_refused() {
    let waits =
        "import asyncio\nasync def main():\n    await asyncio.open_connection('127.0.0.1', 1)\nasyncio.run(main())";
    let starts = "import asyncio, time\nasync def main():\n    await asyncio.to_thread(time.time)\nasyncio.run(main())";
    let exec = ["exec", "--clock", "virtual", "--headless", "--"];
    for python in pythons() {
        for (program, problem) in [(waits, "<string>:3 opens a socket"), (starts, "<string>:3 starts a thread")] {
            let ran = loopscope(&[&exec[..], &[&python, "-c", program]].concat());
            assert_eq!(ran.exit_code, Some(1), "{python}");
            let reason = "a virtual clock is for programs that only sleep and compute";
            assert!(ran.stdout.contains(reason) && ran.stdout.contains(problem), "{python}: {}", ran.stdout);
        }
    }
    let ran = loopscope(&[&exec[..], &["true"]].concat());
    assert!(ran.exit_code == Some(1) && ran.stderr.contains("only Python programs with asyncio"), "{}", ran.stderr);
}

/// A program that runs until it is ended.
const LOOPING: &str = "
import asyncio
async def work():
    while True:
        await asyncio.sleep(0)
async def idle():
    await asyncio.sleep(3600)
async def main():
    tasks = [asyncio.create_task(work()), asyncio.create_task(work()), asyncio.create_task(idle(), name='idle')]
    try:
        await tasks[2]
    except asyncio.CancelledError:
        print('idle was cancelled', flush=True)
    await asyncio.gather(*tasks[:2])
asyncio.run(main())
";

fn task<'a>(trace: &'a Trace, name: &str) -> Option<&'a Task> {
    trace.tasks().iter().find(|task| task.name() == name)
}

fn polls(trace: &Trace, name: &str) -> u64 {
    task(trace, name).map_or(0, |task| task.counts.polls)
}

#[test]
fn program_is_paused_and_stepped() {
    for python in pythons() {
        let command = [&python, "-c", LOOPING].map(OsString::from);
        let mut session = ExecSession::start(&command, AppStdin::Null, MEMORY_BYTES).expect("create the session");
        until(&mut session, "some polls", |trace, _| trace.counts().polls > 100 && task(trace, "idle").is_some());
        assert_eq!(session.status().control_level, ControlLevel::Loop, "{python}");
        session.command(SessionCommand::Pause);
        until(&mut session, "the pause", |_, status| status.phase == RunPhase::Paused);
        let before = session.trace().counts().polls;
        session.command(SessionCommand::StepPolls(5));
        // Polls that ended before the pause may have arrived since.
        until(&mut session, "the steps", |trace, status| {
            status.phase == RunPhase::Paused && trace.counts().polls >= before + 5
        });
        let before = session.trace().counts().polls;
        session.command(SessionCommand::StepPolls(7));
        until(&mut session, "seven polls", |trace, status| {
            status.phase == RunPhase::Paused && trace.counts().polls >= before + 7
        });
        assert_eq!(session.trace().counts().polls, before + 7, "{python}");
        let held = task(session.trace(), "work").expect("the task").id;
        session.command(SessionCommand::Hold(held));
        session.command(SessionCommand::Resume);
        let others = polls(session.trace(), "work-2");
        until(&mut session, "the other task", |trace, _| polls(trace, "work-2") > others + 100);
        assert!(polls(session.trace(), "work") <= before + 7, "{python}: it is held");
        let at_hold = polls(session.trace(), "work");
        session.command(SessionCommand::Release(held));
        until(&mut session, "the released task", |trace, _| polls(trace, "work") > at_hold + 10);
        let idle = task(session.trace(), "idle").expect("the task").id;
        session.command(SessionCommand::Cancel(idle));
        until(&mut session, "the end of the cancelled task", |trace, _| {
            task(trace, "idle").is_some_and(|task| task.outcome == Some(TaskOutcome::Cancelled))
                && trace.output().lines().iter().any(|line| &*line.text == "idle was cancelled")
        });
        session.command(SessionCommand::AddBreakpoint("poll work-2".parse().expect("a breakpoint")));
        until(&mut session, "the breakpoint", |_, status| status.phase == RunPhase::Paused);
        let hit = session.hit().expect("a hit");
        assert_eq!(hit.task, task(session.trace(), "work-2").map(|task| task.id), "{python}");
        session.command(SessionCommand::Quit);
        until(&mut session, "the end", |_, status| status.phase == RunPhase::Ended);
    }
}

/// A program that waits for two seconds of its loop, and prints by how much more the system's time has advanced.
const SLEEPING: &str = "
import asyncio, time
async def main():
    loop = asyncio.get_running_loop()
    start = time.monotonic() - loop.time()
    await asyncio.sleep(2)
    print(time.monotonic() - loop.time() - start)
asyncio.run(main())
";

#[test]
fn pause_counts_when_loopscope_is_lost() {
    let folder = TempFolder::new("asyncio-lost");
    let path = folder.path_of("probe");
    for python in pythons() {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let child = Command::new(&python)
            .args(["-c", SLEEPING])
            .env("PYTHONPATH", repository().join("python"))
            .env(SOCKET_VARIABLE, &path)
            .env(SECRET_VARIABLE, "secret")
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let (mut stream, _) = listener.accept().expect("the program connects");
        let mut frames = Vec::new();
        let start = serde_json::json!({ "protocol": VERSION, "secret": "secret", "dump": false });
        write_frame(CommandKind::Start as u8, start.to_string().as_bytes(), &mut frames);
        let pause = serde_json::to_vec(&ProbeCommand::Pause).expect("JSON");
        write_frame(CommandKind::Command as u8, &pause, &mut frames);
        stream.write_all(&frames).expect("the program reads");
        let mut decoder = AppProbeDecoder::of_connection();
        let mut bytes = [0; 1 << 16];
        // The pause lasts until rounds have come for half a second.
        let mut paused_since = None;
        while paused_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(500)) {
            let count = stream.read(&mut bytes).expect("the program sends rounds");
            assert!(count > 0, "{python}: the program closed the connection");
            decoder.push(&bytes[..count]).expect("a stream");
            while let Some(reply) = decoder.take_reply() {
                assert_eq!(reply.error, None, "{python}");
                paused_since = paused_since.or(reply.is_paused.then(Instant::now));
            }
        }
        drop(stream);
        let output = child.wait_with_output().expect("the program ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let cut_out: f64 = text.trim().parse().unwrap_or_else(|_| panic!("{python}: a number, not `{text}`"));
        assert!(output.status.success() && cut_out >= 0.5, "{python}: {cut_out}");
    }
}
