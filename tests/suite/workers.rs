//! Workers: random histories of several workers, compared with a naive model, also after eviction and from an archive.

use loopscope::control::{FeedChoice, RunOutcome, SourceKind};
use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning, read_archive};
use loopscope::insight::Findings;
use loopscope::report::{JsonReport, ReportInput, RunSource, write_text};
use loopscope::trace::{
    Event, Nanos, TaskId, TaskKind, Trace, WORKERS_MAX, WakeSource, Worker, WorkerActivity, WorkerId, WorkerTotals,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::report_docs::schema_errors;
use crate::trace_builder::{MILLISECOND, SECOND, TraceBuilder};

/// Number of tasks in a history.
const TASKS: usize = 6;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time passes, in nanoseconds.
    Pass(u64),
    /// The task is polled by the worker, or by an unknown thread.
    Poll(usize, Option<usize>),
    /// The poll of the task ends.
    End(usize),
    Park(usize),
    Unpark(usize),
}

fn step(workers: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(0_u64), 1_u64..50, 1_000_u64..2_000_000].prop_map(Step::Pass),
        6 => (0..TASKS, 0..workers).prop_map(|(task, worker)| Step::Poll(task, Some(worker))),
        1 => (0..TASKS).prop_map(|task| Step::Poll(task, None)),
        6 => (0..TASKS).prop_map(Step::End),
        3 => (0..workers).prop_map(Step::Park),
        3 => (0..workers).prop_map(Step::Unpark),
    ]
}

/// What one worker did: intervals in order of their start, each with the polled task or `None` for a park.
#[derive(Clone, Debug, Default)]
struct WorkerModel {
    since: Nanos,
    intervals: Vec<(Nanos, Option<Nanos>, Option<usize>)>,
}

impl WorkerModel {
    fn end(&mut self, at: Nanos) {
        if let Some((_, end, _)) = self.intervals.last_mut() {
            end.get_or_insert(at);
        }
    }

    fn open(&self) -> Option<Option<usize>> {
        self.intervals.last().filter(|(_, end, _)| end.is_none()).map(|(_, _, task)| *task)
    }

    fn totals(&self, at: Nanos) -> WorkerTotals {
        let mut totals = WorkerTotals { runtime_ns: at.saturating_sub(self.since), ..WorkerTotals::default() };
        for (start, end, task) in self.intervals.iter().filter(|(start, ..)| *start <= at) {
            let length = end.unwrap_or(at).min(at) - start;
            *if task.is_some() { &mut totals.busy_ns } else { &mut totals.parked_ns } += length;
            totals.runtime_ns -= length;
            totals.polls += u64::from(task.is_some());
        }
        totals
    }

    fn activity(&self, at: Nanos) -> Option<WorkerActivity> {
        let open = self.intervals.iter().rfind(|(start, ..)| *start <= at);
        let open = open.filter(|(_, end, _)| end.is_none_or(|end| at < end));
        (self.since <= at).then(|| match open.map(|(.., task)| task) {
            Some(Some(task)) => WorkerActivity::Polling(TaskId::from_index(*task)),
            Some(None) => WorkerActivity::Parked,
            None => WorkerActivity::Runtime,
        })
    }
}

/// A history, as it was applied to a trace and as the model has it.
struct WorkerHistory {
    trace: Trace,
    now: Nanos,
    workers: Vec<WorkerModel>,
    /// For each poll of each task: its start, and its worker if that is known.
    polls: Vec<Vec<(Nanos, Option<usize>)>>,
    is_polled: [bool; TASKS],
}

