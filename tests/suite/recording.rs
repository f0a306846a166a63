//! console-subscriber's recordings: by hand for what each line means, and real ones of a real app, whole, growing, cut,
//! broken and hostile.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use loopscope::app::Session;
use loopscope::control::{Command, Outcome, Phase};
use loopscope::feed::recording::{Error, Names, Recording, Stamps};
use loopscope::session::{RecordingSession, Until};
use loopscope::trace::{AwaitKind, Cause, Ending, ResourceId, Site, State, TaskId, Trace};
use proptest::prelude::*;
use serde_json::Value;

use crate::cli::{loopscope, loopscope_with};
use crate::outside::{Folder, record, until};

/// A recording by hand: each word is a line, a microsecond after the one before.
fn written(story: &str) -> String {
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
        writeln!(text, "{line}").expect("a string takes it");
    }
    text
}

fn read(text: &[u8], piece_bytes: usize) -> (Trace, Recording, Result<(), Error>) {
    let mut trace = Trace::default();
    trace.set_foreign();
    let mut recording = Recording::new(Stamps::from_first());
    let mut result = Ok(());
    for piece in text.chunks(piece_bytes.max(1)) {
        let mut left = piece;
        while !left.is_empty() && result.is_ok() {
            match recording.take(left, &(), &mut |event| trace.apply(event)) {
                Ok(rest) => left = rest,
                Err(error) => result = Err(error),
            }
        }
    }
    let result = result.and_then(|()| recording.finish(&mut |event| trace.apply(event)));
    (trace, recording, result)
}

fn told(story: &str) -> Trace {
    let (trace, _, result) = read(written(story).as_bytes(), usize::MAX);
    result.expect("it is a recording");
    trace
}

/// By task: polls, wakes, how it ended.
fn summary(trace: &Trace) -> Vec<String> {
    let ending = |ending: &Option<Ending>| match ending {
        None => "open",
        Some(Ending::Done) => "done",
        Some(Ending::Cancelled) => "cancelled",
        Some(Ending::Failed(_)) => "failed",
    };
    let tasks = trace.tasks().iter();
    tasks
        .map(|task| format!("{} {}p {}w {}", task.name(), task.counts.polls, task.counts.wakes, ending(&task.ending)))
        .collect()
}

#[test]
fn the_dropping_of_a_future_is_no_poll_and_tells_how_the_task_ended() {
    let cases = [
        // Ready in its second poll: what its thread does next is to drop it.
        ("+1 (1 )1 w1 (1 )1 (1 )1 x1", "t1 2p 1w done"),
        // Cancelled while it waited, with something else in between.
        ("+1 +2 (1 )1 (2 )2 (1 )1 x1", "t1 1p 0w cancelled"),
        // Cancelled though it was woken, and before it was ever polled.
        ("+1 (1 )1 w1 (9 )9 (1 )1 x1", "t1 1p 1w cancelled"),
        ("+1 (1 )1 x1", "t1 0p 0w cancelled"),
        // Wakes in the drop are told; resources entered in it are nothing.
        ("+2 +1 (1 )1 (2 )2 (1 (7 w2 )7 x7 )1 x1", "t2 1p 1w open"),
        // Where the recording ends the last poll stays one, begun or ended.
        ("+1 (1 )1 w1 (1 )1", "t1 2p 1w open"),
        ("+1 (1 )1 w1 (1", "t1 2p 1w open"),
    ];
    for (story, expected) in cases {
        assert_eq!(summary(&told(story))[0], expected, "{story}");
    }
}

#[test]
fn who_is_polled_is_who_wakes() {
    let trace = told("+1 +2 (1 )1 (2 (7 w1 )7 s2 )2 w2 (2 )2");
    let causes = |index: usize| {
        trace.tasks().nth(index).expect("it is there").wakes().map(|(_, cause)| cause).collect::<Vec<_>>()
    };
    assert_eq!(causes(0), [Cause::Task(trace.tasks().nth(1).expect("it is there").id)]);
    assert_eq!(causes(1), [Cause::Own, Cause::Driver]);
    assert_eq!((trace.many_threads(), trace.counts().polls), (None, 3));
    assert_eq!(trace.tasks().nth(1).expect("it is there").counts.self_wakes, 1);
}

