//! The pages of the dashboard: what they show, and where they lead.

use loopscope::control::{ConnectionState, ConnectionStatus, RunPhase};
use loopscope::insight::TaskSample;
use loopscope::internals::app::COLUMNS;
use loopscope::internals::app::{Action, DashboardPage, Motion, MouseInput, MouseKind, RowOrder};
use loopscope::trace::{
    AwaitId, AwaitKind, Event, PauseReason, Resource, ResourceId, ResourceKind, SiteId, TaskId, TaskState, WakeSource,
};

use crate::console_sessions::service;
use crate::fake_session::{self, FakeSession, MS, S, site, spawn, task};
use crate::snapshot::{assert_snapshot, text};
use crate::test_user::TestUser;
use crate::view::{ANSI, ASCII, MONO, screen};

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 10)];

/// One task for each lane state, with a lock that one task holds while another waits, and a blocked loop to find.
fn busy_session() -> FakeSession {
    let mut session = fake_session::all_lane_states();
    let lock = ResourceId::from_index(0);
    for (index, name) in ["mutex-1", "mutex-2"].into_iter().enumerate() {
        let described = Resource { kind: ResourceKind::Lock, name: name.into(), location: None, size: 0 };
        let resource = ResourceId::from_index(index);
        session.trace.apply(Event::NewResource { id: resource, at: 0, resource: Box::new(described) });
    }
    session.trace.apply(Event::ResourceEnd { resource: ResourceId::from_index(1), at: S });
    session.trace.apply(Event::ResourceAcquire { resource: lock, task: task(5), at: S });
    session.trace.apply(site(8, AwaitKind::Sync, "lock", 4));
    session.trace.apply(Event::AwaitStart {
        id: AwaitId::from_index(8),
        task: task(8),
        at: S,
        site: SiteId::from_index(8),
    });
    session.trace.apply(Event::AwaitResource { id: AwaitId::from_index(8), resource: lock });
    for index in 0..12 {
        let cause = if index % 3 == 0 { WakeSource::Task(task(1)) } else { WakeSource::Driver };
        session.trace.apply(Event::Wake { task: task(8), at: 2 * S + index * 50 * MS, source: cause });
    }
    session
}

fn pages() -> impl Iterator<Item = DashboardPage> {
    DashboardPage::ALL.into_iter().filter(|page| *page != DashboardPage::Timeline)
}

#[test]
fn every_page_at_every_size() {
    for page in pages() {
        let mut session = busy_session();
        session.status.phase = RunPhase::Running;
        let actions = [Action::Move(Motion::Last), Action::ShowPage(page)];
        for (width, height) in SIZES {
            let shown = screen(Some(&session), &ANSI, (width, height), &actions);
            assert_snapshot(&format!("page-{}-{width}x{height}", page.name()), &shown);
        }
        assert!(text(&screen(Some(&session), &ASCII, (120, 40), &actions)).is_ascii());
        screen(Some(&session), &MONO, (10, 5), &actions);
        screen(Some(&fake_session::session_from(Vec::new(), RunPhase::Running)), &ANSI, (80, 24), &actions);
    }
    assert_snapshot(
        "page-tasks-ascii",
        &screen(Some(&busy_session()), &ASCII, (80, 24), &[Action::ShowPage(DashboardPage::Tasks)]),
    );
}

#[test]
fn pages_cycle_and_esc_returns_to_the_timeline() {
    let mut user = TestUser::with_session(busy_session());
    for page in pages() {
        user.type_text("p");
        assert_eq!(user.model.dashboard.page, page);
    }
    user.type_text("p");
    assert_eq!(user.model.dashboard.page, DashboardPage::Timeline);
    user.type_text("P");
    assert_eq!(user.model.dashboard.page, DashboardPage::Log);
    assert!(
        user.type_text("f").is_empty() && user.notice().contains("timeline"),
        "timeline actions are refused on a page"
    );
    user.perform(Action::Back);
    assert_eq!(user.model.dashboard.page, DashboardPage::Timeline);
    user.type_text(":page wakes\n");
    assert_eq!(user.model.dashboard.page, DashboardPage::Wakes);
    user.type_text(":page nowhere\n");
    assert!(user.model.overlay.is_some(), "the prompt stays open");
}