impl WorkerHistory {
    fn new(budget_bytes: usize, workers: usize) -> Self {
        let mut trace = Trace::with_budget(budget_bytes);
        trace.set_external();
        for index in 0..TASKS {
            trace.apply(Event::Spawn { task: TaskId::from_index(index), at: 0, meta: Box::default() });
        }
        for index in 0..workers {
            let (id, name) = (WorkerId::from_index(index), format!("tokio-{index}").into());
            trace.apply(Event::NewWorker { id, at: index as u64, name });
        }
        let since = |index| WorkerModel { since: index as u64, ..WorkerModel::default() };
        Self {
            trace,
            now: workers as u64,
            workers: (0..workers).map(since).collect(),
            polls: vec![Vec::new(); TASKS],
            is_polled: [false; TASKS],
        }
    }

    fn apply(&mut self, step: Step) {
        let at = self.now;
        match step {
            Step::Pass(ns) => {
                self.now += ns;
                self.trace.apply(Event::Advance { at: self.now });
            }
            Step::Poll(task, worker) => {
                if std::mem::replace(&mut self.is_polled[task], true) {
                    return;
                }
                let id = TaskId::from_index(task);
                self.trace.apply(Event::PollStart { task: id, at });
                self.polls[task].push((at, worker));
                if let Some(index) = worker {
                    self.trace.apply(Event::PollWorker { task: id, worker: WorkerId::from_index(index) });
                    // A worker that already ran a poll was taken over by another thread.
                    self.workers[index].end(at);
                    self.workers[index].intervals.push((at, None, Some(task)));
                }
            }
            Step::End(task) => {
                if !std::mem::replace(&mut self.is_polled[task], false) {
                    return;
                }
                let id = TaskId::from_index(task);
                self.trace.apply(Event::PollEnd { task: id, at });
                self.trace.apply(Event::Wake { task: id, at, source: WakeSource::Driver });
                let running = self.workers.iter_mut().find(|worker| worker.open() == Some(Some(task)));
                if let Some(worker) = running {
                    worker.end(at);
                }
            }
            Step::Park(index) => {
                self.trace.apply(Event::WorkerPark { worker: WorkerId::from_index(index), at });
                self.workers[index].end(at);
                self.workers[index].intervals.push((at, None, None));
            }
            Step::Unpark(index) => {
                self.trace.apply(Event::WorkerUnpark { worker: WorkerId::from_index(index), at });
                if self.workers[index].open() == Some(None) {
                    self.workers[index].end(at);
                }
            }
        }
    }

    /// Compares everything that `trace` has of the workers with the model, at the times where anything changed and at
    /// those around them.
    fn check(&self, trace: &Trace) -> Result<(), TestCaseError> {
        prop_assert_eq!(trace.workers().len(), self.workers.len());
        for (worker, model) in trace.workers().iter().zip(&self.workers) {
            let edges = model.intervals.iter().flat_map(|(start, end, _)| [Some(*start), *end]).flatten();
            let edges: Vec<Nanos> = edges.chain([0, model.since, self.now]).collect();
            let mut times: Vec<Nanos> = edges.iter().flat_map(|at| [at.saturating_sub(1), *at, at + 1]).collect();
            times.retain(|at| *at <= self.now && *at >= worker.evicted_until());
            times.sort_unstable();
            times.dedup();
            for at in &times {
                prop_assert_eq!(worker.activity_at(*at), model.activity(*at), "{} at {}", worker.name(), at);
                prop_assert_eq!(worker.totals_at(*at), model.totals(*at), "{} at {}", worker.name(), at);
            }
            self.check_windows(trace, worker, model, &times)?;
        }
        for (index, polls) in self.polls.iter().enumerate() {
            let task = trace.task(TaskId::from_index(index)).expect("live tasks are retained");
            let retained: Vec<_> = task.lane.cycles().map(|cycle| (cycle.start, cycle.worker())).collect();
            let first = polls.len() - retained.len();
            let expected = polls[first..].iter().map(|(start, worker)| (*start, worker.map(WorkerId::from_index)));
            prop_assert!(retained.iter().copied().eq(expected), "{retained:?} of {polls:?}");
            for (start, worker) in &retained {
                let last = polls.iter().rfind(|(at, _)| at == start).and_then(|(_, worker)| *worker);
                prop_assert_eq!(task.lane.cycle_at(*start).and_then(|cycle| cycle.worker()).is_some(), last.is_some());
                prop_assert!(worker.is_none_or(|id| trace.worker(id).is_some()));
            }
        }
        Ok(())
    }

