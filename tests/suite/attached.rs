//! Somebody else's programs on the screen: how the link stands, what is sampled, and what can be driven.

use loopscope::app::{Action, Effect, Session};
use loopscope::control::{Command, Link, LinkState, Outcome, Phase, Steering};
use loopscope::trace::{Axis, Counts, Event, Measured};

use crate::foreign::{attached, executed, service};
use crate::person::Person;
use crate::snapshot::{assert_snapshot, text};
use crate::stage::{S, task};
use crate::view::{ANSI, ASCII, MONO, screen};

const LINKS: [(&str, LinkState, &str); 5] = [
    ("connecting", LinkState::Connecting, ""),
    ("waiting", LinkState::Waiting, ""),
    ("live", LinkState::Live, ""),
    ("retrying", LinkState::Retrying { attempts: 4, wait_ms: 2_400 }, "connection refused"),
    ("lost", LinkState::Lost, "the program closed the connection"),
];

/// From the first frame on, whatever the size, the screen says how it stands and why there is nothing to see.
#[test]
fn the_screen_is_never_blank_and_says_how_the_link_stands() {
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
    assert!(retrying.contains("retrying in 3 s (attempt 4; R retries now): connection refused"), "{retrying}");
    assert!(retrying.contains(" R retry now"), "the footer offers it: {retrying}");
    let mut over = executed();
    over.status.link = Some(Link { state: LinkState::Lost, note: String::new() });
    over.status.phase = Phase::Ended;
    let over = text(&screen(Some(&over), &ANSI, (200, 24), &[]));
    assert!(!over.contains("retry now"), "an app that we started is not reached again: {over}");
    assert!(!over.contains(" edit"), "it has no script: {over}");
}

#[test]
fn what_was_lost_keeps_its_picture() {
    let mut session = service();
    session.status.link = Some(Link { state: LinkState::Lost, note: "it was closed".into() });
    session.status.phase = Phase::Ended;
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[]));
    assert!(shown.contains(" LOST ") && shown.contains("it was closed") && shown.contains("lock-waiter"), "{shown}");
    assert!(shown.contains("128 FACTS LOST"), "what the program itself dropped is counted: {shown}");
}

#[test]
fn sampled_lanes_are_drawn_as_shares_at_every_size() {
    let session = service();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        assert_snapshot(&format!("sampled-{width}x{height}"), &screen(Some(&session), &ANSI, (width, height), &[]));
    }
    assert_snapshot("sampled-ascii", &screen(Some(&session), &ASCII, (120, 40), &[]));
    assert_snapshot("sampled-mono", &screen(Some(&session), &MONO, (80, 24), &[]));
}

/// No lane of sums has the mark of a poll, but where one was seen.
#[test]
fn a_busy_sampled_task_has_no_mark_of_a_poll() {
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
    assert!(lane("acceptor").contains('▌'), "its only poll of each second was seen: {}", lane("acceptor"));
    assert!(lane("lock-waiter").contains("╌╌╌"), "{}", lane("lock-waiter"));
    assert!(lane("queued").contains('┃'), "{}", lane("queued"));
    assert!(lane("quick").contains('┈'), "nothing is told of the time since the last update: {}", lane("quick"));
    assert!(shown.contains("sampled"), "{shown}");
}

#[test]
fn a_sampled_trace_has_no_axis_of_polls_and_says_so() {
    let mut person = Person::watching(service());
    assert!(person.types("a").is_empty());
    assert_eq!(person.model.dashboard.viewport.axis, Axis::Time);
    assert!(person.notice().contains("sampled"), "{}", person.notice());
}

/// What is not ours is not stopped: the picture is.
#[test]
fn space_freezes_the_picture_while_the_trace_goes_on() {
    let size = (120, 40);
    let mut session = service();
    session.trace.apply(Event::Now { at: 8 * S });
    let mut person = Person::watching(session);
    assert!(person.types(" ").is_empty(), "no command is given");
    let lanes = |person: &Person| {
        let shown = text(&person.screen(&ANSI, size));
        let rows = shown.lines().skip(4).take(8).map(|line| line.chars().take(80).collect::<String>());
        rows.collect::<Vec<_>>()
    };
    let before = lanes(&person);
    let shown = text(&person.screen(&ANSI, size));
    assert!(shown.contains(" FROZEN ") && shown.contains("space go on"), "{shown}");
    let session = person.session.as_mut().expect("it is watched");
    session.trace.apply(crate::stage::spawn(task(8), "newcomer", None, 9 * S));
    session.trace.apply(Event::Now { at: 60 * S });
    session.status.now = 60 * S;
    person.refresh();
    assert_eq!(lanes(&person), before, "the picture stays");
    person.types(" ");
    let shown = text(&person.screen(&ANSI, size));
    assert!(shown.contains("newcomer") && !shown.contains("FROZEN"), "and goes on: {shown}");
    person.types(" ");
    assert!(person.model.dashboard.frozen.is_some());
    person.does(Action::Back);
    assert!(person.model.dashboard.frozen.is_none(), "esc lets it go on too");
}

