//! The pages beside the timeline: what they show, and where they lead.

use loopscope::app::columns::COLUMNS;
use loopscope::app::{Action, Mouse, MouseKind, Order, Page, Step, Tasks};
use loopscope::control::{Link, LinkState, Phase};
use loopscope::trace::{
    AwaitId, AwaitKind, Cause, Event, PauseCause, Resource, ResourceId, ResourceKind, SiteId, State, TaskId,
};

use crate::foreign::service;
use crate::person::Person;
use crate::snapshot::{assert_snapshot, text};
use crate::stage::{self, MS, Played, S, site, spawn, task};
use crate::view::{ANSI, ASCII, MONO, screen};

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 10)];

/// The counting, over, with a lock that one of its tasks holds while another waits, and a blocked loop to find.
fn busy() -> Played {
    let mut session = stage::zoo();
    let lock = ResourceId::from_index(0);
    for (index, name) in ["mutex-1", "mutex-2"].into_iter().enumerate() {
        let described = Resource { kind: ResourceKind::Lock, name: name.into(), location: None, size: 0 };
        let resource = ResourceId::from_index(index);
        session.trace.apply(Event::Resource { resource, at: 0, described: Box::new(described) });
    }
    session.trace.apply(Event::ResourceEnd { resource: ResourceId::from_index(1), at: S });
    session.trace.apply(Event::Acquire { resource: lock, task: task(5), at: S });
    session.trace.apply(site(8, AwaitKind::Sync, "lock", 4));
    session.trace.apply(Event::AwaitStart {
        id: AwaitId::from_index(8),
        task: task(8),
        at: S,
        site: SiteId::from_index(8),
    });
    session.trace.apply(Event::AwaitOf { id: AwaitId::from_index(8), resource: lock });
    for index in 0..12 {
        let cause = if index % 3 == 0 { Cause::Task(task(1)) } else { Cause::Driver };
        session.trace.apply(Event::Wake { task: task(8), at: 2 * S + index * 50 * MS, cause });
    }
    session
}

fn pages() -> impl Iterator<Item = Page> {
    Page::ALL.into_iter().filter(|page| *page != Page::Timeline)
}

#[test]
fn every_page_at_every_size() {
    for page in pages() {
        let mut session = busy();
        session.status.phase = Phase::Running;
        let actions = [Action::Move(Step::Last), Action::ShowPage(page)];
        for (width, height) in SIZES {
            let shown = screen(Some(&session), &ANSI, (width, height), &actions);
            assert_snapshot(&format!("page-{}-{width}x{height}", page.name()), &shown);
        }
        assert!(text(&screen(Some(&session), &ASCII, (120, 40), &actions)).is_ascii());
        screen(Some(&session), &MONO, (10, 5), &actions);
        screen(Some(&stage::played(Vec::new(), Phase::Running)), &ANSI, (80, 24), &actions);
    }
    assert_snapshot("page-tasks-ascii", &screen(Some(&busy()), &ASCII, (80, 24), &[Action::ShowPage(Page::Tasks)]));
}

#[test]
fn pages_follow_one_another_and_esc_goes_back_to_the_timeline() {
    let mut person = Person::watching(busy());
    for page in pages() {
        person.types("p");
        assert_eq!(person.model.dashboard.page, page);
    }
    person.types("p");
    assert_eq!(person.model.dashboard.page, Page::Timeline);
    person.types("P");
    assert_eq!(person.model.dashboard.page, Page::Log);
    assert!(person.types("f").is_empty() && person.notice().contains("timeline"), "what would not be seen is not done");
    person.does(Action::Back);
    assert_eq!(person.model.dashboard.page, Page::Timeline);
    person.types(":page wakes\n");
    assert_eq!(person.model.dashboard.page, Page::Wakes);
    person.types(":page nowhere\n");
    assert!(person.model.overlay.is_some(), "what is no page stays to be mended");
}

