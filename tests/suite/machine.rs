//! What scripts do to the machine: sockets that stay on it, files that stay in their folder, and what a broken connection
//! comes to.

use std::fs;
use std::path::{Path, PathBuf};

use loopscope::control::ClockKind;
use loopscope::workload::manifest::ParamValue;
use loopscope::workload::{Permissions, catalog, program, program_with, script};
use serde_json::{Value, json};

use crate::cli::loopscope;
use crate::rig::{self, Ran};

/// Runs a main with this body on the real clock.
fn run_allowed(body: &str, permissions: Permissions) -> Ran {
    let text = format!("return {{ title = \"t\", lesson = \"l\",\nmain = async(function(p)\n{body}\nend) }}\n");
    let manifest = script::read("demo", "demo.lua", &text).unwrap_or_else(|error| panic!("{error}"));
    let program = program_with(&manifest, vec![], permissions).expect("a script that loads");
    rig::run_on(program, ClockKind::Real)
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
        local back, whence = await(a:recv())
        return { text, from == '127.0.0.1:' .. a:port(), back, whence == '127.0.0.1:' .. b:port() }";
    assert_eq!(result(body), json!(["hello", true, "HELLO", true]));
    // Empty and large datagrams are datagrams too.
    let body = "local a, b = udp(), udp()
        await(a:send_to('', b:port()))
        await(a:send_to(('x'):rep(60000), 'localhost:' .. b:port()))
        return { #await(b:recv()), #await(b:recv()) }";
    assert_eq!(result(body), json!([0, 60_000]));
    let body = "local a = udp()
        local ok, message = pcall(function() await(a:send_to(('x'):rep(70000), a:port())) end)
        return { ok, message }";
    let Value::Array(told) = result(body) else { panic!("a list") };
    assert!(told[1].as_str().is_some_and(|told| told.contains("sending failed")), "{told:?}");
}

#[test]
fn other_machines_are_out_of_reach_unless_allowed() {
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
    // A name is looked up only with permission; this one has no address anywhere.
    let text = failure_allowed("await(tcp_connect('no-such-host.invalid:80'))", allowed());
    assert!(text.contains("looking up no-such-host.invalid failed"), "{text}");
    for (body, told) in [
        ("tcp_connect('nonsense')", "needs an address"),
        ("tcp_connect(70000)", "whole number from 0 to 65535"),
        ("tcp_listen('localhost.example:1')", "may not reach"),
        ("udp():send_to(5, 1)", "needs a text"),
    ] {
        let text = failure(body);
        assert!(text.contains(told), "{body}: {text}");
    }
}

#[test]
fn on_a_virtual_clock_nothing_reaches_the_machine() {
    for word in
        ["tcp_listen()", "tcp_connect(80)", "udp()", "read_file('x')", "write_file('x', '')", "append_file('x', '')"]
    {
        let text = crate::workload::failure("", word);
        assert!(text.contains("needs the real clock") && text.contains("--clock real"), "{word}: {text}");
    }
    for flag in [&["--allow-net"][..], &["--allow-folder", "."]] {
        let ran = loopscope(&[&["run", "countasync", "--headless"], flag].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        assert!(ran.err.contains(flag[0]) && ran.err.contains("add --clock real"), "{}", ran.err);
    }
    let ran = loopscope(&["run", "tcp-echo", "--headless", "--allow-folder", "/nonexistent"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("there is no such folder"), "{}", ran.err);
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
    for (body, told) in [
        ("await(read_file('none'))", "opening `none` failed"),
        ("await(read_file('../x'))", "leads out of the script's folder"),
        ("await(write_file('/tmp/x', ''))", "leads out of the script's folder"),
        ("await(write_file('a/b', ''))", "its folder does not exist"),
        ("await(write_file('a', 5))", "needs a text, and got the number 5"),
        ("await(read_file(5))", "needs a file's name"),
        ("await(open_file('a', 'w'))", "give \"read\", \"write\" or \"append\""),
        ("local f = await(open_file('a', 'write')) await(f:read())", "file a is open for writing"),
        ("await(write_file('a', '')) local f = await(open_file('a')) await(f:write('x'))", "open for reading"),
        ("local f = await(open_file('a', 'write')) f:close() await(f:write('x'))", "the file is closed"),
        ("local all = {} for n = 1, 100 do all[n] = await(open_file('f' .. n, 'write')) end", "64 files are open"),
        (
            "await(write_file('a', ('x'):rep(1 << 20))) for n = 1, 64 do await(append_file('a', ('x'):rep(1 << 20))) end \
          await(read_file('a'))",
            "more than 64 MiB",
        ),
    ] {
        let text = failure(body);
        assert!(text.contains(told), "{body}: {text}");
    }
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the folder for tests can be written");
    path
}

#[test]
fn an_allowed_folder_stays_and_another_goes_with_its_run() {
    let folder = folder("allowed");
    fs::write(folder.join("in.txt"), "from the person").expect("it is ours");
    let permissions = Permissions { folder: Some(folder.clone()), ..Permissions::default() };
    let ran = run_allowed("await(write_file('out.txt', await(read_file('in.txt')):upper()))", permissions);
    assert!(matches!(ran.outcome, Some(Ok(_))), "{ran:?}");
    assert_eq!(fs::read_to_string(folder.join("out.txt")).expect("it was written"), "FROM THE PERSON");

    // By the real binary, which is told where temporary folders go: nothing is left there, however the run ends.
    let temporary = self::folder("temporary");
    let script = temporary.join("leave.lua");
    for end in ["", "fail('no')", "panic('no')"] {
        let text = format!(
            "return {{ title = 't', lesson = 'l', clock = 'real', main = async(function()
               await(write_file('x', 'y')) {end} end) }}"
        );
        fs::write(&script, text).expect("it is ours");
        let path = script.to_str().expect("a plain name");
        let variables = [("TMPDIR", temporary.to_str().expect("a plain name"))];
        crate::cli::loopscope_with(&["run", path, "--headless"], &variables);
        let left = fs::read_dir(&temporary).expect("it is there").count();
        assert_eq!(left, 1, "only the script itself, after {end:?}");
    }
}

