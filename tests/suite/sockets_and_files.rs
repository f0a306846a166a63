//! Sockets and files of scripts: results, permissions, limits, and broken connections.

use std::fs;
use std::path::{Path, PathBuf};

use loopscope::control::ClockKind;
use loopscope::workload::manifest::ParamValue;
use loopscope::workload::{Permissions, build_program, build_program_with, catalog, script};
use serde_json::{Value, json};

use crate::cli::loopscope;
use crate::lab_harness::{self, FinishedRun};

/// Runs a script whose main has this body on the real clock.
fn run_allowed(body: &str, permissions: Permissions) -> FinishedRun {
    let text = format!("return {{ title = \"t\", lesson = \"l\",\nmain = async(function(p)\n{body}\nend) }}\n");
    let manifest = script::read_manifest("demo", "demo.lua", &text).unwrap_or_else(|error| panic!("{error}"));
    let program = build_program_with(&manifest, vec![], permissions).expect("a script that loads");
    lab_harness::run_on_clock(program, ClockKind::Real)
}

fn result(body: &str) -> Value {
    let ran = run_allowed(body, Permissions::default());
    ran.outcome.expect("it ended").unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn failure_allowed(body: &str, permissions: Permissions) -> String {
    run_allowed(body, permissions).outcome.expect("it ended").expect_err("it was to fail")
}

fn failure(body: &str) -> String {
    failure_allowed(body, Permissions::default())
}

#[test]
fn datagrams_arrive_with_their_sender() {
    let body = "local a, b = udp(), udp('127.0.0.1:0')
        await(a:send_to('hello', b:port()))
        local text, from = await(b:recv())
        await(b:send_to(text:upper(), from))
        local back, sender = await(a:recv())
        return { text, from == '127.0.0.1:' .. a:port(), back, sender == '127.0.0.1:' .. b:port() }";
    assert_eq!(result(body), json!(["hello", true, "HELLO", true]));
    // Empty and large datagrams.
    let body = "local a, b = udp(), udp()
        await(a:send_to('', b:port()))
        await(a:send_to(('x'):rep(60000), 'localhost:' .. b:port()))
        return { #await(b:recv()), #await(b:recv()) }";
    assert_eq!(result(body), json!([0, 60_000]));
    let body = "local a = udp()
        local ok, message = pcall(function() await(a:send_to(('x'):rep(70000), a:port())) end)
        return { ok, message }";
    let Value::Array(expected) = result(body) else { panic!("a list") };
    assert!(expected[1].as_str().is_some_and(|expected| expected.contains("sending failed")), "{expected:?}");
}

#[test]
fn other_machines_need_permission() {
    let allowed = || Permissions { net: true, ..Permissions::default() };
    for (body, word) in [
        ("await(tcp_connect('192.0.2.1:80'))", "tcp_connect"),
        ("await(tcp_connect('no-such-host.invalid:80'))", "tcp_connect"),
        ("tcp_listen('0.0.0.0:0')", "tcp_listen"),
        ("udp('[::]:0')", "udp"),
        ("await(udp():send_to('x', '192.0.2.1:9'))", "send_to"),
    ] {
        let text = failure(body);
        assert!(text.contains(&format!("{word} may not reach ")) && text.contains("--allow-net"), "{body}: {text}");
        assert!(text.starts_with("demo.lua:3:"), "{text}");
    }
    let ran =
        run_allowed("local l, u = tcp_listen('0.0.0.0:0'), udp('0.0.0.0:0') return l:port() ~= u:port()", allowed());
    assert!(matches!(ran.outcome, Some(Ok(Value::Bool(_)))), "{ran:?}");
    // A name is resolved only with permission; the `.invalid` domain never resolves.
    let text = failure_allowed("await(tcp_connect('no-such-host.invalid:80'))", allowed());
    assert!(text.contains("looking up no-such-host.invalid failed"), "{text}");
    for (body, expected) in [
        ("tcp_connect('nonsense')", "needs an address"),
        ("tcp_connect(70000)", "whole number from 0 to 65535"),
        ("tcp_listen('localhost.example:1')", "may not reach"),
        ("udp():send_to(5, 1)", "needs a string"),
    ] {
        let text = failure(body);
        assert!(text.contains(expected), "{body}: {text}");
    }
}

#[test]
fn virtual_clock_rejects_sockets_and_files() {
    for word in
        ["tcp_listen()", "tcp_connect(80)", "udp()", "read_file('x')", "write_file('x', '')", "append_file('x', '')"]
    {
        let text = crate::workload::failure_of("", word);
        assert!(text.contains("needs the real clock") && text.contains("--clock real"), "{word}: {text}");
    }
    for flag in [&["--allow-net"][..], &["--allow-folder", "."]] {
        let ran = loopscope(&[&["run", "countasync", "--headless"], flag].concat());
        assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(2), ""));
        assert!(ran.stderr.contains(flag[0]) && ran.stderr.contains("use --clock real"), "{}", ran.stderr);
    }
    let ran = loopscope(&["run", "tcp-echo", "--headless", "--allow-folder", "/nonexistent"]);
    assert_eq!(ran.exit_code, Some(2));
    assert!(ran.stderr.contains("no such folder"), "{}", ran.stderr);
}