/// The order of the rows by a column, as a list of task numbers.
fn rows(person: &Person) -> Vec<usize> {
    let (dashboard, session) = (&person.model.dashboard, person.session.as_ref().expect("it is watched"));
    let count = dashboard.rows.count(&session.trace);
    (0..count).filter_map(|row| dashboard.rows.get(row, &session.trace)).map(|id| id.index() + 1).collect()
}

#[test]
fn tasks_stand_in_the_order_of_any_column_both_ways_on_every_page() {
    let mut person = Person::watching(service());
    assert_eq!(rows(&person), [1, 2, 3, 4, 5, 6, 7]);
    person.types("jj:sort polls\n");
    assert_eq!(rows(&person), [7, 2, 3, 1, 6, 4, 5], "most polls first");
    assert_eq!(person.model.dashboard.selected, Some(task(3)), "the selection is by id");
    person.types("I");
    assert_eq!(rows(&person), [5, 4, 6, 1, 3, 2, 7]);
    person.types(":sort busy\n");
    assert_eq!(rows(&person)[..2], [2, 3], "the busiest first");
    person.types(":sort task\n");
    assert_eq!(rows(&person), [1, 2, 6, 4, 5, 3, 7], "names from the first letter");
    person.types("/lock\n");
    assert_eq!(rows(&person), [4, 5], "in order and filtered");
    person.does(Action::Back);
    person.types(":sort id\n");
    assert_eq!(rows(&person), [1, 2, 3, 4, 5, 6, 7]);
    person.types("S");
    assert_eq!(person.model.dashboard.rows.order(), Order::by(1));
    person.types(":sort nothing\n");
    assert!(person.model.overlay.is_some());
}

/// Each order is what sorting by that column's key gives, and every task has its row.
#[test]
fn every_order_has_every_task_once() {
    let mut person = Person::watching(service());
    for (index, column) in COLUMNS.iter().enumerate() {
        person.does(Action::SortBy(index));
        let mut rows = rows(&person);
        let session = person.session.as_ref().expect("it is watched");
        for (row, number) in rows.iter().enumerate() {
            let found = person.model.dashboard.rows.row_of(task(*number), &session.trace);
            assert_eq!(found, Some(row), "{}", column.title);
        }
        rows.sort_unstable();
        assert_eq!(rows, [1, 2, 3, 4, 5, 6, 7], "{}", column.title);
    }
}

#[test]
fn the_order_follows_what_happens_and_what_is_new_comes_in() {
    let mut person = Person::watching(stage::crowd(5));
    person.types(":sort polls\n");
    let session = person.session.as_mut().expect("it is watched");
    session.trace.apply(spawn(task(6), "late", None, 10));
    for at in 10..14 {
        session.trace.apply(Event::PollStart { task: task(6), at });
        session.trace.apply(Event::PollEnd { task: task(6), at });
    }
    person.refresh();
    assert_eq!(rows(&person), [6, 1, 2, 3, 4, 5]);
}

/// A frame of a sorted table over 100,000 tasks formats what is on the screen, and does not sort each time.
#[test]
fn a_sorted_crowd_costs_what_the_screen_costs() {
    let quickest = |tasks: usize| {
        let mut person = Person::watching(stage::crowd(tasks));
        person.types(":sort task\n:page tasks\n");
        let frames = (0..20).map(|turn| {
            let session = person.session.as_mut().expect("it is watched");
            session.trace.apply(Event::Now { at: 1_000_000 + turn });
            let start = std::time::Instant::now();
            person.refresh();
            person.screen(&ANSI, (120, 40));
            start.elapsed()
        });
        frames.min().unwrap_or_default()
    };
    let (few, many) = (quickest(100), quickest(100_000));
    assert!(many < few * 10, "{few:?} for 100 tasks, {many:?} for 100,000");
}

/// Looks at the screen until nothing is left to do for it, and says how many that took.
fn settle(person: &mut Person) -> usize {
    for looks in 0..10_000 {
        if !person.model.is_behind(person.session.as_ref().map(|session| session as _)) {
            return looks;
        }
        person.refresh();
    }
    panic!("it never comes to an end");
}

