//! Filing events: each changes the task that it names, the loop's counts, and what is kept.

use super::awaits::OpenAwaits;
use super::event::{AwaitKind, Cause, Ending, Event, Nanos};
use super::id::{AwaitId, SiteId, TaskId};
use super::output::Line;
use super::pause::Pause;
use super::resource::{Holding, Known, Unheard};
use super::retention::{Kept, Part};
use super::task::Live;
use super::{Fidelity, Gap, Trace};

impl Trace {
    /// Files one event. Events of one task come in order of time; an event that names a task nobody told of is
    /// counted as lost rather than guessed at.
    pub fn apply(&mut self, event: Event) {
        self.counts.events += 1;
        match event {
            Event::Spawn { task, at, spawned } => {
                self.advance(at);
                debug_assert_eq!(task.index(), self.tasks.len(), "task ids are given in order at the door");
                self.spawn(*spawned, at, self.steps);
                self.counts.scheduled += 1;
                self.note_ready();
            }
            Event::PollStart { task, at } => self.poll_start(task, at),
            Event::PollEnd { task, at } => self.poll_end(task, at),
            Event::Bounce { task, at } => {
                self.advance(at);
                if let Some(rare) = self.rare(task) {
                    rare.bounces += 1;
                }
            }
            Event::Wake { task, at, cause } => self.wake(task, at, cause),
            Event::WakeKept { task, at, cause } => {
                self.advance(at);
                if let Some(task) = self.tasks.get_mut(task) {
                    task.last_wake = Some((at, cause));
                }
            }
            Event::Hold { task, at } => {
                self.advance(at);
                let step = self.steps;
                if let Some(rare) = self.rare(task) {
                    rare.holds.push((at, None));
                    rare.hold_steps.push((step, None));
                }
            }
            Event::Release { task, at } => {
                self.advance(at);
                if let Some(task) = self.tasks.get_mut(task) {
                    task.release(at, self.steps);
                }
            }
            Event::End { task, at, outcome } => self.end(task, at, outcome),
            Event::Site { site, described } => {
                debug_assert_eq!(site.index(), self.sites.len(), "site ids are given in order at the door");
                self.sites.push(*described);
            }
            Event::AwaitStart { id, task, at, site } => self.await_start(id, task, at, site),
            Event::AwaitPoll { id, ready } => self.await_polled(id, 1, ready),
            Event::AwaitPolled { id, polls, ready } => {
                let known = self.awaits.get(id).map_or(0, |found| found.polls);
                self.await_polled(id, polls.saturating_sub(known), ready);
            }
            Event::AwaitUntold { id } => self.awaits.is_untold(id),
            Event::AwaitEnd { id, at } => self.await_end(id, at),
            Event::Resource { resource, at, described } => {
                if !self.resources.tell(resource, at, *described) {
                    self.grow(size_of::<Known>());
                }
            }
            Event::Attribute { resource, attribute } => self.resources.attribute(resource, *attribute),
            Event::ResourceEnd { resource, at } => {
                if self.resources.end(resource, at) {
                    self.kept_bytes = self.kept_bytes.saturating_sub(size_of::<Known>());
                }
            }
            Event::AwaitOf { id, resource } => self.awaits.is_for(id, resource),
            Event::Acquire { resource, task, at } => {
                self.advance(at);
                self.grow(size_of::<Holding>());
                self.resources.acquire(resource, task, at);
            }
            Event::GiveBack { resource, task, at } => {
                self.advance(at);
                self.resources.give_back(resource, task, at);
            }
            Event::Unheard { resource, task, at } => {
                self.advance(at);
                self.resources.note_unheard(Unheard { resource, task, at });
            }
            Event::NeverAwaited { task, at, coroutine } => {
                self.advance(at);
                self.resources.note_unawaited(task, at, *coroutine);
            }
            Event::Park { at } => {
                self.advance(at);
                self.loop_lane.poll_end(at, None);
                self.parked = true;
                self.counts.parks += 1;
            }
            Event::Unpark { at } => {
                self.counts.parked_ns +=
                    at.saturating_sub(self.loop_lane.last().and_then(|cycle| cycle.end()).unwrap_or(0));
                self.advance(at);
                self.turn_start(at);
            }
            Event::Output { task, at, text } => {
                self.advance(at);
                self.output.push(Line { at, task, text });
            }
            Event::Pause { at, cause } => {
                self.advance(at);
                self.pauses.push(Pause { at, cause });
            }
            Event::Gap { from, to, dropped } => {
                self.probe_dropped = self.probe_dropped.saturating_add(dropped);
                super::push_mark(&mut self.gaps, Gap { from, to, dropped, is_unwatched: false });
            }
            Event::Unwatched { from, to } => {
                super::push_mark(&mut self.gaps, Gap { from, to, dropped: 0, is_unwatched: true });
            }
            Event::Counted { task, counts } => {
                if let Some(told) = self.told(task) {
                    told.counts = Some(counts);
                }
                if let Some(task) = self.tasks.get_mut(task).filter(|_| self.fidelity == Fidelity::Sampled) {
                    // Somebody else's numbers may be any.
                    let new = counts.polls.saturating_sub(task.counts.polls);
                    self.counts.polls = self.counts.polls.saturating_add(new);
                    let new = counts.wakes.saturating_sub(task.counts.wakes);
                    self.counts.wakes = self.counts.wakes.saturating_add(new);
                    task.counts = counts;
                }
            }
            Event::Sampled { task, polled, woken } => self.sample(task, polled, woken),
            Event::Measured { task, at, measured } => self.measure(task, at, &measured),
            Event::LoopMeasured { at } => self.measure_loop(at),
            Event::Histograms { task, histograms } => {
                if let Some(told) = self.told(task) {
                    told.histograms = Some(histograms);
                }
            }
            Event::Located { task, location } => {
                self.locate(task, Some(*location));
            }
            Event::ManyThreads { at } => {
                self.many_threads.get_or_insert(at);
            }
            Event::ConsoleUpdate { dropped } => {
                self.console_updates += 1;
                self.console_dropped = self.console_dropped.saturating_add(dropped);
            }
            Event::Now { at } => self.advance(at),
        }
    }

