//! Header: name, phase and clock of the session, and its counts. Segments that do not fit are dropped from the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::canvas::{self, span};
use super::connection_status;
use super::scene::SessionScene;
use super::theme::{Role, Theme};
use crate::app::time;
use crate::control::{ClockKind, ConnectionState, ConnectionStatus, ControlLevel, RunPhase, Speed};
use crate::insight::Severity;
use crate::insight::units::{human_number, pluralize};
use crate::trace::{Axis, Fidelity, Gap, Nanos, Trace};

/// One unit of text in the header, shown whole or not at all.
type Segment = Vec<Span<'static>>;

/// Draws the header in one or two rows.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    let mut first = vec![name(scene), phase(scene), clock(scene)];
    first.extend(badge(scene));
    let frozen = scene.model.dashboard.frozen.map(|frozen| frozen.at);
    if let Some(at) = scene.model.dashboard.cursor {
        let at = match scene.model.dashboard.viewport.axis {
            Axis::Time => time::duration(at),
            Axis::Steps => format!("poll {at}"),
        };
        first.push(vec![span(scene.theme, Role::Warning, format!("LOOKING BACK at {at} (esc: now)"))]);
    } else if let Some(at) = frozen {
        let text = format!("view frozen at {} (space: resume)", time::duration(at));
        first.push(vec![span(scene.theme, Role::Warning, text)]);
    }
    first.push(speed(scene));
    if area.height < 2 {
        first.extend(counts(scene, area.width));
    }
    canvas::put_line(buffer, area, 0, &join_segments(first, area.width));
    canvas::put_line(buffer, area, 1, &join_segments(counts(scene, area.width), area.width));
}

/// Width of a segment, in columns.
fn segment_width(segment: &Segment) -> usize {
    segment.iter().map(Span::width).sum()
}

/// Joins the segments that fit, two spaces apart.
fn join_segments(segments: Vec<Segment>, width: u16) -> Line<'static> {
    let mut line = Line::default();
    for segment in segments {
        let needed = segment_width(&segment);
        let is_first = line.spans.is_empty();
        if !is_first && line.width() + 2 + needed > usize::from(width) {
            break;
        }
        line.push_span(Span::raw(if is_first { " " } else { "  " }));
        line.spans.extend(segment);
    }
    line
}

fn name(scene: SessionScene<'_>) -> Segment {
    vec![span(scene.theme, Role::Strong, super::text::truncate(&scene.status.name, 32))]
}

/// The phase as a coloured chip, and a second chip if the view is frozen.
pub fn phase(scene: SessionScene<'_>) -> Segment {
    let (role, text) = match (&scene.status.connection, scene.status.phase) {
        _ if connection_status::is_process_stopped(scene.status) => (Role::PhasePaused, "PROCESS STOPPED".to_owned()),
        (Some(connection), RunPhase::Running) => {
            let (role, text) = connection_status::chip(connection);
            (role, text.to_owned())
        }
        (_, RunPhase::Running) => (Role::PhaseRunning, "RUNNING".to_owned()),
        (_, phase @ (RunPhase::Pausing | RunPhase::Paused)) => (Role::PhasePaused, phase.name().to_uppercase()),
        (Some(ConnectionStatus { state: ConnectionState::Lost, .. }), RunPhase::Ended)
            if !connection_status::is_outcome_known(scene.status) =>
        {
            (Role::PhaseLost, "LOST".to_owned())
        }
        (_, RunPhase::Ended) => (Role::PhaseEnded, "ENDED".to_owned()),
    };
    let mut chips = vec![span(scene.theme, role, format!(" {text} "))];
    if scene.model.dashboard.frozen.is_some() {
        chips.extend([Span::raw(" "), span(scene.theme, Role::PhasePaused, " FROZEN ")]);
    }
    chips
}

