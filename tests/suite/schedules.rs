//! The sync primitives keep their promises whatever happens to whom, and when.
//!
//! For each primitive there is a small program of two or three tasks and a main that judges at the end. Every schedule of
//! it that differs in one intervention is run, on the virtual clock and by the probe alone: after each number of polls,
//! each task is held and released some polls later, or cancelled. The loop stands at its gate while that happens, so a
//! schedule is the same each time; and a task that was woken but not yet polled is among those that are cancelled, which is
//! where permits, messages and wakes get lost.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use loopscope::app::Session;
use loopscope::control::{ClockKind, Command, FeedChoice, Outcome, Phase, Speed};
use loopscope::lab::Options;
use loopscope::session::LabSession;
use loopscope::trace::{Ending, TaskId, Trace};
use loopscope::workload::manifest::Manifest;
use loopscope::workload::{program, script};

/// Long past anything that is still going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// More polls than any of the programs needs.
const POLLS_MAX: u32 = 60;

/// Polls for which a task is held. The last outlasts the others: they come to their end, or to a stop without it.
const HELD_FOR: [u32; 4] = [1, 2, 4, POLLS_MAX];

/// Looks at a parked loop in which nothing happens, until it is believed.
const LOOKS: u32 = 20;

/// What is done to one task.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Hold { polls: u32 },
    Cancel,
}

/// What every program begins with. `worker(name, body)` makes a task whose loss main can tell; `inside` counts who is in
/// the guarded place, also where they leave it by being cancelled; `settle` waits for one of them, or for all.
const TOOLS: &str = "
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

