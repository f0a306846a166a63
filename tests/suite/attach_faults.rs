//! Attach faults, each over a real socket: nothing hangs, and nothing is lost silently.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::tasks::{Stats, Task, TaskUpdate};
use console_api::{Field, Id, PollStats};
use loopscope::control::{ConnectionState, RunOutcome, RunPhase, SessionCommand};
use loopscope::session::Session;
use prost_types::Timestamp;
use serde_json::Value as Json;

use crate::attach::{attach, note, state, until};
use crate::cli::loopscope;
use crate::example_app::{ExampleApp, PATIENCE, free_port, socket_path};
use crate::fake_console::FakeConsole;

/// Listens, and calls `serve` with each connection on its own thread. Returns the address.
fn listen(mut serve: impl FnMut(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(&mut serve));
    format!("http://{address}")
}

/// Attaches, and asserts that the connection is retried for a reason that contains `why`.
#[track_caller]
fn assert_attach_fails(address: &str, why: &str) {
    let mut session = attach(address);
    assert_eq!(session.status().phase, RunPhase::Running, "it is there at once");
    until(&mut session, why, |_, status| {
        matches!(state(status), ConnectionState::Retrying { .. }) && note(status).contains(why)
    });
    assert!(session.trace().tasks().is_empty());
    session.command(SessionCommand::Quit);
    let status = session.status();
    assert_eq!(status.phase, RunPhase::Ended);
    assert!(matches!(status.outcome, Some(RunOutcome::Failed(said)) if said.contains(why)));
}

#[test]
fn explains_connection_failures() {
    assert_attach_fails(&format!("http://127.0.0.1:{}", free_port()), "connection refused");
    assert_attach_fails(&format!("unix:{}", socket_path().display()), "no such socket");
    assert_attach_fails("http://no-such-host.invalid:6669", "no such host");
}

#[test]
fn report_holds_the_connection_error() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let ran = loopscope(&["attach", &address, "--for", "300ms", "--headless", "--json"]);
    assert_eq!(ran.exit_code, Some(1));
    let report: Json = serde_json::from_str(&ran.stdout).expect("one document, whatever happens");
    assert_eq!(report["outcome"], "failed");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("connection refused")), "{report}");
    assert_eq!(report["tasks"], serde_json::json!([]));
    assert!(ran.stderr.contains(&address) && ran.stderr.contains("connection refused"), "{}", ran.stderr);
}

#[test]
fn rejects_several_or_invalid_addresses() {
    let ran = loopscope(&["attach", "7000", "7001", "--headless"]);
    assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("once for each address"), "{}", ran.stderr);
    let ran = loopscope(&["attach", "https://localhost:7000", "--headless"]);
    assert_eq!(ran.exit_code, Some(2));
    assert!(ran.stderr.contains("TLS is not supported"), "{}", ran.stderr);
}

#[test]
fn retries_back_off_and_can_be_forced() {
    let mut session = attach(&format!("http://127.0.0.1:{}", free_port()));
    let mut waits = Vec::new();
    while waits.len() < 7 {
        let before = waits.len() as u32;
        until(
            &mut session,
            "an attempt",
            |_, status| matches!(state(status), ConnectionState::Retrying { attempts, .. } if attempts > before),
        );
        if let ConnectionState::Retrying { attempts, wait_ms } = state(&session.status()) {
            waits.resize(attempts as usize, wait_ms);
        }
        session.command(SessionCommand::Reconnect);
    }
    assert!(waits.is_sorted() && waits.last() == Some(&5_000), "{waits:?}");
}

#[test]
fn reports_a_server_that_never_answers() {
    let mut connections = Vec::new();
    let mut session = attach(&listen(move |connection| connections.push(connection)));
    until(&mut session, "a note", |_, status| {
        state(status) == ConnectionState::AwaitingData && note(status).contains("no answer yet")
    });
    session.command(SessionCommand::Quit);
    assert!(matches!(session.status().outcome, Some(RunOutcome::Failed(said)) if said.contains("no answer yet")));
}

#[test]
fn detects_a_web_server() {
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let serve = move |mut connection: TcpStream| {
        let mut request = [0; 24];
        let _ = connection.read(&mut request);
        let _ = connection.write_all(answer.as_bytes());
    };
    assert_attach_fails(&listen(serve), "HTTP/1");
}

#[test]
fn detects_another_protocol() {
    let serve = |mut connection: TcpStream| {
        let _ = connection.write_all(&[0xfe; 4_096]);
        let mut rest = Vec::new();
        let _ = connection.take(1 << 16).read_to_end(&mut rest);
    };
    assert_attach_fails(&listen(serve), "does not speak gRPC");
}

