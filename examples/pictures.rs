//! Generates the screenshots in `assets/`: `cargo run --release --example pictures`.
//!
//! Each is a real run, rendered by the real frame loop on an in-memory terminal, driven by key presses.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossbeam_channel::unbounded;
use loopscope::control::{ClockKind, FeedChoice, RunPhase, Speed};
use loopscope::internals::app::{InputEvent, KeyCode, KeyPress};
use loopscope::internals::terminal::EventLoop;
use loopscope::internals::view::{Palette, Theme, render_svg};
use loopscope::lab::LoopOptions;
use loopscope::session::{LabSession, LaunchRequest, Launcher, Session};
use loopscope::trace::Trace;
use loopscope::workload::manifest::Manifest;
use loopscope::workload::{build_program, catalog, params};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Launches workloads at full speed.
struct PictureLauncher(Vec<Manifest>);

impl Launcher for PictureLauncher {
    fn catalog(&self) -> &[Manifest] {
        &self.0
    }

    fn launch(&mut self, launch: &LaunchRequest) -> Result<Box<dyn Session>, String> {
        start(&launch.name, RunPhase::Running).map_err(|error| format!("{error:#}"))
    }
}

fn start(name: &str, phase: RunPhase) -> anyhow::Result<Box<dyn Session>> {
    let manifest = catalog::find(name)?;
    let values = params::resolve(&manifest, &[])?;
    let options = LoopOptions {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        start_paused: phase == RunPhase::Paused,
        seed: 0,
        stop_at: None,
    };
    let session = LabSession::start(name, build_program(&manifest, values)?, options, Trace::default())?;
    Ok(Box::new(session.with_source(&manifest.file, &manifest.text)))
}

/// Runs the frame loop on workload `name`, or on the picker. Each step presses keys and waits until the screen shows a
/// text. Then writes the screen to `file`.
fn draw(file: &str, name: Option<&str>, steps: &[(Vec<KeyPress>, &str)]) -> anyhow::Result<()> {
    let mut launcher = PictureLauncher(catalog::built_in_workloads());
    let (sender, inputs) = unbounded();
    let terminal = Terminal::new(TestBackend::new(120, 40))?;
    let theme = Theme { palette: Palette::Rgb, ascii: false };
    let mut event_loop = EventLoop::new(terminal, inputs, &mut launcher, theme);
    if let Some(name) = name {
        event_loop.watch(start(name, RunPhase::Paused)?, Some(LaunchRequest::with_defaults(name)));
    }
    let deadline = Instant::now() + TIMEOUT;
    for (keys, expected) in steps {
        keys.iter().try_for_each(|key| sender.send(InputEvent::Key(*key)))?;
        loop {
            event_loop.run_once(Instant::now())?;
            let buffer = event_loop.terminal().backend().buffer();
            let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
            if text.contains(expected) {
                break;
            }
            ensure!(Instant::now() < deadline, "{file}: `{expected}` did not appear: {text}");
            event_loop.wait(Instant::now());
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(file);
    let title = format!("loopscope: {}", name.unwrap_or("the picker"));
    let rendered = render_svg(event_loop.terminal().backend().buffer(), &title);
    std::fs::write(&path, rendered).with_context(|| path.display().to_string())
}

fn main() -> anyhow::Result<()> {
    let typed = |text: &str| text.chars().map(KeyPress::char).collect::<Vec<_>>();
    let above = catalog::built_in_workloads().iter().take_while(|manifest| manifest.name != "chess-async").count();
    draw("picker.svg", None, &[(typed(&"j".repeat(above)), "▸ chess-async")])?;
    let mut until = typed(":until 9m 30s");
    until.push(KeyPress::new(KeyCode::Enter));
    draw("dashboard.svg", Some("chess-async"), &[(until, "9m 30s  virtual"), (typed("jjjjj"), "board-5 #6")])
}