/// The echo, with one of its tasks killed when the client has so many blocks.
fn killed(victim: &str) -> Ran {
    let manifest = catalog::find("tcp-echo").expect("built in");
    let (task, check) = ("local echo, sender =", "if rest:sub(1, SIZE)");
    assert!(manifest.text.contains(task) && manifest.text.contains(check), "the script that is changed here changed");
    let text = manifest
        .text
        .replace(task, "echo, sender =")
        .replace(check, &format!("if number == 100 then {victim} end\n    {check}"));
    let changed = script::read("tcp-echo", "tcp-echo.lua", &text).unwrap_or_else(|error| panic!("{error}"));
    let values = vec![("mebibytes".into(), ParamValue::Number(64.0))];
    rig::run_on(program(&changed, values).expect("a script that loads"), ClockKind::Real)
}

#[test]
fn a_side_that_dies_midway_is_a_clear_failure_and_no_hang() {
    for (victim, told) in [
        (
            "echo:cancel()",
            &["the task serve-1 was cancelled", "the echo ended early", "reading failed", "writing failed"][..],
        ),
        ("sender:cancel()", &["the task send-1 was cancelled"]),
        ("socket:close()", &["the socket is closed"]),
    ] {
        let ran = killed(victim);
        let error = ran.outcome.expect("it ended by itself").expect_err("it cannot have come out well");
        assert!(told.iter().any(|told| error.contains(told)), "{victim}: {error}");
        assert!(error.starts_with("tcp-echo.lua:") && error.contains("main (tcp-echo.lua:"), "{victim}: {error}");
    }
}

/// Nobody awaits the side that dies here: only the connection itself can tell.
#[test]
fn a_connection_goes_with_the_last_who_could_reach_it() {
    let body = "local listener = tcp_listen()
        local client = await(tcp_connect(listener:port()))
        local serve = async(function(socket) await(socket:read()) await(sleep('1h')) end)
        local server = create_task(serve(await(listener:accept())))
        await(client:write('x'))
        create_task(async(function() await(sleep('20ms')) server:cancel() end)())
        return await(client:read()) == nil";
    assert_eq!(result(body), json!(true));
    // Cancelled before it began, it held nothing yet; what it was given goes all the same.
    let body = body.replace("await(client:write('x'))", "server:cancel()");
    assert_eq!(result(&body), json!(true));
}

/// What waits to be written is the script's, and within the script's own limit: nobody else keeps a copy of it.
#[test]
fn what_waits_to_be_written_is_not_copied() {
    const LIMIT_KIB: u64 = 3 << 20;
    let folder = crate::outside::Folder::new("not-copied");
    let file = folder.file("hoard.lua");
    // 3 GiB in each of four ways, of one text of 64 MiB; only the last one is sent.
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
    fs::write(&file, script).expect("the folder is ours");
    let ran = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_loopscope")])
        .args(["run", file.to_str().expect("text"), "--clock", "real", "--headless", "--json"])
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["result"], json!([64 << 20, 64 << 20, false]), "{said}");
}
