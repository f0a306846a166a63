//! Draws the pictures of `assets/` from the real program: `cargo run --release --example pictures`.
//!
//! Each is a real run, shown by the real frame loop on a terminal in memory, with real keys pressed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossbeam_channel::unbounded;
use loopscope::app::{Code, Input, Key, Launch, Launcher, Session};
use loopscope::control::{ClockKind, FeedChoice, Phase, Speed};
use loopscope::lab::Options;
use loopscope::session::LabSession;
use loopscope::terminal::Frames;
use loopscope::trace::Trace;
use loopscope::view::{Palette, Theme, picture};
use loopscope::workload::manifest::Manifest;
use loopscope::workload::{catalog, params, program};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts what is launched, at full speed.
struct Stage(Vec<Manifest>);

impl Launcher for Stage {
    fn catalog(&self) -> &[Manifest] {
        &self.0
    }

    fn launch(&mut self, launch: &Launch) -> Result<Box<dyn Session>, String> {
        start(&launch.name, Phase::Running).map_err(|error| format!("{error:#}"))
    }
}

fn start(name: &str, phase: Phase) -> anyhow::Result<Box<dyn Session>> {
    let manifest = catalog::find(name)?;
    let values = params::resolve(&manifest, &[])?;
    let options = Options {
        clock: ClockKind::Virtual,
        speed: Speed::Max,
        feed: FeedChoice::Both,
        paused: phase == Phase::Paused,
        seed: 0,
        until: None,
    };
    let session = LabSession::start(name, program(&manifest, values)?, options, Trace::default())?;
    Ok(Box::new(session.with_source(&manifest.file, &manifest.text)))
}

/// Runs the frame loop on `name` (or the picker): for each step presses its keys and waits until the screen shows its
/// text. Then draws it.
fn draw(file: &str, name: Option<&str>, steps: &[(Vec<Key>, &str)]) -> anyhow::Result<()> {
    let mut stage = Stage(catalog::all());
    let (sender, inputs) = unbounded();
    let terminal = Terminal::new(TestBackend::new(120, 40))?;
    let theme = Theme { palette: Palette::Rgb, ascii: false };
    let mut frames = Frames::new(terminal, inputs, &mut stage, theme);
    if let Some(name) = name {
        frames.watch(start(name, Phase::Paused)?, Some(Launch::of(name)));
    }
    let deadline = Instant::now() + PATIENCE;
    for (keys, shown) in steps {
        keys.iter().try_for_each(|key| sender.send(Input::Key(*key)))?;
        loop {
            frames.turn(Instant::now())?;
            let buffer = frames.terminal().backend().buffer();
            let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
            if text.contains(shown) {
                break;
            }
            ensure!(Instant::now() < deadline, "{file}: `{shown}` did not come: {text}");
            frames.wait(Instant::now());
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(file);
    let title = format!("loopscope: {}", name.unwrap_or("the picker"));
    let drawn = picture::svg(frames.terminal().backend().buffer(), &title);
    std::fs::write(&path, drawn).with_context(|| path.display().to_string())
}

fn main() -> anyhow::Result<()> {
    let typed = |text: &str| text.chars().map(Key::char).collect::<Vec<_>>();
    let above = catalog::all().iter().take_while(|manifest| manifest.name != "chess-async").count();
    draw("picker.svg", None, &[(typed(&"j".repeat(above)), "▸ chess-async")])?;
    let mut until = typed(":until 9m 30s");
    until.push(Key::new(Code::Enter));
    draw("dashboard.svg", Some("chess-async"), &[(until, "9m 30s  virtual"), (typed("jjjjj"), "board-5 #6")])
}
