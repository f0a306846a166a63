//! The command line, by the real binary: what it prints where, and the exit code that a script gets.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loopscope::cli::{Assertion, Verdict};
use serde_json::json;

/// How one start of the program came out.
pub struct Ran {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

pub fn loopscope<S: AsRef<OsStr>>(words: &[S]) -> Ran {
    loopscope_with(words, &[])
}

/// With these variables, and none of the machine's own that change what is printed.
pub fn loopscope_with<S: AsRef<OsStr>>(words: &[S], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope"));
    command.args(words).stdin(Stdio::null());
    for name in ["COLUMNS", "NO_COLOR"] {
        command.env_remove(name);
    }
    for name in ["THEME", "SPEED", "MEMORY", "SETTINGS", "WORKLOADS"] {
        command.env_remove(format!("LOOPSCOPE_{name}"));
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("XDG_DATA_HOME", "/nonexistent");
    command.envs(variables.iter().copied());
    let output = command.output().expect("the binary is built with the tests");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

#[test]
fn without_a_terminal_it_says_what_to_type() {
    let ran = loopscope::<&str>(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("not a terminal") && ran.err.contains("loopscope run NAME --headless"), "{}", ran.err);
    let ran = loopscope(&["run", "countasync"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("loopscope run countasync --headless"), "{}", ran.err);
}

#[test]
fn bad_usage_exits_with_2_and_says_what_would_be_right() {
    let cases: [(&[&str], &str); 11] = [
        (&["run", "no-such-workload", "--headless"], "no-such-workload"),
        (&["show", "no-such-workload"], "no-such-workload"),
        (&["man", "fly"], "there is no command `fly`"),
        (&["run", "x", "--json"], "--headless"),
        (&["run", "x", "--assert", "a==1"], "--headless"),
        (&["run", "x", "--headless", "--paused"], "--paused"),
        (&["run", "x", "--speed", "0"], "give max, or a number from 0.1 to 1000000"),
        (&["run", "x", "--until", "soon"], "duration"),
        (&["run", "x", "--set", "opponents"], "NAME=VALUE"),
        (&["run", "x", "--headless", "--assert", "elapsed_ns=1"], "the operator is none of"),
        (&["--theme", "neon"], "ansi, rgb or mono"),
    ];
    for (words, part) in cases {
        let ran = loopscope(words);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(ran.err.contains(part), "{words:?} should mention {part}: {}", ran.err);
    }
}

#[test]
fn help_version_pages_and_lists_go_to_standard_output() {
    let cases: [(&[&str], &str); 9] = [
        (&["--help"], "Usage: loopscope"),
        (&["run", "--help"], "--assert <EXPR>"),
        (&["--version"], concat!("loopscope ", env!("CARGO_PKG_VERSION"))),
        (&["completions", "bash"], "_loopscope"),
        (&["completions", "zsh"], "#compdef loopscope"),
        (&["man"], ".TH loopscope 1"),
        (&["man", "run"], ".TH loopscope-run 1"),
        (&["workloads", "--json"], "["),
        (&["settings", "--default"], "#theme = \"ansi\""),
    ];
    for (words, part) in cases {
        let ran = loopscope(words);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}");
        assert!(ran.out.contains(part), "{words:?} should print {part}: {}", ran.out);
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["completions", "bash"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built with the tests");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends by itself");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn assertions_are_checked_against_the_report() {
    let report = json!({
        "outcome": "completed", "error": null, "elapsed_ns": 1_000_000_000_u64, "result": [[1, 2], [3]],
        "loop": {"busy_ns": 18_446_744_073_709_551_615_u64}, "feeds": {"agree": true},
        "tasks": [{"name": "count-1", "state": "done"}, {"name": "a b", "state": "waiting"}],
    });
    let verdict = |text: &str| text.parse::<Assertion>().expect(text).check(&report);
    for holds in [
        "elapsed_ns==1000000000",
        "elapsed_ns == 1s",
        "elapsed_ns <= 1.5s",
        "elapsed_ns>999ms",
        "loop.busy_ns == 18446744073709551615",
        "loop.busy_ns > 18446744073709551614",
        "outcome==completed",
        "outcome == \"completed\"",
        "outcome != failed",
        "error == null",
        "feeds.agree==true",
        "tasks.length >= 2",
        "tasks[0].state == done",
        "tasks[1].name == a b",
        "result == [[1,2],[3]]",
        "result[0][1] == 2.0",
    ] {
        assert_eq!(verdict(holds), Verdict::Holds, "{holds}");
    }
    let fails = [
        ("elapsed_ns < 1s", "`elapsed_ns < 1s` does not hold: it is 1000000000"),
        ("outcome == failed", "`outcome == failed` does not hold: it is \"completed\""),
        ("feeds.agree == 1", "`feeds.agree == 1` does not hold: it is true"),
    ];
    for (text, message) in fails {
        assert_eq!(verdict(text), Verdict::Fails(message.to_owned()));
    }
    let senseless = [
        ("outcom == failed", "the report has no field `outcom`; it has elapsed_ns, error,"),
        ("tasks.state == done", "tasks is a list"),
        ("tasks[2].state == done", "tasks has 2 entries"),
        ("outcome.x == 1", "outcome is \"completed\": there is nothing inside it"),
        ("outcome < 3", "\"completed\" has no order with 3"),
    ];
    for (text, part) in senseless {
        assert!(matches!(verdict(text), Verdict::Senseless(message) if message.contains(part)), "{text}");
    }
}

#[test]
fn an_expression_that_is_none_is_refused() {
    for (text, part) in [
        ("", "no operator"),
        ("elapsed_ns", "no operator"),
        ("== 3", "not a field"),
        ("a..b == 3", "not a field"),
        ("a[x] == 3", "`x` is not a place"),
        ("a[1 == 3", "not a field"),
        ("a ==", "no value"),
        ("a === 3", "`= 3` is not a value"),
        ("a == [1", "not a value"),
        ("elapsed_ns < soon", "duration"),
        ("outcome < done", "only numbers and durations have an order"),
    ] {
        let refused = text.parse::<Assertion>().expect_err(text);
        assert!(refused.contains(part), "{text}: {refused}");
    }
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the folder for tests can be written");
    path
}

fn path_of<'a>(folder: &Path, name: &str, room: &'a mut String) -> &'a str {
    *room = folder.join(name).to_str().expect("a plain name").to_owned();
    room
}

fn script(title: &str) -> String {
    format!("return {{ title = \"{title}\", lesson = \"-\", main = async(function() return \"{title}\" end) }}\n")
}

#[test]
fn a_script_is_checked_and_nothing_runs() {
    let folder = folder("check");
    let mut room = String::new();
    let good = path_of(&folder, "good.lua", &mut room);
    fs::write(good, script("Fine")).expect("a script for the test");
    let ran = loopscope(&["workloads", "check", good]);
    let expected = format!("{good}: Fine: nothing wrong\n");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), expected.as_str(), ""));

