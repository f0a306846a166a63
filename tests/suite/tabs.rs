//! Several sessions in the real event loop, one tab each.

use std::rc::Rc;

use loopscope::control::{ConnectionState, ConnectionStatus, RunPhase, SessionCommand};
use loopscope::internals::app::{Action, InputEvent, MouseInput, MouseKind, Tab, TabBar, TabStatus};
use loopscope::internals::terminal::ExitReason;
use loopscope::session::Session;
use loopscope::trace::Event;

use crate::console_sessions::{attached, service};
use crate::fake_session::{FakeLauncher, FakeSession, S, SentCommands, spawn, task};
use crate::snapshot::assert_snapshot;
use crate::terminal::EventLoopHarness;
use crate::test_user::TestUser;
use crate::view::{ANSI, ASCII};

/// An attached app with two tasks named after it.
fn program(name: &str) -> FakeSession {
    let mut session = attached(ConnectionState::Live, "");
    session.status.name = name.into();
    session.trace.apply(spawn(task(1), &format!("{name}-main"), None, 0));
    session.trace.apply(spawn(task(2), &format!("{name}-other"), None, 0));
    session
}

fn lost(name: &str, successor: Option<FakeSession>) -> FakeSession {
    let mut session = program(name);
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Lost, note: "it was closed".into() });
    session.successor = successor.map(Box::new);
    session
}

/// One session has no tab bar, two have one, and each tab keeps its UI state.
#[test]
fn each_tab_keeps_its_ui_state() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.open(Box::new(program("api")));
    harness.run_once();
    assert!(!harness.screen().contains(" 1 "), "{}", harness.screen());
    harness.event_loop.open(Box::new(program("worker")));
    harness.run_once();
    let top = harness.screen().lines().next().unwrap_or_default().to_owned();
    assert!(top.contains(" 1 █ api") && top.contains(" 2 █ worker"), "{top}");
    assert!(harness.screen().contains("api-main"), "the first tab is shown");
    harness.type_keys("j2");
    assert!(harness.screen().contains("▸░ worker-main"), "{}", harness.screen());
    harness.type_keys("/other\n}");
    assert!(harness.screen().contains("▸░ api-other"), "as it was left: {}", harness.screen());
    harness.type_keys("{");
    assert!(harness.screen().contains("tasks 1 of 2 matching `other`"), "{}", harness.screen());
    harness.type_keys("7");
    assert!(harness.screen().contains("no such tab: 2 tabs open"), "{}", harness.screen());
    let press = MouseInput { kind: MouseKind::Press, column: 3, row: 0, is_zoom: false };
    harness.keyboard.send(InputEvent::Mouse(press)).expect("the loop receives inputs");
    harness.run_once();
    assert!(harness.screen().contains("▸░ api-other"), "a click on a tab shows it: {}", harness.screen());
}

#[test]
fn hidden_sessions_process_their_events() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.open(Box::new(program("api")));
    let mut behind = program("worker");
    behind.coming = vec![spawn(task(3), "late", None, S)];
    harness.event_loop.open(Box::new(behind));
    harness.run_once();
    let event_loop = harness.event_loop.frames_drawn();
    harness.run_once();
    assert_eq!(harness.event_loop.frames_drawn(), event_loop, "nothing of it is visible");
    harness.type_keys("2");
    assert!(harness.screen().contains("late"), "{}", harness.screen());
}

/// A user who looks at the lost program is switched to the new one; other users are not disturbed.
#[test]
fn restarted_program_opens_a_new_tab() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.open(Box::new(lost("api", Some(program("api-again")))));
    harness.run_once();
    assert!(harness.screen().contains("api-again-main"), "{}", harness.screen());
    let top = harness.screen().lines().next().unwrap_or_default().to_owned();
    assert!(top.contains(" 1 ✗ api") && top.contains(" 2 █ api-again") && !top.contains("NEW"), "{top}");
    harness.type_keys("1");
    assert!(harness.screen().contains("api-main") && harness.screen().contains("LOST"), "its last state stays visible");

    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.open(Box::new(program("worker")));
    harness.event_loop.open(Box::new(lost("api", Some(program("api-again")))));
    harness.event_loop.open(Box::new(program("last")));
    harness.run_once();
    let top = harness.screen().lines().next().unwrap_or_default().to_owned();
    assert!(harness.screen().contains("worker-main") && top.contains("api-again NEW"), "{}", harness.screen());
    assert!(top.find("api-again") < top.find("last"), "beside the old one: {top}");
    harness.type_keys("3");
    assert!(!harness.screen().contains("NEW") && harness.screen().contains("api-again-main"), "{}", harness.screen());
}