/// Returns the rows as task numbers, in order.
fn rows(user: &TestUser) -> Vec<usize> {
    let (dashboard, session) = (&user.model.dashboard, user.session.as_ref().expect("has a session"));
    let count = dashboard.rows.count(&session.trace);
    (0..count).filter_map(|row| dashboard.rows.get(row, &session.trace)).map(|id| id.index() + 1).collect()
}

#[test]
fn tasks_sort_by_any_column_in_both_directions() {
    let mut user = TestUser::with_session(service());
    assert_eq!(rows(&user), [1, 2, 3, 4, 5, 6, 7]);
    user.type_text("jj:sort polls\n");
    assert_eq!(rows(&user), [7, 2, 3, 1, 6, 4, 5], "most polls first");
    assert_eq!(user.model.dashboard.selected, Some(task(3)), "the selection is kept by id");
    user.type_text("I");
    assert_eq!(rows(&user), [5, 4, 6, 1, 3, 2, 7]);
    user.type_text(":sort busy\n");
    assert_eq!(rows(&user)[..2], [2, 3], "the busiest first");
    user.type_text(":sort task\n");
    assert_eq!(rows(&user), [1, 2, 6, 4, 5, 3, 7], "names from the first letter");
    user.type_text("/lock\n");
    assert_eq!(rows(&user), [4, 5], "in order and filtered");
    user.perform(Action::Back);
    user.type_text(":sort id\n");
    assert_eq!(rows(&user), [1, 2, 3, 4, 5, 6, 7]);
    user.type_text("S");
    assert_eq!(user.model.dashboard.rows.order(), RowOrder::by(1));
    user.type_text(":sort nothing\n");
    assert!(user.model.overlay.is_some());
}

/// With every sort column, each task has exactly one row.
#[test]
fn every_sort_lists_each_task_once() {
    let mut user = TestUser::with_session(service());
    for (index, column) in COLUMNS.iter().enumerate() {
        user.perform(Action::SortBy(index));
        let mut rows = rows(&user);
        let session = user.session.as_ref().expect("has a session");
        for (row, number) in rows.iter().enumerate() {
            let found = user.model.dashboard.rows.row_of(task(*number), &session.trace);
            assert_eq!(found, Some(row), "{}", column.title);
        }
        rows.sort_unstable();
        assert_eq!(rows, [1, 2, 3, 4, 5, 6, 7], "{}", column.title);
    }
}

#[test]
fn sort_follows_new_events_and_new_tasks() {
    let mut user = TestUser::with_session(fake_session::many_tasks(5));
    user.type_text(":sort polls\n");
    let session = user.session.as_mut().expect("has a session");
    session.trace.apply(spawn(task(6), "late", None, 10));
    for at in 10..14 {
        session.trace.apply(Event::PollStart { task: task(6), at });
        session.trace.apply(Event::PollEnd { task: task(6), at });
    }
    user.refresh();
    assert_eq!(rows(&user), [6, 1, 2, 3, 4, 5]);
}

/// A frame of a sorted table with 100,000 tasks formats only the visible rows and does not sort each time.
#[test]
fn frame_cost_depends_on_the_screen_not_the_tasks() {
    let quickest = |tasks: usize| {
        let mut user = TestUser::with_session(fake_session::many_tasks(tasks));
        user.type_text(":sort task\n:page tasks\n");
        let frames = (0..20).map(|turn| {
            let session = user.session.as_mut().expect("has a session");
            session.trace.apply(Event::Advance { at: 1_000_000 + turn });
            let start = std::time::Instant::now();
            user.refresh();
            user.render(&ANSI, (120, 40));
            start.elapsed()
        });
        frames.min().unwrap_or_default()
    };
    let (few, many) = (quickest(100), quickest(100_000));
    assert!(many < few * 10, "{few:?} for 100 tasks, {many:?} for 100,000");
}

/// Refreshes until no incremental work is left; returns how many refreshes that took.
fn settle(user: &mut TestUser) -> usize {
    for refreshes in 0..10_000 {
        if !user.model.has_pending_work(user.session.as_ref().map(|session| session as _)) {
            return refreshes;
        }
        user.refresh();
    }
    panic!("the incremental work never ends");
}