/// Name, and main's body. It fails where a promise was broken.
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
        "local bell, given, heard = notify(), 0, 0
         for _, name in ipairs{'a', 'b'} do worker(name, function()
           if within('1h', bell:notified()) then heard = heard + 1 end
         end) end
         worker('c', function() await(yield_now()) bell:notify_one() given = given + 1 end)
         settle()
         if within(1, bell:notified()) then heard = heard + 1 end
         if heard ~= given then fail(given .. ' were given, and ' .. heard .. ' heard') end",
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
         for place, name in ipairs(came) do
           local complete = (place + 1) // 2 <= #came // 2
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
         for place, job in ipairs(taken) do if job ~= place then fail('out of order') end end",
    ),
    (
        "oneshot",
        "local reply, sent, heard = oneshot(), false, nil
         worker('a', function() pcall(function() heard = await(reply:recv()) end) end)
         worker('b', function() await(yield_now()) pcall(function() reply:send('yes') sent = true end) end)
         settle('b')
         if not sent then reply:close() end
         settle()
         if sent and heard ~= 'yes' and not lost.a then fail('the reply is lost') end
         if heard and not sent then fail('a reply that nobody sent') end",
    ),
    (
        "watch",
        "local level, seen = watch(0), {}
         for _, name in ipairs{'a', 'b'} do
           local watcher = level:subscribe()
           worker(name, function()
             for value in each(watcher) do
               if value < (seen[name] or 0) then fail('it went back') end
               seen[name] = value
             end
           end)
         end
         local last = 0
         worker('c', function() for n = 1, 2 do level:set(n) last = n await(yield_now()) end end)
         settle('c')
         level:close()
         settle()
         for _, name in ipairs{'a', 'b'} do
           if not lost[name] and (seen[name] or 0) ~= last then fail(name .. ' missed the last value') end
         end",
    ),
    (
        "broadcast",
        "local news, sent, heard = broadcast(8), 0, { a = {}, b = {} }
         for name, list in pairs(heard) do
           local listener = news:subscribe()
           worker(name, function()
             for value in each(listener) do list[#list + 1] = value end
           end)
         end
         worker('c', function() for n = 1, 3 do news:send(n) sent = n await(yield_now()) end end)
         settle('c')
         news:close()
         settle()
         for name, list in pairs(heard) do
           for place, value in ipairs(list) do if place ~= value then fail('out of order') end end
           if not lost[name] and #list ~= sent then fail(name .. ' heard ' .. #list .. ' of ' .. sent) end
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
        "return {{ title = 't', lesson = 'l', main = async(function()\n{TOOLS}\n{body}\nreturn 'kept' end) }}\n"
    );
    script::read("schedule", "schedule.lua", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// One run, from its first poll on.
struct Played {
    session: LabSession,
}

impl Played {
    fn new(manifest: &Manifest) -> Self {
        let program = program(manifest, vec![]).expect("a script that loads");
        let (clock, feed) = (ClockKind::Virtual, FeedChoice::Probe);
        let options = Options { clock, speed: Speed::Max, feed, paused: true, seed: 0, until: None };
        let session = LabSession::start("schedule", program, options, Trace::default()).expect("a thread can be had");
        let mut played = Self { session };
        played.rest(0);
        played
    }

    /// Waits until the loop stands still: at its gate, at its end, or, parked more than so many times, waiting for nothing
    /// that can come by itself.
    fn rest(&mut self, parks: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0;
        loop {
            // A timer that is due is not the next one any more, and its task is about to be woken.
            looks = if self.session.pump(Duration::from_millis(5)) { 0 } else { looks + 1 };
            let status = self.session.status();
            let trace = self.session.trace();
            let waits = trace.is_parked() && trace.counts().parks > parks && status.next_timer.is_none();
            let waits = waits && status.phase == Phase::Running && looks > LOOKS;
            if waits || matches!(status.phase, Phase::Paused | Phase::Ended) {
                // What was told before it stood still is taken in.
                self.session.pump(Duration::from_millis(5));
                return;
            }
            assert!(Instant::now() < deadline, "it does not stand still: {status:?}");
            self.session.wait(Duration::from_micros(50));
        }
    }

    fn step(&mut self, polls: u32) {
        if polls > 0 {
            let parks = self.session.trace().counts().parks;
            self.session.command(Command::StepPolls(polls));
            self.rest(parks);
        }
    }

    fn task(&self, name: &str) -> Option<TaskId> {
        let mut alive = self.session.trace().tasks().iter().filter(|task| task.ending.is_none());
        alive.find(|task| task.name() == name).map(|task| task.id)
    }

    /// Lets it run to its end, and gives main's verdict.
    fn verdict(mut self) -> (Result<(), String>, Trace) {
        self.session.command(Command::Resume);
        let deadline = Instant::now() + PATIENCE;
        while !self.session.is_over() {
            self.session.pump(Duration::from_millis(5));
            self.session.wait(Duration::from_micros(50));
            if Instant::now() > deadline {
                return (Err(format!("it never ends: {:?}", self.session.status())), self.session.trace().clone());
            }
        }
        let verdict = match self.session.outcome() {
            Some(Outcome::Completed(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        (verdict, self.session.trace().clone())
    }
}

/// Every await is over with its task, and no task was left behind.
fn is_tidy(trace: &Trace) -> Result<(), String> {
    for task in trace.tasks() {
        if task.ending.is_none() || task.open_awaits().next().is_some() {
            return Err(format!("{} is left behind", task.name()));
        }
    }
    Ok(())
}

/// Plays one schedule; `None` where there is no such task after so many polls.
fn play(manifest: &Manifest, after: u32, victim: &str, deed: Deed) -> Option<Result<(), String>> {
    let mut played = Played::new(manifest);
    played.step(after);
    let id = played.task(victim)?;
    match deed {
        Deed::Cancel => played.session.command(Command::Cancel(id)),
        Deed::Hold { polls } => {
            played.session.command(Command::Hold(id));
            played.step(polls);
            played.session.command(Command::Release(id));
        }
    }
    let (verdict, trace) = played.verdict();
    let ending = trace.task(id).and_then(|task| task.ending.clone());
    let fate = match deed {
        Deed::Cancel if ending != Some(Ending::Cancelled) => Err(format!("{victim} ended as {ending:?}")),
        Deed::Hold { .. } if ending != Some(Ending::Done) => Err(format!("{victim} ended as {ending:?}")),
        _ => Ok(()),
    };
    Some(verdict.and(fate).and_then(|()| is_tidy(&trace)))
}

/// Plays every schedule of one program. Returns how many there were.
fn play_all(name: &str, manifest: &Manifest) -> usize {
    let undisturbed = Played::new(manifest).verdict();
    assert_eq!(undisturbed.0, Ok(()), "{name}, left alone");
    let names: BTreeSet<String> = undisturbed.1.tasks().iter().map(|task| task.name().into_owned()).collect();
    let polls = undisturbed.1.steps();
    assert!(names.len() >= 3 && (4..POLLS_MAX / 2).contains(&polls), "{name} has {polls} polls");
    let mut schedules = 0;
    for after in 0..=polls {
        for victim in &names {
            let holds = HELD_FOR.map(|polls| Deed::Hold { polls });
            for deed in holds.into_iter().chain((victim != "main").then_some(Deed::Cancel)) {
                let Some(verdict) = play(manifest, after, victim, deed) else { continue };
                assert_eq!(verdict, Ok(()), "{name}: after {after} polls, {deed:?} {victim}");
                schedules += 1;
            }
        }
    }
    schedules
}

/// Both witnesses see a cancelled task alike, wherever the loop stands: before its first poll, at its gate, or parked.
#[test]
fn a_person_cancels_a_task_and_the_witnesses_agree() {
    let body = "worker('a', function() await(sleep('1h')) end) worker('b', function() await(sleep(1)) end) settle()";
    let manifest = manifest(body);
    for after in [1, 2, 3, 4] {
        let program = program(&manifest, vec![]).expect("a script that loads");
        let (clock, feed) = (ClockKind::Virtual, FeedChoice::Both);
        let options = Options { clock, speed: Speed::Max, feed, paused: true, seed: 0, until: None };
        let session = LabSession::start("cancel", program, options, Trace::default()).expect("a thread can be had");
        let mut played = Played { session };
        played.rest(0);
        played.step(after);
        let victim = played.task("a").expect("main made it in its first poll");
        played.session.command(Command::Cancel(victim));
        let (verdict, trace) = played.verdict();
        assert_eq!(verdict, Ok(()), "after {after} polls");
        assert_eq!(trace.task(victim).and_then(|task| task.ending.clone()), Some(Ending::Cancelled));
        assert_eq!(trace.now(), 1_000_000_000, "nobody waited for its hour");
        assert_eq!(trace.disagreements(), [], "after {after} polls");
    }
}

#[test]
fn every_primitive_keeps_its_promises_in_every_small_schedule() {
    let waiting = Mutex::new(PROGRAMS.iter());
    let next = || waiting.lock().expect("nobody panics while taking the next").next();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, body)) = next() {
                    let schedules = play_all(name, &manifest(body));
                    assert!(schedules > 50, "{name}: only {schedules} schedules");
                }
            });
        }
    });
}
