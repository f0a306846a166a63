//! Workers on the screen: the strip above the lanes, the column of the task table, and the details.

use loopscope::control::RunPhase;
use loopscope::internals::app::{Action, Motion, MouseInput, MouseKind};
use loopscope::trace::{Event, QueueSample, TaskKind, TaskMeta, WorkerId};
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use crate::fake_session::{self, FakeSession, MS, workers};
use crate::snapshot::{assert_snapshot, text};
use crate::view::{ANSI, ASCII, MONO, screen};

/// Returns the rows of the strip, without its rule.
fn strip(buffer: &Buffer) -> Vec<String> {
    let shown = text(buffer);
    let lines = shown.lines().skip_while(|line| !line.contains("─ workers ")).skip(1);
    lines.take_while(|line| !line.contains("─ tasks ")).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn worker_strip_at_every_size() {
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        let buffer = screen(Some(&workers(4)), &ANSI, (width, height), &[]);
        assert_snapshot(&format!("workers-{width}x{height}"), &buffer);
    }
    let shown = strip(&screen(Some(&workers(4)), &ANSI, (120, 40), &[]));
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown[1].contains("█ 1  busy") && shown[1].contains("76%"), "{shown:?}");
    assert!(shown[3].contains("3  parked") || shown[3].contains("3  between polls"), "{shown:?}");
    assert!(strip(&screen(Some(&workers(4)), &ANSI, (40, 10), &[])).is_empty(), "too low for the strip");
}

#[test]
fn worker_strip_needs_no_colours() {
    let mono = screen(Some(&workers(4)), &MONO, (120, 40), &[Action::GoTo(300 * MS)]);
    assert_snapshot("workers-mono", &mono);
    let ascii = screen(Some(&workers(4)), &ASCII, (80, 24), &[]);
    assert_snapshot("workers-ascii", &ascii);
    assert!(text(&ascii).is_ascii());
    for buffer in [&mono, &ascii] {
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}

#[test]
fn many_workers_take_few_rows() {
    for (height, rows) in [(24, 2..=5), (40, 4..=9), (60, 8..=13)] {
        let shown = strip(&screen(Some(&workers(64)), &ANSI, (120, height), &[]));
        assert!(rows.contains(&shown.len()), "{} rows of {height}", shown.len());
        let last = shown.last().expect("the strip has rows");
        assert!(last.contains(&format!("+{} more", 64 - (shown.len() - 1))), "{last}");
    }
    let selected = strip(&screen(Some(&workers(64)), &ANSI, (120, 24), &[Action::Move(Motion::Down)]));
    assert!(selected.iter().any(|row| row.contains(" 27 ")), "the worker of the selected task: {selected:?}");
    let mut one = fake_session::paused_run();
    assert!(strip(&screen(Some(&one), &ANSI, (120, 40), &[])).is_empty(), "workers are unknown");
    one.status.phase = RunPhase::Ended;
    assert_eq!(strip(&screen(Some(&workers(1)), &ANSI, (120, 40), &[])).len(), 1);
}

#[test]
fn worker_strip_shows_the_viewed_time() {
    let session = workers(4);
    let at = |at: u64| strip(&screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(at)]));
    let (before, meanwhile) = (at(100 * MS), at(300 * MS));
    assert!(before[0].contains("█ 0  request-2") && !before[1].contains("busy"), "{before:?}");
    assert!(meanwhile[1].contains("█ 1  busy") && !meanwhile[0].contains("request-4"), "{meanwhile:?}");
}

/// The utilisation is that of the visible range.
#[test]
fn utilisation_follows_the_zoom() {
    let session = workers(4);
    let share = |actions: &[Action]| {
        let rows = strip(&screen(Some(&session), &ANSI, (120, 40), actions));
        let row = rows[1].clone();
        row.split_whitespace().find_map(|word| word.strip_suffix('%')?.parse::<u64>().ok()).expect("a percentage")
    };
    assert_eq!(share(&[]), 76, "600 of 800 ms, and some short polls before");
    let late = [Action::GoTo(790 * MS), Action::ZoomIn, Action::ZoomIn];
    assert_eq!(share(&late), 100);
    let shown = text(&screen(Some(&session), &ANSI, (120, 40), &[Action::SwitchAxis]));
    assert!(shown.contains("worker time has no width"), "{shown}");
}

#[test]
fn table_and_details_name_the_worker() {
    let session = workers(4);
    let mut actions = vec![Action::NextPage];
    actions.extend(vec![Action::Move(Motion::Right); 12]);
    let table = text(&screen(Some(&session), &ANSI, (200, 60), &actions));
    let titles = table.lines().find(|line| line.contains(" woken by")).expect("the titles");
    let column =
        titles.chars().count() - titles.split_once("worker").expect("the column is there").1.chars().count() - 6;
    let busy = table.lines().find(|line| line.starts_with('▸')).expect("the task");
    assert_eq!(busy.chars().skip(column).take(6).collect::<String>().trim(), "1", "{table}");
    let details = text(&screen(Some(&session), &ANSI, (200, 60), &[]));
    assert!(details.contains("polled by  worker 1 (tokio-rt-worker)"), "{details}");
    for (kind, expected) in [(TaskKind::Task, "worker unknown"), (TaskKind::BlockOn, "no worker")] {
        let mut session = workers(4);
        let meta = Box::new(TaskMeta { name: "other".into(), kind, ..TaskMeta::default() });
        let other = fake_session::task(7);
        session.trace.apply(Event::Spawn { task: other, at: 800 * MS, meta });
        session.trace.apply(Event::PollStart { task: other, at: 800 * MS });
        session.trace.apply(Event::PollEnd { task: other, at: 800 * MS });
        let details = text(&screen(Some(&session), &ANSI, (200, 60), &[Action::Move(Motion::Last)]));
        assert!(details.contains(&format!("polled by  {expected}")), "{details}");
    }
}

