//! Cost of loading a console-subscriber recording, compared with parsing its lines.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope::control::RunPhase;
use loopscope::session::{ReadUntil, RecordingSession, Session};

use crate::paired::{Spread, measure_rounds};
use crate::{ClaimResult, Effort};

/// Polls in the recording; each takes up to five lines.
const POLLS: u64 = 60_000;

const TASKS: u64 = 100;

/// The peer: parses the same lines into typed structs, borrowed where possible, and does nothing with them.
mod peer {
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "parsing is all that it is for")]
    pub enum Line<'a> {
        Spawn {
            id: u64,
            at: At,
            #[serde(borrow)]
            fields: Vec<Field<'a>>,
        },
        Enter {
            id: u64,
            at: At,
        },
        Exit {
            id: u64,
            at: At,
        },
        Close {
            id: u64,
            at: At,
        },
        Waker {
            id: u64,
            op: Op,
            at: At,
        },
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "parsing is all that it is for")]
    pub struct At {
        secs_since_epoch: u64,
        nanos_since_epoch: u32,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "parsing is all that it is for")]
    pub enum Op {
        Wake { self_wake: bool },
        WakeByRef { self_wake: bool },
        Clone,
        Drop,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "parsing is all that it is for")]
    pub struct Field<'a> {
        name: &'a str,
        value: Value<'a>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "parsing is all that it is for")]
    pub enum Value<'a> {
        Number(u64),
        Text(&'a str),
    }
}

/// Writes a recording like console-subscriber: tasks are woken by a timer, polled, and clone their waker.
fn recording_text() -> String {
    let mut text = String::from("{\"v\":1}\n");
    let mut at_ns = 1_700_000_000_000_000_000_u64;
    let mut stamp = || {
        at_ns += 2_345;
        let (seconds, nanos) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        format!("\"at\":{{\"secs_since_epoch\":{seconds},\"nanos_since_epoch\":{nanos}}}")
    };
    let line = |text: &mut String, line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).and_then(|()| text.write_char('\n')).expect("writing to a string cannot fail");
    };
    for id in 1..=TASKS {
        let fields = format!(
            "[{{\"name\":\"kind\",\"value\":\"task\"}},{{\"name\":\"task.name\",\"value\":\"worker-{id}\"}},\
             {{\"name\":\"task.id\",\"value\":{id}}},{{\"name\":\"size.bytes\",\"value\":128}}]"
        );
        line(&mut text, format_args!("{{\"Spawn\":{{\"id\":{id},{},\"fields\":{fields}}}}}", stamp()));
    }
    for poll in 0..POLLS {
        let id = 1 + poll * 7 % TASKS;
        if poll >= TASKS {
            line(
                &mut text,
                format_args!(
                    "{{\"Waker\":{{\"id\":{id},\"op\":{{\"WakeByRef\":{{\"self_wake\":false}}}},{}}}}}",
                    stamp()
                ),
            );
        }
        line(&mut text, format_args!("{{\"Enter\":{{\"id\":{id},{}}}}}", stamp()));
        line(&mut text, format_args!("{{\"Waker\":{{\"id\":{id},\"op\":\"Clone\",{}}}}}", stamp()));
        line(&mut text, format_args!("{{\"Waker\":{{\"id\":{id},\"op\":\"Drop\",{}}}}}", stamp()));
        line(&mut text, format_args!("{{\"Exit\":{{\"id\":{id},{}}}}}", stamp()));
    }
    text
}

fn parse_lines(path: &Path) -> f64 {
    let begun = Instant::now();
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut lines = 0_u64;
    for line in bytes.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
        let line: peer::Line = serde_json::from_slice(line).expect("parse a valid line");
        black_box(line);
        lines += 1;
    }
    assert!(lines > POLLS, "every line was parsed");
    begun.elapsed().as_nanos() as f64
}

fn load_session(path: &Path) -> f64 {
    let begun = Instant::now();
    let mut session = RecordingSession::open(path, ReadUntil::EndOfFile, usize::MAX).expect("it was just written");
    // A fresh file may still grow, so its very last poll is held back for a moment. That is not part of loading.
    while Session::trace(&session).counts().polls + 1 < POLLS && Session::status(&session).phase != RunPhase::Ended {
        Session::pump(&mut session, Duration::from_secs(10));
    }
    let taken = begun.elapsed().as_nanos() as f64;
    assert!(Session::trace(&session).counts().polls + 1 >= POLLS, "every poll was loaded");
    black_box(&session);
    taken
}

/// Loading a recording, divided by parsing its lines.
pub fn load_over_serde(effort: Effort) -> ClaimResult {
    let path = std::env::temp_dir().join(format!("loopscope-bench-{}.jsonl", std::process::id()));
    let text = recording_text();
    if let Err(error) = std::fs::write(&path, &text) {
        return ClaimResult::Skipped(format!("a file to write to: {error}"));
    }
    let times = measure_rounds(effort.rounds(30), &[&|| parse_lines(&path), &|| load_session(&path)]);
    let _ = std::fs::remove_file(&path);
    let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(|round| of(round) / 1e6));
    let pairing = format!(
        "a recording of {} lines, {:.1} MB: loaded as a timeline in {} ms over parsed with serde_json in {} ms",
        text.lines().count(),
        text.len() as f64 / 1e6,
        spread(|[_, loaded]| *loaded),
        spread(|[parsed, _]| *parsed),
    );
    ClaimResult::Ratio { pairing, value: Spread::of(times.iter().map(|[parsed, loaded]| loaded / parsed)).median }
}
