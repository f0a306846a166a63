//! Action in, state and effects out.

use loopscope::app::{Action, Effect, Focus, Launch, Launcher, Mode, Mouse, MouseKind, Overlay, Pane, Step};
use loopscope::control::{ClockKind, Command, Speed};
use loopscope::trace::{Axis, State};
use loopscope::workload::manifest::ParamValue;

use crate::person::Person;
use crate::stage::{self, MS, S, task};

#[test]
fn selection_is_by_id_and_survives_a_search() {
    let mut person = Person::watching(stage::crowd(1_000));
    person.does(Action::Move(Step::Last));
    assert_eq!(person.model.dashboard.selected, Some(task(1_000)));
    assert_eq!(person.model.dashboard.top, 990, "the selected row is on the screen");
    person.types("/worker-100\n");
    assert_eq!(person.model.dashboard.selected, Some(task(1_000)), "worker-1000 matches too");
    assert_eq!(person.model.dashboard.top, 0);
    person.does(Action::Move(Step::Up));
    assert_eq!(person.model.dashboard.selected, Some(task(100)), "the row above is the other match");
    person.does(Action::Back);
    assert_eq!(person.model.dashboard.selected, Some(task(100)));
    assert!((90..=99).contains(&person.model.dashboard.top), "its row is on the screen again");
}

#[test]
fn a_search_that_finds_nothing_selects_nothing_and_is_cleared_by_back() {
    let mut person = Person::watching(stage::paused());
    person.types("/nobody\n");
    assert_eq!(person.model.dashboard.selected, None);
    assert!(person.does(Action::ToggleHold).is_empty(), "no task, no command");
    assert!(person.model.notice.is_some(), "and it says why");
    assert!(person.does(Action::Back).is_empty());
    assert_eq!(person.model.dashboard.selected, Some(task(1)));
    assert!(person.does(Action::Back).is_empty(), "a run that goes on is not ended by one key too many");
    assert!(person.model.notice.is_some());
    assert!(person.does(Action::ZoomIn).is_empty() && person.does(Action::Back).is_empty());
    assert_eq!(person.does(Action::Back), [Effect::Leave]);
}

#[test]
fn only_a_script_of_ones_own_is_edited_at_once() {
    let mut person = Person::watching(stage::ended());
    assert!(person.types("e").is_empty(), "nobody here started it");
    assert!(person.model.notice.as_ref().is_some_and(|notice| notice.contains("no script")));
    person.model.launched = Some(Launch::of("countsync"));
    assert_eq!(person.types("e"), [Effect::Edit("countsync".into())]);
    person.model.launched = Some(Launch::of("countasync"));
    assert!(person.types("e").is_empty() && person.types("fe").is_empty(), "it is built in, and was not meant");
    assert_eq!(person.types("e"), [Effect::Edit("countasync".into())]);
    assert_eq!(person.does(Action::Suspend), [Effect::Suspend]);
}

#[test]
fn commands_depend_on_what_the_loop_does_now() {
    let mut person = Person::watching(stage::paused());
    assert_eq!(person.does(Action::TogglePause), [Effect::Command(Command::Resume)]);
    assert_eq!(person.types("s"), [Effect::Command(Command::StepPolls(1))]);
    person.does(Action::Move(Step::Down));
    assert_eq!(person.types("T"), [Effect::Command(Command::StepTo(task(2)))]);
    assert_eq!(person.types("C"), [Effect::Command(Command::Cancel(task(2)))]);
    assert_eq!(person.types("o"), [Effect::Command(Command::Hold(task(2)))]);
    let session = person.session.as_mut().expect("it is watched");
    session.trace.apply(loopscope::trace::Event::Hold { task: task(2), at: 400 * MS });
    assert_eq!(person.types("o"), [Effect::Command(Command::Release(task(2)))]);
    assert_eq!(person.types(">"), [Effect::Command(Command::Speed(Speed::Times(2.0)))]);
    person.session.as_mut().expect("it is watched").status.clock = ClockKind::Real;
    assert!(person.types(">").is_empty() && person.model.notice.is_some(), "the real clock has one speed");

    let mut person = Person::watching(stage::ended());
    assert!(person.types("s").is_empty());
    assert!(person.model.notice.as_ref().is_some_and(|notice| notice.contains("ended")));
    assert!(person.types("r").is_empty(), "nobody here started it");
}

#[test]
fn zoom_keeps_the_place_under_the_pointer_and_undo_goes_back() {
    let mut person = Person::watching(stage::ended());
    let before = person.range();
    let wheel = Mouse { kind: MouseKind::WheelUp, column: 45, row: 5, zooming: true };
    let pointed = |(from, to): (u64, u64)| from + (to - from) * 25 / 100;
    let under = pointed(before);
    person.does(Action::Mouse(wheel));
    let after = person.range();
    assert!(after.1 - after.0 < before.1 - before.0);
    assert!(pointed(after).abs_diff(under) < (after.1 - after.0) / 100, "{under} moved to {}", pointed(after));
    person.does(Action::Move(Step::Right));
    person.does(Action::Move(Step::Right));
    assert_ne!(person.range(), after);
    person.does(Action::UndoView);
    assert_eq!(person.range(), after, "one journey of panning is undone at once");
    person.does(Action::UndoView);
    assert_eq!(person.range(), before);
    assert_eq!(person.model.dashboard.viewport.mode, Mode::Fit);
}

