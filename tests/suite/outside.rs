//! Programs of somebody else's: the example `app`, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// Long past anything that is still going to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The example program, which is built with the tests.
pub fn app() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let profile = own.parent().and_then(Path::parent).expect("target/PROFILE/deps/suite");
    let app = profile.join("examples").join("app");
    assert!(app.is_file(), "`cargo build --example app` makes {}", app.display());
    app
}

/// Waits until `condition` holds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets the app record `scenario` into `file` until that has about so many lines, ends it, and returns its own counts.
pub fn record(words: &[&str], file: &Path, lines: usize) -> Map<String, Value> {
    let mut child = Command::new(app())
        .args(words)
        .env("TOKIO_CONSOLE_BIND", "127.0.0.1:0")
        .env("TOKIO_CONSOLE_RECORD_PATH", file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the app can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    // A line is about a hundred bytes.
    until("a recording", || std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > lines as u64 * 95));
    let last = match words[0] {
        "quits" => out.last(),
        _ => {
            writeln!(stdin, "stop").expect("it reads");
            let counts = out.nth(1);
            until("its tasks' ends", || has_every_end(file));
            counts
        }
    };
    drop(stdin);
    child.wait().expect("it ends");
    counts(&last.expect("it prints its counts"))
}

/// The end of each task that was spawned is in this recording; the runtime's own future and workers may go on.
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

/// The app's counts: by task, polls and wakes.
pub fn counts(line: &str) -> Map<String, Value> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not the app's counts ({error}): {line}"))
}

/// A private folder that goes with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loopscope-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How often an attached program tells what is new.
const PUBLISH_INTERVAL: &str = "50ms";

/// A program that runs; it is ended when this goes.
pub struct App {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// As `loopscope attach` takes it.
    pub address: String,
}

/// What a task counted of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub polls: u64,
    pub wakes: u64,
}

/// A port at which nobody listens.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A path for a socket that nobody else uses.
pub fn socket_path() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("loopscope-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

impl App {
    /// On a free TCP port.
    pub fn start(words: &[&str]) -> Self {
        Self::start_at(words, free_port())
    }

    pub fn start_at(words: &[&str], port: u16) -> Self {
        Self::run(words, &[], &format!("http://127.0.0.1:{port}"), &format!("127.0.0.1:{port}"))
    }

    /// On a Unix socket.
    pub fn start_on_socket(words: &[&str]) -> Self {
        let path = socket_path();
        let path = path.to_str().expect("it is text");
        Self::run(words, &["--unix", path], &format!("unix:{path}"), "127.0.0.1:0")
    }

    fn run(words: &[&str], more: &[&str], address: &str, bind: &str) -> Self {
        let mut child = Command::new(app())
            .args(words)
            .args(more)
            .env("TOKIO_CONSOLE_BIND", bind)
            .env("TOKIO_CONSOLE_PUBLISH_INTERVAL", PUBLISH_INTERVAL)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cargo builds the example with the tests");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let app = Self { input: child.stdin.take(), child, lines, address: address.to_owned() };
        assert_eq!(app.line(), "ready");
        app
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program says something")
    }

    /// Lets its tasks end, and gives what they counted, by name. It stays, so that everything of it can be told.
    pub fn stop(&mut self) -> BTreeMap<String, Count> {
        // One that has ended by itself reads no more.
        let _ = self.input.as_mut().map(|input| writeln!(input, "stop"));
        let counts: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_str(&self.line()).expect("it is JSON");
        counts.into_iter().map(|(name, count)| (name, Count { polls: count["polls"], wakes: count["wakes"] })).collect()
    }

    /// Tells it to end. What it counted comes later.
    pub fn tell_to_end(&mut self) {
        self.input = None;
    }

    /// Ends it, and gives what its tasks counted, by name.
    pub fn counts(mut self) -> BTreeMap<String, Count> {
        let counts = self.stop();
        self.tell_to_end();
        assert!(self.child.wait().expect("it is ours").success());
        counts
    }

    /// Kills it, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = self.address.strip_prefix("unix:") {
            let _ = std::fs::remove_file(path);
        }
    }
}
