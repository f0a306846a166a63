//! A program that runs, and a peer that reads its stream.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use loopscope_probe::protocol::{
    self, CommandKind, Definition, FRAME_BYTES_MAX, FrameKind, Hello, Reply, SOCKET_VARIABLE, Site, Start,
};
use loopscope_probe::record::{RECORD_BYTES, Record, RecordKind};

/// Environment variable with the name of the program that this binary should be.
pub const APP_VARIABLE: &str = "LOOPSCOPE_PROBE_TEST_APP";

/// An event: a record with its arguments.
#[derive(Clone, Debug)]
pub struct Event {
    pub thread: u32,
    pub kind: RecordKind,
    pub ticks: u64,
    pub subject: u64,
    pub arguments: Vec<u64>,
}

/// Everything that a program sent.
#[derive(Default)]
pub struct Stream {
    pub events: Vec<Event>,
    pub sites: HashMap<u64, Site>,
    pub threads: HashMap<u32, protocol::Thread>,
    pub names: HashMap<u64, String>,
    pub attributes: HashMap<u64, String>,
    pub replies: Vec<Reply>,
    /// Tasks that were closed.
    pub closed: HashSet<u64>,
    pub rounds: usize,
    pub has_snapshot: bool,
    pub has_bye: bool,
}

impl Stream {
    pub fn take(&mut self, kind: u8, payload: &[u8]) {
        match FrameKind::from_number(kind).expect("known frame") {
            FrameKind::Definition => match serde_json::from_slice(payload).expect("definition") {
                Definition::Site(site) => drop(self.sites.insert(site.id, site)),
                Definition::Thread(thread) => drop(self.threads.insert(thread.id, thread)),
                Definition::TaskName { task, name } => drop(self.names.insert(task, name)),
                Definition::AttributeName { id, name } => drop(self.attributes.insert(id, name)),
                // Not from tokio.
                Definition::TaskError { .. } | Definition::Notice(_) => {}
            },
            FrameKind::Records => self.take_records(payload),
            FrameKind::Round => self.rounds += 1,
            FrameKind::Reply => self.replies.push(serde_json::from_slice(payload).expect("reply")),
            FrameKind::SnapshotEnd => self.has_snapshot = true,
            FrameKind::Bye => self.has_bye = true,
            FrameKind::Hello | FrameKind::Output | FrameKind::Words => panic!("unexpected frame {kind}"),
        }
    }

    fn take_records(&mut self, payload: &[u8]) {
        let (thread, records) = payload.split_first_chunk().expect("thread id");
        let thread = u32::from_le_bytes(*thread);
        assert!(thread == 0 || self.threads.contains_key(&thread), "thread {thread} is not defined");
        let (records, rest) = records.as_chunks::<RECORD_BYTES>();
        assert!(rest.is_empty() && !records.is_empty());
        let mut is_first = true;
        for record in records.iter().map(|&bytes| Record::from_bytes(bytes)) {
            let kind = record.kind().expect("known kind");
            if kind == RecordKind::Argument {
                assert!(!is_first, "a frame starts with an argument");
                self.events.last_mut().expect("record").arguments.push(record.subject());
                continue;
            }
            is_first = false;
            if kind == RecordKind::TaskClosed {
                self.closed.insert(record.subject());
            }
            let (ticks, subject) = (record.ticks(), record.subject());
            self.events.push(Event { thread, kind, ticks, subject, arguments: Vec::new() });
        }
    }

    /// Returns the events of this kind.
    pub fn of_kind(&self, kind: RecordKind) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }

    /// Returns the events in the order of their times. Within a round they are sorted by thread instead.
    pub fn by_time(&self) -> Vec<&Event> {
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.ticks);
        events
    }

    /// Returns the number of events of this kind by subject.
    pub fn counts(&self, kind: RecordKind) -> HashMap<u64, u64> {
        let mut counts = HashMap::new();
        for event in self.of_kind(kind) {
            *counts.entry(event.subject).or_insert(0) += 1;
        }
        counts
    }

    /// Checks what holds for every stream of which nothing was dropped.
    pub fn check(&self) {
        assert!(self.has_snapshot, "no snapshot");
        assert_eq!(self.of_kind(RecordKind::Dropped).count(), 0, "records were dropped");
        let mut last_ticks = HashMap::new();
        for event in self.events.iter().filter(|event| event.thread != 0) {
            let last = last_ticks.insert(event.thread, event.ticks).unwrap_or(0);
            assert!(last <= event.ticks, "thread {} goes back from {last} at {event:?}", event.thread);
            let site = match event.kind {
                RecordKind::Spawn | RecordKind::ResourceCreated | RecordKind::OperationCreated => event.arguments[0],
                _ => continue,
            };
            assert!(self.sites.contains_key(&site), "site {site} is not defined");
        }
    }
}

/// A connection to a program.
pub struct Connection {
    pub hello: Hello,
    frames: FrameReader,
}

impl Connection {
    /// Reads what the program says about itself.
    pub fn new(socket: impl PeerSocket + 'static) -> Self {
        let mut frames = FrameReader { socket: Box::new(socket), bytes: Vec::new() };
        let (kind, payload) = frames.next_frame().expect("hello");
        assert_eq!(kind, FrameKind::Hello as u8);
        Self { hello: serde_json::from_slice(&payload).expect("hello"), frames }
    }

    /// Reads what the program says about itself, unless it closes the connection.
    pub fn try_new(socket: UnixStream) -> Option<Self> {
        let mut frames = FrameReader { socket: Box::new(socket), bytes: Vec::new() };
        let (_, payload) = frames.next_frame()?;
        Some(Self { hello: serde_json::from_slice(&payload).expect("hello"), frames })
    }