#[test]
fn files_are_written_appended_and_streamed() {
    let body = "await(write_file('a', 'one'))
        await(append_file('a', ' two'))
        await(write_file('b', 'gone'))
        await(write_file('b', ''))
        local file = await(open_file('a'))
        local pieces = { await(file:read(3)), await(file:read(1)), await(file:read()), await(file:read()) == nil }
        file:close()
        local more <close> = await(open_file('a', 'append'))
        await(more:write(' three'))
        local all = {}
        for bytes in each(await(open_file('a'))) do all[#all + 1] = bytes end
        return { pieces, await(read_file('a')), all, await(read_file('b')) }";
    let all = "one two three";
    assert_eq!(result(body), json!([["one", " ", "two", true], all, [all], ""]));
    for (body, expected) in [
        ("await(read_file('none'))", "opening `none` failed"),
        ("await(read_file('../x'))", "leads out of the script's folder"),
        ("await(write_file('/tmp/x', ''))", "leads out of the script's folder"),
        ("await(write_file('a/b', ''))", "its folder does not exist"),
        ("await(write_file('a', 5))", "needs a string, but got the number 5"),
        ("await(read_file(5))", "needs a file name"),
        ("await(open_file('a', 'w'))", "give \"read\", \"write\" or \"append\""),
        ("local f = await(open_file('a', 'write')) await(f:read())", "file a is open for writing"),
        ("await(write_file('a', '')) local f = await(open_file('a')) await(f:write('x'))", "open for reading"),
        ("local f = await(open_file('a', 'write')) f:close() await(f:write('x'))", "the file is closed"),
        ("local all = {} for n = 1, 100 do all[n] = await(open_file('f' .. n, 'write')) end", "64 files are open"),
        (
            "await(write_file('a', ('x'):rep(1 << 20))) for n = 1, 64 do await(append_file('a', ('x'):rep(1 << 20))) end \
          await(read_file('a'))",
            "larger than 64 MiB",
        ),
    ] {
        let text = failure(body);
        assert!(text.contains(expected), "{body}: {text}");
    }
}

/// Creates an empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("writable test folder");
    path
}

#[test]
fn temporary_folder_is_deleted_and_allowed_one_kept() {
    let folder = folder("allowed");
    fs::write(folder.join("in.txt"), "from the user").expect("writable test folder");
    let permissions = Permissions { folder: Some(folder.clone()), ..Permissions::default() };
    let ran = run_allowed("await(write_file('out.txt', await(read_file('in.txt')):upper()))", permissions);
    assert!(matches!(ran.outcome, Some(Ok(_))), "{ran:?}");
    assert_eq!(fs::read_to_string(folder.join("out.txt")).expect("the script wrote it"), "FROM THE USER");

    // The real binary with its own TMPDIR: nothing is left there, however the run ends.
    let temporary = self::folder("temporary");
    let script = temporary.join("leave.lua");
    for end in ["", "fail('no')", "panic('no')"] {
        let text = format!(
            "return {{ title = 't', lesson = 'l', clock = 'real', main = async(function()
               await(write_file('x', 'y')) {end} end) }}"
        );
        fs::write(&script, text).expect("writable test folder");
        let path = script.to_str().expect("UTF-8 path");
        let variables = [("TMPDIR", temporary.to_str().expect("UTF-8 path"))];
        crate::cli::loopscope_with_env(&["run", path, "--headless"], &variables);
        let remaining = fs::read_dir(&temporary).expect("readable test folder").count();
        assert_eq!(remaining, 1, "only the script itself, after {end:?}");
    }
}