    fn await_polled(&mut self, id: AwaitId, polls: u32, ready: bool) {
        let first_of = self.awaits.polled(id, polls, ready);
        if let Some(task) = first_of.and_then(|task| self.tasks.get_mut(task)) {
            task.counts.awaits += u64::from(self.fidelity == Fidelity::Exact);
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, at: Nanos) {
        self.now = self.now.max(at);
    }

    fn note_ready(&mut self) {
        if self.ready.note(self.now, self.counts.scheduled) {
            self.seen.forget_loop();
        }
    }

    fn turn_start(&mut self, at: Nanos) {
        self.parked = false;
        self.counts.turns += u64::from(!self.is_foreign);
        // Its steps are turns; nobody asks for them by number.
        let step = u32::try_from(self.counts.turns).unwrap_or(u32::MAX);
        let filed = self.loop_lane.poll_start(at, step, &mut self.scratch);
        self.keep(filed, Kept::Loop);
    }

    pub(super) fn poll_start(&mut self, id: TaskId, at: Nanos) {
        self.advance(at);
        let step = self.steps;
        let Some(task) = self.tasks.get_mut(id) else { return };
        let counted = u64::from(self.fidelity == Fidelity::Exact);
        task.counts.polls += counted;
        let filed = task.lane.poll_start(at, step, &mut self.scratch);
        self.keep(filed, Kept::Of(id, Part::Lane));
        self.steps = self.steps.saturating_add(1);
        self.counts.polls += counted;
        self.set_live(id, Live::Running);
    }

    fn await_start(&mut self, id: AwaitId, task: TaskId, at: Nanos, site: SiteId) {
        self.advance(at);
        if let Some(sealed_bytes) = self.awaits.start(id, task, site, at) {
            self.seal(Kept::Awaits);
            self.grow(sealed_bytes);
        }
        let kind = self.sites.get(site.index()).map_or(AwaitKind::Other, |site| site.kind);
        let is_call = kind == AwaitKind::Block;
        let Some(owner) = self.tasks.get_mut(task) else { return };
        owner.open_awaits.push(id);
        if self.fidelity == Fidelity::Exact {
            owner.lane.waits_on(id, kind, at);
        }
        let filed = owner.awaits.push(id);
        self.keep(filed, Kept::Of(task, Part::Awaits));
        if let Some(rare) = if is_call { self.rare(task) } else { None } {
            let filed = rare.calls.push(id);
            self.keep(filed, Kept::Of(task, Part::Calls));
        }
    }

    fn await_end(&mut self, id: AwaitId, at: Nanos) {
        self.advance(at);
        let Some((task, sealed_bytes)) = self.awaits.end(id, at) else { return };
        if let Some(sealed_bytes) = sealed_bytes {
            self.seal(Kept::Awaits);
            self.grow(sealed_bytes);
        }
        if let Some(task) = self.tasks.get_mut(task) {
            task.open_awaits.remove(id);
        }
    }

    pub(super) fn poll_end(&mut self, id: TaskId, at: Nanos) {
        self.advance(at);
        let Some(task) = self.tasks.get_mut(id) else { return };
        let waiting_on = task.open_awaits.last().map(|id| {
            let site = self.awaits.site_of_open(id).and_then(|site| self.sites.get(site.index()));
            (id, site.map_or(AwaitKind::Other, |site| site.kind))
        });
        task.lane.poll_end(at, waiting_on);
        let (started, woken) = task.lane.last().map_or((at, false), |cycle| (cycle.start, cycle.woken().is_some()));
        let busy_ns = at.saturating_sub(started);
        // Somebody else's program that tells sums has this poll in them.
        let is_in_a_sum = self.is_foreign && self.fidelity == Fidelity::Sampled;
        if !task.is_beside_the_loop() {
            let new_ns = if is_in_a_sum { 0 } else { busy_ns };
            self.counts.busy_ns = self.counts.busy_ns.saturating_add(new_ns);
            self.counts.longest_poll_ns = self.counts.longest_poll_ns.max(busy_ns);
        }
        self.set_live(id, if woken { Live::Scheduled } else { Live::Waiting });
    }

    fn wake(&mut self, id: TaskId, at: Nanos, cause: Cause) {
        self.advance(at);
        let step = self.steps;
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.counts.wakes += 1;
        task.counts.self_wakes += u64::from(cause == Cause::Own);
        task.last_wake = Some((at, cause));
        self.counts.wakes += 1;
        let is_waiting = task.live == Live::Waiting;
        if !task.lane.woken(at, step, Some(cause)) {
            let poll = task.lane.number();
            let filed = task.wakes.get_or_insert_default().push(poll, at, cause);
            self.keep(filed, Kept::Of(id, Part::Wakes));
        }
        if is_waiting {
            self.set_live(id, Live::Scheduled);
        }
    }

    fn end(&mut self, id: TaskId, at: Nanos, outcome: Ending) {
        self.advance(at);
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.ending.is_none()) else { return };
        let filed = task.lane.end(at);
        task.end_step = Some(self.steps);
        task.open_awaits = OpenAwaits::default();
        task.release(at, self.steps);
        match &outcome {
            Ending::Done => self.counts.done += 1,
            Ending::Cancelled => self.counts.cancelled += 1,
            Ending::Failed(_) => self.counts.failed += 1,
        }
        task.ending = Some(outcome);
        self.set_live(id, Live::Over);
        self.over.push_back(id);
        self.keep(filed, Kept::Of(id, Part::Ended));
    }

