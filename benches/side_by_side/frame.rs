//! The time to draw a frame, by the number of events and tasks: the real drawing of the dashboard, for every way of
//! viewing a run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopscope::control::{
    ClockKind, ControlLevel, FeedChoice, RunPhase, SessionCommand, SessionStatus, SourceKind, Speed,
};
use loopscope::internals::app::{Action, DashboardPage, Model, Motion, Screen, UpdateContext, Viewport, apply_action};
use loopscope::internals::view::{self, Palette, Scene, Theme};
use loopscope::session::Session;
use loopscope::trace::{Axis, Trace};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paired::Spread;
use crate::synthetic::{EventMix, SyntheticLoop};
use crate::{ClaimResult, Effort};

const AREA: Rect = Rect { x: 0, y: 0, width: 200, height: 60 };

/// A session with a fixed trace.
pub struct StaticSession {
    trace: Trace,
}

impl Session for StaticSession {
    fn trace(&self) -> &Trace {
        &self.trace
    }

    fn status(&self) -> SessionStatus {
        SessionStatus {
            name: "synthetic".to_owned(),
            source: SourceKind::Workload,
            control_level: ControlLevel::Loop,
            connection: None,
            clock: ClockKind::Real,
            speed: Speed::Max,
            phase: RunPhase::Running,
            now: self.trace.now(),
            next_timer: None,
            feed: FeedChoice::Probe,
            outcome: None,
        }
    }

    fn pump(&mut self, _budget: Duration) -> bool {
        false
    }

    fn command(&mut self, _command: SessionCommand) {}

    fn wait(&self, _at_most: Duration) {}
}

/// A screen with its model, and the loop that continues meanwhile.
struct FrameBench {
    session: StaticSession,
    model: Model,
    buffer: Buffer,
    source: SyntheticLoop,
    /// The initial trace and loop, to which a small trace is reset so that it stays small.
    small: Option<(Trace, SyntheticLoop)>,
    events: usize,
}

const THEME: Theme = Theme { palette: Palette::Ansi16, ascii: false };

/// Number of events between two frames: a sixtieth of a second of a busy loop.
const SLICE_EVENTS: usize = 3_000;

impl FrameBench {
    fn new(tasks: usize, events: usize) -> Self {
        let (mut source, mut trace) = (SyntheticLoop::new(tasks, EventMix::Full, 1), Trace::default());
        source.by_ref().take(events).for_each(|event| trace.apply(event));
        let small = (events <= 1_000_000).then(|| (trace.clone(), source.clone()));
        let model = Model { screen: Screen::Dashboard, ..Model::default() };
        Self { session: StaticSession { trace }, model, buffer: Buffer::empty(AREA), source, small, events }
    }

    fn frame(&mut self, action: Action) -> Duration {
        let begun = Instant::now();
        draw_into(&mut self.buffer, &self.session, &mut self.model, action);
        begun.elapsed()
    }

    /// Adds events to the run. Resets a small run once it has doubled.
    fn add_events(&mut self) {
        let trace = &mut self.session.trace;
        if let Some((first, source)) = self.small.as_ref().filter(|_| trace.counts().events as usize > self.events * 2)
        {
            (*trace, self.source) = (first.clone(), source.clone());
        }
        self.source.by_ref().take(SLICE_EVENTS).for_each(|event| trace.apply(event));
    }

    /// Prepares a frame of `mode`, and returns the user's action for it.
    fn prepare(&mut self, mode: ViewMode, frame: u64) -> Action {
        let end = self.session.trace.now();
        let dashboard = &mut self.model.dashboard;
        // The width of a column differs between successive frames.
        let show = |viewport: &mut Viewport, width: u64| {
            let width = width - width / 2_000 * (frame % 400);
            let from = (end - width.min(end)) / 500 * (frame % 400);
            viewport.show(from, from + width);
        };
        match mode {
            ViewMode::Unchanged | ViewMode::Page(_) => dashboard.viewport = Viewport::fit_all(Axis::Time),
            ViewMode::Uncached => show(&mut dashboard.viewport, end),
            ViewMode::UncachedPart(parts) => show(&mut dashboard.viewport, (end / parts).max(4_000_000)),
            ViewMode::UncachedWidth(width) => show(&mut dashboard.viewport, width),
            ViewMode::Pan if frame.is_multiple_of(16) => dashboard.viewport.show(end / 3, end / 3 * 2),
            ViewMode::Pan => return Action::Move(if frame % 16 < 8 { Motion::Right } else { Motion::Left }),
            ViewMode::Fit => {
                self.add_events();
                self.model.dashboard.viewport = Viewport::fit_all(Axis::Time);
            }
            ViewMode::Follow => {
                self.add_events();
                if frame == 0 {
                    self.model.dashboard.viewport.show(0, end / 5);
                    return Action::Follow;
                }
            }
            ViewMode::Steps => dashboard.viewport = Viewport::fit_all(Axis::Steps),
            ViewMode::PastTime => {
                dashboard.viewport = Viewport::fit_all(Axis::Time);
                return Action::GoTo(end / 1_000 * (frame * 7 % 1_000));
            }
            ViewMode::Search => {
                dashboard.viewport = Viewport::fit_all(Axis::Time);
                return match frame % 10 {
                    0 => Action::Search,
                    1 => Action::InsertChar('k'),
                    2 => Action::InsertChar('-'),
                    3 => Action::InsertChar(char::from(b'1' + (frame / 10 % 9) as u8)),
                    9 => Action::Back,
                    _ => Action::Move(Motion::Right),
                };
            }
        }
        match mode {
            ViewMode::Page(page) if frame == 0 => Action::ShowPage(page),
            _ if frame % 40 < 20 => Action::Move(Motion::Down),
            _ => Action::Move(Motion::Up),
        }
    }
}

