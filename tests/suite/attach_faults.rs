//! Attaching where something is wrong, each fault over a real socket: nothing hangs, nothing is lost silently.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::tasks::{Stats, Task, TaskUpdate};
use console_api::{Field, Id, PollStats};
use loopscope::app::Session;
use loopscope::control::{Command, LinkState, Outcome, Phase};
use prost_types::Timestamp;
use serde_json::Value as Json;

use crate::attach::{attach, note, state, until};
use crate::cli::loopscope;
use crate::fake_console::FakeConsole;
use crate::outside::{App, PATIENCE, free_port, socket_path};

/// Listens and does `serve` with each connection, on a thread of its own.
fn listen(mut serve: impl FnMut(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(&mut serve));
    format!("http://{address}")
}

/// Attaches and waits until it is tried again for a reason that says `why`.
#[track_caller]
fn fails(address: &str, why: &str) {
    let mut session = attach(address);
    assert_eq!(session.status().phase, Phase::Running, "it is there at once");
    until(&mut session, why, |_, status| {
        matches!(state(status), LinkState::Retrying { .. }) && note(status).contains(why)
    });
    assert!(session.trace().tasks().is_empty());
    session.command(Command::Quit);
    let status = session.status();
    assert_eq!(status.phase, Phase::Ended);
    assert!(matches!(status.outcome, Some(Outcome::Failed(said)) if said.contains(why)));
}

#[test]
fn nothing_listens() {
    fails(&format!("http://127.0.0.1:{}", free_port()), "nothing listens there");
    fails(&format!("unix:{}", socket_path().display()), "there is no such socket");
    fails("http://no-such-host.invalid:6669", "no such host");
}

#[test]
fn a_report_says_why_there_is_nothing_in_it() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let ran = loopscope(&["attach", &address, "--for", "300ms", "--headless", "--json"]);
    assert_eq!(ran.code, Some(1));
    let report: Json = serde_json::from_str(&ran.out).expect("one document, whatever happens");
    assert_eq!(report["outcome"], "failed");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("nothing listens there")), "{report}");
    assert_eq!(report["tasks"], serde_json::json!([]));
    assert!(ran.err.contains(&address) && ran.err.contains("nothing listens there"), "{}", ran.err);
}

