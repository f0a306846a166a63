//! Consoles from outside, at a run of our own: they see what we see, and can stop nothing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, PauseRequest};
use loopscope::app::Session;
use loopscope::control::{ClockKind, FeedChoice, Speed};
use loopscope::feed::wire::{Address, Connection};
use loopscope::lab::{Listener, Options, Program, TaskSpec, World, uninstrumented};
use loopscope::session::LabSession;
use loopscope::trace::{AwaitKind, Site, Trace};
use tonic::transport::Endpoint;

/// Three tasks that sleep ten times each.
fn naps() -> Program {
    Box::new(|world: World| {
        let spec = |name: &str| TaskSpec { name: name.into(), location: None };
        let main_world = world.clone();
        let main = async move {
            let nap = Site { kind: AwaitKind::Timer, source: "sleep".into(), location: None };
            let task = |index: usize| {
                let (world, nap) = (main_world.clone(), nap.clone());
                main_world.spawn(spec(&format!("nap-{index}")), async move {
                    for _ in 0..10 {
                        world.await_at(&nap, world.sleep(Duration::from_millis(10))).await;
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

/// A run that has ended and is still served.
fn ended_run(listener: Listener) -> LabSession {
    let options = Options {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        paused: false,
        seed: 0,
        until: None,
    };
    let session = LabSession::start_served("naps", naps(), options, Trace::default(), Some(listener));
    let mut session = session.expect("a thread can be had");
    while !session.is_over() {
        session.pump(Duration::from_millis(5));
        session.wait(Duration::from_millis(5));
    }
    session
}

fn visit<R>(visit: impl Future<Output = R>) -> R {
    // This thread is not under study; see the traps in ARCHITECTURE.md.
    tracing::dispatcher::with_default(&uninstrumented(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(visit)
    })
}

/// What a console sees at once: polls by task name. The drop of a future counts as one more.
async fn polls_seen(address: &Address) -> BTreeMap<String, u64> {
    let connection = Connection::open(address).await.expect("it listens");
    let mut messages = connection.messages().await.expect("it speaks the protocol");
    let mut first = messages.next().await.expect("it goes on").expect("there is a first message");
    let told = first.parts().find_map(|part| part.task_update).expect("a first message tells of tasks");
    let name = |task: &console_api::tasks::Task| {
        task.fields.iter().find_map(|field| match (&field.name, &field.value) {
            (Some(Name::StrName(name)), Some(Value::StrVal(value) | Value::DebugVal(value))) if name == "task.name" => {
                Some(value.clone())
            }
            _ => None,
        })
    };
    let named = |task: &console_api::tasks::Task| {
        let polls = told.stats_update.get(&task.id?.id)?.poll_stats.as_ref()?.polls;
        Some((name(task)?, polls - 1))
    };
    told.new_tasks.iter().filter_map(named).collect()
}

fn polls_of(session: &LabSession) -> BTreeMap<String, u64> {
    session.trace().tasks().iter().map(|task| (task.name().into_owned(), task.counts.polls)).collect()
}

#[test]
fn a_console_from_outside_sees_the_same_tasks_and_polls_over_tcp() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free").port();
    let free = Address::Tcp { host: "127.0.0.1".into(), port };
    let session = ended_run(Listener::bind(&free).expect("it is still free"));
    assert_eq!(Listener::bind(&free).map(drop).map_err(|e| e.kind()), Err(std::io::ErrorKind::AddrInUse));
    let seen = visit(async {
        let endpoint = Endpoint::from_shared(free.to_string()).expect("an address");
        let mut client = InstrumentClient::new(endpoint.connect().await.expect("it listens"));
        let refused = client.pause(PauseRequest {}).await.expect_err("nobody from outside stops the updates");
        assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        let watching = client.watch_updates(InstrumentRequest {}).await;
        assert!(watching.is_ok(), "and they go on");
        polls_seen(&free).await
    });
    assert_eq!(seen, polls_of(&session));
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_unix_socket_serves_takes_over_what_was_left_behind_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("loop.sock");
    let address = Address::Unix(path.clone());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that nobody listens on"));
    let session = ended_run(Listener::bind(&address).expect("what was left behind is taken over"));
    let in_use = Listener::bind(&address).map(drop).map_err(|error| error.kind());
    assert_eq!(in_use, Err(std::io::ErrorKind::AddrInUse), "but not what is in use");
    let seen = visit(polls_seen(&address));
    assert_eq!(seen, polls_of(&session));
    drop(session);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "the socket's file goes with the session");
        std::thread::yield_now();
    }
    let file = folder.path().join("a-file");
    std::fs::write(&file, "text").expect("the folder can be written");
    assert!(
        Listener::bind(&Address::Unix(file.clone())).is_err() && file.exists(),
        "a file is no socket that was left behind"
    );
}
