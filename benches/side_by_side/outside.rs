//! Cost of loopscope-probe in the programs of other people, compared with other tools in the same program.
//!
//! `benches/outside` is that program. It is built once per tool, each with only what the tool needs: the bare program has
//! no tracing compiled into tokio. Each measurement is a process of its own.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loopscope_probe::protocol::{self, CommandKind, FrameKind};
use loopscope_probe::record::{RECORD_BYTES, Record, RecordKind};

use crate::attach::ClientProcess;
use crate::paired::{Spread, measure_rounds};
use crate::{ClaimResult, Effort};

/// Seconds for which the example service runs.
const SERVICE_SECONDS: &str = "3";

/// The program, built with one tool.
struct Program(PathBuf);

impl Program {
    /// Builds it with this cargo feature; `None` without a tool.
    fn build(tool: Option<&str>) -> Result<Self, ClaimResult> {
        let target = Path::new(env!("CARGO_BIN_EXE_loopscope")).with_file_name("outside");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/outside/Cargo.toml"))
            .args(tool.map(|tool| format!("--features={tool}")))
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", "--cfg tokio_unstable");
        let name = tool.unwrap_or("bare");
        if !command.status().is_ok_and(|status| status.success()) {
            return Err(ClaimResult::Skipped(format!("benches/outside with {name}, which cargo cannot build here")));
        }
        // The next tool is built to the same path.
        let copy = target.join(name);
        match std::fs::copy(target.join("release/loopscope-bench-outside"), &copy) {
            Ok(_) => Ok(Self(copy)),
            Err(error) => Err(ClaimResult::Skipped(format!("{}: {error}", copy.display()))),
        }
    }

    /// Runs it with these arguments, and returns the number that it prints.
    ///
    /// # Panics
    /// Panics if it fails.
    fn run(&self, arguments: &[&str], reader: Option<&StreamReader>) -> f64 {
        let mut command = Command::new(&self.0);
        command.args(arguments).stdin(Stdio::null());
        if let Some(reader) = reader {
            command.env(protocol::SOCKET_VARIABLE, &reader.path);
        }
        let output = command.output().expect("start the program");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().unwrap_or_else(|_| panic!("{arguments:?} printed {text:?}"))
    }
}

/// Reads the streams of programs, one after the other, and counts their records.
struct StreamReader {
    path: PathBuf,
    _folder: tempfile::TempDir,
    records: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl StreamReader {
    fn start() -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("probe.sock");
        let listener = UnixListener::bind(&path)?;
        let (records, dropped) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counts = (records.clone(), dropped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A program that ends closes the stream.
                let _ = read_stream(stream, &counts.0, &counts.1);
            }
        });
        Ok(Self { path, _folder: folder, records, dropped })
    }

    fn describe(&self) -> String {
        let (records, dropped) = (self.records.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed));
        format!("{dropped} of {} records dropped", records + dropped)
    }
}

fn read_stream(mut stream: UnixStream, records: &AtomicU64, dropped: &AtomicU64) -> std::io::Result<()> {
    let start = protocol::Start { protocol: protocol::VERSION, ..Default::default() };
    let mut frame = Vec::new();
    protocol::write_frame(CommandKind::Start as u8, &serde_json::to_vec(&start)?, &mut frame);
    stream.write_all(&frame)?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 1 << 18]);
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..count]);
        let mut rest = bytes.as_slice();
        while let Ok(Some(((kind, payload), after))) = protocol::split_frame(rest, protocol::FRAME_BYTES_MAX) {
            if kind == FrameKind::Records as u8 {
                count_records(payload, records, dropped);
            }
            rest = after;
        }
        let done = bytes.len() - rest.len();
        bytes.drain(..done);
    }
}

fn count_records(payload: &[u8], records: &AtomicU64, dropped: &AtomicU64) {
    let (all, _) = payload.get(4..).unwrap_or_default().as_chunks::<RECORD_BYTES>();
    for record in all {
        let record = Record::from_bytes(*record);
        if record.kind() == Some(RecordKind::Dropped) {
            dropped.fetch_add(record.subject(), Ordering::Relaxed);
        }
    }
    records.fetch_add(all.len() as u64, Ordering::Relaxed);
}

