//! The real binary in a real pseudo-terminal: keys in, screen out, and the terminal restored.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Upper limit for every wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pseudo-terminal that runs a program.
pub struct PtyTerminal {
    screen: vt100::Parser,
    bytes: Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl PtyTerminal {
    pub fn start(arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::start_with(env!("CARGO_BIN_EXE_loopscope"), arguments, &[], columns, rows)
    }

    /// Starts any program, with these environment variables.
    pub fn start_with(program: &str, arguments: &[&str], variables: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal can be opened");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env_remove("NO_COLOR");
        command.env("LOOPSCOPE_SETTINGS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/settings.toml"));
        command.env_remove("LOOPSCOPE_WORKLOADS");
        command.env("XDG_DATA_HOME", "/nonexistent");
        variables.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("the binary starts");
        let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 14];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().expect("the terminal can be written");
        Self { screen: vt100::Parser::new(cells(rows), cells(columns), 0), bytes, keys, child, master: pair.master }
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("a terminal can be resized");
        self.screen.screen_mut().set_size(cells(rows), cells(columns));
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the program reads its keys");
    }

    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Processes output until `reached` holds for the screen; panics with the screen after a timeout.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, reached: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if reached(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "timed out waiting for {what}:\n{text}");
            if let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(50)) {
                self.screen.process(&bytes);
            }
        }
    }

    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits for the program to end and for its last output; returns its exit code.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(20)) {
                self.screen.process(&bytes);
            }
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end:\n{}", self.text());
        };
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(100)) {
            self.screen.process(&bytes);
        }
        status.exit_code()
    }

    /// Asserts that the terminal is restored: main screen, visible cursor, no mouse capture, no raw mode.
    #[track_caller]
    pub fn assert_restored(&self) {
        self.assert_screen_restored();
        #[cfg(unix)]
        if let Some(termios) = self.master.get_termios() {
            let modes = format!("{:?}", termios.local_flags);
            for mode in ["ICANON", "ECHO", "ISIG"] {
                assert!(modes.contains(mode), "{mode} is set again: {modes}");
            }
        }
    }

    /// Asserts that the screen is restored, but not the terminal modes, which a shell may have set.
    #[track_caller]
    pub fn assert_screen_restored(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is visible");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "mouse capture was disabled");
        assert!(!screen.bracketed_paste() && !screen.application_cursor());
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has cells")
}

/// Returns the number of polls in the header: `49` of `… 49 polls, 26 wakes`.
fn polls(screen: &str) -> u64 {
    let before = screen.split(" polls,").next().expect("split gives at least one part");
    let number: String = before.chars().rev().take_while(|char| char.is_ascii_digit() || *char == ',').collect();
    number.chars().rev().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number of polls")
}

/// Returns the loop time in the header, while paused.
fn loop_time(screen: &str) -> String {
    let header = screen.lines().next().expect("there is a header");
    header.split("PAUSED").nth(1).expect("it is paused").trim().to_owned()
}

pub fn kill(terminal: &PtyTerminal, signal: &str) {
    let process = terminal.child.process_id().expect("it runs").to_string();
    let status = std::process::Command::new("kill").args([signal, &process]).status();
    assert!(status.expect("there is a kill command").success());
}

#[test]
fn user_picks_pauses_steps_holds_and_quits() {
    let mut terminal = PtyTerminal::start(&[], 120, 40);
    terminal.wait_for_text("choose a workload");
    terminal.press("/chess-async");
    terminal
        .wait_until("the one that is left", |screen| !screen.contains("countsync") && screen.contains("chess-async"));
    terminal.press("\r");
    terminal.wait_for_text("virtual clock");
    terminal.press("\r");
    terminal.wait_for_text("RUNNING");
    terminal.press(":speed 60\r");
    terminal.wait_until("the first boards", |screen| screen.contains("board-5") && screen.contains("×60"));
    terminal.press(" ");
    let paused = terminal.wait_for_text("PAUSED");
    let (before, time) = (polls(&paused), loop_time(&paused));
    for step in 1..=5 {
        terminal.press("s");
        terminal.wait_until("a step", |screen| polls(screen) == before + step && screen.contains("PAUSED"));
    }
    assert_ne!(loop_time(&terminal.text()), time, "steps advance loop time");

    terminal.press("jj");
    terminal.wait_for_text("▸─ board-2");
    terminal.press("o");
    terminal.wait_for_text("held by you");
    terminal.press("m ");
    terminal.wait_until("the others' end", |screen| screen.contains("✓ board-3") && screen.contains("■ board-2"));
    terminal.press("o");
    terminal.wait_for_text("✓ board-2");
    terminal.wait_for_text("ENDED");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn plain_terminals_get_ascii_or_a_reason() {
    let program = env!("CARGO_BIN_EXE_loopscope");
    for variable in [("LC_ALL", "C"), ("TERM", "linux")] {
        let mut terminal = PtyTerminal::start_with(program, &["run", "countsync"], &[variable], 80, 24);
        let screen = terminal.wait_for_text("RUNNING");
        assert!(screen.is_ascii(), "{variable:?}:\n{screen}");
        terminal.press("q");
        terminal.wait_for_exit();
    }
    let mut terminal = PtyTerminal::start_with(program, &["run", "countsync"], &[("TERM", "dumb")], 100, 24);
    terminal.wait_for_text("TERM=dumb: this terminal cannot move the cursor");
    terminal.wait_for_text("`loopscope run --headless countsync`");
    assert_eq!(terminal.wait_for_exit(), 2);
}

#[test]
fn prompt_of_a_headless_app_is_shown() {
    let script = r#"printf 'name? '; read name; echo "hello $name"; printf '\033]0;title\007bye\n'"#;
    let program = env!("CARGO_BIN_EXE_loopscope");
    let arguments = ["exec", "--headless", "--", "sh", "-c", script];
    let mut terminal = PtyTerminal::start_with(program, &arguments, &[], 100, 40);
    terminal.wait_until("the prompt", |screen| screen.contains("name? "));
    terminal.press("Bob\r");
    terminal.wait_until("the answer", |screen| screen.contains("hello Bob\nbye"));
    terminal.wait_for_text("feeds");
    terminal.wait_for_exit();
}

#[test]
fn every_signal_restores_the_terminal() {
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let mut terminal = PtyTerminal::start(&["run", "countsync", "--speed", "0.1"], 80, 24);
        terminal.wait_for_text("RUNNING");
        kill(&terminal, signal);
        assert_eq!(terminal.wait_for_exit(), code, "{signal}");
        terminal.assert_restored();
    }
}

