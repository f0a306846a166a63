//! The list of running apps to attach to.

use std::collections::VecDeque;
use std::time::Duration;

use loopscope::control::{ControlLevel, SourceKind};
use loopscope::internals::app::{InputEvent, KeyCode, KeyPress, Model, MouseInput, MouseKind};
use loopscope::internals::terminal::ExitReason;
use loopscope::internals::view::{self, Scene, Theme};
use loopscope::session::{LaunchRequest, Launcher, RunningApp, Session};
use loopscope::workload::manifest::Manifest;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::fake_session;
use crate::snapshot::{assert_snapshot, text};
use crate::terminal::EventLoopHarness;
use crate::view::{ANSI, ASCII};

fn app(pid: u32, name: &str) -> RunningApp {
    RunningApp { pid, name: name.to_owned(), age: Some(Duration::from_secs(pid.into())), tasks: Ok(u64::from(pid) * 3) }
}

/// A launcher whose list of apps changes each time that it is asked.
#[derive(Default)]
struct AppsLauncher {
    lists: VecDeque<Vec<RunningApp>>,
    attached: Vec<String>,
    refusal: Option<String>,
}

impl AppsLauncher {
    fn new(lists: impl IntoIterator<Item = Vec<RunningApp>>) -> Self {
        Self { lists: lists.into_iter().collect(), ..Self::default() }
    }
}

impl Launcher for AppsLauncher {
    fn catalog(&self) -> &[Manifest] {
        &[]
    }

    fn launch(&mut self, launch: &LaunchRequest) -> Result<Box<dyn Session>, String> {
        Err(format!("`{}` is not expected", launch.name))
    }

    fn running_apps(&mut self) -> Option<Vec<RunningApp>> {
        self.lists.pop_front()
    }

    fn attach(&mut self, address: &str) -> Result<Box<dyn Session>, String> {
        self.attached.push(address.to_owned());
        match self.refusal.clone() {
            Some(reason) => Err(reason),
            None => {
                let mut session = fake_session::paused_run();
                session.status.source = SourceKind::Attach;
                session.status.control_level = ControlLevel::ReadOnly;
                Ok(Box::new(session))
            }
        }
    }
}

fn start(launcher: &mut AppsLauncher) -> EventLoopHarness<'_> {
    let mut harness = EventLoopHarness::new(launcher);
    harness.event_loop.show_app_picker();
    harness.run_once();
    harness
}

fn screen(apps: Vec<RunningApp>, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
    let mut model = Model::default();
    model.show_app_picker();
    model.set_running_apps(apps);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view::render(&mut buffer, Scene { model: &model, session: None, catalog: &[], theme }, area);
    buffer
}

/// Returns the marked line of the list.
fn chosen(harness: &EventLoopHarness<'_>) -> String {
    let screen = harness.screen();
    screen.lines().find_map(|line| line.strip_prefix("▸ ")).unwrap_or_default().to_owned()
}

fn three() -> Vec<RunningApp> {
    vec![app(10, "shop"), app(20, "mail"), app(30, "chat")]
}

#[test]
fn app_picker_at_every_size() {
    let long = "a-service-with-a-name-that-is-far-too-long-for-its-column-on-any-screen";
    let mut apps: Vec<_> = (1..60).map(|number| app(number * 977, "service")).collect();
    apps[1] = RunningApp { tasks: Err("it does not answer: it may be stopped".to_owned()), ..app(1_954, "?") };
    apps[2] = RunningApp { age: None, ..app(2_931, long) };
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10), (10, 5)] {
        assert_snapshot(&format!("app-picker-{width}x{height}"), &screen(apps.clone(), &ANSI, (width, height)));
    }
    assert_snapshot("app-picker-ascii", &screen(apps, &ASCII, (80, 10)));
    assert_snapshot("app-picker-empty", &screen(Vec::new(), &ANSI, (80, 10)));
    for size in (1..8).flat_map(|width| (1..8).map(move |height| (width, height))) {
        screen(three(), &ANSI, size);
    }
}

#[test]
fn user_attaches_to_an_app_and_comes_back() {
    let mut launcher = AppsLauncher::new([three()]);
    let mut harness = start(&mut launcher);
    assert!(harness.screen().contains("running apps 3"), "{}", harness.screen());
    assert!(chosen(&harness).starts_with("10 "), "{}", harness.screen());
    assert!(chosen(&harness).contains("shop") && chosen(&harness).ends_with(" 30"), "{}", harness.screen());
    harness.type_keys("jjk\n");
    assert!(harness.screen().contains("count-1"), "{}", harness.screen());
    harness.type_keys("\x1b");
    assert!(harness.screen().contains("press esc again to detach from this app and go to the list of apps"));
    harness.type_keys("\x1b");
    assert!(chosen(&harness).starts_with("20 "), "{}", harness.screen());
    assert_eq!(harness.type_keys("q"), Some(ExitReason::Quit));
    drop(harness);
    assert_eq!(launcher.attached, ["pid:20"]);
}

