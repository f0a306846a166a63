//! Cancelling and cleanup in scripts, tasks as values, and runs that are the same every time.

use crate::lab_harness;
use crate::workload::{failure_of, output_lines, result_of, run, script_with_body};
use loopscope::control::{ClockKind, FeedChoice, RunOutcome, Speed};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::lab::LoopOptions;
use loopscope::session::{LabSession, Session};
use loopscope::trace::{Trace, WakeSource};
use loopscope::workload::build_program;

const SECOND: u64 = 1_000_000_000;

const FINALLY: &str = "local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end";

#[track_caller]
fn assert_results(cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        assert_eq!(result_of(body), *expected, "{body}");
    }
}

#[test]
fn any_awaitable_can_be_a_task() {
    assert_results(&[
        ("local t = create_task(sleep(2)) await(t) return {t:name(), now()}", r#"["sleep-1",2.0]"#),
        ("local t = create_task(sleep(1), {name = 'nap'}) return {create_task(t) == t, t:name()}", r#"[true,"nap"]"#),
        ("return {#await(gather(sleep(1), sleep(2))), now()}", "[0,2.0]"),
        (
            "local m = mutex() local g = await(gather(m:lock()))[1] local l = m:locked() g:unlock() return {l, m:locked()}",
            "[true,false]",
        ),
        ("await(timeout(5, shield(sleep(2)))) return now()", "2.0"),
        (
            "local c = channel() c:try_send('a') return await(gather(c:recv(), timeout(1, c:recv()), { return_exceptions = true }))[1]",
            r#""a""#,
        ),
    ]);
    assert!(failure_of("", "create_task(5)").contains("create_task needs a coroutine, but got the number 5"));
}

#[test]
fn nil_results_keep_their_place() {
    assert_results(&[
        ("local f = async(function(x) return x end) return await(gather(f(nil), f(2), f(nil)))", "[null,2,null]"),
        (
            "local f = async(function(x) return x end) local r = await(gather(f(nil), f(2), f(nil))) return {r.n, r[2]}",
            "[3,2]",
        ),
        (
            "local f = async(function(x) return x end) local r = await(gather(f(1))) return {r, tostring(r)}",
            r#"[[1],"results"]"#,
        ),
    ]);
}

#[test]
fn task_group_reports_all_errors() {
    let body = "local f = async(function(d, text) if not catch_cancelled(function() await(sleep(d)) end) then await(sleep(1)) end fail(text) end) \
                local ok, e = pcall(function() await(task_group(function(g) g:create_task(f(1, 'one')) g:create_task(f(9, 'two')) \
                local k <close> = setmetatable({}, {__close = function() fail('body') end}) await(sleep(60)) end)) end) return {e, now()}";
    assert_eq!(
        result_of(body),
        r#"["demo.lua:4: one (and 2 more errors in the task group: demo.lua:4: two; demo.lua:4: body)",2.0]"#
    );
}

#[test]
fn a_task_cannot_await_itself() {
    assert_results(&[(
        "local t t = create_task(async(function() await(t) end)()) local ok, e = pcall(await, t) return e",
        r#""demo.lua:4: the task coroutine-1 awaits itself""#,
    )]);
    // Two tasks that await each other: a timeout ends both.
    assert_results(&[(
        "local a, b a = create_task(async(function() await(b) end)()) b = create_task(async(function() await(a) end)()) \
         local ok = pcall(function() await(timeout(1, a)) end) await(sleep(0)) return {ok, a:cancelled(), b:cancelled(), now()}",
        "[false,true,true,1.0]",
    )]);
}

#[test]
fn results_of_a_running_task_are_errors() {
    for (call, expected) in [
        ("t:result()", "the task coroutine-1 has not ended"),
        ("t:exception()", "the task coroutine-1 has not ended"),
        ("t:cancel(5)", "cancel takes a message, but got the number 5"),
        ("t:add_done_callback(5)", "add_done_callback needs a function, but got the number 5"),
        ("wait({})", "wait needs something to wait for"),
        ("wait(t)", "wait needs a list of awaitables, but got the task coroutine-1"),
        ("wait({t}, {return_when = 'x'})", "`return_when` cannot be the string \"x\""),
        ("channel():task_done()", "task_done was called more often than the channel got messages"),
    ] {
        let text = failure_of("", &format!("local t = create_task(async(function() await(sleep(1)) end)())\n{call}"));
        assert!(text.starts_with("demo.lua:5:") && text.contains(expected), "{call}: {text}");
    }
    // A done callback is not a coroutine, and its error is logged.
    let body = "local t = create_task(async(function() end)()) t:add_done_callback(function() await(sleep(1)) end) await(sleep(1))";
    let ran = run(&script_with_body("", body), &[]);
    let line = output_lines(&ran)[0];
    assert!(
        line.starts_with("[error] done callback of coroutine-1: demo.lua:4: cannot await inside a callback"),
        "{line}"
    );
}

#[test]
fn pcall_does_not_catch_a_cancel() {
    assert_results(&[
        (
            "local t = create_task(async(function() while true do pcall(function() await(sleep(1)) end) end end)()) \
             await(sleep(5)) t:cancel('x') local _, e = pcall(await, t) return {e, t:cancelled(), now()}",
            r#"["demo.lua:4: the task coroutine-1 was cancelled: x",true,5.0]"#,
        ),
        (
            "local t = create_task(async(function() return {xpcall(function() await(sleep(9)) end, function(e) return e end)} end)()) \
             await(sleep(1)) t:cancel() await(wait{t}) return t:cancelled()",
            "true",
        ),
        ("return {catch_cancelled(function() return 1, 2 end)}", "[true,1,2]"),
        (
            "local text create_task(async(function() current_task():cancel('x') local _, m, c = catch_cancelled(await, sleep(1)) text = m .. '|' .. tostring(c) end)()) \
             await(sleep(1)) return text",
            r#""x|cancelled: x""#,
        ),
        ("local ok, e = pcall(catch_cancelled, function() fail('other') end) return e", r#""demo.lua:4: other""#),
        // A task that cancels itself ends at its next await.
        (
            "local t = create_task(async(function() current_task():cancel('me') await(sleep(9)) end)()) \
             local _, e = pcall(await, t) return {e, now()}",
            r#"["demo.lua:4: the task coroutine-1 was cancelled: me",0.0]"#,
        ),
    ]);
}

/// A dropped branch of a select runs its cleanup in a task of its own.
#[test]
fn lost_branch_runs_its_cleanup() {
    let before = format!(
        "{FINALLY} local gen = async_generator(function(yield) local _ <close> = finally(function() await(sleep(1)) print('clean') end) await(sleep(60)) yield(1) end)"
    );
    let ran = run(
        &script_with_body(&before, "local g = gen() await(select{ g:next(), sleep(2) }) print('lost') await(sleep(5))"),
        &[],
    );
    assert_eq!(output_lines(&ran), ["lost", "clean"], "as a cancelled `anext`");
    let task = format!(
        "{FINALLY} local slow = async(function() local _ <close> = finally(function() await(sleep(1)) print('clean') end) await(sleep(60)) end)"
    );
    let ran = run(&script_with_body(&task, "await(select{ slow(), sleep(2) }) print('lost') await(sleep(5))"), &[]);
    assert_eq!(output_lines(&ran), ["lost", "clean"]);
    let ran = run(
        &script_with_body(&task, "await(select{ unconstrained(slow()), sleep(2) }) print('lost') await(sleep(5))"),
        &[],
    );
    assert_eq!(output_lines(&ran), ["lost", "clean"]);
    assert!(ran.task_outcomes.contains(&("cleanup-1".to_owned(), "done".to_owned())), "{:?}", ran.task_outcomes);
}

/// The calls of `catch_cancelled` and the like that are open when a body is dropped end in its cleanup task.
#[test]
fn cleanup_after_a_handler_ends() {
    let caught = "local gen = async_generator(function(yield) catch_cancelled(function() yield(1) end) \
                  print('begins') await(sleep(1)) print('ends') end)";
    let inside_pcall = "local gen = async_generator(function(yield) pcall(function() catch_cancelled(function() yield(1) end) \
                        print('begins') await(sleep(1)) print('ends') end) end)";
    for before in [caught, inside_pcall] {
        let ran = run(&script_with_body(before, "local g = gen() await(g:next()) g:close() await(sleep(0.1))"), &[]);
        assert_eq!(output_lines(&ran), ["begins", "ends"], "{before}");
    }
    // A body inside the body.
    let nested = "local inner = async_generator(function(yield) catch_cancelled(function() await(sleep(60)) end) \
                  print('begins') await(sleep(1)) print('ends') end) \
                  local outer = async_generator(function(yield) yield(1) await(inner():next()) end)";
    let body = "local g = outer() await(g:next()) await(select{ g:next(), sleep(1) }) await(sleep(0.1))";
    assert_eq!(output_lines(&run(&script_with_body(nested, body), &[])), ["begins", "ends"]);
}

/// A task keeps its own handler when a generator leaves those that it entered in another task.
#[test]
fn handlers_of_a_generator_follow_its_reader() {
    let before =
        "local gen = async_generator(function(yield) pcall(pcall, function() yield(1) end) yield(2) yield(3) end)";
    let body = "local g = gen() await(g:next()) \
                local t = create_task(async(function() catch_cancelled(function() await(g:next()) await(sleep(60)) end) print('caught') end)()) \
                await(sleep(1)) t:cancel() await(wait{t})";
    assert_eq!(output_lines(&run(&script_with_body(before, body), &[])), ["caught"]);
}

#[test]
fn error_in_cleanup_is_reported() {
    let before = format!(
        "{FINALLY} local slow = async(function() local _ <close> = finally(function() await(sleep(1)) fail('spilt') end) await(sleep(60)) end)"
    );
    for body in [
        "local t = create_task(slow()) await(sleep(1)) t:cancel() await(sleep(2))",
        "pcall(function() await(timeout(1, slow())) end)",
        "await(select{ slow(), sleep(1) }) await(sleep(2))",
        "await(select{ unconstrained(slow()), sleep(1) }) await(sleep(2))",
        "create_task(slow()) await(sleep(1))",
    ] {
        let ran = run(&script_with_body(&before, body), &[]);
        let is_reported = ran.task_outcomes.iter().any(|(_, outcome)| outcome.contains("spilt"));
        assert!(is_reported, "{body}: {:?}", ran.task_outcomes);
        assert!(matches!(ran.outcome, Some(Ok(_))), "{body}: {:?}", ran.outcome);
    }
}

#[test]
fn cleanup_at_the_end_is_bounded() {
    let before = format!(
        "{FINALLY} local slow = async(function(d) local _ <close> = finally(function() await(sleep(d)) print('clean') end) await(sleep(60)) end)"
    );
    let ran = run(&script_with_body(&before, "create_task(slow(3)) create_task(slow(100)) await(sleep(1))"), &[]);
    assert_eq!(output_lines(&ran), ["clean", "[error] the cleanup of slow-2 did not end within 10s and was dropped"]);
    assert_eq!(ran.elapsed_ns, 11 * SECOND);
    // Even if it never yields to the clock.
    let spin = "create_task(async(function() local _ <close> = setmetatable({}, {__close = function() while true do await(sleep(0)) end end}) await(sleep(60)) end)()) await(sleep(1))";
    assert_eq!(run(&script_with_body("", spin), &[]).elapsed_ns, 11 * SECOND);
}

/// Done callbacks are called however the task ends: also if main panics, and if the callback was added after a cancel
/// that drops the task.
#[test]
fn done_callbacks_run_at_each_end() {
    let body = "local me = current_task() me:add_done_callback(function(t) print('main', t:cancelled(), t:exception().kind) end) \
                create_task(async(function() local _ <close> = finally(function() print('still', me:cancelled()) end) await(sleep(9)) end)()) \
                await(sleep(1)) panic('boom')";
    assert_eq!(output_lines(&run(&script_with_body(FINALLY, body), &[])), ["main false panicked", "still false"]);
    let body = "local t = create_task(sleep(5)) await(sleep(1)) t:cancel() t:add_done_callback(function(t) print('done', t:cancelled()) end) \
                print('main') await(sleep(1))";
    assert_eq!(output_lines(&run(&script_with_body("", body), &[])), ["main", "done true"]);
}

/// A task that the cancel at the end of the run spawns is cancelled and waited for, too.
#[test]
fn end_of_run_waits_for_spawned_cleanup() {
    let before = format!(
        "{FINALLY} local gen = async_generator(function(yield) local _ <close> = finally(function() await(sleep(1)) print('clean') end) yield(1) await(sleep(60)) end) \
         local again again = async(function() local _ <close> = finally(function() create_task(again()) end) await(sleep(60)) end)"
    );
    let lost = "create_task(async(function() local g = gen() await(g:next()) await(select{ g:next(), sleep(100) }) end)()) await(sleep(1))";
    let ran = run(&script_with_body(&before, lost), &[]);
    assert_eq!(output_lines(&ran), ["clean"]);
    assert!(ran.task_outcomes.contains(&("cleanup-1".to_owned(), "done".to_owned())), "{:?}", ran.task_outcomes);
    assert_eq!(ran.elapsed_ns, 2 * SECOND);
    // Cleanup that spawns itself again is bounded.
    let ran = run(&script_with_body(&before, "create_task(again()) await(sleep(1))"), &[]);
    assert_eq!(ran.elapsed_ns, 11 * SECOND);
    let lines = output_lines(&ran);
    assert!(matches!(lines[..], [line] if line.ends_with("did not end within 10s and was dropped")), "{lines:?}");
}

fn run_until(body: &str, feed: FeedChoice, stop_at: Option<u64>) -> LabSession {
    let program = build_program(&script_with_body("", body), vec![]).expect("loads");
    let options =
        LoopOptions { clock: ClockKind::Virtual, speed: Speed::Max, feed, start_paused: false, seed: 0, stop_at };
    let mut session = LabSession::start("rig", program, options, Trace::default()).expect("the loop thread starts");
    let deadline = std::time::Instant::now() + lab_harness::RUN_TIMEOUT;
    while !session.is_finished() {
        session.pump(std::time::Duration::from_millis(5));
        session.wait(std::time::Duration::from_millis(5));
        assert!(std::time::Instant::now() < deadline, "the run did not end");
    }
    session
}

#[test]
fn time_limit_ends_a_loop_of_yields() {
    for call in ["sleep(0)", "yield_now()", "sleep_until(0)", "timeout(5, sleep(0))"] {
        let session = run_until(&format!("while true do await({call}) end"), FeedChoice::Both, Some(5 * SECOND));
        assert_eq!(session.outcome(), Some(&RunOutcome::Cancelled), "{call}");
        assert_eq!(session.trace().now(), 5 * SECOND, "{call}");
        let found = run_lints(session.trace(), &Thresholds::default());
        let names: Vec<_> = found.listed.iter().map(|found| found.name).collect();
        assert!(names.contains(&"busy-yield"), "{call}: {names:?}");
    }
    // A timer of the script fires, too.
    assert_eq!(
        result_of(
            "create_task(async(function() while true do await(sleep(0)) end end)()) await(sleep(2)) return now()"
        ),
        "2.0"
    );
}

#[test]
fn user_cancel_runs_the_cleanup() {
    use loopscope::control::SessionCommand;
    let body = "local t = create_task(async(function() local _ <close> = setmetatable({}, {__close = function() await(sleep(1)) print('clean') end}) await(sleep(60)) end)(), {name = 'victim'}) \
                await(wait({t})) return {t:cancelled(), now() < 60}";
    let program = build_program(&script_with_body("", body), vec![]).expect("loads");
    let options = LoopOptions {
        clock: ClockKind::Virtual,
        speed: Speed::Factor(1.0),
        feed: FeedChoice::Probe,
        start_paused: false,
        seed: 0,
        stop_at: None,
    };
    let mut session = LabSession::start("rig", program, options, Trace::default()).expect("the loop thread starts");
    let deadline = std::time::Instant::now() + lab_harness::RUN_TIMEOUT;
    let mut victim = None;
    while !session.is_finished() {
        session.pump(std::time::Duration::from_millis(5));
        let found = session.trace().tasks().iter().find(|task| &*task.meta.name == "victim" && task.counts.polls > 0);
        if let (None, Some(id)) = (victim, found.map(|task| task.id)) {
            session.command(SessionCommand::Cancel(id));
            session.command(SessionCommand::SetSpeed(Speed::Max));
            victim = Some(id);
        }
        session.wait(std::time::Duration::from_millis(5));
        assert!(std::time::Instant::now() < deadline, "the run did not end");
    }
    assert_eq!(session.outcome(), Some(&RunOutcome::Completed(serde_json::json!([true, true]))));
    let task = session.trace().task(victim.expect("it was cancelled")).expect("retained");
    assert!(task.wakes().any(|(_, source)| source == WakeSource::User), "the user woke it");
}

#[test]
fn order_of_keys_is_the_same_every_time() {
    assert_results(&[
        (
            "local keys = {} for k in next, {b = 1, a = 2, 5, [true] = 1, [-2] = 1, [0.5] = 1, [false] = 1} do keys[#keys + 1] = k end return keys",
            r#"[-2,0.5,1,"a","b",false,true]"#,
        ),
        ("local t = {a = 1, b = 2, c = 3} for k in next, t do t[k] = nil end return next(t)", "null"),
        ("local t = {a = 1, b = 2, c = 3} return {next(t, 'b')}", r#"["c",3]"#),
        (
            "local t, seen = {a = 1, b = 2}, {} for k in next, t do for j in next, t do seen[#seen + 1] = k .. j end end return seen",
            r#"["aa","ab","ba","bb"]"#,
        ),
        ("return {next({})}", "[]"),
        // Integers beyond the precision of a float.
        (
            "local keys = {} for k in pairs({[9007199254740993] = 1, [9007199254740992] = 1}) do keys[#keys + 1] = k end return keys",
            "[9007199254740992,9007199254740993]",
        ),
        (
            "local f = async(function() end) local set = {} for i = 1, 5 do set[create_task(f(), {name = 'n' .. i})] = i end \
             local seen = {} for t, i in pairs(set) do seen[#seen + 1] = i end return seen",
            "[1,2,3,4,5]",
        ),
        ("local t, n = {[{}] = 1, a = 2}, 0 for _ in pairs(t) do n = n + 1 end return n", "2"),
    ]);
    for (body, expected) in [
        ("local t = {[{}] = 1, [print] = 2}\nfor k in pairs(t) do end", "pairs has no order for these keys: "),
        ("local t = {[{}] = 1, [{}] = 2}\nlocal k = next(t)", "next has no order for these keys: a table and a table"),
        ("local t = {a = 1}\nnext(t, 'b')", "next: the table has no key the string \"b\""),
        ("\nnext(5)", "next needs a table, but got the number 5"),
    ] {
        let text = failure_of("", body);
        assert!(text.starts_with("demo.lua:5:") && text.contains(expected), "{body}: {text}");
    }
}

#[test]
fn texts_contain_no_addresses() {
    assert_results(&[
        (
            "return string.format('%s %5s|%-6s|%s', {}, sleep, sleep(1), async(function() end)())",
            r#""table function|awaitable sleep|coroutine coroutine""#,
        ),
        ("local a, b = {}, {} return string.format('%p %p %p', a, b, a)", r#""0x00000001 0x00000002 0x00000001""#),
        (
            "return string.format('%p %p %s %p %12p', 'a', ('b'):rep(99), 'p', 'a', {})",
            r#""0x00000001 0x00000002 p 0x00000001   0x00000003""#,
        ),
        (
            "local p = string.format('%p', 'a') for i = 1, 10000 do string.format('%p', i .. '') end return {p, string.format('%p', 'a')}",
            r#"["0x00000001","0x00002712"]"#,
        ),
        ("return string.format('%d%% of %s, %q', 5, 'all', 'x')", r#""5% of all, \"x\"""#),
        ("return ('%s'):format(setmetatable({}, {}))", r#""table""#),
        (
            "return tostring(setmetatable({}, {__name = 'Point'})) .. tostring(setmetatable({}, {__tostring = function() return '!' end}))",
            r#""Point!""#,
        ),
        ("return tostring(interval(1):tick())", r#""awaitable interval.tick""#),
    ]);
    assert!(failure_of("", "string.format('%d', 'x')").contains("bad argument"));
}

#[test]
fn sort_is_stable_and_compares_as_lua() {
    assert_results(&[
        ("local t = {3, 1.5, 2, -1} table.sort(t) return t", "[-1,1.5,2,3]"),
        ("local t = {'b', 'a', 'B'} table.sort(t) return t", r#"["B","a","b"]"#),
        ("local t = {1, 2, 3} table.sort(t, function(a, b) return a > b end) return t", "[3,2,1]"),
        (
            "local t = {} for i = 1, 1000 do t[i] = {key = i % 3, place = i} end table.sort(t, function(a, b) return a.key < b.key end) \
             for i = 2, 1000 do if t[i].key == t[i - 1].key and t[i].place < t[i - 1].place then return i end end return t[1].place",
            "3",
        ),
        (
            "local mt = {__lt = function(a, b) return a.n < b.n end} local f = function(n) return setmetatable({n = n}, mt) end \
          local t = {f(2), f(1)} table.sort(t) return t[1].n",
            "1",
        ),
        ("table.sort({}) return 1", "1"),
    ]);
    for (body, expected) in [
        ("table.sort({1, 'a'})", "demo.lua:4:"),
        ("table.sort({1, 'a'})", "attempt to compare"),
        ("table.sort(5)", "sort needs a table, but got the number 5"),
        ("table.sort({}, 5)", "sort needs a function that compares, but got the number 5"),
        ("table.sort({1, 2}, function() fail('no') end)", "demo.lua:4:31: no"),
    ] {
        let text = failure_of("", body);
        assert!(text.contains(expected) && !text.contains("loopscope:"), "{body}: {text}");
    }
}

/// `block` and `work` lead to different findings, which name the time of the other.
#[test]
fn findings_tell_blocking_from_computing() {
    let found = |body: &str| {
        let session = run_until(body, FeedChoice::Probe, None);
        let found = run_lints(session.trace(), &Thresholds::default());
        found.listed.iter().map(|found| format!("{}: {}", found.name, found.evidence)).collect::<Vec<_>>()
    };
    let blocked = found("await(sleep(1)) work(0.05) block(2)");
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert!(blocked[0].starts_with("blocked-loop: "), "{blocked:?}");
    assert!(blocked[0].contains("not counted: 50 ms of computation"), "{blocked:?}");
    let computed = found("await(sleep(1)) for _ = 1, 50 do work(0.1) end block(0.001)");
    assert_eq!(computed.len(), 1, "{computed:?}");
    assert!(computed[0].starts_with("never-yields: "), "{computed:?}");
    assert!(computed[0].contains("not counted: 1 ms of blocking"), "{computed:?}");
}