/// One refresh sorts a bounded number of tasks; meanwhile every task keeps its row.
#[test]
fn many_tasks_are_sorted_over_several_frames() {
    const TASKS: usize = 100_000;
    let mut user = TestUser::with_session(fake_session::many_tasks(TASKS));
    user.type_text("jj:sort spawned\n");
    assert!(user.model.dashboard.rows.is_request_pending(), "not sorted in one frame");
    let every = |user: &TestUser| {
        let mut rows = rows(user);
        rows.sort_unstable();
        rows.dedup();
        rows.len()
    };
    assert_eq!(every(&user), TASKS, "the previous order stays visible");
    assert!(
        text(&user.render(&ANSI, (120, 40))).contains("by spawned ↓…"),
        "with a mark that the requested order is pending"
    );
    let refreshes = settle(&mut user);
    assert!((3..40).contains(&refreshes), "{refreshes} refreshes");
    assert!(!user.model.dashboard.rows.is_request_pending());
    user.type_text(":sort polls\n:sort polls\n");
    settle(&mut user);
    assert_eq!(rows(&user), (1..=TASKS).collect::<Vec<_>>(), "equal tasks keep the spawn order");
    user.type_text(":sort task\n");
    settle(&mut user);
    let mut names: Vec<(String, usize)> = (1..=TASKS).map(|number| (format!("worker-{number}"), number)).collect();
    names.sort_unstable();
    assert!(rows(&user).iter().eq(names.iter().map(|(_, number)| number)));
    assert_eq!(user.model.dashboard.selected, Some(task(3)), "the selection is kept by id");
    let top = user.model.dashboard.first_row;
    let row = user.model.dashboard.rows.row_of(task(3), &user.session.as_ref().expect("has a session").trace);
    assert!(row.is_some_and(|row| (top..top + 40).contains(&row)), "and visible: {row:?} from {top}");
    // A search finds the first match at once, and the last one a little later.
    user.type_text("/-99999\n");
    assert_eq!((rows(&user), user.model.dashboard.rows.is_request_pending()), (vec![], true));
    assert!(settle(&mut user) >= 3);
    assert_eq!(rows(&user), [99_999]);
    user.perform(Action::Back);
    user.type_text("/worker-7\n");
    assert!(rows(&user).len() > 1_000 && rows(&user).len() < 11_111, "the matches found so far");
    settle(&mut user);
    assert_eq!(rows(&user).len(), 11_111);
}

/// The selection is kept while it is not yet known whether its task matches.
#[test]
fn incremental_search_keeps_a_matching_selection() {
    let mut user = TestUser::with_session(fake_session::many_tasks(100_000));
    user.perform(Action::Move(Motion::Last));
    assert_eq!(user.model.dashboard.selected, Some(task(100_000)));
    user.type_text("/worker-1\n");
    assert_eq!(user.model.dashboard.selected, Some(task(100_000)));
    settle(&mut user);
    assert_eq!(user.model.dashboard.selected, Some(task(100_000)));
    user.perform(Action::Back);
    user.type_text("/worker-2\n");
    settle(&mut user);
    assert_eq!(user.model.dashboard.selected, Some(task(2)), "otherwise the first match is selected");
}

