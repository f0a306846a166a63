//! The flight recorder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use loopscope_probe::protocol::{CommandKind, FILE_MAGIC, FRAME_BYTES_MAX, FrameKind, Start, VERSION, split_frame};
use loopscope_probe::record::RecordKind;

use crate::attach::polls;
use crate::peer::{Connection, Stream, command, numbers};

struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Program {
    fn start(kib: usize) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let [dump, panic_dump] = ["dump", "panic"].map(|name| folder.path().join(name).display().to_string());
        let mut command = command(&format!("flight {kib} {dump} {panic_dump}"));
        command.env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("program");
        let input = child.stdin.take().expect("input");
        let output = BufReader::new(child.stdout.take().expect("output"));
        let mut program = Self { child, input, output, folder };
        program.lines_until("ready");
        program
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lines_until(&mut self, last: &str) -> String {
        let mut lines = String::new();
        loop {
            let before = lines.len();
            assert!(self.output.read_line(&mut lines).expect("text") > 0, "no `{last}` after {lines}");
            if lines[before..].trim_end() == last {
                return lines;
            }
        }
    }

    /// Has the program carry out a command. Returns the id of the task that did so, if any.
    fn carry_out(&mut self, command: &str) -> u64 {
        writeln!(self.input, "{command}").expect("sent");
        let lines = self.lines_until("done");
        numbers(&lines, "task").first().map_or(0, |task| task[0])
    }

    fn connect(&self) -> Connection {
        let socket = self.path("loopscope").join(format!("{}.sock", self.child.id()));
        Connection::new(UnixStream::connect(socket).expect("socket"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> Stream {
    let bytes = std::fs::read(path).expect("file");
    let mut rest = bytes.strip_prefix(FILE_MAGIC).expect("magic");
    let mut stream = Stream::default();
    let mut is_first = true;
    while let Some(((kind, payload), after)) = split_frame(rest, FRAME_BYTES_MAX).expect("frame") {
        assert_eq!(kind == FrameKind::Hello as u8, is_first);
        if !std::mem::take(&mut is_first) {
            stream.take(kind, payload);
        }
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes left", rest.len());
    stream
}

#[test]
fn dumps_to_a_file_at_panics_and_to_a_peer() {
    let mut program = Program::start(64 << 10);
    let first = program.carry_out("1000");
    program.carry_out("dump");
    let stream = read(&program.path("dump"));
    stream.check();
    assert_eq!(polls(&stream, first), 1_000);

    // A peer attaches and goes: the recorder keeps what is seen meanwhile.
    let mut connection = program.connect();
    connection.begin();
    let mut live = Stream::default();
    connection.read_until(&mut live, |stream| stream.has_snapshot);
    let second = program.carry_out("2000");
    connection.read_until(&mut live, |stream| stream.closed.contains(&second));
    assert_eq!(polls(&live, second), 2_000);
    connection.close();
    let panicked = program.carry_out("panic");
    let stream = read(&program.path("panic"));
    stream.check();
    assert_eq!([first, second].map(|task| polls(&stream, task)), [1_000, 2_000]);
    assert_eq!(polls(&stream, panicked), 1, "the hook runs in the poll");

    let mut connection = program.connect();
    connection.send(CommandKind::Start, &Start { protocol: VERSION, secret: None, dump: true });
    let mut stream = Stream::default();
    connection.read_until(&mut stream, |_| false);
    stream.check();
    assert!(stream.has_bye);
    assert_eq!(stream.of_kind(RecordKind::PollPanicked).next().expect("panic").subject, panicked);
}

#[test]
fn old_events_are_removed_and_the_rest_is_complete() {
    let mut program = Program::start(1 << 10);
    let first = program.carry_out("5000");
    let tasks: Vec<u64> = (0..40).map(|_| program.carry_out("5000")).collect();
    program.carry_out("dump");
    let length = std::fs::metadata(program.path("dump")).expect("file").len();
    let stream = read(&program.path("dump"));
    stream.check();
    assert_eq!(polls(&stream, first), 0, "the oldest");
    let last = *tasks.last().expect("tasks");
    assert!(polls(&stream, last) > 0 && length < 8 << 20, "{length} bytes");
    for task in tasks.iter().filter(|&&task| polls(&stream, task) > 0) {
        assert!(stream.of_kind(RecordKind::Spawn).any(|event| event.subject == *task), "task {task} is unknown");
    }
}