/// Forwards connections to `to`, and cuts each one after the number of bytes that `bytes` returns.
pub fn cut_after(to: &str, mut bytes: impl FnMut() -> u64 + Send + 'static) -> String {
    let to = to.strip_prefix("http://").expect("it is a TCP address").to_owned();
    listen(move |client| {
        let limit = bytes();
        // A program may report ready before its console has opened the socket.
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            match TcpStream::connect(&to) {
                Ok(server) => break server,
                Err(error) => assert!(Instant::now() < deadline, "it never listens: {error}"),
            }
            std::thread::yield_now();
        };
        let (mut client_in, mut server_out) =
            (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut client_in, &mut server_out));
        std::thread::spawn(move || {
            let (mut client, server) = (client, server);
            let _ = std::io::copy(&mut (&server).take(limit), &mut client);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    })
}

#[test]
fn recovers_from_a_truncated_message() {
    let app = ExampleApp::start(&["sleeps", "--tasks", "500"]);
    // The console receives its tasks in batches. Once it has all of them, its first message is a long one.
    until(&mut attach(&app.address), "all of its tasks", |trace, _| trace.tasks().len() > 500);
    let mut limits = [30_000, u64::MAX].into_iter();
    let mut session = attach(&cut_after(&app.address, move || limits.next().unwrap_or(u64::MAX)));
    until(&mut session, "a broken connection", |_, status| matches!(state(status), ConnectionState::Retrying { .. }));
    assert!(session.trace().tasks().is_empty(), "half a message has no effect");
    until(&mut session, "a whole message", |trace, status| {
        trace.tasks().len() > 500 && state(status) == ConnectionState::Live
    });
    assert_eq!(session.trace().gaps().count(), 0, "there was nothing before it");
}

#[test]
fn reconnect_leaves_a_gap_in_the_session() {
    let app = ExampleApp::start(&["mutex"]);
    let mut limits = [60_000, u64::MAX].into_iter();
    let mut session = attach(&cut_after(&app.address, move || limits.next().unwrap_or(u64::MAX)));
    until(&mut session, "the gap", |trace, _| trace.gaps().count() > 0);
    until(&mut session, "more", |trace, _| trace.gaps().next().is_some_and(|gap| gap.to < trace.now()));
    let trace = session.trace();
    let names: Vec<_> = trace.tasks().iter().map(|task| &*task.meta.name).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["locker-0", "locker-1", "locker-2"], "each is still one task");
    assert!(trace.gaps().all(|gap| gap.from < gap.to && gap.is_disconnected));
    assert_eq!(trace.probe_feed_counts().1, 0, "nothing was dropped, only missed");
    until(&mut session, "the live state", |_, status| state(status) == ConnectionState::Live);
    assert!(session.successor().is_none(), "it is the same process");
}

#[test]
fn restarted_program_is_another_session() {
    let port = free_port();
    let app = ExampleApp::start_at(&["mutex"], port);
    let mut session = attach(&app.address);
    until(&mut session, "tasks", |trace, _| trace.tasks().len() == 4);
    app.kill();
    until(&mut session, "the loss", |_, status| state(status) == ConnectionState::Lost);
    assert_eq!(session.status().outcome, Some(RunOutcome::Detached));
    assert!(note(&session.status()).contains("connection refused"), "{:?}", session.status().connection);
    let (tasks, now) = (session.trace().tasks().len(), session.trace().now());

    let _again = ExampleApp::start_at(&["semaphore"], port);
    session.command(SessionCommand::Reconnect);
    let deadline = Instant::now() + PATIENCE;
    let mut successor = loop {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
        if let Some(successor) = session.successor() {
            break successor;
        }
        assert!(Instant::now() < deadline, "no successor: {:?}", session.status());
    };
    until(&mut *successor, "its tasks", |trace, _| trace.tasks().len() == 5);
    let named = |name: &str| successor.trace().tasks().iter().any(|task| &*task.meta.name == name);
    assert!(named("worker-3") && !named("locker-0"));
    until(&mut *successor, "the live state", |_, status| state(status) == ConnectionState::Live);
    session.pump(Duration::from_millis(5));
    assert_eq!((session.trace().tasks().len(), session.trace().now()), (tasks, now), "nothing was added to the first");
    assert!(note(&session.status()).contains("another process answers"), "{:?}", session.status().connection);
}

fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos })
}

