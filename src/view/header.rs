//! The header: what is watched, what it is doing, by which clock, and the counts. What matters most comes first and
//! goes last when there is no room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::link;
use super::pen::{self, span};
use super::scene::Watching;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::control::{ClockKind, Link, LinkState, Phase, Speed, Steering};
use crate::insight::units::{how_many, human_number};
use crate::trace::{Axis, Fidelity, Gap, Trace};

/// One thing that the header says.
type Segment = Vec<Span<'static>>;

/// Draws the header in one or two rows.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    let mut first = vec![name(scene), phase(scene), clock(scene)];
    let frozen = scene.model.dashboard.frozen.map(|frozen| frozen.at);
    if let Some(at) = scene.model.dashboard.cursor {
        let at = match scene.model.dashboard.viewport.axis {
            Axis::Time => time::duration(at),
            Axis::Steps => format!("poll {at}"),
        };
        first.push(vec![span(scene.theme, Role::Warning, format!("LOOKING BACK at {at} (esc: now)"))]);
    } else if let Some(at) = frozen {
        let text = format!("picture of {} (space: go on)", time::duration(at));
        first.push(vec![span(scene.theme, Role::Warning, text)]);
    }
    first.push(speed(scene));
    if area.height < 2 {
        first.extend(counts(scene, area.width));
    }
    pen::line(buffer, area, 0, &row(first, area.width));
    pen::line(buffer, area, 1, &row(counts(scene, area.width), area.width));
}

/// Columns that a segment takes.
fn columns(segment: &Segment) -> usize {
    segment.iter().map(Span::width).sum()
}

/// The segments that fit, two spaces apart.
fn row(segments: Vec<Segment>, width: u16) -> Line<'static> {
    let mut line = Line::default();
    for segment in segments {
        let needed = columns(&segment);
        let is_first = line.spans.is_empty();
        if !is_first && line.width() + 2 + needed > usize::from(width) {
            break;
        }
        line.push_span(Span::raw(if is_first { " " } else { "  " }));
        line.spans.extend(segment);
    }
    line
}

fn name(scene: Watching<'_>) -> Segment {
    vec![span(scene.theme, Role::Strong, super::text::cut(&scene.status.name, 32))]
}

/// The phase as a chip that is seen from across the room.
pub fn phase(scene: Watching<'_>) -> Segment {
    let (role, text) = match (&scene.status.link, scene.status.phase) {
        _ if link::is_stopped(scene.status) => (Role::PhasePaused, "PROCESS STOPPED".to_owned()),
        (Some(link), Phase::Running) => {
            let (role, text) = link::chip(link);
            (role, text.to_owned())
        }
        (_, Phase::Running) => (Role::PhaseRunning, "RUNNING".to_owned()),
        (_, phase @ (Phase::Pausing | Phase::Paused)) => (Role::PhasePaused, phase.name().to_uppercase()),
        (Some(Link { state: LinkState::Lost, .. }), Phase::Ended) if !link::has_ended(scene.status) => {
            (Role::PhaseLost, "LOST".to_owned())
        }
        (_, Phase::Ended) => (Role::PhaseEnded, "ENDED".to_owned()),
    };
    let mut chips = vec![span(scene.theme, role, format!(" {text} "))];
    if scene.model.dashboard.frozen.is_some() {
        chips.extend([Span::raw(" "), span(scene.theme, Role::PhasePaused, " FROZEN ")]);
    }
    chips
}

fn clock(scene: Watching<'_>) -> Segment {
    let now = scene.status.now.max(scene.session.trace().now());
    vec![span(scene.theme, Role::Strong, time::instant(now))]
}

fn speed(scene: Watching<'_>) -> Segment {
    let text = match (scene.status.clock, scene.status.speed) {
        // Whose clock it is goes without saying.
        (ClockKind::Real, _) if scene.status.steering != Steering::Loop => scene.status.source.name().to_owned(),
        (ClockKind::Real, _) => "real clock".to_owned(),
        // Nobody drives it here, and how fast that was done there says nothing.
        (ClockKind::Virtual, _) if scene.status.steering != Steering::Loop => {
            format!("{}, virtual clock", scene.status.source.name())
        }
        (ClockKind::Virtual, Speed::Max) => "virtual clock, as fast as it goes".to_owned(),
        (ClockKind::Virtual, speed) => format!("virtual clock {speed}"),
    };
    vec![span(scene.theme, Role::Dim, text)]
}

