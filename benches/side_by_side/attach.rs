//! Cost of attaching to another program, compared with tokio-console attached to the same program.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::{ClaimResult, Effort};

const TASKS: &str = "10000";

/// Publish interval of the program, and so the update interval of both clients.
const INTERVAL: &str = "100ms";

/// A client on its own pseudo-terminal; killed when dropped.
pub struct ClientProcess {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    /// Keeps the terminal open.
    _screen: Box<dyn portable_pty::MasterPty + Send>,
}

impl ClientProcess {
    /// Starts a client with these words; `None` if that fails.
    pub fn start(words: &[&str]) -> Option<Self> {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).ok()?;
        let mut command = CommandBuilder::new(words[0]);
        command.args(&words[1..]);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).ok()?;
        let mut screen = pair.master.try_clone_reader().ok()?;
        // Unread output would block the client.
        std::thread::spawn(move || while screen.read(&mut [0; 1 << 16]).is_ok_and(|bytes| bytes > 0) {});
        Some(Self { child, _screen: pair.master })
    }

    /// Returns CPU time in system ticks and peak memory in KiB.
    fn usage(&self) -> Option<(u64, u64)> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.process_id()?));
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // The name may contain anything; the third field follows it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some((ticks, peak.split_whitespace().next()?.parse().ok()?))
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The observed program.
struct SleepingApp(Child);

impl SleepingApp {
    fn start(port: u16) -> Option<Self> {
        // Benches do not build examples.
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

impl Drop for SleepingApp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tokio_console() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("tokio-console")).find(|file| file.is_file())
}

/// CPU of loopscope, divided by that of tokio-console, both attached to one program of ten thousand tasks.
pub fn cpu_over_console(effort: Effort) -> ClaimResult {
    let Some(peer) = tokio_console() else {
        return ClaimResult::Skipped("tokio-console, on the PATH: cargo install tokio-console".to_owned());
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let Ok(port) = free.map(|address| address.port()) else {
        return ClaimResult::Skipped("a free port".to_owned());
    };
    let Some(app) = SleepingApp::start(port) else {
        return ClaimResult::Skipped("the example `app`, in release: cargo build --release --example app".to_owned());
    };
    let address = format!("http://127.0.0.1:{port}");
    let peer = peer.to_string_lossy();
    let loopscope = ClientProcess::start(&[env!("CARGO_BIN_EXE_loopscope"), "attach", &address]);
    let peer = ClientProcess::start(&[&peer, &address]);
    let (Some(loopscope), Some(peer)) = (loopscope, peer) else {
        return ClaimResult::Skipped("a pseudo-terminal for each client".to_owned());
    };
    // The program takes a while to report all of its tasks.
    std::thread::sleep(Duration::from_secs(12));
    let (before, begun) = ((loopscope.usage(), peer.usage()), Instant::now());
    std::thread::sleep(Duration::from_secs(if effort == Effort::Full { 30 } else { 10 }));
    let (after, taken) = ((loopscope.usage(), peer.usage()), begun.elapsed());
    drop(app);
    let spent = |before: Option<(u64, u64)>, after: Option<(u64, u64)>| {
        let ((before, _), (after, peak)) = (before?, after?);
        Some((after - before, peak / 1024))
    };
    match (spent(before.0, after.0), spent(before.1, after.1)) {
        (Some((loopscope, loopscope_peak)), Some((peer, peer_peak))) => {
            // Linux uses 100 ticks per second.
            let share = |ticks: u64| ticks as f64 / taken.as_secs_f64();
            let pairing = format!(
                "an app of {TASKS} tasks that publishes every {INTERVAL}: `loopscope attach` took {:.1} % of a core and \
                 {loopscope_peak} MiB at most, tokio-console {:.1} % and {peer_peak} MiB, both on a screen of 120x40 for {:.0} s",
                share(loopscope),
                share(peer),
                taken.as_secs_f64()
            );
            ClaimResult::Ratio { pairing, value: loopscope as f64 / peer.max(1) as f64 }
        }
        _ => ClaimResult::Skipped("a /proc that tells what a process used".to_owned()),
    }
}