/// A task with its creation and poll time, in seconds.
fn task_with_stats(id: u64, name: String, created: i64, polled: i64) -> (Task, Stats) {
    let name =
        Field { metadata_id: None, name: Some(Name::StrName("task.name".into())), value: Some(Value::StrVal(name)) };
    let task = Task { id: Some(Id { id }), fields: vec![name], ..Task::default() };
    let poll = PollStats {
        polls: 1,
        first_poll: at(polled, 0),
        last_poll_started: at(polled, 0),
        last_poll_ended: at(polled, 1_000),
        busy_time: None,
    };
    (task, Stats { created_at: at(created, 0), poll_stats: Some(poll), ..Stats::default() })
}

fn update(now: i64, tasks: impl IntoIterator<Item = (Task, Stats)>) -> Update {
    let mut task_update = TaskUpdate::default();
    for (task, stats) in tasks {
        task_update.stats_update.insert(task.id.as_ref().map_or(0, |id| id.id), stats);
        task_update.new_tasks.push(task);
    }
    Update { now: at(now, 0), task_update: Some(task_update), ..Update::default() }
}

#[test]
fn app_without_tasks_has_an_explanation() {
    let console = FakeConsole::start((1_000..1_005).map(|now| update(now, [])).collect());
    let mut session = attach(&console.address);
    until(&mut session, "an explanation", |_, status| {
        let text = note(status);
        ["no task reported", "tokio_unstable", "at their first use"].iter().all(|part| text.contains(part))
    });
}

#[test]
fn clock_steps_are_reported() {
    let name = |name: &str| name.to_owned();
    let updates = vec![
        update(1_000, [task_with_stats(1, name("first"), 990, 995)]),
        update(1_001, [task_with_stats(2, name("second"), 1_001, 1_001)]),
        update(400, [task_with_stats(3, name("set-back"), 400, 400)]),
        update(401, []),
        update(500_000, [task_with_stats(4, name("set-forward"), 500_000, 500_000)]),
        update(500_001, [task_with_stats(5, name("stray"), 1, 900_000)]),
    ];
    let console = FakeConsole::start(updates);
    let mut session = attach(&console.address);
    until(&mut session, "everything", |trace, _| trace.console_feed_counts().0 == 6);
    until(&mut session, "both notes", |_, status| {
        note(status).contains("2 clock steps in the app") && note(status).contains("timestamps out of range")
    });
    let trace = session.trace();
    let spawned: Vec<_> = trace.tasks().iter().map(|task| task.lane.spawned_at() / 1_000_000_000).collect();
    assert_eq!(spawned[..2], [0, 11]);
    assert!(spawned[..4].is_sorted() && trace.now() < 60_000_000_000, "{spawned:?} until {}", trace.now());
    let note = note(&session.status()).to_owned();
    assert!(note.contains("2 clock steps in the app") && note.contains("timestamps out of range"), "{note}");
    assert_eq!(console.pauses(), 0, "the console is never paused");
}

/// Returns the peak memory of a process, in MB.
fn most_memory_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1_024)
}

#[test]
fn message_of_200_mb_is_bounded() {
    const TASKS: u64 = 40_000;
    let long = "x".repeat(5_000);
    let mut first = update(1_000, (1..=TASKS).map(|id| task_with_stats(id, format!("{id}-{long}"), 990, 995)));
    // One entry that is larger than the limit by itself.
    let endless = task_with_stats(TASKS + 1, "y".repeat(10 << 20), 990, 995);
    first.task_update.as_mut().expect("just made").new_tasks.push(endless.0);
    let console = FakeConsole::start_once(vec![first, update(1_001, [])]);
    let folder = crate::example_app::TempFolder::new("attach-two-hundred");
    let out = folder.path_of("report");
    let mut child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        // A busy machine may take long to encode the message before its first byte.
        .args(["attach", &console.address, "--headless", "--json", "--for", "10m"])
        .stdout(Stdio::from(std::fs::File::create(&out).expect("write to the test folder")))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built with the tests");
    // It exits once it has received everything, because then its program is gone.
    let mut most_mb = 0;
    crate::example_app::wait_until("its end", || {
        most_mb = most_mb.max(most_memory_mb(child.id()).unwrap_or(0));
        child.try_wait().expect("wait for the child").is_some()
    });
    let output = child.wait_with_output().expect("wait for the child");
    let report = std::fs::read(&out).expect("it is there");
    let report: Json = serde_json::from_slice(&report).expect("one document");
    let tasks = report["tasks"].as_array().expect("it is a list");
    assert_eq!(tasks.len() as u64, TASKS, "every task of a sensible size");
    assert!(tasks.iter().all(|task| task["name"].as_str().is_some_and(|name| name.len() <= 256)));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 message entries skipped"), "{said}");
    assert!((1..600).contains(&most_mb), "{most_mb} MB for a message of 200 MB");
}

