//! Programs that are not ours, written to an archive while they are watched: it shows again what was seen, whatever
//! became of the program, of the network or of loopscope itself.

use std::path::Path;
use std::process::{Command, Stdio};

use loopscope::app::Session;
use loopscope::control::{FeedChoice, LinkState, Outcome, Phase};
use loopscope::feed::archive::{Head, Opened, read};
use loopscope::session::{ArchiveFile, ArchiveSession, Recorded};
use loopscope::trace::{Fidelity, Gap};
use serde_json::Value;

use crate::attach::{attach, state, until};
use crate::attach_faults::cut_after;
use crate::cli::loopscope;
use crate::outside::{self, App, Folder, app, free_port, record};
use crate::pty::Terminal;

/// What stands in a report of an archive as in that of what it was recorded of: all of it but what it is read from.
#[track_caller]
fn is_seen_again(words: &[&str], file: &Path) -> Value {
    let file = file.display().to_string();
    let seen = loopscope(&[&words[..1], &["--headless", "--json", "--full", "--record", &file], &words[1..]].concat());
    assert_eq!(seen.code, Some(0), "{words:?}: {}", seen.err);
    let opened = loopscope(&["open", &file, "--headless", "--json", "--full"]);
    assert_eq!((opened.code, opened.err.as_str()), (Some(0), ""), "{words:?}");
    let mut reports = [seen.out, opened.out].map(|out| serde_json::from_str::<Value>(&out).expect("one document"));
    assert_eq!(reports[1]["source"]["kind"], "archive");
    reports[1]["source"]["kind"] = reports[0]["source"]["kind"].clone();
    let [seen, opened] = reports;
    assert!(seen == opened, "{words:?}: {}", difference("", &seen, &opened));
    opened
}

/// The first place where two documents differ.
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

fn opened(file: &Path) -> Option<Opened> {
    read(std::fs::File::open(file).ok()?, usize::MAX).ok()
}

#[test]
fn an_attached_program_is_seen_again_with_its_awaits_resources_and_source_lines() {
    let (folder, app) = (Folder::new("recorded-attach"), App::start(&["mutex"]));
    let file = folder.file("seen.loop");
    let report =
        is_seen_again(&["attach", &app.address, "--for", "1500ms", "--source", env!("CARGO_MANIFEST_DIR")], &file);
    assert_eq!((&report["source"]["name"], &report["fidelity"]), (&app.address.as_str().into(), &"sampled".into()));
    assert_eq!(report["outcome"], "detached");
    assert!(report["awaits"].as_array().is_some_and(|awaits| !awaits.is_empty()), "{report}");
    let session = ArchiveSession::open(&file, usize::MAX).expect("it opens");
    let trace = session.trace();
    let (_, lock) = trace.resources().iter().find(|(_, known)| &*known.resource.name == "Mutex").expect("it was told");
    assert!(lock.attributes().iter().any(|told| &*told.name == "locked"));
    let locker = trace.tasks().iter().find(|task| task.name() == "locker-1").expect("it was told");
    assert!(locker.told_wake().is_some() && locker.wakers().is_some() && trace.is_foreign());
    let spawned = locker.spawned.location.as_ref().expect("tokio says where");
    assert!(session.source(&spawned.file).is_some_and(|text| text.contains("fn spawn")), "{spawned}");
}

#[test]
fn an_app_that_was_started_is_seen_again_to_the_poll() {
    let folder = Folder::new("recorded-exec");
    let app = app().display().to_string();
    let report = is_seen_again(&["exec", "--", &app, "quits"], &folder.file("seen.loop"));
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"completed".into(), &"exact".into()));
    assert_eq!(report["feeds"]["agree"], true);
    assert!(report["feeds"]["recording"]["events"].as_u64().is_some_and(|events| events > 100), "{report}");
    assert!(report["wakes"].as_array().is_some_and(|wakes| wakes.len() > 50));
    // Its program lies where it was built, or below where it is tested.
    let session = ArchiveSession::open(&folder.file("seen.loop"), usize::MAX).expect("it opens");
    assert!(session.source("tests/apps/counted.rs").is_some_and(|text| text.contains("fn spawn")));
}