#[test]
fn polls_that_nest_are_one_thread_and_polls_that_overlap_are_several() {
    let nested = told("+1:block_on +2:local (1 +3 (2 )2 w1 )1 (2 w1 )2");
    assert_eq!(nested.many_threads(), None);
    assert_eq!(
        nested.tasks().nth(2).expect("it is there").spawned.parent,
        Some(nested.tasks().nth(0).expect("it is there").id)
    );
    let overlapping = told("+1 +2 +3 (1 (2 w3 )1 w3 )2 (1 (2 w3 s1");
    let causes: Vec<_> = overlapping.tasks().nth(2).expect("it is there").wakes().map(|(_, cause)| cause).collect();
    let second = overlapping.tasks().nth(1).expect("it is there").id;
    assert_eq!(overlapping.many_threads(), Some(6_000));
    assert_eq!(causes, [Cause::Task(second), Cause::Task(second), Cause::Thread]);
    assert_eq!(overlapping.tasks().nth(0).expect("it is there").last_wake.map(|(_, cause)| cause), Some(Cause::Own));
    assert!(told("+1:blocking (1").many_threads().is_some(), "the blocking pool is beside the loop");
}

#[test]
fn on_several_threads_others_come_between_the_drop_and_the_close() {
    let trace = told("+1 +2 (1 (2 )1 )2 w2 (1 )1 (2 x1 )2");
    assert_eq!(summary(&trace), ["t1 1p 0w done", "t2 2p 1w open"]);
}

#[test]
fn ids_are_used_again_and_never_mixed() {
    let trace = told("+1 (1 )1 (1 )1 x1 +1 (1 )1 w1");
    assert_eq!(summary(&trace), ["t1 1p 0w done", "t1 1p 1w open"]);
    let lost_close = told("+1 (1 )1 +1 (1 )1");
    assert_eq!(lost_close.tasks().len(), 2);
    assert!(lost_close.tasks().nth(0).expect("it is there").ending.is_some());
}

#[test]
fn an_id_without_a_spawn_is_a_task_only_if_it_has_a_waker() {
    let (trace, recording, _) = read(written("(5 )5 x5 (6 )6 w6 (6 )6").as_bytes(), 7);
    assert_eq!(summary(&trace), ["task 1 1p 1w open"]);
    assert_eq!(recording.recorded().unspawned, 1);
}

#[test]
fn what_is_broken_unknown_or_backwards_is_counted_and_the_rest_is_told() {
    let mut lines: Vec<String> = written("+1 (1 )1 w1 (1 )1 w1 (1 )1").lines().map(str::to_owned).collect();
    lines[5] = lines[5].replace("nanos_since_epoch\":4000", "nanos_since_epoch\":1");
    lines.insert(4, "{\"Enter\":{\"id\":1,\u{1b}[31m".to_owned());
    lines.insert(4, "{\"Later\":{\"id\":1}}".to_owned());
    lines.insert(4, String::new());
    let (trace, recording, result) = read(lines.join("\r\n").as_bytes(), 11);
    let recorded = recording.recorded();
    assert_eq!(result, Ok(()));
    assert_eq!((recorded.skipped, recorded.unknown, recorded.clamped, recorded.events), (1, 1, 1, 9));
    assert_eq!(recorded.broken[0].line, 7);
    assert!(!recorded.broken[0].why.contains('\u{1b}'), "{}", recorded.broken[0].why);
    assert_eq!(summary(&trace), ["t1 3p 2w open"]);
    let gaps: Vec<_> = trace.gaps().map(|gap| (gap.from, gap.to, gap.dropped)).collect();
    assert_eq!(gaps, [(2_000, 3_000, 1)], "it is a gap on the timeline");
}

