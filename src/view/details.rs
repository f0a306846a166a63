//! The selected task: what it awaits and where, for how long, who woke it last, how often and how long it ran.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::glyph;
use super::histogram;
use super::layout::below_rule;
use super::pen::{self, span};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use crate::app::{Pane, time};
use crate::control::Steering;
use crate::trace::{AwaitId, Axis, Cause, Ending, Fidelity, Location, Nanos, State, Task, TaskKind};

/// Awaits that are named, the outermost first, where one is inside the other.
const INSIDE_MAX: usize = 16;

/// A space at which no line is broken.
const HELD_TOGETHER: &str = "\u{a0}";

/// Draws the pane.
pub fn render(buffer: &mut Buffer, scene: Watching<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let state = &scene.model.dashboard;
    let title = match state.cursor {
        Some(_) if state.viewport.axis == Axis::Time => "selected task, as it was then",
        Some(_) => "selected task, its state as it was then",
        None => "selected task",
    };
    let rows = below_rule(area);
    let lines = lines(scene, rows.width);
    let below = lines.len().saturating_sub(state.details_top + usize::from(rows.height));
    let right = if below > 0 { format!("{below} more") } else { String::new() };
    pen::rule(buffer, scene.theme, area, title, &right, state.focus == Pane::Details);
    for (row, line) in (0..rows.height).zip(lines.iter().skip(state.details_top)) {
        pen::line(buffer, rows, row, line);
    }
}

/// Everything that the pane says, in lines of `width` columns.
pub fn lines(scene: Watching<'_>, width: u16) -> Vec<Line<'static>> {
    let trace = scene.session.trace();
    let Some(task) = scene.model.dashboard.selected.and_then(|id| trace.task(id)) else {
        return vec![Line::from(span(scene.theme, Role::Dim, " no task is selected"))];
    };
    let page = Page { scene, width: width.into(), at: scene.model.dashboard.looking_at() };
    let mut lines = vec![Line::from_iter([
        span(scene.theme, Role::Strong, format!(" {} ", text::cut(&task.name(), page.width.saturating_sub(14)))),
        span(scene.theme, Role::Dim, format!("#{} {}", task.id, task.spawned.kind.name())),
    ])];
    page.doing(&mut lines, task);
    page.origin(&mut lines, task);
    page.numbers(&mut lines, task);
    lines.extend(histogram::lines(scene.theme, task, page.width));
    lines
}

/// What all parts of the pane need.
struct Page<'a> {
    scene: Watching<'a>,
    width: usize,
    /// The loop time that the person looks back to.
    at: Option<Nanos>,
}

