//! Fake sessions that replay given events, and a fake launcher, so that every frame is known.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loopscope::control::{
    ClockKind, ControlLevel, FeedChoice, RunOutcome, RunPhase, SessionCommand, SessionStatus, SourceKind, Speed,
};
use loopscope::session::{LaunchRequest, Launcher, Session};
use loopscope::trace::{
    AwaitId, AwaitKind, AwaitSite, Event, Location, Nanos, PauseReason, SiteId, StackFrame, TaskId, TaskMeta,
    TaskOutcome, Trace, WakeSource, WorkerId,
};
use loopscope::workload::manifest::{Expectations, Manifest, Param, ParamKind, ParamValue};

pub const MS: Nanos = 1_000_000;
pub const S: Nanos = 1_000_000_000;

pub const SCRIPT: &str = "\
-- Three coroutines count at the same time.
local count = async(function()
  print(\"One\")
  await(sleep(1))
  print(\"Two\")
end)

return {
  title = \"Count, asynchronously\",
  main = async(function(p)
    local all = {}
    for i = 1, p.counters do all[i] = count() end
    await(gather(all))
  end),
}
";

/// Commands that were sent to a session; shared between the test and the session.
pub type SentCommands = Rc<RefCell<Vec<SessionCommand>>>;

/// A session that replays events.
pub struct FakeSession {
    pub trace: Trace,
    pub status: SessionStatus,
    pub commands: SentCommands,
    /// Events that the next pump processes.
    pub coming: Vec<Event>,
    /// The session that follows this one, once.
    pub successor: Option<Box<FakeSession>>,
}

impl Session for FakeSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        self.status.clone()
    }

    fn pump(&mut self, _budget: Duration) -> bool {
        let changed = !self.coming.is_empty();
        for event in self.coming.drain(..) {
            self.trace.apply(event);
        }
        self.status.now = self.trace.now();
        changed
    }

    fn wait(&self, _at_most: Duration) {}

    fn command(&mut self, command: SessionCommand) {
        match command {
            SessionCommand::Pause => self.status.phase = RunPhase::Paused,
            SessionCommand::Resume => self.status.phase = RunPhase::Running,
            _ => {}
        }
        self.commands.borrow_mut().push(command);
    }

    fn successor(&mut self) -> Option<Box<dyn Session>> {
        Some(self.successor.take()?)
    }

    fn source(&self, file: &str) -> Option<&str> {
        (file == "workloads/countasync.lua").then_some(SCRIPT)
    }
}

pub fn task(number: usize) -> TaskId {
    TaskId::from_index(number - 1)
}

fn location(line: u32) -> Option<Location> {
    Some(Location { file: Arc::from("workloads/countasync.lua"), line })
}

pub fn spawn(id: TaskId, name: &str, parent: Option<TaskId>, at: Nanos) -> Event {
    let spawned = TaskMeta { name: Arc::from(name), parent, location: location(12), ..TaskMeta::default() };
    Event::Spawn { task: id, at, meta: Box::new(spawned) }
}

pub fn site(index: usize, kind: AwaitKind, source: &str, line: u32) -> Event {
    let described = Box::new(AwaitSite { kind, source: Arc::from(source), location: location(line), chain: None });
    Event::NewAwaitSite { id: SiteId::from_index(index), site: described }
}