#[test]
fn another_version_and_anything_else_is_refused() {
    let refused = |text: &str| read(text.as_bytes(), 5).2.expect_err("it is refused");
    assert_eq!(refused("{\"v\":2}\n"), Error::Version(2));
    for text in ["hello\n", "{}\n", "\n", "\u{0}\u{1b}[2J"] {
        let message = refused(text).to_string();
        assert!(message.contains("{\"v\":1}") && !message.contains('\u{1b}'), "{message}");
    }
    assert_eq!(read(b"{\"v\":1}", 3).2, Ok(()), "nothing has happened yet");
}

/// A real one, of everything that the app can do at once on one thread, with the app's own counts.
fn real() -> &'static (Vec<u8>, serde_json::Map<String, Value>) {
    static REAL: OnceLock<(Vec<u8>, serde_json::Map<String, Value>)> = OnceLock::new();
    REAL.get_or_init(|| {
        let folder = Folder::new("real-recording");
        let counts = record(&["mixed"], &folder.file("mixed.jsonl"), 4_000);
        (std::fs::read(folder.file("mixed.jsonl")).expect("it was recorded"), counts)
    })
}

fn assert_counts(trace: &Trace, counts: &serde_json::Map<String, Value>, whose: &str) {
    for (name, counted) in counts {
        let task = trace.tasks().iter().find(|task| task.name() == *name).unwrap_or_else(|| panic!("no task {name}"));
        let told = serde_json::json!({"polls": task.counts.polls, "wakes": task.counts.wakes});
        assert_eq!(told, *counted, "{whose}: {name}");
    }
}

#[test]
fn each_task_has_the_polls_and_wakes_that_the_app_counted_itself() {
    let (text, counts) = real();
    for piece_bytes in [usize::MAX, 4_096, 97] {
        let (trace, recording, result) = read(text, piece_bytes);
        assert_eq!(result, Ok(()));
        assert_counts(&trace, counts, "one thread");
        let recorded = recording.recorded();
        assert_eq!((recorded.skipped, recorded.unknown, recorded.unspawned, recorded.clamped), (0, 0, 0, 0));
        assert_eq!(trace.many_threads(), None);
    }
    let folder = Folder::new("threads-recording");
    let counts = record(&["mixed", "--threads", "3"], &folder.file("mixed.jsonl"), 4_000);
    let (trace, ..) = read(&std::fs::read(folder.file("mixed.jsonl")).expect("it was recorded"), 4_096);
    assert_counts(&trace, &counts, "three threads");
    assert!(trace.many_threads().is_some());
}

fn pump_until(session: &mut RecordingSession, what: &str, mut condition: impl FnMut(&RecordingSession) -> bool) {
    until(what, || {
        session.pump(Duration::from_millis(5));
        condition(session)
    });
}

#[test]
fn a_growing_file_is_followed_and_one_that_is_begun_anew_is_another_session() {
    let (text, counts) = real();
    let folder = Folder::new("growing");
    let path = folder.file("growing.jsonl");
    std::fs::write(&path, "").expect("the folder is ours");
    let mut session = RecordingSession::open(&path, Until::Told, 1 << 30).expect("it is a file");
    let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
    let mut seen = 0;
    for piece in text.chunks(text.len() / 7 + 1) {
        file.write_all(piece).expect("it takes it");
        let polls = session.trace().counts().polls;
        pump_until(&mut session, "what was appended", |session| session.trace().counts().polls > polls);
        pump_until(&mut session, "its end", |session| session.status().link.is_some_and(|l| l.note == "growing"));
        assert_eq!(session.status().phase, Phase::Running);
        seen += 1;
    }
    assert_eq!(seen, 7);
    pump_until(&mut session, "the last poll", |session| {
        session.trace().tasks().iter().filter(|task| task.ending.is_some()).count() >= counts.len()
    });
    assert_counts(session.trace(), counts, "followed");
    assert!(session.successor().is_none());

    std::fs::write(&path, written("+1 (1 )1")).expect("the folder is ours");
    pump_until(&mut session, "the end of the first", |session| session.status().phase == Phase::Ended);
    assert_eq!(session.status().outcome, Some(Outcome::Detached));
    let mut next = session.successor().expect("there is another now");
    until("the second", || {
        next.pump(Duration::from_millis(5));
        next.trace().counts().polls == 1
    });
    assert!(session.successor().is_none(), "once");
}