/// The name of the worst finding and the number of others; `None` without findings.
fn badge(scene: SessionScene<'_>) -> Option<Segment> {
    let found = scene.model.badge_findings();
    let worst = found.worst()?;
    let role = match worst.severity {
        Severity::Error => Role::Error,
        Severity::Warn => Role::Warning,
        Severity::Note => Role::Dim,
    };
    let others = found.listed.len() as u64 - 1 + found.unlisted;
    let more = if others == 0 { String::new() } else { format!(" +{}", human_number(others)) };
    Some(vec![span(scene.theme, role, format!("! {}{more} (n)", worst.name))])
}

fn clock(scene: SessionScene<'_>) -> Segment {
    let now = scene.status.now.max(scene.session.trace().now());
    vec![span(scene.theme, Role::Strong, time::instant(now))]
}

fn speed(scene: SessionScene<'_>) -> Segment {
    let text = match (scene.status.clock, scene.status.speed) {
        // The source implies the clock.
        (ClockKind::Real, _) if scene.status.control_level != ControlLevel::Loop => {
            scene.status.source.name().to_owned()
        }
        (ClockKind::Real, _) => "real clock".to_owned(),
        // The speed at which it was recorded is meaningless here.
        (ClockKind::Virtual, _) if scene.status.control_level != ControlLevel::Loop => {
            format!("{}, virtual clock", scene.status.source.name())
        }
        (ClockKind::Virtual, Speed::Max) => "virtual clock, max speed".to_owned(),
        (ClockKind::Virtual, speed) => format!("virtual clock {speed}"),
    };
    vec![span(scene.theme, Role::Dim, text)]
}

/// Task counts by state, as detailed as fits before `others`. Empty states are left out first, then ended tasks, then
/// all states.
fn tasks(scene: SessionScene<'_>, width: u16, others: &Segment) -> Segment {
    let (theme, trace) = (scene.theme, scene.session.trace());
    let counts = trace.task_counts();
    let states = [
        ("running", Role::Running, counts.running),
        ("scheduled", Role::Scheduled, counts.scheduled),
        ("waiting", Role::Text, counts.waiting),
        ("held", Role::Held, counts.held),
        ("done", Role::Done, counts.completed),
        ("cancelled", Role::Cancelled, counts.cancelled),
        ("failed", Role::Failed, counts.failed),
    ];
    // The counts are current even if a time cursor is set.
    let is_past = scene.model.dashboard.cursor.or(scene.model.dashboard.frozen.map(|frozen| frozen.at));
    let number = human_number(counts.spawned);
    let number = if is_past.is_some() { format!("now: {number}") } else { number };
    let noun = if counts.spawned == 1 { " task" } else { " tasks" };
    // Held, cancelled and failed take space only if there are any.
    let is_usual = |role, count: u32| count > 0 || !matches!(role, Role::Held | Role::Cancelled | Role::Failed);
    let is_unfinished = |role, count: u32| count > 0 && !matches!(role, Role::Done | Role::Cancelled);
    let levels: [&dyn Fn(Role, u32) -> bool; 4] = [&is_usual, &|_, count| count > 0, &is_unfinished, &|_, _| false];
    let candidates = levels.into_iter().map(|is_shown| {
        let mut segment = vec![span(theme, Role::Strong, number.clone()), span(theme, Role::Dim, noun)];
        for (name, role, count) in states.into_iter().filter(|(_, role, count)| is_shown(*role, *count)) {
            segment.push(span(theme, Role::Dim, if segment.len() == 2 { ": " } else { ", " }));
            let role = if count == 0 { Role::Dim } else { role };
            segment.push(span(theme, role, format!("{} {name}", human_number(u64::from(count)))));
        }
        segment
    });
    let fits = |segment: &Segment| 1 + segment_width(segment) + 2 + segment_width(others) <= usize::from(width);
    let mut candidates: Vec<Segment> = candidates.collect();
    let level = candidates.iter().position(fits).unwrap_or(candidates.len() - 1);
    candidates.swap_remove(level)
}

