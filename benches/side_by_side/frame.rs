//! What a frame costs, whatever happened: the real drawing of the dashboard, in every way that one looks at a run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopscope::app::{Action, Context, Model, Page, Screen, Session, Step, Viewport, update};
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

/// One person before one screen, and what goes on meanwhile.
struct Screened {
    session: Shown,
    model: Model,
    buffer: Buffer,
    told: Synthetic,
    /// The trace as it was at first, where it is to be kept small, and as small as that.
    small: Option<(Trace, Synthetic)>,
    events: usize,
}

const THEME: Theme = Theme { palette: Palette::Ansi16, ascii: false };

/// Events that come about between two frames: a sixtieth of a second of a busy loop.
const SLICE_EVENTS: usize = 3_000;

impl Screened {
    fn new(tasks: usize, events: usize) -> Self {
        let (mut told, mut trace) = (Synthetic::new(tasks, Telling::Whole, 1), Trace::default());
        told.by_ref().take(events).for_each(|event| trace.apply(event));
        let small = (events <= 1_000_000).then(|| (trace.clone(), told.clone()));
        let model = Model { screen: Screen::Dashboard, ..Model::default() };
        Self { session: Shown { trace }, model, buffer: Buffer::empty(AREA), told, small, events }
    }

    fn frame(&mut self, action: Action) -> Duration {
        let begun = Instant::now();
        draw_into(&mut self.buffer, &self.session, &mut self.model, action);
        begun.elapsed()
    }

    /// The run goes on; one that would become twice as long begins where it was at first.
    fn goes_on(&mut self) {
        let trace = &mut self.session.trace;
        if let Some((first, told)) = self.small.as_ref().filter(|_| trace.counts().events as usize > self.events * 2) {
            (*trace, self.told) = (first.clone(), told.clone());
        }
        self.told.by_ref().take(SLICE_EVENTS).for_each(|event| trace.apply(event));
    }

    /// Makes the next frame one of `looking`, and says what the person does for it.
    fn look(&mut self, looking: Looking, frame: u64) -> Action {
        let end = self.session.trace.now();
        let dashboard = &mut self.model.dashboard;
        // Of no two frames in a row is a column as wide.
        let show = |viewport: &mut Viewport, width: u64| {
            let width = width - width / 2_000 * (frame % 400);
            let from = (end - width.min(end)) / 500 * (frame % 400);
            viewport.show(from, from + width);
        };
        match looking {
            Looking::Still | Looking::Page(_) => dashboard.viewport = Viewport::whole(Axis::Time),
            Looking::New => show(&mut dashboard.viewport, end),
            Looking::Part(parts) => show(&mut dashboard.viewport, (end / parts).max(4_000_000)),
            Looking::Near(width) => show(&mut dashboard.viewport, width),
            Looking::Pan if frame.is_multiple_of(16) => dashboard.viewport.show(end / 3, end / 3 * 2),
            Looking::Pan => return Action::Move(if frame % 16 < 8 { Step::Right } else { Step::Left }),
            Looking::Fit => {
                self.goes_on();
                self.model.dashboard.viewport = Viewport::whole(Axis::Time);
            }
            Looking::Live => {
                self.goes_on();
                if frame == 0 {
                    self.model.dashboard.viewport.show(0, end / 5);
                    return Action::Follow;
                }
            }
            Looking::Polls => dashboard.viewport = Viewport::whole(Axis::Steps),
            Looking::Back => {
                dashboard.viewport = Viewport::whole(Axis::Time);
                return Action::GoTo(end / 1_000 * (frame * 7 % 1_000));
            }
            Looking::Search => {
                dashboard.viewport = Viewport::whole(Axis::Time);
                return match frame % 10 {
                    0 => Action::Search,
                    1 => Action::Type('k'),
                    2 => Action::Type('-'),
                    3 => Action::Type(char::from(b'1' + (frame / 10 % 9) as u8)),
                    9 => Action::Back,
                    _ => Action::Move(Step::Right),
                };
            }
        }
        match looking {
            Looking::Page(page) if frame == 0 => Action::ShowPage(page),
            _ if frame % 40 < 20 => Action::Move(Step::Down),
            _ => Action::Move(Step::Up),
        }
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
    /// Windows that nobody asked for before, half as wide as the run and more.
    New,
    /// The same, of so many parts of the run one at most.
    Part(u64),
    /// The same, so wide in nanoseconds at most.
    Near(u64),
    /// A third of the run, moved a fifth of the screen at a time.
    Pan,
    /// The whole run, while it goes on.
    Fit,
    /// A fifth of the run, which follows it while it goes on.
    Live,
    /// The whole run by polls of the loop.
    Polls,
    /// The whole run, as it was at one time and another.
    Back,
    /// The same while one types what the names of tasks are to have in them, and takes it back.
    Search,
    Page(Page),
}

const WARM_UP_FRAMES: u64 = 20;

/// The times of one and the other, frame by frame in turn, in milliseconds.
fn compare(frames: usize, looking: Looking, one: &mut Screened, other: &mut Screened) -> [Vec<f64>; 2] {
    let mut times = [vec![], vec![]];
    for frame in 0..frames as u64 + WARM_UP_FRAMES {
        let actions = [one.look(looking, frame), other.look(looking, frame)];
        for turn in [frame % 2, 1 - frame % 2] {
            let screened = if turn == 0 { &mut *one } else { &mut *other };
            let took = screened.frame(actions[turn as usize]);
            if frame >= WARM_UP_FRAMES {
                times[turn as usize].push(took.as_nanos() as f64 / 1e6);
            }
        }
    }
    for screened in [one, other] {
        screened.model.dashboard.cursor = None;
        screened.frame(Action::ShowPage(Page::Timeline));
    }
    times
}

fn p99(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * 99 / 100]
}

