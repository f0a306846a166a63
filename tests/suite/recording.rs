//! Decoding of console-subscriber's recordings: hand-written lines, and real recordings that are complete, growing,
//! truncated, damaged or malicious.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use loopscope::control::{RunOutcome, RunPhase, SessionCommand};
use loopscope::feed::recording::{RecordingClock, RecordingDecoder, RecordingError};
use loopscope::internals::feed::{AwaitResolver, AwaitTarget, Readiness, ReportedSpan};
use loopscope::session::{ReadUntil, RecordingSession, Session};
use loopscope::trace::{AwaitKind, AwaitSite, TaskId, TaskOutcome, TaskState, Trace, WakeSource};
use proptest::prelude::*;
use serde_json::Value;

use crate::cli::{loopscope, loopscope_with_env};
use crate::example_app::{TempFolder, record_scenario, wait_until};

/// Writes a recording by hand: each word is a line, one microsecond after the previous one.
fn recording_of(story: &str) -> String {
    let mut text = "{\"v\":1}\n".to_owned();
    for (index, word) in story.split_whitespace().enumerate() {
        let at = format!("\"at\":{{\"secs_since_epoch\":1,\"nanos_since_epoch\":{}}}", index * 1_000);
        let (what, id) = word.split_at(1);
        let (id, kind) = id.split_once(':').unwrap_or((id, "task"));
        let line = match what {
            "+" => format!(
                "{{\"Spawn\":{{\"id\":{id},{at},\"fields\":[{{\"name\":\"kind\",\"value\":\"{kind}\"}},\
                 {{\"name\":\"task.name\",\"value\":\"t{id}\"}},{{\"name\":\"task.id\",\"value\":9}}]}}}}"
            ),
            "(" => format!("{{\"Enter\":{{\"id\":{id},{at}}}}}"),
            ")" => format!("{{\"Exit\":{{\"id\":{id},{at}}}}}"),
            "x" => format!("{{\"Close\":{{\"id\":{id},{at}}}}}"),
            "w" => format!("{{\"Waker\":{{\"id\":{id},\"op\":{{\"Wake\":{{\"self_wake\":false}}}},{at}}}}}"),
            "s" => format!("{{\"Waker\":{{\"id\":{id},\"op\":{{\"WakeByRef\":{{\"self_wake\":true}}}},{at}}}}}"),
            _ => word.to_owned(),
        };
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    }
    text
}

fn read(text: &[u8], piece_bytes: usize) -> (Trace, RecordingDecoder, Result<(), RecordingError>) {
    let mut trace = Trace::default();
    trace.set_external();
    let mut recording = RecordingDecoder::new(RecordingClock::from_first());
    let mut result = Ok(());
    for piece in text.chunks(piece_bytes.max(1)) {
        let mut left = piece;
        while !left.is_empty() && result.is_ok() {
            match recording.decode(left, &(), &mut |event| trace.apply(event)) {
                Ok(rest) => left = rest,
                Err(error) => result = Err(error),
            }
        }
    }
    let result = result.and_then(|()| recording.finish(&mut |event| trace.apply(event)));
    (trace, recording, result)
}

fn replay(story: &str) -> Trace {
    let (trace, _, result) = read(recording_of(story).as_bytes(), usize::MAX);
    result.expect("decode a recording");
    trace
}

/// Summarizes each task: polls, wakes, outcome.
fn summary(trace: &Trace) -> Vec<String> {
    let ending = |ending: &Option<TaskOutcome>| match ending {
        None => "open",
        Some(TaskOutcome::Completed) => "done",
        Some(TaskOutcome::Cancelled) => "cancelled",
        Some(TaskOutcome::Failed(_)) => "failed",
        Some(TaskOutcome::Unknown) => "unknown",
    };
    let tasks = trace.tasks().iter();
    tasks
        .map(|task| format!("{} {}p {}w {}", task.name(), task.counts.polls, task.counts.wakes, ending(&task.outcome)))
        .collect()
}

