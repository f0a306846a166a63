//! A stage for the screen: sessions played from events that were written down, so that every frame is known.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loopscope::app::{Launch, Launcher, Session};
use loopscope::control::{ClockKind, Command, FeedChoice, Outcome, Phase, SourceKind, Speed, Status, Steering};
use loopscope::trace::{
    AwaitId, AwaitKind, Cause, Ending, Event, Location, Nanos, PauseCause, Site, SiteId, Spawned, TaskId, Trace,
};
use loopscope::workload::manifest::{Manifest, Param, ParamKind, ParamValue};

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

/// Commands that a session was given; the test and the session share them.
pub type Commands = Rc<RefCell<Vec<Command>>>;

/// A session that plays events.
pub struct Played {
    pub trace: Trace,
    pub status: Status,
    pub commands: Commands,
    /// Events that the next pump takes in.
    pub coming: Vec<Event>,
    /// What takes its place once.
    pub successor: Option<Box<Played>>,
}

impl Session for Played {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
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

    fn command(&mut self, command: Command) {
        match command {
            Command::Pause => self.status.phase = Phase::Paused,
            Command::Resume => self.status.phase = Phase::Running,
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
    let spawned = Spawned { name: Arc::from(name), parent, location: location(12), ..Spawned::default() };
    Event::Spawn { task: id, at, spawned: Box::new(spawned) }
}

pub fn site(index: usize, kind: AwaitKind, source: &str, line: u32) -> Event {
    let described = Box::new(Site { kind, source: Arc::from(source), location: location(line) });
    Event::Site { site: SiteId::from_index(index), described }
}

/// What happens when three coroutines print, sleep one second and print, all at once.
pub fn counting() -> Vec<Event> {
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
        events.push(Event::Now { at: now * 100 * MS });
    }
    events.push(Event::Unpark { at: S });
    events.extend(counts.map(|id| Event::Wake { task: id, at: S, cause: Cause::Driver }));
    for (index, id) in (1..).zip(counts) {
        events.extend([
            Event::PollStart { task: id, at: S },
            Event::AwaitPoll { id: awaited(index), ready: true },
            Event::AwaitEnd { id: awaited(index), at: S },
            Event::Output { task: Some(id), at: S, text: "Two".into() },
            Event::Wake { task: main, at: S, cause: Cause::Task(id) },
            Event::PollEnd { task: id, at: S },
            Event::End { task: id, at: S, outcome: Ending::Done },
        ]);
    }
    events.extend([
        Event::PollStart { task: main, at: S },
        Event::AwaitPoll { id: awaited(0), ready: true },
        Event::AwaitEnd { id: awaited(0), at: S },
        Event::PollEnd { task: main, at: S },
        Event::End { task: main, at: S, outcome: Ending::Done },
        Event::Park { at: S },
    ]);
    events
}

fn time_of(event: &Event) -> Nanos {
    match event {
        Event::Now { at } | Event::Unpark { at } | Event::Park { at } | Event::Wake { at, .. } => *at,
        _ => 0,
    }
}

fn status(phase: Phase) -> Status {
    Status {
        name: "countasync".into(),
        source: SourceKind::Workload,
        steering: Steering::Loop,
        link: None,
        clock: ClockKind::Virtual,
        speed: Speed::Times(1.0),
        phase,
        now: 0,
        next_timer: None,
        feed: FeedChoice::Both,
        outcome: None,
    }
}

/// A session into which `events` went.
pub fn played(events: Vec<Event>, phase: Phase) -> Played {
    let mut session = Played {
        status: status(phase),
        trace: Trace::default(),
        commands: Commands::default(),
        coming: events,
        successor: None,
    };
    session.pump(Duration::ZERO);
    session
}

/// The counting, stopped at 400 ms.
pub fn paused() -> Played {
    let mut events: Vec<Event> = counting().into_iter().take_while(|event| time_of(event) <= 400 * MS).collect();
    events.push(Event::Pause { at: 400 * MS, cause: PauseCause::Person });
    let mut session = played(events, Phase::Paused);
    session.status.next_timer = Some(S);
    session
}

/// One task for each thing that a lane can show, over three seconds; the last of them still goes on.
pub fn zoo() -> Played {
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
        if kind == AwaitKind::Block {
            events.push(Event::AwaitEnd { id: await_id, at: at + 700 * MS });
            events.push(Event::PollEnd { task: id, at: at + 900 * MS });
            events.push(Event::Wake { task: id, at: at + 1_000 * MS, cause: Cause::Own });
            continue;
        }
        events.push(Event::PollEnd { task: id, at: at + 51 * MS });
        let over = 2 * S + at;
        match kind {
            AwaitKind::Timer => events.push(Event::Hold { task: id, at: S }),
            AwaitKind::Task => events.push(Event::End { task: id, at: over, outcome: Ending::Done }),
            AwaitKind::Sync => events.push(Event::End { task: id, at: over, outcome: Ending::Cancelled }),
            AwaitKind::Channel => {
                events.push(Event::End { task: id, at: over, outcome: Ending::Failed("no receiver is left".into()) });
            }
            AwaitKind::Io => {
                events.push(Event::Wake { task: id, at: over, cause: Cause::Driver });
                events.push(Event::PollStart { task: id, at: over + 200 * MS });
                events.push(Event::PollEnd { task: id, at: over + 400 * MS });
            }
            _ => {}
        }
    }
    events.push(Event::Gap { from: 1_500 * MS, to: 1_550 * MS, dropped: 3 });
    events.push(Event::Pause { at: 2 * S, cause: PauseCause::Person });
    events.push(Event::Now { at: 3 * S });
    played(events, Phase::Paused)
}