/// Rows of evicted tasks are removed, in any sort order, and the others stay reachable.
#[test]
fn rows_of_evicted_tasks_are_removed() {
    let mut session = fake_session::many_tasks(0);
    session.trace = loopscope::trace::Trace::with_budget(1 << 20);
    crate::trace::declare_site(&mut session.trace);
    let mut user = TestUser::with_session(session);
    user.type_text(":sort busy\n:page tasks\n");
    let mut awaits = 0;
    for round in 0..10 {
        let session = user.session.as_mut().expect("has a session");
        crate::trace::run_short_tasks(&mut session.trace, 1_000, &mut awaits, false);
        user.refresh();
        if round == 0 {
            user.model.dashboard.details_top = 3;
        }
    }
    settle(&mut user);
    assert_eq!(user.model.dashboard.details_top, 0, "the task of these details was evicted");
    let trace = &user.session.as_ref().expect("has a session").trace;
    assert!(trace.evicted().count > 5_000);
    let remaining: Vec<usize> = trace.tasks().iter().map(|task| task.id.index() + 1).collect();
    let mut shown = rows(&user);
    shown.sort_unstable();
    assert_eq!(remaining, shown);
    let screen = text(&user.render(&ANSI, (200, 60)));
    assert!(screen.contains("TASKS") && screen.contains("evicted)"), "{screen}");
    let [first, .., last] = remaining[..] else { panic!("some tasks remain") };
    user.type_text(":sort id\n");
    user.perform(Action::Move(Motion::First));
    assert_eq!(user.model.dashboard.selected, Some(task(first)));
    user.perform(Action::Move(Motion::Last));
    assert_eq!(user.model.dashboard.selected, Some(task(last)));
    user.type_text("k");
    assert_eq!(user.model.dashboard.selected, Some(task(last - 1)));
    // The selected task keeps its screen position while rows above it are removed, and the screen stays full.
    let position = |user: &TestUser| {
        let (dashboard, trace) = (&user.model.dashboard, &user.session.as_ref().expect("has a session").trace);
        let row = dashboard.selected.and_then(|id| dashboard.rows.row_of(id, trace));
        (dashboard.selected, row.map(|row| row - dashboard.first_row))
    };
    user.refresh();
    let before = position(&user);
    let session = user.session.as_mut().expect("has a session");
    crate::trace::run_short_tasks(&mut session.trace, 100, &mut awaits, false);
    user.refresh();
    assert_eq!(position(&user), before);
    let (dashboard, trace) = (&user.model.dashboard, &user.session.as_ref().expect("has a session").trace);
    assert!(dashboard.rows.count(trace) - dashboard.first_row >= 20, "the screen is full");
}

/// Owners and waiters of 60,000 resources are collected over several refreshes.
#[test]
fn resources_are_collected_over_several_frames() {
    const RESOURCES: usize = 60_000;
    let mut session = fake_session::many_tasks(100);
    session.trace.apply(site(0, AwaitKind::Sync, "lock", 4));
    for index in 0..RESOURCES {
        let (resource, id) = (ResourceId::from_index(index), AwaitId::from_index(index));
        let described = Resource { kind: ResourceKind::Lock, name: "lock".into(), location: None, size: 0 };
        session.trace.apply(Event::NewResource { id: resource, at: S, resource: Box::new(described) });
        session.trace.apply(Event::ResourceAcquire { resource, task: task(1 + index % 50), at: S });
        let waits = task(51 + index % 50);
        session.trace.apply(Event::AwaitStart { id, task: waits, at: S, site: SiteId::from_index(0) });
        session.trace.apply(Event::AwaitResource { id, resource });
        if index % 2 == 1 {
            session.trace.apply(Event::ResourceEnd { resource, at: S + index as u64 });
        }
    }
    let mut user = TestUser::with_session(session);
    user.type_text(":page resources\n");
    assert!(user.model.dashboard.resource_usage.listed.is_empty(), "not collected in one frame");
    assert!(settle(&mut user) >= 3);
    let usage = &user.model.dashboard.resource_usage;
    assert_eq!((usage.alive, usage.unlisted, usage.listed.len()), (30_000, 3_596, 30_500));
    assert_eq!(usage.listed[30_000], ResourceId::from_index(RESOURCES - 1), "the newest dropped resource");
    for index in (0..RESOURCES).step_by(997) {
        let resource = ResourceId::from_index(index);
        let named = |tasks: Option<&TaskSample>| tasks.map(|tasks| (tasks.first.clone(), tasks.count));
        assert_eq!(named(usage.holders(resource)), Some((vec![task(1 + index % 50)], 1)), "{index}");
        assert_eq!(named(usage.waiters(resource)), Some((vec![task(51 + index % 50)], 1)), "{index}");
    }
}

/// The UI stays responsive while the findings of a long run are searched.
#[test]
fn findings_are_searched_over_several_frames() {
    let mut session = fake_session::many_tasks(100_000);
    session.status.phase = RunPhase::Ended;
    let mut user = TestUser::with_session(session);
    assert!(user.model.findings.is_none() && user.model.is_searching_findings(), "not at once");
    user.type_text(":page findings\n");
    assert!(text(&user.render(&ANSI, (120, 40))).contains("analyzing"));
    assert!(settle(&mut user) >= 5);
    assert!(user.model.findings.is_some());
    let mut few = fake_session::many_tasks(10);
    few.status.phase = RunPhase::Ended;
    assert!(TestUser::with_session(few).model.findings.is_some(), "a short run has them in its first frame");
}