/// Does what the frame loop does after an input: updates the model, refreshes it, and draws.
fn draw_into(buffer: &mut Buffer, session: &dyn Session, model: &mut Model, action: Action) {
    let scene = Scene { model, session: Some(session), catalog: &[], theme: &THEME };
    let geometry = view::geometry(scene, AREA);
    apply_action(model, action, UpdateContext { session: Some(session), catalog: &[], geometry: &geometry });
    model.refresh(Some(session), &[]);
    buffer.reset();
    view::render(buffer, Scene { model, session: Some(session), catalog: &[], theme: &THEME }, AREA);
    black_box(&*buffer);
}

/// Draws one full frame into a new buffer.
pub fn draw(session: &dyn Session, model: &mut Model, action: Action) {
    draw_into(&mut Buffer::empty(AREA), session, model, action);
}

/// A way of viewing a run, frame by frame.
#[derive(Clone, Copy, PartialEq)]
enum ViewMode {
    /// The whole run, with a moving selection: each frame requests the same columns as the previous one.
    Unchanged,
    /// Uncached windows, at least half as wide as the run.
    Uncached,
    /// Uncached windows of at most one of this many parts of the run.
    UncachedPart(u64),
    /// Uncached windows of at most this many nanoseconds.
    UncachedWidth(u64),
    /// A third of the run, panned by a fifth of the screen at a time.
    Pan,
    /// The whole run, while it continues.
    Fit,
    /// A fifth of the run, which follows the run while it continues.
    Follow,
    /// The whole run on the axis of polls.
    Steps,
    /// The whole run, inspected at past times.
    PastTime,
    /// The whole run, while the user types a search for task names and clears it.
    Search,
    /// A page other than the timeline.
    Page(DashboardPage),
}

const WARM_UP_FRAMES: u64 = 20;

/// Returns the frame times of both screens in milliseconds, measured in turns.
fn compare(frames: usize, mode: ViewMode, one: &mut FrameBench, other: &mut FrameBench) -> [Vec<f64>; 2] {
    let mut times = [vec![], vec![]];
    for frame in 0..frames as u64 + WARM_UP_FRAMES {
        let actions = [one.prepare(mode, frame), other.prepare(mode, frame)];
        for turn in [frame % 2, 1 - frame % 2] {
            let bench = if turn == 0 { &mut *one } else { &mut *other };
            let took = bench.frame(actions[turn as usize]);
            if frame >= WARM_UP_FRAMES {
                times[turn as usize].push(took.as_nanos() as f64 / 1e6);
            }
        }
    }
    for bench in [one, other] {
        bench.model.dashboard.cursor = None;
        bench.frame(Action::ShowPage(DashboardPage::Timeline));
    }
    times
}

fn p99(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * 99 / 100]
}

/// Returns a description of the comparison, and the frame times of both sides.
fn run(
    frames: usize,
    mode: ViewMode,
    what: &str,
    many: (usize, usize),
    few: (usize, usize),
) -> (String, Vec<f64>, Vec<f64>) {
    let (mut one, mut other) = (FrameBench::new(many.0, many.1), FrameBench::new(few.0, few.1));
    let [times, others] = compare(frames, mode, &mut one, &mut other);
    let summary = |times: &[f64]| format!("p99 {:.2} ms, median {:.2} ms", p99(times), median(times));
    let pairing = format!(
        "a full {}x{} frame, {what}, {frames} frames of each in turn: {} events of {} tasks: {} over {} events of {} tasks: {}",
        AREA.width,
        AREA.height,
        many.1,
        many.0,
        summary(&times),
        few.1,
        few.0,
        summary(&others),
    );
    (pairing, times, others)
}

fn p99_ratio((pairing, times, others): (String, Vec<f64>, Vec<f64>)) -> ClaimResult {
    ClaimResult::Ratio { pairing, value: p99(&times) / p99(&others) }
}

fn median_ratio((pairing, times, others): (String, Vec<f64>, Vec<f64>)) -> ClaimResult {
    ClaimResult::Ratio { pairing, value: median(&times) / median(&others) }
}

fn median(times: &[f64]) -> f64 {
    Spread::of(times.iter().copied()).median
}

