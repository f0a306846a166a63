//! Details pane: state, await, last waker, spawn location, counts and poll times of the selected task.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::canvas::{self, span};
use super::glyph;
use super::histogram;
use super::layout::below_rule;
use super::scene::SessionScene;
use super::text;
use super::theme::Role;
use crate::app::task_names::{describe_waker_with_id, task_name_with_id};
use crate::app::{Pane, data_notes, time};
use crate::control::ControlLevel;
use crate::insight::units::pluralize;
use crate::trace::{AwaitId, Axis, Fidelity, Location, Nanos, StackFrame, Task, TaskKind, TaskOutcome, TaskState};

/// Maximum number of nested awaits listed, the outermost first.
const NESTED_AWAITS_MAX: usize = 16;

/// Maximum number of functions listed that await each other: the outermost one and the innermost ones.
const CHAIN_FRAMES_MAX: usize = 12;

/// A space at which lines are not wrapped.
const NO_BREAK_SPACE: &str = "\u{a0}";

/// Draws the pane.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let state = &scene.model.dashboard;
    let title = match state.cursor {
        Some(_) if state.viewport.axis == Axis::Time => "selected task at cursor",
        Some(_) => "selected task, state at cursor",
        None => "selected task",
    };
    let rows = below_rule(area);
    let lines = lines(scene, rows.width);
    let below = lines.len().saturating_sub(state.details_top + usize::from(rows.height));
    let right = if below > 0 { format!("{below} more") } else { String::new() };
    canvas::put_rule(buffer, scene.theme, area, title, &right, state.focus == Pane::Details);
    for (row, line) in (0..rows.height).zip(lines.iter().skip(state.details_top)) {
        canvas::put_line(buffer, rows, row, line);
    }
}

/// Returns the text of the pane in lines of `width` columns.
pub fn lines(scene: SessionScene<'_>, width: u16) -> Vec<Line<'static>> {
    let trace = scene.session.trace();
    let Some(task) = scene.model.dashboard.selected.and_then(|id| trace.task(id)) else {
        return vec![Line::from(span(scene.theme, Role::Dim, " no task selected"))];
    };
    let pane = DetailsPane { scene, width: width.into(), at: scene.model.dashboard.viewed_time() };
    let mut lines = vec![Line::from_iter([
        span(
            scene.theme,
            Role::Strong,
            format!(" {} ", text::truncate_middle(&task.name_with_id(), pane.width.saturating_sub(11))),
        ),
        span(scene.theme, Role::Dim, task.meta.kind.screen_name()),
    ])];
    pane.push_state(&mut lines, task);
    pane.push_origin(&mut lines, task);
    pane.push_counts(&mut lines, task);
    lines.extend(histogram::lines(scene.theme, task, pane.width));
    lines
}

/// Inputs of all parts of the pane.
struct DetailsPane<'a> {
    scene: SessionScene<'a>,
    width: usize,
    /// The time cursor; `None` for now.
    at: Option<Nanos>,
}

