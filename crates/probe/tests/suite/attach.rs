//! Attaching to a program that listens.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use loopscope_probe::record::RecordKind;

use crate::peer::{Connection, Event, Stream, command};

/// A program that listens in a folder of its own.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    /// Lines before `ready`.
    first_lines: Vec<String>,
}

impl Server {
    pub fn start(arguments: &str, folder: &Path) -> Self {
        Self::start_with(arguments, folder, &[])
    }

    /// Starts one with these further environment variables.
    pub fn start_with(arguments: &str, folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = command(&format!("serve {arguments}"));
        command.env("XDG_RUNTIME_DIR", folder).envs(variables.iter().copied()).stdin(Stdio::piped());
        let mut child = command.spawn().expect("program");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("output"));
        let mut server = Self { child, input, output, folder: folder.to_owned(), first_lines: Vec::new() };
        server.first_lines = server.lines_until("ready");
        server
    }

    pub fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.output.by_ref().lines() {
            let line = line.expect("text");
            if line == last {
                return lines;
            }
            lines.push(line);
        }
        panic!("no `{last}` after {lines:?}");
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("loopscope").join(format!("{}.sock", self.child.id()))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the lines that it printed before it was ready.
    pub fn first_lines(&self) -> &[String] {
        &self.first_lines
    }

    /// Returns its TCP address.
    pub fn tcp_address(&self) -> SocketAddr {
        let line = self.first_lines.iter().find_map(|line| line.strip_prefix("tcp "));
        line.expect("it listens").parse().expect("an address")
    }

    pub fn connect(&self) -> Connection {
        Connection::new(UnixStream::connect(self.socket()).expect("socket"))
    }

    /// Returns the id of the task that sleeps.
    pub fn sleeper(&self) -> u64 {
        let line = self.first_lines.iter().find_map(|line| line.strip_prefix("sleeper "));
        line.expect("id").parse().expect("number")
    }

    /// Asks for a task that yields this often.
    pub fn start_yielding(&mut self, count: u64) {
        writeln!(self.input.as_mut().expect("input"), "yield {count}").expect("sent");
    }

    /// Waits for the id of the task that is to yield.
    pub fn yielding(&mut self) -> u64 {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim().strip_prefix("yielding ").expect("id").parse().expect("number")
    }

    /// Waits until the task has yielded, and returns its id.
    pub fn finish_yielding(&mut self) -> u64 {
        let lines = self.lines_until("done");
        let line = lines.iter().find_map(|line| line.strip_prefix("yielding ")).expect("id");
        line.parse().expect("number")
    }

    pub fn run_yielding(&mut self, count: u64) -> u64 {
        self.start_yielding(count);
        self.finish_yielding()
    }

    /// Ends the program by the end of its input.
    pub fn finish(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("status").success());
        assert!(!self.socket().exists(), "the socket is left");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("folder")
}

pub fn polls(stream: &Stream, task: u64) -> u64 {
    stream.counts(RecordKind::PollStart).get(&task).copied().unwrap_or(0)
}

