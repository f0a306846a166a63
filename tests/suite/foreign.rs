//! A stage for somebody else's programs: sessions played from what a console's wire tells, that is sums and samples.

use loopscope::control::{ClockKind, Link, LinkState, Phase, SourceKind, Steering};
use loopscope::trace::{
    Attribute, AwaitId, AwaitKind, Cause, Counts, Doing, Ending, Event, Histogram, Histograms, Measured, Nanos,
    Resource, ResourceId, ResourceKind, SiteId, TaskId,
};

use crate::stage::{MS, Played, S, played, site, spawn, task};

/// An attached session whose link stands like this, and that has told nothing.
pub fn attached(state: LinkState, note: &str) -> Played {
    let mut session = played(Vec::new(), Phase::Running);
    session.trace.set_foreign();
    session.trace.set_sampled();
    session.status.name = "http://127.0.0.1:6669".into();
    session.status.source = SourceKind::Attach;
    session.status.steering = Steering::Nothing;
    session.status.clock = ClockKind::Real;
    session.status.link = Some(Link { state, note: note.into() });
    session
}

/// What one task did in each second.
#[derive(Clone, Copy)]
struct Second {
    polls: u64,
    busy_ns: u64,
    scheduled_ns: u64,
    doing: Doing,
}

/// What the wire tells of `id` over the seconds from `spawned` on; the last poll of each was seen.
fn seconds(id: TaskId, spawned: Nanos, told: &[Second]) -> Vec<(Nanos, Event)> {
    let mut events = Vec::new();
    let mut sums = Measured::default();
    for (second, did) in (1..).zip(told) {
        let at = spawned + second * S;
        sums = Measured {
            polls: sums.polls + did.polls,
            busy_ns: sums.busy_ns + did.busy_ns,
            scheduled_ns: sums.scheduled_ns + did.scheduled_ns,
            doing: did.doing,
            waker_clones: sums.polls + did.polls,
            waker_drops: (sums.polls + did.polls).saturating_sub(1),
        };
        let counts = Counts { polls: sums.polls, wakes: sums.polls, self_wakes: sums.polls / 4, awaits: 0 };
        if let Some(length) = did.busy_ns.checked_div(did.polls) {
            let start = at - 300 * MS - length;
            events.push((at, Event::Sampled { task: id, polled: Some((start, Some(start + length))), woken: None }));
        }
        events.push((at, Event::Counted { task: id, counts }));
        events.push((at, Event::Measured { task: id, at, measured: Box::new(sums) }));
    }
    events
}

/// A program of six tasks, attached to for eight seconds, with what each mark of a sampled lane is for.
pub fn service() -> Played {
    let mut session = attached(LinkState::Live, "");
    let calm = Second { polls: 1, busy_ns: 20_000, scheduled_ns: 10_000, doing: Doing::Waiting };
    let idle = Second { polls: 0, busy_ns: 0, scheduled_ns: 0, doing: Doing::Waiting };
    let ramp: Vec<Second> = (1..=8)
        .map(|step| Second { polls: 100, busy_ns: step * S / 8, scheduled_ns: 0, doing: Doing::Running })
        .collect();
    let queue =
        |share: u64| Second { polls: 50, busy_ns: S / 20, scheduled_ns: share * S / 10, doing: Doing::Scheduled };
    let names = ["acceptor", "busier", "queued", "lock-holder", "lock-waiter", "gone", "quick"];
    for (number, name) in (1..).zip(names) {
        session.trace.apply(spawn(task(number), name, None, 0));
    }
    session.trace.apply(site(0, AwaitKind::Sync, "Mutex::lock", 4));
    session.trace.apply(site(1, AwaitKind::Timer, "Sleep", 4));
    let lock = ResourceId::from_index(0);
    let described = Resource { kind: ResourceKind::Lock, name: "Mutex".into(), location: None, size: 0 };
    session.trace.apply(Event::Resource { resource: lock, at: 0, described: Box::new(described) });
    let locked = Attribute { name: "locked".into(), value: "true".into(), unit: "".into() };
    session.trace.apply(Event::Attribute { resource: lock, attribute: Box::new(locked) });
    let awaited = [(task(4), 1, 0), (task(5), 0, 1_500 * MS)];
    for (index, (waiter, at_site, at)) in awaited.into_iter().enumerate() {
        let id = AwaitId::from_index(index);
        session.trace.apply(Event::AwaitStart { id, task: waiter, at, site: SiteId::from_index(at_site) });
    }
    session.trace.apply(Event::AwaitOf { id: AwaitId::from_index(1), resource: lock });
    session.trace.apply(Event::Acquire { resource: lock, task: task(4), at: S });
    let mut events = Vec::new();
    events.extend(seconds(task(1), 0, &[calm; 8]));
    events.extend(seconds(task(2), 0, &ramp));
    events.extend(seconds(task(3), 0, &[2, 4, 6, 8, 9, 6, 3, 1].map(queue)));
    events.extend(seconds(task(4), 0, &[calm, idle, idle, calm, idle, idle, calm, idle]));
    events.extend(seconds(task(5), 0, &[calm, calm, idle, idle, idle, idle, idle, idle]));
    events.extend(seconds(task(6), 0, &[calm; 4]));
    events.extend(seconds(task(7), 0, &[Second { polls: 2_000, busy_ns: 9 * MS, ..calm }; 8]));
    events.extend((1..=8).map(|second| (second * S, Event::LoopMeasured { at: second * S })));
    events.push((4_400 * MS, Event::End { task: task(6), at: 4_400 * MS, outcome: Ending::Done }));
    // An update is told in one go, and what sums it up comes last.
    events.sort_by_key(|(at, event)| (*at, matches!(event, Event::LoopMeasured { .. })));
    for (_, event) in events {
        session.trace.apply(event);
    }
    let polls = Histogram {
        buckets: vec![(10_000, 700), (50_000, 90), (2_000_000, 10)],
        outliers: 2,
        longest_outlier_ns: Some(3 * S),
    };
    let scheduled =
        Histogram { buckets: vec![(100_000, 40), (90_000_000, 300)], outliers: 0, longest_outlier_ns: None };
    let histograms = Box::new(Histograms { polls, scheduled });
    session.trace.apply(Event::Histograms { task: task(3), histograms });
    session.trace.apply(Event::Wake { task: task(3), at: 7_900 * MS, cause: Cause::Task(task(2)) });
    session.trace.apply(Event::ConsoleUpdate { dropped: 128 });
    session.trace.apply(Event::Now { at: 8_600 * MS });
    session.status.now = 8_600 * MS;
    session
}

/// A process that loopscope started itself, with every poll from its recording.
pub fn executed() -> Played {
    let mut session = crate::stage::paused();
    session.trace.set_foreign();
    session.status.name = "app clock".into();
    session.status.source = SourceKind::Exec;
    session.status.steering = Steering::Process;
    session.status.clock = ClockKind::Real;
    session.status.phase = Phase::Running;
    session.status.link = Some(Link { state: LinkState::Live, note: String::new() });
    session
}