/// Time added per poll by the probe, divided by the time that `peer` adds.
fn added_over(peer: &str, workers: &str, effort: Effort) -> Result<ClaimResult, ClaimResult> {
    let (bare, peer_program, probe) =
        (Program::build(None)?, Program::build(Some(peer))?, Program::build(Some("probe"))?);
    let reader = StreamReader::start().map_err(|error| ClaimResult::Skipped(format!("a socket: {error}")))?;
    let load = ["yield", workers];
    let times = measure_rounds(
        effort.rounds(24),
        &[&|| bare.run(&load, None), &|| peer_program.run(&load, None), &|| probe.run(&load, Some(&reader))],
    );
    let spread = |of: fn(&[f64; 3]) -> f64| Spread::of(times.iter().map(of));
    let pairing = format!(
        "ns added per poll over a bare loop of 100 tasks that yield ({} ns a poll; {workers} workers, 0 for the current \
         thread): {} by the probe over {} by {peer}; {}",
        spread(|[bare, ..]| *bare),
        spread(|[bare, _, probe]| probe - bare),
        spread(|[bare, peer, _]| peer - bare),
        reader.describe(),
    );
    let value = spread(|[bare, peer, probe]| (probe - bare) / (peer - bare)).median;
    Ok(ClaimResult::Ratio { pairing, value })
}

/// The probe over console-subscriber's layer, on the current thread.
pub fn probe_over_console(effort: Effort) -> ClaimResult {
    added_over("console", "0", effort).unwrap_or_else(|skipped| skipped)
}

/// The probe over console-subscriber's layer, on two workers.
pub fn probe_over_console_mt(effort: Effort) -> ClaimResult {
    added_over("console", "2", effort).unwrap_or_else(|skipped| skipped)
}

/// The probe over dial9, on the current thread.
pub fn probe_over_dial9(effort: Effort) -> ClaimResult {
    added_over("dial9", "0", effort).unwrap_or_else(|skipped| skipped)
}

/// A program with the probe that is not attached to, divided by the bare program.
pub fn probe_off_over_bare(effort: Effort) -> ClaimResult {
    let measure = || {
        let (bare, probe) = (Program::build(None)?, Program::build(Some("probe"))?);
        let measure = |load: &'static str, rounds| {
            measure_rounds(rounds, &[&|| bare.run(&[load, "0"], None), &|| probe.run(&[load, "0"], None)])
        };
        let (times, yields) = (measure("work", effort.rounds(24)), measure("yield", effort.rounds(24)));
        let of = |times: &[[f64; 2]], index: usize| Spread::of(times.iter().map(|round| round[index]));
        let pairing = format!(
            "loop of 1,000 tasks whose polls work 5 µs: {} ns a poll with the probe that is not attached to over {} ns bare; \
             100 tasks that only yield: {} over {} ns",
            of(&times, 1),
            of(&times, 0),
            of(&yields, 1),
            of(&yields, 0),
        );
        let value = Spread::of(times.iter().map(|[bare, probe]| probe / bare)).median;
        Ok(ClaimResult::Ratio { pairing, value })
    };
    measure().unwrap_or_else(|skipped: ClaimResult| skipped)
}

/// Requests per second of the example service with the probe, attached and drawn, divided by those of the bare service.
pub fn service_with_probe_over_bare(effort: Effort) -> ClaimResult {
    let measure = || {
        let (bare, probe) = (Program::build(None)?, Program::build(Some("probe"))?);
        let load = ["service", "2", SERVICE_SECONDS];
        let times = measure_rounds(effort.rounds(18), &[&|| bare.run(&load, None), &|| run_attached(&probe, &load)]);
        let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(of));
        let pairing = format!(
            "requests per second of the example service on 2 workers, with 8 clients in the same process: {} with the \
             probe, attached and drawn at 120x40, over {} bare",
            spread(|[_, probe]| *probe),
            spread(|[bare, _]| *bare),
        );
        Ok(ClaimResult::Ratio { pairing, value: spread(|[bare, probe]| probe / bare).median })
    };
    measure().unwrap_or_else(|skipped: ClaimResult| skipped)
}

/// Runs the service while loopscope shows it on a terminal.
fn run_attached(service: &Program, load: &[&str]) -> f64 {
    let mut child = Command::new(&service.0)
        .args(load)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the service");
    let address = format!("pid:{}", child.id());
    let client = ClientProcess::start(&[env!("CARGO_BIN_EXE_loopscope"), "attach", &address]);
    let client = client.expect("start loopscope on a pseudo-terminal");
    let mut text = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut text).expect("read its output");
    child.wait().expect("the service ends");
    drop(client);
    text.trim().parse().unwrap_or_else(|_| panic!("the service printed {text:?}"))
}
