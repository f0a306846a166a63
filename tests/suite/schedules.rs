//! The sync primitives keep their guarantees whatever task is held or cancelled, and when.
//!
//! Each primitive has a small program of two or three tasks, whose main checks the result. Every schedule that differs
//! in one intervention is run, on the virtual clock and with the probe alone. After each number of polls, each task is
//! held and released some polls later, or cancelled. The loop is paused at its gate meanwhile, so a schedule is
//! deterministic. Cancelled tasks include those that were woken but not yet polled, which is where permits, messages
//! and wakes could get lost.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, RunPhase, SessionCommand, Speed};
use loopscope::lab::LoopOptions;
use loopscope::session::{LabSession, Session};
use loopscope::trace::{TaskId, TaskOutcome, Trace};
use loopscope::workload::manifest::Manifest;
use loopscope::workload::{build_program, script};

/// The time after which a run counts as hung.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// More polls than any of the programs needs.
const POLLS_MAX: u32 = 60;

/// Polls for which a task is held. The last exceeds every program: the others end, or stop without it.
const HELD_FOR: [u32; 4] = [1, 2, 4, POLLS_MAX];

/// Consecutive observations without events after which a parked loop counts as idle.
const IDLE_OBSERVATIONS: u32 = 20;

/// What is done to one task.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Intervention {
    Hold { polls: u32 },
    Cancel,
}

