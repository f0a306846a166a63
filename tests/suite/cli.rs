//! The command line: output streams and exit codes of the real binary.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loopscope::internals::cli::{AssertResult, Assertion};
use serde_json::json;

/// The result of one run of the binary.
pub struct CommandOutput {
    pub stdout: String,
    pub stderr: String,
    pub exit_code: Option<i32>,
}

/// Runs the binary with `args` as arguments.
pub fn loopscope<S: AsRef<OsStr>>(args: &[S]) -> CommandOutput {
    loopscope_with_env(args, &[])
}

/// Runs the binary with `variables`, without environment variables of this machine that affect the output.
pub fn loopscope_with_env<S: AsRef<OsStr>>(args: &[S], variables: &[(&str, &str)]) -> CommandOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope"));
    command.args(args).stdin(Stdio::null());
    for name in ["COLUMNS", "NO_COLOR"] {
        command.env_remove(name);
    }
    for name in ["THEME", "SPEED", "MEMORY", "SETTINGS", "WORKLOADS"] {
        command.env_remove(format!("LOOPSCOPE_{name}"));
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("XDG_DATA_HOME", "/nonexistent");
    command.envs(variables.iter().copied());
    let output = command.output().expect("run the binary");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    CommandOutput { stdout: text(output.stdout), stderr: text(output.stderr), exit_code: output.status.code() }
}

#[test]
fn without_terminal_suggests_headless() {
    let output = loopscope::<&str>(&[]);
    assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""));
    assert!(
        output.stderr.contains("must be a terminal") && output.stderr.contains("loopscope run NAME --headless"),
        "{}",
        output.stderr
    );
    let output = loopscope(&["run", "countasync", "--set", "counters=2"]);
    assert_eq!(output.exit_code, Some(2));
    assert!(output.stderr.contains("`loopscope run --headless countasync --set counters=2`"), "{}", output.stderr);
}

#[test]
fn invalid_usage_exits_with_2() {
    let cases: [(&[&str], &str); 13] = [
        (&["run", "no-such-workload", "--headless"], "no-such-workload"),
        (&["show", "no-such-workload"], "no-such-workload"),
        (&["man", "fly"], "unknown command `fly`"),
        (&["run", "x", "--json"], "--headless"),
        (&["run", "x", "--assert", "a==1"], "--headless"),
        (&["run", "x", "--headless", "--paused"], "--paused"),
        (&["run", "x", "--speed", "0"], "use `max` or a number from 0.1 to 1000000"),
        (&["run", "countasync", "--headless", "--clock", "real", "--speed", "3"], "help: use --clock virtual"),
        (&["run", "countasync", "--headless", "--allow-net"], "this run uses a virtual clock"),
        (&["run", "x", "--until", "soon"], "duration"),
        (&["run", "x", "--set", "opponents"], "NAME=VALUE"),
        (&["run", "x", "--headless", "--assert", "elapsed_ns=1"], "unknown operator"),
        (&["--theme", "neon"], "ansi, rgb or mono"),
    ];
    for (args, part) in cases {
        let output = loopscope(args);
        assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(output.stderr.contains(part), "{args:?} should mention {part}: {}", output.stderr);
    }
}

