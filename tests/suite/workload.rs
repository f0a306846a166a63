//! Built-in workloads and script errors, run on the lab's event loop. Its helpers run scripts for other test modules.

use std::collections::BTreeSet;

use crate::lab_harness::{self, FinishedRun};
use loopscope::session::Session;
use loopscope::trace::AwaitKind;
use loopscope::workload::{build_program, catalog, manifest::Manifest, params, script};

const SECOND: u64 = 1_000_000_000;

/// Runs a workload with these parameter settings and seed 0.
pub fn run(manifest: &Manifest, settings: &[(&str, &str)]) -> FinishedRun {
    let settings: Vec<_> = settings.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let values = params::resolve(manifest, &settings).expect("settings within bounds");
    lab_harness::run(build_program(manifest, values).expect("a script that loads"), 0)
}

pub fn run_built_in(name: &str, settings: &[(&str, &str)]) -> FinishedRun {
    run(&catalog::find(name).expect("built in"), settings)
}

/// Loads a script whose main has this body. With a one-line `before`, the body starts at line 4.
pub fn script_with_body(before: &str, body: &str) -> Manifest {
    let text =
        format!("{before}\nreturn {{ title = \"t\", lesson = \"l\",\nmain = async(function(p)\n{body}\nend) }}\n");
    script::read_manifest("demo", "demo.lua", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a script whose main has this body and returns its result as JSON text.
pub fn result_of(body: &str) -> String {
    let ran = run(&script_with_body("", body), &[]);
    ran.outcome.expect("it ended").unwrap_or_else(|error| panic!("{error}")).to_string()
}

/// Runs a script whose main has this body and returns its error. Panics if the run succeeds.
pub fn failure_of(before: &str, body: &str) -> String {
    run(&script_with_body(before, body), &[]).outcome.expect("it ended").expect_err("it was to fail")
}

pub fn output_lines(ran: &FinishedRun) -> Vec<&str> {
    ran.output.iter().map(|(_, _, text)| text.as_str()).collect()
}

#[test]
fn built_in_scripts_load_and_fit_on_a_screen() {
    let all = catalog::built_in_workloads();
    assert!(all.len() >= 31);
    for manifest in all {
        assert!(manifest.text.lines().count() <= 40, "{}", manifest.name);
        assert!(manifest.text.lines().all(|line| line.chars().count() <= 120), "{}", manifest.name);
        assert!(manifest.params.iter().all(|param| !param.help.is_empty()), "{}", manifest.name);
    }
}

#[test]
fn every_script_of_the_folder_is_registered() {
    let registered: BTreeSet<String> =
        catalog::built_in_workloads().into_iter().map(|manifest| manifest.name).collect();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/workloads")).expect("readable folder");
    let files = folder.map(|entry| entry.expect("readable folder").path());
    let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "lua"));
    let names: BTreeSet<String> = scripts.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    assert_eq!(registered, names);
}

#[test]
fn countasync_takes_one_second() {
    let ran = run_built_in("countasync", &[]);
    assert_eq!(output_lines(&ran), ["One", "One", "One", "Two", "Two", "Two"]);
    assert_eq!(ran.elapsed_ns, SECOND);
    let names: Vec<_> = ran.tasks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["main", "count-1", "count-2", "count-3"]);
    let locations: Vec<_> =
        ran.tasks.iter().map(|(_, location)| location.as_ref().expect("known").to_string()).collect();
    assert_eq!(
        locations,
        [
            "workloads/countasync.lua:15",
            "workloads/countasync.lua:18",
            "workloads/countasync.lua:18",
            "workloads/countasync.lua:18"
        ]
    );
    let awaited: Vec<_> = ran
        .awaits
        .iter()
        .map(|(site, start, end)| (site.kind, &*site.source, site.location.as_ref().map(|at| at.line), *start, *end))
        .collect();
    let sleep = (AwaitKind::Timer, "sleep", Some(3), 0, SECOND);
    assert_eq!(awaited, [sleep, sleep, sleep, (AwaitKind::Task, "gather", Some(18), 0, SECOND)]);
}

