//! Applies events to the trace: each updates the task that it names, the totals of the loop, and the memory accounting.

use super::Trace;
use super::await_site::AwaitKind;
use super::awaits::OpenAwaits;
use super::block_owner::{BlockOwner, TaskBlockKind};
use super::event::Event;
use super::fidelity::Fidelity;
use super::gap::Gap;
use super::id::{AwaitId, SiteId, TaskId};
use super::marks::push_mark;
use super::output::OutputLine;
use super::pause::Pause;
use super::resource::{Acquisition, LostNotification, ResourceEntry};
use super::task::TaskPhase;
use super::task_meta::TaskOutcome;
use super::time::Nanos;
use super::wake_source::WakeSource;

impl Trace {
    /// Stores one event. Events of one task must come in time order. Events of unknown or evicted tasks are ignored.
    pub fn apply(&mut self, event: Event) {
        self.counts.events += 1;
        match event {
            Event::Spawn { task, at, meta } => {
                self.advance(at);
                debug_assert_eq!(task.index(), self.tasks.len(), "task ids are dense and in order");
                self.add_task(*meta, at, self.steps);
                self.counts.scheduled += 1;
                self.record_ready_count();
            }
            Event::PollStart { task, at } => self.start_poll(task, at),
            Event::PollEnd { task, at } => self.end_poll(task, at),
            Event::PollSuppressed { task, at } => {
                self.advance(at);
                if let Some(cold) = self.cold_state_mut(task) {
                    cold.suppressed_polls += 1;
                }
            }
            Event::Wake { task, at, source } => self.wake_task(task, at, source),
            Event::WakeDeferred { task, at, source } => {
                self.advance(at);
                if let Some(task) = self.tasks.get_mut(task) {
                    task.last_wake = Some((at, source));
                }
            }
            Event::Hold { task, at } => {
                self.advance(at);
                let step = self.steps;
                if let Some(cold) = self.cold_state_mut(task) {
                    cold.holds.push((at, None));
                    cold.hold_steps.push((step, None));
                }
            }
            Event::Release { task, at } => {
                self.advance(at);
                if let Some(task) = self.tasks.get_mut(task) {
                    task.end_hold(at, self.steps);
                }
            }
            Event::TaskEnd { task, at, outcome } => self.end_task(task, at, outcome),
            Event::NewAwaitSite { id, site } => {
                debug_assert_eq!(id.index(), self.sites.len(), "site ids are dense and in order");
                self.sites.push(*site);
            }
            Event::AwaitStart { id, task, at, site } => self.start_await(id, task, at, site),
            Event::AwaitPoll { id, is_ready } => self.add_await_polls(id, 1, is_ready),
            Event::AwaitPollCount { id, polls, is_ready } => {
                let counted = self.awaits.get(id).map_or(0, |found| found.polls);
                self.add_await_polls(id, polls.saturating_sub(counted), is_ready);
            }
            Event::AwaitPollsMissed { id } => self.awaits.mark_outcome_uncertain(id),
            Event::AwaitEnd { id, at } => self.end_await(id, at),
            Event::NewResource { id, at, resource } => {
                if !self.resources.insert(id, at, *resource) {
                    self.account_bytes(size_of::<ResourceEntry>());
                }
            }
            Event::ResourceAttribute { resource, attribute } => self.resources.set_attribute(resource, *attribute),
            Event::ResourceEnd { resource, at } => {
                if self.resources.set_dropped(resource, at) {
                    self.history_bytes = self.history_bytes.saturating_sub(size_of::<ResourceEntry>());
                }
            }
            Event::AwaitResource { id, resource } => self.awaits.set_resource(id, resource),
            Event::ResourceAcquire { resource, task, at } => {
                self.advance(at);
                self.account_bytes(size_of::<Acquisition>());
                self.resources.acquire(resource, task, at);
            }
            Event::ResourceRelease { resource, task, at } => {
                self.advance(at);
                self.resources.release(resource, task, at);
            }
            Event::NotificationLost { resource, task, at } => {
                self.advance(at);
                self.resources.add_lost_notification(LostNotification { resource, task, at });
            }
            Event::NeverAwaited { task, at, coroutine } => {
                self.advance(at);
                self.resources.add_unawaited_coroutine(task, at, *coroutine);
            }
            Event::Park { at } => {
                self.advance(at);
                self.loop_lane.end_poll(at, None);
                self.is_parked = true;
                self.counts.parks += 1;
            }
            Event::Unpark { at } => {
                self.counts.parked_ns +=
                    at.saturating_sub(self.loop_lane.last().and_then(|cycle| cycle.end()).unwrap_or(0));
                self.advance(at);
                self.start_turn(at);
            }
            Event::Output { task, at, text } => {
                self.advance(at);
                self.output.push(OutputLine { at, task, text });
            }
            Event::Pause { at, reason: cause } => {
                self.advance(at);
                self.pauses.push(Pause { at, reason: cause });
            }
            Event::Gap { from, to, dropped } => {
                self.probe_dropped = self.probe_dropped.saturating_add(dropped);
                push_mark(&mut self.gaps, Gap { from, to, dropped, is_disconnected: false });
            }
            Event::Disconnected { from, to } => {
                push_mark(&mut self.gaps, Gap { from, to, dropped: 0, is_disconnected: true });
            }
            Event::ConsoleCounts { task, counts } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.counts = Some(counts);
                }
                if let Some(task) = self.tasks.get_mut(task).filter(|_| self.fidelity == Fidelity::Sampled) {
                    // Counts from an external program are untrusted, hence the saturating arithmetic.
                    let new = counts.polls.saturating_sub(task.counts.polls);
                    self.counts.polls = self.counts.polls.saturating_add(new);
                    let new = counts.wakes.saturating_sub(task.counts.wakes);
                    self.counts.wakes = self.counts.wakes.saturating_add(new);
                    task.counts = counts;
                }
            }
            Event::Sample { task, last_poll, last_wake } => self.apply_sample(task, last_poll, last_wake),
            Event::TaskStats { task, at, stats } => self.apply_stats(task, at, &stats),
            Event::StatsComplete { at } => self.complete_stats(at),
            Event::TaskHistograms { task, histograms } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.histograms = Some(histograms);
                }
            }
            Event::SpawnLocation { task, location } => {
                self.set_spawn_location(task, Some(*location));
            }
            Event::MultiThreadDetected { at } => {
                self.multi_threaded_since.get_or_insert(at);
            }
            Event::ConsoleUpdate { dropped } => {
                self.console_updates += 1;
                self.console_dropped = self.console_dropped.saturating_add(dropped);
            }
            Event::Advance { at } => self.advance(at),
        }
    }

    fn add_await_polls(&mut self, id: AwaitId, polls: u32, is_ready: bool) {
        let first_polled_by = self.awaits.record_polls(id, polls, is_ready);
        if let Some(task) = first_polled_by.and_then(|task| self.tasks.get_mut(task)) {
            task.counts.awaits += u64::from(self.fidelity == Fidelity::Exact);
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, at: Nanos) {
        self.now = self.now.max(at);
    }

    fn record_ready_count(&mut self) {
        if self.ready_queue.record(self.now, self.counts.scheduled) {
            self.cell_cache.clear_ready_peaks();
        }
    }

    fn start_turn(&mut self, at: Nanos) {
        self.is_parked = false;
        self.counts.turns += u64::from(!self.is_external);
        // In the loop's lane, steps are turns. They are never looked up by number.
        let step = u32::try_from(self.counts.turns).unwrap_or(u32::MAX);
        let delta = self.loop_lane.start_poll(at, step, &mut self.pack_scratch);
        self.account_storage(delta, BlockOwner::Loop);
    }

    pub(super) fn start_poll(&mut self, id: TaskId, at: Nanos) {
        self.advance(at);
        let step = self.steps;
        let Some(task) = self.tasks.get_mut(id) else { return };
        let counted = u64::from(self.fidelity == Fidelity::Exact);
        task.counts.polls += counted;
        let delta = task.lane.start_poll(at, step, &mut self.pack_scratch);
        self.account_storage(delta, BlockOwner::Task(id, TaskBlockKind::Lane));
        self.steps = self.steps.saturating_add(1);
        self.counts.polls += counted;
        self.set_phase(id, TaskPhase::Running);
    }

    fn start_await(&mut self, id: AwaitId, task: TaskId, at: Nanos, site: SiteId) {
        self.advance(at);
        if let Some(sealed_bytes) = self.awaits.start(id, task, site, at) {
            self.queue_sealed_block(BlockOwner::Awaits);
            self.account_bytes(sealed_bytes);
        }
        let kind = self.sites.get(site.index()).map_or(AwaitKind::Other, |site| site.kind);
        let is_blocking_call = kind == AwaitKind::BlockingCall;
        let Some(owner) = self.tasks.get_mut(task) else { return };
        owner.open_awaits.push(id);
        if self.fidelity == Fidelity::Exact {
            owner.lane.name_last_wait(id, kind, at);
        }
        let delta = owner.awaits.push(id);
        self.account_storage(delta, BlockOwner::Task(task, TaskBlockKind::Awaits));
        if let Some(cold) = if is_blocking_call { self.cold_state_mut(task) } else { None } {
            let delta = cold.blocking_calls.push(id);
            self.account_storage(delta, BlockOwner::Task(task, TaskBlockKind::BlockingCalls));
        }
    }

    fn end_await(&mut self, id: AwaitId, at: Nanos) {
        self.advance(at);
        let Some((task, sealed_bytes)) = self.awaits.end(id, at) else { return };
        if let Some(sealed_bytes) = sealed_bytes {
            self.queue_sealed_block(BlockOwner::Awaits);
            self.account_bytes(sealed_bytes);
        }
        if let Some(task) = self.tasks.get_mut(task) {
            task.open_awaits.remove(id);
        }
    }

    pub(super) fn end_poll(&mut self, id: TaskId, at: Nanos) {
        self.advance(at);
        let Some(task) = self.tasks.get_mut(id) else { return };
        let waiting_on = task.open_awaits.last().map(|id| {
            let site = self.awaits.site_of_open(id).and_then(|site| self.sites.get(site.index()));
            (id, site.map_or(AwaitKind::Other, |site| site.kind))
        });
        task.lane.end_poll(at, waiting_on);
        let (started, is_woken) =
            task.lane.last().map_or((at, false), |cycle| (cycle.start, cycle.scheduled_at().is_some()));
        let busy_ns = at.saturating_sub(started);
        // The statistics that an external program reports already include this poll.
        let is_in_reported_stats = self.is_external && self.fidelity == Fidelity::Sampled;
        if !task.is_off_loop() {
            let new_ns = if is_in_reported_stats { 0 } else { busy_ns };
            self.counts.busy_ns = self.counts.busy_ns.saturating_add(new_ns);
            self.counts.longest_poll_ns = self.counts.longest_poll_ns.max(busy_ns);
        }
        self.set_phase(id, if is_woken { TaskPhase::Scheduled } else { TaskPhase::Waiting });
    }

    fn wake_task(&mut self, id: TaskId, at: Nanos, source: WakeSource) {
        self.advance(at);
        let step = self.steps;
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.counts.wakes += 1;
        task.counts.self_wakes += u64::from(source == WakeSource::SelfWake);
        task.last_wake = Some((at, source));
        self.counts.wakes += 1;
        let is_waiting = task.phase == TaskPhase::Waiting;
        if !task.lane.record_wake(at, step, Some(source)) {
            let poll = task.lane.poll_count();
            let delta = task.wakes.get_or_insert_default().push(poll, at, source);
            self.account_storage(delta, BlockOwner::Task(id, TaskBlockKind::Wakes));
        }
        if is_waiting {
            self.set_phase(id, TaskPhase::Scheduled);
        }
    }

    fn end_task(&mut self, id: TaskId, at: Nanos, outcome: TaskOutcome) {
        self.advance(at);
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.outcome.is_none()) else { return };
        let delta = task.lane.end(at);
        task.end_step = Some(self.steps);
        task.open_awaits = OpenAwaits::default();
        task.end_hold(at, self.steps);
        match &outcome {
            TaskOutcome::Completed => self.counts.completed += 1,
            TaskOutcome::Cancelled => self.counts.cancelled += 1,
            TaskOutcome::Failed(_) => self.counts.failed += 1,
        }
        task.outcome = Some(outcome);
        self.set_phase(id, TaskPhase::Ended);
        self.ended_tasks.push_back(id);
        self.account_storage(delta, BlockOwner::Task(id, TaskBlockKind::LaneTail));
    }

    pub(super) fn set_phase(&mut self, id: TaskId, phase: TaskPhase) {
        // Samples may arrive after their task has ended.
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.phase != TaskPhase::Ended) else { return };
        let before = std::mem::replace(&mut task.phase, phase);
        if task.is_off_loop() {
            let sign = i32::from(phase == TaskPhase::Running) - i32::from(before == TaskPhase::Running);
            self.running_off_loop = self.running_off_loop.saturating_add_signed(sign);
        }
        for (phase, sign) in [(before, -1), (phase, 1)] {
            let count = match phase {
                TaskPhase::Running => &mut self.counts.running,
                TaskPhase::Scheduled => &mut self.counts.scheduled,
                TaskPhase::Waiting => &mut self.counts.waiting,
                TaskPhase::Ended => continue,
            };
            *count = count.saturating_add_signed(sign);
        }
        if self.is_external && self.fidelity == Fidelity::Exact {
            // The program does not report parks, so the loop's lane is derived from its tasks.
            match self.counts.running.saturating_sub(self.running_off_loop) {
                0 if !self.is_parked => {
                    self.loop_lane.end_poll(self.now, None);
                    self.is_parked = true;
                }
                running if running > 0 && self.is_parked => self.start_turn(self.now),
                _ => {}
            }
        }
        self.record_ready_count();
    }

    /// Adds `events` to the number of events read from the probe.
    pub fn count_probe_events(&mut self, events: u64) {
        self.probe_events += events;
    }
}