/// How the tasks stand, in as many words as fit before `others`: of states that nobody is in, of what is over, of any.
fn tasks(scene: Watching<'_>, width: u16, others: &Segment) -> Segment {
    let (theme, trace) = (scene.theme, scene.session.trace());
    let counts = trace.counts();
    let states = [
        ("running", Role::Running, counts.running),
        ("scheduled", Role::Scheduled, counts.scheduled),
        ("waiting", Role::Text, counts.waiting),
        ("done", Role::Done, counts.done),
        ("cancelled", Role::Cancelled, counts.cancelled),
        ("failed", Role::Failed, counts.failed),
    ];
    // These are counted now even where the lanes are looked back on.
    let is_past = scene.model.dashboard.cursor.or(scene.model.dashboard.frozen.map(|frozen| frozen.at));
    let number = human_number(trace.tasks().len() as u64);
    let number = if is_past.is_some() { format!("now: {number}") } else { number };
    let noun = if trace.tasks().len() == 1 { " task" } else { " tasks" };
    // The unhappy ones only take room when there are any.
    let is_usual = |role, count: u32| count > 0 || !matches!(role, Role::Cancelled | Role::Failed);
    let is_news = |role, count: u32| count > 0 && !matches!(role, Role::Done | Role::Cancelled);
    let levels: [&dyn Fn(Role, u32) -> bool; 4] = [&is_usual, &|_, count| count > 0, &is_news, &|_, _| false];
    let told = levels.into_iter().map(|is_told| {
        let mut told = vec![span(theme, Role::Strong, number.clone()), span(theme, Role::Dim, noun)];
        for (name, role, count) in states.into_iter().filter(|(_, role, count)| is_told(*role, *count)) {
            told.push(span(theme, Role::Dim, if told.len() == 2 { ": " } else { ", " }));
            let role = if count == 0 { Role::Dim } else { role };
            told.push(span(theme, role, format!("{} {name}", human_number(u64::from(count)))));
        }
        told
    });
    let fits = |told: &Segment| 1 + columns(told) + 2 + columns(others) <= usize::from(width);
    let mut told: Vec<Segment> = told.collect();
    let level = told.iter().position(fits).unwrap_or(told.len() - 1);
    told.swap_remove(level)
}

/// The counts; how much was seen at all is said before how busy it was.
fn counts(scene: Watching<'_>, width: u16) -> Vec<Segment> {
    let (theme, trace) = (scene.theme, scene.session.trace());
    let counts = trace.counts();
    let losses = losses(theme, trace);
    let numbers = format!("{}, {}", how_many(counts.polls, "poll"), how_many(counts.wakes, "wake"));
    vec![
        tasks(scene, width, &losses),
        losses,
        vec![span(
            theme,
            Role::Text,
            format!("{}{}", if trace.is_foreign() { "" } else { "loop " }, utilisation(scene)),
        )],
        vec![span(theme, Role::Text, numbers)],
        vec![span(
            theme,
            Role::Dim,
            match trace.fidelity() {
                Fidelity::Exact => "exact times",
                Fidelity::Sampled => "sampled",
            },
        )],
    ]
}

/// How busy the loop is, in words that do not name it.
pub fn utilisation(scene: Watching<'_>) -> String {
    let trace = scene.session.trace();
    let (busy, parked) = shares(trace, scene.status.now.max(trace.now()));
    match (trace.is_foreign(), trace.many_threads()) {
        (false, _) => format!("{busy}% busy, {parked}% parked"),
        // Nobody tells when it parks, and several threads may poll at once.
        (true, None) => format!("a task was polled {busy}% of the time"),
        (true, Some(_)) => format!("busy {busy}% of one thread"),
    }
}

/// Whole percents of loop time up to `now` that the loop was awake, the poll under way included, and parked.
fn shares(trace: &Trace, now: u64) -> (u64, u64) {
    let totals = trace.loop_lane().totals_at(now);
    // Several threads may be busy at once.
    let most = if trace.many_threads().is_some() { u64::MAX } else { 100 };
    let percent = |ns: u64| u64::try_from(u128::from(ns) * 100 / u128::from(now.max(1))).unwrap_or(100).min(most);
    (percent(totals.busy_ns), percent(totals.waiting_total_ns()))
}

/// What was not seen: an honest screen says it even when it is nothing.
fn losses(theme: &Theme, trace: &Trace) -> Segment {
    let lost = trace.probe().1 + trace.console().1;
    let forgot = trace.gaps().any(Gap::is_forgotten);
    let rows = |forgotten: &str| match trace.forgotten().tasks {
        0 => String::new(),
        tasks => format!(", {}{forgotten}", how_many(tasks, "task").to_uppercase()),
    };
    let (role, text) = match (lost, forgot) {
        (0, false) if trace.gaps().any(|gap| gap.is_unwatched) => (Role::Warning, "NOT ALL WATCHED".to_owned()),
        (0, false) => (Role::Dim, "nothing lost".to_owned()),
        (0, true) => (Role::Warning, format!("OLDEST FORGOTTEN{}", rows(""))),
        (lost, _) => (Role::Warning, format!("{} LOST{}", how_many(lost, "fact").to_uppercase(), rows(" FORGOTTEN"))),
    };
    vec![span(theme, role, text)]
}
