//! What the screen shows, at every size and in every palette.

use loopscope::app::keymap::Scope;
use loopscope::app::{Action, Context, Launcher, Model, Mouse, MouseKind, Session, Step, update};
use loopscope::control::{Phase, SourceKind, Steering};
use loopscope::trace::{Ending, Event, Spawned, TaskId, Trace};
use loopscope::view::{self, Palette, Scene, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::snapshot::{assert_snapshot, text};
use crate::stage::{self, Played, Stage, task};

pub const ANSI: Theme = Theme { palette: Palette::Ansi16, ascii: false };
pub const MONO: Theme = Theme { palette: Palette::Mono, ascii: false };
pub const ASCII: Theme = Theme { palette: Palette::Mono, ascii: true };

/// What `actions` lead to on a screen of `width` by `height`.
pub fn screen(session: Option<&Played>, theme: &Theme, (width, height): (u16, u16), actions: &[Action]) -> Buffer {
    let stage = Stage::default();
    let area = Rect::new(0, 0, width, height);
    let mut model = Model::default();
    let session = session.map(|session| session as &dyn Session);
    if session.is_some() {
        model.watch(None);
    }
    model.refresh(session, stage.catalog());
    for action in actions {
        let scene = Scene { model: &model, session, catalog: stage.catalog(), theme };
        let geometry = view::geometry(scene, area);
        update(&mut model, *action, Context { session, catalog: stage.catalog(), geometry: &geometry });
        model.refresh(session, stage.catalog());
    }
    let mut buffer = Buffer::empty(area);
    view::render(&mut buffer, Scene { model: &model, session, catalog: stage.catalog(), theme }, area);
    buffer
}

const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (40, 10), (10, 5)];

#[test]
fn the_dashboard_at_every_size() {
    let session = stage::paused();
    for (width, height) in SIZES {
        let buffer = screen(Some(&session), &ANSI, (width, height), &[Action::Move(Step::Down)]);
        assert_snapshot(&format!("dashboard-{width}x{height}"), &buffer);
    }
}

#[test]
fn the_picker_at_every_size() {
    for (width, height) in SIZES {
        assert_snapshot(&format!("picker-{width}x{height}"), &screen(None, &ANSI, (width, height), &[]));
    }
}

/// Every mark of the legend is where it belongs; in ASCII they are still different.
#[test]
fn every_mark_of_a_lane() {
    let session = stage::zoo();
    assert_snapshot("lanes", &screen(Some(&session), &ANSI, (120, 40), &[]));
    assert_snapshot("lanes-ascii", &screen(Some(&session), &ASCII, (120, 40), &[Action::Move(Step::Last)]));
}

#[test]
fn narrow_screens_show_the_details_when_asked() {
    let session = stage::paused();
    let actions = [Action::Move(Step::Down), Action::ToggleDetails];
    let buffer = screen(Some(&session), &ANSI, (80, 24), &actions);
    assert_snapshot("dashboard-80x24-details", &buffer);
    assert!(text(&buffer).contains("await(sleep(1))"), "the line that it waits on");
}

#[test]
fn mono_and_ascii() {
    let session = stage::ended();
    let mono = screen(Some(&session), &MONO, (120, 40), &[]);
    assert_snapshot("dashboard-mono", &mono);
    let ascii = screen(Some(&session), &ASCII, (80, 24), &[]);
    assert_snapshot("dashboard-ascii", &ascii);
    assert_snapshot("picker-ascii", &screen(None, &ASCII, (80, 24), &[Action::NextPane]));
    for buffer in [&mono, &ascii] {
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}

#[test]
fn ascii_is_ascii_everywhere() {
    let session = stage::failed();
    for actions in [&[][..], &[Action::Help], &[Action::Palette], &[Action::ShowOutcome], &[Action::SwitchAxis]] {
        for size in SIZES {
            let shown = text(&screen(Some(&session), &ASCII, size, actions));
            assert!(shown.is_ascii(), "{shown}");
        }
    }
}

#[test]
fn a_failure_and_a_loss_are_said_where_they_are() {
    let session = stage::failed();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::Move(Step::Down)]);
    assert_snapshot("dashboard-failed", &buffer);
    let all = text(&screen(Some(&session), &ANSI, (120, 40), &[Action::ShowOutcome]));
    assert!(all.contains("line nine"), "{all}");
}

