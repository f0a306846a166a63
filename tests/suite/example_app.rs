//! Starts the example program `app` (`tests/apps`), as an external app, and reads the counts that it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// Timeout for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the path of the example program, which `cargo test` builds.
pub fn example_app_path() -> PathBuf {
    example_path("app")
}

/// Returns the path of an example program, which `cargo test` builds.
pub fn example_path(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("path of the test binary");
    let profile = own.parent().and_then(Path::parent).expect("target/PROFILE/deps/suite");
    let app = profile.join("examples").join(name);
    assert!(app.is_file(), "run `cargo build --examples` to build {}", app.display());
    app
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets the app record a scenario into `file` until that has about `lines` lines. Stops it and returns its own counts.
pub fn record_scenario(arguments: &[&str], file: &Path, lines: usize) -> Map<String, Value> {
    let mut child = Command::new(example_app_path())
        .args(arguments)
        .env("TOKIO_CONSOLE_BIND", "127.0.0.1:0")
        .env("TOKIO_CONSOLE_RECORD_PATH", file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the app starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let mut out = BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok);
    // A line has about 100 bytes.
    wait_until("a recording", || std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > lines as u64 * 95));
    let last = match arguments[0] {
        "quits" => out.last(),
        _ => {
            writeln!(stdin, "stop").expect("the app reads its stdin");
            let counts = out.nth(1);
            wait_until("its tasks' ends", || has_every_end(file));
            counts
        }
    };
    drop(stdin);
    child.wait().expect("the app ends");
    counts(&last.expect("the app prints its counts"))
}

/// Returns whether the recording contains the end of every spawned task. The runtime's root future and workers may
/// still run.
fn has_every_end(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut alive = BTreeSet::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let is_task = |field: &Value| field["name"] == "kind" && field["value"] == "task";
        if line["Spawn"]["fields"].as_array().is_some_and(|fields| fields.iter().any(is_task)) {
            alive.insert(line["Spawn"]["id"].as_u64());
        }
        if line["Close"].is_object() {
            alive.remove(&line["Close"]["id"].as_u64());
        }
    }
    alive.is_empty()
}

/// Parses the app's counts: polls and wakes by task.
pub fn counts(line: &str) -> Map<String, Value> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not the app's counts ({error}): {line}"))
}

/// A temporary folder that is deleted on drop.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loopscope-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("writable temporary directory");
        Self(path)
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The app's console-subscriber publish interval.
const PUBLISH_INTERVAL: &str = "50ms";

/// A running example app. It is killed on drop.
pub struct ExampleApp {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The console address for `loopscope attach`.
    pub address: String,
}

/// The counts that one task of the app keeps of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppTaskCounts {
    pub polls: u64,
    pub wakes: u64,
}

/// Returns an unused TCP port.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound address").port()
}

/// Returns an unused path for a Unix socket.
pub fn socket_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("loopscope-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

impl ExampleApp {
    /// Starts the app with its console on a free TCP port.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(arguments, free_port())
    }

    pub fn start_at(arguments: &[&str], port: u16) -> Self {
        Self::run(arguments, &[], &format!("http://127.0.0.1:{port}"), &format!("127.0.0.1:{port}"))
    }

    /// Starts the app with its console on a Unix socket.
    pub fn start_on_socket(arguments: &[&str]) -> Self {
        let path = socket_path();
        let path = path.to_str().expect("it is text");
        Self::run(arguments, &["--unix", path], &format!("unix:{path}"), "127.0.0.1:0")
    }

    fn run(arguments: &[&str], extra_arguments: &[&str], address: &str, bind: &str) -> Self {
        let mut child = Command::new(example_app_path())
            .args(arguments)
            .args(extra_arguments)
            .env("TOKIO_CONSOLE_BIND", bind)
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", PUBLISH_INTERVAL)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the app starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let app = Self { input: child.stdin.take(), child, lines, address: address.to_owned() };
        assert_eq!(app.line(), "ready");
        app
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the app prints a line")
    }

    /// Ends the app's tasks and returns their counts by name. The process keeps running, so that its console can
    /// publish the last updates.
    pub fn stop(&mut self) -> BTreeMap<String, AppTaskCounts> {
        // An app that has ended by itself does not read its stdin.
        let _ = self.input.as_mut().map(|input| writeln!(input, "stop"));
        let counts: BTreeMap<String, BTreeMap<String, u64>> =
            serde_json::from_str(&self.line()).expect("counts as JSON");
        counts
            .into_iter()
            .map(|(name, count)| (name, AppTaskCounts { polls: count["polls"], wakes: count["wakes"] }))
            .collect()
    }

    /// Closes the app's stdin, which makes it exit. It prints its counts before.
    pub fn request_exit(&mut self) {
        self.input = None;
    }

    /// Ends the app and returns its tasks' counts by name.
    pub fn counts(mut self) -> BTreeMap<String, AppTaskCounts> {
        let counts = self.stop();
        self.request_exit();
        assert!(self.child.wait().expect("the app ends").success());
        counts
    }

    /// Kills the app, to simulate a crash.
    pub fn kill(mut self) {
        self.child.kill().expect("the app runs");
        self.child.wait().expect("the app ends");
    }
}

impl Drop for ExampleApp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = self.address.strip_prefix("unix:") {
            let _ = std::fs::remove_file(path);
        }
    }
}
