//! The death of loopscope, or of the program that it controls, in each state of control: with the real binary in a
//! terminal, and the example service under load.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::example_app::{PATIENCE, TempFolder, example_path};
use crate::pty::{PtyTerminal, kill};

/// The example service, which sends requests to itself. It is killed on drop.
struct Service {
    child: Child,
    lines: Receiver<String>,
    folder: TempFolder,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(name: &str) -> Self {
        let folder = TempFolder::new(&format!("kills-{name}"));
        let runtime_folder = folder.path_of("run");
        std::fs::DirBuilder::new().mode(0o700).create(&runtime_folder).expect("a folder");
        let mut child = Command::new(example_path("service"))
            .args(["--port", "0", "--workers", "2", "--load", "2", "--control"])
            .env("XDG_RUNTIME_DIR", &runtime_folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut service = Self { child, lines, folder };
        service.wait_for_requests();
        service
    }

    /// Waits until the service reports that more requests were answered since now.
    fn wait_for_requests(&mut self) {
        while self.lines.try_recv().is_ok() {}
        let requests = || loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the service goes on");
            if let Some(count) = line.strip_suffix(" requests").and_then(|count| count.parse::<u64>().ok()) {
                return count;
            }
        };
        let before = requests();
        while requests() < before + 20 {}
    }

    fn attach(&self) -> PtyTerminal {
        let folder = self.folder.path_of("run");
        let variables = [("XDG_RUNTIME_DIR", folder.to_str().expect("text"))];
        let address = format!("pid:{}", self.child.id());
        let loopscope = env!("CARGO_BIN_EXE_loopscope");
        loop {
            let mut terminal = PtyTerminal::start_with(loopscope, &["attach", &address], &variables, 120, 40);
            let is_live = |screen: &str| screen.contains("LIVE") && screen.contains("serv…s:60");
            // The app may not have noticed yet that the loopscope before was killed, and it permits only one.
            let is_refused = |screen: &str| screen.contains("before it recorded anything") && screen.contains("quit");
            let screen = terminal.wait_until("the tasks", |screen| is_live(screen) || is_refused(screen));
            if is_live(&screen) {
                return terminal;
            }
            terminal.press("q");
            terminal.wait_for_exit();
        }
    }
}

/// A state of control, and how the user gets there.
type Enter = fn(&mut PtyTerminal);

fn pause(terminal: &mut PtyTerminal) {
    terminal.press(" ");
    terminal.wait_for_text("PAUSED");
    terminal.wait_for_text("sockets, timers and closures of the blocking pool go on");
}

/// Runs until the task that accepts connections is polled, which does not happen.
fn step_to_a_task(terminal: &mut PtyTerminal) {
    pause(terminal);
    terminal.press("jT");
    terminal.wait_for_text("LIVE");
}

/// Holds the task of one of the two connections.
fn hold(terminal: &mut PtyTerminal) {
    terminal.press("jj");
    terminal.press("o");
    terminal.wait_for_text("1 held");
}

fn set_breakpoint(terminal: &mut PtyTerminal) {
    terminal.press(":break wake no-such-task\r");
    terminal.wait_for_text("breakpoint: wake no-such-task");
}

fn hit_breakpoint(terminal: &mut PtyTerminal) {
    terminal.press(":break poll server.rs:60*\r");
    terminal.wait_for_text("is about to be polled (break poll server.rs:60*)");
}

fn check_kills(states: &[(&str, Enter)]) {
    for (state, enter) in states {
        let mut service = Service::start(state);
        let mut terminal = service.attach();
        enter(&mut terminal);
        kill(&terminal, "-9");
        service.wait_for_requests();

        let mut terminal = service.attach();
        enter(&mut terminal);
        service.child.kill().expect("it runs");
        terminal.wait_until(&format!("{state}: what it had"), |screen| {
            let texts = ["the app closed the connection; it may have been killed", "LOST", "serv…s:60"];
            texts.iter().all(|text| screen.contains(text))
        });
        terminal.press("q");
        assert_eq!(terminal.wait_for_exit(), 0, "{state}");
        terminal.assert_restored();
    }
}

#[test]
fn kills_while_running_and_paused() {
    check_kills(&[("running", |_| {}), ("paused", pause), ("stepping", step_to_a_task)]);
}

#[test]
fn kills_while_holding_and_at_breakpoints() {
    check_kills(&[("holding", hold), ("breakpoint", set_breakpoint), ("hit", hit_breakpoint)]);
}

/// A program that does not permit it: the keys say so.
#[test]
fn keys_say_that_control_is_not_permitted() {
    let folder = TempFolder::new("kills-observed");
    std::fs::DirBuilder::new().mode(0o700).create(folder.path_of("run")).expect("a folder");
    let runtime_folder = folder.path_of("run");
    let mut child = Command::new(example_path("service"))
        .args(["--port", "0", "--load", "1"])
        .env("XDG_RUNTIME_DIR", &runtime_folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the service starts");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    output.read_line(&mut line).expect("a line");
    let service = Service { child, lines: channel().1, folder };
    let mut terminal = service.attach();
    terminal.press("s");
    terminal.wait_for_text("no control: the app does not call allow_control(); space freezes the view");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    drop(output);
}