    pub(super) fn set_live(&mut self, id: TaskId, live: Live) {
        // Sampled facts may come after the end of what they are of.
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.live != Live::Over) else { return };
        let before = std::mem::replace(&mut task.live, live);
        if task.is_beside_the_loop() {
            let sign = i32::from(live == Live::Running) - i32::from(before == Live::Running);
            self.running_beside = self.running_beside.saturating_add_signed(sign);
        }
        for (state, sign) in [(before, -1), (live, 1)] {
            let count = match state {
                Live::Running => &mut self.counts.running,
                Live::Scheduled => &mut self.counts.scheduled,
                Live::Waiting => &mut self.counts.waiting,
                Live::Over => continue,
            };
            *count = count.saturating_add_signed(sign);
        }
        if self.is_foreign && self.fidelity == Fidelity::Exact {
            // What nobody tells of the loop itself is taken from its tasks.
            match self.counts.running.saturating_sub(self.running_beside) {
                0 if !self.parked => {
                    self.loop_lane.poll_end(self.now, None);
                    self.parked = true;
                }
                running if running > 0 && self.parked => self.turn_start(self.now),
                _ => {}
            }
        }
        self.note_ready();
    }

    /// A feed told so many events of the probe's ring.
    pub fn count_probe_events(&mut self, events: u64) {
        self.probe_events += events;
    }
}