#[test]
fn dropping_a_future_is_not_a_poll() {
    let cases = [
        // Ready in its second poll: the next thing its thread does is to drop it.
        ("+1 (1 )1 w1 (1 )1 (1 )1 x1", "t1 2p 1w done"),
        // Cancelled while waiting, with another poll in between.
        ("+1 +2 (1 )1 (2 )2 (1 )1 x1", "t1 1p 0w cancelled"),
        // Cancelled after a wake, and cancelled before its first poll.
        ("+1 (1 )1 w1 (9 )9 (1 )1 x1", "t1 1p 1w cancelled"),
        ("+1 (1 )1 x1", "t1 0p 0w cancelled"),
        // Wakes during the drop count; resources entered during it do not.
        ("+2 +1 (1 )1 (2 )2 (1 (7 w2 )7 x7 )1 x1", "t2 1p 1w open"),
        // At the end of the recording the last poll stays a poll, whether it has ended or not.
        ("+1 (1 )1 w1 (1 )1", "t1 2p 1w open"),
        ("+1 (1 )1 w1 (1", "t1 2p 1w open"),
    ];
    for (story, expected) in cases {
        assert_eq!(summary(&replay(story))[0], expected, "{story}");
    }
}

#[test]
fn polled_task_is_the_wake_source() {
    let trace = replay("+1 +2 (1 )1 (2 (7 w1 )7 s2 )2 w2 (2 )2");
    let causes = |index: usize| {
        trace.tasks().iter().nth(index).expect("it is there").wakes().map(|(_, cause)| cause).collect::<Vec<_>>()
    };
    assert_eq!(causes(0), [WakeSource::Task(trace.tasks().iter().nth(1).expect("it is there").id)]);
    assert_eq!(causes(1), [WakeSource::SelfWake, WakeSource::Driver]);
    assert_eq!((trace.multi_threaded_since(), trace.counts().polls), (None, 3));
    assert_eq!(trace.tasks().iter().nth(1).expect("it is there").counts.self_wakes, 1);
}

#[test]
fn overlapping_polls_mean_several_threads() {
    let nested = replay("+1:block_on +2:local (1 +3 (2 )2 w1 )1 (2 w1 )2");
    assert_eq!(nested.multi_threaded_since(), None);
    assert_eq!(
        nested.tasks().iter().nth(2).expect("it is there").meta.parent,
        Some(nested.tasks().iter().next().expect("it is there").id)
    );
    let overlapping = replay("+1 +2 +3 (1 (2 w3 )1 w3 )2 (1 (2 w3 s1");
    let causes: Vec<_> =
        overlapping.tasks().iter().nth(2).expect("it is there").wakes().map(|(_, cause)| cause).collect();
    let second = overlapping.tasks().iter().nth(1).expect("it is there").id;
    assert_eq!(overlapping.multi_threaded_since(), Some(6_000));
    assert_eq!(causes, [WakeSource::Task(second), WakeSource::Unknown, WakeSource::Unknown]);
    assert_eq!(
        overlapping.tasks().iter().next().expect("it is there").last_wake.map(|(_, cause)| cause),
        Some(WakeSource::SelfWake)
    );
    assert!(replay("+1:blocking (1").multi_threaded_since().is_some(), "the blocking pool has other threads");
}

#[test]
fn drop_and_close_may_be_apart_on_threads() {
    let trace = replay("+1 +2 (1 (2 )1 )2 w2 (1 )1 (2 x1 )2");
    assert_eq!(summary(&trace), ["t1 1p 0w done", "t2 2p 1w open"]);
}

/// The wakes of a future that a thread blocks on are not recorded, so only its close shows that it was dropped. On a
/// busy machine that line comes late.
#[test]
fn late_close_of_a_block_on_future_shows_its_drop() {
    let text = recording_of("+1:block_on +2 (1 (2 )1 )2 (1 )1 x1");
    let (before, close) = text.trim_end().rsplit_once('\n').expect("several lines");
    let mut trace = Trace::default();
    trace.set_external();
    let mut recording = RecordingDecoder::new(RecordingClock::from_first());
    let polls = |trace: &Trace| trace.tasks().iter().next().expect("it is there").counts.polls;
    for (text, quiet, expected) in [(before, 200, 1), ("", 400, 2)] {
        recording.decode(format!("{text}\n").as_bytes(), &(), &mut |event| trace.apply(event)).expect("decode");
        recording.flush_idle(quiet * 1_000_000, &mut |event| trace.apply(event));
        assert_eq!(polls(&trace), expected, "after {quiet} ms");
    }
    let (mut trace, mut recording) = (Trace::default(), RecordingDecoder::new(RecordingClock::from_first()));
    recording.decode(format!("{before}\n").as_bytes(), &(), &mut |event| trace.apply(event)).expect("decode");
    recording.flush_idle(200 * 1_000_000, &mut |event| trace.apply(event));
    recording.decode(format!("{close}\n").as_bytes(), &(), &mut |event| trace.apply(event)).expect("decode");
    assert_eq!(summary(&trace)[0], "t1 1p 0w done");
}