/// What was paired with what, and the times of each.
fn times(
    frames: usize,
    looking: Looking,
    what: &str,
    many: (usize, usize),
    few: (usize, usize),
) -> (String, Vec<f64>, Vec<f64>) {
    let (mut one, mut other) = (Screened::new(many.0, many.1), Screened::new(few.0, few.1));
    let [times, others] = compare(frames, looking, &mut one, &mut other);
    let told = |times: &[f64]| format!("p99 {:.2} ms, {:.2} in the middle", p99(times), median(times));
    let pairing = format!(
        "a full {}x{} frame, {what}, {frames} frames of each in turn: {} events of {} tasks: {} over {} events of {} tasks: {}",
        AREA.width,
        AREA.height,
        many.1,
        many.0,
        told(&times),
        few.1,
        few.0,
        told(&others),
    );
    (pairing, times, others)
}

fn of_p99((pairing, times, others): (String, Vec<f64>, Vec<f64>)) -> Measured {
    Measured::Ratio { pairing, value: p99(&times) / p99(&others) }
}

fn of_median((pairing, times, others): (String, Vec<f64>, Vec<f64>)) -> Measured {
    Measured::Ratio { pairing, value: median(&times) / median(&others) }
}

fn median(times: &[f64]) -> f64 {
    Spread::of(times.iter().copied()).median
}

const TASKS: usize = 1_000;
const MANY: (usize, usize) = (TASKS, 50_000_000);
const FEW: (usize, usize) = (TASKS, 50_000);
const MANY_TASKS: (usize, usize) = (100_000, 2_000_000);
const FEW_TASKS: (usize, usize) = (100, 2_000_000);

/// p99 of a frame over fifty million events ÷ over fifty thousand.
pub fn by_events(effort: Effort) -> Measured {
    of_p99(times(effort.rounds(1_200), Looking::Still, "the whole run in view", MANY, FEW))
}

/// The same in the middle, of windows that nobody asked for before: there are too few of them for p99 to be anything but
/// what else the machine did.
pub fn new_windows(effort: Effort) -> Measured {
    of_median(times(effort.rounds(600), Looking::New, "each a window that nobody asked for before", MANY, FEW))
}

