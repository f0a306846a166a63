//! The flight recorder.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use loopscope_probe::protocol::{CommandKind, FILE_MAGIC, FRAME_BYTES_MAX, FrameKind, Start, VERSION, split_frame};
use loopscope_probe::record::RecordKind;
use rustix::process::{Pid, Signal, kill_process};

use crate::attach::polls;
use crate::peer::{Connection, Stream, command, numbers};

/// Upper limit for every wait.
const PATIENCE: Duration = Duration::from_secs(60);

struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Program {
    fn start(kib: usize) -> Self {
        Self::start_with(kib, Signal::USR1, "dumps").0
    }

    /// Starts one that writes a file into this folder at this signal. Returns what it prints before it is ready, too.
    fn start_with(kib: usize, signal: Signal, dumps: &str) -> (Self, String) {
        let folder = tempfile::tempdir().expect("folder");
        let [dump, panic_dump, dumps] =
            ["dump", "panic", dumps].map(|name| folder.path().join(name).display().to_string());
        let mut command = command(&format!("flight {kib} {dump} {panic_dump} {} {dumps}", signal.as_raw()));
        command.env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("program");
        let input = child.stdin.take().expect("input");
        let output = BufReader::new(child.stdout.take().expect("output"));
        let mut program = Self { child, input, output, folder };
        let lines = program.lines_until("ready");
        (program, lines)
    }

    fn send_signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("id");
        kill_process(pid, signal).expect("sent");
    }

    /// Waits until this many files are in the folder of the signal. Returns their paths by name.
    fn dumps(&self, count: usize) -> Vec<PathBuf> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let files = std::fs::read_dir(self.path("dumps")).into_iter().flatten();
            let files = files.map(|file| file.expect("file").path());
            let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "lsprobe")).collect();
            if files.len() == count {
                files.sort_unstable_by_key(|path| std::fs::metadata(path).expect("file").modified().expect("time"));
                return files;
            }
            assert!(Instant::now() < deadline, "{files:?} instead of {count} files");
            std::thread::yield_now();
        }
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

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("file").permissions().mode() & 0o777
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
    assert_eq!(mode(&program.path("dump")), 0o600);

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

#[test]
fn a_signal_writes_a_new_file_each_time() {
    let mut program = Program::start(64 << 10);
    let first = program.carry_out("1000");
    program.send_signal(Signal::USR1);
    let files = program.dumps(1);
    assert_eq!((mode(&files[0]), mode(&program.path("dumps"))), (0o600, 0o700));
    let name = files[0].file_name().expect("name").to_string_lossy().into_owned();
    assert!(name.starts_with("suite-") && name.contains(&format!("-{}-2", program.child.id())), "{name}");
    let stream = read(&files[0]);
    stream.check();
    assert_eq!(polls(&stream, first), 1_000);
    let second = program.carry_out("1000");
    let before = std::fs::read(&files[0]).expect("file");
    program.send_signal(Signal::USR1);
    let files = program.dumps(2);
    assert_eq!(std::fs::read(&files[0]).expect("file"), before, "the first file is as it was");
    let stream = read(&files[1]);
    assert_eq!([first, second].map(|task| polls(&stream, task)), [1_000, 1_000]);
}

#[test]
fn a_signal_works_while_every_worker_is_blocked() {
    let mut program = Program::start(64 << 10);
    let task = program.carry_out("1000");
    program.carry_out("block");
    program.send_signal(Signal::USR1);
    let stream = read(&program.dumps(1)[0]);
    stream.check();
    assert_eq!(polls(&stream, task), 1_000);
    let ended = stream.of_kind(RecordKind::PollEnd).map(|event| event.subject).collect::<Vec<_>>();
    let in_poll = stream.of_kind(RecordKind::PollStart).filter(|event| !ended.contains(&event.subject));
    assert!(in_poll.count() >= 2, "the polls that block have not ended");
}

#[test]
fn a_failed_dump_is_reported_once() {
    // A file is where the folder should be.
    let (mut program, _) = Program::start_with(1 << 10, Signal::USR2, "dump");
    program.carry_out("dump");
    for _ in 0..3 {
        program.send_signal(Signal::USR2);
        program.carry_out("100");
    }
    let mut errors = program.child.stderr.take().expect("errors");
    let folder = program.path("dump");
    let mut line = String::new();
    BufReader::new(errors.by_ref()).read_line(&mut line).expect("text");
    assert!(line.starts_with("loopscope-probe: cannot write a flight recording into `"), "{line}");
    assert!(line.contains(&folder.display().to_string()), "{line}");
    drop(program);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
}

#[test]
fn a_refused_signal_keeps_its_effect() {
    let (mut program, lines) = Program::start_with(1 << 10, Signal::TERM, "dumps");
    assert!(lines.contains("problem no flight recording at a signal: signal 15 (SIGTERM)"), "{lines}");
    program.send_signal(Signal::TERM);
    let status = program.child.wait().expect("status");
    assert_eq!(status.signal(), Some(15), "{status}");
    let mut errors = String::new();
    program.child.stderr.take().expect("errors").read_to_string(&mut errors).expect("text");
    assert!(errors.contains("SIGTERM") && errors.contains("use SIGUSR1"), "{errors}");
    assert!(!program.path("dumps").exists());
}
