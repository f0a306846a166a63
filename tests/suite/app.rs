//! UI state transitions: actions in, state and effects out.

use std::time::Duration;

use loopscope::control::{ClockKind, ControlLevel, SessionCommand, Speed};
use loopscope::internals::app::{
    Action, DashboardPage, Effect, Motion, MouseInput, MouseKind, Overlay, Pane, PickerFocus, ViewportMode,
};
use loopscope::internals::view::Theme;
use loopscope::session::{LaunchRequest, Launcher, Session};
use loopscope::trace::{Axis, Event, Location, TaskKind, TaskMeta, TaskOutcome, TaskState, Trace, WakeSource};
use loopscope::workload::manifest::ParamValue;

use crate::fake_session::{self, MS, S, task};
use crate::test_user::TestUser;

#[test]
fn selection_survives_a_search() {
    let mut user = TestUser::with_session(fake_session::many_tasks(1_000));
    user.perform(Action::Move(Motion::Last));
    assert_eq!(user.model.dashboard.selected, Some(task(1_000)));
    assert_eq!(user.model.dashboard.first_row, 990, "the selected row is visible");
    user.type_text("/worker-100\n");
    assert_eq!(user.model.dashboard.selected, Some(task(1_000)), "worker-1000 matches too");
    assert_eq!(user.model.dashboard.first_row, 0);
    user.perform(Action::Move(Motion::Up));
    assert_eq!(user.model.dashboard.selected, Some(task(100)), "the previous row is the other match");
    user.perform(Action::Back);
    assert_eq!(user.model.dashboard.selected, Some(task(100)));
    assert!((90..=99).contains(&user.model.dashboard.first_row), "its row is visible again");
}

/// Returns the text on a screen of 120 by 30.
fn text(user: &TestUser) -> String {
    let buffer = user.render(&Theme::default(), (120, 30));
    let line = |row| (0..120).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..30).map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the listed tasks' ids.
fn listed(user: &TestUser) -> Vec<String> {
    let trace = &user.session.as_ref().expect("the user has a session").trace;
    let rows = &user.model.dashboard.rows;
    (0..rows.count(trace)).filter_map(|row| rows.get(row, trace)).map(|id| id.to_string()).collect()
}

#[test]
fn search_finds_locations_kinds_and_states() {
    let spawn = |number: usize, name: &str, file: &str, kind: TaskKind| {
        let location = Some(Location { file: file.into(), line: 40 + number as u32 });
        let meta = TaskMeta { name: name.into(), kind, location, ..TaskMeta::default() };
        Event::Spawn { task: task(number), at: 0, meta: Box::new(meta) }
    };
    let mut session = fake_session::many_tasks(0);
    session.trace = Trace::with_budget(1 << 20);
    session.coming = vec![
        spawn(1, "main", "src/main.rs", TaskKind::BlockOn),
        spawn(2, "", "src/pool.rs", TaskKind::Task),
        spawn(3, "", "src/pool.rs", TaskKind::Blocking),
        Event::PollStart { task: task(2), at: 1 },
        Event::PollEnd { task: task(2), at: 2 },
    ];
    session.pump(Duration::ZERO);
    assert_eq!(session.trace.task(task(2)).expect("it was spawned").name(), "pool.rs:42 #2");
    let mut user = TestUser::with_session(session);
    for (text, expected) in [
        ("pool", &["2", "3"][..]),
        ("src/main.rs:41", &["1"]),
        ("blocking", &["3"]),
        ("waiting", &["2"]),
        ("scheduled", &["1", "3"]),
    ] {
        user.type_text(&format!("/{text}\n"));
        assert_eq!(listed(&user), expected, "{text}");
        user.perform(Action::Back);
    }
    // States change after the search.
    user.type_text("/waiting\n");
    let session = user.session.as_mut().expect("the user has a session");
    session.coming = vec![
        Event::Wake { task: task(2), at: 3, source: WakeSource::Driver },
        Event::PollStart { task: task(1), at: 4 },
        Event::PollEnd { task: task(1), at: 5 },
    ];
    session.pump(Duration::ZERO);
    user.refresh();
    assert_eq!(listed(&user), ["1"]);
}

