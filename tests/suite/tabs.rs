//! Several sessions in the real frame loop: a tab each.

use std::rc::Rc;

use loopscope::app::{Action, Input, Mouse, MouseKind, Session, Standing, Tab, Tabs};
use loopscope::control::{Command, Link, LinkState, Phase};
use loopscope::terminal::Finish;
use loopscope::trace::Event;

use crate::foreign::{attached, service};
use crate::person::Person;
use crate::snapshot::assert_snapshot;
use crate::stage::{Commands, Played, S, Stage, spawn, task};
use crate::terminal::Desk;
use crate::view::{ANSI, ASCII};

/// A program called `name` with one task called after it.
fn program(name: &str) -> Played {
    let mut session = attached(LinkState::Live, "");
    session.status.name = name.into();
    session.trace.apply(spawn(task(1), &format!("{name}-main"), None, 0));
    session.trace.apply(spawn(task(2), &format!("{name}-other"), None, 0));
    session
}

fn lost(name: &str, successor: Option<Played>) -> Played {
    let mut session = program(name);
    session.status.link = Some(Link { state: LinkState::Lost, note: "it was closed".into() });
    session.successor = successor.map(Box::new);
    session
}

/// One program has no bar, two have one, and each keeps what was done to it.
#[test]
fn each_tab_keeps_what_was_done_to_it() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.frames.open(Box::new(program("api")));
    desk.turn();
    assert!(!desk.screen().contains(" 1 "), "{}", desk.screen());
    desk.frames.open(Box::new(program("worker")));
    desk.turn();
    let top = desk.screen().lines().next().unwrap_or_default().to_owned();
    assert!(top.contains(" 1 █ api") && top.contains(" 2 █ worker"), "{top}");
    assert!(desk.screen().contains("api-main"), "the first one is shown");
    desk.types("j2");
    assert!(desk.screen().contains("▸░ worker-main"), "{}", desk.screen());
    desk.types("/other\n}");
    assert!(desk.screen().contains("▸░ api-other"), "as it was left: {}", desk.screen());
    desk.types("{");
    assert!(desk.screen().contains("tasks 1 of 2 with `other`"), "{}", desk.screen());
    desk.types("7");
    assert!(desk.screen().contains("there are 2 tabs"), "{}", desk.screen());
    let press = Mouse { kind: MouseKind::Press, column: 3, row: 0, zooming: false };
    desk.keyboard.send(Input::Mouse(press)).expect("the loop listens");
    desk.turn();
    assert!(desk.screen().contains("▸░ api-other"), "a click on a tab shows it: {}", desk.screen());
}

#[test]
fn sessions_that_are_not_shown_are_taken_in_too() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.frames.open(Box::new(program("api")));
    let mut behind = program("worker");
    behind.coming = vec![spawn(task(3), "late", None, S)];
    desk.frames.open(Box::new(behind));
    desk.turn();
    let frames = desk.frames.drawn();
    desk.turn();
    assert_eq!(desk.frames.drawn(), frames, "nothing of it is on the screen");
    desk.types("2");
    assert!(desk.screen().contains("late"), "{}", desk.screen());
}

/// Whoever looks at the lost program is led to the new one; whoever looks elsewhere is not torn away.
#[test]
fn a_program_that_comes_back_is_a_tab_of_its_own() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.frames.open(Box::new(lost("api", Some(program("api-again")))));
    desk.turn();
    assert!(desk.screen().contains("api-again-main"), "{}", desk.screen());
    let top = desk.screen().lines().next().unwrap_or_default().to_owned();
    assert!(top.contains(" 1 ✗ api") && top.contains(" 2 █ api-again") && !top.contains("NEW"), "{top}");
    desk.types("1");
    assert!(desk.screen().contains("api-main") && desk.screen().contains("LOST"), "its picture is kept");

    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.frames.open(Box::new(program("worker")));
    desk.frames.open(Box::new(lost("api", Some(program("api-again")))));
    desk.frames.open(Box::new(program("last")));
    desk.turn();
    let top = desk.screen().lines().next().unwrap_or_default().to_owned();
    assert!(desk.screen().contains("worker-main") && top.contains("api-again NEW"), "{}", desk.screen());
    assert!(top.find("api-again") < top.find("last"), "beside the old one: {top}");
    desk.types("3");
    assert!(!desk.screen().contains("NEW") && desk.screen().contains("api-again-main"), "{}", desk.screen());
}

