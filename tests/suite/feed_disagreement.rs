//! Feeds that truly disagree: a console that reports all wakes, and a recording in which one wake is missing or
//! doubled.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Command as Process;

use loopscope::control::{ClockKind, FeedChoice, RunOutcome, RunPhase, SourceKind};
use loopscope::insight::{Thresholds, run_lints};
use loopscope::report::{JsonReport, ReportInput, RunSource};
use loopscope::session::{AppStdin, ExecSession, Session};
use loopscope::trace::FeedDisagreement;
use serde_json::Value;

use crate::attach::until;
use crate::example_app::{TempFolder, counts, example_app_path};

/// Runs the app with a pipe as its recording, which copies the first wake `times` times to the real recording. Returns
/// the disagreements of the trace and the report.
fn run_with_first_wake_copied(times: usize) -> (Vec<FeedDisagreement>, Value) {
    let folder = TempFolder::new(&format!("feed-disagreement-{times}"));
    let [input, own] = ["input", "recording"].map(|name| folder.path_of(name));
    assert!(Process::new("mkfifo").args([&input, &own]).status().expect("mkfifo is installed").success());
    let script = "echo $TOKIO_CONSOLE_RECORD_PATH; export TOKIO_CONSOLE_RECORD_PATH=$1; exec $2 mutex < $0";
    let command =
        ["sh".into(), "-c".into(), script.into(), input.clone().into(), own.clone().into(), example_app_path().into()];
    let mut session = ExecSession::start(&command, AppStdin::Null, 64 << 20).expect("the app starts");
    let mut input = OpenOptions::new().write(true).open(&input).expect("the app reads it");
    until(&mut session, "its first line", |trace, _| !trace.output().lines().is_empty());
    let recording = PathBuf::from(&*session.trace().output().lines()[0].text);
    let copier = std::thread::spawn(move || {
        let lines = BufReader::new(File::open(own).expect("the app records")).lines().map_while(Result::ok);
        let mut out = OpenOptions::new().write(true).open(recording).expect("the session reads it");
        let mut has_copied = false;
        for line in lines {
            let is_first_wake = !has_copied && line.contains("\"op\":{\"Wake");
            has_copied |= is_first_wake;
            (0..if is_first_wake { times } else { 1 })
                .for_each(|_| writeln!(out, "{line}").expect("the session reads it"));
        }
        assert!(has_copied);
    });
    until(&mut session, "its wakes", |trace, _| trace.counts().wakes > 20);
    writeln!(input, "stop").expect("the app reads its input");
    let is_counts = |line: &str| line.starts_with('{');
    until(&mut session, "its counts", |trace, _| is_counts(&trace.output().lines().back().expect("one").text));
    let own = counts(&session.trace().output().lines().back().expect("the app printed").text);
    until(&mut session, "the console's last counts", |trace, _| {
        own.iter().all(|(name, own)| {
            let task = trace.tasks().iter().find(|task| task.name() == *name);
            task.is_some_and(|task| {
                task.outcome.is_some() && task.console_counts().is_some_and(|counts| own["wakes"] == counts.wakes)
            })
        })
    });
    // An update is certain to be complete after two more.
    let updates = session.trace().console_feed_counts().0;
    until(&mut session, "further updates", |trace, _| trace.console_feed_counts().0 > updates + 3);
    drop(input);
    until(&mut session, "its end", |_, status| status.phase == RunPhase::Ended);
    copier.join().expect("the copier does not panic");
    let source =
        RunSource { kind: SourceKind::Exec, name: "app".into(), params: Vec::new(), clock: ClockKind::Real, seed: 0 };
    let input = ReportInput {
        source: &source,
        trace: session.trace(),
        outcome: &RunOutcome::Completed(Value::Null),
        feed: FeedChoice::Both,
        findings: &run_lints(session.trace(), &Thresholds::default()),
        full: false,
    };
    (session.trace().disagreements(), JsonReport::new(&input).value())
}

#[test]
fn reports_surplus_count_of_either_feed() {
    for (times, surplus) in [(0, -1), (2, 1), (1, 0)] {
        let (found, report) = run_with_first_wake_copied(times);
        let listed = report["feeds"]["disagreements"].as_array().expect("a list");
        assert_eq!(report["feeds"]["agree"], Value::from(surplus == 0), "{times}: {listed:?}");
        assert_eq!(
            (found.len(), listed.len()),
            (usize::from(surplus != 0), usize::from(surplus != 0)),
            "{times}: {listed:?}"
        );
        for found in found {
            let console = found.console.expect("the console reported the task");
            assert_eq!(found.probe.wakes.cast_signed() - console.wakes.cast_signed(), surplus, "{listed:?}");
            assert_eq!(found.probe.polls, console.polls);
        }
    }
}