/// Workers, `block_on` futures and blocking closures are listed last, and are not counted.
#[test]
fn infrastructure_comes_last_and_is_not_counted() {
    let kinds = [TaskKind::Worker, TaskKind::Task, TaskKind::BlockOn, TaskKind::Local, TaskKind::Blocking];
    let spawn = |(number, kind): (usize, TaskKind)| {
        let meta = TaskMeta { name: format!("t{number}").into(), kind, ..TaskMeta::default() };
        Event::Spawn { task: task(number), at: 0, meta: Box::new(meta) }
    };
    let mut session = fake_session::many_tasks(0);
    session.trace = Trace::with_budget(1 << 20);
    session.status.control_level = ControlLevel::ReadOnly;
    session.coming = (1..).zip(kinds).take(1).map(spawn).collect();
    session.pump(Duration::ZERO);
    let mut user = TestUser::with_session(session);
    assert_eq!(user.model.dashboard.selected, Some(task(1)), "there is no other one yet");
    let session = user.session.as_mut().expect("the user has a session");
    session.coming = (1..).zip(kinds).skip(1).map(spawn).collect();
    session.pump(Duration::ZERO);
    user.refresh();
    assert_eq!(listed(&user), ["2", "4", "1", "3", "5"]);
    assert_eq!(user.model.dashboard.selected, Some(task(2)));
    assert!(text(&user).contains("2 tasks: 0 running, 2 scheduled, 0 waiting"), "{}", text(&user));
    user.perform(Action::Move(Motion::Last));
    assert_eq!(user.model.dashboard.selected, Some(task(5)));
    // A frozen view keeps its rows.
    user.type_text(" ");
    let session = user.session.as_mut().expect("the user has a session");
    session.coming = (6..).zip([TaskKind::Task]).map(spawn).collect();
    session.pump(Duration::ZERO);
    user.refresh();
    assert_eq!(listed(&user), ["2", "4", "1", "3", "5"]);
    user.type_text(" ");
    assert_eq!(listed(&user), ["2", "4", "6", "1", "3", "5"]);
    assert_eq!(user.model.dashboard.selected, Some(task(5)));
    user.type_text("/t\n");
    user.perform(Action::ShowPage(DashboardPage::Tasks));
    assert_eq!(listed(&user), ["2", "4", "6", "1", "3", "5"]);
    assert!(text(&user).contains("tasks 3 of 3 matching `t`"), "{}", text(&user));
}

#[test]
fn ended_tasks_can_be_hidden() {
    let mut session = fake_session::many_tasks(5);
    let end = |number| Event::TaskEnd { task: task(number), at: S, outcome: TaskOutcome::Completed };
    session.coming = vec![end(2), end(4)];
    session.pump(Duration::ZERO);
    let mut user = TestUser::with_session(session);
    let footer = |user: &TestUser| -> String {
        let buffer = user.render(&Theme::default(), (200, 30));
        (0..200).map(|column| buffer[(column, 29)].symbol().to_owned()).collect()
    };
    assert!(footer(&user).contains("E hide ended"), "{}", footer(&user));
    user.type_text("E");
    user.refresh();
    assert_eq!(listed(&user), ["1", "3", "5"]);
    assert!(footer(&user).contains("E show ended"), "{}", footer(&user));
    user.perform(Action::Move(Motion::Down));
    assert_eq!(user.model.dashboard.selected, Some(task(3)));
    let session = user.session.as_mut().expect("the user has a session");
    session.coming = vec![end(3)];
    session.pump(Duration::ZERO);
    user.refresh();
    assert_eq!(listed(&user), ["1", "5"]);
    assert_eq!(user.model.dashboard.selected, Some(task(5)), "the next row");
    let session = user.session.as_mut().expect("the user has a session");
    session.coming = vec![end(1), end(5)];
    session.pump(Duration::ZERO);
    user.refresh();
    let screen = user.render(&Theme::default(), (200, 30));
    let text: String = screen.content().iter().map(|cell| cell.symbol()).collect();
    assert!(text.contains("every task has ended (E: show ended)"), "{text}");
    user.type_text("E");
    assert_eq!(listed(&user).len(), 5);
}

#[test]
fn back_clears_a_search_without_matches() {
    let mut user = TestUser::with_session(fake_session::paused_run());
    user.type_text("/no-such-task\n");
    assert_eq!(user.model.dashboard.selected, None);
    assert!(user.perform(Action::ToggleHold).is_empty(), "no task, so no command");
    assert!(user.model.notice.is_some(), "a notice says why");
    assert!(user.perform(Action::Back).is_empty());
    assert_eq!(user.model.dashboard.selected, Some(task(1)));
    assert!(user.perform(Action::Back).is_empty(), "leaving a run needs confirmation");
    assert!(user.model.notice.is_some());
    assert!(user.perform(Action::ZoomIn).is_empty() && user.perform(Action::Back).is_empty());
    assert_eq!(user.perform(Action::Back), [Effect::CloseSession]);
}

