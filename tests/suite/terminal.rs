//! The real frame loop, with typed keys and a screen in memory.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use loopscope::app::{Code, Input, Key};
use loopscope::control::{Command, Phase};
use loopscope::terminal::{Finish, Frames, patience};
use loopscope::trace::Event;
use loopscope::view::Theme;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::snapshot::text;
use crate::stage::{self, Commands, MS, S, Stage};

/// The loop on a screen of 100 by 30, a keyboard, and a clock that only the test moves.
pub struct Desk<'a> {
    pub frames: Frames<'a, TestBackend>,
    pub keyboard: Sender<Input>,
    pub now: Instant,
}

impl<'a> Desk<'a> {
    pub fn new(stage: &'a mut Stage) -> Self {
        let (keyboard, inputs) = unbounded();
        let terminal = Terminal::new(TestBackend::new(100, 30)).expect("a screen in memory cannot fail");
        let frames = Frames::new(terminal, inputs, stage, Theme::default());
        Self { frames, keyboard, now: Instant::now() }
    }

    /// One turn, a frame later.
    pub fn turn(&mut self) -> Option<Finish> {
        self.now += Duration::from_millis(17);
        self.frames.turn(self.now).expect("a screen in memory cannot fail")
    }

    pub fn types(&mut self, text: &str) -> Option<Finish> {
        for char in text.chars() {
            let code = match char {
                '\n' => Code::Enter,
                '\x1b' => Code::Escape,
                char => Code::Char(char),
            };
            self.keyboard.send(Input::Key(Key::new(code))).expect("the loop listens");
        }
        self.turn()
    }

    pub fn screen(&self) -> String {
        text(self.frames.terminal().backend().buffer())
    }
}

#[test]
fn a_person_picks_runs_looks_and_quits() {
    let mut stage = Stage::default();
    let launched = Rc::clone(&stage.launched);
    let mut desk = Desk::new(&mut stage);
    assert_eq!(desk.turn(), None);
    assert!(desk.screen().contains("▸ countasync"), "{}", desk.screen());
    assert_eq!(desk.types("\n"), None);
    assert!(desk.screen().contains("completed after 1 s"), "{}", desk.screen());
    assert_eq!(launched.borrow().len(), 1);
    desk.types("r");
    assert_eq!(launched.borrow().len(), 2, "run again");
    desk.types("?");
    assert!(desk.screen().contains("the marks of the timeline"));
    desk.types("q");
    assert!(desk.screen().contains("completed after 1 s"), "q closes the help");
    desk.types("\x1b");
    assert!(desk.screen().contains("workloads 2"), "{}", desk.screen());
    assert_eq!(desk.types("q"), Some(Finish::Quit));
}

#[test]
fn commands_reach_the_session_and_what_it_becomes_is_shown() {
    let mut stage = Stage::default();
    let commands = Commands::default();
    let mut session = stage::paused();
    session.status.phase = Phase::Running;
    session.commands = Rc::clone(&commands);
    let mut desk = Desk::new(&mut stage);
    desk.frames.watch(Box::new(session), None);
    desk.turn();
    assert!(desk.screen().contains(" RUNNING "));
    desk.types(" ");
    assert!(desk.screen().contains(" PAUSED "), "the frame after the key shows what it did");
    desk.types(":until 5s\n");
    assert_eq!(*commands.borrow(), [Command::Pause, Command::RunUntil(5 * S)]);
    desk.types("\x1b\x1b");
    assert_eq!(commands.borrow().last(), Some(&Command::Quit), "leaving ends the run");
}

#[test]
fn a_refused_run_says_all_of_why() {
    let mut stage = Stage { refusal: Some("counters: 0 is too few\nallowed: 1 to 100000".into()), ..Stage::default() };
    let mut desk = Desk::new(&mut stage);
    desk.types("\n");
    assert!(desk.screen().contains("countasync cannot run"));
    assert!(desk.screen().contains("allowed: 1 to 100000"));
}

#[test]
fn nothing_is_drawn_when_nothing_changed_and_never_more_than_sixty_times_a_second() {
    let mut stage = Stage::default();
    let mut session = stage::paused();
    session.coming = vec![Event::Now { at: 450 * MS }];
    let mut desk = Desk::new(&mut stage);
    desk.frames.watch(Box::new(session), None);
    desk.turn();
    assert!(desk.screen().contains("450.000 ms"));
    let frames = desk.frames.drawn();
    desk.turn();
    assert_eq!(desk.frames.drawn(), frames, "a quiet turn draws nothing");
    desk.types("j");
    assert_eq!(desk.frames.drawn(), frames + 1);
    desk.keyboard.send(Input::Key(Key::char('?'))).expect("the loop listens");
    desk.frames.turn(desk.now + Duration::from_millis(5)).expect("a screen in memory cannot fail");
    assert!(!desk.screen().contains("the marks of the timeline"), "a frame was drawn too soon");
    desk.turn();
    assert!(desk.screen().contains("the marks of the timeline"), "and then it was due");
}

#[test]
fn patience_waits_for_the_frame_and_backs_off_when_it_is_quiet() {
    let ms = Duration::from_millis;
    assert!(patience(true, ms(5), 0) <= ms(12));
    assert_eq!(patience(true, ms(50), 0), Duration::ZERO);
    assert!(patience(false, ms(50), 0) <= ms(17));
    assert_eq!(patience(false, ms(50), 1_000), ms(100));
}

#[test]
fn signals_and_a_lost_terminal_end_the_loop() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.keyboard.send(Input::Signal(15)).expect("the loop listens");
    assert_eq!(desk.turn(), Some(Finish::Signal(15)));
    assert_eq!(desk.frames.signal(), Some(15));

    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.keyboard.send(Input::Lost("EOF".into())).expect("the loop listens");
    assert_eq!(desk.turn(), Some(Finish::Lost("EOF".into())));

    let mut stage = Stage::default();
    let Desk { mut frames, keyboard, now } = Desk::new(&mut stage);
    drop(keyboard);
    frames.wait(now);
    assert!(matches!(frames.turn(now), Ok(Some(Finish::Lost(_)))));
}

#[test]
fn the_picture_is_whole_and_escapes_what_it_shows() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.turn();
    let svg = loopscope::view::picture::svg(desk.frames.terminal().backend().buffer(), "a < b");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("a &lt; b") && svg.contains("countasync") && svg.contains("&quot;One&quot;"));
    assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
}
