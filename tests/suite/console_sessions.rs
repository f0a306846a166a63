//! Sessions of other programs for tests: built from sums and samples, as the console wire reports them.

use loopscope::control::{ClockKind, ConnectionState, ConnectionStatus, ControlLevel, RunPhase, SourceKind};
use loopscope::trace::{
    AwaitId, AwaitKind, DurationHistogram, Event, Nanos, Resource, ResourceAttribute, ResourceId, ResourceKind, SiteId,
    TaskActivity, TaskCounts, TaskHistograms, TaskId, TaskOutcome, TaskStats, WakeSource,
};

use crate::fake_session::{FakeSession, MS, S, session_from, site, spawn, task};

/// Builds an attached session with this link state and without events.
pub fn attached(state: ConnectionState, note: &str) -> FakeSession {
    let mut session = session_from(Vec::new(), RunPhase::Running);
    session.trace.set_external();
    session.trace.set_sampled();
    session.status.name = "http://127.0.0.1:6669".into();
    session.status.source = SourceKind::Attach;
    session.status.control_level = ControlLevel::ReadOnly;
    session.status.clock = ClockKind::Real;
    session.status.connection = Some(ConnectionStatus { state, note: note.into() });
    session
}

/// Activity of one task in one second.
#[derive(Clone, Copy)]
struct TaskSecond {
    polls: u64,
    busy_ns: u64,
    scheduled_ns: u64,
    doing: TaskActivity,
}

/// Returns the console events of `id` for each second from `spawned` on, with a sample of the last poll.
fn seconds(id: TaskId, spawned: Nanos, activity: &[TaskSecond]) -> Vec<(Nanos, Event)> {
    let mut events = Vec::new();
    let mut sums = TaskStats::default();
    for (second, did) in (1..).zip(activity) {
        let at = spawned + second * S;
        sums = TaskStats {
            polls: sums.polls + did.polls,
            busy_ns: sums.busy_ns + did.busy_ns,
            scheduled_ns: sums.scheduled_ns + did.scheduled_ns,
            activity: did.doing,
            waker_clones: sums.polls + did.polls,
            waker_drops: (sums.polls + did.polls).saturating_sub(1),
        };
        let counts = TaskCounts { polls: sums.polls, wakes: sums.polls, self_wakes: sums.polls / 4, awaits: 0 };
        if let Some(length) = did.busy_ns.checked_div(did.polls) {
            let start = at - 300 * MS - length;
            events.push((
                at,
                Event::Sample { task: id, last_poll: Some((start, Some(start + length))), last_wake: None },
            ));
        }
        events.push((at, Event::ConsoleCounts { task: id, counts }));
        events.push((at, Event::TaskStats { task: id, at, stats: Box::new(sums) }));
    }
    events
}

/// Builds a program of seven tasks, attached to for eight seconds, that shows every mark of a sampled lane.
pub fn service() -> FakeSession {
    let mut session = attached(ConnectionState::Live, "");
    let calm = TaskSecond { polls: 1, busy_ns: 20_000, scheduled_ns: 10_000, doing: TaskActivity::Waiting };
    let idle = TaskSecond { polls: 0, busy_ns: 0, scheduled_ns: 0, doing: TaskActivity::Waiting };
    let ramp: Vec<TaskSecond> = (1..=8)
        .map(|step| TaskSecond { polls: 100, busy_ns: step * S / 8, scheduled_ns: 0, doing: TaskActivity::Running })
        .collect();
    let queue = |share: u64| TaskSecond {
        polls: 50,
        busy_ns: S / 20,
        scheduled_ns: share * S / 10,
        doing: TaskActivity::Scheduled,
    };
    let names = ["acceptor", "busier", "queued", "lock-holder", "lock-waiter", "gone", "quick"];
    for (number, name) in (1..).zip(names) {
        session.trace.apply(spawn(task(number), name, None, 0));
    }
    session.trace.apply(site(0, AwaitKind::Sync, "Mutex::lock", 4));
    session.trace.apply(site(1, AwaitKind::Timer, "Sleep", 4));
    let lock = ResourceId::from_index(0);
    let described = Resource { kind: ResourceKind::Lock, name: "Mutex".into(), location: None, size: 0 };
    session.trace.apply(Event::NewResource { id: lock, at: 0, resource: Box::new(described) });
    let locked = ResourceAttribute { name: "locked".into(), value: "true".into(), unit: "".into() };
    session.trace.apply(Event::ResourceAttribute { resource: lock, attribute: Box::new(locked) });
    let awaited = [(task(4), 1, 0), (task(5), 0, 1_500 * MS)];
    for (index, (waiter, at_site, at)) in awaited.into_iter().enumerate() {
        let id = AwaitId::from_index(index);
        session.trace.apply(Event::AwaitStart { id, task: waiter, at, site: SiteId::from_index(at_site) });
    }
    session.trace.apply(Event::AwaitResource { id: AwaitId::from_index(1), resource: lock });
    session.trace.apply(Event::ResourceAcquire { resource: lock, task: task(4), at: S });
    let mut events = Vec::new();
    events.extend(seconds(task(1), 0, &[calm; 8]));
    events.extend(seconds(task(2), 0, &ramp));
    events.extend(seconds(task(3), 0, &[2, 4, 6, 8, 9, 6, 3, 1].map(queue)));
    events.extend(seconds(task(4), 0, &[calm, idle, idle, calm, idle, idle, calm, idle]));
    events.extend(seconds(task(5), 0, &[calm, calm, idle, idle, idle, idle, idle, idle]));
    events.extend(seconds(task(6), 0, &[calm; 4]));
    events.extend(seconds(task(7), 0, &[TaskSecond { polls: 2_000, busy_ns: 9 * MS, ..calm }; 8]));
    events.extend((1..=8).map(|second| (second * S, Event::StatsComplete { at: second * S })));
    events.push((4_400 * MS, Event::TaskEnd { task: task(6), at: 4_400 * MS, outcome: TaskOutcome::Completed }));
    // The events of an update arrive together, and the total comes last.
    events.sort_by_key(|(at, event)| (*at, matches!(event, Event::StatsComplete { .. })));
    for (_, event) in events {
        session.trace.apply(event);
    }
    let polls = DurationHistogram {
        buckets: vec![(10_000, 700), (50_000, 90), (2_000_000, 10)],
        outliers: 2,
        longest_outlier_ns: Some(3 * S),
    };
    let scheduled =
        DurationHistogram { buckets: vec![(100_000, 40), (90_000_000, 300)], outliers: 0, longest_outlier_ns: None };
    let histograms = Box::new(TaskHistograms { polls, scheduled });
    session.trace.apply(Event::TaskHistograms { task: task(3), histograms });
    session.trace.apply(Event::Wake { task: task(3), at: 7_900 * MS, source: WakeSource::Task(task(2)) });
    session.trace.apply(Event::ConsoleUpdate { dropped: 128 });
    session.trace.apply(Event::Advance { at: 8_600 * MS });
    session.status.now = 8_600 * MS;
    session
}

/// Builds a process that loopscope started, with every poll from its recording.
pub fn executed() -> FakeSession {
    let mut session = crate::fake_session::paused_run();
    session.trace.set_external();
    session.status.name = "app clock".into();
    session.status.source = SourceKind::Exec;
    session.status.control_level = ControlLevel::Process;
    session.status.clock = ClockKind::Real;
    session.status.phase = RunPhase::Running;
    session.status.connection = Some(ConnectionStatus { state: ConnectionState::Live, note: String::new() });
    session
}