#[test]
fn editing_a_built_in_script_needs_confirmation() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    assert!(user.type_text("e").is_empty(), "loopscope did not start it");
    assert!(user.model.notice.as_ref().is_some_and(|notice| notice.contains("no script")));
    user.model.launched = Some(LaunchRequest::with_defaults("countsync"));
    assert_eq!(user.type_text("e"), [Effect::Edit("countsync".into())]);
    user.model.launched = Some(LaunchRequest::with_defaults("countasync"));
    assert!(user.type_text("e").is_empty() && user.type_text("fe").is_empty(), "built in and not confirmed");
    assert_eq!(user.type_text("e"), [Effect::Edit("countasync".into())]);
    assert_eq!(user.perform(Action::Suspend), [Effect::Suspend]);
}

#[test]
fn commands_depend_on_the_loop_state() {
    let mut user = TestUser::with_session(fake_session::paused_run());
    assert_eq!(user.perform(Action::TogglePause), [Effect::Command(SessionCommand::Resume)]);
    assert_eq!(user.type_text("s"), [Effect::Command(SessionCommand::StepPolls(1))]);
    user.perform(Action::Move(Motion::Down));
    assert_eq!(user.type_text("T"), [Effect::Command(SessionCommand::StepToTask(task(2)))]);
    assert_eq!(user.type_text("C"), [Effect::Command(SessionCommand::Cancel(task(2)))]);
    assert_eq!(user.type_text("o"), [Effect::Command(SessionCommand::Hold(task(2)))]);
    let session = user.session.as_mut().expect("has a session");
    session.trace.apply(loopscope::trace::Event::Hold { task: task(2), at: 400 * MS });
    assert!(text(&user).contains("1 held"), "{}", text(&user));
    assert_eq!(user.type_text("o"), [Effect::Command(SessionCommand::Release(task(2)))]);
    assert_eq!(user.type_text(">"), [Effect::Command(SessionCommand::SetSpeed(Speed::Factor(2.0)))]);
    user.session.as_mut().expect("has a session").status.clock = ClockKind::Real;
    assert!(user.type_text(">").is_empty() && user.model.notice.is_some(), "speed needs the virtual clock");

    let mut user = TestUser::with_session(fake_session::completed_run());
    assert!(user.type_text("s").is_empty());
    assert!(user.model.notice.as_ref().is_some_and(|notice| notice.contains("ended")));
    assert!(user.type_text("r").is_empty(), "loopscope did not start it");
}

#[test]
fn zoom_keeps_the_pointed_time_and_can_be_undone() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    let before = user.visible_range();
    let wheel = MouseInput { kind: MouseKind::WheelUp, column: 45, row: 5, is_zoom: true };
    let pointed = |(from, to): (u64, u64)| from + (to - from) * 25 / 100;
    let under = pointed(before);
    user.perform(Action::Mouse(wheel));
    let after = user.visible_range();
    assert!(after.1 - after.0 < before.1 - before.0);
    assert!(pointed(after).abs_diff(under) < (after.1 - after.0) / 100, "{under} moved to {}", pointed(after));
    user.perform(Action::Move(Motion::Right));
    user.perform(Action::Move(Motion::Right));
    assert_ne!(user.visible_range(), after);
    user.perform(Action::UndoView);
    assert_eq!(user.visible_range(), after, "consecutive pans are undone together");
    user.perform(Action::UndoView);
    assert_eq!(user.visible_range(), before);
    assert_eq!(user.model.dashboard.viewport.mode, ViewportMode::Fit);
}

#[test]
fn click_on_a_lane_selects_and_sets_the_cursor() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    user.perform(Action::Mouse(MouseInput { kind: MouseKind::Press, column: 20 + 50, row: 4 + 2, is_zoom: false }));
    let session = user.session.as_ref().expect("has a session");
    let dashboard = &user.model.dashboard;
    assert_eq!(dashboard.selected, Some(task(3)));
    let at = dashboard.viewed_time().expect("a click sets the cursor");
    assert_eq!(at, user.visible_range().1 / 2, "the middle of the lanes");
    assert!(at.abs_diff(S / 2) < 50 * MS, "{at}");
    assert!(matches!(dashboard.state(task(3), &session.trace), Some(TaskState::Waiting(..))), "as it was then");
    assert!(user.perform(Action::Back).is_empty(), "back first clears the cursor");
    let session = user.session.as_ref().expect("has a session");
    assert_eq!(user.model.dashboard.state(task(3), &session.trace), Some(TaskState::Completed), "as it is now");
}