/// However many tasks there are, one look puts no more than so many of them in order; meanwhile every one has its row.
#[test]
fn a_large_crowd_is_put_in_order_and_searched_over_many_frames() {
    const TASKS: usize = 100_000;
    let mut person = Person::watching(stage::crowd(TASKS));
    person.types("jj:sort spawned\n");
    assert!(person.model.dashboard.rows.is_awaited(), "not all of them at once");
    let every = |person: &Person| {
        let mut rows = rows(person);
        rows.sort_unstable();
        rows.dedup();
        rows.len()
    };
    assert_eq!(every(&person), TASKS, "the order before is shown");
    assert!(text(&person.screen(&ANSI, (120, 40))).contains("by spawned ↓…"), "and that it is not the one asked for");
    let looks = settle(&mut person);
    assert!((3..40).contains(&looks), "{looks} looks");
    assert!(!person.model.dashboard.rows.is_awaited());
    person.types(":sort polls\n:sort polls\n");
    settle(&mut person);
    assert_eq!(rows(&person), (1..=TASKS).collect::<Vec<_>>(), "alike tasks stand in order of spawning");
    person.types(":sort task\n");
    settle(&mut person);
    let mut names: Vec<(String, usize)> = (1..=TASKS).map(|number| (format!("worker-{number}"), number)).collect();
    names.sort_unstable();
    assert!(rows(&person).iter().eq(names.iter().map(|(_, number)| number)));
    assert_eq!(person.model.dashboard.selected, Some(task(3)), "the selection is by id");
    let top = person.model.dashboard.top;
    let row = person.model.dashboard.rows.row_of(task(3), &person.session.as_ref().expect("it is watched").trace);
    assert!(row.is_some_and(|row| (top..top + 40).contains(&row)), "and on the screen: {row:?} from {top}");
    // A search finds the first at once, and the last a little later.
    person.types("/-99999\n");
    assert_eq!((rows(&person), person.model.dashboard.rows.is_awaited()), (vec![], true));
    assert!(settle(&mut person) >= 3);
    assert_eq!(rows(&person), [99_999]);
    person.does(Action::Back);
    person.types("/worker-7\n");
    assert!(rows(&person).len() > 1_000 && rows(&person).len() < 11_111, "what was found so far");
    settle(&mut person);
    assert_eq!(rows(&person).len(), 11_111);
}

/// What is selected stays so while it is not yet known whether it has a row.
#[test]
fn a_search_over_many_frames_keeps_the_selection_if_that_is_found() {
    let mut person = Person::watching(stage::crowd(100_000));
    person.does(Action::Move(Step::Last));
    assert_eq!(person.model.dashboard.selected, Some(task(100_000)));
    person.types("/worker-1\n");
    assert_eq!(person.model.dashboard.selected, Some(task(100_000)));
    settle(&mut person);
    assert_eq!(person.model.dashboard.selected, Some(task(100_000)));
    person.does(Action::Back);
    person.types("/worker-2\n");
    settle(&mut person);
    assert_eq!(person.model.dashboard.selected, Some(task(2)), "and else the first that is");
}

