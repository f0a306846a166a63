//! External apps on screen: connection states, sampled lanes and available controls.

use loopscope::control::{ConnectionState, ConnectionStatus, ControlLevel, RunOutcome, RunPhase, SessionCommand};
use loopscope::internals::app::{Action, Effect};
use loopscope::session::Session;
use loopscope::trace::{Axis, Event, TaskCounts, TaskStats};

use crate::console_sessions::{attached, executed, service};
use crate::fake_session::{S, task};
use crate::snapshot::{assert_snapshot, text};
use crate::test_user::TestUser;
use crate::view::{ANSI, ASCII, MONO, screen};

const LINKS: [(&str, ConnectionState, &str); 5] = [
    ("connecting", ConnectionState::Connecting, ""),
    ("waiting", ConnectionState::AwaitingData, ""),
    ("live", ConnectionState::Live, ""),
    ("retrying", ConnectionState::Retrying { attempts: 4, wait_ms: 2_400 }, "connection refused"),
    ("lost", ConnectionState::Lost, "the program closed the connection"),
];

/// At every size, the screen shows the connection state and why there are no tasks.
#[test]
fn screen_shows_the_connection_state() {
    for (name, state, note) in LINKS {
        let session = attached(state, note);
        let shown = screen(Some(&session), &ANSI, (80, 24), &[]);
        assert_snapshot(&format!("link-{name}"), &shown);
        for size in [(40, 10), (120, 40), (200, 60)] {
            let shown = text(&screen(Some(&session), &ASCII, size, &[]));
            let word = name.to_uppercase();
            assert!(shown.contains(&word) && shown.contains("no task"), "{name}: {shown}");
        }
        assert!(text(&screen(Some(&session), &ANSI, (10, 5), &[])).contains(&name.to_uppercase()));
    }
    let retrying = text(&screen(Some(&attached(LINKS[3].1, LINKS[3].2)), &ANSI, (80, 24), &[]));
    assert!(retrying.contains("retrying in 3 s (attempt 4; R: retry now): connection refused"), "{retrying}");
    assert!(retrying.contains(" R retry now"), "the footer lists the key: {retrying}");
    let mut over = executed();
    over.status.connection = Some(ConnectionStatus { state: ConnectionState::Lost, note: String::new() });
    over.status.phase = RunPhase::Ended;
    let over = text(&screen(Some(&over), &ANSI, (200, 24), &[]));
    assert!(!over.contains("retry now"), "a started app is not reconnected: {over}");
    assert!(!over.contains(" edit"), "an app has no script: {over}");
}

#[test]
fn lost_connection_keeps_the_trace_visible() {
    let mut session = service();
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Lost, note: "it was closed".into() });
    session.status.phase = RunPhase::Ended;
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[]));
    assert!(shown.contains(" LOST ") && shown.contains("it was closed") && shown.contains("lock-waiter"), "{shown}");
    assert!(shown.contains("128 EVENTS DROPPED"), "events dropped by the app's console are counted: {shown}");
}

#[test]
fn sampled_lanes_are_drawn_as_bars() {
    let session = service();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        assert_snapshot(&format!("sampled-{width}x{height}"), &screen(Some(&session), &ANSI, (width, height), &[]));
    }
    assert_snapshot("sampled-ascii", &screen(Some(&session), &ASCII, (120, 40), &[]));
    assert_snapshot("sampled-mono", &screen(Some(&session), &MONO, (80, 24), &[]));
}

