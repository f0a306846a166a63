//! External consoles connected to a run: they receive the same data and cannot control it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, PauseRequest};
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::feed::wire::{ConsoleAddress, ConsoleConnection};
use loopscope::lab::{ConsoleListener, LoopHandle, LoopOptions, LoopProgram, TaskSpec, untraced_dispatch};
use loopscope::session::{LabSession, Session};
use loopscope::trace::{AwaitKind, AwaitSite, Location, Trace};
use tonic::transport::Endpoint;

/// A program with three tasks that sleep ten times each.
fn naps() -> LoopProgram {
    Box::new(|loop_handle: LoopHandle| {
        let location = |line: u32| Some(Location { file: "naps.lua".into(), line });
        let spec = move |name: &str| {
            let line = name.strip_prefix("nap-").map_or(1, |index| 10 + index.parse::<u32>().expect("a number"));
            TaskSpec { name: name.into(), location: location(line) }
        };
        let main_world = loop_handle.clone();
        let main = async move {
            let nap = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: None, chain: None };
            let task = |index: usize| {
                let (loop_handle, nap) = (main_world.clone(), nap.clone());
                main_world.spawn(spec(&format!("nap-{index}")), async move {
                    for _ in 0..10 {
                        loop_handle.await_at(&nap, loop_handle.sleep(Duration::from_millis(10))).await;
                    }
                    Ok(())
                })
            };
            for task in (0..3).map(task).collect::<Vec<_>>() {
                task.await.map_err(|error| error.to_string())??;
            }
            Ok(serde_json::Value::Null)
        };
        (spec("main"), Box::pin(main))
    })
}

/// Runs the program to its end and keeps serving it.
fn ended_run(listener: ConsoleListener) -> LabSession {
    let options = LoopOptions {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        start_paused: false,
        seed: 0,
        stop_at: None,
    };
    let session = LabSession::start_with_listener("naps", naps(), options, Trace::default(), Some(listener));
    let mut session = session.expect("start the session");
    while !session.is_finished() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
    }
    session
}

fn visit<R>(visit: impl Future<Output = R>) -> R {
    // Keep this thread out of the trace; see ARCHITECTURE.md.
    tracing::dispatcher::with_default(&untraced_dispatch(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("build a runtime").block_on(visit)
    })
}

/// Returns the name of a task on the wire.
fn name_of(task: &console_api::tasks::Task) -> Option<String> {
    task.fields.iter().find_map(|field| match (&field.name, &field.value) {
        (Some(Name::StrName(name)), Some(Value::StrVal(value) | Value::DebugVal(value))) if name == "task.name" => {
            Some(value.clone())
        }
        _ => None,
    })
}

/// Returns the polls by task name in a console's first update, without the poll that counts the drop of the future.
async fn polls_seen(address: &ConsoleAddress) -> BTreeMap<String, u64> {
    let connection = ConsoleConnection::open(address).await.expect("connect");
    let mut messages = connection.messages().await.expect("subscribe to updates");
    let mut first = messages.next().await.expect("receive an update").expect("the stream is open");
    let tasks = first.parts().find_map(|part| part.task_update).expect("the first update has tasks");
    let named = |task: &console_api::tasks::Task| {
        let polls = tasks.stats_update.get(&task.id?.id)?.poll_stats.as_ref()?.polls;
        Some((name_of(task)?, polls - 1))
    };
    tasks.new_tasks.iter().filter_map(named).collect()
}

fn polls_of(session: &LabSession) -> BTreeMap<String, u64> {
    session.trace().tasks().iter().map(|task| (task.name().into_owned(), task.counts.polls)).collect()
}

#[test]
fn serves_same_tasks_and_polls_over_tcp() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("bind a port").port();
    let free = ConsoleAddress::Tcp { host: "127.0.0.1".into(), port };
    let session = ended_run(ConsoleListener::bind(&free).expect("bind the port"));
    assert_eq!(ConsoleListener::bind(&free).map(drop).map_err(|e| e.kind()), Err(std::io::ErrorKind::AddrInUse));
    let seen = visit(async {
        let endpoint = Endpoint::from_shared(free.to_string()).expect("parse the address");
        let mut client = InstrumentClient::new(endpoint.connect().await.expect("connect"));
        let refused = client.pause(PauseRequest {}).await.expect_err("clients cannot pause updates");
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let watching = client.watch_updates(InstrumentRequest {}).await;
        assert!(watching.is_ok(), "updates continue");
        polls_seen(&free).await
    });
    assert_eq!(seen, polls_of(&session));
    assert_eq!(seen.len(), 4);
}

#[test]
fn console_shows_the_location_of_the_script() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("bind a port").port();
    let address = ConsoleAddress::Tcp { host: "127.0.0.1".into(), port };
    let session = ended_run(ConsoleListener::bind(&address).expect("bind the port"));
    let seen: BTreeMap<String, (String, u32)> = visit(async {
        let connection = ConsoleConnection::open(&address).await.expect("connect");
        let mut messages = connection.messages().await.expect("subscribe to updates");
        let mut first = messages.next().await.expect("receive an update").expect("the stream is open");
        let tasks = first.parts().find_map(|part| part.task_update).expect("the first update has tasks").new_tasks;
        let location = |task: &console_api::tasks::Task| {
            let location = task.location.clone()?;
            Some((name_of(task)?, (location.file?, location.line?)))
        };
        tasks.iter().filter_map(location).collect()
    });
    let own = session.trace().tasks().iter().map(|task| {
        let location = task.meta.location.as_ref().expect("it is spawned by the script");
        (task.name().into_owned(), (location.file.to_string(), location.line))
    });
    assert_eq!(seen, own.collect());
    assert_eq!(seen["nap-2"], ("naps.lua".to_owned(), 12));
}

#[test]
fn unix_socket_replaces_stale_file_and_removes_it() {
    let folder = tempfile::tempdir().expect("create a temporary folder");
    let path = folder.path().join("loop.sock");
    let address = ConsoleAddress::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("create a stale socket"));
    let session = ended_run(ConsoleListener::bind(&address).expect("replace the stale socket"));
    let in_use = ConsoleListener::bind(&address).map(drop).map_err(|error| error.kind());
    assert_eq!(in_use, Err(std::io::ErrorKind::AddrInUse), "a socket in use is not replaced");
    let seen = visit(polls_seen(&address));
    assert_eq!(seen, polls_of(&session));
    drop(session);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "the socket's file is removed with the session");
        std::thread::yield_now();
    }
    let file = folder.path().join("a-file");
    std::fs::write(&file, "text").expect("write the file");
    assert!(
        ConsoleListener::bind(&ConsoleAddress::Unix(file.clone())).is_err() && file.exists(),
        "a regular file is not a stale socket"
    );
}