#[test]
fn documents_go_to_standard_output() {
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
    for (args, part) in cases {
        let output = loopscope(args);
        assert_eq!((output.exit_code, output.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(output.stdout.contains(part), "{args:?} should print {part}: {}", output.stdout);
    }
}

/// Returns a command and everything below it.
fn with_subcommands(command: clap::Command) -> Vec<clap::Command> {
    let below: Vec<_> = command.get_subcommands().cloned().flat_map(with_subcommands).collect();
    [command].into_iter().chain(below).collect()
}

#[test]
fn help_is_wrapped_by_clap_only() {
    for command in with_subcommands(loopscope::internals::cli::command()) {
        let name = command.get_name();
        let about = command.get_about().expect("has a first line").to_string();
        assert!(about.len() <= 64, "{name}: {about}");
        for arg in command.get_arguments().filter(|arg| arg.get_id() != "help" && arg.get_id() != "version") {
            let help = arg.get_help().expect("every option has a help text").to_string();
            assert!(help.len() <= 64 && !help.contains('\n'), "{name}: {help}");
        }
        let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in after.split("\n\n") {
            let mut lines = paragraph.lines();
            if lines.next() == Some("Examples:") {
                assert!(lines.all(|line| line.starts_with("  ") && line.len() <= 80), "{name}: {paragraph}");
            } else {
                assert_eq!(lines.next(), None, "{name}: a paragraph is one line: {paragraph}");
            }
        }
    }
}

#[test]
fn pages_are_reproducible() {
    let names = with_subcommands(loopscope::internals::cli::command()).into_iter().skip(1);
    let names: Vec<_> = names.map(|command| command.get_name().to_owned()).collect();
    let top_level = loopscope::internals::cli::command();
    let commands: Vec<_> = names.iter().filter(|name| top_level.find_subcommand(name).is_some()).collect();
    let pages = [vec!["man"]].into_iter().chain(commands.iter().map(|name| vec!["man", name.as_str()]));
    let shells = ["bash", "elvish", "fish", "powershell", "zsh"].map(|shell| vec!["completions", shell]);
    for args in pages.chain(shells) {
        let page = loopscope(&args).stdout;
        let other = loopscope_with_env(&args, &[("COLUMNS", "40"), ("TZ", "Asia/Tokyo"), ("LC_ALL", "C")]).stdout;
        assert!(!page.is_empty() && page == other, "{args:?}");
        if let Some(heading) = page.lines().find(|line| line.starts_with(".TH ")) {
            let words: Vec<_> = heading.split_whitespace().collect();
            let version = format!("{}\"", env!("CARGO_PKG_VERSION"));
            assert!(words.len() == 5 && words[4].ends_with(&version), "without a date: {heading}");
        }
    }
}

#[test]
fn closed_stdout_is_not_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["completions", "bash"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run the binary");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("wait for the binary");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn assertions_check_the_report() {
    let report = json!({
        "outcome": "completed", "error": null, "elapsed_ns": 1_000_000_000_u64, "result": [[1, 2], [3]],
        "loop": {"busy_ns": 18_446_744_073_709_551_615_u64}, "feeds": {"agree": true},
        "tasks": [{"name": "count-1", "state": "done"}, {"name": "a b", "state": "waiting"}],
    });
    let check = |text: &str| text.parse::<Assertion>().expect(text).check(&report);
    for assertion in [
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
        assert_eq!(check(assertion), AssertResult::Passed, "{assertion}");
    }
    let failing = [
        ("elapsed_ns < 1s", "`elapsed_ns < 1s` does not hold: it is 1000000000"),
        ("outcome == failed", "`outcome == failed` does not hold: it is \"completed\""),
        ("feeds.agree == 1", "`feeds.agree == 1` does not hold: it is true"),
    ];
    for (text, message) in failing {
        assert_eq!(check(text), AssertResult::Failed(message.to_owned()));
    }
    let invalid = [
        ("outcom == failed", "the report has no field `outcom`; its fields are elapsed_ns, error,"),
        ("tasks.state == done", "tasks is a list"),
        ("tasks[2].state == done", "tasks has 2 entries"),
        ("outcome.x == 1", "outcome is \"completed\", which has no fields"),
        ("outcome < 3", "\"completed\" cannot be compared with 3"),
    ];
    for (text, part) in invalid {
        assert!(matches!(check(text), AssertResult::Invalid(message) if message.contains(part)), "{text}");
    }
}

#[test]
fn rejects_invalid_assertions() {
    for (text, part) in [
        ("", "missing operator"),
        ("elapsed_ns", "missing operator"),
        ("== 3", "invalid field"),
        ("a..b == 3", "invalid field"),
        ("a[x] == 3", "invalid index `x`"),
        ("a[1 == 3", "invalid field"),
        ("a ==", "missing value"),
        ("a === 3", "`= 3` is not a value"),
        ("a == [1", "not a value"),
        ("elapsed_ns < soon", "duration"),
        ("outcome < done", "only numbers and durations can be ordered"),
    ] {
        let refused = text.parse::<Assertion>().expect_err(text);
        assert!(refused.contains(part), "{text}: {refused}");
    }
}

/// Creates an empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("create the folder");
    path
}

/// Writes the path of the file `name` in `folder` to `buffer`.
fn path_of<'a>(folder: &Path, name: &str, buffer: &'a mut String) -> &'a str {
    *buffer = folder.join(name).to_str().expect("the path is UTF-8").to_owned();
    buffer
}

fn script(title: &str) -> String {
    format!("return {{ title = \"{title}\", lesson = \"-\", main = async(function() return \"{title}\" end) }}\n")
}

#[test]
fn check_does_not_run_the_script() {
    let folder = folder("check");
    let mut buffer = String::new();
    let good = path_of(&folder, "good.lua", &mut buffer);
    fs::write(good, script("Fine")).expect("write the script");
    let output = loopscope(&["workloads", "check", good]);
    let expected = format!("{good}: Fine: no problems found\n");
    assert_eq!((output.exit_code, output.stdout.as_str(), output.stderr.as_str()), (Some(0), expected.as_str(), ""));

    let mut buffer = String::new();
    let bad = path_of(&folder, "bad.lua", &mut buffer);
    let broken = "return {\n  title = \"x\",\n  lessn = \"-\",\n  main = async(function() end),\n}\n";
    for (text, parts) in [
        (broken, &[":3:3: unknown key `lessn`", "3 |   lessn = \"-\",", "help: did you mean `lesson`?"][..]),
        ("return {\n", &["bad.lua:", "help: the script ends too early"]),
        ("print(1)\n", &["bad.lua:1:1: `print` outside a coroutine", "1 | print(1)", "help: move it into main"]),
    ] {
        fs::write(bad, text).expect("write the script");
        let output = loopscope(&["check", bad]);
        assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""), "{}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "{text} should mention {part}: {}", output.stderr);
        }
    }
    let output = loopscope(&["workloads", "check", "no/such.lua"]);
    assert_eq!(output.exit_code, Some(2));
    assert!(output.stderr.contains("no/such.lua: no such file"), "{}", output.stderr);
}