/// The same in the middle, while the run goes on and is in view as a whole.
pub fn following(effort: Effort) -> Measured {
    let what = format!("the whole run in view, {SLICE_EVENTS} events more in each frame");
    of_median(times(effort.rounds(600), Looking::Fit, &what, MANY, FEW))
}

/// p99 of a frame over a hundred thousand tasks ÷ over a hundred.
pub fn by_tasks(effort: Effort) -> Measured {
    of_p99(times(effort.rounds(1_200), Looking::Still, "the whole run in view", MANY_TASKS, FEW_TASKS))
}

/// The median of a frame over `many` ÷ over `few`, in each way of looking.
fn medians(
    effort: Effort,
    ways: &[(&'static str, Looking)],
    many: (usize, usize),
    few: (usize, usize),
) -> Vec<(&'static str, f64, &'static str)> {
    let (mut one, mut other) = (Screened::new(many.0, many.1), Screened::new(few.0, few.1));
    let numbers = ways.iter().map(|(name, looking)| {
        let [times, others] = compare(effort.rounds(120), *looking, &mut one, &mut other);
        println!("{name}: {:.3} ms in the middle over {:.3}", median(&times), median(&others));
        (*name, median(&times) / median(&others), "times")
    });
    numbers.collect()
}

/// Fifty million events over fifty thousand, in every other way of looking; of a thousand tasks, and of two, which then
/// are polled and await millions of times each.
pub fn other_ways(effort: Effort) -> Measured {
    let ways = [
        ("frame_panned_50m_over_50k", Looking::Pan),
        ("frame_live_50m_over_50k", Looking::Live),
        ("frame_new_tenth_50m_over_50k", Looking::Part(10)),
        ("frame_new_hundredth_50m_over_50k", Looking::Part(100)),
        ("frame_new_100ms_50m_over_50k", Looking::Near(100_000_000)),
        ("frame_new_100us_50m_over_50k", Looking::Near(100_000)),
        ("frame_polls_50m_over_50k", Looking::Polls),
        ("frame_looking_back_50m_over_50k", Looking::Back),
        ("frame_tasks_50m_over_50k", Looking::Page(Page::Tasks)),
        ("frame_resources_50m_over_50k", Looking::Page(Page::Resources)),
        ("frame_wakes_50m_over_50k", Looking::Page(Page::Wakes)),
        ("frame_findings_50m_over_50k", Looking::Page(Page::Findings)),
    ];
    let of_two = [
        ("frame_of_2_tasks_50m_over_50k", Looking::Still),
        ("frame_of_2_tasks_new_50m_over_50k", Looking::New),
        ("frame_of_2_tasks_looking_back_50m_over_50k", Looking::Back),
        ("frame_of_2_tasks_wakes_50m_over_50k", Looking::Page(Page::Wakes)),
    ];
    let mut numbers = medians(effort, &ways, MANY, FEW);
    numbers.extend(medians(effort, &of_two, (2, MANY.1), (2, FEW.1)));
    Measured::Numbers(numbers)
}

/// A hundred thousand tasks over a hundred, in other ways of looking.
pub fn by_tasks_in_other_ways(effort: Effort) -> Measured {
    let ways = [
        ("frame_new_100k_tasks_over_100", Looking::New),
        ("frame_new_tenth_100k_tasks_over_100", Looking::Part(10)),
        ("frame_polls_100k_tasks_over_100", Looking::Polls),
        ("frame_looking_back_100k_tasks_over_100", Looking::Back),
        ("frame_search_100k_tasks_over_100", Looking::Search),
        ("frame_wakes_100k_tasks_over_100", Looking::Page(Page::Wakes)),
        ("frame_follow_100k_tasks_over_100", Looking::Fit),
    ];
    Measured::Numbers(medians(effort, &ways, MANY_TASKS, FEW_TASKS))
}