/// Rows of tasks that are forgotten go, whatever the rows are in order by, and the others stay where they can be reached.
#[test]
fn rows_of_forgotten_tasks_go() {
    let mut session = stage::crowd(0);
    session.trace = loopscope::trace::Trace::with_budget(1 << 20);
    crate::trace::site(&mut session.trace);
    let mut person = Person::watching(session);
    person.types(":sort busy\n:page tasks\n");
    let mut awaits = 0;
    for round in 0..10 {
        let session = person.session.as_mut().expect("it is watched");
        crate::trace::storm(&mut session.trace, 1_000, &mut awaits, false);
        person.refresh();
        if round == 0 {
            person.model.dashboard.details_top = 3;
        }
    }
    settle(&mut person);
    assert_eq!(person.model.dashboard.details_top, 0, "whose details these were is forgotten");
    let trace = &person.session.as_ref().expect("it is watched").trace;
    assert!(trace.forgotten().tasks > 5_000);
    let kept: Vec<usize> = trace.tasks().iter().map(|task| task.id.index() + 1).collect();
    let mut shown = rows(&person);
    shown.sort_unstable();
    assert_eq!(kept, shown);
    let screen = text(&person.screen(&ANSI, (200, 60)));
    assert!(screen.contains("TASKS") && screen.contains("of them forgotten"), "{screen}");
    let [first, .., last] = kept[..] else { panic!("some are kept") };
    person.types(":sort id\n");
    person.does(Action::Move(Step::First));
    assert_eq!(person.model.dashboard.selected, Some(task(first)));
    person.does(Action::Move(Step::Last));
    assert_eq!(person.model.dashboard.selected, Some(task(last)));
    person.types("k");
    assert_eq!(person.model.dashboard.selected, Some(task(last - 1)));
    // What is selected stays where it is on the screen while rows above it go, and the screen stays full.
    let place = |person: &Person| {
        let (dashboard, trace) = (&person.model.dashboard, &person.session.as_ref().expect("it is watched").trace);
        let row = dashboard.selected.and_then(|id| dashboard.rows.row_of(id, trace));
        (dashboard.selected, row.map(|row| row - dashboard.top))
    };
    person.refresh();
    let before = place(&person);
    let session = person.session.as_mut().expect("it is watched");
    crate::trace::storm(&mut session.trace, 100, &mut awaits, false);
    person.refresh();
    assert_eq!(place(&person), before);
    let (dashboard, trace) = (&person.model.dashboard, &person.session.as_ref().expect("it is watched").trace);
    assert!(dashboard.rows.count(trace) - dashboard.top >= 20, "the screen is full");
}

/// Who has and who waits for a hundred thousand resources is gathered over many looks.
#[test]
fn a_multitude_of_resources_is_gathered_over_many_frames() {
    const RESOURCES: usize = 60_000;
    let mut session = stage::crowd(100);
    session.trace.apply(site(0, AwaitKind::Sync, "lock", 4));
    for index in 0..RESOURCES {
        let (resource, id) = (ResourceId::from_index(index), AwaitId::from_index(index));
        let described = Resource { kind: ResourceKind::Lock, name: "lock".into(), location: None, size: 0 };
        session.trace.apply(Event::Resource { resource, at: S, described: Box::new(described) });
        session.trace.apply(Event::Acquire { resource, task: task(1 + index % 50), at: S });
        let waits = task(51 + index % 50);
        session.trace.apply(Event::AwaitStart { id, task: waits, at: S, site: SiteId::from_index(0) });
        session.trace.apply(Event::AwaitOf { id, resource });
        if index % 2 == 1 {
            session.trace.apply(Event::ResourceEnd { resource, at: S + index as u64 });
        }
    }
    let mut person = Person::watching(session);
    person.types(":page resources\n");
    assert!(person.model.dashboard.sharing.listed.is_empty(), "not all of it at once");
    assert!(settle(&mut person) >= 3);
    let sharing = &person.model.dashboard.sharing;
    assert_eq!((sharing.alive, sharing.unlisted, sharing.listed.len()), (30_000, 3_596, 30_500));
    assert_eq!(sharing.listed[30_000], ResourceId::from_index(RESOURCES - 1), "the newest that is gone");
    for index in (0..RESOURCES).step_by(997) {
        let resource = ResourceId::from_index(index);
        let named = |tasks: Option<&Tasks>| tasks.map(|tasks| (tasks.named.clone(), tasks.count));
        assert_eq!(named(sharing.holders(resource)), Some((vec![task(1 + index % 50)], 1)), "{index}");
        assert_eq!(named(sharing.waiters(resource)), Some((vec![task(51 + index % 50)], 1)), "{index}");
    }
}

/// A long run that ends is answered for while its findings are looked for.
#[test]
fn findings_of_a_long_run_are_looked_for_over_many_frames() {
    let mut session = stage::crowd(100_000);
    session.status.phase = Phase::Ended;
    let mut person = Person::watching(session);
    assert!(person.model.findings.is_none() && person.model.is_searching(), "not at once");
    person.types(":page findings\n");
    assert!(text(&person.screen(&ANSI, (120, 40))).contains("still looking"));
    assert!(settle(&mut person) >= 5);
    assert!(person.model.findings.is_some());
    let mut few = stage::crowd(10);
    few.status.phase = Phase::Ended;
    assert!(Person::watching(few).model.findings.is_some(), "a short one has them in its first frame");
}

