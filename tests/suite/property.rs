//! What holds of every run, held against small random programs: the trace is checked against itself, against a naive
//! reading of it, and against a second run with the same seed.

use std::fmt;

use loopscope::app::Session;
use loopscope::control::{FeedChoice, Outcome};
use loopscope::lab::Program;
use loopscope::trace::{Await, Cycle, Ending, Nanos, State, Task, Trace};
use loopscope::workload::{params, program};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::rig;
use crate::workload::script;

/// Programs that are tried, unless `PROPTEST_CASES` asks for more.
const CASES: u32 = 48;

/// What programs share, and their longest wait for anything. A guarded wait ends after 20 ms at the latest.
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

/// One thing that a task does. Numbers choose a channel, a lock or a task; times are in milliseconds, and few, so that
/// much happens at the same instant.
#[derive(Clone, Copy, Debug)]
enum Step {
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
    Ring(bool),
    Listen,
    Cancel(usize),
    Join(usize),
    JoinShielded(usize),
    Print,
    Fail,
    Panic,
}

impl fmt::Display for Step {
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
            Self::Ring(true) => write!(f, "bell:notify_waiters()"),
            Self::Ring(false) => write!(f, "bell:notify_one()"),
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

fn step() -> impl Strategy<Value = Step> {
    let ms = || prop::sample::select(&[0_u32, 1, 2, 3, 5, 30][..]);
    let two = || 1_usize..=2;
    let task = || 1_usize..=6;
    prop_oneof![
        4 => ms().prop_map(Step::Sleep),
        1 => Just(Step::SleepByChance),
        3 => Just(Step::Yield),
        2 => ms().prop_map(Step::Block),
        1 => ms().prop_map(Step::Work),
        1 => ms().prop_map(Step::BlockElsewhere),
        3 => two().prop_map(Step::Send),
        1 => two().prop_map(Step::TrySend),
        3 => two().prop_map(Step::Receive),
        2 => (two(), ms()).prop_map(|(lock, ms)| Step::Lock(lock, ms)),
        2 => (two(), ms()).prop_map(|(lock, ms)| Step::LockBoth(lock, ms)),
        2 => (1_u32..=2, ms()).prop_map(|(count, ms)| Step::Permits(count, ms)),
        2 => (two(), ms()).prop_map(|(channel, ms)| Step::Select(channel, ms)),
        2 => (ms(), ms()).prop_map(|(one, two)| Step::Gather(one, two)),
        2 => (ms(), ms()).prop_map(|(one, two)| Step::Race(one, two)),
        1 => any::<bool>().prop_map(Step::Ring),
        1 => Just(Step::Listen),
        2 => task().prop_map(Step::Cancel),
        1 => task().prop_map(Step::Join),
        1 => task().prop_map(Step::JoinShielded),
        1 => Just(Step::Print),
        1 => prop_oneof![Just(Step::Fail), Just(Step::Panic)],
    ]
}

/// The body of main: it starts the tasks, and waits for each, but not for ever.
#[derive(Clone)]
struct Body(Vec<Vec<Step>>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, steps) in self.0.iter().enumerate() {
            writeln!(f, "\ntasks[{}] = create_task(async(function()", index + 1)?;
            steps.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
            write!(f, "end)())")?;
        }
        write!(f, "\nfor _, task in ipairs(tasks) do pcall(function() await(timeout('100ms', task)) end) end")
    }
}

impl Body {
    fn program(&self) -> Program {
        let manifest = script("", &format!("{SHARED}{self:?}"));
        let values = params::resolve(&manifest, &[]).expect("there are none");
        program(&manifest, values).expect("a script that loads")
    }
}