    fn check_windows(
        &self,
        trace: &Trace,
        worker: &Worker,
        model: &WorkerModel,
        times: &[Nanos],
    ) -> Result<(), TestCaseError> {
        for (from, to) in times.iter().zip(times.iter().rev()).filter(|(from, to)| from < to) {
            let window = worker.totals_at(*to).since(&worker.totals_at(*from));
            prop_assert_eq!(window, model.totals(*to).since(&model.totals(*from)));
            for columns in [1, 7] {
                // A cell covers the time up to one nanosecond before its end.
                let cells = trace.worker_window(worker.id, from + 1, to + 1, columns, self.now);
                let is_exact = cells.iter().all(|cell| !cell.is_dense);
                let sum = |part: fn(&loopscope::trace::LaneCell) -> u64| cells.iter().map(part).sum::<u64>();
                let sums = (sum(|cell| cell.busy_ns), sum(|cell| cell.waiting_ns), sum(|cell| cell.scheduled_ns));
                let is_evicted = cells.iter().any(|cell| cell.is_evicted);
                let is_too_short = to - from < u64::from(columns);
                let expected = (window.busy_ns, window.parked_ns, window.runtime_ns);
                prop_assert!(!is_exact || is_evicted || is_too_short || sums == expected, "{sums:?}, {expected:?}");
            }
        }
        Ok(())
    }

    /// Applies the steps, and returns what an archive restores that was written meanwhile. Most of the trace is evicted
    /// in the end, but not before it was written.
    fn archived_meanwhile(&mut self, steps: &[Step]) -> Trace {
        let mut file = encode_beginning(&ArchiveHeader::default());
        let mut writer = ArchiveWriter::default();
        for steps in steps.chunks(60) {
            steps.iter().for_each(|step| self.apply(*step));
            writer.write_new_chunks(&self.trace, &mut file).expect("writing to memory cannot fail");
        }
        writer.flush(&mut file).expect("writing to memory cannot fail");
        assert_eq!(writer.lost_blocks(), 0);
        file.extend(writer.encode_tail(&self.trace, None, "").expect("the tail fits a chunk"));
        read_archive(&file[..], usize::MAX).expect("the archive opens").trace
    }

    /// Returns what an archive of the trace restores, within this memory budget.
    fn archived(&self, budget_bytes: usize) -> Trace {
        let mut file = encode_beginning(&ArchiveHeader::default());
        let mut writer = ArchiveWriter::default();
        writer.write_new_chunks(&self.trace, &mut file).expect("writing to memory cannot fail");
        writer.flush(&mut file).expect("writing to memory cannot fail");
        file.extend(writer.encode_tail(&self.trace, None, "").expect("the tail fits a chunk"));
        let opened = read_archive(&file[..], budget_bytes).expect("the archive opens");
        assert_eq!(opened.notes, ["it ends before the run did"]);
        opened.trace
    }
}

