//! Property tests with small random programs: the trace is checked for consistency, against a naive evaluation, and
//! against a second run with the same seed.

use std::fmt;

use loopscope::control::{FeedChoice, RunOutcome};
use loopscope::lab::LoopProgram;
use loopscope::session::Session;
use loopscope::trace::{Await, Cycle, Nanos, Task, TaskOutcome, TaskState, Trace};
use loopscope::workload::{build_program, params};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::lab_harness;
use crate::workload::script_with_body;

/// Number of programs, unless `PROPTEST_CASES` is set.
const CASES: u32 = 48;

/// Lua prelude of every program: shared resources, and helpers that limit each wait to 20 ms.
const SHARED: &str = r#"
local channels = { channel(1, { name = "narrow" }), channel() }
local locks = { mutex(), mutex() }
local pool, bell, tasks = semaphore(2), notify(), {}
local function guarded(x) return (pcall(function() return await(timeout("20ms", x)) end)) end
local function holding(lock, body)
  pcall(function()
    local guard <close> = await(timeout("20ms", lock))
    body()
  end)
end
local nap = async(function(d) await(sleep(d)) end)
"#;

/// One statement of a task. Indices choose a channel, a lock or a task. Times are milliseconds, from few values, so
/// that many things happen at the same time.
#[derive(Clone, Copy, Debug)]
enum ScriptStep {
    Sleep(u32),
    SleepByChance,
    Yield,
    Block(u32),
    Work(u32),
    BlockElsewhere(u32),
    Send(usize),
    TrySend(usize),
    Receive(usize),
    Lock(usize, u32),
    LockBoth(usize, u32),
    Permits(u32, u32),
    Select(usize, u32),
    Gather(u32, u32),
    Race(u32, u32),
    ProbeReader(bool),
    Listen,
    Cancel(usize),
    Join(usize),
    JoinShielded(usize),
    Print,
    Fail,
    Panic,
}

impl fmt::Display for ScriptStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Sleep(ms) => write!(f, "await(sleep('{ms}ms'))"),
            Self::SleepByChance => write!(f, "await(sleep(random(4) .. 'ms'))"),
            Self::Yield => write!(f, "await(yield_now())"),
            Self::Block(ms) => write!(f, "block('{ms}ms')"),
            Self::Work(ms) => write!(f, "work('{ms}ms')"),
            Self::BlockElsewhere(ms) => write!(f, "await(spawn_blocking('{ms}ms'))"),
            Self::Send(channel) => write!(f, "guarded(channels[{channel}]:send('sent'))"),
            Self::TrySend(channel) => write!(f, "channels[{channel}]:try_send('tried')"),
            Self::Receive(channel) => write!(f, "guarded(channels[{channel}]:recv())"),
            Self::Lock(lock, ms) => {
                write!(f, "holding(locks[{lock}]:lock(), function() await(sleep('{ms}ms')) end)")
            }
            Self::LockBoth(lock, ms) => {
                let other = 3 - lock;
                write!(f, "holding(locks[{lock}]:lock(), function() await(sleep('{ms}ms')) ")?;
                write!(f, "holding(locks[{other}]:lock(), function() await(yield_now()) end) end)")
            }
            Self::Permits(count, ms) => {
                write!(f, "holding(pool:acquire({count}), function() await(sleep('{ms}ms')) end)")
            }
            Self::Select(channel, ms) => {
                write!(f, "print(await(select{{ mail = channels[{channel}]:recv(), patience = sleep('{ms}ms') }}))")
            }
            Self::Gather(one, two) => write!(f, "guarded(gather(nap('{one}ms'), nap('{two}ms')))"),
            Self::Race(one, two) => write!(f, "print(await(select{{ one = nap('{one}ms'), two = nap('{two}ms') }}))"),
            Self::ProbeReader(true) => write!(f, "bell:notify_waiters()"),
            Self::ProbeReader(false) => write!(f, "bell:notify_one()"),
            Self::Listen => write!(f, "guarded(bell:notified())"),
            Self::Cancel(task) => write!(f, "if tasks[{task}] then tasks[{task}]:cancel() end"),
            Self::Join(task) => write!(f, "if tasks[{task}] then guarded(tasks[{task}]) end"),
            Self::JoinShielded(task) => write!(f, "if tasks[{task}] then guarded(shield(tasks[{task}])) end"),
            Self::Print => write!(f, "print(clock())"),
            Self::Fail => write!(f, "fail('on purpose')"),
            Self::Panic => write!(f, "panic('on purpose')"),
        }
    }
}