/// Lines of different threads are out of order: the wake preceded the close.
#[test]
fn wake_recorded_after_the_close_counts() {
    let trace = replay("+1 +2 (1 )1 (2 (1 )1 x1 w1 )2");
    assert_eq!(summary(&trace), ["t1 1p 1w cancelled", "t2 1p 0w open"]);
    let reused = replay("+1 (1 )1 (1 )1 x1 +1 w1");
    assert_eq!(summary(&reused), ["t1 1p 0w done", "t1 0p 1w open"]);
}

#[test]
fn reused_span_ids_are_other_tasks() {
    let trace = replay("+1 (1 )1 (1 )1 x1 +1 (1 )1 w1");
    assert_eq!(summary(&trace), ["t1 1p 0w done", "t1 1p 1w open"]);
    let lost_close = replay("+1 (1 )1 +1 (1 )1");
    assert_eq!(lost_close.tasks().len(), 2);
    assert!(lost_close.tasks().iter().next().expect("it is there").outcome.is_some());
}

#[test]
fn span_without_spawn_is_a_task_if_woken() {
    let (trace, recording, _) = read(recording_of("(5 )5 x5 (6 )6 w6 (6 )6").as_bytes(), 7);
    assert_eq!(summary(&trace), ["task 1 1p 1w open"]);
    assert_eq!(recording.stats().tasks_without_spawn, 1);
}

#[test]
fn skips_and_counts_bad_lines() {
    let mut lines: Vec<String> = recording_of("+1 (1 )1 w1 (1 )1 w1 (1 )1").lines().map(str::to_owned).collect();
    lines[5] = lines[5].replace("nanos_since_epoch\":4000", "nanos_since_epoch\":1");
    lines.insert(4, "{\"Enter\":{\"id\":1,\u{1b}[31m".to_owned());
    lines.insert(4, "{\"Later\":{\"id\":1}}".to_owned());
    lines.insert(4, String::new());
    let (trace, recording, result) = read(lines.join("\r\n").as_bytes(), 11);
    let recorded = recording.stats();
    assert_eq!(result, Ok(()));
    assert_eq!((recorded.skipped_lines, recorded.unknown_lines, recorded.clamped_lines, recorded.events), (1, 1, 1, 9));
    assert_eq!(recorded.malformed[0].line, 7);
    assert!(!recorded.malformed[0].reason.contains('\u{1b}'), "{}", recorded.malformed[0].reason);
    assert_eq!(summary(&trace), ["t1 3p 2w open"]);
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.to, gap.dropped)).collect();
    assert_eq!(gaps, [(2_000, 3_000, 1)], "it is a gap on the timeline");
}

#[test]
fn rejects_other_versions_and_formats() {
    let refused = |text: &str| read(text.as_bytes(), 5).2.expect_err("it is refused");
    assert_eq!(refused("{\"v\":2}\n"), RecordingError::UnsupportedVersion(2));
    for text in ["hello\n", "{}\n", "\n", "\u{0}\u{1b}[2J"] {
        let message = refused(text).to_string();
        assert!(message.contains("{\"v\":1}") && !message.contains('\u{1b}'), "{message}");
    }
    assert_eq!(read(b"{\"v\":1}", 3).2, Ok(()), "a header alone is valid");
}

/// A real recording of everything that the app can do on one thread, with the app's own counts.
fn real() -> &'static (Vec<u8>, serde_json::Map<String, Value>) {
    static REAL: OnceLock<(Vec<u8>, serde_json::Map<String, Value>)> = OnceLock::new();
    REAL.get_or_init(|| {
        let folder = TempFolder::new("real-recording");
        let counts = record_scenario(&["mixed"], &folder.path_of("mixed.jsonl"), 4_000);
        (std::fs::read(folder.path_of("mixed.jsonl")).expect("it was recorded"), counts)
    })
}

fn assert_counts(trace: &Trace, counts: &serde_json::Map<String, Value>, context: &str) {
    for (name, counted) in counts {
        let task = trace.tasks().iter().find(|task| task.name() == *name).unwrap_or_else(|| panic!("no task {name}"));
        let counts = serde_json::json!({"polls": task.counts.polls, "wakes": task.counts.wakes});
        assert_eq!(counts, *counted, "{context}: {name}");
    }
}

