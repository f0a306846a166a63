//! Tests of the screen at all sizes and in all palettes.

use loopscope::control::{ControlLevel, RunPhase, SourceKind};
use loopscope::internals::app::{
    Action, BINDINGS, KeyScope, Model, Motion, MouseInput, MouseKind, UpdateContext, apply_action, has_effect,
};
use loopscope::internals::view::{self, Palette, Scene, Theme};
use loopscope::session::{Launcher, Session};
use loopscope::trace::{Event, TaskId, TaskMeta, TaskOutcome, Trace};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::fake_session::{self, FakeLauncher, FakeSession, task};
use crate::snapshot::{assert_snapshot, text};

pub const ANSI: Theme = Theme { palette: Palette::Ansi16, ascii: false };
pub const MONO: Theme = Theme { palette: Palette::Mono, ascii: false };
pub const ASCII: Theme = Theme { palette: Palette::Mono, ascii: true };

/// Renders a screen of `width` by `height` after `actions`.
pub fn screen(session: Option<&FakeSession>, theme: &Theme, (width, height): (u16, u16), actions: &[Action]) -> Buffer {
    let launcher = FakeLauncher::default();
    let area = Rect::new(0, 0, width, height);
    let mut model = Model::default();
    let session = session.map(|session| session as &dyn Session);
    if session.is_some() {
        model.show_session(None);
    }
    model.refresh(session, launcher.catalog());
    for action in actions {
        let scene = Scene { model: &model, session, catalog: launcher.catalog(), theme };
        let geometry = view::geometry(scene, area);
        apply_action(&mut model, *action, UpdateContext { session, catalog: launcher.catalog(), geometry: &geometry });
        model.refresh(session, launcher.catalog());
    }
    let mut buffer = Buffer::empty(area);
    view::render(&mut buffer, Scene { model: &model, session, catalog: launcher.catalog(), theme }, area);
    buffer
}

const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (40, 10), (10, 5)];

#[test]
fn dashboard_at_every_size() {
    let session = fake_session::paused_run();
    for (width, height) in SIZES {
        let buffer = screen(Some(&session), &ANSI, (width, height), &[Action::Move(Motion::Down)]);
        assert_snapshot(&format!("dashboard-{width}x{height}"), &buffer);
    }
}

#[test]
fn picker_at_every_size() {
    for (width, height) in SIZES {
        assert_snapshot(&format!("picker-{width}x{height}"), &screen(None, &ANSI, (width, height), &[]));
    }
}

/// All marks of the legend appear on a lane, in Unicode and in ASCII.
#[test]
fn lanes_show_all_marks() {
    let session = fake_session::all_lane_states();
    assert_snapshot("lanes", &screen(Some(&session), &ANSI, (120, 40), &[]));
    assert_snapshot("lanes-ascii", &screen(Some(&session), &ASCII, (120, 40), &[Action::Move(Motion::Last)]));
}

#[test]
fn narrow_screen_shows_details_on_request() {
    let session = fake_session::paused_run();
    let actions = [Action::Move(Motion::Down), Action::ToggleDetails];
    let buffer = screen(Some(&session), &ANSI, (80, 24), &actions);
    assert_snapshot("dashboard-80x24-details", &buffer);
    assert!(text(&buffer).contains("await(sleep(1))"), "the line of the await");
}

#[test]
fn mono_and_ascii_have_no_colours() {
    let session = fake_session::completed_run();
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
fn ascii_theme_is_pure_ascii() {
    let session = fake_session::failed_run();
    for actions in [&[][..], &[Action::Help], &[Action::Palette], &[Action::ShowOutcome], &[Action::SwitchAxis]] {
        for size in SIZES {
            let shown = text(&screen(Some(&session), &ASCII, size, actions));
            assert!(shown.is_ascii(), "{shown}");
        }
    }
}

#[test]
fn failed_run_shows_error_and_gap() {
    let session = fake_session::failed_run();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::Move(Motion::Down)]);
    assert_snapshot("dashboard-failed", &buffer);
    let all = text(&screen(Some(&session), &ANSI, (120, 40), &[Action::ShowOutcome]));
    assert!(all.contains("line nine"), "{all}");
}