#[test]
fn a_click_on_a_title_sorts_by_it() {
    let mut person = Person::watching(service());
    person.types(":page tasks\n");
    let shown = text(&person.screen(&ANSI, (120, 40)));
    let titles = shown.lines().nth(3).unwrap_or_default();
    let column = titles.find("state").map(|byte| titles[..byte].chars().count()).expect("the title is shown");
    let press = Mouse { kind: MouseKind::Press, column: column as u16, row: 3, zooming: false };
    person.does_at(Action::Mouse(press), (120, 40));
    let state = COLUMNS.iter().position(|column| column.title == "state").expect("there is such a column");
    assert_eq!(person.model.dashboard.rows.order(), Order::by(state));
    assert!(text(&person.screen(&ANSI, (120, 40))).contains("by state ↑"));
}

#[test]
fn the_table_shows_its_other_columns_when_it_is_scrolled() {
    let mut person = Person::watching(service());
    person.types(":page tasks\n");
    assert!(!text(&person.screen(&ANSI, (80, 24))).contains("place"));
    for _ in 0..COLUMNS.len() {
        person.types("l");
    }
    let shown = text(&person.screen(&ANSI, (80, 24)));
    assert!(shown.contains("place") && shown.contains("countasync.lua:12") && shown.contains("acceptor"), "{shown}");
}

/// What is looked back to is shown as it was then, and counts that have no history are not made up.
#[test]
fn the_table_looks_back_in_time() {
    let mut session = stage::ended();
    session.status.now = S;
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(S / 2), Action::ShowPage(Page::Tasks)]));
    let row = shown.lines().find(|line| line.contains("count-2")).unwrap_or_default();
    assert!(row.contains("waiting") && row.contains("500ms") && row.contains(" - "), "{shown}");
}

#[test]
fn enter_goes_to_what_a_row_is_about() {
    let size = (120, 40);
    let mut person = Person::watching(busy());
    person.does_at(Action::Move(Step::Last), size);
    person.does_at(Action::ShowPage(Page::Wakes), size);
    person.does_at(Action::Accept, size);
    assert!(person.notice().contains("no other task"), "the last wake was a timer's: {}", person.notice());
    person.does_at(Action::Move(Step::Up), size);
    person.does_at(Action::Move(Step::Up), size);
    person.does_at(Action::Accept, size);
    assert_eq!(person.model.dashboard.selected, Some(task(1)), "to the task that woke it");
    assert_eq!(person.model.dashboard.page, Page::Wakes);

    person.does_at(Action::ShowPage(Page::Resources), size);
    person.does_at(Action::Accept, size);
    assert_eq!(person.model.dashboard.selected, Some(task(5)), "to who holds the lock");

    person.does_at(Action::ShowFindings, size);
    person.does_at(Action::Accept, size);
    let dashboard = &person.model.dashboard;
    assert_eq!((dashboard.page, dashboard.selected), (Page::Timeline, Some(task(6))), "to the task that blocks");
    assert!(dashboard.looking_at().is_some_and(|at| (600 * MS..700 * MS).contains(&at)), "{:?}", dashboard.cursor);

    person.does_at(Action::ShowPage(Page::Log), size);
    person.does_at(Action::Accept, size);
    assert_eq!(person.model.dashboard.looking_at(), Some(2 * S), "to where the loop was paused");
}

#[test]
fn a_resource_says_who_has_it_who_waits_and_whether_it_is_there() {
    let shown = text(&screen(Some(&busy()), &ANSI, (200, 60), &[Action::ShowPage(Page::Resources)]));
    let row = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(shown.contains("resources 1 alive, 1 gone"), "{shown}");
    assert!(row("mutex-1").contains("on-io") && row("mutex-1").contains("on-other"), "{shown}");
    assert!(row("mutex-2").contains("gone 1.00s"), "{shown}");
}

