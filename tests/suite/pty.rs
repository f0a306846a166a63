//! The real binary in a real pseudo-terminal: keys in, a screen out, and a terminal that is given back.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Long past anything that is still going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with the program in it.
pub struct Terminal {
    screen: vt100::Parser,
    bytes: Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    pub fn start(arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::start_with(env!("CARGO_BIN_EXE_loopscope"), arguments, &[], columns, rows)
    }

    /// Starts any program, with these variables.
    pub fn start_with(program: &str, arguments: &[&str], variables: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal can be had");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
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
        let keys = pair.master.take_writer().expect("the terminal can be typed on");
        Self { screen: vt100::Parser::new(cells(rows), cells(columns), 0), bytes, keys, child, master: pair.master }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the program reads its keys");
    }

    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Takes in what the program draws until `reached`, or fails with the screen as it is.
    #[track_caller]
    pub fn until(&mut self, what: &str, reached: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if reached(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{text}");
            if let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(50)) {
                self.screen.process(&bytes);
            }
        }
    }

    #[track_caller]
    pub fn until_shows(&mut self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits for the program's end and everything it still wrote; gives its exit code.
    #[track_caller]
    pub fn ends(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(20)) {
                self.screen.process(&bytes);
            }
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
        };
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(100)) {
            self.screen.process(&bytes);
        }
        status.exit_code()
    }

    /// The terminal is as it was: main screen, cursor, no mouse, no raw mode.
    #[track_caller]
    pub fn is_restored(&self) {
        self.screen_is_restored();
        #[cfg(unix)]
        if let Some(termios) = self.master.get_termios() {
            let modes = format!("{:?}", termios.local_flags);
            for mode in ["ICANON", "ECHO", "ISIG"] {
                assert!(modes.contains(mode), "{mode} is back: {modes}");
            }
        }
    }

    /// The same without its modes, where a shell has set its own.
    #[track_caller]
    pub fn screen_is_restored(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is back");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse was given back");
        assert!(!screen.bracketed_paste() && !screen.application_cursor());
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has cells")
}

/// `49` of `… 49 polls, 26 wakes`.
fn polls(screen: &str) -> u64 {
    let before = screen.split(" polls,").next().expect("split gives at least one part");
    let number: String = before.chars().rev().take_while(|char| char.is_ascii_digit() || *char == ',').collect();
    number.chars().rev().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number of polls")
}

/// Second column of the header: loop time while paused.
fn loop_time(screen: &str) -> String {
    let header = screen.lines().next().expect("there is a header");
    header.split("PAUSED").nth(1).expect("it is paused").trim().to_owned()
}

fn kill(terminal: &Terminal, signal: &str) {
    let process = terminal.child.process_id().expect("it runs").to_string();
    let status = std::process::Command::new("kill").args([signal, &process]).status();
    assert!(status.expect("there is a kill command").success());
}

#[test]
fn a_person_picks_chess_pauses_steps_holds_and_leaves() {
    let mut terminal = Terminal::start(&[], 120, 40);
    terminal.until_shows("choose what to run");
    terminal.press("/chess-async");
    terminal.until("the one that is left", |screen| !screen.contains("countsync") && screen.contains("chess-async"));
    terminal.press("\r");
    terminal.until_shows("virtual clock");
    terminal.press("\r");
    terminal.until_shows("RUNNING");
    terminal.press(":speed 60\r");
    terminal.until("the first boards", |screen| screen.contains("board-5") && screen.contains("×60"));
    terminal.press(" ");
    let paused = terminal.until_shows("PAUSED");
    let (before, time) = (polls(&paused), loop_time(&paused));
    for step in 1..=5 {
        terminal.press("s");
        terminal.until("a step", |screen| polls(screen) == before + step && screen.contains("PAUSED"));
    }
    assert_ne!(loop_time(&terminal.text()), time, "steps take loop time");

    terminal.press("jj");
    terminal.until_shows("▸─ board-2");
    terminal.press("o");
    terminal.until_shows("held by you");
    terminal.press("m ");
    terminal.until("the others' end", |screen| screen.contains("✓ board-3") && screen.contains("■ board-2"));
    terminal.press("o");
    terminal.until_shows("✓ board-2");
    terminal.until_shows("ENDED");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn every_signal_gives_the_terminal_back() {
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let mut terminal = Terminal::start(&["run", "countsync", "--speed", "0.1"], 80, 24);
        terminal.until_shows("RUNNING");
        kill(&terminal, signal);
        assert_eq!(terminal.ends(), code, "{signal}");
        terminal.is_restored();
    }
}

