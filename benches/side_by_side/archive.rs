//! What an archive costs: its bytes, and opening it.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use loopscope::app::{Action, Model, Screen, Session};
use loopscope::control::Outcome;
use loopscope::feed::archive::{Head, Writer, beginning};
use loopscope::session::ArchiveSession;
use loopscope::trace::Trace;

use crate::frame;
use crate::pairs::{Spread, rounds};
use crate::store::{EVENTS, TASKS, TELLINGS};
use crate::synthetic::{Synthetic, Telling};
use crate::{Effort, Measured};

/// The same trace as for the bytes in memory, as a file that was written as it came.
fn written(telling: Telling) -> Vec<u8> {
    let mut bytes = beginning(&Head { name: "synthetic".to_owned(), ..Head::default() });
    let (mut trace, mut writer) = (Trace::default(), Writer::default());
    for (number, event) in Synthetic::new(TASKS, telling, 1).take(EVENTS).enumerate() {
        trace.apply(event);
        if number % 50_000 == 0 {
            writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
        }
    }
    writer.new_chunks(&trace, &mut bytes).expect("memory takes it");
    writer.flush(&mut bytes).expect("memory takes it");
    bytes.extend(writer.rest(&trace, Some(&Outcome::Cancelled), "").expect("it is short"));
    bytes
}

/// Bytes of the file ÷ events.
pub fn bytes_per_event(_: Effort) -> Measured {
    let each = TELLINGS.map(|(_, telling, name)| (written(telling).len() as f64 / EVENTS as f64, name));
    let told = each.map(|(bytes, name)| format!("{name}: {bytes:.2}")).join("; ");
    let pairing = format!("bytes of an archive of {} million events of {TASKS} tasks; {told}", EVENTS / 1_000_000);
    Measured::Ratio { pairing, value: each.map(|(bytes, _)| bytes).into_iter().fold(0.0, f64::max) }
}

fn opened(path: &Path) -> Duration {
    let begun = Instant::now();
    let Ok(session) = ArchiveSession::open(path, usize::MAX) else { return Duration::ZERO };
    let session: &dyn Session = &session;
    let mut model = Model { screen: Screen::Dashboard, ..Model::default() };
    frame::draw(session, &mut model, Action::FitAll);
    begun.elapsed()
}

fn ns(taken: Duration) -> f64 {
    taken.as_nanos() as f64
}

fn read(path: &Path) -> Duration {
    let begun = Instant::now();
    black_box(std::fs::read(path).map_or(0, |bytes| bytes.len()));
    begun.elapsed()
}

/// Opening an archive to the first full frame ÷ reading the file's bytes.
pub fn load_over_read(effort: Effort) -> Measured {
    let path = std::env::temp_dir().join(format!("loopscope-bench-{}.loop", std::process::id()));
    let bytes = written(Telling::Whole);
    if let Err(error) = std::fs::write(&path, &bytes) {
        return Measured::Skipped(format!("a file to write to: {error}"));
    }
    let times = rounds(effort.rounds(60), &[&|| ns(read(&path)), &|| ns(opened(&path))]);
    let _ = std::fs::remove_file(&path);
    let spread = |of: fn(&[f64; 2]) -> f64| Spread::of(times.iter().map(|round| of(round) / 1e6));
    let pairing = format!(
        "an archive of {} million events, {:.1} MB: opened to its first full frame in {} ms over read in {} ms",
        EVENTS / 1_000_000,
        bytes.len() as f64 / 1e6,
        spread(|[_, opened]| *opened),
        spread(|[read, _]| *read),
    );
    Measured::Ratio { pairing, value: Spread::of(times.iter().map(|[read, opened]| opened / read)).median }
}
