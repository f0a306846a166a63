//! Findings page: the list, and message and evidence of the chosen finding below it.

use ratatui::buffer::Buffer;

use super::list::{self, PageLayout};
use crate::app::task_names::task_name;
use crate::app::time;
use crate::insight::{Finding, Findings, Severity};
use crate::view::canvas::{self, put_text};
use crate::view::layout::below_rule;
use crate::view::scene::SessionScene;
use crate::view::text;
use crate::view::theme::Role;

/// Widths of the cells: severity, name, count, time, task, message.
const WIDTHS: [u16; 6] = [6, 18, 6, 12, 18, 200];

fn found<'a>(scene: SessionScene<'a>) -> Option<&'a Findings> {
    scene.model.dashboard.findings(scene.model.findings.as_ref())
}

/// Title of the page: number of findings, and their age if they are not current.
pub fn title(scene: SessionScene<'_>) -> String {
    if found(scene).is_none() && scene.model.is_searching_findings() {
        return "findings: analyzing…".to_owned();
    }
    let count = found(scene).map_or(0, |found| found.listed.len() as u64 + found.unlisted);
    let as_of = match &scene.model.dashboard.interim_findings {
        Some((at, _)) if scene.model.findings.is_none() => format!(", as of {} (n: refresh)", time::duration(*at)),
        _ => String::new(),
    };
    format!("findings: {count}{as_of}")
}

/// Draws the page.
pub fn render(buffer: &mut Buffer, scene: SessionScene<'_>, areas: &PageLayout) {
    let theme = scene.theme;
    let Some(found) = found(scene) else { return };
    let titles: Vec<_> = WIDTHS.into_iter().zip(["", "lint", "count", "at", "task", "problem"]).collect();
    list::put_titles(buffer, theme, areas.titles, &titles);
    if found.listed.is_empty() {
        let why = "no findings (a lint reports nothing if the trace lacks the data that it needs)";
        list::put_empty_state(buffer, theme, areas.rows, why);
        return;
    }
    let position = scene.model.dashboard.current_list();
    let chosen = position.chosen_row(found.listed.len());
    let top = position.top(found.listed.len(), areas.rows.height.into());
    for (row, (index, finding)) in (0..areas.rows.height).zip(found.listed.iter().enumerate().skip(top)) {
        let task = finding.task.map_or_else(|| "loop".to_owned(), |id| task_name(scene.session.trace(), id));
        let at = time::duration(finding.at_ns);
        let count = finding.count.to_string();
        // A question mark for a finding that is not certain.
        let mark = format!("{}{}", finding.severity.name(), if finding.is_certain { "" } else { "?" });
        let cells = [mark.as_str(), finding.name, &count, &at, &task, &finding.message];
        let roles = [severity(finding), Role::Strong, Role::Dim, Role::Dim, Role::Text, Role::Text];
        let cells: Vec<_> = (0..WIDTHS.len()).map(|cell| (WIDTHS[cell], roles[cell], cells[cell])).collect();
        list::put_row(buffer, theme, areas.rows, row, chosen == Some(index), &cells);
    }
    let Some(finding) = chosen.and_then(|chosen| found.listed.get(chosen)) else { return };
    let unlisted = match found.unlisted {
        0 => String::new(),
        more => format!("{more} more not listed"),
    };
    let hint = if unlisted.is_empty() { "enter: whole evidence" } else { unlisted.as_str() };
    canvas::put_rule(buffer, theme, areas.foot, finding.name, hint, false);
    let rows = below_rule(areas.foot);
    let width = usize::from(rows.width.saturating_sub(2));
    let message = text::wrap(&finding.message, width).into_iter().map(|line| (Role::Text, line));
    let location = finding.location.as_ref().map_or_else(String::new, |location| format!("{location}: "));
    let evidence =
        text::wrap(&format!("{location}{}", finding.evidence), width).into_iter().map(|line| (Role::Dim, line));
    for (row, (role, line)) in (0..rows.height).zip(message.chain(evidence)) {
        put_text(buffer, rows, (1, row), &line, theme.style(role));
    }
}

fn severity(finding: &Finding) -> Role {
    match finding.severity {
        Severity::Note => Role::Dim,
        Severity::Warn => Role::Warning,
        Severity::Error => Role::Error,
    }
}
