//! Archives of external apps: they restore the session, also after failures of the app, the network or loopscope.

use std::path::Path;
use std::process::{Command, Stdio};

use loopscope::control::{ConnectionState, FeedChoice, RunOutcome, RunPhase};
use loopscope::feed::archive::{ArchiveHeader, OpenedArchive, read_archive};
use loopscope::session::{ArchiveFile, ArchiveSession, ArchivingSession, Session};
use loopscope::trace::{Fidelity, Gap};
use serde_json::Value;

use crate::attach::{attach, state, until};
use crate::attach_faults::cut_after;
use crate::cli::loopscope;
use crate::example_app::{self, ExampleApp, TempFolder, example_app_path, free_port, record_scenario};
use crate::pty::PtyTerminal;

/// Asserts that the report of an archive equals the report of the original session, except for its source kind.
#[track_caller]
fn assert_round_trip(words: &[&str], file: &Path) -> Value {
    let file = file.display().to_string();
    let seen = loopscope(&[&words[..1], &["--headless", "--json", "--full", "--record", &file], &words[1..]].concat());
    assert_eq!(seen.exit_code, Some(0), "{words:?}: {}", seen.stderr);
    let opened = loopscope(&["open", &file, "--headless", "--json", "--full"]);
    assert_eq!((opened.exit_code, opened.stderr.as_str()), (Some(0), ""), "{words:?}");
    let mut reports =
        [seen.stdout, opened.stdout].map(|out| serde_json::from_str::<Value>(&out).expect("the report is JSON"));
    assert_eq!(reports[1]["source"]["kind"], "archive");
    reports[1]["source"]["kind"] = reports[0]["source"]["kind"].clone();
    let [seen, opened] = reports;
    assert!(seen == opened, "{words:?}: {}", difference("", &seen, &opened));
    opened
}

/// Returns the first difference of two documents.
fn difference(path: &str, left: &Value, right: &Value) -> String {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            let found = left.iter().zip(right.values()).find(|((_, left), right)| left != right);
            found.map_or_else(String::new, |((key, left), right)| difference(&format!("{path}.{key}"), left, right))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let found = left.iter().zip(right).enumerate().find(|(_, (left, right))| left != right);
            found.map_or_else(String::new, |(at, (left, right))| difference(&format!("{path}[{at}]"), left, right))
        }
        (left, right) => format!("{path} was {left} and is {right}"),
    }
}

fn opened(file: &Path) -> Option<OpenedArchive> {
    read_archive(std::fs::File::open(file).ok()?, usize::MAX).ok()
}

#[test]
fn attach_archive_restores_everything() {
    let (folder, app) = (TempFolder::new("recorded-attach"), ExampleApp::start(&["mutex"]));
    let file = folder.path_of("seen.loop");
    let report =
        assert_round_trip(&["attach", &app.address, "--for", "1500ms", "--source", env!("CARGO_MANIFEST_DIR")], &file);
    assert_eq!((&report["source"]["name"], &report["fidelity"]), (&app.address.as_str().into(), &"sampled".into()));
    assert_eq!(report["outcome"], "detached");
    assert!(report["awaits"].as_array().is_some_and(|awaits| !awaits.is_empty()), "{report}");
    let session = ArchiveSession::open(&file, usize::MAX).expect("open the archive");
    let trace = session.trace();
    let (_, lock) =
        trace.resources().iter().find(|(_, known)| &*known.resource.name == "Mutex").expect("it is in the trace");
    assert!(lock.attributes().iter().any(|attribute| &*attribute.name == "locked"));
    let locker = trace.tasks().iter().find(|task| task.name() == "locker-1").expect("it is in the trace");
    assert!(locker.sampled_wake().is_some() && locker.waker_counts().is_some() && trace.is_external());
    let spawned = locker.meta.location.as_ref().expect("the task has a location");
    assert!(session.source(&spawned.file).is_some_and(|text| text.contains("fn spawn")), "{spawned}");
}