/// Events of three coroutines that print, sleep for one second and print, concurrently.
pub fn countasync_events() -> Vec<Event> {
    let (main, counts) = (task(1), [task(2), task(3), task(4)]);
    let awaited = AwaitId::from_index;
    let mut events = vec![
        site(0, AwaitKind::Task, "gather", 13),
        site(1, AwaitKind::Timer, "sleep", 4),
        spawn(main, "main", None, 0),
        Event::Unpark { at: 0 },
        Event::PollStart { task: main, at: 0 },
    ];
    for (number, id) in (1..).zip(counts) {
        events.push(spawn(id, &format!("count-{number}"), Some(main), 0));
    }
    events.push(Event::AwaitStart { id: awaited(0), task: main, at: 0, site: SiteId::from_index(0) });
    events.push(Event::PollEnd { task: main, at: 0 });
    for (index, id) in (1..).zip(counts) {
        events.extend([
            Event::PollStart { task: id, at: 0 },
            Event::Output { task: Some(id), at: 0, text: "One".into() },
            Event::AwaitStart { id: awaited(index), task: id, at: 0, site: SiteId::from_index(1) },
            Event::PollEnd { task: id, at: 0 },
        ]);
    }
    events.push(Event::Park { at: 0 });
    for now in 1..10 {
        events.push(Event::Advance { at: now * 100 * MS });
    }
    events.push(Event::Unpark { at: S });
    events.extend(counts.map(|id| Event::Wake { task: id, at: S, source: WakeSource::Driver }));
    for (index, id) in (1..).zip(counts) {
        events.extend([
            Event::PollStart { task: id, at: S },
            Event::AwaitPoll { id: awaited(index), is_ready: true },
            Event::AwaitEnd { id: awaited(index), at: S },
            Event::Output { task: Some(id), at: S, text: "Two".into() },
            Event::Wake { task: main, at: S, source: WakeSource::Task(id) },
            Event::PollEnd { task: id, at: S },
            Event::TaskEnd { task: id, at: S, outcome: TaskOutcome::Completed },
        ]);
    }
    events.extend([
        Event::PollStart { task: main, at: S },
        Event::AwaitPoll { id: awaited(0), is_ready: true },
        Event::AwaitEnd { id: awaited(0), at: S },
        Event::PollEnd { task: main, at: S },
        Event::TaskEnd { task: main, at: S, outcome: TaskOutcome::Completed },
        Event::Park { at: S },
    ]);
    events
}

fn time_of(event: &Event) -> Nanos {
    match event {
        Event::Advance { at } | Event::Unpark { at } | Event::Park { at } | Event::Wake { at, .. } => *at,
        _ => 0,
    }
}

fn status(phase: RunPhase) -> SessionStatus {
    SessionStatus {
        name: "countasync".into(),
        source: SourceKind::Workload,
        control_level: ControlLevel::Loop,
        connection: None,
        clock: ClockKind::Virtual,
        speed: Speed::Factor(1.0),
        phase,
        now: 0,
        next_timer: None,
        feed: FeedChoice::Both,
        outcome: None,
    }
}

/// Creates a session from `events`.
pub fn session_from(events: Vec<Event>, phase: RunPhase) -> FakeSession {
    let mut session = FakeSession {
        status: status(phase),
        trace: Trace::default(),
        commands: SentCommands::default(),
        coming: events,
        successor: None,
    };
    session.pump(Duration::ZERO);
    session
}

/// The countasync run, paused at 400 ms.
pub fn paused_run() -> FakeSession {
    let mut events: Vec<Event> =
        countasync_events().into_iter().take_while(|event| time_of(event) <= 400 * MS).collect();
    events.push(Event::Pause { at: 400 * MS, reason: PauseReason::User });
    let mut session = session_from(events, RunPhase::Paused);
    session.status.next_timer = Some(S);
    session
}