/// The prelude of every program.
///
/// `worker(name, body)` creates a task whose loss main can detect. `enter` counts the tasks inside a critical section,
/// also if they leave it by being cancelled. `settle` waits for one worker, or for all.
const PRELUDE: &str = "
local workers, lost = {}, {}
local function worker(name, body)
  workers[#workers + 1] = { name = name, task = create_task(async(body)(), { name = name }) }
end
local function settle(only)
  for _, each_of in ipairs(workers) do
    if only and each_of.name ~= only then goto continue end
    local ok, message = pcall(await, each_of.task)
    if not ok then
      if not tostring(message):find('was cancelled', 1, true) then fail(each_of.name .. ': ' .. tostring(message)) end
      lost[each_of.name] = true
    end
    ::continue::
  end
end
local inside = { count = 0 }
local function enter(weight, most)
  inside.count = inside.count + weight
  if inside.count > most then fail('too many at once: ' .. inside.count) end
  return setmetatable({}, { __close = function() inside.count = inside.count - weight end })
end
local function within(d, x)
  local ok, a, b = pcall(function() return await(timeout(d, x)) end)
  if ok then return true, a, b end
  return false
end
";

/// Name and body of main, which fails if a guarantee was broken.
const PROGRAMS: [(&str, &str); 10] = [
    (
        "mutex",
        "local lock = mutex()
         for _, name in ipairs{'a', 'b', 'c'} do worker(name, function()
           local guard <close> = await(lock:lock())
           local here <close> = enter(1, 1)
           await(yield_now())
         end) end
         settle()
         if not within(1, lock:lock()) then fail('the lock is lost') end",
    ),
    (
        "rwlock",
        "local lock = rwlock()
         worker('a', function() local guard <close> = await(lock:read()) local here <close> = enter(1, 2) await(yield_now()) end)
         worker('b', function() local guard <close> = await(lock:write()) local here <close> = enter(2, 2) await(yield_now()) end)
         worker('c', function() local guard <close> = await(lock:read()) local here <close> = enter(1, 2) await(yield_now()) end)
         settle()
         if not within(1, lock:write()) then fail('the lock is lost') end",
    ),
    (
        "semaphore",
        "local pool = semaphore(2)
         for name, count in pairs{ a = 2, b = 1, c = 1 } do worker(name, function()
           local permits <close> = await(pool:acquire(count))
           local here <close> = enter(count, 2)
           await(yield_now())
         end) end
         settle()
         if pool:available() ~= 2 then fail('permits are lost: ' .. pool:available()) end
         if not within(1, pool:acquire(2)) then fail('the queue is stuck') end",
    ),
    (
        "notify",
        "local bell, sent, received = notify(), 0, 0
         for _, name in ipairs{'a', 'b'} do worker(name, function()
           if within('1h', bell:notified()) then received = received + 1 end
         end) end
         worker('c', function() await(yield_now()) bell:notify_one() sent = sent + 1 end)
         settle()
         if within(1, bell:notified()) then received = received + 1 end
         if received ~= sent then fail(sent .. ' notified, ' .. received .. ' received') end",
    ),
    (
        "barrier",
        "local line, came, passed, leaders = barrier(2), {}, {}, 0
         for _, name in ipairs{'a', 'b', 'c'} do worker(name, function()
           came[#came + 1] = name
           local ok, leads = within('1h', line:wait())
           if ok then passed[name] = true end
           if ok and leads then leaders = leaders + 1 end
         end) end
         settle()
         if leaders > #came // 2 then fail('too many leaders') end
         for position, name in ipairs(came) do
           local complete = (position + 1) // 2 <= #came // 2
           if passed[name] and not complete then fail(name .. ' passed alone') end
           if complete and not passed[name] and not lost[name] then fail(name .. ' was left behind') end
         end",
    ),
    (
        "channel",
        "local jobs, sent, taken = channel(1), 0, {}
         worker('a', function() for n = 1, 3 do await(jobs:send(n)) sent = n end end)
         for _, name in ipairs{'b', 'c'} do worker(name, function()
           for job in each(jobs) do taken[#taken + 1] = job end
         end) end
         settle('a')
         jobs:close()
         settle()
         for job in each(jobs) do taken[#taken + 1] = job end
         if #taken ~= sent then fail(sent .. ' were sent, and ' .. #taken .. ' came') end
         for position, job in ipairs(taken) do if job ~= position then fail('out of order') end end",
    ),
    (
        "oneshot",
        "local reply, sent, received = oneshot(), false, nil
         worker('a', function() pcall(function() received = await(reply:recv()) end) end)
         worker('b', function() await(yield_now()) pcall(function() reply:send('yes') sent = true end) end)
         settle('b')
         if not sent then reply:close() end
         settle()
         if sent and received ~= 'yes' and not lost.a then fail('the reply is lost') end
         if received and not sent then fail('a reply without a send') end",
    ),
    (
        "watch",
        "local level, latest = watch(0), {}
         for _, name in ipairs{'a', 'b'} do
           local watcher = level:subscribe()
           worker(name, function()
             for value in each(watcher) do
               if value < (latest[name] or 0) then fail('it went back') end
               latest[name] = value
             end
           end)
         end
         local last = 0
         worker('c', function() for n = 1, 2 do level:set(n) last = n await(yield_now()) end end)
         settle('c')
         level:close()
         settle()
         for _, name in ipairs{'a', 'b'} do
           if not lost[name] and (latest[name] or 0) ~= last then fail(name .. ' missed the last value') end
         end",
    ),
    (
        "broadcast",
        "local news, sent, received = broadcast(8), 0, { a = {}, b = {} }
         for name, list in pairs(received) do
           local listener = news:subscribe()
           worker(name, function()
             for value in each(listener) do list[#list + 1] = value end
           end)
         end
         worker('c', function() for n = 1, 3 do news:send(n) sent = n await(yield_now()) end end)
         settle('c')
         news:close()
         settle()
         for name, list in pairs(received) do
           for position, value in ipairs(list) do if position ~= value then fail('out of order') end end
           if not lost[name] and #list ~= sent then fail(name .. ' received ' .. #list .. ' of ' .. sent) end
         end",
    ),
    (
        "event",
        "local ready, is_set, went = event(), false, {}
         for _, name in ipairs{'a', 'b'} do worker(name, function()
           await(ready:wait())
           went[name] = true
         end) end
         worker('c', function() await(yield_now()) ready:set() is_set = true end)
         settle('c')
         if not is_set then ready:set() end
         settle()
         for _, name in ipairs{'a', 'b'} do
           if not went[name] and not lost[name] then fail(name .. ' was left behind') end
         end",
    ),
];

fn manifest(body: &str) -> Manifest {
    let text = format!(
        "return {{ title = 't', lesson = 'l', main = async(function()\n{PRELUDE}\n{body}\nreturn 'ok' end) }}\n"
    );
    script::read_manifest("schedule", "schedule.lua", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// One run, paused before its first poll.
struct ScheduleRun {
    session: LabSession,
}

impl ScheduleRun {
    fn new(manifest: &Manifest) -> Self {
        let program = build_program(manifest, vec![]).expect("a script that loads");
        let (clock, feed) = (ClockKind::Virtual, FeedChoice::Probe);
        let options = LoopOptions { clock, speed: Speed::Max, feed, start_paused: true, seed: 0, stop_at: None };
        let session =
            LabSession::start("schedule", program, options, Trace::default()).expect("the loop thread starts");
        let mut run = Self { session };
        run.wait_until_stopped(0);
        run
    }

    /// Waits until the loop is paused, has ended, or has parked more than `parks` times and waits for nothing that can
    /// come by itself.
    fn wait_until_stopped(&mut self, parks: u64) {
        let deadline = Instant::now() + RUN_TIMEOUT;
        let mut quiet_pumps = 0;
        loop {
            // A timer that is due is no longer the next one, while its task is about to be woken.
            quiet_pumps = if self.session.pump(Duration::from_millis(5)) { 0 } else { quiet_pumps + 1 };
            let status = self.session.status();
            let trace = self.session.trace();
            let waits = trace.is_parked() && trace.counts().parks > parks && status.next_timer.is_none();
            let waits = waits && status.phase == RunPhase::Running && quiet_pumps > IDLE_OBSERVATIONS;
            if waits || matches!(status.phase, RunPhase::Paused | RunPhase::Ended) {
                // Apply the events from before the stop.
                self.session.pump(Duration::from_millis(5));
                return;
            }
            assert!(Instant::now() < deadline, "the loop does not stop: {status:?}");
            self.session.wait(Duration::from_micros(50));
        }
    }

    fn step(&mut self, polls: u32) {
        if polls > 0 {
            let parks = self.session.trace().counts().parks;
            self.session.command(SessionCommand::StepPolls(polls));
            self.wait_until_stopped(parks);
        }
    }

    fn task(&self, name: &str) -> Option<TaskId> {
        let mut alive = self.session.trace().tasks().iter().filter(|task| task.outcome.is_none());
        alive.find(|task| task.name() == name).map(|task| task.id)
    }

    /// Runs to the end and returns main's result and the trace.
    fn finish(mut self) -> (Result<(), String>, Trace) {
        self.session.command(SessionCommand::Resume);
        let deadline = Instant::now() + RUN_TIMEOUT;
        while !self.session.is_finished() {
            self.session.pump(Duration::from_millis(5));
            self.session.wait(Duration::from_micros(50));
            if Instant::now() > deadline {
                return (
                    Err(format!("the run does not end: {:?}", self.session.status())),
                    self.session.trace().clone(),
                );
            }
        }
        let verdict = match self.session.outcome() {
            Some(RunOutcome::Completed(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        (verdict, self.session.trace().clone())
    }
}

/// Checks that every task has ended and has no open await.
fn check_all_ended(trace: &Trace) -> Result<(), String> {
    for task in trace.tasks() {
        if task.outcome.is_none() || task.open_awaits().next().is_some() {
            return Err(format!("{} has not ended", task.name()));
        }
    }
    Ok(())
}

/// Runs one schedule; `None` if the task does not exist after so many polls.
fn run_schedule(
    manifest: &Manifest,
    after: u32,
    victim: &str,
    intervention: Intervention,
) -> Option<Result<(), String>> {
    let mut run = ScheduleRun::new(manifest);
    run.step(after);
    let id = run.task(victim)?;
    match intervention {
        Intervention::Cancel => run.session.command(SessionCommand::Cancel(id)),
        Intervention::Hold { polls } => {
            run.session.command(SessionCommand::Hold(id));
            run.step(polls);
            run.session.command(SessionCommand::Release(id));
        }
    }
    let (verdict, trace) = run.finish();
    let ending = trace.task(id).and_then(|task| task.outcome.clone());
    let victim_result = match intervention {
        Intervention::Cancel if ending != Some(TaskOutcome::Cancelled) => Err(format!("{victim} ended as {ending:?}")),
        Intervention::Hold { .. } if ending != Some(TaskOutcome::Completed) => {
            Err(format!("{victim} ended as {ending:?}"))
        }
        _ => Ok(()),
    };
    Some(verdict.and(victim_result).and_then(|()| check_all_ended(&trace)))
}

/// Runs every schedule of one program and returns their number.
fn run_all_schedules(name: &str, manifest: &Manifest) -> usize {
    let baseline = ScheduleRun::new(manifest).finish();
    assert_eq!(baseline.0, Ok(()), "{name}, without intervention");
    let names: BTreeSet<String> = baseline.1.tasks().iter().map(|task| task.name().into_owned()).collect();
    let polls = baseline.1.steps();
    assert!(names.len() >= 3 && (4..POLLS_MAX / 2).contains(&polls), "{name} has {polls} polls");
    let mut schedules = 0;
    for after in 0..=polls {
        for victim in &names {
            let holds = HELD_FOR.map(|polls| Intervention::Hold { polls });
            for intervention in holds.into_iter().chain((victim != "main").then_some(Intervention::Cancel)) {
                let Some(verdict) = run_schedule(manifest, after, victim, intervention) else { continue };
                assert_eq!(verdict, Ok(()), "{name}: after {after} polls, {intervention:?} {victim}");
                schedules += 1;
            }
        }
    }
    schedules
}

/// Both feeds agree on a cancelled task, wherever the loop is: before its first poll, at its gate, or parked.
#[test]
fn feeds_agree_on_cancelled_task() {
    let body = "worker('a', function() await(sleep('1h')) end) worker('b', function() await(sleep(1)) end) settle()";
    let manifest = manifest(body);
    for after in [1, 2, 3, 4] {
        let program = build_program(&manifest, vec![]).expect("a script that loads");
        let (clock, feed) = (ClockKind::Virtual, FeedChoice::Both);
        let options = LoopOptions { clock, speed: Speed::Max, feed, start_paused: true, seed: 0, stop_at: None };
        let session = LabSession::start("cancel", program, options, Trace::default()).expect("the loop thread starts");
        let mut run = ScheduleRun { session };
        run.wait_until_stopped(0);
        run.step(after);
        let victim = run.task("a").expect("main spawns it in its first poll");
        run.session.command(SessionCommand::Cancel(victim));
        let (verdict, trace) = run.finish();
        assert_eq!(verdict, Ok(()), "after {after} polls");
        assert_eq!(trace.task(victim).and_then(|task| task.outcome.clone()), Some(TaskOutcome::Cancelled));
        assert_eq!(trace.now(), 1_000_000_000, "the cancelled sleep delays nothing");
        assert_eq!(trace.disagreements(), [], "after {after} polls");
    }
}

#[test]
fn primitives_hold_in_every_small_schedule() {
    let waiting = Mutex::new(PROGRAMS.iter());
    let next = || waiting.lock().expect("taking the next does not panic").next();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, body)) = next() {
                    let schedules = run_all_schedules(name, &manifest(body));
                    assert!(schedules > 50, "{name}: only {schedules} schedules");
                }
            });
        }
    });
}