#[test]
fn time_cursor_shows_past_states() {
    let session = fake_session::completed_run();
    let buffer =
        screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(fake_session::S / 2), Action::Move(Motion::Down)]);
    assert_snapshot("dashboard-looking-back", &buffer);
    let shown = text(&buffer);
    assert!(shown.contains("LOOKING BACK at 500 ms"));
    assert!(shown.contains("waiting on a timer for 500 ms"));
    assert!(!shown.contains("count-1         Two"), "later output is hidden");
}

#[test]
fn steps_axis_shows_every_poll() {
    let session = fake_session::completed_run();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::SwitchAxis]);
    assert_snapshot("dashboard-steps", &buffer);
}

#[test]
fn help_lists_keys_and_commands_that_do_something() {
    let session = fake_session::paused_run();
    assert_snapshot("help", &screen(Some(&session), &ANSI, (120, 110), &[Action::Help]));
    let help = text(&screen(Some(&session), &ANSI, (120, 120), &[Action::Help]));
    let scopes = KeyScope::Dashboard.help_scopes();
    for scope in KeyScope::ALL {
        assert_eq!(help.contains(scope.title()), scopes.contains(&scope), "{scope:?}");
    }
    let mut model = Model::default();
    model.show_session(None);
    for binding in BINDINGS.iter().filter(|binding| scopes.contains(&binding.scope)) {
        let expected = has_effect(binding.action, Some(&session), &model);
        assert!(!expected || help.contains(binding.description), "{}", binding.description);
    }
    assert!(help.contains(":break poll NAME | none") == has_effect(Action::ClearBreakpoints, Some(&session), &model));
    assert!(help.contains("step one poll") && !help.contains("show the tab with this number"));
    let picker = text(&screen(None, &ANSI, (120, 120), &[Action::Help]));
    assert!(picker.contains(KeyScope::Form.title()) && !picker.contains("step one poll"), "{picker}");
    assert_snapshot("palette", &screen(Some(&session), &ANSI, (80, 24), &[Action::Palette, Action::InsertChar('s')]));
}

#[test]
fn no_size_panics_with_overlays() {
    let sessions = [fake_session::paused_run(), fake_session::failed_run(), fake_session::completed_run()];
    let on_top = [
        &[][..],
        &[Action::Help, Action::Move(Motion::Last)],
        &[Action::Palette, Action::InsertChar('x')],
        &[Action::ShowOutcome],
        &[Action::ToggleDetails, Action::NextPane, Action::Move(Motion::PageDown)],
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
fn hostile_text_is_sanitized() {
    let mut session = fake_session::paused_run();
    let hostile = "\u{1b}[2J\u{202e}evil\u{9b}31m";
    let spawned = TaskMeta { name: hostile.into(), ..TaskMeta::default() };
    session.trace.apply(Event::Spawn { task: task(5), at: 0, meta: Box::new(spawned) });
    session.trace.apply(Event::Output { task: Some(task(5)), at: 0, text: hostile.into() });
    session.status.name = hostile.into();
    let buffer = screen(Some(&session), &ANSI, (120, 40), &[Action::Move(Motion::Last)]);
    let shown = text(&buffer);
    assert!(shown.contains("evil"));
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown}");
}

/// A gap from eviction covers only the lanes whose data was evicted.
#[test]
fn evicted_data_is_covered_per_lane() {
    let mut session = fake_session::session_from(Vec::new(), RunPhase::Running);
    session.trace = Trace::with_budget(64 << 10);
    for (number, name) in [(1, "busy"), (2, "calm")] {
        session.trace.apply(fake_session::spawn(task(number), name, None, 0));
    }
    session.trace.apply(Event::PollStart { task: task(2), at: 0 });
    session.trace.apply(Event::PollEnd { task: task(2), at: 1 });
    for cycle in 1..10_000 {
        session.trace.apply(Event::PollStart { task: task(1), at: cycle * fake_session::MS });
        session.trace.apply(Event::PollEnd { task: task(1), at: cycle * fake_session::MS + 1 });
    }
    session.status.now = session.trace.now();
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[]));
    let lane = |name: &str| shown.lines().find(|line| line.chars().skip(3).collect::<String>().starts_with(name));
    assert!(lane("busy").is_some_and(|lane| lane.contains("╳╳╳") && lane.contains('▌')), "{shown}");
    assert!(lane("calm").is_some_and(|lane| !lane.contains('╳')), "{shown}");
    assert!(shown.contains("OLDEST EVICTED"), "{shown}");
}