#[test]
fn axis_switches_to_polls_and_back() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    user.perform(Action::GoTo(S / 2));
    user.type_text("a");
    assert_eq!(user.model.dashboard.viewport.axis, Axis::Steps);
    assert_eq!(user.model.dashboard.cursor, None, "a time is not a poll");
    assert_eq!(user.visible_range(), (0, 8));
    user.perform(Action::GoTo(S / 4));
    assert_eq!((user.model.dashboard.viewport.axis, user.model.dashboard.cursor), (Axis::Time, Some(S / 4)));
}

#[test]
fn palette_runs_commands_and_rejects_bad_arguments() {
    let mut user = TestUser::with_session(fake_session::paused_run());
    assert_eq!(user.type_text(":speed 60\n"), [Effect::Command(SessionCommand::SetSpeed(Speed::Factor(60.0)))]);
    assert_eq!(user.type_text(":until 2s\n"), [Effect::Command(SessionCommand::RunUntil(2 * S))]);
    assert!(user.type_text(":until 1ms\n").is_empty() && user.model.notice.is_some(), "that time has passed");
    assert_eq!(user.type_text(":quit\n"), [Effect::Quit]);
    assert!(user.type_text(":speed warp\n").is_empty());
    let Some(Overlay::Prompt(prompt)) = &user.model.overlay else { panic!("the prompt stays open") };
    assert!(prompt.error.as_ref().is_some_and(|error| error.contains("warp")));
}

#[test]
fn hidden_panes_are_not_focused() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    user.perform(Action::NextPane);
    assert_eq!(user.model.dashboard.focus, Pane::Output, "the details are hidden");
    user.perform(Action::Move(Motion::Up));
    assert_eq!(user.model.dashboard.output_scroll, 1);
    for _ in 0..9 {
        user.perform(Action::Move(Motion::Up));
    }
    assert_eq!(user.model.dashboard.output_scroll, 4, "six lines, two of them shown");
    user.perform(Action::NextPane);
    assert_eq!(user.model.dashboard.focus, Pane::Timeline);
}

#[test]
fn form_validates_and_launches_changed_values() {
    let mut user = TestUser::at_picker();
    user.perform(Action::NextPane);
    assert_eq!(user.model.picker.focus, PickerFocus::Form);
    user.perform(Action::DeleteBackward);
    user.type_text("zzz");
    assert!(user.type_text("\n").is_empty(), "an invalid form does not launch");
    let form = user.model.picker.form().expect("the first workload has a form");
    assert!(form.fields[0].error.is_some() && form.focused == 0);
    user.perform(Action::ClearLine);
    user.type_text("7");
    user.perform(Action::Move(Motion::Down));
    user.perform(Action::Move(Motion::Right));
    for _ in 0..3 {
        user.perform(Action::Move(Motion::Down));
    }
    user.type_text("p");
    let effects = user.type_text("\n");
    let [Effect::Launch(launch)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(launch.name, "countasync");
    let values = [("counters".into(), ParamValue::Number(7.0)), ("order".into(), ParamValue::Text("last".into()))];
    assert_eq!(launch.params, values);
    assert_eq!((launch.speed, launch.clock, launch.start_paused), (None, None, true), "only changed values are passed");
}

#[test]
fn picker_searches_titles_and_runs_only_a_match() {
    let mut user = TestUser::at_picker();
    user.type_text("/OTHER\n");
    let chosen = user.model.picker.chosen_manifest(user.launcher.catalog()).map(|manifest| manifest.name.clone());
    assert_eq!(chosen.as_deref(), Some("countsync"), "its title contains `one after the other`");
    user.type_text("/zzz");
    assert!(user.model.picker.chosen_manifest(user.launcher.catalog()).is_none());
    assert!(user.type_text("\n\n").is_empty());
    user.perform(Action::Back);
    assert_eq!(user.model.picker.filter, "");
}

#[test]
fn follow_moves_with_the_run_by_whole_columns() {
    let mut user = TestUser::with_session(fake_session::paused_run());
    user.perform(Action::Follow);
    let width = user.visible_range().1 - user.visible_range().0;
    user.session.as_mut().expect("has a session").status.now = 10 * S;
    let (from, to) = user.visible_range();
    assert_eq!(to - from, width);
    assert!(to > 10 * S && to - 10 * S <= width / 100, "the current time is in the last of 100 columns");
    user.session.as_mut().expect("has a session").status.now += width / 200;
    let moved = user.visible_range().0 - from;
    assert!(moved == 0 || moved == width / 100, "moves by whole columns: {moved}");
}
