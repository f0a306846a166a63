//! Handing the terminal over to an editor or the shell and taking it back, with the real binary in a pseudo-terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::pty::PtyTerminal;

const BINARY: &str = env!("CARGO_BIN_EXE_loopscope");

/// Creates an empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handover-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the test folder can be created");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Creates an editor script that announces itself, waits for a line from its terminal, and then runs `does` on the
/// file `$1`.
fn editor(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("an editor");
    // Printed in two steps, so that the expected text differs from the script's.
    let script =
        format!("#!/bin/sh\nprintf 'EDI'; echo 'TING'\nread answer\necho \"$answer\" > \"$0.answer\"\n{does}\n");
    fs::write(&path, script).expect("the test folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test folder is writable");
    path
}

/// Creates a user workload that prints `first` as often as its parameter says.
fn script(folder: &Path) -> PathBuf {
    let path = folder.join("mine.lua");
    let text = "return { title = 't', lesson = 'l', params = { times = { default = 1, min = 1, max = 9 } },\n\
                main = async(function(p)\n  for n = 1, p.times do await(sleep(1)) print('first ' .. random(1000)) end\n\
                end) }\n";
    fs::write(&path, text).expect("the test folder is writable");
    path
}

/// Returns the output lines on the screen that contain `word`.
fn output_lines(screen: &str, word: &str) -> Vec<String> {
    let lines = screen.lines().filter_map(|line| line.find(word).map(|at| line[at..].trim_end().to_owned()));
    lines.map(|line| line.trim_end_matches(['│', ' ']).to_owned()).collect()
}