/// The counting, over.
pub fn ended() -> Played {
    let mut session = played(counting(), Phase::Ended);
    session.status.outcome = Some(Outcome::Completed(serde_json::json!([1, 2, 3])));
    session
}

/// The counting, stopped by an error of many lines and with facts that were lost.
pub fn failed() -> Played {
    let mut session = paused();
    session.trace.apply(Event::Gap { from: 100 * MS, to: 200 * MS, dropped: 7 });
    session.trace.apply(Event::End { task: task(2), at: 400 * MS, outcome: Ending::Failed("boom".into()) });
    session.status.phase = Phase::Ended;
    let error = "workloads/countasync.lua:5: boom\n  5 |   print(\"Two\")\nin count, called by main\n\
                 what to do: nothing, this is a test\nline five\nline six\nline seven\nline eight\nline nine";
    session.status.outcome = Some(Outcome::Failed(error.into()));
    session
}

/// So many tasks that no frame may look at all of them.
pub fn crowd(tasks: usize) -> Played {
    let mut events = Vec::new();
    for number in 1..=tasks {
        events.push(spawn(task(number), &format!("worker-{number}"), None, 0));
    }
    for number in 1..=tasks {
        events.push(Event::PollStart { task: task(number), at: number as Nanos });
        events.push(Event::PollEnd { task: task(number), at: number as Nanos });
    }
    played(events, Phase::Running)
}

/// A catalog of two, and a launcher that plays the counting or refuses.
pub struct Stage {
    pub catalog: Vec<Manifest>,
    pub launched: Rc<RefCell<Vec<Launch>>>,
    pub commands: Commands,
    pub refusal: Option<String>,
}

impl Default for Stage {
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
            commands: Commands::default(),
            refusal: None,
        }
    }
}

impl Launcher for Stage {
    fn catalog(&self) -> &[Manifest] {
        &self.catalog
    }

    fn launch(&mut self, launch: &Launch) -> Result<Box<dyn Session>, String> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.launched.borrow_mut().push(launch.clone());
        let mut session = if launch.paused { paused() } else { ended() };
        session.commands = Rc::clone(&self.commands);
        Ok(Box::new(session))
    }
}