#[test]
fn quits_a_blocked_loop_and_survives_a_task_panic() {
    let mut terminal = PtyTerminal::start(&["run", "chess-sync", "--speed", "0.1"], 100, 30);
    terminal.wait_for_text("RUNNING");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/panic.lua");
    let mut terminal = PtyTerminal::start(&["run", script, "--speed", "max"], 200, 30);
    let screen = terminal.wait_for_text("kaboom");
    assert!(!screen.contains("stack backtrace"), "{screen}");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 1, "the run failed");
    terminal.assert_restored();
}

#[test]
fn stays_responsive_with_10000_tasks() {
    let mut terminal = PtyTerminal::start(&["run", "countasync", "--set", "counters=10000", "--paused"], 80, 24);
    terminal.wait_for_text("PAUSED");
    terminal.press("t");
    terminal.wait_for_text("10,001 tasks");
    terminal.press("\x1b[F");
    terminal.wait_for_text("count-10000");
    terminal.press("?");
    terminal.wait_for_text("pause or resume the loop");
    terminal.press("\x1b");
    terminal.wait_until("the help to go", |screen| !screen.contains("pause or resume the loop"));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn follows_a_resize_down_to_one_cell() {
    let mut terminal = PtyTerminal::start(&["run", "countasync", "--paused"], 80, 24);
    terminal.wait_for_text("PAUSED");
    for (columns, rows) in [(10, 5), (1, 1), (120, 40)] {
        terminal.resize(columns, rows);
    }
    terminal.wait_for_text("selected task");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn findings_page_leads_to_the_evidence() {
    let mut terminal = PtyTerminal::start(&["run", "countsync", "--speed", "max"], 120, 40);
    terminal.wait_for_text("blocked-loop (n)");
    terminal.press("n");
    // The screen may be read while a frame is only partly drawn.
    terminal.wait_until("the findings and their evidence", |screen| {
        ["findings: 1", "blocked-loop", "countsync.lua:3"].iter().all(|part| screen.contains(part))
    });
    terminal.press("\r");
    terminal.wait_for_text("enter: show it on the timeline");
    terminal.press("\r");
    terminal.wait_until("the task and the time of the chosen finding", |screen| {
        screen.contains("LOOKING BACK at 0 s") && screen.contains("count-1 #2")
    });
    terminal.press("n");
    terminal.wait_for_text("findings: 1");
    terminal.press("\x1b");
    terminal.wait_until("the page to go", |screen| !screen.contains("findings: 1"));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn attaching_to_a_dead_address_shows_the_screen() {
    let address = format!("127.0.0.1:{}", crate::example_app::free_port());
    let mut terminal = PtyTerminal::start(&["attach", &address], 100, 30);
    terminal.wait_for_text(&address);
    terminal.wait_for_text("connection refused");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn quitting_does_not_end_an_attached_program() {
    let app = crate::example_app::ExampleApp::start(&["mutex"]);
    let mut terminal = PtyTerminal::start(&["attach", &app.address], 120, 40);
    terminal.wait_for_text("locker-2");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
    assert_eq!(app.counts().len(), 3, "it continues and ends by itself");
}

#[test]
fn attach_prompt_rejects_a_bad_address() {
    let app = crate::example_app::ExampleApp::start(&["mutex"]);
    let mut terminal = PtyTerminal::start(&[], 120, 40);
    terminal.wait_for_text("choose a workload");
    terminal.press("A");
    terminal.wait_for_text("attach to 127.0.0.1:6669");
    terminal.press("\x15ftp://x\r");
    terminal.wait_for_text("unknown scheme `ftp`");
    terminal.press(&format!("\x15{}\r", app.address));
    terminal.wait_for_text("locker-2");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

/// Everything that was started by then is cleaned up, and the terminal is restored.
#[test]
fn early_signal_cleans_up() {
    for attempt in 0..8 {
        let folder = crate::example_app::TempFolder::new(&format!("pty-early-{attempt}"));
        let notes = folder.path_of("said");
        // It signals loopscope first, and would then run for a long time.
        let script = format!("kill $PPID; echo $$ $TOKIO_CONSOLE_RECORD_PATH > {}; exec sleep 1000", notes.display());
        let mut terminal = PtyTerminal::start(&["exec", "--", "sh", "-c", &script], 80, 24);
        assert_eq!(terminal.wait_for_exit(), 143);
        terminal.assert_restored();
        // It may have been killed before it could write anything.
        let notes = std::fs::read_to_string(&notes).unwrap_or_default();
        if let Some((pid, recording)) = notes.trim().split_once(' ') {
            let is_there = || std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists();
            crate::example_app::wait_until("the app to go", || !is_there());
            assert!(!std::path::Path::new(recording).parent().expect("a folder").exists(), "{attempt}");
        }
    }
}
