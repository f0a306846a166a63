//! Every function of the workload language, in scripts on the lab's event loop. Every run also compares the exact probe
//! with console-subscriber.

use crate::lab_harness;
use crate::workload::{failure_of, output_lines, result_of, run, script_with_body};
use loopscope::control::ClockKind;
use loopscope::insight::{Thresholds, run_lints};
use loopscope::trace::AwaitKind;
use loopscope::workload::build_program;

const SECOND: u64 = 1_000_000_000;

/// Runs each script body and compares its result with the expected JSON.
#[track_caller]
fn assert_results(cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        assert_eq!(result_of(body), *expected, "{body}");
    }
}

#[test]
fn timers_and_intervals_return_expected_times() {
    assert_results(&[
        ("await(sleep(1)) await(sleep_until(5)) await(sleep_until(2)) return now()", "5.0"),
        ("local t = {} local i = interval(2) for n = 1, 3 do t[n] = await(i:tick()) end return t", "[0.0,2.0,4.0]"),
        (
            "local i = interval(1) await(i:tick()) block(3.5) local t = {} for n = 1, 5 do await(i:tick()) t[n] = now() end return t",
            "[3.5,3.5,3.5,4.0,5.0]",
        ),
        (
            "local i = interval(1, {missed='delay'}) await(i:tick()) block(3.5) local t = {} for n = 1, 3 do await(i:tick()) t[n] = now() end return t",
            "[3.5,4.5,5.5]",
        ),
        (
            "local i = interval(1, {missed='skip'}) await(i:tick()) block(3.5) local t = {} for n = 1, 3 do await(i:tick()) t[n] = now() end return t",
            "[3.5,4.0,5.0]",
        ),
        ("local a, b = spawn_blocking(3), spawn_blocking(3) block(1) await(a) await(b) return now()", "3.0"),
        ("local n = 0 for at in each(interval(1)) do n = n + 1 if n == 4 then return at end end", "3.0"),
    ]);
}

#[test]
fn locks_and_signals_return_expected_values() {
    assert_results(&[
        (
            "local m = mutex() local g = await(m:lock()) local a = m:locked() g:unlock() return {a, m:locked()}",
            "[true,false]",
        ),
        ("local m = mutex() do local g <close> = await(m:lock()) end return m:locked()", "false"),
        ("local m = mutex() local g <close> = await(m:lock()) g:unlock() return m:locked()", "false"),
        ("local m = mutex() local a, b = m:try_lock(), m:try_lock() return {a ~= nil, b == nil}", "[true,true]"),
        (
            "local m, seen = mutex(), {} local f = async(function(n) local g <close> = await(m:lock()) await(sleep(1)) seen[#seen + 1] = n end) \
          await(gather(f(1), f(2), f(3))) return {seen, now()}",
            "[[1,2,3],3.0]",
        ),
        (
            "local l, seen = rwlock(), {} \
          local r = async(function(n) local g <close> = await(l:read()) await(sleep(1)) seen[#seen + 1] = n end) \
          local w = async(function(n) local g <close> = await(l:write()) await(sleep(1)) seen[#seen + 1] = n end) \
          await(gather(r(1), r(2), w(3), r(4))) return {seen, now()}",
            "[[1,2,3,4],3.0]",
        ),
        (
            "local s, f = semaphore(2), nil f = async(function() local p <close> = await(s:acquire()) await(sleep(1)) end) \
          await(gather(f(), f(), f(), f(), f())) return {now(), s:available()}",
            "[3.0,2]",
        ),
        (
            "local s = semaphore(3) local p = await(s:acquire(2)) local no = s:try_acquire(2) p:release() return {no == nil, s:available()}",
            "[true,3]",
        ),
        (
            "local n, out = notify(), {} local f = async(function(i) await(n:notified()) out[#out + 1] = i end) \
          local all = gather(f(1), f(2), f(3)) await(sleep(1)) n:notify_one() await(sleep(1)) n:notify_waiters() await(all) return out",
            "[1,2,3]",
        ),
        ("local n = notify() n:notify_one() await(n:notified()) return now()", "0.0"),
        (
            "local b, leaders = barrier(3), 0 local f = async(function(d) await(sleep(d)) if await(b:wait()) then leaders = leaders + 1 end return now() end) \
          local all = await(gather(f(1), f(2), f(5))) return {all, leaders}",
            "[[5.0,5.0,5.0],1]",
        ),
        (
            "local e = event() local f = async(function() await(e:wait()) return now() end) local t = create_task(f()) await(sleep(2)) e:set() \
          await(e:wait()) local at = await(t) e:clear() return {at, e:is_set()}",
            "[2.0,false]",
        ),
        (
            "return tostring(mutex{name='left'}) .. tostring(semaphore(1)) .. tostring(channel(2, {name='jobs'}))",
            r#""mutex leftsemaphorechannel jobs""#,
        ),
    ]);
}