#[test]
fn a_click_on_a_lane_selects_and_looks_back() {
    let mut person = Person::watching(stage::ended());
    person.does(Action::Mouse(Mouse { kind: MouseKind::Press, column: 20 + 50, row: 4 + 2, zooming: false }));
    let session = person.session.as_ref().expect("it is watched");
    let dashboard = &person.model.dashboard;
    assert_eq!(dashboard.selected, Some(task(3)));
    let at = dashboard.looking_at().expect("a click sets the cursor");
    assert_eq!(at, person.range().1 / 2, "the middle of the lanes");
    assert!(at.abs_diff(S / 2) < 50 * MS, "{at}");
    assert!(matches!(dashboard.state(task(3), &session.trace), Some(State::Waiting(..))), "as it was then");
    assert!(person.does(Action::Back).is_empty(), "back first ends the looking back");
    let session = person.session.as_ref().expect("it is watched");
    assert_eq!(person.model.dashboard.state(task(3), &session.trace), Some(State::Done), "as it is now");
}

#[test]
fn the_axis_switches_to_polls_and_back() {
    let mut person = Person::watching(stage::ended());
    person.does(Action::GoTo(S / 2));
    person.types("a");
    assert_eq!(person.model.dashboard.viewport.axis, Axis::Steps);
    assert_eq!(person.model.dashboard.cursor, None, "a time is not a poll");
    assert_eq!(person.range(), (0, 8));
    person.does(Action::GoTo(S / 4));
    assert_eq!((person.model.dashboard.viewport.axis, person.model.dashboard.cursor), (Axis::Time, Some(S / 4)));
}

#[test]
fn the_palette_runs_actions_and_typed_commands_and_says_what_it_did_not_understand() {
    let mut person = Person::watching(stage::paused());
    assert_eq!(person.types(":speed 60\n"), [Effect::Command(Command::Speed(Speed::Times(60.0)))]);
    assert_eq!(person.types(":until 2s\n"), [Effect::Command(Command::RunUntil(2 * S))]);
    assert!(person.types(":until 1ms\n").is_empty() && person.model.notice.is_some(), "that is past");
    assert_eq!(person.types(":quit\n"), [Effect::Quit]);
    assert!(person.types(":speed warp\n").is_empty());
    let Some(Overlay::Prompt(prompt)) = &person.model.overlay else { panic!("the line stays to be mended") };
    assert!(prompt.error.as_ref().is_some_and(|error| error.contains("warp")));
}

#[test]
fn panes_without_room_do_not_get_the_keys() {
    let mut person = Person::watching(stage::ended());
    person.does(Action::NextPane);
    assert_eq!(person.model.dashboard.focus, Pane::Output, "the details are not shown");
    person.does(Action::Move(Step::Up));
    assert_eq!(person.model.dashboard.output_back, 1);
    for _ in 0..9 {
        person.does(Action::Move(Step::Up));
    }
    assert_eq!(person.model.dashboard.output_back, 4, "six lines, two of them shown");
    person.does(Action::NextPane);
    assert_eq!(person.model.dashboard.focus, Pane::Timeline);
}

#[test]
fn the_form_checks_what_is_typed_and_launches_what_it_says() {
    let mut person = Person::choosing();
    person.does(Action::NextPane);
    assert_eq!(person.model.picker.focus, Focus::Form);
    person.does(Action::EraseBack);
    person.types("zzz");
    assert!(person.types("\n").is_empty(), "what is wrong does not run");
    let form = person.model.picker.form().expect("the first workload has a form");
    assert!(form.entries[0].error.is_some() && form.chosen == 0);
    person.does(Action::EraseLine);
    person.types("7");
    person.does(Action::Move(Step::Down));
    person.does(Action::Move(Step::Right));
    for _ in 0..3 {
        person.does(Action::Move(Step::Down));
    }
    person.types("p");
    let effects = person.types("\n");
    let [Effect::Launch(launch)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(launch.name, "countasync");
    let values = [("counters".into(), ParamValue::Number(7.0)), ("order".into(), ParamValue::Text("last".into()))];
    assert_eq!(launch.values, values);
    assert_eq!((launch.speed, launch.clock, launch.paused), (None, None, true), "only what was changed is said");
}

#[test]
fn the_picker_searches_titles_and_runs_nothing_where_nothing_matches() {
    let mut person = Person::choosing();
    person.types("/OTHER\n");
    let chosen = person.model.picker.manifest(person.stage.catalog()).map(|manifest| manifest.name.clone());
    assert_eq!(chosen.as_deref(), Some("countsync"), "`one after the other` is its title");
    person.types("/zzz");
    assert!(person.model.picker.manifest(person.stage.catalog()).is_none());
    assert!(person.types("\n\n").is_empty());
    person.does(Action::Back);
    assert_eq!(person.model.picker.filter, "");
}

#[test]
fn following_live_moves_with_the_run() {
    let mut person = Person::watching(stage::paused());
    person.does(Action::Follow);
    let width = person.range().1 - person.range().0;
    person.session.as_mut().expect("it is watched").status.now = 10 * S;
    let (from, to) = person.range();
    assert_eq!(to - from, width);
    assert!(to > 10 * S && to - 10 * S <= width / 100, "now is in the last of a hundred columns");
    person.session.as_mut().expect("it is watched").status.now += width / 200;
    let moved = person.range().0 - from;
    assert!(moved == 0 || moved == width / 100, "it moves by whole columns: {moved}");
}