#[test]
fn a_program_that_comes_and_goes_does_not_fill_the_bar_without_end() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    let last = (0..40).fold(program("run-40"), |next, index| lost(&format!("run-{}", 39 - index), Some(next)));
    desk.frames.open(Box::new(last));
    desk.turn();
    desk.types(":tab 99\n");
    assert!(desk.screen().contains("there are 16 tabs"), "{}", desk.screen());
    assert!(desk.screen().contains("run-40-main"), "{}", desk.screen());
}

#[test]
fn a_tab_is_closed_and_its_neighbour_is_shown() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    let commands = Commands::default();
    let mut first = program("api");
    first.commands = Rc::clone(&commands);
    desk.frames.open(Box::new(first));
    desk.frames.open(Box::new(program("worker")));
    desk.turn();
    assert_eq!(desk.types("x"), None);
    assert_eq!(*commands.borrow(), [Command::Select(task(1)), Command::Quit]);
    assert!(desk.screen().contains("worker-main") && !desk.screen().contains("api"), "{}", desk.screen());
    desk.types("x");
    assert!(desk.screen().contains("this is the only tab"), "{}", desk.screen());
    assert_eq!(desk.types("q"), Some(Finish::Quit));
}

/// What runs because of us is not ended by one key too many.
#[test]
fn a_run_in_a_tab_is_closed_at_the_second_asking() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    desk.frames.open(Box::new(crate::stage::paused()));
    desk.frames.open(Box::new(program("worker")));
    desk.types("x");
    assert!(desk.screen().contains("x again ends what runs"), "{}", desk.screen());
    desk.types("j");
    desk.types("x");
    assert!(desk.screen().contains("count-1"), "only at once: {}", desk.screen());
    desk.types("x");
    assert!(desk.screen().contains("worker-main"), "{}", desk.screen());
}

/// The session is told whom the person looks at, once a selection.
#[test]
fn what_is_selected_is_told_to_who_tells_more_of_it() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    let commands = Commands::default();
    let mut session = program("api");
    session.commands = Rc::clone(&commands);
    desk.frames.open(Box::new(session));
    desk.turn();
    desk.types("j");
    desk.types("j");
    desk.turn();
    assert_eq!(*commands.borrow(), [Command::Select(task(1)), Command::Select(task(2))]);
}

/// The countdown of a retry is drawn as it counts, and not more often.
#[test]
fn a_countdown_is_drawn_once_a_second() {
    let mut stage = Stage::default();
    let mut desk = Desk::new(&mut stage);
    let waiting = |wait_ms| {
        let mut session = attached(LinkState::Retrying { attempts: 2, wait_ms }, "refused");
        session.status.phase = Phase::Running;
        session
    };
    desk.frames.watch(Box::new(waiting(2_900)), None);
    desk.turn();
    assert!(desk.screen().contains("retrying in 3 s (attempt 2; R retries now): refused"), "{}", desk.screen());
    let frames = desk.frames.drawn();
    desk.turn();
    assert_eq!(desk.frames.drawn(), frames);
}

/// A person with three tabs, of which the first is shown.
fn person() -> Person {
    let mut session = service();
    session.trace.apply(Event::Now { at: 9 * S });
    let mut person = Person::watching(session);
    let tab = |name: &str, standing, is_new| Tab { name: name.into(), standing, is_new };
    let name = person.session.as_ref().map(|session| session.status().name).unwrap_or_default();
    let all = vec![
        tab(&name, Standing::Live, false),
        tab("unix:/run/worker.sock", Standing::Lost, false),
        tab("unix:/run/worker.sock", Standing::Reaching, true),
    ];
    person.model.tabs = Tabs { all, shown: 0 };
    person
}

#[test]
fn the_bar_at_every_size() {
    let person = person();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        assert_snapshot(&format!("tabs-{width}x{height}"), &person.screen(&ANSI, (width, height)));
    }
    assert_snapshot("tabs-ascii", &person.screen(&ASCII, (80, 24)));
}

#[test]
fn the_number_of_a_tab_is_typed_or_pressed() {
    let mut person = person();
    assert_eq!(person.types("2"), [loopscope::app::Effect::ShowTab(1)]);
    assert_eq!(person.types(":tab 3\n"), [loopscope::app::Effect::ShowTab(2)]);
    assert_eq!(person.does(Action::PreviousTab), [loopscope::app::Effect::ShowTab(2)]);
    assert!(person.types("1").is_empty(), "it is shown already");
    assert!(person.types("9").is_empty() && person.notice().contains("3 tabs"));
}