#[test]
fn channels_return_expected_values() {
    assert_results(&[
        (
            "local c, got = channel(2), {} local f = async(function() for i = 1, 5 do await(c:send(i)) end c:close() end) \
          create_task(f()) for x in each(c) do got[#got + 1] = x end return got",
            "[1,2,3,4,5]",
        ),
        (
            "local c = channel() for i = 1, 1000 do await(c:send(i)) end local n = c:len() c:close() local s = 0 for x in each(c) do s = s + x end return {n, s, now()}",
            "[1000,500500,0.0]",
        ),
        ("local c = channel(1) return {c:try_send('a'), c:try_send('b'), await(c:recv())}", r#"[true,false,"a"]"#),
        (
            "local c, out = channel(4), {} local w = async(function(n) for x in each(c) do await(sleep(x)) out[#out + 1] = n .. ':' .. x end end) \
          local all = gather(w('a'), w('b')) for i = 1, 4 do await(c:send(i)) end c:close() await(all) return {out, now()}",
            r#"[["a:1","b:2","a:3","b:4"],6.0]"#,
        ),
        (
            "local o = oneshot() create_task(async(function() await(sleep(1)) o:send({7}) end)()) return await(o:recv())[1] + now()",
            "8.0",
        ),
        (
            "local o = oneshot() o:close() local _, e = pcall(await, o:recv()) return e",
            r#""demo.lua:4: the oneshot was closed without an answer""#,
        ),
        (
            "local b = broadcast(2) local rx = b:subscribe() for i = 1, 5 do b:send(i) end b:close() local t = {} \
          for value, lost in each(rx) do t[#t + 1] = {value, lost} end return t",
            "[[4,3],[5,0]]",
        ),
        ("local b = broadcast(2) return b:send(1)", "0"),
        (
            "local w = watch(1) local rx, seen = w:subscribe(), {} local f = async(function() for x in each(rx) do seen[#seen + 1] = x end end) \
          local t = create_task(f()) await(sleep(1)) w:set(2) w:set(3) await(sleep(1)) w:set(4) await(sleep(1)) w:close() await(t) return seen",
            "[3,4]",
        ),
        ("local w = watch('a') w:set('b') return w:get()", r#""b""#),
    ]);
}

#[test]
fn select_and_as_completed_return_expected_values() {
    assert_results(&[
        ("return {await(select{ sleep(2), sleep(1) }), now()}", "[2,1.0]"),
        (
            "local c = channel(1) local which, value = await(select{ late = sleep(5), came = c:recv() , other = async(function() await(sleep(1)) return 7 end)() }) return {which, value}",
            r#"["other",7]"#,
        ),
        ("return select('#', 1, 2, 3)", "3"),
        ("return {select(2, 'a', 'b')}", r#"["b"]"#),
        (
            "local n = 0 for _ = 1, 100 do n = n + (await(select{ sleep(0), sleep(0), biased = true })) end return n",
            "100",
        ),
        (
            "local n = 0 for _ = 1, 100 do n = n + (await(select{ sleep(0), sleep(0) })) end return n > 110 and n < 190",
            "true",
        ),
        (
            "local f = async(function(d) await(sleep(d)) return d end) local t = {} \
          for place, value in each(as_completed{ f(3), f(1), f(2) }) do t[#t + 1] = {place, value, now()} end return t",
            "[[2,1,1.0],[3,2,2.0],[1,3,3.0]]",
        ),
        (
            "local f = async(function() await(sleep(3)) return 'kept' end) local t = create_task(f()) \
          local ok = pcall(function() await(timeout(1, shield(t))) end) return {ok, await(t), now()}",
            r#"[false,"kept",3.0]"#,
        ),
        (
            "local f = async(function() await(sleep(1)) fail('no') end) local ok, e = pcall(function() await(select{ f(), sleep(2) }) end) return e",
            r#""demo.lua:4: no""#,
        ),
    ]);
    assert!(failure_of("", "await(select{ biased = true })").contains("select needs something to choose from"));
    assert!(failure_of("", "select(0)").contains("bad argument"));
}

#[test]
fn select_drops_losing_branches() {
    let ran = run(
        &script_with_body(
            "local slow = async(function(m)\n  local g <close> = await(m:lock()) await(sleep(9)) print('never') end)",
            "local m = mutex()\nlocal which = await(select{ slow(m), sleep(1) })\nlocal g = await(m:lock())\nreturn {which, now()}",
        ),
        &[],
    );
    assert_eq!(ran.outcome, Some(Ok(serde_json::json!([2, 1.0]))));
    assert!(ran.task_outcomes.contains(&("slow-1".to_owned(), "cancelled".to_owned())));
}

#[test]
fn task_groups_return_expected_values() {
    assert_results(&[
        (
            "local f = async(function(d) await(sleep(d)) return d end) local t \
          local r = await(task_group(function(group) t = group:create_task(f(3)) group:create_task(f(1), {name = 'x'}) return 'body' end)) \
          return {r, now(), t:done()}",
            r#"["body",3.0,true]"#,
        ),
        (
            "local f = async(function(d, bad) await(sleep(d)) if bad then fail('bad') end end) local a, b \
          local ok, e = pcall(function() await(task_group(function(g) a = g:create_task(f(9)) b = g:create_task(f(1, true)) await(sleep(100)) end)) end) \
          return {ok, e, now(), a:done()}",
            r#"[false,"demo.lua:4: bad",1.0,true]"#,
        ),
        (
            "local f = async(function() await(sleep(9)) end) local a \
          local ok, e = pcall(function() await(task_group(function(g) a = g:create_task(f()) await(sleep(1)) fail('body') end)) end) \
          return {ok, e, now(), a:done()}",
            r#"[false,"demo.lua:4: body",1.0,true]"#,
        ),
        (
            "local f = async(function() await(sleep(9)) end) local a \
          local t = create_task(async(function() await(task_group(function(g) a = g:create_task(f()) end)) end)()) \
          await(sleep(1)) t:cancel() await(sleep(1)) return {a:done(), t:done()}",
            "[true,true]",
        ),
        ("return await(task_group(async(function(g) return 1 end)))", "1"),
    ]);
    assert!(
        failure_of("", "local g await(task_group(function(group) g = group end)) g:create_task(sleep(1))")
            .contains("this task group has ended")
    );
}

#[test]
fn generators_return_expected_values() {
    assert_results(&[
        (
            "local count = async_generator(function(yield, n) for i = 1, n do await(sleep(1)) yield(i, now()) end end) local t = {} \
          for i, at in each(count(3)) do t[#t + 1] = {i, at} end return t",
            "[[1,1.0],[2,2.0],[3,3.0]]",
        ),
        (
            "local g = async_generator(function(yield) yield('a') fail('broken') end) local t = {} \
          local ok, e = pcall(function() for x in each(g()) do t[#t + 1] = x end end) return {t, e}",
            r#"[["a"],"demo.lua:4: broken"]"#,
        ),
        (
            "local m = mutex() local g = async_generator(function(yield) local k <close> = await(m:lock()) while true do yield(1) end end) \
          for x in each(g()) do break end return m:locked()",
            "false",
        ),
        (
            "local inner = async_generator(function(yield) yield(1) yield(2) end) local outer = async_generator(function(yield) for x in each(inner()) do yield(x * 10) end end) \
          local t = {} for x in each(outer()) do t[#t + 1] = x end return t",
            "[10,20]",
        ),
        (
            "local g = async_generator(function(yield) yield(1) end) local it = g() return {await(it:next()), await(it:next()), await(it:next())}",
            "[1]",
        ),
        // A close while a reader waits: the reader still gets its value, and it is the last one.
        (
            "local g = async_generator(function(yield) yield(1) await(sleep(1)) yield(2) yield(3) end) local t = {} \
          for _, close in pairs {function(it) it:close() end, function(it) await(it:aclose()) end} do local it = g() await(it:next()) \
          local reader = create_task(it:next()) await(sleep(0.5)) close(it) t[#t + 1] = {await(reader), await(it:next()) == nil} end return t",
            "[[2,true],[2,true]]",
        ),
        (
            "local m = mutex() local g = async_generator(function(yield) local k <close> = await(m:lock()) yield(1) yield(2) end) \
          local n, held do local it <close> = g() n = await(it:next()) held = m:locked() end await(sleep(1)) return {n, held, m:locked()}",
            "[1,true,false]",
        ),
    ]);
    let text = failure_of(
        "local gen = async_generator(function(yield)\n  yield(1)\n  local x = nil\n  yield(x.y)\nend)",
        "for x in each(gen()) do end",
    );
    assert!(text.starts_with("demo.lua:4:"), "{text}");
    assert!(text.contains("in gen (demo.lua:4), awaited by main (demo.lua:8)"), "{text}");
    assert!(failure_of("", "for x in each(5) do end").contains("each needs something to iterate over"));
}

#[test]
fn inner_awaits_show_their_own_location() {
    let before = "local gen = async_generator(function(yield)\n  await(sleep(1))\n  yield(1)\nend)";
    let ran = run(
        &script_with_body(before, "for x in each(gen()) do end\nlocal m = mutex{name = 'left'}\nawait(m:lock())"),
        &[],
    );
    let seen: Vec<_> = ran
        .awaits
        .iter()
        .map(|(site, start, end)| (site.kind, &*site.source, site.location.as_ref().map(|at| at.line), end - start))
        .collect();
    let lock = (AwaitKind::Sync, "mutex.lock(left)", Some(9), 0);
    assert_eq!(seen, [lock, (AwaitKind::Timer, "sleep", Some(2), SECOND)]);
}

#[test]
fn guards_are_released_with_their_task() {
    let before = "local holder = async(function(m, s)\n  await(m:lock())\n  await(s:acquire(2))\n  await(sleep(1000))\nend)\n\
                  local waiter = async(function(m) await(m:lock()) print('never') end)\n\
                  local failing = async(function(m) await(m:lock()) fail('x') end)";
    for (body, expected) in [
        // A cancelled task releases its guards.
        (
            "local m, s = mutex(), semaphore(2) local t = create_task(holder(m, s)) await(sleep(1)) t:cancel() await(m:lock()) \
          return {now(), s:available()}",
            "[1.0,2]",
        ),
        // A cancelled waiter loses neither the lock nor the wake-up of the next waiter.
        (
            "local m, s = mutex(), semaphore(2) local a = create_task(holder(m, s)) await(sleep(1)) local b = create_task(waiter(m)) \
          await(sleep(1)) local c = m:lock() b:cancel() a:cancel() await(c) return now()",
            "2.0",
        ),
        // Both are cancelled in the same turn: the waiter got the lock but was never polled with it.
        (
            "local m, s = mutex(), semaphore(2) local a = create_task(holder(m, s)) await(sleep(1)) local b = create_task(waiter(m)) \
          await(sleep(1)) a:cancel() create_task(async(function() b:cancel() end)()) await(m:lock()) return now()",
            "2.0",
        ),
        // A failed task releases its guards.
        ("local m = mutex() create_task(failing(m)) await(sleep(1)) await(m:lock()) return now()", "1.0"),
        // A task that completes without releasing its guard.
        (
            "local m = mutex() await(create_task(async(function() await(m:lock()) end)())) await(m:lock()) return now()",
            "0.0",
        ),
    ] {
        let ran = run(&script_with_body(before, body), &[]);
        assert_eq!(
            ran.outcome.as_ref().map(|outcome| outcome.as_ref().map(ToString::to_string)),
            Some(Ok(expected.to_owned())),
            "{body}"
        );
        assert_eq!(output_lines(&ran), [""; 0]);
    }
}

#[test]
fn cancelled_task_runs_close_handlers() {
    let before = "local f = async(function()\n  local way_out <close> = setmetatable({}, { __close = function() print('out') end })\n  await(sleep(9))\nend)";
    let ran =
        run(&script_with_body(before, "local t = create_task(f())\nawait(sleep(1))\nt:cancel()\nawait(sleep(1))"), &[]);
    assert_eq!(ran.output, [(SECOND, "f-1".to_owned(), "out".to_owned())]);
}

#[test]
fn unconstrained_work_does_not_yield() {
    let before = "local drain = async(function(c) local n = 0 for _ in each(c) do n = n + 1 end return n end)";
    let polls = |call: &str| {
        let body =
            format!("local c = channel() for i = 1, 1000 do await(c:send(i)) end c:close()\nreturn await({call})");
        let ran = run(&script_with_body(before, &body), &[]);
        assert_eq!(ran.outcome, Some(Ok(serde_json::json!(1000))));
        ran.polls
    };
    assert!(polls("drain(c)") > polls("unconstrained(drain(c))"));
}

#[test]
fn usage_errors_name_the_problem() {
    for (body, expected) in [
        ("local g = await(mutex():lock())\ng:unlock()\ng:unlock()", "demo.lua:6:3: this guard was already released"),
        ("channel(0)", "channel needs a whole number from 1 to 1000000, but got the number 0"),
        ("semaphore()", "semaphore needs a whole number from 0 to 1000000, but got nil"),
        ("mutex(5)", "mutex takes {name = \"…\"}, but got the number 5"),
        ("channel(1):send(nil)", "a channel cannot carry nil"),
        ("local c = channel(1) c:close() c:send(1)", "the channel is closed"),
        ("local o = oneshot() o:send(1) o:send(2)", "this oneshot was already sent or closed"),
        ("interval(0)", "an interval needs a period above 0"),
        ("interval(1, {missed = 'x'})", "`missed` cannot be the string \"x\""),
        ("mutex().lock()", "`lock` was called without its mutex"),
        ("await(mutex())", "await needs an awaitable, but got the mutex"),
        ("task_group(5)", "task_group needs a function, but got the number 5"),
        ("unconstrained(5)", "unconstrained needs a coroutine, but got the number 5"),
    ] {
        let text = failure_of("", body);
        assert!(text.contains(expected), "{body}: {text}");
    }
}

#[test]
fn deadlock_error_lists_waiting_tasks() {
    let text = failure_of(
        "local cross = async(function(one, other)\n  await(one:lock())\n  await(sleep(1))\n  await(other:lock())\nend)",
        "local a, b = mutex(), mutex()\nawait(gather(cross(a, b), cross(b, a)))",
    );
    assert_eq!(
        text,
        "deadlock: no scheduled task and no pending timer; main waits for gather at demo.lua:9, \
         cross-1 waits for mutex.lock at demo.lua:4, cross-2 waits for mutex.lock at demo.lua:4"
    );
    assert!(failure_of("", "await(channel(1):recv())").contains("main waits for channel.recv at demo.lua:4"));
    // A timer that is due and has not fired yet still counts: this is not a deadlock.
    assert_eq!(
        result_of(
            "local t = create_task(async(function() await(sleep('1200us')) return 1 end)()) await(yield_now()) block('1500us') return await(t)"
        ),
        "1"
    );
}

/// Built-in awaitables that are called as a statement are reported, others are not.
#[test]
fn forgotten_awaits_of_builtins_are_found() {
    let found = |body: &str| {
        let program = build_program(&script_with_body("", body), vec![]).expect("a script that loads");
        lab_harness::inspect_trace(program, ClockKind::Virtual, |trace| {
            let found = run_lints(trace, &Thresholds::default()).listed;
            found.into_iter().map(|found| (found.name, found.count, found.message)).collect::<Vec<_>>()
        })
    };
    for (body, name) in [
        ("sleep(1)", "`sleep()`"),
        ("local q = channel(1) q:send(1)", "`channel.send()`"),
        ("local l = mutex() l:lock()", "`mutex.lock()`"),
        ("yield_now()", "`yield_now()`"),
    ] {
        let found = found(body);
        assert!(found.len() == 1 && found[0].0 == "never-awaited", "{body}: {found:?}");
        assert!(found[0].2.contains(&format!("{name} was called but never awaited")), "{body}: {found:?}");
    }
    let twice = found("for _ = 1, 3 do sleep(1) end");
    assert!(twice.len() == 1 && twice[0].1 == 3, "{twice:?}");
    let awaited =
        "await(sleep(1)) await(select{ sleep(1), sleep(2) }) pcall(function() await(timeout(1, sleep(9))) end)
        local task = create_task(async(function() await(sleep(99)) end)()) await(sleep(1)) task:cancel()
        local later = sleep(3) await(later)";
    assert_eq!(found(awaited), []);
}

/// A guard or permit that another task or a timer releases makes no deadlock, wherever the run is cut.
#[test]
fn handed_over_guards_are_no_deadlock() {
    let gate = "local gate = semaphore(1)
        local closed = await(gate:acquire())
        create_task(async(function() await(sleep(9)) closed:release() end)())
        pcall(function() await(timeout(3, gate:acquire())) end)";
    let bucket = "local bucket, taken = semaphore(2), {}
        create_task(async(function()
          while true do await(sleep(5)) local permit = table.remove(taken, 1) if permit then permit:release() end end
        end)())
        local client = async(function() for _ = 1, 3 do taken[#taken + 1] = await(bucket:acquire()) end end)
        create_task(client()) create_task(client())
        await(sleep(12))";
    let handed_over = "local left, right, guards = mutex(), mutex(), {}
        local cross = async(function(first, second)
          guards[#guards + 1] = await(first:lock())
          await(sleep(1))
          await(second:lock())
        end)
        create_task(async(function() await(sleep(3)) for _, guard in ipairs(guards) do guard:unlock() end end)())
        create_task(cross(left, right)) create_task(cross(right, left))
        await(sleep(8))";
    for body in [gate, bucket, handed_over] {
        let program = build_program(&script_with_body("", body), vec![]).expect("a script that loads");
        let found = lab_harness::inspect_trace(program, ClockKind::Virtual, |trace| {
            run_lints(trace, &Thresholds::default()).listed
        });
        assert!(found.iter().all(|found| found.name != "deadlock"), "{body}: {found:?}");
    }
}

/// Lints and the deadlock error identify the resource that is awaited inside a select or a timeout.
#[test]
fn lints_see_through_a_select_and_a_timeout() {
    let found = |body: &str| {
        let program = build_program(&script_with_body("", body), vec![]).expect("a script that loads");
        lab_harness::inspect_trace(program, ClockKind::Virtual, |trace| {
            let found = run_lints(trace, &Thresholds::default());
            found.listed.iter().map(|found| format!("{}: {}", found.name, found.evidence)).collect::<Vec<_>>()
        })
    };
    let bell = |before: &str| {
        found(&format!("local bell = notify() {before} pcall(function() await(timeout(40, bell:notified())) end)"))
    };
    let lost = bell("bell:notify_waiters()");
    assert!(lost.len() == 1 && lost[0].starts_with("lost-wake: ") && lost[0].contains("demo.lua:4"), "{lost:?}");
    assert_eq!(bell("bell:notify_one()"), [""; 0], "the permit of `notify_one` is stored");

    let crossing = |wait: &str| {
        format!(
            "local left, right = mutex({{name='left'}}), mutex({{name='right'}})
             local both = function(first, second) return async(function()
               local one <close> = await(first:lock())
               await(sleep(1))
               pcall(function() {wait} end)
             end)() end
             await(gather(both(left, right), both(right, left)))"
        )
    };
    let given_up = found(&crossing("await(timeout(9, second:lock()))"));
    assert!(given_up[0].starts_with("deadlock: ") && given_up[0].contains("mutex.lock(right)"), "{given_up:?}");
    let for_ever = failure_of("", &crossing("await(select{ second:lock() })"));
    assert!(for_ever.contains("coroutine-1 waits for mutex.lock(right) at demo.lua:8"), "{for_ever}");
}