#[test]
fn several_programs_make_no_report_and_a_bad_address_none_at_all() {
    let ran = loopscope(&["attach", "7000", "7001", "--headless"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("once for each address"), "{}", ran.err);
    let ran = loopscope(&["attach", "https://localhost:7000", "--headless"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("TLS is not spoken here"), "{}", ran.err);
}

#[test]
fn attempts_come_further_apart_and_a_person_need_not_wait() {
    let mut session = attach(&format!("http://127.0.0.1:{}", free_port()));
    let mut waits = Vec::new();
    while waits.len() < 7 {
        let before = waits.len() as u32;
        until(
            &mut session,
            "an attempt",
            |_, status| matches!(state(status), LinkState::Retrying { attempts, .. } if attempts > before),
        );
        if let LinkState::Retrying { attempts, wait_ms } = state(&session.status()) {
            waits.resize(attempts as usize, wait_ms);
        }
        session.command(Command::Retry);
    }
    assert!(waits.is_sorted() && waits.last() == Some(&5_000), "{waits:?}");
}

#[test]
fn a_server_that_never_answers() {
    let mut kept = Vec::new();
    let mut session = attach(&listen(move |connection| kept.push(connection)));
    until(&mut session, "a word about it", |_, status| {
        state(status) == LinkState::Waiting && note(status).contains("gave no answer")
    });
    session.command(Command::Quit);
    assert!(matches!(session.status().outcome, Some(Outcome::Failed(said)) if said.contains("gave no answer")));
}

#[test]
fn a_web_server() {
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let serve = move |mut connection: TcpStream| {
        let mut request = [0; 24];
        let _ = connection.read(&mut request);
        let _ = connection.write_all(answer.as_bytes());
    };
    fails(&listen(serve), "HTTP/1");
}

#[test]
fn garbage() {
    let serve = |mut connection: TcpStream| {
        let _ = connection.write_all(&[0xfe; 4_096]);
        let mut rest = Vec::new();
        let _ = connection.take(1 << 16).read_to_end(&mut rest);
    };
    fails(&listen(serve), "something else than a console");
}

/// Passes connections on to `to`, and cuts each after so many bytes from there, as `bytes` says.
pub fn cut_after(to: &str, mut bytes: impl FnMut() -> u64 + Send + 'static) -> String {
    let to = to.strip_prefix("http://").expect("it is a TCP address").to_owned();
    listen(move |near| {
        let limit = bytes();
        // A program says that it is ready while its console may still be opening its socket.
        let deadline = Instant::now() + PATIENCE;
        let far = loop {
            match TcpStream::connect(&to) {
                Ok(far) => break far,
                Err(error) => assert!(Instant::now() < deadline, "it never listens: {error}"),
            }
            std::thread::yield_now();
        };
        let (mut near_in, mut far_out) = (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        std::thread::spawn(move || {
            let (mut near, far) = (near, far);
            let _ = std::io::copy(&mut (&far).take(limit), &mut near);
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        });
    })
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_message_and_comes_back() {
    let app = App::start(&["sleeps", "--tasks", "500"]);
    // Its console learns of its tasks little by little; once it knows them all, its first message is a long one.
    until(&mut attach(&app.address), "all of its tasks", |trace, _| trace.tasks().len() > 500);
    let mut limits = [30_000, u64::MAX].into_iter();
    let mut session = attach(&cut_after(&app.address, move || limits.next().unwrap_or(u64::MAX)));
    until(&mut session, "a broken connection", |_, status| matches!(state(status), LinkState::Retrying { .. }));
    assert!(session.trace().tasks().is_empty(), "half a message tells nothing");
    until(&mut session, "a whole message", |trace, status| {
        trace.tasks().len() > 500 && state(status) == LinkState::Live
    });
    assert_eq!(session.trace().gaps().count(), 0, "there was nothing before it");
}

#[test]
fn a_connection_that_breaks_leaves_a_gap_in_the_same_session() {
    let app = App::start(&["mutex"]);
    let mut limits = [60_000, u64::MAX].into_iter();
    let mut session = attach(&cut_after(&app.address, move || limits.next().unwrap_or(u64::MAX)));
    until(&mut session, "the hole", |trace, _| trace.gaps().count() > 0);
    until(&mut session, "more", |trace, _| trace.gaps().next().is_some_and(|gap| gap.to < trace.now()));
    let trace = session.trace();
    let names: Vec<_> = trace.tasks().iter().map(|task| &*task.spawned.name).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["locker-0", "locker-1", "locker-2"], "each is still one task");
    assert!(trace.gaps().all(|gap| gap.from < gap.to && gap.is_unwatched));
    assert_eq!(trace.probe().1, 0, "nothing was dropped: nobody listened");
    until(&mut session, "the word of it", |_, status| state(status) == LinkState::Live);
    assert!(session.successor().is_none(), "it is the same process");
}

#[test]
fn a_program_that_comes_back_is_another_one() {
    let port = free_port();
    let app = App::start_at(&["mutex"], port);
    let mut session = attach(&app.address);
    until(&mut session, "tasks", |trace, _| trace.tasks().len() == 4);
    app.kill();
    until(&mut session, "the loss", |_, status| state(status) == LinkState::Lost);
    assert_eq!(session.status().outcome, Some(Outcome::Detached));
    assert!(note(&session.status()).contains("nothing listens there"), "{:?}", session.status().link);
    let (tasks, now) = (session.trace().tasks().len(), session.trace().now());

    let _again = App::start_at(&["semaphore"], port);
    session.command(Command::Retry);
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
    let named = |name: &str| successor.trace().tasks().iter().any(|task| &*task.spawned.name == name);
    assert!(named("worker-3") && !named("locker-0"));
    until(&mut *successor, "the word of it", |_, status| state(status) == LinkState::Live);
    session.pump(Duration::from_millis(5));
    assert_eq!((session.trace().tasks().len(), session.trace().now()), (tasks, now), "nothing was added to the first");
    assert!(note(&session.status()).contains("another process answers"), "{:?}", session.status().link);
}

fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos })
}