#[test]
fn number_of_tabs_is_limited() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    let last = (0..40).fold(program("run-40"), |next, index| lost(&format!("run-{}", 39 - index), Some(next)));
    harness.event_loop.open(Box::new(last));
    harness.run_once();
    harness.type_keys(":tab 99\n");
    assert!(harness.screen().contains("no such tab: 16 tabs open"), "{}", harness.screen());
    assert!(harness.screen().contains("run-40-main"), "{}", harness.screen());
}

#[test]
fn closing_a_tab_shows_its_neighbour() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    let commands = SentCommands::default();
    let mut first = program("api");
    first.commands = Rc::clone(&commands);
    harness.event_loop.open(Box::new(first));
    harness.event_loop.open(Box::new(program("worker")));
    harness.run_once();
    assert_eq!(harness.type_keys("x"), None);
    assert_eq!(*commands.borrow(), [SessionCommand::SelectTask(task(1)), SessionCommand::Quit]);
    assert!(harness.screen().contains("worker-main") && !harness.screen().contains("api"), "{}", harness.screen());
    harness.type_keys("x");
    assert!(harness.screen().contains("this is the only tab"), "{}", harness.screen());
    assert_eq!(harness.type_keys("q"), Some(ExitReason::Quit));
}

/// Ending a run that loopscope started needs a confirmation.
#[test]
fn closing_a_running_tab_needs_confirmation() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    harness.event_loop.open(Box::new(crate::fake_session::paused_run()));
    harness.event_loop.open(Box::new(program("worker")));
    harness.type_keys("x");
    assert!(harness.screen().contains("press x again to end"), "{}", harness.screen());
    harness.type_keys("j");
    harness.type_keys("x");
    assert!(harness.screen().contains("count-1"), "any other key cancels: {}", harness.screen());
    harness.type_keys("x");
    assert!(harness.screen().contains("worker-main"), "{}", harness.screen());
}

/// An attached session receives each selected task once.
#[test]
fn selection_is_sent_to_an_attached_session() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    let commands = SentCommands::default();
    let mut session = program("api");
    session.commands = Rc::clone(&commands);
    harness.event_loop.open(Box::new(session));
    harness.run_once();
    harness.type_keys("j");
    harness.type_keys("j");
    harness.run_once();
    assert_eq!(*commands.borrow(), [SessionCommand::SelectTask(task(1)), SessionCommand::SelectTask(task(2))]);
}

/// The countdown of a retry is drawn once a second, not more often.
#[test]
fn countdown_is_drawn_once_a_second() {
    let mut launcher = FakeLauncher::default();
    let mut harness = EventLoopHarness::new(&mut launcher);
    let waiting = |wait_ms| {
        let mut session = attached(ConnectionState::Retrying { attempts: 2, wait_ms }, "refused");
        session.status.phase = RunPhase::Running;
        session
    };
    harness.event_loop.watch(Box::new(waiting(2_900)), None);
    harness.run_once();
    assert!(harness.screen().contains("retrying in 3 s (attempt 2; R: retry now): refused"), "{}", harness.screen());
    let event_loop = harness.event_loop.frames_drawn();
    harness.run_once();
    assert_eq!(harness.event_loop.frames_drawn(), event_loop);
}

/// A UI with three tabs, the first of which is shown.
fn user() -> TestUser {
    let mut session = service();
    session.trace.apply(Event::Advance { at: 9 * S });
    let mut user = TestUser::with_session(session);
    let tab = |name: &str, status, is_new| Tab { name: name.into(), status, is_new };
    let name = user.session.as_ref().map(|session| session.status().name).unwrap_or_default();
    let all = vec![
        tab(&name, TabStatus::Live, false),
        tab("unix:/run/worker.sock", TabStatus::Lost, false),
        tab("unix:/run/worker.sock", TabStatus::Connecting, true),
    ];
    user.model.tabs = TabBar { all, shown: 0 };
    user
}

#[test]
fn tab_bar_at_every_size() {
    let user = user();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        assert_snapshot(&format!("tabs-{width}x{height}"), &user.render(&ANSI, (width, height)));
    }
    assert_snapshot("tabs-ascii", &user.render(&ASCII, (80, 24)));
}

#[test]
fn tab_is_selected_by_number() {
    let mut user = user();
    assert_eq!(user.type_text("2"), [loopscope::internals::app::Effect::ShowTab(1)]);
    assert_eq!(user.type_text(":tab 3\n"), [loopscope::internals::app::Effect::ShowTab(2)]);
    assert_eq!(user.perform(Action::PreviousTab), [loopscope::internals::app::Effect::ShowTab(2)]);
    assert!(user.type_text("1").is_empty(), "already shown");
    assert!(user.type_text("9").is_empty() && user.notice().contains("3 tabs"));
}