    let mut room = String::new();
    let bad = path_of(&folder, "bad.lua", &mut room);
    let broken = "return {\n  title = \"x\",\n  lessn = \"-\",\n  main = async(function() end),\n}\n";
    for (text, parts) in [
        (broken, &[":3:3: unknown key `lessn`", "3 |   lessn = \"-\",", "help: did you mean `lesson`?"][..]),
        ("return {\n", &["bad.lua:", "help: the script ends too early"]),
        ("print(1)\n", &["bad.lua:1:1: `print` outside a coroutine", "1 | print(1)", "help: move it into main"]),
    ] {
        fs::write(bad, text).expect("a script for the test");
        let ran = loopscope(&["check", bad]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{text} should mention {part}: {}", ran.err);
        }
    }
    let ran = loopscope(&["workloads", "check", "no/such.lua"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("no/such.lua: there is no such file"), "{}", ran.err);
}

#[test]
fn a_new_script_runs_as_it_is_and_replaces_nothing() {
    let folder = folder("new");
    let mut room = String::new();
    let file = path_of(&folder, "mine.lua", &mut room);
    let ran = loopscope(&["workloads", "new", file]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains(&format!("\n  loopscope run {file}\n")), "{}", ran.out);
    let ran = loopscope(&["check", file]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let holds = ["elapsed_ns == 1s", "outcome == completed", "findings.length == 0"];
    let ran = loopscope(&["run", file, "--headless", "--assert", holds[0], "--assert", holds[1], "--assert", holds[2]]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));

    fs::write(file, "mine").expect("the file can be written");
    for (name, part) in [
        ("mine.lua", "it is there already"),
        ("mine.txt", "ends in .lua"),
        (".lua", "ends in .lua"),
        ("no/such/folder.lua", "its folder does not exist"),
    ] {
        let mut room = String::new();
        let ran = loopscope(&["new", path_of(&folder, name, &mut room)]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{name}");
        assert!(ran.err.contains(part), "{name} should mention {part}: {}", ran.err);
    }
    assert_eq!(fs::read_to_string(file).expect("it is still there"), "mine");
    assert_eq!(fs::read_dir(&folder).expect("it can be listed").count(), 1, "what is refused leaves nothing");

    let mut room = String::new();
    let spaced = path_of(&folder, "it's mine.lua", &mut room);
    let ran = loopscope(&["workloads", "new", spaced]);
    assert!(ran.out.contains("it'\\''s mine.lua'\n"), "a name is quoted for the shell: {}", ran.out);
}

#[test]
fn scripts_in_the_persons_folder_are_listed_and_run_by_name() {
    let data = folder("own");
    let own = data.join("loopscope").join("workloads");
    fs::create_dir_all(&own).expect("the folder for tests can be written");
    for (name, text) in [
        ("zebra.lua", script("Stripes")),
        ("aard.lua", script("Ants")),
        ("gather.lua", script("Mine instead")),
        ("broken.lua", "return {\n".to_owned()),
        ("back\\slash.lua", script("Unnameable")),
        (".hidden.lua", "an editor's own".to_owned()),
        ("notes.txt", "not a script".to_owned()),
    ] {
        fs::write(own.join(name), text).expect("a script for the test");
    }
    let variables = [("XDG_DATA_HOME", data.to_str().expect("a plain name"))];
    let started = |words: &[&str]| loopscope_with(words, &variables);

    let ran = started(&["workloads"]);
    assert_eq!(ran.code, Some(0));
    let names: Vec<&str> = ran.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[names.len() - 3..], ["aard", "gather", "zebra"]);
    assert_eq!(names.iter().filter(|name| **name == "gather").count(), 1, "one's own shadows the built-in");
    assert!(ran.err.contains("broken.lua:") && ran.err.contains("ends too early"), "{}", ran.err);
    assert!(ran.err.contains("cannot be a workload's: rename it"), "{}", ran.err);
    assert!(!ran.err.contains("hidden") && !ran.err.contains("notes"), "{}", ran.err);

    let ran = started(&["workloads", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&ran.out).expect("standard output is nothing but JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(names.len()));

    let ran = started(&["run", "gather", "--headless", "--assert", "result == Mine instead"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(started(&["show", "zebra"]).out.starts_with("zebra: Stripes\n"));
    assert!(started(&["show", "zebar"]).err.contains("did you mean `zebra`?"));
    let ran = started(&["run", "broken", "--headless"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("broken.lua:"), "{}", ran.err);
    assert_eq!(started(&["show", ".hidden"]).code, Some(2));
}

#[test]
fn another_folder_can_be_named_and_is_read_up_to_a_limit() {
    let own = folder("many");
    let files_max = loopscope::workload::own::FILES_MAX;
    for number in 0..=files_max {
        fs::write(own.join(format!("own-{number:04}.lua")), script("Many")).expect("a script for the test");
    }
    let named = own.to_str().expect("a plain name");
    let ran = loopscope_with(&["workloads"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("own-0999 ") && !ran.out.contains("own-1000"), "the first by name are listed");
    assert!(ran.err.contains("more than 1000 scripts"), "{}", ran.err);

    let ran = loopscope_with(&["workloads"], &[("LOOPSCOPE_WORKLOADS", "/nonexistent/folder")]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("countasync") && ran.err.contains("/nonexistent/folder"), "{}", ran.err);
    let built_in = loopscope(&["workloads"]);
    let empty = loopscope_with(&["workloads"], &[("LOOPSCOPE_WORKLOADS", "")]);
    assert_eq!((empty.out, empty.err.as_str()), (built_in.out, ""), "an empty variable names nothing");
}

#[test]
fn a_folder_of_scripts_that_never_end_does_not_keep_the_others_from_anybody() {
    let own = folder("hostile");
    fs::write(own.join("a-good-one.lua"), script("Good")).expect("a script for the test");
    for number in 0..loopscope::workload::own::FILES_MAX {
        fs::write(own.join(format!("loop-{number:04}.lua")), "while true do end\n").expect("a script for the test");
    }
    let named = own.to_str().expect("a plain name");
    let ran = loopscope_with(&["workloads"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("a-good-one ") && ran.out.contains("countasync "), "{}", ran.out);
    assert!(ran.err.contains("loop-0000.lua:1: the script's top level ran 200 ms"), "{}", ran.err);
    // Had each of them been read for as long as it may take, this would be an hour later, and none would be left out.
    let said = ran.err.lines().find(|line| line.contains("scripts are not listed")).expect("what is left out is told");
    let left_out: usize = said.split(' ').find_map(|word| word.parse().ok()).expect("how many");
    assert!(left_out > loopscope::workload::own::FILES_MAX / 2, "{said}");
    let ran = loopscope_with(&["check", "loop-0999"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert!(ran.err.contains("top level ran 2 s"), "by name each is had, with all its time: {}", ran.err);
}
