//! Pausing, stepping, holding and cancelling.

use std::os::unix::net::UnixStream;

use loopscope_probe::protocol::{Command, CommandKind, SECRET_VARIABLE, Start, VERSION};
use loopscope_probe::record::RecordKind;

use crate::attach::{Server, folder, polls};
use crate::peer::{App, Connection, Stream};

fn attach(server: &Server) -> (Connection, Stream) {
    let mut connection = server.connect();
    connection.begin();
    let mut stream = Stream::default();
    connection.read_until(&mut stream, |stream| stream.has_snapshot);
    (connection, stream)
}

/// Pauses the program, and lets it spawn a task that yields. Returns the task.
fn pause_before(server: &mut Server, connection: &mut Connection, stream: &mut Stream, yields: u64) -> u64 {
    let reply = connection.command(stream, &Command::Pause);
    assert!(reply.may_control && reply.error.is_none(), "{reply:?}");
    connection.wait_for_pause(stream);
    server.start_yielding(yields);
    server.yielding()
}

/// Continues or steps. Later replies are not about the pause before.
fn resume(connection: &mut Connection, stream: &mut Stream, command: &Command) {
    connection.command(stream, command);
    connection.read_until(stream, |stream| stream.replies.last().is_some_and(|reply| !reply.is_pausing));
}

/// Sends a command that cannot be carried out. Returns why.
fn refuse(connection: &mut Connection, stream: &mut Stream, command: &Command) -> String {
    let known = stream.replies.len();
    connection.send(CommandKind::Command, command);
    connection.read_until(stream, |stream| stream.replies[known..].iter().any(|reply| reply.error.is_some()));
    stream.replies[known..].iter().find_map(|reply| reply.error.clone()).expect("error")
}

fn polls_of_tasks(stream: &Stream) -> usize {
    let enters = stream.of_kind(RecordKind::Enter).count();
    stream.of_kind(RecordKind::PollStart).count() + enters
}

#[test]
fn pauses_steps_and_continues() {
    let folder = folder();
    let mut server = Server::start("controlled", folder.path());
    let (mut connection, mut stream) = attach(&server);
    assert!(connection.hello.allows_control);
    let task = pause_before(&mut server, &mut connection, &mut stream, 100);
    connection.read_rounds(&mut stream, 5);
    assert_eq!(polls(&stream, task), 0, "polled while paused");

    // `block_on` waits for the task and goes through the gate as well.
    let before = polls_of_tasks(&stream);
    resume(&mut connection, &mut stream, &Command::StepPolls { count: 5 });
    connection.wait_for_pause(&mut stream);
    connection.read_rounds(&mut stream, 2);
    assert_eq!(polls_of_tasks(&stream) - before, 5);

    let before = polls(&stream, task);
    resume(&mut connection, &mut stream, &Command::StepToTask { task });
    let reply = connection.wait_for_pause(&mut stream);
    connection.read_rounds(&mut stream, 2);
    assert_eq!((reply.task, polls(&stream, task) - before), (task, 1));

    resume(&mut connection, &mut stream, &Command::Continue);
    server.lines_until("done");
    connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
    assert_eq!(polls(&stream, task), 101);
    assert!(stream.replies.iter().all(|reply| reply.error.is_none()), "{:?}", stream.replies);
    stream.check();
    let count = |kind| stream.of_kind(kind).count();
    assert_eq!((count(RecordKind::Paused), count(RecordKind::Continued)), (3, 3));
    drop(connection);
    server.finish();
}

#[test]
fn pauses_without_hooks() {
    let folder = folder();
    let mut server = Server::start("controlled-without-hooks", folder.path());
    let (mut connection, mut stream) = attach(&server);
    let task = pause_before(&mut server, &mut connection, &mut stream, 100);
    connection.read_rounds(&mut stream, 5);
    let enters = |stream: &Stream| stream.counts(RecordKind::Enter).get(&task).copied().unwrap_or(0);
    assert_eq!(enters(&stream), 0, "polled while paused");
    resume(&mut connection, &mut stream, &Command::StepToTask { task });
    connection.wait_for_pause(&mut stream);
    connection.read_rounds(&mut stream, 2);
    assert_eq!(enters(&stream), 1);
    resume(&mut connection, &mut stream, &Command::Continue);
    server.lines_until("done");
    connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
    // The last time, the future is dropped.
    assert_eq!(enters(&stream), 102);
    drop(connection);
    server.finish();
}

