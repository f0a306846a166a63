//! The page of findings: what is wrong, where, and below the list all that there is to say of the chosen one.

use ratatui::buffer::Buffer;

use super::layout::below_rule;
use super::page::{self, Places};
use super::pen::{self, put};
use super::scene::Watching;
use super::text;
use super::theme::Role;
use crate::app::columns::name_of;
use crate::app::time;
use crate::insight::{Finding, Findings, Severity};

/// Columns of each cell: severity, name, when, task, message.
const WIDTHS: [u16; 5] = [6, 18, 12, 18, 200];

fn found<'a>(scene: Watching<'a>) -> Option<&'a Findings> {
    scene.model.dashboard.findings(scene.model.findings.as_ref())
}

pub fn title(scene: Watching<'_>) -> String {
    if found(scene).is_none() && scene.model.is_searching() {
        return "findings: still looking".to_owned();
    }
    let count = found(scene).map_or(0, |found| found.listed.len() as u64 + found.unlisted);
    let as_of = match &scene.model.dashboard.found {
        Some((at, _)) if scene.model.findings.is_none() => format!(", as of {} (n looks again)", time::duration(*at)),
        _ => String::new(),
    };
    format!("findings: {count}{as_of}")
}

pub fn render(buffer: &mut Buffer, scene: Watching<'_>, places: &Places) {
    let theme = scene.theme;
    let Some(found) = found(scene) else { return };
    let titles: Vec<_> = WIDTHS.into_iter().zip(["", "finding", "at", "task", "what"]).collect();
    page::titles(buffer, theme, places.titles, &titles);
    if found.listed.is_empty() {
        let why = "None of the ways in which loops go wrong was seen. Where a trace lacks what a lint rests on, the lint \
                   says nothing.";
        page::empty(buffer, theme, places.rows, why);
        return;
    }
    let list = scene.model.dashboard.list();
    let chosen = list.chosen(found.listed.len());
    let top = list.top(found.listed.len(), places.rows.height.into());
    for (row, (index, finding)) in (0..places.rows.height).zip(found.listed.iter().enumerate().skip(top)) {
        let whose = finding.task.map_or_else(|| "the loop".to_owned(), |id| name_of(scene.session.trace(), id));
        let at = time::duration(finding.at_ns);
        let cells = [finding.severity.name(), finding.name, &at, &whose, &finding.message];
        let roles = [severity(finding), Role::Strong, Role::Dim, Role::Text, Role::Text];
        let cells: Vec<_> = (0..WIDTHS.len()).map(|cell| (WIDTHS[cell], roles[cell], cells[cell])).collect();
        page::row(buffer, theme, places.rows, row, chosen == Some(index), &cells);
    }
    let Some(finding) = chosen.and_then(|chosen| found.listed.get(chosen)) else { return };
    let unlisted = match found.unlisted {
        0 => String::new(),
        more => format!("{more} more are not listed"),
    };
    pen::rule(buffer, theme, places.foot, finding.name, &unlisted, false);
    let rows = below_rule(places.foot);
    let width = usize::from(rows.width.saturating_sub(2));
    let message = text::wrap(&finding.message, width).into_iter().map(|line| (Role::Text, line));
    let evidence = text::wrap(&finding.evidence, width).into_iter().map(|line| (Role::Dim, line));
    for (row, (role, line)) in (0..rows.height).zip(message.chain(evidence)) {
        put(buffer, rows, (1, row), &line, theme.style(role));
    }
}

fn severity(finding: &Finding) -> Role {
    match finding.severity {
        Severity::Note => Role::Dim,
        Severity::Warn => Role::Warning,
        Severity::Error => Role::Error,
    }
}
