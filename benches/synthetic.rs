//! A loop that never ran: tasks that sleep, send each other messages and give turns away, told as the events that the
//! probe would tell of them. The same number of tasks and the same seed give the same events, to the nanosecond.
//!
//! Polls take an exponential time of 20 µs, sleeps one of such a mean that the loop is busy for about two thirds of the
//! time, as real ones are: neither all alike, which would pack to nothing, nor all different.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use loopscope::trace::{AwaitId, AwaitKind, Cause, Event, Nanos, Site, SiteId, Spawned, TaskId, TaskKind};

const POLL_MEAN_NS: f64 = 20_000.0;

/// How busy the loop is: the mean time between two wakes by timers, in mean polls.
const SPACING: f64 = 1.5;

/// How much is told of each poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Polls, wakes and awaits: what the lab tells of its own loop.
    Whole,
    /// Polls and wakes alone.
    Polls,
}

#[derive(Clone, Copy, Debug, Default)]
struct Doing {
    open: Option<AwaitId>,
    kind: usize,
}

/// See the module. It is an iterator without end.
#[derive(Clone)]
pub struct Synthetic {
    telling: Telling,
    random: u64,
    now: Nanos,
    tasks: Vec<Doing>,
    ready: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(Nanos, usize)>>,
    receivers: VecDeque<usize>,
    awaits: usize,
    told: VecDeque<Event>,
}

const KINDS: [(AwaitKind, &str); 3] =
    [(AwaitKind::Timer, "sleep"), (AwaitKind::Channel, "receive"), (AwaitKind::Yield, "yield_now")];
const SLEEP: usize = 0;
const RECEIVE: usize = 1;
const YIELD: usize = 2;

impl Synthetic {
    pub fn new(tasks: usize, telling: Telling, seed: u64) -> Self {
        let mut told = VecDeque::new();
        for (index, (kind, source)) in KINDS.into_iter().enumerate() {
            let described = Box::new(Site { kind, source: source.into(), location: None });
            told.push_back(Event::Site { site: SiteId::from_index(index), described });
        }
        for index in 0..tasks {
            let spawned = Spawned {
                name: format!("task-{index}").into(),
                kind: TaskKind::Task,
                parent: None,
                location: None,
                size_bytes: None,
                boxed_from_bytes: None,
            };
            told.push_back(Event::Spawn { task: TaskId::from_index(index), at: 0, spawned: Box::new(spawned) });
        }
        Self {
            telling,
            random: seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1,
            now: 0,
            tasks: vec![Doing::default(); tasks],
            ready: (0..tasks).collect(),
            timers: BinaryHeap::new(),
            receivers: VecDeque::new(),
            awaits: 0,
            told,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        let uniform = (self.random(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
        (-uniform.ln() * mean) as u64 + 1
    }

    fn tell(&mut self, event: Event) {
        self.told.push_back(event);
    }

    fn wake(&mut self, index: usize, cause: Cause) {
        self.ready.push_back(index);
        self.tell(Event::Wake { task: TaskId::from_index(index), at: self.now, cause });
    }

    fn due(&mut self) {
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > self.now {
                break;
            }
            self.timers.pop();
            self.wake(index, Cause::Driver);
        }
    }

    /// One task is polled, or the loop parks until the next timer.
    fn turn(&mut self) {
        let Some(index) = self.ready.pop_front() else {
            self.tell(Event::Park { at: self.now });
            match self.timers.peek() {
                Some(Reverse((at, _))) => self.now = self.now.max(*at),
                // All of them wait for a message: one comes from outside.
                None => self.now += 1_000,
            }
            self.tell(Event::Unpark { at: self.now });
            self.due();
            if self.ready.is_empty()
                && let Some(receiver) = self.receivers.pop_front()
            {
                self.wake(receiver, Cause::Driver);
            }
            return;
        };
        let task = TaskId::from_index(index);
        self.now += 150;
        self.tell(Event::PollStart { task, at: self.now });
        let length = self.exponential(POLL_MEAN_NS);
        let whole = self.telling == Telling::Whole;
        if let Some(id) = self.tasks[index].open.take() {
            self.now += 100;
            self.tell(Event::AwaitPoll { id, ready: true });
            self.tell(Event::AwaitEnd { id, at: self.now });
        }
        self.now += length;
        if self.random(3) == 0
            && let Some(receiver) = self.receivers.pop_front()
        {
            self.wake(receiver, Cause::Task(task));
        }
        let kind = match self.random(8) {
            0 => YIELD,
            1..=3 => RECEIVE,
            _ => SLEEP,
        };
        self.tasks[index].kind = kind;
        if whole {
            let id = AwaitId::from_index(self.awaits);
            self.awaits += 1;
            self.now += 100;
            self.tell(Event::AwaitStart { id, task, at: self.now, site: SiteId::from_index(kind) });
            self.tell(Event::AwaitPoll { id, ready: false });
            self.tasks[index].open = Some(id);
        }
        match kind {
            SLEEP => {
                let mean = POLL_MEAN_NS * SPACING * self.tasks.len() as f64;
                let until = self.now + self.exponential(mean);
                self.timers.push(Reverse((until, index)));
            }
            RECEIVE => self.receivers.push_back(index),
            _ => self.wake(index, Cause::Own),
        }
        self.now += 50;
        self.tell(Event::PollEnd { task, at: self.now });
        self.due();
    }
}

impl Iterator for Synthetic {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.told.is_empty() {
            self.turn();
        }
        self.told.pop_front()
    }
}
