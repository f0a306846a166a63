//! Programs of somebody else's, started for a test: `tests/apps`, on sockets of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Long past anything that is still going to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often the program tells what is new.
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

/// Where the program is: cargo builds examples with the tests, beside them.
pub fn app_path() -> PathBuf {
    let suite = std::env::current_exe().expect("it runs");
    let folder = suite.ancestors().nth(2).expect("target/PROFILE/deps/suite");
    folder.join("examples").join("app")
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
        let mut child = Command::new(app_path())
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

    /// Tells it to end. What it counted comes later.
    pub fn tell_to_end(&mut self) {
        self.input = None;
    }

    /// Waits for its end and gives what its tasks counted, by name.
    pub fn counts(mut self) -> BTreeMap<String, Count> {
        self.tell_to_end();
        let counts: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_str(&self.line()).expect("it is JSON");
        assert!(self.child.wait().expect("it is ours").success());
        counts.into_iter().map(|(name, count)| (name, Count { polls: count["polls"], wakes: count["wakes"] })).collect()
    }

    /// Kills it, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(mut input) = self.input.take() {
            let _ = input.flush();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = self.address.strip_prefix("unix:") {
            let _ = std::fs::remove_file(path);
        }
    }
}