#[test]
fn looking_back_shows_the_states_of_then() {
    let session = stage::ended();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(stage::S / 2), Action::Move(Step::Down)]);
    assert_snapshot("dashboard-looking-back", &buffer);
    let shown = text(&buffer);
    assert!(shown.contains("LOOKING BACK at 500 ms"));
    assert!(shown.contains("waiting on a timer for 500 ms"));
    assert!(!shown.contains("count-1         Two"), "what was printed later is not shown");
}

#[test]
fn the_steps_axis_gives_every_poll_a_column() {
    let session = stage::ended();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::SwitchAxis]);
    assert_snapshot("dashboard-steps", &buffer);
}

#[test]
fn help_names_every_key_and_the_palette_every_verb() {
    let session = stage::paused();
    assert_snapshot("help", &screen(Some(&session), &ANSI, (120, 110), &[Action::Help]));
    let help = text(&screen(Some(&session), &ANSI, (120, 120), &[Action::Help]));
    for scope in Scope::ALL {
        assert!(help.contains(scope.title()));
    }
    for line in loopscope::app::keymap::BINDINGS {
        assert!(help.contains(line.name), "{}", line.name);
    }
    assert_snapshot("palette", &screen(Some(&session), &ANSI, (80, 24), &[Action::Palette, Action::Type('s')]));
}

#[test]
fn no_size_panics_with_anything_on_top() {
    let sessions = [stage::paused(), stage::failed(), stage::ended()];
    let on_top = [
        &[][..],
        &[Action::Help, Action::Move(Step::Last)],
        &[Action::Palette, Action::Type('x')],
        &[Action::ShowOutcome],
        &[Action::ToggleDetails, Action::NextPane, Action::Move(Step::PageDown)],
        &[Action::SwitchAxis, Action::CursorBack, Action::ZoomIn],
    ];
    for width in [1, 10, 24, 40, 72, 101] {
        for height in [1, 3, 5, 6, 7, 10, 14, 24] {
            for actions in on_top {
                for session in &sessions {
                    screen(Some(session), &ANSI, (width, height), actions);
                }
                screen(None, &ASCII, (width, height), actions);
            }
        }
    }
}

#[test]
fn hostile_names_and_output_stay_text() {
    let mut session = stage::paused();
    let hostile = "\u{1b}[2J\u{202e}evil\u{9b}31m";
    let spawned = Spawned { name: hostile.into(), ..Spawned::default() };
    session.trace.apply(Event::Spawn { task: task(5), at: 0, spawned: Box::new(spawned) });
    session.trace.apply(Event::Output { task: Some(task(5)), at: 0, text: hostile.into() });
    session.status.name = hostile.into();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::Move(Step::Last)]);
    let shown = text(&buffer);
    assert!(shown.contains("evil"));
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown}");
}

/// What there was no memory for is covered in the lanes that it is of, and in no other.
#[test]
fn what_was_forgotten_is_covered_in_its_own_lane() {
    let mut session = stage::played(Vec::new(), Phase::Running);
    session.trace = Trace::with_budget(64 << 10);
    for (number, name) in [(1, "busy"), (2, "calm")] {
        session.trace.apply(stage::spawn(task(number), name, None, 0));
    }
    session.trace.apply(Event::PollStart { task: task(2), at: 0 });
    session.trace.apply(Event::PollEnd { task: task(2), at: 1 });
    for cycle in 1..10_000 {
        session.trace.apply(Event::PollStart { task: task(1), at: cycle * stage::MS });
        session.trace.apply(Event::PollEnd { task: task(1), at: cycle * stage::MS + 1 });
    }
    session.status.now = session.trace.now();
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[]));
    let lane = |name: &str| shown.lines().find(|line| line.chars().skip(3).collect::<String>().starts_with(name));
    assert!(lane("busy").is_some_and(|lane| lane.contains("╳╳╳") && lane.contains('▌')), "{shown}");
    assert!(lane("calm").is_some_and(|lane| !lane.contains('╳')), "{shown}");
    assert!(shown.contains("OLDEST FORGOTTEN"), "{shown}");
}

