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
        first.extend(counts(scene));
    }
    pen::line(buffer, area, 0, &row(first, area.width));
    pen::line(buffer, area, 1, &row(counts(scene), area.width));
}

/// The segments that fit, two spaces apart.
fn row(segments: Vec<Segment>, width: u16) -> Line<'static> {
    let mut line = Line::default();
    for segment in segments {
        let needed: usize = segment.iter().map(Span::width).sum();
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
        (ClockKind::Virtual, Speed::Max) => "virtual clock, as fast as it goes".to_owned(),
        (ClockKind::Virtual, speed) => format!("virtual clock {speed}"),
    };
    vec![span(scene.theme, Role::Dim, text)]
}

fn counts(scene: Watching<'_>) -> Vec<Segment> {
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
    let number = match is_past {
        Some(_) => format!("now: {}", trace.tasks().len()),
        None => trace.tasks().len().to_string(),
    };
    let mut tasks = vec![span(theme, Role::Strong, number), span(theme, Role::Dim, " tasks")];
    for (index, (name, role, count)) in states.into_iter().enumerate() {
        // The unhappy ones only take room when there are any.
        if index < 4 || count > 0 {
            tasks.push(span(theme, Role::Dim, if tasks.len() == 2 { ": " } else { ", " }));
            let role = if count == 0 { Role::Dim } else { role };
            tasks.push(span(theme, role, format!("{count} {name}")));
        }
    }
    let numbers = format!("{} polls, {} wakes", counts.polls, counts.wakes);
    vec![
        tasks,
        losses(theme, trace),
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

/// How many rows of tasks are forgotten, where some are.
fn forgotten_tasks(trace: &Trace) -> String {
    match trace.forgotten().tasks {
        0 => String::new(),
        1 => ", 1 TASK".to_owned(),
        tasks => format!(", {tasks} TASKS"),
    }
}

/// What was not seen: an honest screen says it even when it is nothing.
fn losses(theme: &Theme, trace: &Trace) -> Segment {
    let lost = trace.probe().1 + trace.console().1;
    let forgot = trace.gaps().any(Gap::is_forgotten);
    let (role, text) = match (lost, forgot) {
        (0, false) if trace.gaps().any(|gap| gap.is_unwatched) => (Role::Warning, "NOT ALL WATCHED".to_owned()),
        (0, false) => (Role::Dim, "nothing lost".to_owned()),
        (0, true) => (Role::Warning, format!("OLDEST FORGOTTEN{}", forgotten_tasks(trace))),
        (lost, _) => (Role::Warning, format!("{lost} FACTS LOST{}", forgotten_tasks(trace))),
    };
    vec![span(theme, role, text)]
}