#[test]
fn random_workers_equal_a_naive_model() {
    let config = Config { failure_persistence: None, cases: 64, max_shrink_iters: 500, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let steps = (1_usize..5).prop_flat_map(|workers| (Just(workers), vec(step(workers), 0..900)));
    let result = runner.run(&(steps, any::<bool>()), |((workers, steps), is_small)| {
        let mut history = WorkerHistory::new(if is_small { 14_000 } else { usize::MAX }, workers);
        steps.iter().for_each(|step| history.apply(*step));
        history.check(&history.trace)?;
        history.check(&history.trace)?;
        let restored = history.archived(usize::MAX);
        history.check(&restored)?;
        history.check(&history.archived(12_000))?;
        let whole = WorkerHistory::new(20_000, workers).archived_meanwhile(&steps);
        prop_assert!(whole.workers().iter().all(|worker| worker.evicted_until() == 0));
        history.check(&whole)?;
        for (one, other) in history.trace.workers().iter().zip(restored.workers()) {
            prop_assert_eq!((one.name(), one.known_since()), (other.name(), other.known_since()));
            prop_assert_eq!(one.parks(), other.parks());
        }
        prop_assert_eq!(history.trace.counts(), restored.counts());
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // The histories are long enough to seal and to evict blocks.
    let mut history = WorkerHistory::new(20_000, 2);
    let round = |index: usize| {
        [Step::Poll(0, Some(index % 2)), Step::Pass(5), Step::End(0), Step::Park(index % 2), Step::Pass(7)]
    };
    let steps: Vec<Step> = (0..2_000).flat_map(round).collect();
    let whole = history.archived_meanwhile(&steps);
    for trace in [&history.trace, &whole] {
        history.check(trace).expect("it equals the model");
    }
    let worker = &history.trace.workers()[0];
    let (evicted, cycles) = (worker.evicted_until(), worker.cycles().count());
    assert!(evicted > 0 && (64..1_500).contains(&cycles), "evicted until {evicted}, {cycles} cycles");
    assert_eq!(whole.workers()[0].cycles().count(), 2_000);
}

/// The end of an archive is missing when the writing process was killed.
#[test]
fn archive_without_its_end_has_workers() {
    let mut history = WorkerHistory::new(usize::MAX, 2);
    for index in 0..200 {
        for step in [Step::Poll(1, Some(index % 2)), Step::Pass(5), Step::End(1), Step::Park(index % 2), Step::Pass(7)]
        {
            history.apply(step);
        }
    }
    let mut file = encode_beginning(&ArchiveHeader::default());
    let mut writer = ArchiveWriter::default();
    writer.write_new_chunks(&history.trace, &mut file).expect("writing to memory cannot fail");
    writer.flush(&mut file).expect("writing to memory cannot fail");
    let opened = read_archive(&file[..], usize::MAX).expect("the archive opens");
    let worker = &opened.trace.workers()[1];
    assert_eq!((&*worker.name, worker.known_since()), ("tokio-1", 1));
    let until = worker.cycles().last().expect("its blocks were written").start;
    assert_eq!(worker.totals_at(until), history.workers[1].totals(until));
    assert!(opened.trace.counts().parked_ns > 0);
}

#[test]
fn ignores_unknown_and_excess_workers() {
    let mut trace = Trace::default();
    let task = TaskId::from_index(0);
    trace.apply(Event::Spawn { task, at: 0, meta: Box::default() });
    for index in 0..WORKERS_MAX + 3 {
        trace.apply(Event::NewWorker { id: WorkerId::from_index(index), at: 0, name: "".into() });
    }
    assert_eq!(trace.workers().len(), WORKERS_MAX);
    for index in [WORKERS_MAX, 70_000] {
        let worker = WorkerId::from_index(index);
        trace.apply(Event::PollStart { task, at: 1 });
        trace.apply(Event::PollWorker { task, worker });
        trace.apply(Event::PollEnd { task, at: 2 });
        trace.apply(Event::WorkerPark { worker, at: 3 });
        trace.apply(Event::WorkerUnpark { worker, at: 4 });
    }
    let newest = trace.task(task).and_then(|task| task.lane.last().copied()).expect("it was polled");
    assert_eq!((newest.worker(), trace.counts().parks), (None, 0));
    assert_eq!(trace.workers()[3].name(), "worker 3");
}

/// A trace of an app with three workers in which `busy` blocks worker 1 for a second. `stuck` was woken meanwhile and is
/// polled next on that worker, `free` on another one.
fn blocked_worker(is_taken_over: bool) -> TraceBuilder {
    let mut builder = TraceBuilder::default();
    builder.trace.set_external();
    for index in 0..3 {
        builder.apply(Event::NewWorker { id: WorkerId::from_index(index), at: 0, name: "tokio-rt-worker".into() });
    }
    let [busy, stuck, free] = ["busy", "stuck", "free"].map(|name| builder.spawn_at(name, TaskKind::Task, "app.rs", 7));
    let main = builder.spawn_at("main", TaskKind::BlockOn, "app.rs", 1);
    builder.poll_once(main);
    for (task, worker) in [(stuck, 0), (free, 2)] {
        builder.poll_on(task, worker);
        builder.end_poll(task);
    }
    builder.advance_to(SECOND);
    // Times of two threads differ a little: the end of the previous poll on worker 1 is later than the next start.
    builder.poll_on(free, 1);
    builder.apply(Event::PollEnd { task: free, at: SECOND + 1_000 });
    builder.poll_on(busy, 1);
    builder.advance_to(SECOND + 10 * MILLISECOND);
    builder.wake(stuck, WakeSource::Driver);
    if is_taken_over {
        builder.poll_on(stuck, 1);
        builder.end_poll(stuck);
    }
    builder.advance_to(2 * SECOND - 30 * MILLISECOND).wake(free, WakeSource::Driver);
    builder.advance_to(2 * SECOND).end_poll(busy);
    if !is_taken_over {
        builder.poll_on(stuck, 1);
        builder.end_poll(stuck);
    }
    builder.poll_on(free, 2);
    builder.end_poll(free);
    builder.apply(Event::WorkerPark { worker: WorkerId::from_index(1), at: 2 * SECOND });
    builder.advance_to(3 * SECOND);
    builder
}

#[test]
fn blocked_loop_names_worker_and_waiting_tasks() {
    let found = blocked_worker(false).only_finding();
    assert!(found.contains("busy blocked worker 1 of 3 for 1 s in one poll"), "{found}");
    assert!(found.ends_with("; behind it waited stuck for 990 ms"), "{found}");
    assert_eq!(blocked_worker(true).lint_names(), [""; 0], "block_in_place hands the worker over");
}

#[test]
fn report_sums_up_workers() {
    let trace = blocked_worker(false).trace;
    let source = RunSource::external(SourceKind::Attach, "app".to_owned());
    let (outcome, findings) = (RunOutcome::Detached, Findings::default());
    let input = ReportInput {
        source: &source,
        trace: &trace,
        outcome: &outcome,
        feed: FeedChoice::Probe,
        findings: &findings,
        full: false,
    };
    let report = JsonReport::new(&input).value();
    assert_eq!(schema_errors(&report), [""; 0]);
    let worker = |id: u64, busy_ns: u64, parked_ns: u64, polls: u64| json!({ "id": id, "name": "tokio-rt-worker", "busy_ns": busy_ns, "parked_ns": parked_ns, "polls": polls });
    assert_eq!(report["workers"], json!([worker(0, 0, 0, 1), worker(1, SECOND, SECOND, 3), worker(2, 0, 0, 2)]));
    let sum = |field: &str| {
        report["workers"].as_array().expect("a list").iter().filter_map(|worker| worker[field].as_u64()).sum::<u64>()
    };
    for field in ["busy_ns", "parked_ns", "polls"] {
        assert_eq!(report["loop"][field], sum(field), "{field}");
    }
    assert_eq!((report["loop"]["parks"].clone(), report["tasks"][3]["polls"].clone()), (json!(1), json!(1)));
    let mut text = Vec::new();
    write_text(&input, &mut text).expect("writing to memory cannot fail");
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("busy 1 s (11.1 %), parked 1 s (11.1 %), overhead 7 s (77.8 %)"), "{text}");
    let row = text.lines().skip_while(|line| *line != "workers (3)").nth(3).expect("the second worker");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>().join(" "), "1 tokio-rt-worker 1 s 33.3 % 1 s 33.3 % 3");
}