#[test]
fn edited_script_runs_again() {
    let folder = folder("edit");
    let (script, editor) = (script(&folder), editor(&folder, "sed -i s/first/second/ \"$1\""));
    let quoted = format!("'{}'", text(&editor));
    let run = ["run", text(&script), "--set", "times=2", "--seed", "7", "--speed", "max"];
    let variables = [("VISUAL", quoted.as_str()), ("EDITOR", "false")];
    let mut terminal = PtyTerminal::start_with(BINARY, &run, &variables, 100, 30);
    let numbers =
        |lines: Vec<String>| lines.iter().map(|line| line.split(' ').nth(1).map(str::to_owned)).collect::<Vec<_>>();
    let screen = terminal
        .wait_until("both lines", |screen| output_lines(screen, "first ").len() >= 2 && screen.contains("ENDED"));
    let first = numbers(output_lines(&screen, "first "));

    // The time cursor must survive the handover.
    terminal.press(",,,");
    let header = |screen: &str| screen.lines().next().unwrap_or_default().trim_end().to_owned();
    let is_whole = |screen: &str| header(screen).ends_with("max speed") && screen.contains("LOOKING BACK");
    let before = terminal.wait_until("the time cursor", is_whole);
    terminal.press("e");
    terminal.wait_for_text("EDITING");
    terminal.assert_restored();
    terminal.press("jjq typed for the editor\r");
    terminal.wait_until("the screen as it was, and the notice", |screen| {
        header(screen) == header(&before) && screen.contains("r runs the edited script") && screen.contains("first ")
    });
    let answer = fs::read_to_string(folder.join("an editor.answer")).expect("the editor had its line");
    assert_eq!(answer, "jjq typed for the editor\n", "all keys typed meanwhile went to the editor");

    terminal.press("r");
    let screen = terminal.wait_until("the second version", |screen| output_lines(screen, "second ").len() >= 2);
    assert_eq!(numbers(output_lines(&screen, "second ")), first, "the same parameters, the same seed");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn broken_edit_is_reported_and_keeps_the_old_run() {
    let folder = folder("broken");
    let (script, editor) = (script(&folder), editor(&folder, "echo 'return {' > \"$1\""));
    let quoted = format!("'{}'", text(&editor));
    let run = ["run", text(&script), "--speed", "max"];
    let mut terminal = PtyTerminal::start_with(BINARY, &run, &[("VISUAL", ""), ("EDITOR", &quoted)], 100, 30);
    terminal.wait_until("the end", |screen| screen.contains("ENDED") && screen.contains("first "));
    terminal.press("e");
    terminal.wait_for_text("EDITING");
    terminal.press("\r");
    let shows_error = |screen: &str| screen.contains("mine.lua:") && screen.contains("ends too early");
    terminal.wait_until("what is wrong", shows_error);
    terminal.press("\x1b");
    terminal.wait_until("the message to go", |screen| !shows_error(screen));
    terminal.press("r");
    terminal.wait_until("what is wrong", |screen| shows_error(screen) && screen.contains("cannot run `mine`"));
    terminal.press("\x1b");
    terminal.wait_until("the old run", |screen| !shows_error(screen) && screen.contains("first "));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn missing_editor_is_reported() {
    let folder = folder("no-editor");
    let script = script(&folder);
    let run = ["run", text(&script), "--speed", "max"];
    let mut terminal = PtyTerminal::start_with(BINARY, &run, &[("VISUAL", "/no/such/editor")], 100, 30);
    terminal.wait_for_text("ENDED");
    terminal.press("e");
    terminal.wait_until("why", |screen| screen.contains("the editor failed") && screen.contains("$VISUAL or $EDITOR"));
    terminal.press("\x1b");
    terminal.wait_until("the message to go", |screen| !screen.contains("the editor failed"));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
    terminal.assert_restored();
}

#[test]
fn built_in_script_is_copied_after_confirmation() {
    let data = folder("copy");
    let editor = editor(&data, "sed -i s/One/Uno/ \"$1\"");
    let quoted = format!("'{}'", text(&editor));
    let variables = [("VISUAL", quoted.as_str()), ("XDG_DATA_HOME", text(&data))];
    let mut terminal = PtyTerminal::start_with(BINARY, &["run", "countasync", "--speed", "max"], &variables, 100, 30);
    terminal.wait_until("the end", |screen| screen.contains("ENDED") && screen.contains("One"));
    let copy = data.join("loopscope/workloads/countasync.lua");
    terminal.press("e");
    terminal.wait_for_text("is built in");
    terminal.press("f");
    terminal.wait_until("the notice to go", |screen| !screen.contains("is built in"));
    terminal.press("e");
    terminal.wait_for_text("is built in");
    assert!(!copy.exists(), "another key in between cancels");
    terminal.press("e");
    terminal.wait_for_text("EDITING");
    terminal.press("\r");
    terminal.wait_for_text("r runs the edited script");
    assert!(fs::read_to_string(&copy).expect("the copy is there").contains("Uno"));
    terminal.press("r");
    terminal.wait_until("the copy's run", |screen| screen.contains("Uno") && screen.contains("ENDED"));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn suspends_to_the_shell_and_resumes() {
    let mut terminal = PtyTerminal::start_with("/bin/sh", &["-i"], &[("PS1", "shell> "), ("ENV", "")], 100, 30);
    terminal.wait_for_text("shell>");
    terminal.press(&format!("{BINARY} run countasync --paused\r"));
    terminal.wait_until("the screen", |screen| screen.contains("PAUSED") && !screen.contains("shell>"));
    terminal.press("s");
    terminal.wait_for_text("count-1");
    terminal.press("\x1a");
    // The first prompt shows again before the shell does: wait for a prompt below the shell's message.
    terminal.wait_until("a new prompt", |screen| screen.contains("Stopped") && screen.trim_end().ends_with("\nshell>"));
    terminal.assert_screen_restored();
    // The shell receives the keys now.
    terminal.press("echo ali''ve\r");
    terminal.wait_for_text("alive");
    terminal.press("fg\r");
    terminal.wait_until("the run as it was", |screen| screen.contains("count-1") && !screen.contains("shell>"));
    terminal.press("q");
    terminal.wait_until("a new prompt", |screen| screen.trim_end().ends_with("--paused\nshell>"));
    terminal.assert_screen_restored();
    terminal.press("exit\r");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn does_not_suspend_without_a_shell() {
    let mut terminal = PtyTerminal::start(&["run", "countasync", "--paused"], 100, 30);
    terminal.wait_for_text("PAUSED");
    terminal.press("\x1a");
    terminal.wait_for_text("no shell with job control");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}

#[test]
fn picker_warns_about_an_invalid_workload() {
    let own = folder("own");
    fs::write(own.join("broken.lua"), "return {").expect("the test folder is writable");
    let mut terminal = PtyTerminal::start_with(BINARY, &[], &[("LOOPSCOPE_WORKLOADS", text(&own))], 100, 30);
    terminal.wait_until("the errors and the other workloads", |screen| {
        screen.contains("`loopscope workloads` shows the errors") && screen.contains("countasync")
    });
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}
