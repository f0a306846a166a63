//! The real event loop, with typed keys and an in-memory screen.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use loopscope::control::{RunPhase, SessionCommand};
use loopscope::internals::app::{InputEvent, KeyCode, KeyPress};
use loopscope::internals::terminal::{EventLoop, ExitReason, sleep_duration};
use loopscope::internals::view::Theme;
use loopscope::session::Launcher;
use loopscope::trace::Event;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::fake_session::{self, FakeLauncher, MS, S, SentCommands};
use crate::snapshot::text;

/// An event loop on a screen of 100 by 30 cells, with a keyboard and a manual clock.
pub struct EventLoopHarness<'a> {
    pub event_loop: EventLoop<'a, TestBackend>,
    pub keyboard: Sender<InputEvent>,
    pub now: Instant,
}

impl<'a> EventLoopHarness<'a> {
    pub fn new(launcher: &'a mut dyn Launcher) -> Self {
        let (keyboard, inputs) = unbounded();
        let terminal = Terminal::new(TestBackend::new(100, 30)).expect("an in-memory screen cannot fail");
        let event_loop = EventLoop::new(terminal, inputs, launcher, Theme::default());
        Self { event_loop, keyboard, now: Instant::now() }
    }

    /// Runs one iteration, one frame interval later.
    pub fn run_once(&mut self) -> Option<ExitReason> {
        self.now += Duration::from_millis(17);
        self.event_loop.run_once(self.now).expect("an in-memory screen cannot fail")
    }

    pub fn type_keys(&mut self, text: &str) -> Option<ExitReason> {
        for char in text.chars() {
            let code = match char {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Escape,
                char => KeyCode::Char(char),
            };
            self.keyboard.send(InputEvent::Key(KeyPress::new(code))).expect("the loop receives inputs");
        }
        self.run_once()
    }

    pub fn screen(&self) -> String {
        text(self.event_loop.terminal().backend().buffer())
    }
}

#[test]
fn user_picks_runs_reads_help_and_quits() {
    let mut launcher = FakeLauncher::default();
    let launched = Rc::clone(&launcher.launched);
    let mut harness = EventLoopHarness::new(&mut launcher);
    assert_eq!(harness.run_once(), None);
    assert!(harness.screen().contains("▸ countasync"), "{}", harness.screen());
    assert_eq!(harness.type_keys("\n"), None);
    assert!(harness.screen().contains("completed after 1 s"), "{}", harness.screen());
    assert_eq!(launched.borrow().len(), 1);
    harness.type_keys("r");
    assert_eq!(launched.borrow().len(), 2, "run again");
    harness.type_keys("?");
    assert!(harness.screen().contains("┌ help"));
    harness.type_keys("q");
    assert!(harness.screen().contains("completed after 1 s"), "q closes the help");
    harness.type_keys("\x1b");
    assert!(harness.screen().contains("workloads 2"), "{}", harness.screen());
    assert_eq!(harness.type_keys("q"), Some(ExitReason::Quit));
}

#[test]
fn commands_reach_the_session() {
    let mut launcher = FakeLauncher::default();
    let commands = SentCommands::default();
    let mut session = fake_session::paused_run();
    session.status.phase = RunPhase::Running;
    session.commands = Rc::clone(&commands);
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.watch(Box::new(session), None);
    harness.run_once();
    assert!(harness.screen().contains(" RUNNING "));
    harness.type_keys(" ");
    assert!(harness.screen().contains(" PAUSED "), "the next frame shows the effect of the key");
    harness.type_keys(":until 5s\n");
    assert_eq!(*commands.borrow(), [SessionCommand::Pause, SessionCommand::RunUntil(5 * S)]);
    harness.type_keys("\x1b\x1b");
    assert_eq!(commands.borrow().last(), Some(&SessionCommand::Quit), "leaving ends the run");
}

#[test]
fn launch_error_is_shown_completely() {
    let mut launcher = FakeLauncher {
        refusal: Some("counters: 0 is too few\nallowed: 1 to 100000".into()),
        ..FakeLauncher::default()
    };
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.type_keys("\n");
    assert!(harness.screen().contains("cannot run `countasync`"));
    assert!(harness.screen().contains("allowed: 1 to 100000"));
}

#[test]
fn draws_only_changes_at_most_60_times_a_second() {
    let mut launcher = FakeLauncher::default();
    let mut session = fake_session::paused_run();
    session.coming = vec![Event::Advance { at: 450 * MS }];
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.watch(Box::new(session), None);
    harness.run_once();
    assert!(harness.screen().contains("450.000 ms"));
    let frames = harness.event_loop.frames_drawn();
    harness.run_once();
    assert_eq!(harness.event_loop.frames_drawn(), frames, "an idle iteration draws nothing");
    harness.type_keys("j");
    assert_eq!(harness.event_loop.frames_drawn(), frames + 1);
    harness.keyboard.send(InputEvent::Key(KeyPress::char('?'))).expect("the loop receives inputs");
    harness.event_loop.run_once(harness.now + Duration::from_millis(5)).expect("an in-memory screen cannot fail");
    assert!(!harness.screen().contains("┌ help"), "a frame was drawn too soon");
    harness.run_once();
    assert!(harness.screen().contains("┌ help"), "now the frame is due");
}

#[test]
fn sleep_duration_backs_off_while_idle() {
    let ms = Duration::from_millis;
    assert!(sleep_duration(true, ms(5), 0) <= ms(12));
    assert_eq!(sleep_duration(true, ms(50), 0), Duration::ZERO);
    assert!(sleep_duration(false, ms(50), 0) <= ms(17));
    assert_eq!(sleep_duration(false, ms(50), 1_000), ms(100));
}

#[test]
fn signals_and_a_lost_terminal_end_the_loop() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.keyboard.send(InputEvent::Signal(15)).expect("the loop receives inputs");
    assert_eq!(harness.run_once(), Some(ExitReason::Signal(15)));
    assert_eq!(harness.event_loop.signal(), Some(15));

    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.keyboard.send(InputEvent::TerminalLost("EOF".into())).expect("the loop receives inputs");
    assert_eq!(harness.run_once(), Some(ExitReason::Lost("EOF".into())));

    let mut launcher = FakeLauncher::default();
    let EventLoopHarness { mut event_loop, keyboard, now } = EventLoopHarness::new(&mut launcher);
    drop(keyboard);
    event_loop.wait(now);
    assert!(matches!(event_loop.run_once(now), Ok(Some(ExitReason::Lost(_)))));
}

#[test]
fn svg_is_complete_and_escaped() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.run_once();
    let svg = loopscope::internals::view::render_svg(harness.event_loop.terminal().backend().buffer(), "a < b");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("a &lt; b") && svg.contains("countasync") && svg.contains("&quot;One&quot;"));
    assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
}