#[test]
fn attaches_detaches_and_attaches_again() {
    let folder = folder();
    let mut server = Server::start("", folder.path());
    let mode = |path: &Path| fs::metadata(path).expect("file").permissions().mode() & 0o777;
    assert_eq!(mode(&server.socket()), 0o600);
    assert_eq!(mode(server.socket().parent().expect("folder")), 0o700);

    let unseen = server.run_yielding(10);
    for _ in 0..2 {
        let mut connection = server.connect();
        assert_eq!(connection.hello.pid, server.child.id());
        let facts = connection.hello.facts;
        assert!(facts.polls && facts.wakes && facts.resources && facts.hooks && !connection.hello.allows_control);
        assert_eq!(connection.hello.tasks, 1, "the sleeper, without the workers");
        connection.begin();
        let mut stream = Stream::default();
        connection.read_until(&mut stream, |stream| stream.has_snapshot);
        let sleeper = server.sleeper();
        assert_eq!(stream.names[&sleeper], "sleeper");
        let is_sleeper = |event: &&Event| event.thread == 0 && event.subject == sleeper;
        let spawn = stream.of_kind(RecordKind::Spawn).find(is_sleeper).expect("in the snapshot");
        let site = &stream.sites[&spawn.arguments[0]];
        assert!(site.file.ends_with("apps/serve.rs") && site.line > 0, "{site:?}");
        let names = || stream.of_kind(RecordKind::ResourceCreated).map(|event| &stream.sites[&event.arguments[0]].name);
        assert!(names().any(|name| name == "Mutex"));

        let task = server.run_yielding(1_000);
        connection.read_until(&mut stream, |stream| stream.closed.contains(&task));
        stream.check();
        // Its caller may go on before the last of it is gone.
        let is_live = stream.of_kind(RecordKind::Spawn).any(|event| event.subject == unseen);
        assert!(!is_live || stream.closed.contains(&unseen), "it has ended");
        assert_eq!(polls(&stream, task), 1_001);

        // A second loopscope gets an error.
        let mut second = server.connect();
        second.begin();
        let mut refused = Stream::default();
        second.read_until(&mut refused, |_| false);
        assert!(refused.replies[0].error.as_ref().expect("error").contains("another loopscope"));

        drop(connection);
        server.run_yielding(1_000);
        // The recording ends when the program has noticed that the peer is gone.
        let mut is_free = false;
        while !is_free {
            let mut next = server.connect();
            next.begin();
            let mut stream = Stream::default();
            next.read_until(&mut stream, |stream| stream.has_snapshot || !stream.replies.is_empty());
            is_free = stream.has_snapshot;
            assert_eq!(polls(&stream, task), 0, "old records");
            next.close();
        }
        while !server.connect().can_record() {}
    }
    server.finish();
}

#[test]
fn a_peer_that_does_not_read_blocks_nothing() {
    let folder = folder();
    let mut server = Server::start("small", folder.path());
    let mut connection = server.connect();
    connection.begin();
    let mut stream = Stream::default();
    connection.read_until(&mut stream, |stream| stream.has_snapshot);
    // More than all rings and the socket hold.
    let count = 100_000;
    let task = server.run_yielding(count);
    // A thread reports its gap as soon as it records anything after it.
    while stream.of_kind(RecordKind::Dropped).count() == 0 {
        server.run_yielding(100);
        connection.read_rounds(&mut stream, 2);
    }
    let dropped: u64 = stream.of_kind(RecordKind::Dropped).map(|event| event.subject).sum();
    for event in stream.of_kind(RecordKind::Dropped) {
        assert!(event.ticks <= event.arguments[0], "{event:?}");
    }
    let records = stream.events.len() as u64;
    assert!(dropped > 0 && polls(&stream, task) < count, "{dropped} of {records} dropped");
    assert!(records + dropped >= count, "{records} and {dropped} dropped");
    server.finish();
}

#[test]
fn a_peer_that_dies_leaves_the_program_running() {
    let folder = folder();
    let mut server = Server::start("", folder.path());
    for garbage in [&b"\0\0\0\0"[..], b"\xff\xff\xff\xff", b"\x02\0\0\0\x01{", b"\x09\0\0\0\x01{\"a\": 1}", b""] {
        let mut connection = server.connect();
        connection.write(garbage);
        connection.close();
    }
    let mut connection = server.connect();
    connection.begin();
    server.start_yielding(100_000);
    drop(connection);
    server.finish_yielding();
    server.finish();
}

#[test]
fn stale_sockets_are_replaced_and_open_folders_refused() {
    let folder = folder();
    let sockets = folder.path().join("loopscope");
    fs::create_dir(&sockets).expect("folder");
    fs::set_permissions(&sockets, fs::Permissions::from_mode(0o700)).expect("mode");
    // No process has an id this large.
    let stale = sockets.join("2147483646.sock");
    drop(UnixListener::bind(&stale).expect("socket"));
    let kept = sockets.join("notes.sock");
    fs::write(&kept, "").expect("file");
    let server = Server::start("", folder.path());
    assert!(!stale.exists() && kept.exists());
    server.connect();
    server.finish();

    fs::set_permissions(&sockets, fs::Permissions::from_mode(0o750)).expect("mode");
    let server = Server::start("", folder.path());
    let is_refused = |line: &String| line.starts_with("problem ") && line.contains("only this user can enter");
    assert!(server.first_lines.iter().any(is_refused), "{:?}", server.first_lines);
    server.finish();
}