/// One task for each state and await kind that a lane can show, over three seconds; the last one is still alive.
pub fn all_lane_states() -> FakeSession {
    let mut events = Vec::new();
    let mut awaits = 0;
    let kinds = AwaitKind::ALL;
    for (index, kind) in kinds.into_iter().enumerate() {
        events.push(site(index, kind, kind.name(), 4));
    }
    for (number, kind) in (1..).zip(kinds) {
        let (id, at) = (task(number), number as Nanos * 100 * MS);
        let (await_id, site) = (AwaitId::from_index(awaits), SiteId::from_index(number - 1));
        events.push(spawn(id, &format!("on-{}", kind.name()), None, at));
        events.push(Event::PollStart { task: id, at: at + 50 * MS });
        events.push(Event::AwaitStart { id: await_id, task: id, at: at + 50 * MS, site });
        awaits += 1;
        if kind == AwaitKind::BlockingCall {
            events.push(Event::AwaitEnd { id: await_id, at: at + 700 * MS });
            events.push(Event::PollEnd { task: id, at: at + 900 * MS });
            events.push(Event::Wake { task: id, at: at + 1_000 * MS, source: WakeSource::SelfWake });
            continue;
        }
        events.push(Event::PollEnd { task: id, at: at + 51 * MS });
        let over = 2 * S + at;
        match kind {
            AwaitKind::Timer => events.push(Event::Hold { task: id, at: S }),
            AwaitKind::Task => events.push(Event::TaskEnd { task: id, at: over, outcome: TaskOutcome::Completed }),
            AwaitKind::Sync => events.push(Event::TaskEnd { task: id, at: over, outcome: TaskOutcome::Cancelled }),
            AwaitKind::Channel => {
                events.push(Event::TaskEnd {
                    task: id,
                    at: over,
                    outcome: TaskOutcome::Failed("no receiver is left".into()),
                });
            }
            AwaitKind::Io => {
                events.push(Event::Wake { task: id, at: over, source: WakeSource::Driver });
                events.push(Event::PollStart { task: id, at: over + 200 * MS });
                events.push(Event::PollEnd { task: id, at: over + 400 * MS });
            }
            _ => {}
        }
    }
    events.push(Event::Gap { from: 1_500 * MS, to: 1_550 * MS, dropped: 3 });
    events.push(Event::Pause { at: 2 * S, reason: PauseReason::User });
    events.push(Event::Advance { at: 3 * S });
    session_from(events, RunPhase::Paused)
}

/// The countasync run, completed.
pub fn completed_run() -> FakeSession {
    let mut session = session_from(countasync_events(), RunPhase::Ended);
    session.status.outcome = Some(RunOutcome::Completed(serde_json::json!([1, 2, 3])));
    session
}

/// The countasync run, failed with an error of many lines, with dropped events.
pub fn failed_run() -> FakeSession {
    let mut session = paused_run();
    session.trace.apply(Event::Gap { from: 100 * MS, to: 200 * MS, dropped: 7 });
    session.trace.apply(Event::TaskEnd { task: task(2), at: 400 * MS, outcome: TaskOutcome::Failed("boom".into()) });
    session.status.phase = RunPhase::Ended;
    let error = "workloads/countasync.lua:5: boom\n  5 |   print(\"Two\")\nin count, called by main\n\
                 what to do: nothing, this is a test\nline five\nline six\nline seven\nline eight\nline nine";
    session.status.outcome = Some(RunOutcome::Failed(error.into()));
    session
}

/// A run of one task that waits for a sleep, with this chain of functions in the script.
pub fn waiting_in(chain: &[(&str, u32)]) -> FakeSession {
    let frame = |(function, line): &(&str, u32)| StackFrame { function: (*function).into(), location: location(*line) };
    let chain = Some(chain.iter().map(frame).collect());
    let described = AwaitSite { kind: AwaitKind::Timer, source: "sleep".into(), location: None, chain };
    let site = SiteId::from_index(0);
    let events = vec![
        Event::NewAwaitSite { id: site, site: Box::new(described) },
        spawn(task(1), "main", None, 0),
        Event::PollStart { task: task(1), at: 0 },
        Event::AwaitStart { id: AwaitId::from_index(0), task: task(1), at: MS, site },
        Event::PollEnd { task: task(1), at: MS },
        Event::Advance { at: S },
    ];
    session_from(events, RunPhase::Paused)
}