#[test]
fn a_loop_that_blocks_is_left_at_once_and_a_panic_in_a_task_harms_no_terminal() {
    let mut terminal = Terminal::start(&["run", "chess-sync", "--speed", "0.1"], 100, 30);
    terminal.until_shows("RUNNING");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/panic.lua");
    let mut terminal = Terminal::start(&["run", script, "--speed", "max"], 100, 30);
    let screen = terminal.until_shows("kaboom");
    assert!(!screen.contains("stack backtrace"), "{screen}");
    terminal.press("q");
    assert_eq!(terminal.ends(), 1, "the run failed");
    terminal.is_restored();
}

#[test]
fn ten_thousand_tasks_leave_the_keys_alive() {
    let mut terminal = Terminal::start(&["run", "countasync", "--set", "counters=10000", "--paused"], 80, 24);
    terminal.until_shows("PAUSED");
    terminal.press("t");
    terminal.until_shows("10,001 tasks");
    terminal.press("\x1b[F");
    terminal.until_shows("count-10000");
    terminal.press("?");
    terminal.until_shows("watching a run");
    terminal.press("\x1b");
    terminal.until("the help to go", |screen| !screen.contains("watching a run"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn a_resize_is_followed_down_to_almost_nothing() {
    let mut terminal = Terminal::start(&["run", "countasync", "--paused"], 80, 24);
    terminal.until_shows("PAUSED");
    for (columns, rows) in [(10, 5), (1, 1), (120, 40)] {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        terminal.master.resize(size).expect("a terminal can be resized");
        terminal.screen.screen_mut().set_size(cells(rows), cells(columns));
    }
    terminal.until_shows("selected task");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn what_is_wrong_with_a_run_is_one_key_away() {
    let mut terminal = Terminal::start(&["run", "countsync", "--speed", "max"], 120, 40);
    terminal.until_shows("3 findings (n)");
    terminal.press("n");
    // A screen may be read when only a part of its frame has come.
    terminal.until("the findings and their evidence", |screen| {
        ["findings: 3", "blocked-loop", "countsync.lua:3"].iter().all(|part| screen.contains(part))
    });
    terminal.press("j\r");
    terminal.until("the task and the time of the chosen finding", |screen| {
        screen.contains("LOOKING BACK at 1 s") && screen.contains("▸█ count-2")
    });
    terminal.press("n");
    terminal.until_shows("findings: 3");
    terminal.press("\x1b");
    terminal.until("the page to go", |screen| !screen.contains("findings: 3"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn attached_to_a_dead_address_the_screen_is_up_at_once_and_q_quits() {
    let address = format!("127.0.0.1:{}", crate::outside::free_port());
    let mut terminal = Terminal::start(&["attach", &address], 100, 30);
    terminal.until_shows(&address);
    terminal.until_shows("nothing listens there");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn attached_to_a_program_its_tasks_are_on_screen_and_q_leaves_it_alone() {
    let app = crate::outside::App::start(&["mutex"]);
    let mut terminal = Terminal::start(&["attach", &app.address], 120, 40);
    terminal.until_shows("locker-2");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
    assert_eq!(app.counts().len(), 3, "it goes on, and ends by itself");
}

#[test]
fn from_the_list_one_key_attaches_and_a_wrong_address_is_typed_again() {
    let app = crate::outside::App::start(&["mutex"]);
    let mut terminal = Terminal::start(&[], 120, 40);
    terminal.until_shows("choose what to run");
    terminal.press("A");
    terminal.until_shows("attach to 127.0.0.1:6669");
    terminal.press("\x15ftp://x\r");
    terminal.until_shows("`ftp` is not known");
    terminal.press(&format!("\x15{}\r", app.address));
    terminal.until_shows("locker-2");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

/// Whatever has begun by then goes, and the terminal is as it was.
#[test]
fn a_signal_that_comes_before_the_screen_leaves_nothing_behind() {
    for attempt in 0..8 {
        let folder = crate::outside::Folder::new(&format!("pty-early-{attempt}"));
        let said = folder.file("said");
        // It has us ended first of all, and would stay for long.
        let script = format!("kill $PPID; echo $$ $TOKIO_CONSOLE_RECORD_PATH > {}; exec sleep 1000", said.display());
        let mut terminal = Terminal::start(&["exec", "--", "sh", "-c", &script], 80, 24);
        assert_eq!(terminal.ends(), 143);
        terminal.is_restored();
        // It may have been gone before it could say anything.
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        if let Some((pid, recording)) = said.trim().split_once(' ') {
            let is_there = || std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists();
            crate::outside::until("the app to go", || !is_there());
            assert!(!std::path::Path::new(recording).parent().expect("a folder").exists(), "{attempt}");
        }
    }
}
