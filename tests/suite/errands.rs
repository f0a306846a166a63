//! The terminal is given back for an editor or for the shell, and taken again: by the real binary in a pseudo-terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::pty::Terminal;

const BINARY: &str = env!("CARGO_BIN_EXE_loopscope");

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("errands-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the folder for tests can be written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

/// An editor that says so, waits for a line from its terminal, and then does this to the file `$1`.
fn editor(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("an editor");
    // In two steps, so that what is waited for is not what was typed.
    let script =
        format!("#!/bin/sh\nprintf 'EDI'; echo 'TING'\nread answer\necho \"$answer\" > \"$0.answer\"\n{does}\n");
    fs::write(&path, script).expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// A workload of the person's that says `first` as often as it is asked to.
fn script(folder: &Path) -> PathBuf {
    let path = folder.join("mine.lua");
    let text = "return { title = 't', lesson = 'l', params = { times = { default = 1, min = 1, max = 9 } },\n\
                main = async(function(p)\n  for n = 1, p.times do await(sleep(1)) print('first ' .. random(1000)) end\n\
                end) }\n";
    fs::write(&path, text).expect("it is ours");
    path
}

/// The lines of the program's output on the screen.
fn said(screen: &str, word: &str) -> Vec<String> {
    let lines = screen.lines().filter_map(|line| line.find(word).map(|at| line[at..].trim_end().to_owned()));
    lines.map(|line| line.trim_end_matches(['│', ' ']).to_owned()).collect()
}

#[test]
fn a_script_is_edited_and_run_again_as_it_then_is() {
    let folder = folder("edit");
    let (script, editor) = (script(&folder), editor(&folder, "sed -i s/first/second/ \"$1\""));
    let quoted = format!("'{}'", text(&editor));
    let run = ["run", text(&script), "--set", "times=2", "--seed", "7", "--speed", "max"];
    let variables = [("VISUAL", quoted.as_str()), ("EDITOR", "false")];
    let mut terminal = Terminal::start_with(BINARY, &run, &variables, 100, 30);
    let numbers =
        |lines: Vec<String>| lines.iter().map(|line| line.split(' ').nth(1).map(str::to_owned)).collect::<Vec<_>>();
    let screen = terminal.until("both lines", |screen| said(screen, "first ").len() >= 2 && screen.contains("ENDED"));
    let first = numbers(said(&screen, "first "));

    // Looking back in time, which stays as it is while another has the terminal.
    terminal.press(",,,");
    let header = |screen: &str| screen.lines().next().unwrap_or_default().trim_end().to_owned();
    let is_whole = |screen: &str| header(screen).ends_with("as fast as it goes") && screen.contains("LOOKING BACK");
    let before = terminal.until("the time cursor", is_whole);
    terminal.press("e");
    terminal.until_shows("EDITING");
    terminal.is_restored();
    terminal.press("jjq typed for the editor\r");
    terminal.until("the screen as it was, and the notice", |screen| {
        header(screen) == header(&before) && screen.contains("r runs the script") && screen.contains("first ")
    });
    let answer = fs::read_to_string(folder.join("an editor.answer")).expect("the editor had its line");
    assert_eq!(answer, "jjq typed for the editor\n", "what was typed meanwhile was the editor's, all of it");

    terminal.press("r");
    let screen = terminal.until("the second version", |screen| said(screen, "second ").len() >= 2);
    assert_eq!(numbers(said(&screen, "second ")), first, "the same parameters, the same seed");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn a_script_that_is_broken_now_says_so_and_the_old_run_stays() {
    let folder = folder("broken");
    let (script, editor) = (script(&folder), editor(&folder, "echo 'return {' > \"$1\""));
    let quoted = format!("'{}'", text(&editor));
    let run = ["run", text(&script), "--speed", "max"];
    let mut terminal = Terminal::start_with(BINARY, &run, &[("VISUAL", ""), ("EDITOR", &quoted)], 100, 30);
    terminal.until("the end", |screen| screen.contains("ENDED") && screen.contains("first "));
    terminal.press("e");
    terminal.until_shows("EDITING");
    terminal.press("\r");
    let is_told = |screen: &str| screen.contains("mine.lua:") && screen.contains("ends too early");
    terminal.until("what is wrong", is_told);
    terminal.press("\x1b");
    terminal.until("the message to go", |screen| !is_told(screen));
    terminal.press("r");
    terminal.until("what is wrong", |screen| is_told(screen) && screen.contains("mine cannot run"));
    terminal.press("\x1b");
    terminal.until("the old run", |screen| !is_told(screen) && screen.contains("first "));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn an_editor_that_is_not_there_is_told() {
    let folder = folder("no-editor");
    let script = script(&folder);
    let run = ["run", text(&script), "--speed", "max"];
    let mut terminal = Terminal::start_with(BINARY, &run, &[("VISUAL", "/no/such/editor")], 100, 30);
    terminal.until_shows("ENDED");
    terminal.press("e");
    terminal.until("why", |screen| screen.contains("the editor failed") && screen.contains("$VISUAL or $EDITOR"));
    terminal.press("\x1b");
    terminal.until("the message to go", |screen| !screen.contains("the editor failed"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_restored();
}

#[test]
fn a_built_in_script_is_copied_only_when_that_is_meant() {
    let data = folder("copy");
    let editor = editor(&data, "sed -i s/One/Uno/ \"$1\"");
    let quoted = format!("'{}'", text(&editor));
    let variables = [("VISUAL", quoted.as_str()), ("XDG_DATA_HOME", text(&data))];
    let mut terminal = Terminal::start_with(BINARY, &["run", "countasync", "--speed", "max"], &variables, 100, 30);
    terminal.until("the end", |screen| screen.contains("ENDED") && screen.contains("One"));
    let copy = data.join("loopscope/workloads/countasync.lua");
    terminal.press("e");
    terminal.until_shows("is built in");
    terminal.press("f");
    terminal.until("the notice to go", |screen| !screen.contains("is built in"));
    terminal.press("e");
    terminal.until_shows("is built in");
    assert!(!copy.exists(), "another key in between: it was not meant");
    terminal.press("e");
    terminal.until_shows("EDITING");
    terminal.press("\r");
    terminal.until_shows("r runs the script");
    assert!(fs::read_to_string(&copy).expect("the copy is there").contains("Uno"));
    terminal.press("r");
    terminal.until("the copy's run", |screen| screen.contains("Uno") && screen.contains("ENDED"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn it_goes_to_the_shell_and_comes_back() {
    let mut terminal = Terminal::start_with("/bin/sh", &["-i"], &[("PS1", "shell> "), ("ENV", "")], 100, 30);
    terminal.until_shows("shell>");
    terminal.press(&format!("{BINARY} run countasync --paused\r"));
    terminal.until("the screen", |screen| screen.contains("PAUSED") && !screen.contains("shell>"));
    terminal.press("s");
    terminal.until_shows("count-1");
    terminal.press("\x1a");
    terminal.until_shows("shell>");
    terminal.screen_is_restored();
    // The shell has the keys now.
    terminal.press("echo ali''ve\r");
    terminal.until_shows("alive");
    terminal.press("fg\r");
    terminal.until("the run as it was", |screen| screen.contains("count-1") && !screen.contains("shell>"));
    terminal.press("q");
    terminal.until("a new prompt", |screen| screen.trim_end().ends_with("--paused\nshell>"));
    terminal.screen_is_restored();
    terminal.press("exit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn without_a_shell_it_does_not_stop_for_ever() {
    let mut terminal = Terminal::start(&["run", "countasync", "--paused"], 100, 30);
    terminal.until_shows("PAUSED");
    terminal.press("\x1a");
    terminal.until_shows("no shell with job control");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn the_picker_says_that_something_is_missing() {
    let own = folder("own");
    fs::write(own.join("broken.lua"), "return {").expect("it is ours");
    let mut terminal = Terminal::start_with(BINARY, &[], &[("LOOPSCOPE_WORKLOADS", text(&own))], 100, 30);
    let screen = terminal.until_shows("`loopscope workloads` says why");
    assert!(screen.contains("countasync"), "{screen}");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}