impl DetailsPane<'_> {
    /// Time for which all values are shown.
    fn now(&self) -> Nanos {
        self.at.unwrap_or_else(|| self.scene.axis_end(Axis::Time))
    }

    fn entry(&self, label: &str, value: &str) -> Line<'static> {
        let value = text::truncate(value, self.width.saturating_sub(12));
        Line::from_iter([
            span(self.scene.theme, Role::Dim, format!(" {label:<10} ")),
            span(self.scene.theme, Role::Text, value),
        ])
    }

    /// State of the task; for a wait also the await, its location and its duration.
    fn push_state(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let (theme, trace) = (self.scene.theme, self.scene.session.trace());
        let Some(state) = self.scene.model.dashboard.state(task.id, trace) else {
            lines.push(Line::from(span(theme, Role::Dim, " not spawned yet")));
            return;
        };
        let name = if state == TaskState::Ended { "ended (completed, panicked or aborted)" } else { state.name() };
        let mut text = format!(" {} {name}", glyph::of_state_in(trace, state));
        let mut awaited = None;
        match state {
            TaskState::Waiting(Some(id), kind) => {
                text.push_str(&format!(" on {}", await_kind_phrase(kind.name())));
                // A cursor on the steps axis has no time, so the duration is unknown.
                let has_time = self.at.is_some() || self.scene.model.dashboard.cursor.is_none();
                awaited = Some(id);
                if let Some(found) = trace.awaits().get(id).filter(|_| has_time) {
                    // Keep a number and its unit on one line.
                    let length = time::duration(self.now().saturating_sub(found.start)).replace(' ', NO_BREAK_SPACE);
                    text.push_str(&format!(" for {length}"));
                }
            }
            TaskState::Waiting(None, _) if trace.is_external() => text.push_str(" (reason unknown)"),
            TaskState::Waiting(None, _) => text.push_str(" (await unknown)"),
            TaskState::Scheduled => text.push_str(": woken, not polled yet"),
            TaskState::Held => text.push_str(" by you (o: release)"),
            TaskState::Completed | TaskState::Cancelled | TaskState::Failed | TaskState::Ended => {
                let ended = task.lane.ended_at().unwrap_or_default();
                text.push_str(&format!(" at {}", time::duration(ended)));
                let is_from_console = trace.recording_stats().is_none() && trace.reported_facts().is_none();
                if state == TaskState::Completed && trace.is_external() && is_from_console {
                    // The console reports a task that panicked like one that returned.
                    text.push_str(" (or panicked: not reported)");
                }
            }
            TaskState::Running => {
                if let Some(worker) = task.worker_at(self.now()).filter(|id| trace.worker(*id).is_some()) {
                    text.push_str(&format!(" on worker {}", worker.index()));
                }
            }
        }
        for (index, line) in text::wrap(&text, self.width.saturating_sub(3)).into_iter().enumerate() {
            let indent = if index == 0 { "" } else { "   " };
            lines.push(Line::from(span(
                theme,
                Role::of(state),
                format!("{indent}{}", line.replace(NO_BREAK_SPACE, " ")),
            )));
        }
        if let (TaskState::Failed, Some(TaskOutcome::Failed(error))) = (state, &task.outcome) {
            lines.extend(
                text::wrap(error, self.width.saturating_sub(3))
                    .into_iter()
                    .map(|line| Line::from(span(theme, Role::Error, format!("   {line}")))),
            );
        }
        if state == TaskState::Running {
            self.push_sample(lines, task);
        }
        if let Some(id) = awaited {
            self.push_await(lines, id);
            let resource = trace.awaits().get(id).and_then(|found| trace.resources().entry(found.resource()?));
            if let Some(entry) = resource {
                self.push_notes(lines, data_notes::attribute_notes(trace, entry));
            }
            self.push_notes(lines, data_notes::await_note(trace, id));
        }
        let first = awaited.filter(|_| trace.is_external());
        let open = first.into_iter().chain(task.open_awaits().filter(|id| Some(*id) != first));
        if self.at.is_none() && task.open_awaits().nth(1).is_some() {
            let sources = open.take(NESTED_AWAITS_MAX).filter_map(|id| trace.site(trace.awaits().get(id)?.site));
            // The awaits of an external app are side by side.
            let separator = if trace.is_external() { ", " } else { " › " };
            let chain = sources.map(|site| site.source.as_ref()).collect::<Vec<_>>().join(separator);
            lines.push(self.entry(if trace.is_external() { "waits on" } else { "nested in" }, &chain));
        }
    }

    /// Explanations of values that differ from what their names suggest.
    fn push_notes(&self, lines: &mut Vec<Line<'static>>, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            let wrapped = text::wrap(&note, self.width.saturating_sub(3)).into_iter();
            lines.extend(wrapped.map(|line| Line::from(span(self.scene.theme, Role::Dim, format!("   {line}")))));
        }
    }

    /// The awaited call, its location, and the lines of source around it.
    fn push_await(&self, lines: &mut Vec<Line<'static>>, id: AwaitId) {
        let trace = self.scene.session.trace();
        let Some(site) = trace.awaits().get(id).and_then(|found| trace.site(found.site)) else { return };
        lines.push(self.entry("awaits", &site.source));
        if let Some(chain) = site.chain.as_deref().filter(|chain| !chain.is_empty()) {
            return self.push_chain(lines, chain);
        }
        if let Some(location) = &site.location {
            lines.push(self.entry("at", &text::short_location(location)));
            self.push_source(lines, location);
        }
    }

    /// The functions that await each other, the outermost first, each with its line of source.
    fn push_chain(&self, lines: &mut Vec<Line<'static>>, chain: &[StackFrame]) {
        let hidden = chain.len().saturating_sub(CHAIN_FRAMES_MAX);
        for (index, frame) in chain.iter().enumerate() {
            match index {
                1 if hidden > 0 => lines.push(self.entry("", &format!("({hidden} more)"))),
                _ if (1..=hidden).contains(&index) => {}
                _ => self.push_frame(lines, if index == 0 { "chain" } else { "" }, frame, index + 1 == chain.len()),
            }
        }
    }

    /// A function with its line of source, or with the lines around that.
    fn push_frame(&self, lines: &mut Vec<Line<'static>>, label: &str, frame: &StackFrame, with_lines_around: bool) {
        let text = text::truncate_middle(&frame.to_string(), self.width.saturating_sub(12));
        lines.push(self.entry(label, &text));
        match &frame.location {
            Some(location) if with_lines_around => self.push_source(lines, location),
            Some(location) => lines.extend(self.source_line(location)),
            None => {}
        }
    }

    /// What the poll at the viewed time executes, where that was sampled.
    fn push_sample(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let Some(poll) = task.lane.cycle_at(self.now()) else { return };
        let until = poll.end().unwrap_or(Nanos::MAX);
        if let Some(sample) = self.scene.session.trace().notices().sample(task.id, poll.start, until) {
            self.push_frame(lines, "sampled", &sample.frame, true);
        }
    }

    /// The lines of source around `location`, if the file is readable.
    fn push_source(&self, lines: &mut Vec<Line<'static>>, location: &Location) {
        let Some(source) = self.scene.session.source(&location.file) else { return };
        let number = location.line as usize;
        let around = || source.lines().enumerate().skip(number.saturating_sub(2)).take(3);
        // Remove the common indentation to save space.
        let indents = around().filter(|(_, line)| !line.trim().is_empty());
        let indent = indents.map(|(_, line)| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
        for (index, line) in around() {
            let line = line.get(indent..).unwrap_or("");
            let here = index + 1 == number;
            let mark = if here { glyph::SELECTED } else { ' ' };
            let role = if here { Role::Strong } else { Role::Dim };
            let line = text::truncate(&format!(" {mark}{:>4} │ {line}", index + 1), self.width);
            lines.push(Line::from(span(self.scene.theme, role, line)));
        }
    }

    /// Last wake and spawn of the task.
    fn push_origin(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        lines.push(Line::default());
        let last = match self.at {
            None => task.last_wake,
            Some(at) => task.wakes_until(at).checked_sub(1).and_then(|last| task.wakes().nth(last)),
        };
        let trace = self.scene.session.trace();
        match last {
            None if trace.fidelity() == Fidelity::Sampled && task.counts.wakes > 0 => {
                let last = task.sampled_wake().filter(|woken| self.at.is_none_or(|at| *woken <= at));
                let when = last.map_or("time unknown".to_owned(), |woken| format!("at {}", time::duration(woken)));
                lines.push(self.entry("last woken", &when));
                lines.push(self.entry("", "by an unknown source"));
            }
            None => lines.push(self.entry("last woken", "never")),
            Some((at, source)) => {
                lines.push(self.entry("last woken", &format!("at {}", time::duration(at))));
                lines.push(self.entry("", &format!("by {}", describe_waker_with_id(trace, task.id, (at, source)))));
            }
        }
        if let (None, Some((at, source))) = (self.at, task.deferred_wake()) {
            lines.push(self.entry("woken, held", &format!("at {}", time::duration(at))));
            lines.push(self.entry("", &format!("by {}", describe_waker_with_id(trace, task.id, (at, source)))));
        }
        let by = match task.meta.parent {
            Some(id) => format!(" by {}", task_name_with_id(trace, id)),
            // The console protocol does not report who spawned a task.
            None if trace.is_external() => String::new(),
            None => " by the runtime".to_owned(),
        };
        lines.push(self.entry("spawned", &format!("at {}{by}", time::duration(task.lane.spawned_at()))));
        if let Some(location) = &task.meta.location {
            lines.push(self.entry("", &text::short_location(location)));
            // A script can be read in the picker; for other sources show the line.
            if self.scene.status.control_level != ControlLevel::Loop {
                lines.extend(self.source_line(location));
            }
        }
    }

    /// The line of source at `location`, if the file is readable.
    fn source_line(&self, location: &Location) -> Option<Line<'static>> {
        let source = self.scene.session.source(&location.file)?;
        let line = source.lines().nth((location.line as usize).checked_sub(1)?)?;
        let line = text::truncate(&format!(" {}{:>4} │ {}", glyph::SELECTED, location.line, line.trim()), self.width);
        Some(Line::from(span(self.scene.theme, Role::Dim, line)))
    }

    /// Counts, and times per state.
    fn push_counts(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let (totals, held_ns) = task.totals_at(self.now());
        let wakes = match task.counts.self_wakes {
            0 => task.counts.wakes.to_string(),
            own => format!("{}, {own} self-wakes", task.counts.wakes),
        };
        lines.push(self.entry("polls", &totals.polls.to_string()));
        lines.extend(self.worker_line(task));
        lines.extend(self.queue_line(task));
        if self.at.is_none() {
            lines.push(self.entry("wakes", &wakes));
            self.push_wakers(lines, task);
        }
        let parts = [
            ("running", totals.busy_ns),
            ("scheduled", totals.scheduled_ns),
            ("waiting", totals.waiting_total_ns()),
            ("held", held_ns),
        ];
        let all: u64 = parts.iter().map(|(_, ns)| ns).sum();
        for (label, ns) in parts.into_iter().filter(|(label, ns)| *label != "held" || *ns > 0) {
            let percent = u64::try_from(u128::from(ns) * 100 / u128::from(all.max(1))).unwrap_or(100);
            lines.push(self.entry(label, &format!("{:<12} {percent:>3}%", time::duration(ns))));
        }
        self.push_notes(lines, data_notes::task_notes(self.scene.session.trace(), task));
    }
}

