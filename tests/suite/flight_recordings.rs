//! Flight recordings as files: every command that takes an archive takes them, and damage costs only what is damaged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopscope::control::{RunOutcome, RunPhase};
use loopscope::session::{ProbeSession, Session};
use loopscope_probe::protocol::{FILE_MAGIC, FrameKind};
use serde_json::Value;

use crate::attach::until;
use crate::example_app::PATIENCE;
use crate::probed_apps::ListeningApp;

/// A program with a flight recorder, and a flight recording of it.
struct AppWithRecording {
    app: ListeningApp,
    file: PathBuf,
}

impl AppWithRecording {
    fn new(name: &str) -> Self {
        let app = ListeningApp::start(name);
        let file = app.runtime_folder.path_of("saved.lsprobe");
        let recorded = Self { app, file };
        // The recorder needs a moment to have something to save.
        let deadline = Instant::now() + PATIENCE;
        loop {
            recorded.run(&["attach", "--dump", &text(&recorded.file)], 0);
            if recorded.report(&recorded.file)["loop"]["polls"].as_u64() > Some(2_000) {
                return recorded;
            }
            assert!(Instant::now() < deadline, "no polls in the flight recording");
        }
    }

    /// Runs loopscope and checks its exit code. Returns both outputs.
    fn run(&self, arguments: &[&str], expected: i32) -> (String, String) {
        let (code, output, errors) = self.app.loopscope(arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {errors}");
        (output, errors)
    }

    fn report(&self, file: &Path) -> Value {
        let (report, _) = self.run(&["open", &text(file), "--headless", "--json", "--full"], 0);
        serde_json::from_str(&report).expect("JSON")
    }

    /// Writes another file beside the recording.
    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.app.runtime_folder.path_of(name);
        std::fs::write(&path, bytes).expect("written");
        text(&path)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).expect("a file")
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Returns where the frames of a recording begin, and its length.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![FILE_MAGIC.len()];
    while let Some(length) = bytes.get(starts[starts.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        starts.push(starts[starts.len() - 1] + 4 + u32::from_le_bytes(*length) as usize);
    }
    assert_eq!(starts.last(), Some(&bytes.len()), "the recording is complete");
    starts
}

/// Returns where the round in the middle begins. About half of all polls precede it.
fn middle_round(bytes: &[u8], starts: &[usize]) -> usize {
    let is_round = |start: &&usize| bytes.get(**start + 4) == Some(&(FrameKind::Round as u8));
    let rounds: Vec<_> = starts.iter().filter(is_round).collect();
    assert!(rounds.len() > 10, "{} rounds", rounds.len());
    *rounds[rounds.len() / 2]
}

#[test]
fn flight_recording_becomes_an_equal_archive() {
    let recorded = AppWithRecording::new("flight-convert");
    let archive = recorded.app.runtime_folder.path_of("saved.loop");
    let (file, archive_text) = (text(&recorded.file), text(&archive));
    let (_, errors) = recorded.run(&["open", &file, "--headless", "--record", &archive_text], 0);
    assert_eq!(errors, "");
    let (mut of_file, mut of_archive) = (recorded.report(&recorded.file), recorded.report(&archive));
    assert_eq!((&of_file["source"]["kind"], &of_archive["source"]["kind"]), (&"recording".into(), &"archive".into()));
    for report in [&mut of_file, &mut of_archive] {
        report["source"] = Value::Null;
    }
    assert!(of_file["workers"].as_array().is_some_and(|workers| workers.len() == 2), "{}", of_file["workers"]);
    assert_eq!(of_file, of_archive);

    for (assertion, expected) in [("loop.polls > 200", 0), ("loop.polls == 0", 1), ("workers.length == 2", 0)] {
        recorded.run(&["open", &file, "--headless", "--assert", assertion], expected);
    }
    recorded.run(&["open", &file, "--headless", "--deny", "all", "--allow", "all"], 0);
}

#[test]
fn flight_recording_is_never_overwritten() {
    let recorded = AppWithRecording::new("flight-kept");
    let (before, file) = (recorded.bytes(), text(&recorded.file));
    let (_, errors) = recorded.run(&["open", &file, "--headless", "--record", &file], 2);
    assert!(errors.contains("is not a loopscope archive"), "{errors}");
    assert!(recorded.bytes() == before);
}

#[test]
fn truncated_flight_recording_shows_what_is_there() {
    let recorded = AppWithRecording::new("flight-truncated");
    let bytes = recorded.bytes();
    let (starts, all) = (frame_starts(&bytes), recorded.report(&recorded.file)["loop"]["polls"].as_u64());
    // Inside of a frame in the middle, and inside of the last one.
    let middle = middle_round(&bytes, &starts) + 2;
    let mut last_polls = None;
    for cut in [starts[1], middle, bytes.len() - 1] {
        let file = recorded.write("cut.lsprobe", &bytes[..cut]);
        let (report, errors) = recorded.run(&["open", &file, "--headless", "--json"], 0);
        let is_at_end = starts.contains(&cut);
        assert_eq!(errors.contains("its last message, which is truncated"), !is_at_end, "{cut}: {errors}");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let polls = report["loop"]["polls"].as_u64();
        assert!(polls > last_polls && polls <= all, "{polls:?} of {all:?} after {last_polls:?}");
        last_polls = polls;
    }
    assert!(last_polls > Some(200));
    for cut in [FILE_MAGIC.len(), FILE_MAGIC.len() + 3, starts[1] - 1] {
        let file = recorded.write("cut.lsprobe", &bytes[..cut]);
        let (_, errors) = recorded.run(&["open", &file, "--headless"], 1);
        assert!(errors.contains("ends before the description of the app"), "{cut}: {errors}");
    }
    let file = recorded.write("cut.lsprobe", b"");
    let (_, errors) = recorded.run(&["open", &file, "--headless"], 2);
    assert!(errors.contains("empty recording"), "{errors}");
}

#[test]
fn damage_costs_only_what_follows_it() {
    let recorded = AppWithRecording::new("flight-damaged");
    let bytes = recorded.bytes();
    let starts = frame_starts(&bytes);
    let damaged_at = middle_round(&bytes, &starts);
    let mut damaged = bytes.clone();
    damaged[damaged_at..damaged_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let polls = |file: &str, expected: i32| {
        let (report, errors) = recorded.run(&["open", file, "--headless", "--json"], expected);
        let report: Value = serde_json::from_str(&report).expect("JSON");
        (report["loop"]["polls"].as_u64().expect("a count"), errors)
    };
    let (before, _) = polls(&recorded.write("cut.lsprobe", &bytes[..damaged_at]), 0);
    let (shown, errors) = polls(&recorded.write("damaged.lsprobe", &damaged), 1);
    assert!(before > 0 && shown == before, "{shown} instead of {before}");
    let expected = format!("a frame of 4294967295 bytes at byte {damaged_at}; what precedes it is shown");
    assert!(errors.contains(&expected), "{errors}");

    // An unknown frame is skipped.
    let mut unknown = bytes.clone();
    unknown[damaged_at + 4] = 200;
    let (_, errors) = polls(&recorded.write("unknown.lsprobe", &unknown), 0);
    assert!(errors.contains("1 messages skipped: unknown or malformed"), "{errors}");
    let mut version = bytes;
    version[FILE_MAGIC.len() - 1] = 9;
    let (_, errors) = recorded.run(&["open", &recorded.write("version.lsprobe", &version), "--headless"], 1);
    assert!(errors.contains("version 9 of the protocol") && errors.contains("help: use a loopscope"), "{errors}");
}

/// Changes bytes everywhere: the session ends, with whatever it can show.
#[test]
fn changed_bytes_never_stop_the_program() {
    let recorded = AppWithRecording::new("flight-changed");
    let mut bytes = recorded.bytes();
    bytes.truncate(256 << 10);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..40 {
        let mut changed = bytes.clone();
        for _ in 0..20 {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state % changed.len() as u64).expect("an index");
            changed[at] = state.to_le_bytes()[7];
        }
        let file = recorded.write("changed.lsprobe", &changed);
        let mut session = ProbeSession::open(Path::new(&file), 64 << 20).expect("a file");
        until(&mut session, "its end", |_, status| status.phase == RunPhase::Ended);
        let status = session.status();
        assert!(matches!(status.outcome, Some(RunOutcome::Completed(_) | RunOutcome::Failed(_))), "{status:?}");
        session.pump(Duration::from_millis(1));
    }
}

#[test]
fn other_commands_name_the_right_one() {
    let recorded = AppWithRecording::new("flight-commands");
    let file = text(&recorded.file);
    let archive = text(&recorded.app.runtime_folder.path_of("saved.loop"));
    recorded.run(&["open", &file, "--headless", "--record", &archive], 0);
    for (path, kind) in [(&file, "it is a flight recording"), (&archive, "it is an archive")] {
        let (_, errors) = recorded.run(&["attach", "--recording", path, "--headless", "--for", "1s"], 2);
        assert!(errors.contains(kind) && errors.contains("help: `loopscope open"), "{errors}");
    }
    let (_, help) = recorded.run(&["open", &file], 2);
    assert!(help.contains("--headless") && help.contains(&file), "{help}");
}