/// Runs `tcp-echo` with `victim` executed after the client has received 100 blocks.
fn run_echo_with_victim(victim: &str) -> FinishedRun {
    let manifest = catalog::find("tcp-echo").expect("built in");
    let (task, check) = ("local echo, sender =", "if rest:sub(1, SIZE)");
    assert!(manifest.text.contains(task) && manifest.text.contains(check), "tcp-echo changed: adapt this test");
    let text = manifest
        .text
        .replace(task, "echo, sender =")
        .replace(check, &format!("if number == 100 then {victim} end\n    {check}"));
    let changed = script::read_manifest("tcp-echo", "tcp-echo.lua", &text).unwrap_or_else(|error| panic!("{error}"));
    let values = vec![("mebibytes".into(), ParamValue::Number(64.0))];
    lab_harness::run_on_clock(build_program(&changed, values).expect("a script that loads"), ClockKind::Real)
}

#[test]
fn broken_connection_fails_instead_of_hanging() {
    for (victim, expected) in [
        (
            "echo:cancel()",
            &["the task serve-1 was cancelled", "the echo ended early", "reading failed", "writing failed"][..],
        ),
        ("sender:cancel()", &["the task send-1 was cancelled"]),
        ("socket:close()", &["the socket is closed"]),
    ] {
        let ran = run_echo_with_victim(victim);
        let error = ran.outcome.expect("the run ended by itself").expect_err("the echo is broken");
        assert!(expected.iter().any(|expected| error.contains(expected)), "{victim}: {error}");
        assert!(error.starts_with("tcp-echo.lua:") && error.contains("main (tcp-echo.lua:"), "{victim}: {error}");
    }
}

/// No task awaits the cancelled one: the peer notices only because the connection is closed.
#[test]
fn unreachable_connection_is_closed() {
    let body = "local listener = tcp_listen()
        local client = await(tcp_connect(listener:port()))
        local serve = async(function(socket) await(socket:read()) await(sleep('1h')) end)
        local server = create_task(serve(await(listener:accept())))
        await(client:write('x'))
        create_task(async(function() await(sleep('20ms')) server:cancel() end)())
        return await(client:read()) == nil";
    assert_eq!(result(body), json!(true));
    // A task that is cancelled before its first poll releases its arguments too.
    let body = body.replace("await(client:write('x'))", "server:cancel()");
    assert_eq!(result(&body), json!(true));
}

/// Text that waits to be written stays in Lua's limited memory and is not copied.
#[test]
fn pending_writes_are_not_copied() {
    const LIMIT_KIB: u64 = 3 << 20;
    let folder = crate::example_app::TempFolder::new("not-copied");
    let file = folder.path_of("hoard.lua");
    // 3 GiB pending in each of four ways, all of one 64 MiB text; only the first of each is sent.
    let script = "return { title = 't', lesson = 'l', main = async(function()
        local text, to, hoard = ('x'):rep(64 << 20), udp():port(), {}
        local listener, sender = tcp_listen(), udp()
        local socket, file = await(tcp_connect(listener:port())), await(open_file('f', 'write'))
        for n = 1, 48 do
            hoard[n] = { sender:send_to(text, to), socket:write(text), n < 24 and file:write(text),
                         n < 24 and write_file('g', text) }
        end
        await(hoard[1][4])
        local other = await(listener:accept())
        local writing = create_task(async(function() await(hoard[1][2]) end)())
        local read = 0
        while read < #text do read = read + #await(other:read(1 << 20)) end
        await(writing)
        local ok, message = pcall(function() await(hoard[1][1]) end)
        return { #await(read_file('g')), read, ok }
    end) }";
    fs::write(&file, script).expect("writable test folder");
    let ran = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_loopscope")])
        .args(["run", file.to_str().expect("text"), "--clock", "real", "--headless", "--json"])
        .output()
        .expect("a shell");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!(report["result"], json!([64 << 20, 64 << 20, false]), "{stderr}");
}