/// Findings of a run that goes on stand until somebody asks again.
#[test]
fn findings_are_looked_for_when_asked() {
    let mut session = busy();
    session.status.phase = Phase::Running;
    let mut person = Person::watching(session);
    person.types("n");
    assert_eq!(person.model.dashboard.page, Page::Findings);
    let found = |person: &Person| person.model.dashboard.found.as_ref().map(|(at, found)| (*at, found.listed.len()));
    let first = found(&person).expect("it was looked for");
    assert!(first.1 > 0);
    let session = person.session.as_mut().expect("it is watched");
    session.trace.apply(Event::Now { at: 9 * S });
    person.refresh();
    person.types("j");
    assert_eq!(found(&person), Some(first));
    person.types("n");
    assert_eq!(found(&person).map(|(at, _)| at), Some(9 * S));
}

#[test]
fn the_log_has_links_losses_and_pauses_with_their_time() {
    let mut session = service();
    session.status.link = Some(Link { state: LinkState::Connecting, note: String::new() });
    let mut person = Person::watching(session);
    for attempts in 1..4 {
        let session = person.session.as_mut().expect("it is watched");
        session.status.link =
            Some(Link { state: LinkState::Retrying { attempts, wait_ms: 100 }, note: "refused".into() });
        person.refresh();
    }
    let session = person.session.as_mut().expect("it is watched");
    session.status.link = Some(Link { state: LinkState::Live, note: String::new() });
    session.trace.apply(Event::Gap { from: 8 * S, to: 8 * S + 5 * MS, dropped: 7 });
    session.trace.apply(Event::ManyThreads { at: 8 * S });
    session.trace.apply(Event::ConsoleUpdate { dropped: 2 });
    person.refresh();
    person.refresh();
    let notes: Vec<_> = person.model.dashboard.log.notes().iter().map(|note| note.text.clone()).collect();
    let expected = [
        "connecting",
        "the program's console dropped events for want of room: 128 so far",
        "not reached, attempt 3: refused",
        "live",
        "the program's console dropped events for want of room: 130 so far",
        "7 facts lost within 5 ms",
        "several threads poll: who woke whom is a guess from here on",
    ];
    assert_eq!(notes, expected, "each once, and attempts in one line");
}

#[test]
fn the_log_says_who_paused_and_why() {
    let mut person = Person::watching(stage::ended());
    let told = [
        (S, PauseCause::Person, "you paused the loop here"),
        (S, PauseCause::Step, "the loop came as far as you asked for, and stopped here"),
        (S, PauseCause::Breakpoint("poll count-*".into()), "the breakpoint `poll count-*` stopped the loop here"),
        (2 * S, PauseCause::Suspended, "the loop stood here while loopscope was suspended"),
    ];
    let notes = |person: &Person| -> Vec<String> {
        person.model.dashboard.log.notes().iter().map(|note| note.text.clone()).collect()
    };
    let before = notes(&person).len();
    for (at, cause, _) in &told {
        let session = person.session.as_mut().expect("it is watched");
        session.trace.apply(Event::Pause { at: *at, cause: cause.clone() });
        person.refresh();
    }
    assert!(notes(&person)[before..].iter().eq(told.iter().map(|(.., said)| said)), "{:?}", notes(&person));

    // The whole process of a program that we started, and not a loop of ours.
    let mut session = crate::foreign::executed();
    session.trace.apply(Event::Pause { at: S, cause: PauseCause::Person });
    assert_eq!(notes(&Person::watching(session)).last().map(String::as_str), Some("you stopped the process here"));
}

/// The wire of a console does not tell single wakes, and the page does not pretend to know them.
#[test]
fn wakes_that_nobody_told_one_by_one_are_not_made_up() {
    let shown = text(&screen(Some(&service()), &ANSI, (120, 40), &[Action::ShowPage(Page::Wakes)]));
    assert!(shown.contains("It was woken 8 times, 2 of them by itself"), "{shown}");
    let state = service().trace.state(TaskId::from_index(0));
    assert!(matches!(state, Some(State::Waiting(..))));
}