#[test]
fn escape_quits_without_attaching() {
    let mut launcher = AppsLauncher::new([three()]);
    let mut harness = start(&mut launcher);
    assert_eq!(harness.type_keys("\x1b"), Some(ExitReason::Quit));
    drop(harness);
    assert!(launcher.attached.is_empty());
}

#[test]
fn choice_follows_a_changing_list() {
    let without = |pid: u32| three().into_iter().filter(|app| app.pid != pid).collect::<Vec<_>>();
    let with_first = [vec![app(5, "first")], three()].concat();
    let lists = [three(), with_first, without(20), Vec::new(), vec![app(40, "late")]];
    let mut launcher = AppsLauncher::new(lists);
    let mut harness = start(&mut launcher);
    harness.type_keys("j");
    // A list with an app before the chosen one was taken in the same iteration as the key.
    assert!(harness.screen().contains("running apps 4"), "{}", harness.screen());
    assert!(chosen(&harness).starts_with("20 "), "{}", harness.screen());
    harness.run_once();
    assert!(harness.screen().contains("mail (pid 20) has ended"), "{}", harness.screen());
    assert!(chosen(&harness).starts_with("30 "), "the row of the app that ended: {}", harness.screen());
    harness.run_once();
    assert!(harness.screen().contains("no running app has the probe"), "{}", harness.screen());
    harness.type_keys("\n");
    assert!(chosen(&harness).starts_with("40 "), "{}", harness.screen());
    assert_eq!(harness.type_keys("q"), Some(ExitReason::Quit));
    drop(harness);
    assert!(launcher.attached.is_empty(), "there was nothing to attach to");
}

#[test]
fn long_list_scrolls_with_the_choice() {
    let apps: Vec<_> = (1..=100).map(|pid| app(pid, "service")).collect();
    let mut launcher = AppsLauncher::new([apps]);
    let mut harness = start(&mut launcher);
    let mut press = |code: KeyCode| {
        harness.keyboard.send(InputEvent::Key(KeyPress::new(code))).expect("the loop receives inputs");
        harness.run_once();
        chosen(&harness).split(' ').next().expect("a process id").to_owned()
    };
    assert_eq!([KeyCode::Down, KeyCode::Down, KeyCode::Up].map(&mut press), ["2", "3", "2"]);
    // The screen has 30 rows: head, rule, titles and footer take four.
    assert_eq!([KeyCode::PageDown, KeyCode::PageDown, KeyCode::PageUp].map(&mut press), ["28", "54", "28"]);
    assert_eq!([KeyCode::End, KeyCode::Down, KeyCode::Home, KeyCode::Up].map(&mut press), ["100", "100", "1", "1"]);
}

#[test]
fn mouse_chooses_an_app() {
    let mut launcher = AppsLauncher::new([three()]);
    let mut harness = start(&mut launcher);
    let row = harness.screen().lines().position(|line| line.contains("chat")).expect("it is listed");
    let row = u16::try_from(row).expect("a small number");
    let mut mouse = |kind: MouseKind, row: u16| {
        let input = MouseInput { kind, column: 12, row, is_zoom: false };
        harness.keyboard.send(InputEvent::Mouse(input)).expect("the loop receives inputs");
        harness.run_once();
        chosen(&harness).split(' ').next().expect("a process id").to_owned()
    };
    assert_eq!(mouse(MouseKind::Press, row), "30");
    assert_eq!(mouse(MouseKind::Press, row + 1), "30", "no app is there");
    assert_eq!(mouse(MouseKind::WheelUp, row), "20");
    assert_eq!(mouse(MouseKind::WheelDown, row), "30");
}

#[test]
fn attach_error_is_shown_over_the_list() {
    let mut launcher = AppsLauncher::new([three()]);
    launcher.refusal = Some("process 10 cannot be attached to: connection refused\nhelp: do this".to_owned());
    let mut harness = start(&mut launcher);
    harness.type_keys("\n");
    for part in ["cannot attach to pid:10", "connection refused", "help: do this"] {
        assert!(harness.screen().contains(part), "{}", harness.screen());
    }
    harness.type_keys("\x1b");
    assert!(harness.screen().contains("running apps 3") && !harness.screen().contains("connection refused"));
    harness.type_keys("?");
    for part in ["app picker", "attach to this app", "quit without attaching"] {
        assert!(harness.screen().contains(part), "{}", harness.screen());
    }
}

#[test]
fn hostile_names_stay_text() {
    let apps = vec![app(1, "a\u{1b}[2Jb\u{202e}c"), RunningApp { tasks: Err("x\u{7}\ny".to_owned()), ..app(2, "b") }];
    let shown = text(&screen(apps, &ANSI, (80, 10)));
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    assert!(shown.lines().count() == 10 && shown.contains("running apps 2"), "{shown}");
}