/// A frame with 100,000 tasks looks up only the visible rows. The bound for the fastest of several frames is generous,
/// so that a busy machine does not fail the test.
#[test]
fn frame_cost_follows_screen_size() {
    let few = fake_session::many_tasks(100);
    let many = fake_session::many_tasks(100_000);
    let last = TaskId::from_index(99_999);
    let shown = text(&screen(Some(&many), &ANSI, (120, 40), &[Action::Move(Motion::Last)]));
    assert!(shown.contains("worker-100000") && many.trace.task(last).is_some());
    let quickest = |session: &FakeSession| {
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

/// Random actions on random screen sizes: every frame renders, and the visible range is never empty.
#[test]
fn random_actions_never_panic() {
    let launcher = FakeLauncher::default();
    let sessions = [
        fake_session::paused_run(),
        fake_session::completed_run(),
        fake_session::failed_run(),
        fake_session::many_tasks(300),
    ];
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
            model.show_session(None);
        }
        for _ in 0..60 {
            if random(8) == 0 {
                area = Rect::new(0, 0, 1 + random(160) as u16, 1 + random(50) as u16);
            }
            model.refresh(session, launcher.catalog());
            let scene = Scene { model: &model, session, catalog: launcher.catalog(), theme: &ANSI };
            let geometry = view::geometry(scene, area);
            let bindings = BINDINGS;
            let action = match random(4) {
                0 => Action::Mouse(MouseInput {
                    kind: kinds[random(kinds.len() as u64) as usize],
                    column: random(160) as u16,
                    row: random(50) as u16,
                    is_zoom: random(2) == 0,
                }),
                1 => Action::InsertChar(char::from(b' ' + random(90) as u8)),
                2 => Action::GoTo(random(3 * fake_session::S)),
                _ => bindings[random(bindings.len() as u64) as usize].action,
            };
            apply_action(
                &mut model,
                action,
                UpdateContext { session, catalog: launcher.catalog(), geometry: &geometry },
            );
            model.refresh(session, launcher.catalog());
            let mut buffer = Buffer::empty(area);
            view::render(
                &mut buffer,
                Scene { model: &model, session, catalog: launcher.catalog(), theme: &ANSI },
                area,
            );
            if let Some(session) = session {
                let viewport = model.dashboard.viewport;
                let (from, to) =
                    viewport.range(loopscope::internals::app::axis_end(session, viewport.axis), geometry.lanes.width);
                assert!(from < to, "{action:?} left {from} to {to}");
            }
        }
    }
}

#[test]
fn archive_shows_no_speed() {
    let mut session = fake_session::paused_run();
    let first = |session: &fake_session::FakeSession| {
        text(&screen(Some(session), &ANSI, (80, 24), &[])).lines().next().map(str::to_owned)
    };
    assert!(first(&session).is_some_and(|line| line.contains("virtual clock ×1")));
    (session.status.source, session.status.control_level) = (SourceKind::Archive, ControlLevel::ReadOnly);
    let line = first(&session).expect("the header");
    assert!(line.contains("archive, virtual clock") && !line.contains('×'), "{line}");
}