#[test]
fn click_on_a_title_sorts_by_it() {
    let mut user = TestUser::with_session(service());
    user.type_text(":page tasks\n");
    let shown = text(&user.render(&ANSI, (120, 40)));
    let titles = shown.lines().nth(3).unwrap_or_default();
    let column = titles.find("state").map(|byte| titles[..byte].chars().count()).expect("the title is shown");
    let press = MouseInput { kind: MouseKind::Press, column: column as u16, row: 3, is_zoom: false };
    user.perform_at(Action::Mouse(press), (120, 40));
    let state = COLUMNS.iter().position(|column| column.title == "state").expect("the column exists");
    assert_eq!(user.model.dashboard.rows.order(), RowOrder::by(state));
    assert!(text(&user.render(&ANSI, (120, 40))).contains("by state ↑"));
}

#[test]
fn table_scrolls_to_its_other_columns() {
    let mut user = TestUser::with_session(service());
    user.type_text(":page tasks\n");
    assert!(!text(&user.render(&ANSI, (80, 24))).contains("location"));
    for _ in 0..COLUMNS.len() {
        user.type_text("l");
    }
    let shown = text(&user.render(&ANSI, (80, 24)));
    assert!(shown.contains("location") && shown.contains("countasync.lua:12") && shown.contains("acceptor"), "{shown}");
}

/// With a time cursor the table shows values as of then; counts without a history are not shown.
#[test]
fn table_shows_values_at_the_time_cursor() {
    let mut session = fake_session::completed_run();
    session.status.now = S;
    let shown =
        text(&screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(S / 2), Action::ShowPage(DashboardPage::Tasks)]));
    let row = shown.lines().find(|line| line.contains("count-2")).unwrap_or_default();
    assert!(row.contains("waiting") && row.contains("500ms") && row.contains(" - "), "{shown}");
}

#[test]
fn enter_follows_a_row() {
    let size = (120, 40);
    let mut user = TestUser::with_session(busy_session());
    user.perform_at(Action::Move(Motion::Last), size);
    user.perform_at(Action::ShowPage(DashboardPage::Wakes), size);
    user.perform_at(Action::Accept, size);
    assert!(user.notice().contains("not another task"), "the last wake came from a timer: {}", user.notice());
    user.perform_at(Action::Move(Motion::Up), size);
    user.perform_at(Action::Move(Motion::Up), size);
    user.perform_at(Action::Accept, size);
    assert_eq!(user.model.dashboard.selected, Some(task(1)), "to the task that woke it");
    assert_eq!(user.model.dashboard.page, DashboardPage::Wakes);

    user.perform_at(Action::ShowPage(DashboardPage::Resources), size);
    user.perform_at(Action::Accept, size);
    assert_eq!(user.model.dashboard.selected, Some(task(5)), "to the owner of the lock");

    user.perform_at(Action::ShowFindings, size);
    user.perform_at(Action::Accept, size);
    let shown = text(&user.render(&ANSI, size));
    assert!(shown.contains("evidence") && shown.contains("help: await instead of blocking"), "{shown}");
    user.perform_at(Action::Accept, size);
    let dashboard = &user.model.dashboard;
    assert_eq!(
        (dashboard.page, dashboard.selected),
        (DashboardPage::Timeline, Some(task(6))),
        "to the task that blocks"
    );
    assert!(dashboard.viewed_time().is_some_and(|at| (600 * MS..700 * MS).contains(&at)), "{:?}", dashboard.cursor);

    user.perform_at(Action::ShowPage(DashboardPage::Log), size);
    user.perform_at(Action::Accept, size);
    assert_eq!(user.model.dashboard.viewed_time(), Some(2 * S), "to where the loop was paused");
}

#[test]
fn resource_row_shows_owner_waiters_and_drop() {
    let shown = text(&screen(Some(&busy_session()), &ANSI, (200, 60), &[Action::ShowPage(DashboardPage::Resources)]));
    let row = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(shown.contains("resources 1 alive, 1 dropped"), "{shown}");
    assert!(row("mutex-1").contains("on-io") && row("mutex-1").contains("on-other"), "{shown}");
    assert!(row("mutex-2").contains("until 1.00s"), "{shown}");
}

