//! Absolute numbers: cost of an event, ingestion rate, peak memory and time to the first frame.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::loops;
use crate::paired::{Spread, measure_rounds};
use crate::probe::YIELDING;
use crate::{ClaimResult, Effort, machine};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loopscope");

/// Events for each poll in this load: start, end, and the wake for the next poll.
const EVENTS_PER_POLL: f64 = 3.0;

/// Measures all absolute numbers.
pub fn numbers(effort: Effort) -> ClaimResult {
    let times = measure_rounds(effort.rounds(60), &[&|| loops::uninstrumented(YIELDING), &|| loops::probe(YIELDING).0]);
    let added_ns = Spread::of(times.iter().map(|[bare, probe]| probe - bare)).median;
    let mut numbers = vec![("ns_per_event_recorded", added_ns / EVENTS_PER_POLL, "ns")];
    let times = measure_rounds(effort.rounds(24), &[&|| loops::time_awaits(false), &|| loops::time_awaits(true)]);
    let added_ns = Spread::of(times.iter().map(|[bare, instrumented]| instrumented - bare)).median;
    numbers.push(("ns_per_await_recorded", added_ns, "ns"));
    let ingest_rates = (0..effort.rounds(60)).map(|_| {
        let (_, stats) = loops::probe(YIELDING);
        stats.recorded_events as f64 / stats.ingest_time.as_secs_f64() / 1e6
    });
    numbers.push(("events_recorded_and_filed", Spread::of(ingest_rates).median, "million/s"));
    if let Some(bytes) = measure_peak_bytes() {
        numbers.push(("peak_memory_spawn_storm", bytes as f64 / f64::from(1 << 20), "MiB"));
    }
    let first = (0..effort.rounds(24)).filter_map(|_| time_to_first_frame()).map(|elapsed| elapsed.as_secs_f64() * 1e3);
    let first: Vec<f64> = first.collect();
    if !first.is_empty() {
        numbers.push(("start_to_first_frame", Spread::of(first).median, "ms"));
    }
    ClaimResult::Numbers(numbers)
}

/// Returns the peak resident memory of the program during a workload with many tasks, in bytes.
fn measure_peak_bytes() -> Option<u64> {
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

/// Returns the time from starting the program to its first frame in the terminal.
fn time_to_first_frame() -> Option<Duration> {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).ok()?;
    let mut command = CommandBuilder::new(PROGRAM);
    command.args(["run", "countasync", "--paused"]);
    command.env("TERM", "xterm-256color");
    let mut reader = pair.master.try_clone_reader().ok()?;
    let start = Instant::now();
    let mut child = pair.slave.spawn_command(command).ok()?;
    let mut output = Vec::new();
    let mut buffer = [0; 1 << 14];
    let mut elapsed = None;
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        output.extend_from_slice(&buffer[..count]);
        if output.windows(b"countasync".len()).any(|bytes| bytes == b"countasync") {
            elapsed = Some(start.elapsed());
            break;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    elapsed
}