#[test]
fn stopped_app_leaves_a_gap() {
    let seconds = [1_000, 1_001, 1_002, 1_003, 1_013, 1_014];
    let console = FakeConsole::start(seconds.map(|now| update(now, [])).into());
    let mut session = attach(&console.address);
    until(&mut session, "everything", |trace, _| trace.console_feed_counts().0 == 6);
    let gaps: Vec<_> = session.trace().gaps().map(|gap| (gap.from, gap.to, gap.is_disconnected)).collect();
    assert_eq!(gaps, [(3_000_000_000, 13_000_000_000, true)]);
    let ran = loopscope(&["attach", &console.address, "--headless", "--for", "500ms"]);
    assert!(ran.stdout.contains("gap from 3 s to 13 s: no updates"), "{}", ran.stdout);
}

#[test]
fn text_report_has_the_measured_sums() {
    let app = ExampleApp::start(&["mutex"]);
    until(&mut attach(&app.address), "all of its tasks", |trace, _| trace.tasks().len() == 4);
    let ran = loopscope(&["attach", &app.address, "--headless", "--for", "500ms"]);
    let rows: Vec<_> = ran.stdout.lines().filter(|line| line.contains("locker-")).collect();
    assert_eq!(rows.len(), 3, "{}", ran.stdout);
    assert!(rows.iter().all(|row| !row.contains('?')), "{rows:?}");
}

#[test]
fn trickled_first_update_is_no_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(400);
    let tasks = (1..=50).map(|id| task_with_stats(id, format!("task-{id}"), 990, 995));
    let console = FakeConsole::start(vec![update(1_000, tasks)]);
    let to = console.address.strip_prefix("http://").expect("it is a TCP address").to_owned();
    let (permits, permit) = std::sync::mpsc::channel::<()>();
    let mut permit = Some(permit);
    let address = listen(move |client| {
        let Some(permit) = permit.take() else { return };
        let mut server = TcpStream::connect(&to).expect("the console listens");
        let (mut client_in, mut server_out) =
            (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut client_in, &mut server_out));
        std::thread::spawn(move || {
            let (mut client, mut bytes) = (client, [0; 1]);
            // Without further permits, the rest follows at once.
            while server.read(&mut bytes).is_ok_and(|read| read > 0) && client.write_all(&bytes).is_ok() {
                let _ = permit.recv();
            }
        });
    });
    let mut session = attach(&address);
    session.set_answer_timeout(TIMEOUT);
    // A byte arrives with each round, for several times the timeout.
    let started = Instant::now();
    while started.elapsed() < TIMEOUT * 4 {
        permits.send(()).expect("the connection is open");
        session.pump(Duration::from_millis(1));
        session.wait(Duration::from_millis(5));
        assert_eq!(session.status().phase, RunPhase::Running, "{:?}", session.status());
    }
    drop(permits);
    session.set_answer_timeout(PATIENCE);
    until(&mut session, "the update", |trace, _| trace.tasks().len() == 50);
}

#[test]
fn backs_off_from_a_server_that_closes() {
    let console = FakeConsole::start_closing(vec![update(1_000, [task_with_stats(1, "only".into(), 990, 995)])]);
    let mut session = attach(&console.address);
    let mut waits = Vec::new();
    while waits.len() < 6 {
        let before = waits.last().copied().unwrap_or(0);
        until(
            &mut session,
            "a longer wait",
            |_, status| matches!(state(status), ConnectionState::Retrying { wait_ms, .. } if wait_ms > before),
        );
        if let ConnectionState::Retrying { wait_ms, .. } = state(&session.status()) {
            waits.push(wait_ms);
        }
        session.command(SessionCommand::Reconnect);
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000]);
    assert!(note(&session.status()).contains("connections in a row"), "{:?}", session.status().connection);
}

#[test]
fn rejected_arguments_leave_no_file() {
    let folder = crate::example_app::TempFolder::new("attach-refused");
    let file = folder.path_of("seen.loop");
    let [file, nowhere] = [file.to_str().expect("text"), "nowhere/at/all"];
    for words in [
        &["attach", "--headless", "--record", file, "--source", nowhere][..],
        &["exec", "--headless", "--record", file, "--source", nowhere, "--", "true"],
    ] {
        let ran = loopscope(words);
        assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("no such folder") && !std::path::Path::new(file).exists(), "{}", ran.stderr);
    }
}