impl DetailsPane<'_> {
    /// The worker that ran the last poll up to the viewed time, where workers are known.
    fn worker_line(&self, task: &Task) -> Option<Line<'static>> {
        let trace = self.scene.session.trace();
        if trace.workers().is_empty() {
            return None;
        }
        let poll = task.lane.cycle_at(self.now())?;
        let worker = poll.worker().and_then(|id| trace.worker(id));
        let text = match worker {
            Some(worker) if worker.name.is_empty() => format!("worker {}", worker.id.index()),
            Some(worker) => format!("worker {} ({})", worker.id.index(), worker.name),
            // These run on threads of their own.
            None if task.meta.kind == TaskKind::BlockOn || task.is_off_loop() => "no worker".to_owned(),
            None => "worker unknown".to_owned(),
        };
        Some(self.entry("polled by", &text))
    }

    /// The sampled depth of the local queue of the worker that ran the last poll up to the viewed time.
    fn queue_line(&self, task: &Task) -> Option<Line<'static>> {
        let worker = task.worker_at(self.now())?;
        let depth = self.scene.session.trace().queue_depth_at(Some(worker), self.now())?;
        Some(self.entry("its queue", &format!("{} (sampled)", pluralize(depth.into(), "task"))))
    }

    /// Number of live wakers of the task, with a warning if nothing can wake it.
    fn push_wakers(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let Some((clones, drops)) = task.waker_counts() else { return };
        let alive = clones.saturating_sub(drops);
        lines.push(self.entry("wakers", &format!("{alive} live of {clones} clones")));
        let waits = matches!(self.scene.session.trace().state(task.id), Some(TaskState::Waiting(..)));
        let is_counted = clones > 0 && task.meta.kind.is_task();
        if alive == 0 && waits && is_counted {
            let warning = "no live waker: nothing known can wake this task";
            let wrapped = text::wrap(warning, self.width.saturating_sub(3)).into_iter();
            lines.extend(wrapped.map(|line| Line::from(span(self.scene.theme, Role::Warning, format!("   {line}")))));
        }
    }
}

/// Names an await kind in a sentence: `waiting on a timer`.
fn await_kind_phrase(name: &str) -> &str {
    match name {
        "timer" => "a timer",
        "task" => "another task",
        "sync" => "a lock",
        "channel" => "a channel",
        "io" => "I/O",
        "block" => "a blocking call",
        "yield" => "a yield",
        "other" => "an await without a kind",
        other => other,
    }
}