/// A task that was created, polled once and told of at these seconds.
fn told(id: u64, name: String, created: i64, polled: i64) -> (Task, Stats) {
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
    let mut told = TaskUpdate::default();
    for (task, stats) in tasks {
        told.stats_update.insert(task.id.as_ref().map_or(0, |id| id.id), stats);
        told.new_tasks.push(task);
    }
    Update { now: at(now, 0), task_update: Some(told), ..Update::default() }
}

#[test]
fn a_clock_that_steps_is_said_to_and_moves_nothing_back() {
    let name = |name: &str| name.to_owned();
    let updates = vec![
        update(1_000, [told(1, name("first"), 990, 995)]),
        update(1_001, [told(2, name("second"), 1_001, 1_001)]),
        update(400, [told(3, name("set-back"), 400, 400)]),
        update(401, []),
        update(500_000, [told(4, name("set-forward"), 500_000, 500_000)]),
        update(500_001, [told(5, name("stray"), 1, 900_000)]),
    ];
    let console = FakeConsole::start(updates);
    let mut session = attach(&console.address);
    until(&mut session, "everything", |trace, _| trace.console().0 == 6);
    until(&mut session, "a word about both", |_, status| {
        note(status).contains("2 times its clock stepped") && note(status).contains("outside what can be")
    });
    let trace = session.trace();
    let spawned: Vec<_> = trace.tasks().iter().map(|task| task.lane.spawned() / 1_000_000_000).collect();
    assert_eq!(spawned[..2], [0, 11]);
    assert!(spawned[..4].is_sorted() && trace.now() < 60_000_000_000, "{spawned:?} until {}", trace.now());
    let note = note(&session.status()).to_owned();
    assert!(note.contains("2 times its clock stepped") && note.contains("outside what can be"), "{note}");
    assert_eq!(console.pauses(), 0, "nobody's console is stopped by us");
}

/// The most memory that a process has taken, in MB.
fn most_memory_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1_024)
}

#[test]
fn two_hundred_megabytes_in_one_message() {
    const TASKS: u64 = 40_000;
    let long = "x".repeat(5_000);
    let mut first = update(1_000, (1..=TASKS).map(|id| told(id, format!("{id}-{long}"), 990, 995)));
    // One entry that alone is larger than anything sensible.
    let endless = told(TASKS + 1, "y".repeat(10 << 20), 990, 995);
    first.task_update.as_mut().expect("just made").new_tasks.push(endless.0);
    let console = FakeConsole::start_once(vec![first, update(1_001, [])]);
    let folder = crate::outside::Folder::new("attach-two-hundred");
    let out = folder.file("report");
    let mut child = Process::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["attach", &console.address, "--headless", "--json"])
        .stdout(Stdio::from(std::fs::File::create(&out).expect("the folder is ours")))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built with the tests");
    // It ends once it has taken in everything, for then its program is gone.
    let mut most_mb = 0;
    crate::outside::until("its end", || {
        most_mb = most_mb.max(most_memory_mb(child.id()).unwrap_or(0));
        child.try_wait().expect("it is ours").is_some()
    });
    let output = child.wait_with_output().expect("it is ours");
    let report = std::fs::read(&out).expect("it is there");
    let report: Json = serde_json::from_slice(&report).expect("one document");
    let tasks = report["tasks"].as_array().expect("it is a list");
    assert_eq!(tasks.len() as u64, TASKS, "every task of a sensible size");
    assert!(tasks.iter().all(|task| task["name"].as_str().is_some_and(|name| name.len() <= 256)));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 entries of its messages were too long"), "{said}");
    assert!((1..600).contains(&most_mb), "{most_mb} MB for a message of 200 MB");
}

#[test]
fn what_is_refused_leaves_no_file_behind() {
    let folder = crate::outside::Folder::new("attach-refused");
    let file = folder.file("seen.loop");
    let [file, nowhere] = [file.to_str().expect("text"), "nowhere/at/all"];
    for words in [
        &["attach", "--headless", "--record", file, "--source", nowhere][..],
        &["exec", "--headless", "--record", file, "--source", nowhere, "--", "true"],
    ] {
        let ran = loopscope(words);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains("there is no such folder") && !std::path::Path::new(file).exists(), "{}", ran.err);
    }
}
