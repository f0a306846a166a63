//! Numbers that stand for themselves: what one event costs, how many can be taken in, how much memory that needs and how
//! soon there is something to see.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::loops;
use crate::pairs::{Spread, rounds};
use crate::probe::YIELDING;
use crate::{Effort, Measured, machine};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loopscope");

/// Events of one poll in this load: its start, its end and the wake for the next.
const EVENTS_PER_POLL: f64 = 3.0;

pub fn numbers(effort: Effort) -> Measured {
    let times = rounds(effort.rounds(60), &[&|| loops::bare(YIELDING), &|| loops::probe(YIELDING).0]);
    let added_ns = Spread::of(times.iter().map(|[bare, probe]| probe - bare)).median;
    let mut numbers = vec![("ns_per_event_recorded", added_ns / EVENTS_PER_POLL, "ns")];
    let times = rounds(effort.rounds(24), &[&|| loops::awaits(false), &|| loops::awaits(true)]);
    let added_ns = Spread::of(times.iter().map(|[untold, told]| told - untold)).median;
    numbers.push(("ns_per_await_recorded", added_ns, "ns"));
    let taken_in = (0..effort.rounds(60)).map(|_| {
        let (_, seen) = loops::probe(YIELDING);
        seen.told as f64 / seen.taking_in.as_secs_f64() / 1e6
    });
    numbers.push(("events_recorded_and_filed", Spread::of(taken_in).median, "million/s"));
    if let Some(bytes) = peak_bytes() {
        numbers.push(("peak_memory_spawn_storm", bytes as f64 / f64::from(1 << 20), "MiB"));
    }
    let first = (0..effort.rounds(24)).filter_map(|_| first_frame()).map(|after| after.as_secs_f64() * 1e3);
    let first: Vec<f64> = first.collect();
    if !first.is_empty() {
        numbers.push(("start_to_first_frame", Spread::of(first).median, "ms"));
    }
    Measured::Numbers(numbers)
}

/// The most memory that the program had while it ran a workload of many tasks.
fn peak_bytes() -> Option<u64> {
    let mut child = Command::new(PROGRAM)
        .args(["run", "spawn-storm", "--headless", "--feed", "probe"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut peak = None;
    while child.try_wait().ok()?.is_none() {
        peak = machine::peak_bytes(child.id()).or(peak);
        std::thread::sleep(Duration::from_micros(200));
    }
    peak
}

/// From starting the program until its first frame stands in the terminal.
fn first_frame() -> Option<Duration> {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).ok()?;
    let mut command = CommandBuilder::new(PROGRAM);
    command.args(["run", "countasync", "--paused"]);
    command.env("TERM", "xterm-256color");
    let mut reader = pair.master.try_clone_reader().ok()?;
    let begun = Instant::now();
    let mut child = pair.slave.spawn_command(command).ok()?;
    let mut seen = Vec::new();
    let mut buffer = [0; 1 << 14];
    let mut after = None;
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..count]);
        if seen.windows(b"countasync".len()).any(|bytes| bytes == b"countasync") {
            after = Some(begun.elapsed());
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    after
}