#[test]
fn counts_match_those_of_the_app() {
    let (text, counts) = real();
    for piece_bytes in [usize::MAX, 4_096, 97] {
        let (trace, recording, result) = read(text, piece_bytes);
        assert_eq!(result, Ok(()));
        assert_counts(&trace, counts, "one thread");
        let recorded = recording.stats();
        assert_eq!(
            (recorded.skipped_lines, recorded.unknown_lines, recorded.tasks_without_spawn, recorded.clamped_lines),
            (0, 0, 0, 0)
        );
        assert_eq!(trace.multi_threaded_since(), None);
    }
    let folder = TempFolder::new("threads-recording");
    let counts = record_scenario(&["mixed", "--threads", "3"], &folder.path_of("mixed.jsonl"), 4_000);
    let (trace, ..) = read(&std::fs::read(folder.path_of("mixed.jsonl")).expect("it was recorded"), 4_096);
    assert_counts(&trace, &counts, "three threads");
    assert!(trace.multi_threaded_since().is_some());
}

fn pump_until(session: &mut RecordingSession, what: &str, mut condition: impl FnMut(&RecordingSession) -> bool) {
    wait_until(what, || {
        session.pump(Duration::from_millis(5));
        condition(session)
    });
}

#[test]
fn follows_a_growing_file_until_it_is_replaced() {
    let (text, counts) = real();
    let folder = TempFolder::new("growing");
    let path = folder.path_of("growing.jsonl");
    std::fs::write(&path, "").expect("write to the test folder");
    let mut session = RecordingSession::open(&path, ReadUntil::UserQuit, 1 << 30).expect("it is a file");
    let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
    let mut seen = 0;
    for piece in text.chunks(text.len() / 7 + 1) {
        file.write_all(piece).expect("it takes it");
        let polls = session.trace().counts().polls;
        pump_until(&mut session, "what was appended", |session| session.trace().counts().polls > polls);
        pump_until(&mut session, "the end", |session| session.status().connection.is_some_and(|l| l.note == "growing"));
        assert_eq!(session.status().phase, RunPhase::Running);
        seen += 1;
    }
    assert_eq!(seen, 7);
    pump_until(&mut session, "the last poll", |session| {
        session.trace().tasks().iter().filter(|task| task.outcome.is_some()).count() >= counts.len()
    });
    assert_counts(session.trace(), counts, "followed");
    assert!(session.successor().is_none());

    std::fs::write(&path, recording_of("+1 (1 )1")).expect("write to the test folder");
    pump_until(&mut session, "the end of the first", |session| session.status().phase == RunPhase::Ended);
    assert_eq!(session.status().outcome, Some(RunOutcome::Detached));
    let mut next = session.successor().expect("there is another now");
    wait_until("the second", || {
        next.pump(Duration::from_millis(5));
        next.trace().counts().polls == 1
    });
    assert!(session.successor().is_none(), "once");
}

/// Whether the file is open for writing is known on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn follows_an_app_that_pauses() {
    let folder = TempFolder::new("pausing");
    let path = folder.path_of("pausing.jsonl");
    let mut file = std::fs::File::create(&path).expect("write to the test folder");
    let text = recording_of("+1 (1 )1 w1 (1 )1");
    let (first, rest) = text.split_at(text.find("\"Waker\"").expect("there is a wake") - 1);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    let growing = |session: &RecordingSession| session.status().connection.is_some_and(|link| link.note == "growing");
    file.write_all(first.as_bytes()).expect("write to the file");
    file.set_modified(long_ago).expect("it is our file");
    let mut session = RecordingSession::open(&path, ReadUntil::WritersGone, 1 << 30).expect("it is a file");
    pump_until(&mut session, "the pause", growing);
    assert_eq!(session.trace().tasks().len(), 1);
    file.write_all(rest.as_bytes()).expect("write to the file");
    pump_until(&mut session, "the second poll", |session| session.trace().counts().polls == 2);
    file.set_modified(long_ago).expect("it is our file");
    drop(file);
    pump_until(&mut session, "the end", |session| session.status().phase == RunPhase::Ended);
    assert_eq!(session.status().outcome, Some(RunOutcome::Completed(Value::Null)));
}

