//! Archive claims: size and load time.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope::control::RunOutcome;
use loopscope::feed::archive::{ArchiveHeader, ArchiveWriter, encode_beginning};
use loopscope::internals::app::{Action, Model, Screen};
use loopscope::session::{ArchiveSession, Session};
use loopscope::trace::Trace;

use crate::frame;
use crate::paired::{Spread, measure_rounds};
use crate::store::{EVENT_MIXES, EVENTS, TASKS};
use crate::synthetic::{EventMix, SyntheticLoop};
use crate::{ClaimResult, Effort};

/// Returns an archive that was written incrementally, of the same events as in the in-memory claim.
fn write_incrementally(mix: EventMix) -> Vec<u8> {
    let mut bytes = encode_beginning(&ArchiveHeader { name: "synthetic".to_owned(), ..ArchiveHeader::default() });
    let (mut trace, mut writer) = (Trace::default(), ArchiveWriter::default());
    for (number, event) in SyntheticLoop::new(TASKS, mix, 1).take(EVENTS).enumerate() {
        trace.apply(event);
        if number % 50_000 == 0 {
            writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
        }
    }
    writer.write_new_chunks(&trace, &mut bytes).expect("writing to memory cannot fail");
    writer.flush(&mut bytes).expect("writing to memory cannot fail");
    bytes.extend(writer.encode_tail(&trace, Some(&RunOutcome::Cancelled), "").expect("the tail fits a chunk"));
    bytes
}

/// Bytes of the archive ÷ number of events.
pub fn bytes_per_event(_: Effort) -> ClaimResult {
    let results = EVENT_MIXES.map(|(_, mix, name)| (write_incrementally(mix).len() as f64 / EVENTS as f64, name));
    let summary = results.map(|(bytes, name)| format!("{name}: {bytes:.2}")).join("; ");
    let millions = EVENTS / 1_000_000;
    let pairing = format!("bytes per event in an archive of {millions} million events of {TASKS} tasks; {summary}");
    ClaimResult::Ratio { pairing, value: results.map(|(bytes, _)| bytes).into_iter().fold(0.0, f64::max) }
}

/// Opens an archive and draws its first frame. Returns the time this takes.
fn time_open(path: &Path) -> Duration {
    let start = Instant::now();
    let Ok(session) = ArchiveSession::open(path, usize::MAX) else { return Duration::ZERO };
    let session: &dyn Session = &session;
    let mut model = Model { screen: Screen::Dashboard, ..Model::default() };
    frame::draw(session, &mut model, Action::FitAll);
    start.elapsed()
}

fn as_ns(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

/// Reads a file. Returns the time this takes.
fn time_read(path: &Path) -> Duration {
    let start = Instant::now();
    black_box(std::fs::read(path).map_or(0, |bytes| bytes.len()));
    start.elapsed()
}

/// Time to open an archive up to the first full frame ÷ time to read the bytes of the file.
pub fn load_over_read(effort: Effort) -> ClaimResult {
    let path = std::env::temp_dir().join(format!("loopscope-bench-{}.loop", std::process::id()));
    let bytes = write_incrementally(EventMix::Full);
    if let Err(error) = std::fs::write(&path, &bytes) {
        return ClaimResult::Skipped(format!("cannot write a temporary file: {error}"));
    }
    let times = measure_rounds(effort.rounds(60), &[&|| as_ns(time_read(&path)), &|| as_ns(time_open(&path))]);
    let _ = std::fs::remove_file(&path);
    let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(|round| of(round) / 1e6));
    let pairing = format!(
        "archive of {} million events, {:.1} MB: opened up to the first full frame in {} ms, read in {} ms",
        EVENTS / 1_000_000,
        bytes.len() as f64 / 1e6,
        spread(|[_, opened]| *opened),
        spread(|[read, _]| *read),
    );
    ClaimResult::Ratio { pairing, value: Spread::of(times.iter().map(|[read, opened]| opened / read)).median }
}