#[test]
fn a_recording_of_a_console_becomes_an_archive_of_a_fraction_of_its_bytes() {
    let folder = Folder::new("recorded-open");
    let (lines, file) = (folder.file("app.jsonl"), folder.file("app.loop"));
    record(&["mixed"], &lines, 3_000);
    let lines_name = lines.display().to_string();
    let report = is_seen_again(&["open", &lines_name], &file);
    assert!(report["loop"]["polls"].as_u64().is_some_and(|polls| polls > 100), "{report}");
    let bytes = |path: &Path| path.metadata().expect("it is there").len();
    assert!(bytes(&file) * 8 < bytes(&lines), "{} of {}", bytes(&file), bytes(&lines));
    let cases = [(&lines_name, "the file that is read"), (&file.display().to_string(), "that is one")];
    for (name, why) in cases {
        let before = bytes(Path::new(name));
        let ran = loopscope(&["open", name, "--headless", "--record", name]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        assert!(ran.err.contains(why), "{}", ran.err);
        assert_eq!(bytes(Path::new(name)), before);
    }
}

#[test]
fn nothing_is_started_for_a_file_that_is_something_else() {
    let folder = Folder::new("recorded-refused");
    let (notes, trail) = (folder.file("notes.txt"), folder.file("trail"));
    std::fs::write(&notes, "mine").expect("the folder is ours");
    let (name, touched) = (notes.display().to_string(), trail.display().to_string());
    for words in [
        &["exec", "--headless", "--record", &name, "--", "touch", &touched][..],
        &["attach", "--headless", "--record", &name],
    ] {
        let ran = loopscope(words);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{words:?}");
        assert!(ran.err.contains("no archive of loopscope"), "{}", ran.err);
    }
    assert_eq!(std::fs::read_to_string(&notes).expect("it is still there"), "mine");
    assert!(!trail.exists(), "the command never ran");
}

/// Where the newest end of the file is that may be written again: its last chunk of that kind.
fn without_rest(bytes: &[u8]) -> &[u8] {
    const REST: u8 = 4;
    let (mut at, mut rest) = (12, bytes.len());
    while let Some(&[kind, a, b, c, d]) = bytes.get(at..).and_then(|left| left.first_chunk()) {
        rest = if kind == REST { at } else { rest };
        at += 9 + u32::from_le_bytes([a, b, c, d]) as usize;
    }
    &bytes[..rest]
}

#[test]
fn a_killed_attach_leaves_an_archive_that_opens_as_what_it_is() {
    let (folder, app) = (Folder::new("recorded-killed"), App::start(&["mutex"]));
    let file = folder.file("killed.loop");
    let mut child = Command::new(env!("CARGO_BIN_EXE_loopscope"))
        .args(["attach", &app.address, "--headless", "--record"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    outside::until("polls were written", || opened(&file).is_some_and(|opened| opened.trace.counts().polls > 0));
    child.kill().expect("it runs");
    child.wait().expect("it was killed");
    let Opened { trace, outcome, notes, .. } = opened(&file).expect("it opens");
    assert_eq!((outcome, trace.fidelity(), trace.is_foreign()), (None, Fidelity::Sampled, true));
    assert!(!notes.is_empty(), "that it is not whole is said");
    assert!(trace.tasks().iter().any(|task| task.name() == "locker-2"));
    let bytes = std::fs::read(&file).expect("it is there");
    let torn = read(without_rest(&bytes), usize::MAX).expect("it opens as far as it goes");
    assert!(torn.notes.iter().any(|note| note.contains("newest end")), "{:?}", torn.notes);
    assert_eq!(
        (torn.trace.fidelity(), torn.trace.is_foreign()),
        (Fidelity::Sampled, true),
        "whatever is missing of it"
    );
    assert_eq!(torn.trace.tasks().len(), trace.tasks().len());
}

fn onto(file: &Path, session: impl Session + 'static) -> Recorded {
    let head = Head { source: "attach".into(), feed: FeedChoice::Console.name().into(), ..Head::default() };
    let file = ArchiveFile::at(file).expect("the folder is ours");
    Recorded::new(Box::new(session), file, head).expect("the folder is ours")
}

#[test]
fn a_connection_that_broke_leaves_its_hole_in_the_archive() {
    let (folder, app) = (Folder::new("recorded-hole"), App::start(&["mutex"]));
    let file = folder.file("hole.loop");
    let mut first = true;
    let address = cut_after(&app.address, move || if std::mem::take(&mut first) { 60_000 } else { u64::MAX });
    let mut session = onto(&file, attach(&address));
    until(&mut session, "it to be joined again", |trace, _| trace.gaps().any(|gap| gap.is_unwatched));
    let gaps: Vec<Gap> = session.trace().gaps().copied().collect();
    drop(session);
    let opened = opened(&file).expect("it opens");
    assert_eq!((opened.outcome, opened.notes), (Some(Outcome::Detached), Vec::<String>::new()));
    assert_eq!(opened.trace.gaps().copied().collect::<Vec<_>>(), gaps);
}

#[test]
fn what_answers_after_it_is_written_beside_it() {
    let (folder, port) = (Folder::new("recorded-beside"), free_port());
    let file = folder.file("seen.loop");
    std::fs::write(folder.file("seen-2.loop"), "somebody's").expect("the folder is ours");
    let app = App::start_at(&["mutex"], port);
    let mut session = onto(&file, attach(&app.address));
    until(&mut session, "the first", |trace, _| trace.counts().polls > 0);
    app.kill();
    let app = App::start_at(&["semaphore"], port);
    until(&mut session, "that it is gone", |_, status| state(status) == LinkState::Lost);
    let mut successor = None;
    while successor.is_none() {
        session.pump(std::time::Duration::from_millis(5));
        successor = session.successor();
    }
    let mut successor = successor.expect("it came");
    until(successor.as_mut(), "the second", |trace, _| trace.counts().polls > 0);
    app.counts();
    until(successor.as_mut(), "its end", |_, status| status.phase == Phase::Ended);
    drop((session, successor));
    for (name, task) in [("seen.loop", "locker-1"), ("seen-3.loop", "worker-1")] {
        let found = opened(&folder.file(name)).expect("it opens");
        assert_eq!((found.outcome, found.notes), (Some(Outcome::Detached), Vec::<String>::new()), "{name}");
        assert!(found.trace.tasks().iter().any(|found| found.name() == task), "{name} has {task}");
    }
    assert_eq!(std::fs::read_to_string(folder.file("seen-2.loop")).expect("it is still there"), "somebody's");
}

#[test]
fn what_is_seen_now_is_saved_from_the_screen_and_nothing_is_written_over() {
    let (folder, app) = (Folder::new("recorded-saved"), App::start(&["mutex"]));
    let file = folder.file("saved.loop");
    let name = file.display().to_string();
    let mut terminal = Terminal::start(&["attach", &app.address], 160, 40);
    terminal.until_shows("locker-1");
    terminal.press(&format!(":save {name}\r"));
    terminal.until_shows("saved to");
    let saved = opened(&file).expect("it opens while the program goes on");
    assert_eq!((saved.outcome, saved.trace.fidelity()), (None, Fidelity::Sampled));
    assert!(saved.trace.counts().polls > 0 && saved.head.source == "attach" && saved.head.name == app.address);
    let before = std::fs::read(&file).expect("it is there");
    terminal.press("W");
    terminal.until_shows("save to");
    terminal.press(&format!("\u{15}{name}\r"));
    terminal.until_shows("there is a file of this name already");
    assert_eq!(std::fs::read(&file).expect("it is there"), before);
    terminal.press("\u{1b}");
    terminal.until("the prompt to go", |text| !text.contains("save to"));
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}