#[test]
fn denied_lints_fail_the_run() {
    let run = |options: &[&str]| {
        let output = loopscope(&[&["run", "countsync", "--headless"], options].concat());
        (output.exit_code, output.stderr)
    };
    let (code, message) = run(&["--deny", "deadlock,blocked-loop"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("denied finding `blocked-loop`: "), "{message}");
    assert_eq!(run(&["--deny", "deadlock,leak"]), (Some(0), String::new()));
    assert_eq!(run(&["--deny", "all", "--allow", "blocked-loop"]), (Some(0), String::new()));
    assert_eq!(run(&["--deny", "all"]).0, Some(1));
    let (code, message) = run(&["--deny", "blocked-lop"]);
    assert!(code == Some(2) && message.contains("did you mean `blocked-loop`?"), "{message}");
}

#[test]
fn assertions_select_findings_by_name() {
    let run = |assertion: &str| {
        let output = loopscope(&["run", "countsync", "--headless", "--assert", assertion]);
        (output.exit_code, output.stderr)
    };
    for holds in [
        "findings[name=deadlock].count == 0",
        "findings[name=blocked-loop].length == 1",
        "findings[name=blocked-loop].count >= 1",
        "findings[name=blocked-loop][0].certain == true",
        "findings[severity=\"error\"].length == 0",
        "tasks[name=main].count == 1",
    ] {
        assert_eq!(run(holds), (Some(0), String::new()), "{holds}");
    }
    let (code, message) = run("findings[name=blocked-loop].count == 0");
    assert!(code == Some(1) && message.contains("does not hold: it is "), "{message}");
    let (code, message) = run("findings[name=dedlock].count == 0");
    assert!(code == Some(2) && message.contains("did you mean `deadlock`?"), "{message}");
    let (code, message) = run("findings[title=leak].count == 0");
    assert!(code == Some(2) && message.contains("the entries have no field `title`"), "{message}");
}

#[test]
fn new_script_runs_and_overwrites_nothing() {
    let folder = folder("new");
    let mut buffer = String::new();
    let file = path_of(&folder, "mine.lua", &mut buffer);
    let output = loopscope(&["workloads", "new", file]);
    assert_eq!((output.exit_code, output.stderr.as_str()), (Some(0), ""));
    assert!(output.stdout.contains(&format!("\n  loopscope run {file}\n")), "{}", output.stdout);
    let output = loopscope(&["check", file]);
    assert_eq!((output.exit_code, output.stderr.as_str()), (Some(0), ""));
    let assertion = ["elapsed_ns == 1s", "outcome == completed", "findings.length == 0"];
    let output = loopscope(&[
        "run",
        file,
        "--headless",
        "--assert",
        assertion[0],
        "--assert",
        assertion[1],
        "--assert",
        assertion[2],
    ]);
    assert_eq!((output.exit_code, output.stderr.as_str()), (Some(0), ""));

    fs::write(file, "mine").expect("write the file");
    for (name, part) in [
        ("mine.lua", "already exists"),
        ("mine.txt", "does not end in .lua"),
        (".lua", "does not end in .lua"),
        ("no/such/folder.lua", "folder.lua` does not exist"),
    ] {
        let mut buffer = String::new();
        let output = loopscope(&["new", path_of(&folder, name, &mut buffer)]);
        assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(output.stderr.contains(part), "{name} should mention {part}: {}", output.stderr);
    }
    assert_eq!(fs::read_to_string(file).expect("read the file"), "mine");
    assert_eq!(fs::read_dir(&folder).expect("list the folder").count(), 1, "rejected names create no files");

    let mut buffer = String::new();
    let spaced = path_of(&folder, "it's mine.lua", &mut buffer);
    let output = loopscope(&["workloads", "new", spaced]);
    assert!(output.stdout.contains("it'\\''s mine.lua'\n"), "the name is quoted for the shell: {}", output.stdout);
}

#[test]
fn user_scripts_are_listed_and_run_by_name() {
    let data = folder("own");
    let own = data.join("loopscope").join("workloads");
    fs::create_dir_all(&own).expect("the folder for tests can be written");
    for (name, text) in [
        ("zebra.lua", script("Stripes")),
        ("aard.lua", script("Ants")),
        ("gather.lua", script("Mine instead")),
        ("broken.lua", "return {\n".to_owned()),
        ("back\\slash.lua", script("Unnameable")),
        (".hidden.lua", "an editor's temporary file".to_owned()),
        ("notes.txt", "not a script".to_owned()),
    ] {
        fs::write(own.join(name), text).expect("write the script");
    }
    let variables = [("XDG_DATA_HOME", data.to_str().expect("a plain name"))];
    let run = |args: &[&str]| loopscope_with_env(args, &variables);

    let output = run(&["workloads"]);
    assert_eq!(output.exit_code, Some(0));
    let names: Vec<&str> = output.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[names.len() - 3..], ["aard", "gather", "zebra"]);
    assert_eq!(
        names.iter().filter(|name| **name == "gather").count(),
        1,
        "the user's script replaces the built-in one"
    );
    assert!(output.stderr.contains("broken.lua:") && output.stderr.contains("ends too early"), "{}", output.stderr);
    assert!(output.stderr.contains("not a valid workload name: rename the file"), "{}", output.stderr);
    assert!(!output.stderr.contains("hidden") && !output.stderr.contains("notes"), "{}", output.stderr);

    let output = run(&["workloads", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&output.stdout).expect("standard output is JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(names.len()));

    let output = run(&["run", "gather", "--headless", "--assert", "result == Mine instead"]);
    assert_eq!((output.exit_code, output.stderr.as_str()), (Some(0), ""));
    assert!(run(&["show", "zebra"]).stdout.starts_with("zebra: Stripes\n"));
    assert!(run(&["show", "zebar"]).stderr.contains("did you mean `zebra`?"));
    let output = run(&["run", "broken", "--headless"]);
    assert_eq!(output.exit_code, Some(2));
    assert!(output.stderr.contains("broken.lua:"), "{}", output.stderr);
    assert_eq!(run(&["show", ".hidden"]).exit_code, Some(2));
}

#[test]
fn custom_workload_folder_is_read_up_to_a_limit() {
    let own = folder("many");
    let files_max = loopscope::workload::user_folder::LISTED_SCRIPTS_MAX;
    for number in 0..=files_max {
        fs::write(own.join(format!("own-{number:04}.lua")), script("Many")).expect("write the script");
    }
    let named = own.to_str().expect("a plain name");
    let output = loopscope_with_env(&["workloads"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert_eq!(output.exit_code, Some(0));
    assert!(
        output.stdout.contains("own-0999 ") && !output.stdout.contains("own-1000"),
        "the first scripts by name are listed"
    );
    assert!(output.stderr.contains("more than 1000 scripts"), "{}", output.stderr);

    let output = loopscope_with_env(&["workloads"], &[("LOOPSCOPE_WORKLOADS", "/nonexistent/folder")]);
    assert_eq!(output.exit_code, Some(0));
    assert!(output.stdout.contains("countasync") && output.stderr.contains("/nonexistent/folder"), "{}", output.stderr);
    let built_in = loopscope(&["workloads"]);
    let empty = loopscope_with_env(&["workloads"], &[("LOOPSCOPE_WORKLOADS", "")]);
    assert_eq!((empty.stdout, empty.stderr.as_str()), (built_in.stdout, ""), "an empty variable is ignored");
}

#[test]
fn endless_scripts_do_not_block_the_list() {
    let own = folder("hostile");
    fs::write(own.join("a-good-one.lua"), script("Good")).expect("write the script");
    for number in 0..loopscope::workload::user_folder::LISTED_SCRIPTS_MAX {
        fs::write(own.join(format!("loop-{number:04}.lua")), "while true do end\n").expect("write the script");
    }
    let named = own.to_str().expect("a plain name");
    let output = loopscope_with_env(&["workloads"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert_eq!(output.exit_code, Some(0));
    assert!(output.stdout.contains("a-good-one ") && output.stdout.contains("countasync "), "{}", output.stdout);
    assert!(output.stderr.contains("loop-0000.lua:1: the script's top level ran 200 ms"), "{}", output.stderr);
    // With the full time limit for each script, listing would take an hour, and none would be skipped.
    let skipped =
        output.stderr.lines().find(|line| line.contains("scripts not listed")).expect("skipped scripts are reported");
    let count: usize = skipped.split(' ').find_map(|word| word.parse().ok()).expect("the message has a count");
    assert!(count > loopscope::workload::user_folder::LISTED_SCRIPTS_MAX / 2, "{skipped}");
    let output = loopscope_with_env(&["check", "loop-0999"], &[("LOOPSCOPE_WORKLOADS", named)]);
    assert!(
        output.stderr.contains("top level ran 2 s"),
        "a script checked by name gets the full time limit: {}",
        output.stderr
    );
}