#[test]
fn countsync_takes_three_seconds() {
    let ran = run_built_in("countsync", &[]);
    assert_eq!(output_lines(&ran), ["One", "Two", "One", "Two", "One", "Two"]);
    assert_eq!((ran.elapsed_ns, ran.busy_ns), (3 * SECOND, 3 * SECOND));
    assert!(ran.awaits.iter().any(|(site, _, _)| site.kind == AwaitKind::BlockingCall && &*site.source == "block"));
}

#[test]
fn chess_workloads_take_expected_times() {
    for (name, elapsed, busy) in
        [("chess-sync", 43_200, 43_200), ("chess-async", 3_655, 3_600), ("chess-overlap", 1_800, 0)]
    {
        let ran = run_built_in(name, &[]);
        assert!(matches!(ran.outcome, Some(Ok(_))), "{name}: {:?}", ran.outcome);
        assert_eq!((ran.elapsed_ns / SECOND, ran.busy_ns / SECOND), (elapsed, busy), "{name}");
    }
    let ran = run_built_in("chess-async", &[("opponents", "2"), ("moves", "1"), ("think", "1s"), ("reply", "10s")]);
    assert_eq!(ran.elapsed_ns, 12 * SECOND);
    assert_eq!(ran.tasks[1].0, "board-1");
}

#[test]
fn gather_returns_results_in_order() {
    let ran = run_built_in("gather", &[]);
    assert_eq!(ran.outcome, Some(Ok(serde_json::json!([[1, 2, 3], [0, 5, 10]]))));
    assert_eq!(ran.elapsed_ns, 10 * SECOND);
    assert_eq!(output_lines(&ran), ["short is done: true", "long is done: true"]);
}

#[test]
fn ten_thousand_counters_take_one_second() {
    let ran = run_built_in("countasync", &[("counters", "10000")]);
    assert_eq!(ran.outcome, Some(Ok(serde_json::Value::Null)));
    assert_eq!((ran.output.len(), ran.elapsed_ns), (20_000, SECOND));
}