/// A run of an app with this many workers, of 800 ms. `busy` occupies worker 1 from 200 ms on; the other tasks are
/// polled for 5 ms on one worker after the other, each of which then parks.
pub fn workers(count: usize) -> FakeSession {
    let worker = |index: usize| WorkerId::from_index(index % count);
    let mut events = vec![spawn(task(1), "busy", None, 0)];
    events.extend((2..=6).map(|number| spawn(task(number), &format!("request-{number}"), None, 0)));
    let known = |index: usize| Event::NewWorker { id: worker(index), at: 0, name: "tokio-rt-worker".into() };
    events.extend((0..count).map(known));
    for index in 0..160 {
        let (at, other) = (index as Nanos * 5 * MS, task(index % 5 + 2));
        if at == 200 * MS {
            events.push(Event::PollStart { task: task(1), at });
            events.push(Event::PollWorker { task: task(1), worker: worker(1) });
        }
        // Worker 0 takes over from the busy one.
        let runs_on = if worker(index) == worker(1) && at >= 200 * MS { worker(0) } else { worker(index) };
        events.push(Event::WorkerUnpark { worker: runs_on, at });
        events.push(Event::PollStart { task: other, at });
        events.push(Event::PollWorker { task: other, worker: runs_on });
        events.push(Event::PollEnd { task: other, at: at + if index < 120 { MS } else { 5 * MS } });
        if index % 40 < 30 {
            events.push(Event::WorkerPark { worker: runs_on, at: at + 2 * MS });
        }
        events.push(Event::Wake { task: other, at: at + 3 * MS, source: WakeSource::Driver });
    }
    events.push(Event::Advance { at: 800 * MS });
    let mut session = session_from(Vec::new(), RunPhase::Running);
    session.trace.set_external();
    session.coming = events;
    session.pump(Duration::ZERO);
    (session.status.source, session.status.clock) = (SourceKind::Attach, ClockKind::Real);
    session.status.control_level = ControlLevel::ReadOnly;
    session
}

/// A run with `tasks` tasks, for tests of the cost of a frame.
pub fn many_tasks(tasks: usize) -> FakeSession {
    let mut events = Vec::new();
    for number in 1..=tasks {
        events.push(spawn(task(number), &format!("worker-{number}"), None, 0));
    }
    for number in 1..=tasks {
        events.push(Event::PollStart { task: task(number), at: number as Nanos });
        events.push(Event::PollEnd { task: task(number), at: number as Nanos });
    }
    session_from(events, RunPhase::Running)
}

/// A launcher with a catalog of two workloads that starts countasync runs, or refuses to.
pub struct FakeLauncher {
    pub catalog: Vec<Manifest>,
    pub launched: Rc<RefCell<Vec<LaunchRequest>>>,
    pub commands: SentCommands,
    pub refusal: Option<String>,
}

impl Default for FakeLauncher {
    fn default() -> Self {
        let counters = Param {
            name: "counters".into(),
            help: "coroutines to gather".into(),
            kind: ParamKind::Number { min: 1.0, max: 100_000.0, whole: true },
            default: ParamValue::Number(3.0),
        };
        let order = Param {
            name: "order".into(),
            help: "who goes first".into(),
            kind: ParamKind::Choice(vec!["first".into(), "last".into()]),
            default: ParamValue::Text("first".into()),
        };
        let async_count = Manifest {
            name: "countasync".into(),
            title: "Count, asynchronously".into(),
            lesson: "Three coroutines sleep at the same time, so three seconds of sleep take one.".into(),
            clock: ClockKind::Virtual,
            params: vec![counters, order],
            expects: Expectations::default(),
            file: "workloads/countasync.lua".into(),
            path: None,
            text: SCRIPT.into(),
        };
        let sync_count = Manifest {
            name: "countsync".into(),
            title: "Count, one after the other".into(),
            lesson: "A blocking sleep stops everything else.".into(),
            params: Vec::new(),
            file: "workloads/countsync.lua".into(),
            path: Some("mine/countsync.lua".into()),
            text: "return {}\n".into(),
            ..async_count.clone()
        };
        Self {
            catalog: vec![async_count, sync_count],
            launched: Rc::default(),
            commands: SentCommands::default(),
            refusal: None,
        }
    }
}

impl Launcher for FakeLauncher {
    fn catalog(&self) -> &[Manifest] {
        &self.catalog
    }

    fn launch(&mut self, launch: &LaunchRequest) -> Result<Box<dyn Session>, String> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.launched.borrow_mut().push(launch.clone());
        let mut session = if launch.start_paused { paused_run() } else { completed_run() };
        session.commands = Rc::clone(&self.commands);
        Ok(Box::new(session))
    }
}