/// Sampled lanes have poll marks only for polls that were reported individually.
#[test]
fn sampled_lane_has_no_poll_marks() {
    let session = service();
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[]));
    let lane = |name: &str| {
        shown
            .lines()
            .find(|line| line.chars().skip(3).collect::<String>().starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    for name in ["busier", "quick"] {
        let lane: String = lane(name).chars().skip(20).collect();
        assert!(lane.contains(['▁', '▇']) && !lane.contains(['█', '▌', '░']), "{lane}");
    }
    assert!(lane("acceptor").contains('▌'), "its only poll of each second was reported: {}", lane("acceptor"));
    assert!(lane("lock-waiter").contains("╌╌╌"), "{}", lane("lock-waiter"));
    assert!(lane("queued").contains('┃'), "{}", lane("queued"));
    assert!(lane("quick").contains('┈'), "the time since the last update is unknown: {}", lane("quick"));
    assert!(shown.contains("sampled"), "{shown}");
}

#[test]
fn sampled_trace_has_no_poll_axis() {
    let mut user = TestUser::with_session(service());
    assert!(user.type_text("a").is_empty());
    assert_eq!(user.model.dashboard.viewport.axis, Axis::Time);
    assert!(user.notice().contains("sampled"), "{}", user.notice());
}

/// An attached app cannot be paused, so space freezes the display.
#[test]
fn space_freezes_the_display() {
    let size = (120, 40);
    let mut session = service();
    session.trace.apply(Event::Advance { at: 8 * S });
    let mut user = TestUser::with_session(session);
    assert!(user.type_text(" ").is_empty(), "no command is sent");
    let lanes = |user: &TestUser| {
        let shown = text(&user.render(&ANSI, size));
        let rows = shown.lines().skip(4).take(8).map(|line| line.chars().take(80).collect::<String>());
        rows.collect::<Vec<_>>()
    };
    let before = lanes(&user);
    let shown = text(&user.render(&ANSI, size));
    assert!(shown.contains(" FROZEN ") && shown.contains("space resume"), "{shown}");
    let session = user.session.as_mut().expect("the session exists");
    session.trace.apply(crate::fake_session::spawn(task(8), "newcomer", None, 9 * S));
    session.trace.apply(Event::Advance { at: 60 * S });
    session.status.now = 60 * S;
    user.refresh();
    assert_eq!(lanes(&user), before, "the display is frozen");
    user.type_text(" ");
    let shown = text(&user.render(&ANSI, size));
    assert!(shown.contains("newcomer") && !shown.contains("FROZEN"), "the display continues: {shown}");
    user.type_text(" ");
    assert!(user.model.dashboard.frozen.is_some());
    user.perform(Action::Back);
    assert!(user.model.dashboard.frozen.is_none(), "esc also unfreezes it");
}

#[test]
fn loop_controls_explain_why_they_are_unavailable() {
    let mut user = TestUser::with_session(service());
    for key in ["s", "t", "T", "o", "<", ">", "m", "z"] {
        assert!(user.type_text(key).is_empty(), "{key}");
        assert!(
            user.notice().contains("does not control") || user.notice().contains("only processes that it started"),
            "{key}"
        );
    }
    assert!(user.type_text("R").is_empty() && user.notice().contains("connected"));
    let shown = text(&user.render(&ANSI, (200, 60)));
    let footer = shown.lines().last().unwrap_or_default();
    for absent in ["step", "hold", "slower", "run again", "stop process", "retry"] {
        assert!(!footer.contains(absent), "{absent}: {footer}");
    }
}

#[test]
fn started_process_can_be_stopped() {
    let mut user = TestUser::with_session(executed());
    assert_eq!(user.type_text("z"), [Effect::Command(SessionCommand::FreezeProcess(true))]);
    let session = user.session.as_mut().expect("the session exists");
    session.command(SessionCommand::FreezeProcess(true));
    session.status.phase = RunPhase::Paused;
    let shown = text(&user.render(&ANSI, (120, 40)));
    assert!(shown.contains(" PROCESS STOPPED ") && shown.contains("z: continue"), "{shown}");
    assert_eq!(user.type_text("z"), [Effect::Command(SessionCommand::FreezeProcess(false))]);
    assert!(user.type_text(" ").is_empty() && user.model.dashboard.frozen.is_some(), "space freezes the display");
}

/// Retrying needs a connection that is not established.
#[test]
fn retry_key_sends_a_command() {
    let mut user = TestUser::with_session(attached(ConnectionState::Retrying { attempts: 1, wait_ms: 1 }, ""));
    assert_eq!(user.type_text("R"), [Effect::Command(SessionCommand::Reconnect)]);
}

/// The details show the console's data of the selected task: wakers, scheduled times and both histograms.
#[test]
fn details_show_console_data() {
    let mut user = TestUser::with_session(service());
    user.type_text("jj");
    let shown = user.render(&ANSI, (120, 60));
    assert_snapshot("sampled-details", &shown);
    let shown = text(&shown);
    for expected in ["wakers     1 live of 400 clones", "800 polls by duration", "340 scheduling delays", "up to 3 s"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!shown.contains("no waker"), "{shown}");
    assert!(!shown.contains("by the runtime"), "a console does not report who spawned a task: {shown}");
    let session = user.session.as_mut().expect("the session exists");
    let measured = TaskStats { polls: 50, waker_clones: 3, waker_drops: 3, ..TaskStats::default() };
    session.trace.apply(Event::TaskStats { task: task(5), at: 9 * S, stats: Box::new(measured) });
    user.type_text("jj");
    user.refresh();
    assert!(text(&user.render(&ANSI, (120, 60))).contains("no live waker"), "no waker is alive");
}

/// The console reports the number of wakes and the time of the last one, but no wake sources.
#[test]
fn counted_wakes_show_without_sources() {
    let mut user = TestUser::with_session(service());
    let session = user.session.as_mut().expect("the session exists");
    let counts = TaskCounts { wakes: 3, ..TaskCounts::default() };
    session.trace.apply(Event::ConsoleCounts { task: task(1), counts });
    session.trace.apply(Event::Sample { task: task(1), last_poll: None, last_wake: Some(7 * S) });
    user.refresh();
    let shown = text(&user.render(&ANSI, (120, 60)));
    assert!(shown.contains("at 7 s") && shown.contains("by an unknown source"), "{shown}");
    assert!(!shown.contains("last woken never"), "{shown}");
}

/// If the end of the process is known, the session has ended and is not lost.
#[test]
fn ended_process_is_not_shown_as_lost() {
    let mut session = executed();
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Lost, note: String::new() });
    session.status.phase = RunPhase::Ended;
    session.status.control_level = ControlLevel::ReadOnly;
    session.status.outcome = Some(RunOutcome::Completed(serde_json::Value::Null));
    let mut user = TestUser::with_session(session);
    let shown = text(&user.render(&ANSI, (120, 40)));
    assert!(shown.contains(" ENDED ") && shown.contains("completed after") && !shown.contains("LOST"), "{shown}");
    assert!(user.type_text("z").is_empty() && user.notice().contains("has ended"), "{}", user.notice());
}