/// A session with four workers whose queues are sampled from 10 ms on: 3 tasks in the global queue at 100 ms and 41 from
/// 300 ms on, and 19 in that of worker 1 from 250 ms on.
fn sampled_queues() -> FakeSession {
    let mut session = workers(4);
    let mut sample = |worker: Option<usize>, at: u64, depth: u32| {
        let worker = worker.map(WorkerId::from_index);
        session.trace.apply(Event::QueueDepth(QueueSample { worker, at, depth }));
    };
    (0..4).for_each(|worker| sample(Some(worker), 10 * MS, 0));
    for (worker, at, depth) in [(None, 10, 0), (None, 100, 3), (None, 110, 0), (Some(1), 250, 19), (None, 300, 41)] {
        sample(worker, at * MS, depth);
    }
    session
}

#[test]
fn sampled_queues_at_every_size() {
    let session = sampled_queues();
    for (width, height) in [(80, 24), (120, 40)] {
        let buffer = screen(Some(&session), &ANSI, (width, height), &[]);
        assert_snapshot(&format!("worker-queues-{width}x{height}"), &buffer);
        let (shown, rows) = (text(&buffer), strip(&buffer));
        assert!(rows[1].contains("busy") && rows[1].contains(" queue 19 76%"), "{rows:?}");
        assert!(!rows[0].contains("queue"), "nothing waits: {rows:?}");
        let rule = shown.lines().find(|line| line.contains("─ workers ")).expect("the rule");
        assert!(rule.contains("workers 4, global queue 41") && rule.contains("queue: sampled"), "{rule}");
    }
    for width in [24, 30, 40, 60, 72, 101] {
        screen(Some(&session), &ANSI, (width, 24), &[]);
    }
}

#[test]
fn queue_depths_follow_the_time_cursor() {
    let session = sampled_queues();
    let at = |at: u64| text(&screen(Some(&session), &ANSI, (120, 40), &[Action::GoTo(at)]));
    let rule = |shown: &str| shown.lines().find(|line| line.contains("─ workers ")).expect("the rule").to_owned();
    let (start, earlier, later) = (at(5 * MS), at(105 * MS), at(260 * MS));
    assert!(!rule(&start).contains("queue"), "not sampled yet: {start}");
    assert!(rule(&earlier).contains("global queue 3") && !earlier.contains("queue 19"), "{earlier}");
    assert!(!rule(&later).contains("global") && later.contains("queue 19"), "{later}");
    let details = text(&screen(Some(&session), &ANSI, (200, 60), &[]));
    assert!(details.contains("its queue  19 tasks (sampled)"), "{details}");
    assert!(details.contains("global queue 41 (sampled)"), "the header has room: {details}");
}

#[test]
fn no_size_panics_with_workers() {
    let sessions: Vec<FakeSession> = [1, 2, 64].into_iter().map(workers).collect();
    for width in [1, 10, 24, 25, 40, 72, 101] {
        for height in [1, 6, 7, 10, 14, 17, 24, 33] {
            for session in &sessions {
                for actions in [&[][..], &[Action::ToggleDetails], &[Action::SwitchAxis], &[Action::GoTo(MS)]] {
                    screen(Some(session), &ANSI, (width, height), actions);
                }
            }
        }
    }
}

/// A click on the lane of a worker selects the task that it polled there.
#[test]
fn click_on_a_worker_selects_its_task() {
    let session = workers(4);
    let press = |column, row| Action::Mouse(MouseInput { kind: MouseKind::Press, column, row, is_zoom: false });
    let shown = |actions: &[Action]| text(&screen(Some(&session), &ANSI, (120, 40), actions));
    let selected = |actions: &[Action]| {
        let shown = shown(actions);
        shown
            .lines()
            .filter_map(|line| line.split_once(" #"))
            .map(|(before, _)| before.rsplit("  ").next().unwrap_or_default().trim().to_owned())
            .next()
            .expect("the details name the task")
    };
    // The rows of the workers begin below the header and a rule; the lanes begin after the labels.
    assert_eq!(selected(&[Action::Move(Motion::Down)]), "request-2");
    assert_eq!(selected(&[Action::Move(Motion::Down), press(70, 4)]), "busy", "worker 1 late in the run");
    assert_eq!(selected(&[press(30, 3)]), "request-2", "worker 0 at its beginning");
    assert!(shown(&[press(70, 4)]).contains("LOOKING BACK at"), "and sets the time cursor");
    assert_eq!(selected(&[Action::Move(Motion::Down), press(5, 4)]), "busy", "the label: what it polls now");
}