const TASKS: usize = 1_000;
const MANY: (usize, usize) = (TASKS, 50_000_000);
const FEW: (usize, usize) = (TASKS, 50_000);
const MANY_TASKS: (usize, usize) = (100_000, 2_000_000);
const FEW_TASKS: (usize, usize) = (100, 2_000_000);

/// p99 of a frame over fifty million events, divided by that over fifty thousand.
pub fn by_events(effort: Effort) -> ClaimResult {
    p99_ratio(run(effort.rounds(1_200), ViewMode::Unchanged, "the whole run in view", MANY, FEW))
}

/// Median frame time of uncached windows, fifty million events over fifty thousand. There are too few such windows for
/// a p99 that is not dominated by noise of the machine.
pub fn uncached_windows(effort: Effort) -> ClaimResult {
    median_ratio(run(effort.rounds(600), ViewMode::Uncached, "each an uncached window", MANY, FEW))
}

/// Median frame time while the run continues and is in view as a whole, fifty million events over fifty thousand.
pub fn following(effort: Effort) -> ClaimResult {
    let what = format!("the whole run in view, {SLICE_EVENTS} more events in each frame");
    median_ratio(run(effort.rounds(600), ViewMode::Fit, &what, MANY, FEW))
}

/// p99 of a frame over a hundred thousand tasks, divided by that over a hundred.
pub fn by_tasks(effort: Effort) -> ClaimResult {
    p99_ratio(run(effort.rounds(1_200), ViewMode::Unchanged, "the whole run in view", MANY_TASKS, FEW_TASKS))
}

/// Median frame time over `many` divided by that over `few`, for each way of viewing.
fn medians(
    effort: Effort,
    modes: &[(&'static str, ViewMode)],
    many: (usize, usize),
    few: (usize, usize),
) -> Vec<(&'static str, f64, &'static str)> {
    let (mut one, mut other) = (FrameBench::new(many.0, many.1), FrameBench::new(few.0, few.1));
    let numbers = modes.iter().map(|(name, mode)| {
        let [times, others] = compare(effort.rounds(120), *mode, &mut one, &mut other);
        println!("{name}: median {:.3} ms over {:.3} ms", median(&times), median(&others));
        (*name, median(&times) / median(&others), "times")
    });
    numbers.collect()
}

/// Fifty million events over fifty thousand, for every other way of viewing: with a thousand tasks, and with two tasks
/// of millions of polls and awaits each.
pub fn other_modes_by_events(effort: Effort) -> ClaimResult {
    let modes = [
        ("frame_panned_50m_over_50k", ViewMode::Pan),
        ("frame_live_50m_over_50k", ViewMode::Follow),
        ("frame_new_tenth_50m_over_50k", ViewMode::UncachedPart(10)),
        ("frame_new_hundredth_50m_over_50k", ViewMode::UncachedPart(100)),
        ("frame_new_100ms_50m_over_50k", ViewMode::UncachedWidth(100_000_000)),
        ("frame_new_100us_50m_over_50k", ViewMode::UncachedWidth(100_000)),
        ("frame_polls_50m_over_50k", ViewMode::Steps),
        ("frame_looking_back_50m_over_50k", ViewMode::PastTime),
        ("frame_tasks_50m_over_50k", ViewMode::Page(DashboardPage::Tasks)),
        ("frame_resources_50m_over_50k", ViewMode::Page(DashboardPage::Resources)),
        ("frame_wakes_50m_over_50k", ViewMode::Page(DashboardPage::Wakes)),
        ("frame_findings_50m_over_50k", ViewMode::Page(DashboardPage::Findings)),
    ];
    let two_task_modes = [
        ("frame_of_2_tasks_50m_over_50k", ViewMode::Unchanged),
        ("frame_of_2_tasks_new_50m_over_50k", ViewMode::Uncached),
        ("frame_of_2_tasks_looking_back_50m_over_50k", ViewMode::PastTime),
        ("frame_of_2_tasks_wakes_50m_over_50k", ViewMode::Page(DashboardPage::Wakes)),
    ];
    let mut numbers = medians(effort, &modes, MANY, FEW);
    numbers.extend(medians(effort, &two_task_modes, (2, MANY.1), (2, FEW.1)));
    ClaimResult::Numbers(numbers)
}

/// A hundred thousand tasks over a hundred, for other ways of viewing.
pub fn other_modes_by_tasks(effort: Effort) -> ClaimResult {
    let modes = [
        ("frame_new_100k_tasks_over_100", ViewMode::Uncached),
        ("frame_new_tenth_100k_tasks_over_100", ViewMode::UncachedPart(10)),
        ("frame_polls_100k_tasks_over_100", ViewMode::Steps),
        ("frame_looking_back_100k_tasks_over_100", ViewMode::PastTime),
        ("frame_search_100k_tasks_over_100", ViewMode::Search),
        ("frame_wakes_100k_tasks_over_100", ViewMode::Page(DashboardPage::Wakes)),
        ("frame_follow_100k_tasks_over_100", ViewMode::Fit),
    ];
    ClaimResult::Numbers(medians(effort, &modes, MANY_TASKS, FEW_TASKS))
}