#[test]
fn every_small_program_leaves_a_trace_that_holds_together() {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let config = if asked { config } else { Config { cases: CASES, ..config } };
    // The same programs in every run: what fails here fails for everybody.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bodies = vec(vec(step(), 0..=8), 2..=6).prop_map(Body);
    let ran = runner.run(&(bodies, 0_u64..1000), |(body, seed)| {
        let session = rig::run_told_by(body.program(), seed, FeedChoice::Both);
        let trace = session.trace();
        prop_assert!(matches!(session.outcome(), Some(Outcome::Completed(_))), "{:?}", session.outcome());
        prop_assert_eq!((trace.console().1, trace.probe().1), (0, 0), "nothing is dropped");
        loop_runs_one_poll_at_a_time(trace)?;
        for task in trace.tasks() {
            wakes_and_polls_belong_together(task)?;
            awaits_nest(trace, task)?;
            let looks = (0..24).map(|look| trace.now() * ((seed + look) * 7_919 % 10_007) / 10_006);
            let edges = task.lane.cycles().flat_map(|cycle| [Some(cycle.start), cycle.end(), cycle.woken()]).flatten();
            for at in looks.chain(edges) {
                prop_assert_eq!(trace.state_at(task.id, at), naive_state(trace, task, at), "{} at {}", task.name(), at);
                totals_are_all_of_life(task, at)?;
            }
        }
        let lines = trace.output().lines();
        prop_assert!(lines.iter().is_sorted_by_key(|line| line.at), "lines are told in order");
        let again = rig::run_told_by(body.program(), seed, FeedChoice::Probe);
        prop_assert_eq!(written_down(trace), written_down(again.trace()), "the same seed is the same run");
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
}

fn loop_runs_one_poll_at_a_time(trace: &Trace) -> Result<(), TestCaseError> {
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

fn wakes_and_polls_belong_together(task: &Task) -> Result<(), TestCaseError> {
    let name = task.name();
    let (spawned, ended) = (task.lane.spawned(), task.lane.ended().expect("no task outlives the loop"));
    let wakes: Vec<Nanos> = task.wakes().map(|(at, _)| at).collect();
    prop_assert!(wakes.is_sorted(), "{name}: {wakes:?}");
    prop_assert!(wakes.iter().all(|at| (spawned..=ended).contains(at)), "{name}: {wakes:?}");
    prop_assert_eq!(wakes.len() as u64, task.counts.wakes);
    let cycles: Vec<Cycle> = task.lane.cycles().collect();
    prop_assert!(cycles.iter().all(|cycle| (spawned..=ended).contains(&cycle.start)), "{name}");
    for pair in cycles.windows(2) {
        let (polled, next) = (pair[0], pair[1]);
        let woken = polled.woken();
        prop_assert!(woken.is_some(), "{name} is polled at {} and nobody woke it since {}", next.start, polled.start);
        prop_assert!(woken >= polled.end() && woken <= Some(next.start), "{name}: {polled:?}, {next:?}");
        prop_assert!(polled.woken_step() > Some(polled.step) && polled.woken_step() <= Some(next.step), "{name}");
        let told = wakes.iter().any(|at| (polled.start..=next.start).contains(at));
        prop_assert!(told, "{name}: {polled:?}, {next:?}, {wakes:?}");
    }
    // A wake that no poll follows: only the end of the task may have come in between.
    if let Some(last) = cycles.last().filter(|last| last.woken().is_some_and(|woken| Some(woken) > last.end())) {
        prop_assert_eq!(&task.ending, &Some(Ending::Cancelled), "{} was woken for good: {:?}", name, last);
    }
    if task.ending != Some(Ending::Cancelled) {
        prop_assert_eq!(cycles.last().and_then(|last| last.end()), Some(ended), "{} ends in a poll", name);
    }
    Ok(())
}

fn awaits_nest(trace: &Trace, task: &Task) -> Result<(), TestCaseError> {
    let mut open: Vec<Nanos> = Vec::new();
    let mut before = 0;
    for id in task.awaits() {
        let told = trace.awaits().get(id).expect("nothing is forgotten so soon");
        let (start, end) = (told.start, told.end().expect("the run is over"));
        prop_assert!(before <= start && start <= end, "{}: {told:?}", task.name());
        prop_assert!(start >= task.lane.spawned() && Some(end) <= task.lane.ended(), "{}: {told:?}", task.name());
        let polled = task.lane.cycle_at(start).is_some_and(|cycle| cycle.end() >= Some(start));
        prop_assert!(polled, "{} begins to await outside of its polls: {told:?}", task.name());
        open.retain(|outer| *outer > start);
        prop_assert!(open.iter().all(|outer| end <= *outer), "{}: {told:?} crosses {open:?}", task.name());
        open.push(end);
        before = start;
    }
    Ok(())
}

/// The state by looking at every cycle, and what is waited on from the awaits themselves.
fn naive_state(trace: &Trace, task: &Task, at: Nanos) -> Option<State> {
    if at < task.lane.spawned() {
        return None;
    }
    if let (Some(ending), true) = (&task.ending, task.lane.ended() <= Some(at)) {
        return Some(match ending {
            Ending::Done => State::Done,
            Ending::Cancelled => State::Cancelled,
            Ending::Failed(_) => State::Failed,
        });
    }
    let Some(cycle) = task.lane.cycles().rfind(|cycle| cycle.start <= at) else {
        return Some(State::Scheduled);
    };
    let polled_until = cycle.end()?;
    if at < polled_until {
        return Some(State::Running);
    }
    if cycle.woken().is_some_and(|woken| woken <= at) {
        return Some(State::Scheduled);
    }
    let is_open = |told: Await| told.start <= polled_until && told.end() > Some(at);
    let innermost = task.awaits().rfind(|id| trace.awaits().get(*id).is_some_and(is_open))?;
    let site = trace.site(trace.awaits().get(innermost)?.site)?;
    Some(State::Waiting(Some(innermost), site.kind))
}

fn totals_are_all_of_life(task: &Task, at: Nanos) -> Result<(), TestCaseError> {
    let totals = task.lane.totals_at(at);
    let lived = at.min(task.lane.ended().unwrap_or(at)).saturating_sub(task.lane.spawned());
    let told = totals.busy_ns + totals.scheduled_ns + totals.waiting_total_ns();
    prop_assert_eq!(told, lived, "{} at {}: {:?}", task.name(), at, totals);
    let polls = task.lane.cycles().filter(|cycle| cycle.start <= at).count() as u64;
    prop_assert_eq!(totals.polls, polls, "{} at {}", task.name(), at);
    Ok(())
}

/// Everything that a run is, a line each.
fn written_down(trace: &Trace) -> Vec<String> {
    let tasks = trace.tasks().iter().flat_map(|task| {
        let lived = (task.lane.spawned(), task.lane.ended(), task.spawn_step, task.end_step);
        let told = format!("{} {:?} {:?} {lived:?} {:?}", task.id, task.spawned, task.ending, task.counts);
        let cycles = task.lane.cycles().map(|cycle| format!("{cycle:?}"));
        let wakes = task.wakes().map(|wake| format!("{wake:?}"));
        let lines: Vec<String> = [told].into_iter().chain(cycles).chain(wakes).collect();
        lines
    });
    let awaits = trace.awaits().iter().map(|(id, told)| {
        let site = trace.site(told.site);
        format!("{id} {} {site:?} {} {:?} {} {:?}", told.task, told.start, told.end(), told.polls, told.outcome())
    });
    let output = trace.output().lines().iter().map(|line| format!("{line:?}"));
    tasks.chain(awaits).chain(output).collect()
}
