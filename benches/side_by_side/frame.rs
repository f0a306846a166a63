//! What a frame costs, whatever happened: the real drawing of the dashboard, the whole run in view.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopscope::app::{Action, Context, Model, Screen, Session, Step, Viewport, update};
use loopscope::control::{ClockKind, Command, FeedChoice, Phase, SourceKind, Speed, Status, Steering};
use loopscope::trace::{Axis, Trace};
use loopscope::view::{self, Palette, Scene, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::pairs::Spread;
use crate::synthetic::{Synthetic, Telling};
use crate::{Effort, Measured};

const AREA: Rect = Rect { x: 0, y: 0, width: 200, height: 60 };

/// A session that has come this far and is looked at.
pub struct Shown {
    trace: Trace,
}

impl Session for Shown {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> Status {
        Status {
            name: "synthetic".to_owned(),
            source: SourceKind::Workload,
            steering: Steering::Loop,
            link: None,
            clock: ClockKind::Real,
            speed: Speed::Max,
            phase: Phase::Running,
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome: None,
        }
    }

    fn pump(&mut self, _budget: Duration) -> bool {
        false
    }

    fn command(&mut self, _command: Command) {}

    fn wait(&self, _at_most: Duration) {}
}

/// One person before one screen.
struct Screened {
    session: Shown,
    model: Model,
    buffer: Buffer,
}

const THEME: Theme = Theme { palette: Palette::Ansi16, ascii: false };

impl Screened {
    fn new(trace: Trace) -> Self {
        let model = Model { screen: Screen::Dashboard, ..Model::default() };
        Self { session: Shown { trace }, model, buffer: Buffer::empty(AREA) }
    }

    fn frame(&mut self, action: Action) -> Duration {
        let begun = Instant::now();
        draw_into(&mut self.buffer, &self.session, &mut self.model, action);
        begun.elapsed()
    }
}

/// What the frame loop does after an input: takes it, looks at what is new, and draws.
fn draw_into(buffer: &mut Buffer, session: &dyn Session, model: &mut Model, action: Action) {
    let scene = Scene { model, session: Some(session), catalog: &[], theme: &THEME };
    let geometry = view::geometry(scene, AREA);
    update(model, action, Context { session: Some(session), catalog: &[], geometry: &geometry });
    model.refresh(Some(session), &[]);
    buffer.reset();
    view::render(buffer, Scene { model, session: Some(session), catalog: &[], theme: &THEME }, AREA);
    black_box(&*buffer);
}

/// One full frame, whatever there was before it.
pub fn draw(session: &dyn Session, model: &mut Model, action: Action) {
    draw_into(&mut Buffer::empty(AREA), session, model, action);
}

/// What is drawn, frame after frame.
#[derive(Clone, Copy, PartialEq)]
enum Looking {
    /// The whole run, with the selection moving: what the frame before it asked for is asked for again.
    Still,
    /// A window that nobody asked for before, nearly as wide as the run.
    About,
}

/// The times of one and the other, frame by frame in turn, in milliseconds.
fn compare(frames: usize, looking: Looking, one: &mut Screened, other: &mut Screened) -> (Vec<f64>, Vec<f64>) {
    const WARM_UP_FRAMES: usize = 20;
    let (mut times, mut others) = (vec![], vec![]);
    for frame in 0..frames + WARM_UP_FRAMES {
        let action = match looking {
            Looking::Still if frame % 40 < 20 => Action::Move(Step::Down),
            Looking::Still => Action::Move(Step::Up),
            Looking::About => Action::GoTo(0),
        };
        for screened in [&mut *one, &mut *other] {
            match looking {
                Looking::Still => screened.model.dashboard.viewport = Viewport::whole(Axis::Time),
                Looking::About => {
                    let end = screened.session.trace.now();
                    screened.model.dashboard.viewport.show(frame as u64 + 1, end - end / 100 + frame as u64 * 7);
                }
            }
        }
        let (first, second) = if frame % 2 == 0 {
            let first = one.frame(action);
            (first, other.frame(action))
        } else {
            let second = other.frame(action);
            (one.frame(action), second)
        };
        if frame >= WARM_UP_FRAMES {
            times.push(first.as_nanos() as f64 / 1e6);
            others.push(second.as_nanos() as f64 / 1e6);
        }
    }
    (times, others)
}

fn p99(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * 99 / 100]
}

fn ratio(effort: Effort, what: &str, (one, one_name): (Trace, &str), (other, other_name): (Trace, &str)) -> Measured {
    let (mut one, mut other) = (Screened::new(one), Screened::new(other));
    let frames = effort.rounds(1_200);
    let (times, others) = compare(frames, Looking::Still, &mut one, &mut other);
    let (new, new_others) = compare(frames / 4, Looking::About, &mut one, &mut other);
    let told = |times: &[f64]| format!("p99 {:.2} ms, median {}", p99(times), Spread::of(times.iter().copied()));
    let pairing = format!(
        "a full {}x{} frame, {what}, {frames} frames of each in turn: {one_name} {} over {other_name} {}; a window that \
         nobody asked for before: {} over {}",
        AREA.width,
        AREA.height,
        told(&times),
        told(&others),
        told(&new),
        told(&new_others),
    );
    Measured::Ratio { pairing, value: p99(&times) / p99(&others) }
}

fn trace(tasks: usize, events: usize) -> Trace {
    let mut trace = Trace::default();
    Synthetic::new(tasks, Telling::Whole, 1).take(events).for_each(|event| trace.apply(event));
    trace
}

/// p99 of a frame over fifty million events ÷ over fifty thousand.
pub fn by_events(effort: Effort) -> Measured {
    const TASKS: usize = 1_000;
    let (many, few) = (trace(TASKS, 50_000_000), trace(TASKS, 50_000));
    ratio(effort, "the whole run of 1,000 tasks in view", (many, "50 million events"), (few, "50 thousand"))
}

/// p99 of a frame over a hundred thousand tasks ÷ over a hundred.
pub fn by_tasks(effort: Effort) -> Measured {
    const EVENTS: usize = 2_000_000;
    let (many, few) = (trace(100_000, EVENTS), trace(100, EVENTS));
    ratio(effort, "2 million events in view", (many, "100,000 tasks"), (few, "100 tasks"))
}
