//! Synthetic load: generates the events of a loop whose tasks sleep, send each other messages and yield.
//!
//! Equal task counts and seeds give equal events. Poll durations are exponentially distributed with a mean of 20 µs.
//! Sleeps are too, with a mean that keeps the loop busy for about two thirds of the time. So events are neither all
//! equal, which would compress to nothing, nor all different.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use loopscope::trace::{AwaitId, AwaitKind, AwaitSite, Event, Nanos, SiteId, TaskId, TaskKind, TaskMeta, WakeSource};

/// Mean duration of a poll, in nanoseconds.
const POLL_MEAN_NS: f64 = 20_000.0;

/// Mean time between two timer wakes, in mean poll durations.
const TIMER_SPACING: f64 = 1.5;

/// Which events are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMix {
    /// Polls, wakes and awaits, as the probe reports them.
    Full,
    /// Polls and wakes only.
    PollsOnly,
}

/// An infinite iterator over the events of a synthetic loop.
#[derive(Clone)]
pub struct SyntheticLoop {
    mix: EventMix,
    random: u64,
    now: Nanos,
    /// The open await of each task.
    open_awaits: Vec<Option<AwaitId>>,
    ready: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(Nanos, usize)>>,
    receivers: VecDeque<usize>,
    awaits: usize,
    pending: VecDeque<Event>,
}

/// The await sites, in the order of their ids.
const SITES: [(AwaitKind, &str); 3] =
    [(AwaitKind::Timer, "sleep"), (AwaitKind::Channel, "receive"), (AwaitKind::Yield, "yield_now")];
const SLEEP: usize = 0;
const RECEIVE: usize = 1;
const YIELD: usize = 2;

impl SyntheticLoop {
    /// Creates a loop with `tasks` tasks, which are all ready at the start.
    pub fn new(tasks: usize, mix: EventMix, seed: u64) -> Self {
        let mut pending = VecDeque::new();
        for (index, (kind, source)) in SITES.into_iter().enumerate() {
            let site = Box::new(AwaitSite { kind, source: source.into(), location: None, chain: None });
            pending.push_back(Event::NewAwaitSite { id: SiteId::from_index(index), site });
        }
        for index in 0..tasks {
            let meta = TaskMeta {
                name: format!("task-{index}").into(),
                kind: TaskKind::Task,
                parent: None,
                location: None,
                size_bytes: None,
                original_size_bytes: None,
            };
            pending.push_back(Event::Spawn { task: TaskId::from_index(index), at: 0, meta: Box::new(meta) });
        }
        Self {
            mix,
            random: seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1,
            now: 0,
            open_awaits: vec![None; tasks],
            ready: (0..tasks).collect(),
            timers: BinaryHeap::new(),
            receivers: VecDeque::new(),
            awaits: 0,
            pending,
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

    fn emit(&mut self, event: Event) {
        self.pending.push_back(event);
    }

    fn wake(&mut self, index: usize, source: WakeSource) {
        self.ready.push_back(index);
        self.emit(Event::Wake { task: TaskId::from_index(index), at: self.now, source });
    }

    fn fire_timers(&mut self) {
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > self.now {
                break;
            }
            self.timers.pop();
            self.wake(index, WakeSource::Driver);
        }
    }

    /// Polls one task, or parks the loop until the next timer.
    fn turn(&mut self) {
        let Some(index) = self.ready.pop_front() else {
            self.emit(Event::Park { at: self.now });
            match self.timers.peek() {
                Some(Reverse((at, _))) => self.now = self.now.max(*at),
                // All tasks wait for a message, so one arrives from outside.
                None => self.now += 1_000,
            }
            self.emit(Event::Unpark { at: self.now });
            self.fire_timers();
            if self.ready.is_empty()
                && let Some(receiver) = self.receivers.pop_front()
            {
                self.wake(receiver, WakeSource::Driver);
            }
            return;
        };
        let task = TaskId::from_index(index);
        self.now += 150;
        self.emit(Event::PollStart { task, at: self.now });
        let length = self.exponential(POLL_MEAN_NS);
        let has_awaits = self.mix == EventMix::Full;
        if let Some(id) = self.open_awaits[index].take() {
            self.now += 100;
            self.emit(Event::AwaitPoll { id, is_ready: true });
            self.emit(Event::AwaitEnd { id, at: self.now });
        }
        self.now += length;
        if self.random(3) == 0
            && let Some(receiver) = self.receivers.pop_front()
        {
            self.wake(receiver, WakeSource::Task(task));
        }
        let site = match self.random(8) {
            0 => YIELD,
            1..=3 => RECEIVE,
            _ => SLEEP,
        };
        if has_awaits {
            let id = AwaitId::from_index(self.awaits);
            self.awaits += 1;
            self.now += 100;
            self.emit(Event::AwaitStart { id, task, at: self.now, site: SiteId::from_index(site) });
            self.emit(Event::AwaitPoll { id, is_ready: false });
            self.open_awaits[index] = Some(id);
        }
        match site {
            SLEEP => {
                let mean = POLL_MEAN_NS * TIMER_SPACING * self.open_awaits.len() as f64;
                let until = self.now + self.exponential(mean);
                self.timers.push(Reverse((until, index)));
            }
            RECEIVE => self.receivers.push_back(index),
            _ => self.wake(index, WakeSource::SelfWake),
        }
        self.now += 50;
        self.emit(Event::PollEnd { task, at: self.now });
        self.fire_timers();
    }
}

impl Iterator for SyntheticLoop {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.pending.is_empty() {
            self.turn();
        }
        self.pending.pop_front()
    }
}