impl Page<'_> {
    /// The time as of which everything is said.
    fn now(&self) -> Nanos {
        self.at.unwrap_or_else(|| self.scene.axis_end(Axis::Time))
    }

    fn entry(&self, label: &str, value: &str) -> Line<'static> {
        let value = text::cut(value, self.width.saturating_sub(12));
        Line::from_iter([
            span(self.scene.theme, Role::Dim, format!(" {label:<10} ")),
            span(self.scene.theme, Role::Text, value),
        ])
    }

    /// What it is doing, and if it waits, on what, where, and since when.
    fn doing(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let (theme, trace) = (self.scene.theme, self.scene.session.trace());
        let Some(state) = self.scene.model.dashboard.state(task.id, trace) else {
            lines.push(Line::from(span(theme, Role::Dim, " not spawned yet at that time")));
            return;
        };
        let mut text = format!(" {} {}", glyph::state_of(trace, state), state.name());
        let mut awaited = None;
        match state {
            State::Waiting(Some(id), kind) => {
                text.push_str(&format!(" on {}", kind_name(kind.name())));
                // Looking back to a poll rather than a time, nobody knows for how long.
                let has_time = self.at.is_some() || self.scene.model.dashboard.cursor.is_none();
                awaited = Some(id);
                if let Some(found) = trace.awaits().get(id).filter(|_| has_time) {
                    // No line ends between a number and its unit.
                    let length = time::duration(self.now().saturating_sub(found.start)).replace(' ', HELD_TOGETHER);
                    text.push_str(&format!(" for {length}"));
                }
            }
            State::Waiting(None, _) if trace.is_foreign() => text.push_str(": what for, nobody tells"),
            State::Waiting(None, _) => text.push_str(" on something without a name"),
            State::Scheduled => text.push_str(": woken, not polled yet"),
            State::Held => text.push_str(" by you; o releases it"),
            State::Done | State::Cancelled | State::Failed => {
                let ended = task.lane.ended().unwrap_or_default();
                text.push_str(&format!(" at {}", time::duration(ended)));
            }
            State::Running => {}
        }
        for (index, line) in text::wrap(&text, self.width.saturating_sub(3)).into_iter().enumerate() {
            let indent = if index == 0 { "" } else { "   " };
            lines.push(Line::from(span(
                theme,
                Role::of(state),
                format!("{indent}{}", line.replace(HELD_TOGETHER, " ")),
            )));
        }
        if let (State::Failed, Some(Ending::Failed(error))) = (state, &task.ending) {
            lines.extend(
                text::wrap(error, self.width.saturating_sub(3))
                    .into_iter()
                    .map(|line| Line::from(span(theme, Role::Error, format!("   {line}")))),
            );
        }
        if let Some(id) = awaited {
            self.awaited(lines, id);
        }
        let open = task.open_awaits();
        if self.at.is_none() && task.open_awaits().nth(1).is_some() {
            let sources = open.take(INSIDE_MAX).filter_map(|id| trace.site(trace.awaits().get(id)?.site));
            let chain = sources.map(|site| site.source.as_ref()).collect::<Vec<_>>().join(" › ");
            lines.push(self.entry("inside", &chain));
        }
    }

    /// The awaited call and its line of source, with its neighbours.
    fn awaited(&self, lines: &mut Vec<Line<'static>>, id: AwaitId) {
        let trace = self.scene.session.trace();
        let Some(site) = trace.awaits().get(id).and_then(|found| trace.site(found.site)) else { return };
        let Some(location) = &site.location else {
            lines.push(self.entry("awaits", &site.source));
            return;
        };
        lines.push(self.entry("awaits", &site.source));
        lines.push(self.entry("at", &text::short_location(location)));
        let Some(source) = self.scene.session.source(&location.file) else { return };
        let number = location.line as usize;
        let around = || source.lines().enumerate().skip(number.saturating_sub(2)).take(3);
        // Deep in a script, what it is indented by would leave no room for what it says.
        let indents = around().filter(|(_, line)| !line.trim().is_empty());
        let indent = indents.map(|(_, line)| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
        for (index, line) in around() {
            let line = line.get(indent..).unwrap_or("");
            let here = index + 1 == number;
            let mark = if here { glyph::SELECTED } else { ' ' };
            let role = if here { Role::Strong } else { Role::Dim };
            let line = text::cut(&format!(" {mark}{:>4} │ {line}", index + 1), self.width);
            lines.push(Line::from(span(self.scene.theme, role, line)));
        }
    }

    /// Where it comes from and who woke it.
    fn origin(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        lines.push(Line::default());
        let last = match self.at {
            None => task.last_wake,
            Some(at) => task.wakes_until(at).checked_sub(1).and_then(|last| task.wakes().nth(last)),
        };
        let trace = self.scene.session.trace();
        match last {
            None if trace.fidelity() == Fidelity::Sampled && task.counts.wakes > 0 => {
                let told = task.told_wake().filter(|woken| self.at.is_none_or(|at| *woken <= at));
                let when =
                    told.map_or("when, was not told".to_owned(), |woken| format!("at {}", time::duration(woken)));
                lines.push(self.entry("last woken", &when));
                lines.push(self.entry("", "by whom, nobody tells"));
            }
            None => lines.push(self.entry("last woken", "never yet")),
            Some((at, cause)) => {
                lines.push(self.entry("last woken", &format!("at {}", time::duration(at))));
                lines.push(self.entry("", &format!("by {}", self.cause(cause))));
            }
        }
        let by = match task.spawned.parent {
            Some(id) => format!(" by {}", self.task_name(id)),
            // A console never tells who spawned a task.
            None if trace.is_foreign() => String::new(),
            None => " by the runtime".to_owned(),
        };
        lines.push(self.entry("spawned", &format!("at {}{by}", time::duration(task.lane.spawned()))));
        if let Some(location) = &task.spawned.location {
            lines.push(self.entry("", &text::short_location(location)));
            // A script stands beside the picker; of somebody else's source one line is a reminder.
            if self.scene.status.steering != Steering::Loop {
                lines.extend(self.source_line(location));
            }
        }
    }

    /// The line of source at `location`, where the file can be read.
    fn source_line(&self, location: &Location) -> Option<Line<'static>> {
        let source = self.scene.session.source(&location.file)?;
        let line = source.lines().nth((location.line as usize).checked_sub(1)?)?;
        let line = text::cut(&format!(" {}{:>4} │ {}", glyph::SELECTED, location.line, line.trim()), self.width);
        Some(Line::from(span(self.scene.theme, Role::Dim, line)))
    }

    fn cause(&self, cause: Cause) -> String {
        match cause {
            Cause::Task(id) => self.task_name(id),
            Cause::Own => "itself".to_owned(),
            Cause::Driver => "a timer or I/O".to_owned(),
            Cause::Thread => "another thread".to_owned(),
            Cause::Person => "you".to_owned(),
        }
    }

    fn task_name(&self, id: crate::trace::TaskId) -> String {
        let task = self.scene.session.trace().task(id);
        task.map_or_else(|| format!("#{id}"), |task| format!("{} #{id}", task.name()))
    }

    /// Counts and times.
    fn numbers(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let totals = task.lane.totals_at(self.now());
        let wakes = match task.counts.self_wakes {
            0 => task.counts.wakes.to_string(),
            own => format!("{}, {own} by itself", task.counts.wakes),
        };
        lines.push(self.entry("polls", &totals.polls.to_string()));
        if self.at.is_none() {
            lines.push(self.entry("wakes", &wakes));
            self.wakers(lines, task);
        }
        let parts =
            [("running", totals.busy_ns), ("scheduled", totals.scheduled_ns), ("waiting", totals.waiting_total_ns())];
        let all: u64 = parts.iter().map(|(_, ns)| ns).sum();
        for (label, ns) in parts {
            let percent = u64::try_from(u128::from(ns) * 100 / u128::from(all.max(1))).unwrap_or(100);
            lines.push(self.entry(label, &format!("{:<12} {percent:>3}%", time::duration(ns))));
        }
    }
}

impl Page<'_> {
    /// Wakers of it that are kept somewhere: what could wake it.
    fn wakers(&self, lines: &mut Vec<Line<'static>>, task: &Task) {
        let Some((clones, drops)) = task.wakers() else { return };
        let alive = clones.saturating_sub(drops);
        lines.push(self.entry("wakers", &format!("{alive} alive of {clones} made")));
        let waits = matches!(self.scene.session.trace().state(task.id), Some(State::Waiting(..)));
        let is_counted = clones > 0 && matches!(task.spawned.kind, TaskKind::Task | TaskKind::Local);
        if alive == 0 && waits && is_counted {
            let warning = "no waker of it is left: nothing that is known can wake it";
            let wrapped = text::wrap(warning, self.width.saturating_sub(3)).into_iter();
            lines.extend(wrapped.map(|line| Line::from(span(self.scene.theme, Role::Warning, format!("   {line}")))));
        }
    }
}

fn kind_name(name: &str) -> &str {
    match name {
        "timer" => "a timer",
        "task" => "another task",
        "sync" => "a lock",
        "channel" => "a channel",
        "io" => "I/O",
        "block" => "a blocking call",
        "yield" => "its turn",
        "other" => "something unknown",
        other => other,
    }
}