#[test]
fn a_whole_file_ends_and_a_cut_one_says_so() {
    let (text, _) = real();
    let folder = Folder::new("cut");
    let path = folder.file("cut.jsonl");
    let cut = text[..text.len() / 2].iter().rposition(|byte| *byte == b'\n').expect("it has lines") + 20;
    std::fs::write(&path, &text[..cut]).expect("the folder is ours");
    let mut session = RecordingSession::open(&path, Until::Whole, 1 << 30).expect("it is a file");
    pump_until(&mut session, "its end", |session| session.status().phase == Phase::Ended);
    assert_eq!(session.status().outcome, Some(Outcome::Completed(Value::Null)));
    let note = session.status().link.expect("it says how it stands").note;
    assert!(note.contains("complete") && note.contains("cut off"), "{note}");
}

#[test]
fn a_file_that_was_not_read_to_its_end_is_not_said_to_be_complete() {
    let (text, _) = real();
    let folder = Folder::new("left");
    let path = folder.file("left.jsonl");
    let many = [text.as_slice(), &text[text.iter().position(|byte| *byte == b'\n').expect("lines") + 1..]].concat();
    std::fs::write(&path, many).expect("the folder is ours");
    for (until, outcome, said) in [
        (Until::Whole, Outcome::Cancelled, "left before its end, at "),
        (Until::Told, Outcome::Detached, "up to where it was left"),
    ] {
        let mut session = RecordingSession::open(&path, until, 1 << 30).expect("it is a file");
        pump_until(&mut session, "some of it", |session| session.trace().counts().polls > 0);
        session.command(Command::Quit);
        let status = session.status();
        assert_eq!((status.phase, status.outcome), (Phase::Ended, Some(outcome)));
        let note = status.link.expect("it says how it stands").note;
        assert!(note.starts_with(said) && !note.contains("complete"), "{note}");
    }
}

/// The memory of a process is a file whose first bytes nobody can read.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_not_said_to_be_complete() {
    let path = std::path::Path::new("/proc/self/mem");
    let mut session = RecordingSession::open(path, Until::Whole, 1 << 30).expect("it is a file");
    pump_until(&mut session, "its end", |session| session.status().phase == Phase::Ended);
    let status = session.status();
    assert!(matches!(&status.outcome, Some(Outcome::Failed(why)) if why.contains("cannot be read")), "{status:?}");
    assert!(status.link.expect("it says how it stands").note.starts_with("it cannot be read any further"));
}

/// A real program has a few spans for each thread; where thousands are entered, lines that left them are lost.
#[test]
fn more_spans_than_can_be_entered_at_once_are_a_gap_and_polls_after_it_are_seen() {
    let most = 4_096;
    let mut story: String = (1..=most + 1).map(|id| format!("+{id} ")).collect();
    story.extend((1..=most + 1).map(|id| format!("({id} ")));
    story.extend((1..=most + 1).map(|id| format!("){id} ")));
    story.extend([1, most, most + 1].map(|id| format!("w{id} ({id} ){id} ")));
    let (trace, recording, outcome) = read(written(&story).as_bytes(), 1 << 20);
    assert_eq!(outcome, Ok(()));
    let recorded = recording.recorded();
    assert_eq!((recorded.skipped, trace.gaps().map(|gap| gap.dropped).sum::<u64>()), (1, 1));
    assert!(recorded.broken[0].why.contains("entered at once"), "{:?}", recorded.broken);
    let polls = [1, most, most + 1].map(|id| trace.tasks().nth(id - 1).expect("it is told").counts.polls);
    assert_eq!(polls, [2, 2, 1], "all but the one that was left out");
    assert!(trace.tasks().iter().all(|task| task.lane.last().is_none_or(|poll| poll.end().is_some())));
}