    /// Sends bytes, if the program still reads them.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.frames.socket.write_all(bytes);
    }

    /// Sends a message.
    pub fn send(&mut self, kind: CommandKind, message: &impl serde::Serialize) {
        let mut frame = Vec::new();
        protocol::write_frame(kind as u8, &serde_json::to_vec(message).expect("JSON"), &mut frame);
        self.write(&frame);
    }

    /// Asks the program to record.
    pub fn begin(&mut self) {
        self.send(CommandKind::Start, &Start { protocol: protocol::VERSION, ..Start::default() });
    }

    /// Sends a command and reads until its reply. Returns the reply.
    pub fn command(&mut self, stream: &mut Stream, command: &protocol::Command) -> Reply {
        let replies = stream.replies.len();
        self.send(CommandKind::Command, command);
        self.next_reply(stream, replies)
    }

    /// Reads until there are more than `known` replies. Returns the last one.
    pub fn next_reply(&mut self, stream: &mut Stream, known: usize) -> Reply {
        self.read_until(stream, |stream| stream.replies.len() > known);
        stream.replies.last().expect("reply").clone()
    }

    /// Reads until the program has paused. Returns the reply that says so.
    pub fn wait_for_pause(&mut self, stream: &mut Stream) -> Reply {
        self.read_until(stream, |stream| stream.replies.last().is_some_and(|reply| reply.is_paused));
        stream.replies.last().expect("reply").clone()
    }

    /// Reads this many rounds.
    pub fn read_rounds(&mut self, stream: &mut Stream, count: usize) {
        let rounds = stream.rounds + count;
        self.read_until(stream, |stream| stream.rounds >= rounds);
    }

    /// Reads into `stream` until `is_done` or the end.
    pub fn read_until(&mut self, stream: &mut Stream, mut is_done: impl FnMut(&Stream) -> bool) {
        while !is_done(stream) {
            let Some((kind, payload)) = self.frames.next_frame() else { return };
            stream.take(kind, &payload);
        }
    }

    /// Closes the connection and waits until the program has closed it too.
    pub fn close(mut self) {
        self.frames.socket.end_writing();
        while self.frames.next_frame().is_some() {}
    }

    /// Returns whether the program would record for this connection, and closes it.
    pub fn can_record(mut self) -> bool {
        self.begin();
        let mut stream = Stream::default();
        self.read_until(&mut stream, |stream| stream.has_snapshot || !stream.replies.is_empty());
        self.close();
        stream.has_snapshot
    }
}

/// A connected socket.
pub trait PeerSocket: Read + Write {
    /// Sends nothing further.
    fn end_writing(&self);
}

impl PeerSocket for UnixStream {
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl PeerSocket for TcpStream {
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

struct FrameReader {
    socket: Box<dyn PeerSocket>,
    bytes: Vec<u8>,
}

impl FrameReader {
    /// Returns the next frame; `None` at the end.
    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let frame = protocol::split_frame(&self.bytes, FRAME_BYTES_MAX).expect("frame");
            if let Some(((kind, payload), rest)) = frame {
                let (payload, rest) = (payload.to_vec(), rest.len());
                self.bytes.drain(..self.bytes.len() - rest);
                return Some((kind, payload));
            }
            let mut buffer = vec![0; 1 << 20];
            match self.socket.read(&mut buffer) {
                Ok(read) if read > 0 => self.bytes.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        }
    }
}

/// A program that was started and connects at once.
pub struct App {
    child: Child,
    pub connection: Connection,
    _folder: tempfile::TempDir,
}

impl App {
    /// Starts the program `name` of `apps.rs` with these further environment variables, without `Start`.
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("probe.sock");
        let listener = UnixListener::bind(&path).expect("socket");
        let mut command = command(name);
        command.env(SOCKET_VARIABLE, &path).envs(variables.iter().copied()).stdin(Stdio::piped());
        let child = command.spawn().expect("program");
        let (socket, _) = listener.accept().expect("connection");
        Self { child, connection: Connection::new(socket), _folder: folder }
    }

    /// Writes a line to the standard input of the program.
    pub fn write_line(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("input"), "{line}").expect("sent");
    }

    /// Reads until the program ends. Returns its stream and what it printed.
    pub fn finish(self) -> (Stream, String) {
        let mut stream = Stream::default();
        let output = self.finish_into(&mut stream);
        (stream, output)
    }

    /// Reads into `stream` until the program ends. Returns what it printed.
    pub fn finish_into(mut self, stream: &mut Stream) -> String {
        self.connection.read_until(stream, |_| false);
        let mut output = String::new();
        self.child.stdout.take().expect("output").read_to_string(&mut output).expect("text");
        let status = self.child.wait().expect("status");
        assert!(status.success(), "{status}: {output}");
        output
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a command that runs a program of `apps.rs`.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", "apps::run", "--nocapture", "--test-threads=1"]).env(APP_VARIABLE, name);
    command.stdout(Stdio::piped()).env_remove(SOCKET_VARIABLE);
    command
}

/// Runs a program from the start to the end. Returns its stream and what it printed.
pub fn run(name: &str) -> (Stream, String) {
    let mut app = App::start(name, &[]);
    app.connection.begin();
    app.finish()
}

/// Returns the lines of a program's output that start with this word, each as numbers.
pub fn numbers(output: &str, word: &str) -> Vec<Vec<u64>> {
    let lines = output.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines.map(|line| line.split(' ').map(|number| number.parse().expect("number")).collect()).collect()
}