/// A frame over 100,000 tasks asks for the rows on the screen only. The quickest of several frames is held to a bound
/// far above what it takes, so that a busy machine does not fail it.
#[test]
fn a_crowd_costs_what_the_screen_costs() {
    let few = stage::crowd(100);
    let many = stage::crowd(100_000);
    let last = TaskId::from_index(99_999);
    let shown = text(&screen(Some(&many), &ANSI, (120, 40), &[Action::Move(Step::Last)]));
    assert!(shown.contains("worker-100000") && many.trace.task(last).is_some());
    let quickest = |session: &Played| {
        let frames = (0..10).map(|_| {
            let start = std::time::Instant::now();
            screen(Some(session), &ANSI, (120, 40), &[]);
            start.elapsed()
        });
        frames.min().unwrap_or_default()
    };
    let (few, many) = (quickest(&few), quickest(&many));
    assert!(many < few * 10, "{few:?} for 100 tasks, {many:?} for 100,000");
}

/// Whatever a person does, in whatever order, on whatever screen: it draws, and the stretch that is shown is one.
#[test]
fn any_order_of_actions_draws() {
    let stage = Stage::default();
    let sessions = [stage::paused(), stage::ended(), stage::failed(), stage::crowd(300)];
    let mut state = 0x9e37_79b9_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let kinds = [MouseKind::Press, MouseKind::Drag, MouseKind::WheelUp, MouseKind::WheelDown, MouseKind::WheelLeft];
    for round in 0..60 {
        let session = sessions.get(round % 5).map(|session| session as &dyn Session);
        let mut area = Rect::new(0, 0, 120, 40);
        let mut model = Model::default();
        if session.is_some() {
            model.watch(None);
        }
        for _ in 0..60 {
            if random(8) == 0 {
                area = Rect::new(0, 0, 1 + random(160) as u16, 1 + random(50) as u16);
            }
            model.refresh(session, stage.catalog());
            let scene = Scene { model: &model, session, catalog: stage.catalog(), theme: &ANSI };
            let geometry = view::geometry(scene, area);
            let bindings = loopscope::app::keymap::BINDINGS;
            let action = match random(4) {
                0 => Action::Mouse(Mouse {
                    kind: kinds[random(kinds.len() as u64) as usize],
                    column: random(160) as u16,
                    row: random(50) as u16,
                    zooming: random(2) == 0,
                }),
                1 => Action::Type(char::from(b' ' + random(90) as u8)),
                2 => Action::GoTo(random(3 * stage::S)),
                _ => bindings[random(bindings.len() as u64) as usize].action,
            };
            update(&mut model, action, Context { session, catalog: stage.catalog(), geometry: &geometry });
            model.refresh(session, stage.catalog());
            let mut buffer = Buffer::empty(area);
            view::render(&mut buffer, Scene { model: &model, session, catalog: stage.catalog(), theme: &ANSI }, area);
            if let Some(session) = session {
                let viewport = model.dashboard.viewport;
                let (from, to) = viewport.range(loopscope::app::axis_end(session, viewport.axis), geometry.lanes.width);
                assert!(from < to, "{action:?} left {from} to {to}");
            }
        }
    }
}

#[test]
fn an_archive_has_no_speed() {
    let mut session = stage::paused();
    let first =
        |session: &stage::Played| text(&screen(Some(session), &ANSI, (80, 24), &[])).lines().next().map(str::to_owned);
    assert!(first(&session).is_some_and(|line| line.contains("virtual clock ×1")));
    (session.status.source, session.status.steering) = (SourceKind::Archive, Steering::Nothing);
    let line = first(&session).expect("the header");
    assert!(line.contains("archive, virtual clock") && !line.contains('×'), "{line}");
}