/// Findings of a running session stand until the user searches again.
#[test]
fn findings_are_searched_on_request() {
    let mut session = busy_session();
    session.status.phase = RunPhase::Running;
    let mut user = TestUser::with_session(session);
    user.type_text("n");
    assert_eq!(user.model.dashboard.page, DashboardPage::Findings);
    let found =
        |user: &TestUser| user.model.dashboard.interim_findings.as_ref().map(|(at, found)| (*at, found.listed.len()));
    let first = found(&user).expect("findings were searched");
    assert!(first.1 > 0);
    let session = user.session.as_mut().expect("has a session");
    session.trace.apply(Event::Advance { at: 9 * S });
    user.refresh();
    user.type_text("j");
    assert_eq!(found(&user), Some(first));
    user.type_text("n");
    assert_eq!(found(&user).map(|(at, _)| at), Some(9 * S));
}

#[test]
fn log_lists_connection_losses_and_pauses() {
    let mut session = service();
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Connecting, note: String::new() });
    let mut user = TestUser::with_session(session);
    for attempts in 1..4 {
        let session = user.session.as_mut().expect("has a session");
        session.status.connection = Some(ConnectionStatus {
            state: ConnectionState::Retrying { attempts, wait_ms: 100 },
            note: "refused".into(),
        });
        user.refresh();
    }
    let session = user.session.as_mut().expect("has a session");
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Live, note: String::new() });
    session.trace.apply(Event::Gap { from: 8 * S, to: 8 * S + 5 * MS, dropped: 7 });
    session.trace.apply(Event::MultiThreadDetected { at: 8 * S });
    session.trace.apply(Event::ConsoleUpdate { dropped: 2 });
    user.refresh();
    user.refresh();
    let notes: Vec<_> = user.model.dashboard.log.entries().iter().map(|note| note.text.clone()).collect();
    let expected = [
        "connecting",
        "console-subscriber dropped events (buffer full): 128 so far",
        "connection failed, attempt 3: refused",
        "connected",
        "console-subscriber dropped events (buffer full): 130 so far",
        "7 events dropped within 5 ms",
        "multi-threaded: wake sources are unknown while several tasks run",
    ];
    assert_eq!(notes, expected, "each entry once, with all attempts in one");
}

#[test]
fn log_says_who_paused_and_why() {
    let mut user = TestUser::with_session(fake_session::completed_run());
    let pauses = [
        (S, PauseReason::User, "loop paused by you"),
        (S, PauseReason::Step, "loop paused: step finished"),
        (S, PauseReason::Breakpoint("poll count-*".into()), "loop paused by breakpoint `poll count-*`"),
        (2 * S, PauseReason::Suspended, "loop paused while loopscope was suspended"),
    ];
    let notes = |user: &TestUser| -> Vec<String> {
        user.model.dashboard.log.entries().iter().map(|note| note.text.clone()).collect()
    };
    let before = notes(&user).len();
    for (at, cause, _) in &pauses {
        let session = user.session.as_mut().expect("has a session");
        session.trace.apply(Event::Pause { at: *at, reason: cause.clone() });
        user.refresh();
    }
    assert!(notes(&user)[before..].iter().eq(pauses.iter().map(|(.., text)| text)), "{:?}", notes(&user));

    // A started process is stopped as a whole, rather than its loop.
    let mut session = crate::console_sessions::executed();
    session.trace.apply(Event::Pause { at: S, reason: PauseReason::User });
    assert_eq!(notes(&TestUser::with_session(session)).last().map(String::as_str), Some("process stopped by you"));
}

/// The console wire does not report single wakes, so the page must not show any.
#[test]
fn sampled_sessions_list_no_single_wakes() {
    let shown = text(&screen(Some(&service()), &ANSI, (120, 40), &[Action::ShowPage(DashboardPage::Wakes)]));
    assert!(shown.contains("woken 8 times, 2 of them self-wakes"), "{shown}");
    let state = service().trace.state(TaskId::from_index(0));
    assert!(matches!(state, Some(TaskState::Waiting(..))));
}
