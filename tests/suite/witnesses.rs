//! Two witnesses that truly differ: an app whose console tells the truth, and a recording that lies about one wake.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Command as Process;

use loopscope::app::Session;
use loopscope::control::{ClockKind, FeedChoice, Outcome, Phase, SourceKind};
use loopscope::insight::Thresholds;
use loopscope::report::{Input, Report, Source};
use loopscope::session::{ExecSession, Stdin};
use loopscope::trace::Disagreement;
use serde_json::Value;

use crate::attach::until;
use crate::outside::{Folder, app, counts};

/// Runs the app between us and a pipe of our own, in which the first wake is written so many times. Gives on which tasks
/// the witnesses differ, and what the report says of that.
fn told_of_the_first_wake(times: usize) -> (Vec<Disagreement>, Value) {
    let folder = Folder::new(&format!("witnesses-{times}"));
    let [input, own] = ["input", "recording"].map(|name| folder.file(name));
    assert!(Process::new("mkfifo").args([&input, &own]).status().expect("there is mkfifo").success());
    let script = "echo $TOKIO_CONSOLE_RECORD_PATH; export TOKIO_CONSOLE_RECORD_PATH=$1; exec $2 mutex < $0";
    let command = ["sh".into(), "-c".into(), script.into(), input.clone().into(), own.clone().into(), app().into()];
    let mut session = ExecSession::start(&command, Stdin::Nothing, 64 << 20).expect("it can be tried");
    let mut input = OpenOptions::new().write(true).open(&input).expect("the app reads it");
    until(&mut session, "its first line", |trace, _| !trace.output().lines().is_empty());
    let recording = PathBuf::from(&*session.trace().output().lines()[0].text);
    let liar = std::thread::spawn(move || {
        let lines = BufReader::new(File::open(own).expect("the app records")).lines().map_while(Result::ok);
        let mut out = OpenOptions::new().write(true).open(recording).expect("we read it");
        let mut has_lied = false;
        for line in lines {
            let lies = !has_lied && line.contains("\"op\":{\"Wake");
            has_lied |= lies;
            (0..if lies { times } else { 1 }).for_each(|_| writeln!(out, "{line}").expect("it is read"));
        }
        assert!(has_lied);
    });
    until(&mut session, "its wakes", |trace, _| trace.counts().wakes > 20);
    writeln!(input, "stop").expect("it reads");
    let is_counts = |line: &str| line.starts_with('{');
    until(&mut session, "its counts", |trace, _| is_counts(&trace.output().lines().back().expect("one").text));
    let own = counts(&session.trace().output().lines().back().expect("it printed").text);
    until(&mut session, "the console's last counts", |trace, _| {
        own.iter().all(|(name, own)| {
            let task = trace.tasks().iter().find(|task| task.name() == *name);
            task.is_some_and(|task| {
                task.ending.is_some() && task.console().is_some_and(|told| own["wakes"] == told.wakes)
            })
        })
    });
    // What is told by an update is certain once two more have come.
    let updates = session.trace().console().0;
    until(&mut session, "further updates", |trace, _| trace.console().0 > updates + 3);
    drop(input);
    until(&mut session, "its end", |_, status| status.phase == Phase::Ended);
    liar.join().expect("it wrote everything");
    let source =
        Source { kind: SourceKind::Exec, name: "app".into(), params: Vec::new(), clock: ClockKind::Real, seed: 0 };
    let input = Input {
        source: &source,
        trace: session.trace(),
        outcome: &Outcome::Completed(Value::Null),
        feed: FeedChoice::Both,
        thresholds: &Thresholds::default(),
        full: false,
    };
    (session.trace().disagreements(), Report::new(&input).value())
}

#[test]
fn what_one_witness_counted_and_the_other_did_not_is_told_whichever_it_is() {
    for (times, more) in [(0, -1), (2, 1), (1, 0)] {
        let (found, report) = told_of_the_first_wake(times);
        let said = report["feeds"]["disagreements"].as_array().expect("a list");
        assert_eq!(report["feeds"]["agree"], Value::from(more == 0), "{times}: {said:?}");
        assert_eq!((found.len(), said.len()), (usize::from(more != 0), usize::from(more != 0)), "{times}: {said:?}");
        for found in found {
            let console = found.console.expect("it told of the task");
            assert_eq!(found.probe.wakes.cast_signed() - console.wakes.cast_signed(), more, "{said:?}");
            assert_eq!(found.probe.polls, console.polls);
        }
    }
}