#[test]
fn exec_archive_restores_every_poll() {
    let folder = TempFolder::new("recorded-exec");
    let app = example_app_path().display().to_string();
    let report = assert_round_trip(&["exec", "--", &app, "quits"], &folder.path_of("seen.loop"));
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"completed".into(), &"exact".into()));
    assert_eq!(report["feeds"]["agree"], true);
    assert!(report["feeds"]["recording"]["events"].as_u64().is_some_and(|events| events > 100), "{report}");
    assert!(report["wakes"].as_array().is_some_and(|wakes| wakes.len() > 50));
    // The app is in the `target` folder, or below the current folder.
    let session = ArchiveSession::open(&folder.path_of("seen.loop"), usize::MAX).expect("open the archive");
    assert!(session.source("tests/apps/counted.rs").is_some_and(|text| text.contains("fn spawn")));
}

#[test]
fn recording_converts_to_a_smaller_archive() {
    let folder = TempFolder::new("recorded-open");
    let (lines, file) = (folder.path_of("app.jsonl"), folder.path_of("app.loop"));
    record_scenario(&["mixed"], &lines, 3_000);
    let lines_name = lines.display().to_string();
    let report = assert_round_trip(&["open", &lines_name], &file);
    assert!(report["loop"]["polls"].as_u64().is_some_and(|polls| polls > 100), "{report}");
    let bytes = |path: &Path| path.metadata().expect("the file exists").len();
    assert!(bytes(&file) * 8 < bytes(&lines), "{} of {}", bytes(&file), bytes(&lines));
    let cases = [(&lines_name, "is the input file"), (&file.display().to_string(), "already an archive")];
    for (name, why) in cases {
        let before = bytes(Path::new(name));
        let output = loopscope(&["open", name, "--headless", "--record", name]);
        assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""));
        assert!(output.stderr.contains(why), "{}", output.stderr);
        assert_eq!(bytes(Path::new(name)), before);
    }
}