fn step() -> impl Strategy<Value = ScriptStep> {
    let ms = || prop::sample::select(&[0_u32, 1, 2, 3, 5, 30][..]);
    let index = || 1_usize..=2;
    let task = || 1_usize..=6;
    prop_oneof![
        4 => ms().prop_map(ScriptStep::Sleep),
        1 => Just(ScriptStep::SleepByChance),
        3 => Just(ScriptStep::Yield),
        2 => ms().prop_map(ScriptStep::Block),
        1 => ms().prop_map(ScriptStep::Work),
        1 => ms().prop_map(ScriptStep::BlockElsewhere),
        3 => index().prop_map(ScriptStep::Send),
        1 => index().prop_map(ScriptStep::TrySend),
        3 => index().prop_map(ScriptStep::Receive),
        2 => (index(), ms()).prop_map(|(lock, ms)| ScriptStep::Lock(lock, ms)),
        2 => (index(), ms()).prop_map(|(lock, ms)| ScriptStep::LockBoth(lock, ms)),
        2 => (1_u32..=2, ms()).prop_map(|(count, ms)| ScriptStep::Permits(count, ms)),
        2 => (index(), ms()).prop_map(|(channel, ms)| ScriptStep::Select(channel, ms)),
        2 => (ms(), ms()).prop_map(|(one, two)| ScriptStep::Gather(one, two)),
        2 => (ms(), ms()).prop_map(|(one, two)| ScriptStep::Race(one, two)),
        1 => any::<bool>().prop_map(ScriptStep::ProbeReader),
        1 => Just(ScriptStep::Listen),
        2 => task().prop_map(ScriptStep::Cancel),
        1 => task().prop_map(ScriptStep::Join),
        1 => task().prop_map(ScriptStep::JoinShielded),
        1 => Just(ScriptStep::Print),
        1 => prop_oneof![Just(ScriptStep::Fail), Just(ScriptStep::Panic)],
    ]
}

/// The statements of each task. As a script, main starts all tasks and waits up to 100 ms for each.
#[derive(Clone)]
struct ScriptBody(Vec<Vec<ScriptStep>>);

impl fmt::Debug for ScriptBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, steps) in self.0.iter().enumerate() {
            writeln!(f, "\ntasks[{}] = create_task(async(function()", index + 1)?;
            steps.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
            write!(f, "end)())")?;
        }
        write!(f, "\nfor _, task in ipairs(tasks) do pcall(function() await(timeout('100ms', task)) end) end")
    }
}

impl ScriptBody {
    fn program(&self) -> LoopProgram {
        let manifest = script_with_body("", &format!("{SHARED}{self:?}"));
        let values = params::resolve(&manifest, &[]).expect("there are none");
        build_program(&manifest, values).expect("a script that loads")
    }
}

