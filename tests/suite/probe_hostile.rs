//! Programs on the other end of a probe's connection that do not behave: what they send is bounded, and shown without
//! control characters.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use loopscope::control::{RunPhase, SessionCommand};
use loopscope::session::{ProbeSession, Session};
use loopscope_probe::protocol::{Definition, FrameKind, Hello, Output, Reply, Site, Thread};
use loopscope_probe::record::RecordKind;

use crate::attach::until;
use crate::probe_stream::{ProbeStreamBuilder, hello};

/// Memory budget of the trace: small, so that a limit is reached.
const MEMORY_BYTES: usize = 8 << 20;

/// Messages of one kind.
const MESSAGES: u64 = 20_000;

/// Adds the message of this number to a stream.
type Flood = dyn Fn(ProbeStreamBuilder, u64) -> ProbeStreamBuilder;

fn text(number: u64) -> String {
    format!("\u{1b}[2J{number}{}", "x".repeat(300))
}

/// Lets a program send `bytes` after its description, and returns the session at the end.
fn receive(hello: &Hello, bytes: Vec<u8>) -> ProbeSession {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let stream = ProbeStreamBuilder::of(hello).end_snapshot().bytes().to_vec();
    let writer = std::thread::spawn(move || {
        let mut theirs = theirs;
        // loopscope may have left.
        let _ = theirs.write_all(&stream).and_then(|()| theirs.write_all(&bytes));
    });
    let mut session = ProbeSession::attach(ours, "app".to_owned(), None, MEMORY_BYTES).expect("a session");
    until(&mut session, "its end", |_, status| {
        let note = status.connection.as_ref().map_or("", |connection| &connection.note);
        assert!(note.len() < 4_096 && !note.contains('\u{1b}'), "{note:?}");
        status.phase == RunPhase::Ended
    });
    writer.join().expect("it is not stuck");
    session
}

#[test]
fn floods_of_messages_are_bounded() {
    let hello = Hello { allows_control: true, ..hello() };
    let reply = |number: u64| Reply {
        may_control: true,
        is_paused: true,
        hit: Some(text(number)),
        task: number,
        continues: u64::MAX,
        error: Some(text(number)),
        ..Reply::default()
    };
    let thread = |number: u64| {
        let id = u32::try_from(number).expect("a small number");
        Definition::Thread(Thread { id, name: text(number), worker: Some(id), runtime: id, system_id: id })
    };
    let site = |number: u64| {
        Definition::Site(Site { id: number, kind: "task".to_owned(), name: text(number), ..Site::default() })
    };
    let floods: [(&str, Box<Flood>); 7] = [
        ("replies", Box::new(move |stream, number| stream.json(FrameKind::Reply, &reply(number)))),
        ("threads", Box::new(move |stream, number| stream.json(FrameKind::Definition, &thread(number)))),
        ("sites", Box::new(move |stream, number| stream.json(FrameKind::Definition, &site(number)))),
        (
            "names",
            Box::new(|stream, number| {
                let name = Definition::TaskName { task: number, name: text(number) };
                stream.json(FrameKind::Definition, &name)
            }),
        ),
        (
            "output",
            Box::new(|stream, number| {
                let line = Output { ticks: number, task: number, is_error: true, text: text(number) };
                stream.json(FrameKind::Output, &line)
            }),
        ),
        (
            "queues",
            Box::new(|stream, number| {
                let index = number.wrapping_mul(7);
                let local = (RecordKind::LocalQueueDepth, number << 20, number % 9, &[index, number << 30][..]);
                let global = (RecordKind::GlobalQueueDepth, number << 20, index, &[u64::MAX][..]);
                stream.records(1, &[local, global]).round(number << 20)
            }),
        ),
        (
            "pauses",
            Box::new(|stream, number| {
                let kind = if number % 2 == 0 { RecordKind::Paused } else { RecordKind::Continued };
                stream.records(1, &[(kind, number, number, &[number, u64::MAX])]).round(number)
            }),
        ),
    ];
    for (flood, add) in floods {
        let stream = (1..=MESSAGES).fold(ProbeStreamBuilder::default(), add);
        let mut session = receive(&hello, stream.bytes().to_vec());
        // Commands to a program that is gone do nothing.
        session.command(SessionCommand::StepPolls(5));
        session.command(SessionCommand::Pause);
        session.pump(Duration::from_millis(5));
        assert_eq!(session.status().phase, RunPhase::Ended, "{flood}");
        let lines = session.trace().output().lines();
        assert!(lines.iter().all(|line| !line.text.contains('\u{1b}')), "{flood}");
        assert!(session.hit().is_none_or(|hit| !format!("{hit:?}").contains('\u{1b}')), "{flood}");
        assert!(
            session.trace().retained_bytes() <= 2 * MEMORY_BYTES,
            "{flood}: {} bytes",
            session.trace().retained_bytes()
        );
    }
}

#[test]
fn impossible_records_are_survived() {
    use RecordKind::*;
    let extremes: [u64; 5] = [0, 1, 2, u64::from(u32::MAX), u64::MAX];
    let kinds = [
        PollStart,
        PollEnd,
        PollPanicked,
        PollSkipped,
        Enter,
        Exit,
        ExitPanicked,
        Wake,
        WakeDeferred,
        Spawn,
        TaskEnded,
        TaskClosed,
        Park,
        Unpark,
        Held,
        Released,
        Paused,
        Continued,
        BlockingStart,
        BlockingEnd,
        Dropped,
        LocalQueueDepth,
        GlobalQueueDepth,
    ];
    let mut stream = ProbeStreamBuilder::default().thread(1, Some(u32::MAX)).thread(2, None);
    for (number, kind) in kinds.iter().cycle().take(kinds.len() * extremes.len() * 2).enumerate() {
        let (subject, ticks) = (extremes[number % 5], extremes[(number / 5) % 5]);
        let thread = u32::try_from(number % 3).expect("a small number");
        stream = stream.records(thread, &[(*kind, ticks, subject, &[subject, ticks, u64::MAX])]).round(ticks);
    }
    let session = receive(&hello(), stream.bytes().to_vec());
    assert_eq!(session.status().phase, RunPhase::Ended);
}