#[test]
fn dropped_events_are_shown_at_any_width() {
    // Tasks in every state, so that the counts do not fit beside the dropped events.
    let mut session = fake_session::all_lane_states();
    let from = session.trace.tasks().len();
    for index in from..from + 12_000 {
        let id = TaskId::from_index(index);
        session.trace.apply(fake_session::spawn(id, "more", None, 3 * fake_session::S));
        let outcome = if index % 2 == 0 { TaskOutcome::Cancelled } else { TaskOutcome::Failed("no".into()) };
        session.trace.apply(Event::TaskEnd { task: id, at: 3 * fake_session::S, outcome });
    }
    for width in [40, 60, 80, 100, 120, 200] {
        let shown = text(&screen(Some(&session), &ANSI, (width, 24), &[]));
        let counts = shown.lines().nth(1).expect("the counts").to_owned();
        assert!(counts.contains("12") && counts.contains(" tasks") && counts.contains("3 EVENTS DROPPED"), "{counts}");
    }
    let shown = text(&screen(Some(&session), &ANSI, (80, 24), &[]));
    let counts = shown.lines().nth(1).expect("the counts");
    assert!(counts.contains("6,001 failed") && counts.contains("waiting"), "failures come first: {counts}");

    // All tasks have ended after a deadlock: empty states are left out.
    let mut session = fake_session::failed_run();
    session.trace = Trace::default();
    for (index, outcome) in
        [TaskOutcome::Failed("stuck".into()), TaskOutcome::Cancelled, TaskOutcome::Cancelled].into_iter().enumerate()
    {
        let id = TaskId::from_index(index);
        session.trace.apply(fake_session::spawn(id, "task", None, 0));
        session.trace.apply(Event::TaskEnd { task: id, at: 10 * fake_session::S, outcome });
    }
    let shown = text(&screen(Some(&session), &ANSI, (80, 24), &[]));
    let counts = shown.lines().nth(1).expect("the counts").trim_end();
    assert!(counts.starts_with(" 3 tasks: 2 cancelled, 1 failed  0 events dropped  loop "), "{counts}");
}

/// A session whose clock advances with every status read, like that of a running loop.
struct TickingSession {
    inner: FakeSession,
    status_calls: std::cell::Cell<u64>,
}

impl Session for TickingSession {
    fn trace(&self) -> &Trace {
        &self.inner.trace
    }

    fn status(&self) -> loopscope::control::SessionStatus {
        self.status_calls.set(self.status_calls.get() + 1);
        loopscope::control::SessionStatus {
            now: self.status_calls.get() * fake_session::S,
            ..self.inner.status.clone()
        }
    }

    fn pump(&mut self, _budget: std::time::Duration) -> bool {
        false
    }

    fn wait(&self, _at_most: std::time::Duration) {}

    fn command(&mut self, _command: loopscope::control::SessionCommand) {}

    fn source(&self, _file: &str) -> Option<&str> {
        None
    }
}

#[test]
fn frame_shows_one_point_in_time() {
    let mut inner = fake_session::paused_run();
    inner.status.phase = RunPhase::Running;
    let session = TickingSession { inner, status_calls: std::cell::Cell::new(0) };
    let (launcher, area) = (FakeLauncher::default(), Rect::new(0, 0, 120, 40));
    let mut model = Model::default();
    model.show_session(None);
    model.refresh(Some(&session), launcher.catalog());
    let mut buffer = Buffer::empty(area);
    view::render(
        &mut buffer,
        Scene { model: &model, session: Some(&session), catalog: launcher.catalog(), theme: &ANSI },
        area,
    );
    let screen = text(&buffer);
    let now = screen.split_whitespace().find(|word| word.ends_with(".000")).expect("the header's clock").to_owned();
    let seconds = now.trim_end_matches(".000");
    assert!(screen.contains(&format!("waiting    {seconds} s")), "duration by the header's clock:\n{screen}");
    let lines: Vec<&str> = screen.lines().collect();
    let columns = |label: &str, marks: &[char]| {
        let line = lines.iter().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label}:\n{screen}"));
        line.chars().skip_while(|mark| *mark != '▌').take_while(|mark| marks.contains(mark)).count()
    };
    let (lane, strip) = (columns(" main  ", &['▌', '═']), columns("   busy  ", &['▌', '·']));
    assert_eq!(lane, strip, "main's lane ends where the loop's strip does:\n{screen}");
}