#[test]
fn breakpoints_pause_where_they_are_hit() {
    let folder = folder();
    let mut server = Server::start("controlled", folder.path());
    let (mut connection, mut stream) = attach(&server);
    let invalid = Command::SetBreakpoints { breakpoints: vec!["stop here".to_owned()] };
    assert!(refuse(&mut connection, &mut stream, &invalid).contains("`stop here` is not a breakpoint"));
    for (condition, polls_before) in [("poll", 0), ("wake", 1), ("end", 101)] {
        let task = pause_before(&mut server, &mut connection, &mut stream, 100);
        let breakpoint = format!("{condition} {task}");
        let breakpoints = vec![breakpoint.clone(), "finding deadlock".to_owned()];
        let reply = connection.command(&mut stream, &Command::SetBreakpoints { breakpoints });
        assert_eq!(reply.error, None);
        resume(&mut connection, &mut stream, &Command::Continue);
        let reply = connection.wait_for_pause(&mut stream);
        assert_eq!((reply.hit.as_deref(), reply.task), (Some(breakpoint.as_str()), task));
        connection.read_rounds(&mut stream, 2);
        assert_eq!(polls(&stream, task), polls_before, "{condition}");
        connection.command(&mut stream, &Command::SetBreakpoints { breakpoints: Vec::new() });
        resume(&mut connection, &mut stream, &Command::Continue);
        server.lines_until("done");
    }
    let breakpoints = vec!["poll serve.rs:* > 1ns".to_owned()];
    connection.command(&mut stream, &Command::SetBreakpoints { breakpoints });
    // Its answer follows, whatever answers were left of earlier commands.
    refuse(&mut connection, &mut stream, &Command::Release { task: u64::MAX });
    server.start_yielding(3);
    let reply = connection.wait_for_pause(&mut stream);
    assert_eq!(reply.hit.as_deref(), Some("poll serve.rs:* > 1ns"));
    // A peer that is gone controls nothing.
    drop(connection);
    server.finish_yielding();
    server.finish();
}

#[test]
fn a_peer_that_dies_while_paused_frees_the_program() {
    let folder = folder();
    let mut server = Server::start("controlled", folder.path());
    let (mut connection, mut stream) = attach(&server);
    let task = pause_before(&mut server, &mut connection, &mut stream, 100);
    connection.command(&mut stream, &Command::Hold { task });
    drop(connection);
    server.lines_until("done");
    server.finish();
}

#[test]
fn holds_releases_and_cancels_tasks() {
    let folder = folder();
    let mut server = Server::start("controlled", folder.path());
    let (mut connection, mut stream) = attach(&server);
    let task = pause_before(&mut server, &mut connection, &mut stream, 100);
    assert_eq!(connection.command(&mut stream, &Command::Hold { task }).error, None);
    resume(&mut connection, &mut stream, &Command::Continue);
    connection.read_until(&mut stream, |stream| stream.of_kind(RecordKind::PollSkipped).count() > 0);
    connection.read_rounds(&mut stream, 3);
    assert_eq!(polls(&stream, task), 1, "the suppressed poll");
    assert_eq!(connection.command(&mut stream, &Command::Release { task }).error, None);
    server.lines_until("done");
    connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
    assert_eq!(polls(&stream, task), 102);
    let count = |kind| stream.of_kind(kind).filter(|event| event.subject == task).count();
    assert_eq!((count(RecordKind::Held), count(RecordKind::Released)), (1, 1));
    let error = refuse(&mut connection, &mut stream, &Command::Hold { task });
    assert!(error.contains("has ended"), "{error}");

    let task = pause_before(&mut server, &mut connection, &mut stream, 100);
    assert_eq!(connection.command(&mut stream, &Command::Cancel { task }).error, None);
    resume(&mut connection, &mut stream, &Command::Continue);
    server.lines_until("cancelled");
    connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
    assert_eq!(stream.of_kind(RecordKind::TaskEnded).find(|end| end.subject == task).expect("end").arguments, [1]);

    let sleeper = server.sleeper();
    let error = refuse(&mut connection, &mut stream, &Command::Cancel { task: sleeper });
    assert!(error.contains("loopscope_probe::spawn"), "{error}");
    drop(connection);
    server.finish();
}

