//! Applies events to the trace: each event is dispatched to the parts of the trace that it changes.

use super::Trace;
use super::await_site::AwaitKind;
use super::block_owner::{BlockOwner, TaskBlockKind};
use super::event::Event;
use super::gap::Gap;
use super::id::{AwaitId, SiteId, TaskId};
use super::marks::push_mark;
use super::notices::{Notice, StackSample, UnretrievedException};
use super::output::OutputLine;
use super::pause::Pause;
use super::resource::{Acquisition, LostNotification, ResourceEntry};
use super::storage::StorageDelta;
use super::task::{ColdState, ConsoleTaskStats, TaskPhase};
use super::task_meta::{TaskMeta, TaskOutcome};
use super::time::Nanos;
use super::wake_source::WakeSource;

impl Trace {
    /// Stores one event. Events of one task must come in time order. Events of unknown or evicted tasks are ignored.
    pub fn apply(&mut self, event: Event) {
        self.loop_state.counts.events += 1;
        match event {
            Event::Spawn { task, at, meta } => {
                self.loop_state.advance(at);
                debug_assert_eq!(task.index(), self.history.tasks.len(), "task ids are dense and in order");
                self.loop_state.count_spawn(meta.kind);
                self.add_task(*meta, at, self.loop_state.steps);
                self.loop_state.record_ready_count();
            }
            Event::PollStart { task, at } => self.start_poll(task, at),
            Event::ObservedFrom { task, at } => self.observe_from(task, at),
            Event::PollWorker { task, worker } => self.set_poll_worker(task, worker),
            Event::PollEnd { task, at } => self.end_poll(task, at),
            Event::PollSuppressed { task, at } => {
                self.loop_state.advance(at);
                if let Some(cold) = self.cold_state_mut(task) {
                    cold.suppressed_polls += 1;
                }
            }
            Event::Wake { task, at, source } => self.wake_task(task, at, source),
            Event::WakeDeferred { task, at, source } => {
                self.loop_state.advance(at);
                if let Some(cold) = self.cold_state_mut(task) {
                    cold.deferred_wake.get_or_insert((at, source));
                }
            }
            Event::Hold { task, at } => {
                self.loop_state.advance(at);
                self.start_hold(task, at);
            }
            Event::Release { task, at } => {
                self.loop_state.advance(at);
                self.end_hold(task, at);
            }
            Event::TaskEnd { task, at, outcome } => self.end_task(task, at, outcome),
            Event::TaskOutcomeDoubted { task } => self.doubt_outcome(task),
            Event::NewAwaitSite { id, site } => {
                debug_assert_eq!(id.index(), self.history.sites.len(), "site ids are dense and in order");
                self.history.sites.push(*site);
            }
            Event::AwaitStart { id, task, at, site } => self.start_await(id, task, at, site),
            Event::AwaitPoll { id, is_ready } => self.add_await_polls(id, 1, is_ready),
            Event::AwaitPollCount { id, polls, is_ready } => {
                let counted = self.history.awaits.get(id).map_or(0, |found| found.polls);
                self.add_await_polls(id, polls.saturating_sub(counted), is_ready);
            }
            Event::AwaitPollsMissed { id } => self.history.awaits.mark_outcome_uncertain(id),
            Event::AwaitUnpolled { id } => self.history.stop_waiting_on(id),
            Event::AwaitOutcomeKnown { id, is_ready } => {
                self.history.awaits.set_outcome(id, is_ready);
                self.history.note_call_outcome(id, is_ready);
            }
            Event::AwaitsUnattributed { count } => {
                self.feed_check.unknown.awaits = self.feed_check.unknown.awaits.saturating_add(count);
            }
            Event::AwaitEnd { id, at } => self.end_await(id, at),
            Event::NewResource { id, at, resource } => {
                if !self.history.resources.insert(id, at, *resource) {
                    self.add_history_bytes(size_of::<ResourceEntry>());
                }
            }
            Event::ResourceAttribute { resource, attribute } => {
                if attribute.exclusive_ownership() == Some(false) {
                    self.history.lock_owners.released(resource);
                }
                self.history.resources.set_attribute(resource, *attribute);
            }
            Event::ResourceEnd { resource, at } => {
                self.history.lock_owners.released(resource);
                if self.history.resources.set_dropped(resource, at) {
                    self.retention.subtract_history_bytes(size_of::<ResourceEntry>());
                }
            }
            Event::AwaitResource { id, resource } => self.history.awaits.set_resource(id, resource),
            Event::ResourceAcquire { resource, task, at } => {
                self.loop_state.advance(at);
                self.add_history_bytes(size_of::<Acquisition>());
                self.history.resources.acquire(resource, task, at);
            }
            Event::ResourceRelease { resource, task, at } => {
                self.loop_state.advance(at);
                if self.history.task(task).is_some_and(|task| task.phase != TaskPhase::Running) {
                    self.history.resources.add_release_by_other(resource, task, at);
                }
                self.history.resources.release(resource, task, at);
            }
            Event::NotificationLost { resource, task, at } => {
                self.loop_state.advance(at);
                self.history.resources.add_lost_notification(LostNotification { resource, task, at });
            }
            Event::NeverAwaited { task, at, coroutine } => {
                self.loop_state.advance(at);
                self.history.resources.add_unawaited_coroutine(task, at, *coroutine);
            }
            Event::Park { at } => {
                self.loop_state.advance(at);
                self.history.loop_lane.end_poll(at, None);
                self.loop_state.is_parked = true;
                self.loop_state.counts.parks += 1;
            }
            Event::Unpark { at } => {
                self.loop_state.counts.parked_ns +=
                    at.saturating_sub(self.history.loop_lane.last().and_then(|cycle| cycle.end()).unwrap_or(0));
                self.loop_state.advance(at);
                self.start_turn(at);
            }
            Event::NewWorker { id, at, name } => self.add_worker(id, at, name),
            Event::QueueDepth(sample) => self.record_queue_depth(sample),
            Event::WorkerPark { worker, at } => self.park_worker(worker, at),
            Event::WorkerUnpark { worker, at } => self.unpark_worker(worker, at),
            Event::Output { task, at, text } => {
                self.loop_state.advance(at);
                self.history.output.push(OutputLine { at, task, text });
            }
            Event::OutputPending { at, is_error, text } => {
                self.loop_state.advance(at);
                self.history.output.set_pending(is_error, OutputLine { at, task: None, text });
            }
            Event::Pause { at, reason: cause } => {
                self.loop_state.advance(at);
                self.history.pauses.push(Pause { at, reason: cause });
            }
            Event::Gap { from, to, dropped } => {
                self.feed_check.probe_dropped = self.feed_check.probe_dropped.saturating_add(dropped);
                push_mark(&mut self.history.gaps, Gap { from, to, dropped, is_disconnected: false });
            }
            Event::Disconnected { from, to } => {
                push_mark(&mut self.history.gaps, Gap { from, to, dropped: 0, is_disconnected: true });
            }
            Event::ConsoleCounts { task, counts } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.counts = Some(counts);
                }
                if let Some(task) = self.history.tasks.get_mut(task).filter(|_| !self.feed_check.is_exact()) {
                    // A later update may correct a count downwards: the totals stay the sums of the tasks' counts.
                    let totals = &mut self.loop_state.counts;
                    totals.polls = change_total(totals.polls, task.counts.polls, counts.polls);
                    totals.wakes = change_total(totals.wakes, task.counts.wakes, counts.wakes);
                    task.counts = counts;
                }
            }
            Event::WakerCounts { task, clones, drops } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.waker_counts = Some((clones, drops));
                }
            }
            Event::ConsoleLate | Event::OrderDoubtful => self.feed_check.has_late_events = true,
            Event::ProcessorWait { interval: (from, to), worker, waited_ns } => {
                self.feed_check.waits_of_mut(worker).add(from, to, waited_ns);
            }
            Event::OutsideInput { is_possible } => self.feed_check.outside_input = is_possible,
            Event::Sample { task, last_poll, last_wake } => self.apply_sample(task, last_poll, last_wake),
            Event::SampledWake { task, at } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.last_sampled_wake = stats.last_sampled_wake.max(Some(at));
                }
            }
            Event::TaskStats { task, at, stats } => self.apply_stats(task, at, &stats),
            Event::StatsComplete { at } => self.complete_stats(at),
            Event::TaskHistograms { task, histograms } => {
                if let Some(stats) = self.console_stats_mut(task) {
                    stats.histograms = Some(histograms);
                }
            }
            Event::SpawnLocation { task, location } => {
                self.history.set_spawn_location(task, Some(*location));
            }
            Event::MultiThreadDetected { at } => {
                self.feed_check.multi_threaded_since.get_or_insert(at);
            }
            Event::ConsoleUpdate { dropped } => {
                self.feed_check.console_updates += 1;
                self.feed_check.console_dropped = self.feed_check.console_dropped.saturating_add(dropped);
            }
            Event::Notice(notice) => self.apply_notice(*notice),
            Event::Advance { at } => self.loop_state.advance(at),
        }
    }

    fn add_await_polls(&mut self, id: AwaitId, polls: u32, is_ready: bool) {
        self.history.add_await_polls(id, polls, is_ready, self.feed_check.is_exact().into());
    }

    /// Adds the next task.
    pub(super) fn add_task(&mut self, meta: TaskMeta, at: Nanos, step: u32) {
        self.loop_state.count_added(meta.kind);
        let row_bytes = self.history.add_task(meta, at, step);
        self.retention.add_rows_bytes(row_bytes);
        self.evict_to_budget();
    }

    fn start_hold(&mut self, id: TaskId, at: Nanos) {
        let step = self.loop_state.steps;
        let Some(task) = self.history.tasks.get(id).filter(|task| !task.is_held()) else { return };
        self.loop_state.count_hold(task.phase, task.meta.kind, true);
        if let Some(cold) = self.cold_state_mut(id) {
            cold.holds.push((at, None));
            cold.hold_steps.push((step, None));
        }
    }

    fn end_hold(&mut self, id: TaskId, at: Nanos) {
        if let Some(task) = self.history.tasks.get_mut(id).filter(|task| task.is_held()) {
            self.loop_state.count_hold(task.phase, task.meta.kind, false);
            task.end_hold(at, self.loop_state.steps);
        }
    }

    /// Returns the console's statistics of a task, and creates them if needed.
    pub(super) fn console_stats_mut(&mut self, id: TaskId) -> Option<&mut ConsoleTaskStats> {
        let (stats, new_bytes) = self.history.console_stats_mut(id)?;
        self.retention.add_rows_bytes(new_bytes);
        Some(stats)
    }

    /// Returns the rarely used state of a task, and creates it if needed.
    fn cold_state_mut(&mut self, id: TaskId) -> Option<&mut ColdState> {
        let (cold, new_bytes) = self.history.cold_state_mut(id)?;
        self.retention.add_rows_bytes(new_bytes);
        Some(cold)
    }

    /// Accounts for a change in stored bytes, and evicts if the budget is exceeded.
    #[inline]
    pub(super) fn record_storage(&mut self, owner: BlockOwner, delta: StorageDelta) {
        if delta != StorageDelta::default() {
            self.retention.record(owner, delta);
            self.evict_to_budget();
        }
    }

    /// Accounts for `bytes` more that belong to no sealed block, and evicts if the budget is exceeded.
    pub(super) fn add_history_bytes(&mut self, bytes: usize) {
        self.retention.add_history_bytes(bytes);
        self.evict_to_budget();
    }

    /// Evicts until the trace fits its budget.
    #[inline]
    pub(super) fn evict_to_budget(&mut self) {
        let loop_bytes = self.loop_state.retained_bytes() + self.history.queue_depths.retained_bytes();
        if self.retention.is_over_budget(&self.history, loop_bytes) {
            self.retention.evict(&mut self.history, &self.feed_check, loop_bytes);
        }
    }

    fn start_turn(&mut self, at: Nanos) {
        let step = self.loop_state.start_turn((!self.feed_check.is_external).into());
        let delta = self.history.start_turn(at, step);
        self.record_storage(BlockOwner::Loop, delta);
    }

    pub(super) fn start_poll(&mut self, id: TaskId, at: Nanos) {
        self.loop_state.advance(at);
        let counted = self.feed_check.is_exact().into();
        let Some(delta) = self.history.start_poll(id, at, self.loop_state.steps, counted) else { return };
        self.record_storage(BlockOwner::Task(id, TaskBlockKind::Lane), delta);
        self.loop_state.count_poll(counted);
        self.set_phase(id, TaskPhase::Running);
    }

    pub(super) fn end_poll(&mut self, id: TaskId, at: Nanos) {
        self.loop_state.advance(at);
        let Some(poll) = self.history.end_poll(id, at) else { return };
        if !poll.is_off_loop {
            // The statistics that an external app reports already include this poll.
            let is_in_reported_stats = self.feed_check.is_external && !self.feed_check.is_exact();
            self.loop_state.count_busy(poll.busy_ns, if is_in_reported_stats { 0 } else { poll.busy_ns });
        }
        self.set_phase(id, if poll.is_woken { TaskPhase::Scheduled } else { TaskPhase::Waiting });
    }

    fn start_await(&mut self, id: AwaitId, task: TaskId, at: Nanos, site: SiteId) {
        self.loop_state.advance(at);
        let delta = self.history.awaits.start(id, task, site, at);
        self.record_storage(BlockOwner::Awaits, delta);
        let kind = self.history.kind_of(site);
        let names_wait = self.feed_check.is_exact();
        let Some(delta) = self.history.list_await(task, id, kind, at, names_wait) else { return };
        self.record_storage(BlockOwner::Task(task, TaskBlockKind::Awaits), delta);
        if kind == AwaitKind::BlockingCall
            && let Some(cold) = self.cold_state_mut(task)
        {
            let delta = cold.blocking_calls.push(id);
            self.record_storage(BlockOwner::Task(task, TaskBlockKind::BlockingCalls), delta);
        }
    }

    fn end_await(&mut self, id: AwaitId, at: Nanos) {
        self.loop_state.advance(at);
        let delta = self.history.end_await(id, at);
        if self.feed_check.is_external {
            self.history.note_call_end(id);
        }
        self.record_storage(BlockOwner::Awaits, delta);
    }

    fn wake_task(&mut self, id: TaskId, at: Nanos, source: WakeSource) {
        self.loop_state.advance(at);
        let Some((is_waiting, delta)) = self.history.wake_task(id, at, self.loop_state.steps, source) else { return };
        self.loop_state.counts.wakes += 1;
        self.feed_check.unknown.wakers += u64::from(source == WakeSource::Unknown);
        self.record_storage(BlockOwner::Task(id, TaskBlockKind::Wakes), delta);
        if is_waiting {
            self.set_phase(id, TaskPhase::Scheduled);
        }
    }

    fn end_task(&mut self, id: TaskId, at: Nanos, outcome: TaskOutcome) {
        self.loop_state.advance(at);
        self.end_hold(id, at);
        let Some((outcome, kind, delta)) = self.history.end_task(id, at, self.loop_state.steps, outcome) else {
            return;
        };
        self.loop_state.count_outcome(outcome, kind);
        self.set_phase(id, TaskPhase::Ended);
        self.retention.queue_ended_task(id);
        self.record_storage(BlockOwner::Task(id, TaskBlockKind::LaneTail), delta);
    }

    /// Replaces the outcome of a task that completed by an unknown one.
    fn doubt_outcome(&mut self, id: TaskId) {
        let Some(task) = self.history.tasks.get_mut(id) else { return };
        let Some(outcome @ TaskOutcome::Completed) = &mut task.outcome else { return };
        *outcome = TaskOutcome::Unknown;
        self.loop_state.uncount_outcome(&TaskOutcome::Completed, task.meta.kind);
        // An archive gets the end of the task again.
        self.retention.queue_sealed_block(BlockOwner::Task(id, TaskBlockKind::LaneTail));
    }

    pub(super) fn set_phase(&mut self, id: TaskId, phase: TaskPhase) {
        let Some(change) = self.history.set_phase(id, phase) else { return };
        self.loop_state.count_phase(change);
        if self.feed_check.is_external && self.feed_check.is_exact() {
            self.derive_turn();
        }
        self.loop_state.record_ready_count();
    }

    /// Starts or ends a turn of a program that does not report parks: its loop's lane is derived from its tasks.
    fn derive_turn(&mut self) {
        let (at, is_parked) = (self.loop_state.now, self.loop_state.is_parked);
        match self.loop_state.running_on_loop() {
            0 if !is_parked => {
                self.history.loop_lane.end_poll(at, None);
                self.loop_state.is_parked = true;
            }
            running if running > 0 && is_parked => self.start_turn(at),
            _ => {}
        }
    }

    fn apply_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Sampled { task, at, frame } => {
                self.loop_state.advance(at);
                let poll_start =
                    self.history.task(task).and_then(|task| task.lane.last()).map_or(at, |poll| poll.start);
                self.history.notices.add_sample(StackSample { task, at, frame }, poll_start);
            }
            Notice::NeverRetrieved { task, at, error } => {
                self.loop_state.advance(at);
                self.history.notices.add_unretrieved(UnretrievedException { task, at, error });
            }
        }
    }

    /// Adds `events` to the number of events read from the probe.
    pub fn count_probe_events(&mut self, events: u64) {
        self.feed_check.probe_events += events;
    }
}

/// Returns `total` after one of its parts has changed. Counts from an external app are untrusted, hence the saturating
/// arithmetic.
fn change_total(total: u64, before: u64, now: u64) -> u64 {
    if now >= before { total.saturating_add(now - before) } else { total.saturating_sub(before - now) }
}