#[test]
fn existing_other_file_is_refused() {
    let folder = TempFolder::new("recorded-refused");
    let (notes, trail) = (folder.path_of("notes.txt"), folder.path_of("trail"));
    std::fs::write(&notes, "mine").expect("write the file");
    let (name, touched) = (notes.display().to_string(), trail.display().to_string());
    for words in [
        &["exec", "--headless", "--record", &name, "--", "touch", &touched][..],
        &["attach", "--headless", "--record", &name],
    ] {
        let output = loopscope(words);
        assert_eq!((output.exit_code, output.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(output.stderr.contains("not a loopscope archive"), "{}", output.stderr);
    }
    assert_eq!(std::fs::read_to_string(&notes).expect("read the file"), "mine");
    assert!(!trail.exists(), "the command never ran");
}

/// Returns the archive without its tail, which begins at the last chunk of that kind.
fn without_tail(bytes: &[u8]) -> &[u8] {
    const TAIL: u8 = 4;
    let (mut at, mut tail) = (12, bytes.len());
    while let Some(&[kind, a, b, c, d]) = bytes.get(at..).and_then(|left| left.first_chunk()) {
        tail = if kind == TAIL { at } else { tail };
        at += 9 + u32::from_le_bytes([a, b, c, d]) as usize;
    }
    &bytes[..tail]
}

#[test]
fn killed_attach_leaves_a_readable_archive() {
    let (folder, app) = (TempFolder::new("recorded-killed"), ExampleApp::start(&["mutex"]));
    let file = folder.path_of("killed.loop");
    let mut child = Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["attach", &app.address, "--headless", "--record"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run the binary");
    example_app::wait_until("polls were written", || {
        opened(&file).is_some_and(|opened| opened.trace.counts().polls > 0)
    });
    child.kill().expect("kill the binary");
    child.wait().expect("wait for the binary");
    let OpenedArchive { trace, outcome, notes, .. } = opened(&file).expect("open the archive");
    assert_eq!((outcome, trace.fidelity(), trace.is_external()), (None, Fidelity::Sampled, true));
    assert!(!notes.is_empty(), "the archive is noted as incomplete");
    assert!(trace.tasks().iter().any(|task| task.name() == "locker-2"));
    let bytes = std::fs::read(&file).expect("read the file");
    let torn = read_archive(without_tail(&bytes), usize::MAX).expect("open the truncated archive");
    assert!(torn.notes.iter().any(|note| note.contains("its end is missing")), "{:?}", torn.notes);
    assert_eq!(
        (torn.trace.fidelity(), torn.trace.is_external()),
        (Fidelity::Sampled, true),
        "independent of the missing tail"
    );
    assert_eq!(torn.trace.tasks().len(), trace.tasks().len());
}

fn archive_to(file: &Path, session: impl Session + 'static) -> ArchivingSession {
    let head =
        ArchiveHeader { source: "attach".into(), feed: FeedChoice::Console.name().into(), ..ArchiveHeader::default() };
    let file = ArchiveFile::open_or_create(file).expect("open the file");
    ArchivingSession::new(Box::new(session), file, head).expect("start the archive")
}

#[test]
fn disconnect_is_a_gap_in_the_archive() {
    let (folder, app) = (TempFolder::new("recorded-hole"), ExampleApp::start(&["mutex"]));
    let file = folder.path_of("hole.loop");
    let mut first = true;
    let address = cut_after(&app.address, move || if std::mem::take(&mut first) { 60_000 } else { u64::MAX });
    let mut session = archive_to(&file, attach(&address));
    until(&mut session, "the reconnect", |trace, _| trace.gaps().any(|gap| gap.is_disconnected));
    let gaps: Vec<Gap> = session.trace().gaps().copied().collect();
    drop(session);
    let opened = opened(&file).expect("open the archive");
    assert_eq!((opened.outcome, opened.notes), (Some(RunOutcome::Detached), Vec::<String>::new()));
    assert_eq!(opened.trace.gaps().copied().collect::<Vec<_>>(), gaps);
}

#[test]
fn successor_is_archived_to_a_sibling() {
    let (folder, port) = (TempFolder::new("recorded-beside"), free_port());
    let file = folder.path_of("seen.loop");
    std::fs::write(folder.path_of("seen-2.loop"), "other contents").expect("write the file");
    let app = ExampleApp::start_at(&["mutex"], port);
    let mut session = archive_to(&file, attach(&app.address));
    until(&mut session, "a task of the first app", |trace, _| {
        trace.tasks().iter().any(|task| task.name() == "locker-1")
    });
    app.kill();
    let app = ExampleApp::start_at(&["semaphore"], port);
    until(&mut session, "the lost connection", |_, status| state(status) == ConnectionState::Lost);
    let mut successor = None;
    while successor.is_none() {
        session.pump(std::time::Duration::from_millis(5));
        successor = session.successor();
    }
    let mut successor = successor.expect("there is a successor");
    until(successor.as_mut(), "a task of the second app", |trace, _| {
        trace.tasks().iter().any(|task| task.name() == "worker-1")
    });
    app.counts();
    until(successor.as_mut(), "its end", |_, status| status.phase == RunPhase::Ended);
    drop((session, successor));
    for (name, task) in [("seen.loop", "locker-1"), ("seen-3.loop", "worker-1")] {
        let found = opened(&folder.path_of(name)).expect("open the archive");
        assert_eq!((found.outcome, found.notes), (Some(RunOutcome::Detached), Vec::<String>::new()), "{name}");
        assert!(found.trace.tasks().iter().any(|found| found.name() == task), "{name} has {task}");
    }
    assert_eq!(std::fs::read_to_string(folder.path_of("seen-2.loop")).expect("read the file"), "other contents");
}

#[test]
fn save_command_overwrites_nothing() {
    let (folder, app) = (TempFolder::new("recorded-saved"), ExampleApp::start(&["mutex"]));
    let file = folder.path_of("saved.loop");
    let name = file.display().to_string();
    let mut terminal = PtyTerminal::start(&["attach", &app.address], 160, 40);
    terminal.wait_for_text("locker-1");
    terminal.press(&format!(":save {name}\r"));
    terminal.wait_for_text("saved to");
    let saved = opened(&file).expect("open the archive while the app runs");
    assert_eq!((saved.outcome, saved.trace.fidelity()), (None, Fidelity::Sampled));
    assert!(saved.trace.counts().polls > 0 && saved.header.source == "attach" && saved.header.name == app.address);
    let before = std::fs::read(&file).expect("read the file");
    terminal.press("W");
    terminal.wait_for_text("save to");
    terminal.press(&format!("\u{15}{name}\r"));
    terminal.wait_for_text("the file already exists");
    assert_eq!(std::fs::read(&file).expect("read the file"), before);
    terminal.press("\u{1b}");
    terminal.wait_until("the prompt to go", |text| !text.contains("save to"));
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(), 0);
}