#[test]
fn control_needs_permission() {
    let folder = folder();
    let server = Server::start("", folder.path());
    let (mut connection, mut stream) = attach(&server);
    assert!(!connection.hello.allows_control);
    let reply = connection.command(&mut stream, &Command::Pause);
    assert!(!reply.may_control && !reply.is_pausing, "{reply:?}");
    assert!(reply.error.expect("error").contains("allow_control"));
    drop(connection);
    server.finish();

    for (secret, may_control) in [(Some("correct"), true), (Some("wrong"), false), (Some(""), false), (None, false)] {
        let mut app = App::start("load 0 with own", &[(SECRET_VARIABLE, "correct")]);
        let secret = secret.map(str::to_owned);
        app.connection.send(CommandKind::Start, &Start { protocol: VERSION, secret, dump: false });
        let mut stream = Stream::default();
        let reply = app.connection.command(&mut stream, &Command::Continue);
        assert_eq!(reply.may_control, may_control);
    }
}

#[test]
fn no_command_works_without_permission() {
    let folder = folder();
    let mut server = Server::start("", folder.path());
    let (mut connection, mut stream) = attach(&server);
    let task = server.sleeper();
    for command in [
        Command::Pause,
        Command::Continue,
        Command::StepPolls { count: 1 },
        Command::StepToTask { task },
        Command::Hold { task },
        Command::Release { task },
        Command::Cancel { task },
        Command::SetBreakpoints { breakpoints: vec!["poll *".to_owned()] },
    ] {
        let reply = connection.command(&mut stream, &command);
        assert!(reply.error.as_ref().is_some_and(|error| error.contains("allow_control")), "{command:?}: {reply:?}");
        assert!(!reply.may_control && !reply.is_pausing && !reply.is_paused, "{command:?}: {reply:?}");
    }
    // Nothing stops, and no poll is delayed.
    let task = server.run_yielding(1_000);
    connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
    assert_eq!(polls(&stream, task), 1_001);
    assert_eq!(stream.of_kind(RecordKind::Paused).count(), 0);

    // A command in place of `Start` ends the connection.
    let mut early = server.connect();
    early.send(CommandKind::Command, &Command::Pause);
    let mut refused = Stream::default();
    early.read_until(&mut refused, |_| false);
    assert!(refused.replies.is_empty() && !refused.has_snapshot);
    server.run_yielding(1_000);
    drop(connection);
    server.finish();
}

#[test]
fn floods_from_a_peer_are_survived() {
    let folder = folder();
    let mut server = Server::start("controlled", folder.path());
    // More silent connections than are served, and more than a process may open at one time.
    for _ in 0..10 {
        let silent: Vec<UnixStream> = (0..100).filter_map(|_| UnixStream::connect(server.socket()).ok()).collect();
        assert!(!silent.is_empty());
    }
    server.run_yielding(1_000);
    // Those that were closed make room.
    let mut connection = loop {
        let stream = UnixStream::connect(server.socket()).expect("it listens");
        if let Some(connection) = Connection::try_new(stream) {
            break connection;
        }
    };
    connection.begin();
    // Commands whose answers are not read.
    let breakpoints = vec!["wake no-such-task".to_owned(); 32];
    for _ in 0..20_000 {
        connection.send(CommandKind::Command, &Command::SetBreakpoints { breakpoints: breakpoints.clone() });
        connection.send(CommandKind::Command, &Command::Release { task: u64::MAX });
    }
    server.run_yielding(1_000);
    drop(connection);
    server.run_yielding(1_000);
    server.finish();
}