/// The new content is longer than what was read of the previous one.
#[test]
fn overwritten_file_is_another_session() {
    let (text, _) = real();
    let folder = TempFolder::new("overwritten");
    let path = folder.path_of("overwritten.jsonl");
    std::fs::write(&path, recording_of("+1 (1 )1")).expect("write to the test folder");
    let mut session = RecordingSession::open(&path, ReadUntil::UserQuit, 1 << 30).expect("it is a file");
    pump_until(&mut session, "the first", |session| session.trace().counts().polls == 1);
    // At once, as if nothing was read in between.
    let mut file = OpenOptions::new().write(true).open(&path).expect("it is there");
    file.write_all(text).expect("write to the file");
    pump_until(&mut session, "the end of the first", |session| session.status().phase == RunPhase::Ended);
    assert_eq!((session.trace().tasks().len(), session.trace().counts().polls), (1, 1), "nothing is mixed");
    let note = session.status().connection.expect("it says how it stands").note;
    assert!(note.contains("another run has overwritten the file"), "{note}");
    let mut next = session.successor().expect("there is another now");
    wait_until("the second", || {
        next.pump(Duration::from_millis(5));
        next.trace().counts().polls > 1
    });
}

#[test]
fn second_header_is_reported() {
    let text = [recording_of("+1 (1 )1"), recording_of("+2 (2 )2")].concat();
    let (_, recording, outcome) = read(text.as_bytes(), 1 << 20);
    assert_eq!((outcome, recording.stats().skipped_lines), (Ok(()), 1));
    assert!(recording.stats().malformed[0].reason.contains("another process"), "{:?}", recording.stats().malformed);
}

#[test]
fn reports_a_truncated_last_line() {
    let (text, _) = real();
    let folder = TempFolder::new("cut");
    let path = folder.path_of("cut.jsonl");
    let cut = text[..text.len() / 2].iter().rposition(|byte| *byte == b'\n').expect("it has lines") + 20;
    std::fs::write(&path, &text[..cut]).expect("write to the test folder");
    let mut session = RecordingSession::open(&path, ReadUntil::EndOfFile, 1 << 30).expect("it is a file");
    pump_until(&mut session, "the end", |session| session.status().phase == RunPhase::Ended);
    assert_eq!(session.status().outcome, Some(RunOutcome::Completed(Value::Null)));
    let note = session.status().connection.expect("it says how it stands").note;
    assert!(note.contains("complete") && note.contains("truncated"), "{note}");
}

#[test]
fn quitting_early_is_not_complete() {
    let (text, _) = real();
    let folder = TempFolder::new("left");
    let path = folder.path_of("left.jsonl");
    let many = [text.as_slice(), &text[text.iter().position(|byte| *byte == b'\n').expect("lines") + 1..]].concat();
    std::fs::write(&path, many).expect("write to the test folder");
    for (until, outcome, said) in [
        (ReadUntil::EndOfFile, RunOutcome::Cancelled, "stopped at "),
        (ReadUntil::UserQuit, RunOutcome::Detached, "detached"),
    ] {
        let mut session = RecordingSession::open(&path, until, 1 << 30).expect("it is a file");
        pump_until(&mut session, "some of it", |session| session.trace().counts().polls > 0);
        session.command(SessionCommand::Quit);
        let status = session.status();
        assert_eq!((status.phase, status.outcome), (RunPhase::Ended, Some(outcome)));
        let note = status.connection.expect("it says how it stands").note;
        assert!(note.starts_with(said) && !note.contains("complete"), "{note}");
    }
}

/// The first bytes of a process's memory file cannot be read.
#[cfg(target_os = "linux")]
#[test]
fn a_read_error_is_not_complete() {
    let path = std::path::Path::new("/proc/self/mem");
    let mut session = RecordingSession::open(path, ReadUntil::EndOfFile, 1 << 30).expect("it is a file");
    pump_until(&mut session, "the end", |session| session.status().phase == RunPhase::Ended);
    let status = session.status();
    assert!(matches!(&status.outcome, Some(RunOutcome::Failed(why)) if why.contains("read error")), "{status:?}");
    assert!(status.connection.expect("it says how it stands").note.starts_with("read error"));
}

