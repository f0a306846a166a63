//! Cost of the probe in programs of others: the programs in `benches/outside`, each in a process of its own.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use loopscope_probe::protocol::{
    CommandKind, FRAME_BYTES_MAX, FrameKind, SOCKET_VARIABLE, Start, VERSION, split_frame, write_frame,
};
use loopscope_probe::record::{RECORD_BYTES, Record, RecordKind};

use crate::paired::{Spread, measure_rounds};
use crate::{ClaimResult, Effort};

/// Arguments of a program: workers (0 for a current-thread runtime), tasks, polls of each, ns of work in each poll, and
/// repetitions.
type LoadArguments = [usize; 5];

/// Tasks that only wake themselves and yield, so that the overhead dominates.
const fn yielding(workers: usize) -> LoadArguments {
    [workers, 100, 1_000, 0, 8]
}

/// A realistic load: 5 µs of work per poll.
const WORKING: LoadArguments = [0, 1_000, 10, 5_000, 8];

/// What is added per poll by the probe, divided by what console-subscriber's layer adds, on a current-thread runtime.
pub fn over_console(effort: Effort) -> ClaimResult {
    compare(effort, 0, ("console", Some("console")), "console-subscriber's layer")
}

/// As [`over_console`], on two workers.
pub fn over_console_on_workers(effort: Effort) -> ClaimResult {
    compare(effort, 2, ("console", Some("console")), "console-subscriber's layer")
}

/// What is added per poll by the probe, divided by what dial9 adds, on a current-thread runtime.
pub fn over_dial9(effort: Effort) -> ClaimResult {
    compare(effort, 0, ("dial9", Some("dial9")), "dial9 with its disk buffer and task tracking")
}

fn compare(effort: Effort, workers: usize, rival: (&str, Option<&str>), rival_name: &str) -> ClaimResult {
    let programs = [("bare", None), rival, ("probed", Some("probe"))];
    let Some([bare, rival, probed]) = programs.map(build).into_iter().collect::<Option<Vec<_>>>().and_then(to_array)
    else {
        return ClaimResult::Skipped("the programs in benches/outside".to_owned());
    };
    let (load, counts) = (yielding(workers), Cell::new(StreamCounts::default()));
    let times = measure_rounds(
        effort.rounds(36),
        &[&|| run(&bare, load), &|| run(&rival, load), &|| run_attached(&probed, load, &counts)],
    );
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(of));
    let runtime = if workers == 0 { "a current-thread runtime".to_owned() } else { format!("{workers} workers") };
    let pairing = format!(
        "ns added per poll with its wake over a bare program of 100 tasks on {runtime} ({} ns a poll): {} by the probe, \
         with hooks and a peer that reads, over {} by {rival_name}; {} of {} records dropped",
        spread(|[bare, ..]| *bare),
        spread(|[bare, _, probed]| probed - bare),
        spread(|[bare, rival, _]| rival - bare),
        counts.get().dropped,
        counts.get().records,
    );
    ClaimResult::Ratio { pairing, value: spread(|[bare, rival, probed]| (probed - bare) / (rival - bare)).median }
}

/// Time of a program with the probe to which nothing is attached, divided by that of a program without it.
pub fn off_over_bare(effort: Effort) -> ClaimResult {
    let programs = [("bare", None), ("probed", Some("probe"))];
    let Some([bare, probed]) = programs.map(build).into_iter().collect::<Option<Vec<_>>>().and_then(to_array) else {
        return ClaimResult::Skipped("the programs in benches/outside".to_owned());
    };
    let measure =
        |load: LoadArguments| measure_rounds(effort.rounds(36), &[&|| run(&bare, load), &|| run(&probed, load)]);
    let (working, yielding) = (measure(WORKING), measure(yielding(0)));
    let spread = |times: &[[f64; 2]], of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "loop time of 1,000 tasks whose polls work 5 µs: {} ns a poll with the probe over {} ns bare; of 100 tasks that \
         only yield: {} over {} ns",
        spread(&working, |[_, probed]| *probed),
        spread(&working, |[bare, _]| *bare),
        spread(&yielding, |[_, probed]| *probed),
        spread(&yielding, |[bare, _]| *bare),
    );
    ClaimResult::Ratio { pairing, value: spread(&working, |[bare, probed]| probed / bare).median }
}

fn to_array<T, const N: usize>(values: Vec<T>) -> Option<[T; N]> {
    values.try_into().ok()
}

/// Builds a program of `benches/outside` with a feature, and returns its path.
fn build((name, feature): (&str, Option<&str>)) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target").join("outside");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The folder is where cargo looks for `.cargo/config.toml`.
    command.current_dir(root.join("benches").join("outside")).env("CARGO_TARGET_DIR", &target);
    command.args(["build", "--release", "--quiet", "--locked", "--bin", name]);
    command.args(feature.into_iter().flat_map(|feature| ["--features", feature]));
    command.status().is_ok_and(|status| status.success()).then(|| target.join("release").join(name))
}

fn command(program: &PathBuf, load: LoadArguments) -> Command {
    let mut command = Command::new(program);
    command.args(load.map(|number| number.to_string())).stdout(Stdio::piped()).env_remove(SOCKET_VARIABLE);
    command
}

/// Runs a program and returns the median of its times.
fn run(program: &PathBuf, load: LoadArguments) -> f64 {
    let output = command(program, load).output().expect("the program was built");
    median(&String::from_utf8_lossy(&output.stdout))
}

fn median(output: &str) -> f64 {
    Spread::of(output.lines().filter_map(|line| line.parse().ok())).median
}

/// What a peer has read.
#[derive(Clone, Copy, Default)]
struct StreamCounts {
    records: u64,
    dropped: u64,
}

/// Runs a program with a peer that reads its stream.
fn run_attached(program: &PathBuf, load: LoadArguments, counts: &Cell<StreamCounts>) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("probe.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let child = command(program, load).env(SOCKET_VARIABLE, &path).spawn().expect("the program was built");
    let (socket, _) = listener.accept().expect("the program connects");
    read_stream(socket, counts);
    let output = child.wait_with_output().expect("the program ends");
    median(&String::from_utf8_lossy(&output.stdout))
}

/// Reads a stream to its end and counts its records.
fn read_stream(mut socket: UnixStream, counts: &Cell<StreamCounts>) {
    let start = Start { protocol: VERSION, ..Start::default() };
    let mut frame = Vec::new();
    write_frame(CommandKind::Start as u8, &serde_json::to_vec(&start).expect("JSON"), &mut frame);
    socket.write_all(&frame).expect("the program reads");
    let (mut bytes, mut length) = (vec![0; 2 * FRAME_BYTES_MAX], 0);
    while let Ok(read @ 1..) = socket.read(&mut bytes[length..]) {
        length += read;
        let mut rest = &bytes[..length];
        while let Some(((kind, payload), after)) = split_frame(rest, FRAME_BYTES_MAX).expect("the program is right") {
            if kind == FrameKind::Records as u8 {
                count_records(&payload[4..], counts);
            }
            rest = after;
        }
        let consumed = length - rest.len();
        bytes.copy_within(consumed..length, 0);
        length -= consumed;
    }
}

fn count_records(records: &[u8], counts: &Cell<StreamCounts>) {
    let (records, _) = records.as_chunks::<RECORD_BYTES>();
    let StreamCounts { records: before, mut dropped } = counts.get();
    for record in records.iter().filter(|record| record[0] == RecordKind::Dropped as u8) {
        dropped += Record::from_bytes(*record).subject();
    }
    counts.set(StreamCounts { records: before + records.len() as u64, dropped });
}
