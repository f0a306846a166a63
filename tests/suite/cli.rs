//! The command line, by the real binary: what it prints where, and the exit code that a script gets.

use std::ffi::OsStr;
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
    for name in ["COLUMNS", "NO_COLOR", "LOOPSCOPE_THEME", "LOOPSCOPE_SPEED", "LOOPSCOPE_MEMORY", "LOOPSCOPE_SETTINGS"]
    {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").envs(variables.iter().copied());
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