/// A real program has a few entered spans per thread. Thousands mean that exit lines were lost.
#[test]
fn too_many_entered_spans_make_a_gap() {
    let most = 4_096;
    let mut story: String = (1..=most + 1).map(|id| format!("+{id} ")).collect();
    story.extend((1..=most + 1).map(|id| format!("({id} ")));
    story.extend((1..=most + 1).map(|id| format!("){id} ")));
    story.extend([1, most, most + 1].map(|id| format!("w{id} ({id} ){id} ")));
    let (trace, recording, outcome) = read(recording_of(&story).as_bytes(), 1 << 20);
    assert_eq!(outcome, Ok(()));
    let recorded = recording.stats();
    assert_eq!((recorded.skipped_lines, trace.gaps().map(|gap| gap.dropped).sum::<u64>()), (1, 1));
    assert!(recorded.malformed[0].reason.contains("entered at once"), "{:?}", recorded.malformed);
    let polls = [1, most, most + 1].map(|id| trace.tasks().iter().nth(id - 1).expect("the task exists").counts.polls);
    assert_eq!(polls, [2, 2, 1], "all but the rejected one");
    assert!(trace.tasks().iter().all(|task| task.lane.last().is_none_or(|poll| poll.end().is_some())));
}

#[test]
fn open_reports_bad_lines() {
    let (text, counts) = real();
    let folder = TempFolder::new("open");
    let path = folder.path_of("app.jsonl");
    let mut broken = text.clone();
    let middle = broken.len() / 2;
    let begin = broken[..middle].iter().rposition(|byte| *byte == b'\n').expect("it has lines") + 1;
    broken[begin] = b'#';
    std::fs::write(&path, &broken).expect("write to the test folder");
    let words = |path: &Path| ["open", path.to_str().expect("text"), "--headless", "--json"].map(str::to_owned);
    let ran = loopscope(&words(&path));
    assert_eq!(ran.exit_code, Some(0), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!(report["source"]["kind"], "recording");
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"completed".into(), &"exact".into()));
    let recorded = &report["feeds"]["recording"];
    let line = bytecount(&broken[..begin]) + 1;
    assert_eq!((&recorded["skipped"], &recorded["broken"][0]["line"]), (&1.into(), &line.into()));
    assert_eq!(report["gaps"].as_array().map(Vec::len), Some(1));
    let names: Vec<_> = report["tasks"].as_array().expect("a list").iter().map(|task| &task["name"]).collect();
    assert!(counts.keys().all(|name| names.contains(&&Value::from(name.as_str()))));
    let text = loopscope(&["open", path.to_str().expect("text"), "--headless"]).stdout;
    assert!(text.contains("1 line skipped") && text.contains(&format!("line {line}")), "{text}");

    for (what, expected) in [
        (folder.path_of("none"), "No such file"),
        (folder.0.clone(), "it is a folder"),
        (crate::example_app::example_app_path(), "not a console-subscriber recording"),
    ] {
        let ran = loopscope(&words(&what));
        assert_eq!((ran.exit_code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

fn bytecount(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn large_recording_fits_into_little_memory() {
    let folder = TempFolder::new("hundred-megabytes");
    let path = folder.path_of("big.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("write to the test folder"));
    file.write_all(recording_of("+1 +2").as_bytes()).expect("it takes it");
    let mut bytes = 0_u64;
    let mut at = 0_u64;
    while bytes < 100_000_000 {
        for what in ["Enter", "Exit", "Wake"] {
            at += 1_000;
            let (secs, nanos) = (2 + at / 1_000_000_000, at % 1_000_000_000);
            let at = format!("\"at\":{{\"secs_since_epoch\":{secs},\"nanos_since_epoch\":{nanos}}}");
            let line = match what {
                "Wake" => format!("{{\"Waker\":{{\"id\":1,\"op\":{{\"Wake\":{{\"self_wake\":false}}}},{at}}}}}\n"),
                _ => format!("{{\"{what}\":{{\"id\":1,{at}}}}}\n"),
            };
            file.write_all(line.as_bytes()).expect("it takes it");
            bytes += line.len() as u64;
        }
    }
    file.into_inner().expect("it takes it");
    // With more memory the process is killed: the file alone would not fit.
    let limited = format!("ulimit -v 90000; exec \"$0\" open {} --headless --json", path.display());
    let ran = std::process::Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_loopscope")])
        .env("LOOPSCOPE_MEMORY", "2MiB")
        .output()
        .expect("there is a shell");
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
    assert_eq!(report["tasks"][0]["polls"], at / 3_000);
    assert_eq!(report["gaps"][0]["dropped"], 0, "a gap shows what was evicted");
}

#[test]
fn malicious_file_is_bounded() {
    let deep: String = (0..20_000).map(|id| format!("(1{id} ")).collect();
    let trace = replay(&deep);
    assert_eq!(trace.tasks().len(), 0);
    let mut long = recording_of("+1 (1 )1").into_bytes();
    long.extend(std::iter::repeat_n(b'{', 3 << 20));
    long.extend(b"\n");
    let (trace, recording, result) = read(&long, 64 << 10);
    assert_eq!((result, recording.stats().skipped_lines), (Ok(()), 1));
    assert_eq!(trace.counts().polls, 1);
    let ran = loopscope_with_env(&["open", "/dev/null", "--headless"], &[]);
    assert_eq!(ran.exit_code, Some(2), "{}", ran.stderr);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut text in proptest::collection::vec(any::<u8>(), 0..2_000), headed: bool, piece in 1_usize..500) {
        if headed {
            text.splice(0..0, b"{\"v\":1}\n".iter().copied());
        }
        let (trace, _, result) = read(&text, piece);
        prop_assert!(trace.tasks().is_empty());
        prop_assert!(!headed || result.is_ok());
    }

    #[test]
    fn mutated_recording_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..300), 1..30),
        piece in 1_usize..5_000,
    ) {
        let (text, _) = real();
        let mut text = text[..text.len().min(120_000)].to_vec();
        let header = text.iter().position(|byte| *byte == b'\n').expect("it has lines") + 1;
        for (place, byte, length) in changes {
            let at = header + place.index(text.len() - header);
            let end = (at + length).min(text.len());
            match byte % 4 {
                0 => text[at] = byte,
                1 => drop(text.drain(at..end)),
                2 => {
                    let again = text[at..end].to_vec();
                    text.splice(at..at, again);
                }
                _ => text[at..end].reverse(),
            }
            if text.len() <= header {
                break;
            }
        }
        let (trace, recording, result) = read(&text, piece);
        prop_assert_eq!(result, Ok(()));
        let recorded = recording.stats();
        prop_assert!(recorded.events + recorded.skipped_lines + recorded.unknown_lines <= recorded.lines + 1);
        prop_assert!(trace.tasks().len() as u64 <= recorded.events);
        prop_assert!(trace.counts().polls <= recorded.events);
    }
}

#[test]
fn tasks_have_the_size_of_their_future() {
    let at = r#""at":{"secs_since_epoch":7,"nanos_since_epoch":9}"#;
    let fields = r#"[{"name":"kind","value":"task"},{"name":"size.bytes","value":8},{"name":"original_size.bytes","value":40000}]"#;
    let text = format!("{{\"v\":1}}\n{{\"Spawn\":{{\"id\":1,{at},\"fields\":{fields}}}}}\n");
    let (trace, _, read) = read(text.as_bytes(), 7);
    assert_eq!(read, Ok(()));
    let spawned = &trace.tasks().iter().next().expect("it is there").meta;
    assert_eq!((spawned.size_bytes, spawned.original_size_bytes), (Some(8), Some(40_000)));
}

/// A console that describes spans only once `knows` is set. Span 10 is an operation of a lock, and 12 one of the
/// semaphore that it is made of; 9 is the lock itself.
struct LateConsole {
    knows: bool,
}

impl AwaitResolver for LateConsole {
    fn reported(&self, span: u64) -> ReportedSpan {
        match span {
            _ if !self.knows => ReportedSpan::Unreported,
            10 => ReportedSpan::Operation { owner: Some(1), enters: 2, readiness: Readiness::Ready },
            _ => ReportedSpan::NotAwaited,
        }
    }

    fn target(&self, _: u64) -> Option<AwaitTarget> {
        let site = AwaitSite { kind: AwaitKind::Sync, source: "Mutex::lock".into(), location: None, chain: None };
        Some(AwaitTarget { site, resource: None })
    }
}

/// The await that blocks a task is shown, and shown once, even if its description arrives after the task has waited.
#[test]
fn resolves_awaits_late() {
    let mut trace = Trace::default();
    trace.set_external();
    let mut recording = RecordingDecoder::new(RecordingClock::from_first()).with_awaits();
    let story =
        recording_of("+1 (1 (10 )10 (9 (10 (12 )12 )10 )9 )1 +2 (2 )2 +3 w1 (1 (9 (10 (12 )12 x12 )10 x10 )9 )1 x1");
    let lines: Vec<String> = story.lines().map(|line| format!("{line}\n")).collect();
    // Before the third task is spawned no span is described.
    let (before, after) = lines.split_at(16);
    let take = |recording: &mut RecordingDecoder, trace: &mut Trace, lines: &[String], names: &LateConsole| {
        for line in lines {
            recording.decode(line.as_bytes(), names, &mut |event| trace.apply(event)).expect("decode a recording");
        }
    };
    take(&mut recording, &mut trace, before, &LateConsole { knows: false });
    let first = TaskId::from_index(0);
    assert_eq!(trace.state(first), Some(TaskState::Waiting(None, AwaitKind::Other)), "not described yet");
    recording.resolve_late_awaits(&LateConsole { knows: false }, &mut |event| trace.apply(event));
    assert!(trace.awaits().is_empty());
    for _ in 0..2 {
        recording.resolve_late_awaits(&LateConsole { knows: true }, &mut |event| trace.apply(event));
    }
    let await_rows = |trace: &Trace| -> Vec<_> {
        let awaits = trace.awaits().iter();
        awaits.map(|(id, found)| (id, found.task, found.start, found.end(), found.outcome().name())).collect()
    };
    let id = trace.awaits().iter().next().expect("it is named now").0;
    assert_eq!(await_rows(&trace), [(id, first, 5_000, None, "pending")], "once, starting when it was first polled");
    assert_eq!(trace.state(first), Some(TaskState::Waiting(Some(id), AwaitKind::Sync)));
    assert_eq!(trace.state_at(first, 11_000), Some(TaskState::Waiting(Some(id), AwaitKind::Sync)), "then too");
    take(&mut recording, &mut trace, after, &LateConsole { knows: true });
    let awaits = await_rows(&trace);
    assert_eq!(awaits.len(), 1, "its parts are not awaits: {awaits:?}");
    assert_eq!((awaits[0].2, awaits[0].4), (5_000, "ready"));
}

/// A console that describes span 10 only once `knows_all` is set, and only then which operations returned ready.
struct SlowConsole {
    knows_all: bool,
}

impl AwaitResolver for SlowConsole {
    fn reported(&self, span: u64) -> ReportedSpan {
        let readiness = if self.knows_all { Readiness::Ready } else { Readiness::Undecided };
        match span {
            10 if !self.knows_all => ReportedSpan::Unreported,
            _ => ReportedSpan::Operation { owner: Some(1), enters: 2, readiness },
        }
    }

    fn target(&self, _: u64) -> Option<AwaitTarget> {
        let site = AwaitSite { kind: AwaitKind::Sync, source: "Mutex::lock".into(), location: None, chain: None };
        Some(AwaitTarget { site, resource: None })
    }
}

/// Replays a task that awaits 2,000 operations, one after the other, and then span 10.
fn replay_many_awaits() -> (Trace, RecordingDecoder) {
    let mut trace = Trace::default();
    trace.set_external();
    let mut recording = RecordingDecoder::new(RecordingClock::from_first()).with_awaits();
    let awaits: String = (1_000..3_000).map(|span| format!("({span} ){span} ({span} ){span} x{span} ")).collect();
    let text = recording_of(&format!("+1 (1 {awaits} (10 )10 (10 )10 )1 +2"));
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let console = SlowConsole { knows_all: false };
        left = recording.decode(left, &console, &mut |event| trace.apply(event)).expect("decode a recording");
    }
    (trace, recording)
}

#[test]
fn resolved_awaits_do_not_delay_others() {
    let (mut trace, mut recording) = replay_many_awaits();
    assert_eq!(trace.awaits().len(), 2_000);
    recording.resolve_late_awaits(&SlowConsole { knows_all: true }, &mut |event| trace.apply(event));
    assert_eq!(trace.awaits().len(), 2_001);
}

#[test]
fn end_decides_the_outcome_of_every_await() {
    let (mut trace, mut recording) = replay_many_awaits();
    let count = |trace: &Trace, outcome: &str| {
        trace.awaits().iter().filter(|(_, found)| found.outcome().name() == outcome).count()
    };
    assert_eq!(count(&trace, "ready"), 0);
    recording.finish_awaits(&SlowConsole { knows_all: true }, &mut |event| trace.apply(event));
    assert_eq!((count(&trace, "ready"), trace.awaits().len()), (2_000, 2_001));
}