#[test]
fn random_programs_give_consistent_traces() {
    let is_count_set = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let config = if is_count_set { config } else { Config { cases: CASES, ..config } };
    // A fixed seed makes every run try the same programs, so failures are reproducible.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bodies = vec(vec(step(), 0..=8), 2..=6).prop_map(ScriptBody);
    let result = runner.run(&(bodies, 0_u64..1000), |(body, seed)| {
        let session = lab_harness::run_with_feed(body.program(), seed, FeedChoice::Both);
        let trace = session.trace();
        prop_assert!(matches!(session.outcome(), Some(RunOutcome::Completed(_))), "{:?}", session.outcome());
        prop_assert_eq!((trace.console_feed_counts().1, trace.probe_feed_counts().1), (0, 0), "no event is dropped");
        check_polls_do_not_overlap(trace)?;
        for task in trace.tasks() {
            check_wakes_precede_polls(task)?;
            check_awaits_nest(trace, task)?;
            let random_times = (0..24).map(|index| trace.now() * ((seed + index) * 7_919 % 10_007) / 10_006);
            let cycles = task.lane.cycles();
            let edges = cycles.flat_map(|cycle| [Some(cycle.start), cycle.end(), cycle.scheduled_at()]).flatten();
            for at in random_times.chain(edges) {
                prop_assert_eq!(trace.state_at(task.id, at), naive_state(trace, task, at), "{} at {}", task.name(), at);
                check_totals_cover_lifetime(task, at)?;
            }
        }
        let lines = trace.output().lines();
        prop_assert!(lines.iter().is_sorted_by_key(|line| line.at), "output is in time order");
        let again = lab_harness::run_with_feed(body.program(), seed, FeedChoice::Probe);
        prop_assert_eq!(describe_run(trace), describe_run(again.trace()), "equal seeds give equal runs");
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn check_polls_do_not_overlap(trace: &Trace) -> Result<(), TestCaseError> {
    let mut cycles: Vec<Cycle> = trace.tasks().iter().flat_map(|task| task.lane.cycles()).collect();
    cycles.sort_by_key(|cycle| cycle.step);
    let steps: Vec<u32> = cycles.iter().map(|cycle| cycle.step).collect();
    prop_assert_eq!(steps, (0..trace.steps()).collect::<Vec<_>>(), "each poll has its own step");
    let mut free_from = 0;
    for cycle in cycles {
        prop_assert!(cycle.start >= free_from, "poll {} starts before {free_from}", cycle.step);
        free_from = cycle.end().expect("the run is over");
        prop_assert!(free_from >= cycle.start && free_from <= trace.now());
    }
    Ok(())
}

fn check_wakes_precede_polls(task: &Task) -> Result<(), TestCaseError> {
    let name = task.name();
    let (spawned, ended) = (task.lane.spawned_at(), task.lane.ended_at().expect("no task outlives the loop"));
    let wakes: Vec<Nanos> = task.wakes().map(|(at, _)| at).collect();
    prop_assert!(wakes.is_sorted(), "{name}: {wakes:?}");
    prop_assert!(wakes.iter().all(|at| (spawned..=ended).contains(at)), "{name}: {wakes:?}");
    prop_assert_eq!(wakes.len() as u64, task.counts.wakes);
    let cycles: Vec<Cycle> = task.lane.cycles().collect();
    prop_assert!(cycles.iter().all(|cycle| (spawned..=ended).contains(&cycle.start)), "{name}");
    for pair in cycles.windows(2) {
        let (polled, next) = (pair[0], pair[1]);
        let woken = polled.scheduled_at();
        prop_assert!(woken.is_some(), "{name} is polled at {} without a wake since {}", next.start, polled.start);
        prop_assert!(woken >= polled.end() && woken <= Some(next.start), "{name}: {polled:?}, {next:?}");
        prop_assert!(polled.woken_step() > Some(polled.step) && polled.woken_step() <= Some(next.step), "{name}");
        let has_wake = wakes.iter().any(|at| (polled.start..=next.start).contains(at));
        prop_assert!(has_wake, "{name}: {polled:?}, {next:?}, {wakes:?}");
    }
    // A last wake without a poll after it: the task was cancelled in between.
    if let Some(last) = cycles.last().filter(|last| last.scheduled_at().is_some_and(|woken| Some(woken) > last.end())) {
        prop_assert_eq!(&task.outcome, &Some(TaskOutcome::Cancelled), "{} has a wake without a poll: {:?}", name, last);
    }
    if task.outcome != Some(TaskOutcome::Cancelled) {
        prop_assert_eq!(cycles.last().and_then(|last| last.end()), Some(ended), "{} ends in a poll", name);
    }
    Ok(())
}

fn check_awaits_nest(trace: &Trace, task: &Task) -> Result<(), TestCaseError> {
    let mut open: Vec<Nanos> = Vec::new();
    let mut before = 0;
    for id in task.awaits() {
        let found = trace.awaits().get(id).expect("nothing is evicted in such a short run");
        let (start, end) = (found.start, found.end().expect("the run is over"));
        prop_assert!(before <= start && start <= end, "{}: {found:?}", task.name());
        let (spawned, ended) = (task.lane.spawned_at(), task.lane.ended_at());
        prop_assert!(start >= spawned && Some(end) <= ended, "{}: {found:?}", task.name());
        let polled = task.lane.cycle_at(start).is_some_and(|cycle| cycle.end() >= Some(start));
        prop_assert!(polled, "{} starts an await outside of its polls: {found:?}", task.name());
        open.retain(|outer| *outer > start);
        prop_assert!(open.iter().all(|outer| end <= *outer), "{}: {found:?} crosses {open:?}", task.name());
        open.push(end);
        before = start;
    }
    Ok(())
}

/// Computes the state from a linear search over all cycles and awaits.
fn naive_state(trace: &Trace, task: &Task, at: Nanos) -> Option<TaskState> {
    if at < task.lane.spawned_at() {
        return None;
    }
    if let (Some(ending), true) = (&task.outcome, task.lane.ended_at() <= Some(at)) {
        return Some(match ending {
            TaskOutcome::Completed => TaskState::Completed,
            TaskOutcome::Cancelled => TaskState::Cancelled,
            TaskOutcome::Failed(_) => TaskState::Failed,
            TaskOutcome::Unknown => TaskState::Ended,
        });
    }
    let Some(cycle) = task.lane.cycles().rfind(|cycle| cycle.start <= at) else {
        return Some(TaskState::Scheduled);
    };
    let polled_until = cycle.end()?;
    if at < polled_until {
        return Some(TaskState::Running);
    }
    if cycle.scheduled_at().is_some_and(|woken| woken <= at) {
        return Some(TaskState::Scheduled);
    }
    let is_open = |found: Await| found.start <= polled_until && found.end() > Some(at);
    let innermost = task.awaits().rfind(|id| trace.awaits().get(*id).is_some_and(is_open))?;
    let site = trace.site(trace.awaits().get(innermost)?.site)?;
    Some(TaskState::Waiting(Some(innermost), site.kind))
}

fn check_totals_cover_lifetime(task: &Task, at: Nanos) -> Result<(), TestCaseError> {
    let totals = task.lane.totals_at(at);
    let lived = at.min(task.lane.ended_at().unwrap_or(at)).saturating_sub(task.lane.spawned_at());
    let total = totals.busy_ns + totals.scheduled_ns + totals.waiting_total_ns();
    prop_assert_eq!(total, lived, "{} at {}: {:?}", task.name(), at, totals);
    let polls = task.lane.cycles().filter(|cycle| cycle.start <= at).count() as u64;
    prop_assert_eq!(totals.polls, polls, "{} at {}", task.name(), at);
    Ok(())
}

/// Returns a complete description of a run, one line for each task, cycle, wake, await and output line.
fn describe_run(trace: &Trace) -> Vec<String> {
    let tasks = trace.tasks().iter().flat_map(|task| {
        let lived = (task.lane.spawned_at(), task.lane.ended_at(), task.spawn_step, task.end_step);
        let summary = format!("{} {:?} {:?} {lived:?} {:?}", task.id, task.meta, task.outcome, task.counts);
        let cycles = task.lane.cycles().map(|cycle| format!("{cycle:?}"));
        let wakes = task.wakes().map(|wake| format!("{wake:?}"));
        let lines: Vec<String> = [summary].into_iter().chain(cycles).chain(wakes).collect();
        lines
    });
    let awaits = trace.awaits().iter().map(|(id, found)| {
        let site = trace.site(found.site);
        format!("{id} {} {site:?} {} {:?} {} {:?}", found.task, found.start, found.end(), found.polls, found.outcome())
    });
    let output = trace.output().lines().iter().map(|line| format!("{line:?}"));
    tasks.chain(awaits).chain(output).collect()
}