#[test]
fn keys_that_drive_a_loop_say_why_they_do_not_here() {
    let mut person = Person::watching(service());
    for key in ["s", "t", "T", "o", "<", ">", "m", "z"] {
        assert!(person.types(key).is_empty(), "{key}");
        assert!(person.notice().contains("not ours") || person.notice().contains("did not start"), "{key}");
    }
    assert!(person.types("R").is_empty() && person.notice().contains("connected"));
    let shown = text(&person.screen(&ANSI, (200, 60)));
    let footer = shown.lines().last().unwrap_or_default();
    for absent in ["step", "hold", "slower", "run again", "stop process", "retry"] {
        assert!(!footer.contains(absent), "{absent}: {footer}");
    }
}

#[test]
fn the_process_that_was_started_is_stopped_as_a_whole_and_that_is_said() {
    let mut person = Person::watching(executed());
    assert_eq!(person.types("z"), [Effect::Command(Command::Freeze(true))]);
    let session = person.session.as_mut().expect("it is watched");
    session.command(Command::Freeze(true));
    session.status.phase = Phase::Paused;
    let shown = text(&person.screen(&ANSI, (120, 40)));
    assert!(shown.contains(" PROCESS STOPPED ") && shown.contains("z lets it go on"), "{shown}");
    assert_eq!(person.types("z"), [Effect::Command(Command::Freeze(false))]);
    assert!(person.types(" ").is_empty() && person.model.dashboard.frozen.is_some(), "space is the picture's");
}

/// A retry is asked for only where there is something to reach.
#[test]
fn a_retry_is_a_command() {
    let mut person = Person::watching(attached(LinkState::Retrying { attempts: 1, wait_ms: 1 }, ""));
    assert_eq!(person.types("R"), [Effect::Command(Command::Retry)]);
}

/// What the program's console keeps of the selected task: wakers, the times that it was ready, both histograms.
#[test]
fn the_details_have_what_a_console_keeps() {
    let mut person = Person::watching(service());
    person.types("jj");
    let shown = person.screen(&ANSI, (120, 60));
    assert_snapshot("sampled-details", &shown);
    let shown = text(&shown);
    for said in ["wakers     1 alive of 400 made", "800 polls by length", "340 waits for its turn", "up to 3 s"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(!shown.contains("no waker"), "{shown}");
    assert!(!shown.contains("by the runtime"), "who spawned it, a console does not tell: {shown}");
    let session = person.session.as_mut().expect("it is watched");
    let measured = Measured { polls: 50, waker_clones: 3, waker_drops: 3, ..Measured::default() };
    session.trace.apply(Event::Measured { task: task(5), at: 9 * S, measured: Box::new(measured) });
    person.types("jj");
    person.refresh();
    assert!(text(&person.screen(&ANSI, (120, 60))).contains("no waker of it is left"), "nothing can wake it");
}

/// The wire counts wakes and tells the time of the last, and never who woke.
#[test]
fn a_task_whose_wakes_are_only_counted_is_not_said_to_have_none() {
    let mut person = Person::watching(service());
    let session = person.session.as_mut().expect("it is watched");
    let counts = Counts { wakes: 3, ..Counts::default() };
    session.trace.apply(Event::Counted { task: task(1), counts });
    session.trace.apply(Event::Sampled { task: task(1), polled: None, woken: Some(7 * S) });
    person.refresh();
    let shown = text(&person.screen(&ANSI, (120, 60)));
    assert!(shown.contains("at 7 s") && shown.contains("by whom, nobody tells"), "{shown}");
    assert!(!shown.contains("never yet"), "{shown}");
}

/// A process whose end is known was not lost: it went, and nothing is left to stop.
#[test]
fn a_process_that_ended_is_not_called_lost() {
    let mut session = executed();
    session.status.link = Some(Link { state: LinkState::Lost, note: String::new() });
    session.status.phase = Phase::Ended;
    session.status.steering = Steering::Nothing;
    session.status.outcome = Some(Outcome::Completed(serde_json::Value::Null));
    let mut person = Person::watching(session);
    let shown = text(&person.screen(&ANSI, (120, 40)));
    assert!(shown.contains(" ENDED ") && shown.contains("completed after") && !shown.contains("LOST"), "{shown}");
    assert!(person.types("z").is_empty() && person.notice().contains("has ended"), "{}", person.notice());
}