#[test]
fn what_was_lost_is_said_at_any_width_that_has_room_for_it() {
    // More words for its tasks than fit beside it: some in every state.
    let mut session = stage::zoo();
    let from = session.trace.tasks().len();
    for index in from..from + 12_000 {
        let id = TaskId::from_index(index);
        session.trace.apply(stage::spawn(id, "more", None, 3 * stage::S));
        let outcome = if index % 2 == 0 { Ending::Cancelled } else { Ending::Failed("no".into()) };
        session.trace.apply(Event::End { task: id, at: 3 * stage::S, outcome });
    }
    for width in [40, 60, 80, 100, 120, 200] {
        let shown = text(&screen(Some(&session), &ANSI, (width, 24), &[]));
        let counts = shown.lines().nth(1).expect("the counts").to_owned();
        assert!(counts.contains("12") && counts.contains(" tasks") && counts.contains("3 FACTS LOST"), "{counts}");
    }
    let shown = text(&screen(Some(&session), &ANSI, (80, 24), &[]));
    let counts = shown.lines().nth(1).expect("the counts");
    assert!(counts.contains("6,001 failed") && counts.contains("waiting"), "what went wrong is told first: {counts}");

    // A deadlock's end: nobody runs any more, and that needs no words.
    let mut session = stage::failed();
    session.trace = Trace::default();
    for (index, outcome) in
        [Ending::Failed("stuck".into()), Ending::Cancelled, Ending::Cancelled].into_iter().enumerate()
    {
        let id = TaskId::from_index(index);
        session.trace.apply(stage::spawn(id, "task", None, 0));
        session.trace.apply(Event::End { task: id, at: 10 * stage::S, outcome });
    }
    let shown = text(&screen(Some(&session), &ANSI, (80, 24), &[]));
    let counts = shown.lines().nth(1).expect("the counts").trim_end();
    assert!(counts.starts_with(" 3 tasks: 2 cancelled, 1 failed  nothing lost  loop "), "{counts}");
}

/// A session whose clock goes on whenever it is asked for the time, as that of a loop that runs does.
struct Ticking {
    played: Played,
    asked: std::cell::Cell<u64>,
}

impl Session for Ticking {
    fn trace(&self) -> &Trace {
        &self.played.trace
    }

    fn status(&self) -> loopscope::control::Status {
        self.asked.set(self.asked.get() + 1);
        loopscope::control::Status { now: self.asked.get() * stage::S, ..self.played.status.clone() }
    }

    fn pump(&mut self, _budget: std::time::Duration) -> bool {
        false
    }

    fn wait(&self, _at_most: std::time::Duration) {}

    fn command(&mut self, _command: loopscope::control::Command) {}

    fn source(&self, _file: &str) -> Option<&str> {
        None
    }
}

#[test]
fn a_frame_is_of_one_moment() {
    let mut played = stage::paused();
    played.status.phase = Phase::Running;
    let session = Ticking { played, asked: std::cell::Cell::new(0) };
    let (stage, area) = (Stage::default(), Rect::new(0, 0, 120, 40));
    let mut model = Model::default();
    model.watch(None);
    model.refresh(Some(&session), stage.catalog());
    let mut buffer = Buffer::empty(area);
    view::render(
        &mut buffer,
        Scene { model: &model, session: Some(&session), catalog: stage.catalog(), theme: &ANSI },
        area,
    );
    let screen = text(&buffer);
    let now = screen.split_whitespace().find(|word| word.ends_with(".000")).expect("the header's clock").to_owned();
    let seconds = now.trim_end_matches(".000");
    assert!(screen.contains(&format!("waiting    {seconds} s")), "since when, by the header's clock:\n{screen}");
    let lines: Vec<&str> = screen.lines().collect();
    let columns = |label: &str, marks: &[char]| {
        let line = lines.iter().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label}:\n{screen}"));
        line.chars().skip_while(|mark| *mark != '▌').take_while(|mark| marks.contains(mark)).count()
    };
    let (lane, strip) = (columns(" main  ", &['▌', '═']), columns("   busy  ", &['▌', '·']));
    assert_eq!(lane, strip, "main's lane ends where the loop's strip does:\n{screen}");
}
