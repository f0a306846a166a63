//! Programs of somebody else's: the example `app`, and what it says of itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    let stdin = child.stdin.take().expect("it is piped");
    // A line is about a hundred bytes.
    until("a recording", || std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > lines as u64 * 95));
    drop(stdin);
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let last = out.lines().map_while(Result::ok).last().expect("it prints its counts");
    child.wait().expect("it ends");
    counts(&last)
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