#[test]
fn language_basics_return_expected_values() {
    for (body, expected) in [
        ("return await(async(function(a, b) return a + b end)(1, 2))", "3"),
        ("local t = create_task(async(function() return 7 end)()) await(t) return await(t)", "7"),
        ("local t = create_task(async(function() end)(), {name = 'x'}) return {t:name(), t:done()}", r#"["x",false]"#),
        ("return await(gather())", "[]"),
        ("await(sleep('1500ms')) return {now(), clock()}", r#"[1.5,"00:00:01.500"]"#),
        ("await(yield_now()) block(2) work(0.5) return now()", "2.5"),
        ("return pcall(function() await(sleep(1)) error('x', 0) end)", "false"),
        ("local _, e = pcall(function() await(sleep(1)) fail('broken') end) return e", r#""demo.lua:4: broken""#),
        (
            "local _, e = pcall(function() local x = nil; return x.y end) return e",
            r#""demo.lua:4: attempt to index a nil value (local 'x')""#,
        ),
        (
            "local ok, e = xpcall(function() fail('a') end, function(e) return e .. '!' end) return {ok, e}",
            r#"[false,"demo.lua:4: a!"]"#,
        ),
        (
            "return {io, os, debug, package, require, load, loadstring, dofile, loadfile, coroutine, string.dump, \
          collectgarbage, math.randomseed}",
            "[]",
        ),
        (
            "local keys = {} for k in pairs({b = 1, a = 2, 5, c = 3}) do keys[#keys + 1] = k end return keys",
            r#"[1,"a","b","c"]"#,
        ),
        (
            "return tostring({}) .. tostring(print) .. tostring(async(function() end)())",
            r#""tablefunctioncoroutine coroutine""#,
        ),
        ("return await(timeout(2, async(function() await(sleep(1)) return now() end)()))", "1.0"),
        (
            "local _, e = pcall(function() await(timeout(1, sleep(9))) end) return {e, now()}",
            r#"["demo.lua:4: timed out after 1s",1.0]"#,
        ),
        ("return p", "[]"),
    ] {
        assert_eq!(result_of(body), expected, "{body}");
    }
}

#[test]
fn returned_await_keeps_its_line() {
    let nap = "local nap = async(function()\n  return await(sleep(1))\nend)";
    let ran = run(&script_with_body(nap, "await(create_task(nap()))"), &[]);
    let lines: Vec<_> = ran.awaits.iter().map(|(site, _, _)| site.location.as_ref().map(|at| at.line)).collect();
    assert_eq!(lines, [Some(2), Some(6)]);
}

#[test]
fn timeout_cancels_the_task() {
    let ran = run(
        &script_with_body(
            "local slow = async(function() await(sleep(9)) print('never') end)",
            "local ok = pcall(function() await(timeout(1, slow())) end)\nawait(sleep(20))\nreturn ok",
        ),
        &[],
    );
    assert_eq!(ran.outcome, Some(Ok(serde_json::json!(false))));
    assert_eq!(output_lines(&ran), [""; 0]);
    assert!(ran.task_outcomes.contains(&("slow-1".to_owned(), "cancelled".to_owned())));
}

#[test]
fn random_numbers_follow_the_seed() {
    let manifest = script_with_body("", "return {random(6), random(10, 20), math.random(1000), random()}");
    let with = |seed| lab_harness::run(build_program(&manifest, vec![]).expect("loads"), seed).outcome;
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn cancelled_task_ends_immediately() {
    let ran = run(
        &script_with_body(
            "local long = async(function() await(sleep(3600)) end)",
            "local t = create_task(long())\nawait(sleep(1))\nt:cancel()\nlocal ok, e = pcall(await, t)\n\
             print(e)\nreturn {ok, now(), t:done()}",
        ),
        &[],
    );
    assert_eq!(ran.outcome, Some(Ok(serde_json::json!([false, 1.0, true]))));
    assert_eq!(output_lines(&ran), ["demo.lua:7: the task long-1 was cancelled"]);
    let sleep = ran.awaits.iter().find(|(site, _, _)| site.location.as_ref().is_some_and(|at| at.line == 1));
    assert_eq!(sleep.map(|(_, start, end)| (*start, *end)), Some((0, SECOND)));
}

#[test]
fn error_names_line_column_task_and_awaiters() {
    assert_eq!(
        failure_of(
            "local count = async(function() await(slep(1)) end)",
            "local all = { count(), count() }\nawait(gather(all))"
        ),
        "demo.lua:1:38: attempt to call a nil value (global 'slep')\n  1 | local count = async(function() await(slep(1)) \
         end)\n    |                                      ^^^^\n  in count-1 (demo.lua:1), awaited by main \
         (demo.lua:5)\n  help: did you mean `sleep`?"
    );
    let inline =
        failure_of("local inner = async(function()\n await(sleep(1)) fail('no') end)", "local x = await(inner())");
    assert!(inline.starts_with("demo.lua:2:18: no\n"), "{inline}");
    assert!(inline.contains("\n  in inner (demo.lua:2), awaited by main (demo.lua:5)"), "{inline}");
}

#[test]
fn usage_errors_suggest_a_fix() {
    let count = "local count = async(function() end)";
    for (body, expected) in [
        (
            "await(nil)",
            "demo.lua:4:1: await needs an awaitable, but got nil\n  4 | await(nil)\n    | ^^^^^\n  in \
                        main (demo.lua:4)\n  help: does the called function return anything?",
        ),
        ("await(count)", "got the coroutine function count"),
        ("await(count)", "help: call it first: await(count(…))"),
        ("await(5)", "help: to pause, write await(sleep(seconds))"),
        ("local c = count() await(c)\nawait(c)", "demo.lua:5:1: this coroutine of `count` was already awaited"),
        ("local s = sleep(1) await(s)\nawait(s)", "demo.lua:5:1: this sleep was already awaited"),
        ("gather(count)", "help: call it first: gather(count(…))"),
        ("create_task(print)", "create_task needs a coroutine, but got a function"),
        ("random('a')", "demo.lua:4:1: random needs whole numbers, but got the string \"a\""),
        ("create_task(count()).cancel()", "`cancel` was called without its task"),
        ("string.rep()", "demo.lua:4:8: bad argument #1 to 'rep'"),
        (
            "await(sleep:foo())",
            "demo.lua:4:7: attempt to index a function value (global 'sleep')\n  4 | await(sleep:foo())\n    \
                               |       ^^^^^\n  in main (demo.lua:4)",
        ),
        ("sleep(-1)", "demo.lua:4:1: -1 s is negative"),
        ("sleep('soon')", "`soon` is not a duration"),
        ("return sleep('soon')", "`soon` is not a duration"),
        ("table.sort({2, 1}, function() await(sleep(1)) end)", "await inside a callback"),
        ("error('plain')", "demo.lua:4: plain\n"),
        ("error({code = 1})", "the script raised a table as its error"),
        ("setmetatable({}, {__gc = print})", "`__gc` is not available"),
        ("local function f() return f() + 1 end f()", "nested too deeply"),
        ("return print", "demo: cannot convert main's result to JSON: it contains a function"),
        ("return sleep(1) + 1", "attempt to perform arithmetic on a Awaitable value"),
    ] {
        let text = failure_of(count, body);
        assert!(text.contains(expected), "{body}: {text}");
        for noise in ["runtime error", "[string", "stack traceback", "mlua", "CallbackError"] {
            assert!(!text.contains(noise), "{body}: {text}");
        }
    }
}

#[test]
fn load_errors_name_position_and_fix() {
    let main = "main = async(function() end)";
    for (text, expected) in [
        ("local x = = 1".to_owned(), "demo.lua:1: unexpected symbol near '='\n  1 | local x = = 1\n  help:"),
        ("return {".to_owned(), "help: the script ends too early"),
        ("return 5".to_owned(), "the script must return its manifest, but got the number 5"),
        ("x.y = 1".to_owned(), "demo.lua:1:1: attempt to index a nil value (global 'x')"),
        ("await(sleep(1))".to_owned(), "`await` outside a coroutine"),
        ("local n = random(6)".to_owned(), "`random` outside a coroutine"),
        ("return { title = 't', lesson = 'l' }".to_owned(), "main must be a coroutine function, but is nil"),
        ("return { title = 't', lesson = 'l', main = function() end }".to_owned(), "but is a function"),
        (format!("return {{ lesson = 'l', {main} }}"), "the manifest has no `title`"),
        (
            format!("return {{ title = 't', lesson = 'l', clok = 'real', {main} }}"),
            "demo.lua:1:37: unknown key `clok`\n  1 | return { title = 't', lesson = 'l', clok = 'real', main = \
          async(function() end) }\n    |                                     ^^^^\n  help: did you mean `clock`?",
        ),
        (format!("return {{ title = 't', lesson = 'l', clock = 'wall', {main} }}"), "`wall` is not a clock"),
        (
            format!("return {{ title = 't', lesson = 'l', params = {{ n = {{ default = 9, max = 3 }} }}, {main} }}"),
            "the default of `n` is invalid: 9 is out of bounds; help: use a whole number from 0 to 3",
        ),
        (
            format!("return {{ title = 't', lesson = 'l', params = {{ n = {{ default = 1, maks = 3 }} }}, {main} }}"),
            "demo.lua:1:67: unknown key `maks`",
        ),
        (
            format!("return {{ title = 't', lesson = 'l', params = {{ n = {{ help = 'x' }} }}, {main} }}"),
            "parameter `n` has no default",
        ),
        (
            format!("return {{ title = 't', lesson = 'l', expects = {{ findings = {{ 5 }} }}, {main} }}"),
            "`expects.findings` must be a list of strings",
        ),
    ] {
        let error = script::read_manifest("demo", "demo.lua", &text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("error:"), "{error}");
    }
}

#[test]
fn endless_top_level_is_stopped() {
    let error =
        script::read_manifest("demo", "demo.lua", "local x = 0\nwhile true do\n  x = x + 1\nend").expect_err("endless");
    assert!(error.message.contains("top level ran 2 s"), "{error}");
    assert!(matches!(error.line, Some(2 | 3)), "{error}");
}

#[test]
fn endless_body_is_stopped_despite_pcall() {
    let text = failure_of("", "while true do\npcall(function() while true do end end)\nend");
    assert!(text.contains("ran 10 s without awaiting\n  5 | pcall"), "{text}");
    assert!(text.contains("demo.lua:5"), "{text}");
}

#[test]
fn stop_propagates_through_pcall() {
    let body = "while true do\n pcall(function() while true do end end)\n xpcall(function() while true do end end, \
                function() return 1 end)\nend";
    let program = build_program(&script_with_body("", body), vec![]).expect("loads");
    let ran = lab_harness::run_with_callback(program, 0, |session| {
        if session.trace().counts().running == 1 {
            lab_harness::request_quit(session);
        }
    });
    assert_eq!(ran.outcome, None, "cancelled, not failed by the CPU limit");
    assert_eq!(ran.task_outcomes, [("main".to_owned(), "cancelled".to_owned())]);
}

#[test]
fn memory_is_limited() {
    for body in [
        "local t = {}\nfor i = 1, 1e9 do t[i] = {i} end",
        "local s = 'x'\nwhile true do s = s .. s end",
        "local t = {}\npcall(function() while true do t[#t + 1] = string.rep('x', 1000) end end)",
    ] {
        let text = failure_of("", body);
        assert!(text.contains("the script needs more than 256 MiB of memory"), "{text}");
        assert!(text.starts_with("demo.lua:"), "{text}");
    }
}

#[test]
fn panic_and_unawaited_failure_end_only_their_task() {
    let before = "local bad = async(function(how) await(sleep(1)) how('kaboom') end)";
    let body = "create_task(bad(panic))\ncreate_task(bad(fail))\nawait(sleep(2))\nreturn 'went on'";
    let ran = run(&script_with_body(before, body), &[]);
    assert_eq!(ran.outcome, Some(Ok(serde_json::json!("went on"))));
    let how = |name: &str| ran.task_outcomes.iter().find(|(task, _)| task == name).map(|(_, how)| how.as_str());
    assert_eq!(how("bad-1"), Some("panicked: kaboom"));
    assert!(how("bad-2").is_some_and(|how| how.starts_with("demo.lua:1:")), "{ran:?}");
    let text = failure_of(
        before,
        "local ok = pcall(function() await(create_task(bad(panic))) end)\nprint(ok)\n\
                                await(create_task(bad(panic)))",
    );
    assert!(text.contains("the task bad-2 panicked: kaboom"), "{text}");
}

#[test]
fn gather_raises_first_failure_and_others_continue() {
    let before = "local item = async(function(d, bad) await(sleep(d)) if bad then fail('bad') end print(d) end)";
    let body = "local ok, e = pcall(function() await(gather(item(1), item(2, true), item(3))) end)\nprint(e, now())\n\
                await(sleep(5))";
    let ran = run(&script_with_body(before, body), &[]);
    assert_eq!(output_lines(&ran), ["1", "demo.lua:1: bad 2.0", "3"]);
}

#[test]
fn find_errors_name_the_reason() {
    for (name, expected) in [
        ("cuontasync", "unknown workload `cuontasync`; did you mean `countasync`?; `loopscope workloads` lists all"),
        ("no/such.lua", "no/such.lua: no such file"),
        ("src", "to run the file, write `src.lua` or"),
        ("tests/", "not a regular file"),
    ] {
        let error = catalog::find(name).expect_err(name).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let directory = std::env::temp_dir().join(format!("loopscope-catalog-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("writable temporary directory");
    for (name, bytes, expected) in [
        ("big.lua", vec![b' '; (1 << 20) + 1], "larger than 1 MiB"),
        ("latin.lua", b"-- x\n-- caf\xe9".to_vec(), "line 2 is not UTF-8"),
        ("broken.lua", b"return".to_vec(), "broken.lua: the script must return its manifest"),
    ] {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("writable temporary directory");
        let error = catalog::find(path.to_str().expect("plain")).expect_err(name).to_string();
        assert!(error.contains(expected), "{error}");
    }
    std::fs::remove_dir_all(&directory).expect("removable temporary directory");
}