/// Segments of the second row. Dropped events come before utilisation, which depends on them.
fn counts(scene: SessionScene<'_>, width: u16) -> Vec<Segment> {
    let (theme, trace) = (scene.theme, scene.session.trace());
    let counts = trace.counts();
    let losses = losses(theme, trace);
    let numbers = format!("{}, {}", pluralize(counts.polls, "poll"), pluralize(counts.wakes, "wake"));
    let mut segments = vec![
        tasks(scene, width, &losses),
        losses,
        vec![span(
            theme,
            Role::Text,
            format!("{}{}", if trace.is_external() { "" } else { "loop " }, utilisation(scene)),
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
    ];
    if let Some(depth) = trace.queue_depth_at(None, Nanos::MAX) {
        let text = format!("global queue {} (sampled)", human_number(depth.into()));
        segments.push(vec![span(theme, Role::Text, text)]);
    }
    segments
}

/// Utilisation of the loop, without its name.
pub fn utilisation(scene: SessionScene<'_>) -> String {
    let trace = scene.session.trace();
    let now = scene.status.now.max(trace.now());
    if !trace.workers().is_empty() {
        let (busy, parked) = worker_shares(trace, now);
        return format!("workers {busy}% busy, {parked}% parked");
    }
    let (busy, parked) = shares(trace, now);
    match (trace.is_external(), trace.multi_threaded_since()) {
        (false, _) => format!("{busy}% busy, {parked}% parked"),
        // Park times are not reported, and several threads may poll at once.
        (true, None) => format!("polling {busy}% of the time"),
        (true, Some(_)) => format!("busy {busy}% of one thread"),
    }
}

/// Percent of the loop time up to `now` that the loop was busy, including the poll in progress, and parked.
fn shares(trace: &Trace, now: u64) -> (u64, u64) {
    let totals = trace.loop_lane().totals_at(now);
    // Several threads may be busy at once, so the sum can exceed 100 %.
    let most = if trace.multi_threaded_since().is_some() { u64::MAX } else { 100 };
    let percent = |ns: u64| u64::try_from(u128::from(ns) * 100 / u128::from(now.max(1))).unwrap_or(100).min(most);
    (percent(totals.busy_ns), percent(totals.waiting_total_ns()))
}

/// Percent of the time of all workers up to `now` that they were in polls, and parked.
fn worker_shares(trace: &Trace, now: u64) -> (u64, u64) {
    let (mut busy_ns, mut parked_ns, mut all_ns) = (0_u64, 0_u64, 0_u64);
    for worker in trace.workers() {
        let (busy, parked) = worker.busy_and_parked_ns(now);
        busy_ns = busy_ns.saturating_add(busy);
        parked_ns = parked_ns.saturating_add(parked);
        all_ns = all_ns.saturating_add(now.saturating_sub(worker.known_since()));
    }
    let percent = |ns: u64| u64::try_from(u128::from(ns) * 100 / u128::from(all_ns.max(1))).unwrap_or(100).min(100);
    (percent(busy_ns), percent(parked_ns))
}

/// Dropped events, evicted tasks and gaps; shown even if there are none.
fn losses(theme: &Theme, trace: &Trace) -> Segment {
    let dropped = trace.probe_feed_counts().1 + trace.console_feed_counts().1;
    let has_evictions = trace.gaps_since_recording().any(Gap::is_evicted);
    let evicted_tasks = |suffix: &str| match trace.evicted().count {
        0 => String::new(),
        tasks => format!(", {}{suffix}", pluralize(tasks, "task").to_uppercase()),
    };
    let (role, text) = match (dropped, has_evictions) {
        (0, false) if trace.gaps_since_recording().any(|gap| gap.is_disconnected) => {
            (Role::Warning, "GAPS: NO UPDATES".to_owned())
        }
        (0, false) => (Role::Dim, "0 events dropped".to_owned()),
        (0, true) => (Role::Warning, format!("OLDEST EVICTED{}", evicted_tasks(""))),
        (dropped, _) => (
            Role::Warning,
            format!("{} DROPPED{}", pluralize(dropped, "event").to_uppercase(), evicted_tasks(" EVICTED")),
        ),
    };
    vec![span(theme, role, text)]
}
