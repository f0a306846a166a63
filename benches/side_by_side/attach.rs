//! What looking at somebody else's program costs, beside tokio-console at the same program at the same time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::{Effort, Measured};

const TASKS: &str = "10000";

/// How often the program tells what is new, and so how often both clients have something to show.
const INTERVAL: &str = "100ms";

/// A client on a screen of its own, ended when it goes.
struct Client {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    /// Kept, or the client would lose its terminal.
    _screen: Box<dyn portable_pty::MasterPty + Send>,
}

impl Client {
    fn start(words: &[&str]) -> Option<Self> {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).ok()?;
        let mut command = CommandBuilder::new(words[0]);
        command.args(&words[1..]);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).ok()?;
        let mut screen = pair.master.try_clone_reader().ok()?;
        // What it draws has to be read, or it would wait.
        std::thread::spawn(move || while screen.read(&mut [0; 1 << 16]).is_ok_and(|bytes| bytes > 0) {});
        Some(Self { child, _screen: pair.master })
    }

    /// Time on a core so far, in ticks of the system, and the most memory so far, in KiB.
    fn used(&self) -> Option<(u64, u64)> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.process_id()?));
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // After the name, which may hold anything, come the fields from the third on.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some((ticks, peak.split_whitespace().next()?.parse().ok()?))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that is looked at.
struct App(Child);

impl App {
    fn start(port: u16) -> Option<Self> {
        // The example is not built with a bench.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--release", "--quiet", "--example", "app"]).status();
        let app = Path::new(env!("CARGO_BIN_EXE_loopscope")).with_file_name("examples").join("app");
        if !built.is_ok_and(|status| status.success()) {
            return None;
        }
        let child = Command::new(app)
            .args(["sleeps", "--tasks", TASKS])
            .env("TOKIO_CONSOLE_BIND", format!("127.0.0.1:{port}"))
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", INTERVAL)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tokio_console() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("tokio-console")).find(|file| file.is_file())
}

/// CPU of our client ÷ tokio-console's, both looking at one program of ten thousand tasks.
pub fn cpu_over_console(effort: Effort) -> Measured {
    let Some(theirs) = tokio_console() else {
        return Measured::Skipped("tokio-console, on the PATH: cargo install tokio-console".to_owned());
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let Ok(port) = free.map(|address| address.port()) else {
        return Measured::Skipped("a free port".to_owned());
    };
    let Some(app) = App::start(port) else {
        return Measured::Skipped("the example `app`, in release: cargo build --release --example app".to_owned());
    };
    let address = format!("http://127.0.0.1:{port}");
    let theirs = theirs.to_string_lossy();
    let ours = Client::start(&[env!("CARGO_BIN_EXE_loopscope"), "attach", &address]);
    let theirs = Client::start(&[&theirs, &address]);
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return Measured::Skipped("a pseudo-terminal for each client".to_owned());
    };
    // The program takes a while to tell of all its tasks.
    std::thread::sleep(Duration::from_secs(12));
    let (before, begun) = ((ours.used(), theirs.used()), Instant::now());
    std::thread::sleep(Duration::from_secs(if effort == Effort::Full { 30 } else { 10 }));
    let (after, taken) = ((ours.used(), theirs.used()), begun.elapsed());
    drop(app);
    let spent = |before: Option<(u64, u64)>, after: Option<(u64, u64)>| {
        let ((before, _), (after, peak)) = (before?, after?);
        Some((after - before, peak / 1024))
    };
    match (spent(before.0, after.0), spent(before.1, after.1)) {
        (Some((ours, our_peak)), Some((theirs, their_peak))) => {
            // A hundred ticks a second, on every Linux that there is.
            let share = |ticks: u64| ticks as f64 / taken.as_secs_f64();
            let pairing = format!(
                "an app of {TASKS} tasks that publishes every {INTERVAL}: `loopscope attach` took {:.1} % of a core and \
                 {our_peak} MiB at most, tokio-console {:.1} % and {their_peak} MiB, both on a screen of 120x40 for {:.0} s",
                share(ours),
                share(theirs),
                taken.as_secs_f64()
            );
            Measured::Ratio { pairing, value: ours as f64 / theirs.max(1) as f64 }
        }
        _ => Measured::Skipped("a /proc that tells what a process used".to_owned()),
    }
}