#[test]
fn open_reports_a_recording_and_what_was_wrong_with_it() {
    let (text, counts) = real();
    let folder = Folder::new("open");
    let path = folder.file("app.jsonl");
    let mut broken = text.clone();
    let middle = broken.len() / 2;
    let begin = broken[..middle].iter().rposition(|byte| *byte == b'\n').expect("it has lines") + 1;
    broken[begin] = b'#';
    std::fs::write(&path, &broken).expect("the folder is ours");
    let words = |path: &Path| ["open", path.to_str().expect("text"), "--headless", "--json"].map(str::to_owned);
    let ran = loopscope(&words(&path));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(report["source"]["kind"], "recording");
    assert_eq!((&report["outcome"], &report["fidelity"]), (&"completed".into(), &"exact".into()));
    let recorded = &report["feeds"]["recording"];
    let line = bytecount(&broken[..begin]) + 1;
    assert_eq!((&recorded["skipped"], &recorded["broken"][0]["line"]), (&1.into(), &line.into()));
    assert_eq!(report["gaps"].as_array().map(Vec::len), Some(1));
    let names: Vec<_> = report["tasks"].as_array().expect("a list").iter().map(|task| &task["name"]).collect();
    assert!(counts.keys().all(|name| names.contains(&&Value::from(name.as_str()))));
    let text = loopscope(&["open", path.to_str().expect("text"), "--headless"]).out;
    assert!(text.contains("1 line skipped") && text.contains(&format!("line {line}")), "{text}");

    for (what, expected) in [
        (folder.file("none"), "No such file"),
        (folder.0.clone(), "it is a folder"),
        (crate::outside::app(), "no recording of console-subscriber"),
    ] {
        let ran = loopscope(&words(&what));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
}

fn bytecount(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn a_recording_of_a_hundred_megabytes_fits_into_little_memory() {
    let folder = Folder::new("hundred-megabytes");
    let path = folder.file("big.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("the folder is ours"));
    file.write_all(written("+1 +2").as_bytes()).expect("it takes it");
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
    // More than this and it is ended: the file alone would not fit.
    let limited = format!("ulimit -v 90000; exec \"$0\" open {} --headless --json", path.display());
    let ran = std::process::Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_loopscope")])
        .env("LOOPSCOPE_MEMORY", "2MiB")
        .output()
        .expect("there is a shell");
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
    assert_eq!(report["tasks"][0]["polls"], at / 3_000);
    assert_eq!(report["gaps"][0]["dropped"], 0, "the oldest is forgotten, and it says so");
}

#[test]
fn a_hostile_file_neither_hangs_nor_grows() {
    let deep: String = (0..20_000).map(|id| format!("(1{id} ")).collect();
    let trace = told(&deep);
    assert_eq!(trace.tasks().len(), 0);
    let mut long = written("+1 (1 )1").into_bytes();
    long.extend(std::iter::repeat_n(b'{', 3 << 20));
    long.extend(b"\n");
    let (trace, recording, result) = read(&long, 64 << 10);
    assert_eq!((result, recording.recorded().skipped), (Ok(()), 1));
    assert_eq!(trace.counts().polls, 1);
    let ran = loopscope_with(&["open", "/dev/null", "--headless"], &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
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
    fn a_real_recording_that_was_tampered_with_never_panics(
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
        let recorded = recording.recorded();
        prop_assert!(recorded.events + recorded.skipped + recorded.unknown <= recorded.lines + 1);
        prop_assert!(trace.tasks().len() as u64 <= recorded.events);
        prop_assert!(trace.counts().polls <= recorded.events);
    }
}

#[test]
fn a_task_comes_with_the_size_of_its_future() {
    let at = r#""at":{"secs_since_epoch":7,"nanos_since_epoch":9}"#;
    let fields = r#"[{"name":"kind","value":"task"},{"name":"size.bytes","value":8},{"name":"original_size.bytes","value":40000}]"#;
    let text = format!("{{\"v\":1}}\n{{\"Spawn\":{{\"id\":1,{at},\"fields\":{fields}}}}}\n");
    let (trace, _, read) = read(text.as_bytes(), 7);
    assert_eq!(read, Ok(()));
    let spawned = &trace.tasks().nth(0).expect("it is there").spawned;
    assert_eq!((spawned.size_bytes, spawned.boxed_from_bytes), (Some(8), Some(40_000)));
}

/// A console that is late: what spans mean it knows only once `knows`. 10 is an operation of a lock, made of one, 12, of a
/// semaphore; 9 is the lock itself.
struct Late {
    knows: bool,
}

impl Names for Late {
    fn meaning(&self, span: u64) -> Option<(Site, Option<ResourceId>)> {
        let (kind, source) = match span {
            10 => (AwaitKind::Sync, "Mutex::lock"),
            12 => (AwaitKind::Sync, "Semaphore::acquire"),
            _ => return None,
        };
        self.knows.then(|| (Site { kind, source: source.into(), location: None }, None))
    }
}

/// What a task is stuck on is known although its name came only after the task had waited, and is told once.
#[test]
fn what_is_awaited_is_named_late_where_the_console_is_late() {
    let mut trace = Trace::default();
    trace.set_foreign();
    let mut recording = Recording::new(Stamps::from_first()).with_awaits();
    let story = written("+1 (1 (9 (10 (12 )12 )10 )9 )1 +2 (2 )2 +3 w1 (1 (9 (10 (12 )12 x12 )10 x10 )9 )1 x1");
    let lines: Vec<String> = story.lines().map(|line| format!("{line}\n")).collect();
    // Until the third task is there nobody has a name.
    let (before, after) = lines.split_at(14);
    let take = |recording: &mut Recording, trace: &mut Trace, lines: &[String], names: &Late| {
        for line in lines {
            recording.take(line.as_bytes(), names, &mut |event| trace.apply(event)).expect("it is a recording");
        }
    };
    take(&mut recording, &mut trace, before, &Late { knows: false });
    let first = TaskId::from_index(0);
    assert_eq!(trace.state(first), Some(State::Waiting(None, AwaitKind::Other)), "the console has not told yet");
    recording.name_late(&Late { knows: false }, &mut |event| trace.apply(event));
    assert!(trace.awaits().is_empty());
    for _ in 0..2 {
        recording.name_late(&Late { knows: true }, &mut |event| trace.apply(event));
    }
    let told = |trace: &Trace| -> Vec<_> {
        let awaits = trace.awaits().iter();
        awaits.map(|(id, told)| (id, told.task, told.start, told.end(), told.outcome().name())).collect()
    };
    let id = trace.awaits().iter().next().expect("it is named now").0;
    assert_eq!(told(&trace), [(id, first, 3_000, None, "pending")], "once, since it was first entered");
    assert_eq!(trace.state(first), Some(State::Waiting(Some(id), AwaitKind::Sync)));
    assert_eq!(trace.state_at(first, 9_000), Some(State::Waiting(Some(id), AwaitKind::Sync)), "then too");
    take(&mut recording, &mut trace, after, &Late { knows: true });
    let told = told(&trace);
    assert_eq!(told.len(), 1, "its parts are not told beside it: {told:?}");
    assert_eq!((told[0].2, told[0].4), (3_000, "ready"));
}
