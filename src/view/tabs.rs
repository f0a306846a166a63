//! Tab bar: one tab per session, shown if there are several.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::{put_mark, put_text};
use super::glyph;
use super::text;
use super::theme::{Role, Theme};
use crate::app::{Tab, TabBar, TabStatus};

/// Minimum width of a tab: number, mark and part of the name.
const COLUMNS_MIN: u16 = 12;
/// Maximum width of a tab.
const COLUMNS_MAX: u16 = 34;

/// The tabs that fit on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisibleTabs {
    /// Index of the first visible tab.
    pub first: usize,
    /// Width of each tab.
    pub columns: u16,
}

/// Chooses the tabs that are visible in `width` columns; the active tab always is.
pub fn visible_tabs(tabs: &TabBar, width: u16) -> VisibleTabs {
    let count = u16::try_from(tabs.all.len()).unwrap_or(u16::MAX).max(1);
    let columns = (width / count).clamp(COLUMNS_MIN, COLUMNS_MAX);
    let fit = usize::from(width / columns).max(1);
    VisibleTabs { first: (tabs.shown + 1).saturating_sub(fit), columns }
}

fn tab_mark(status: TabStatus) -> (char, Role) {
    match status {
        TabStatus::Live => (glyph::RUNNING, Role::Running),
        TabStatus::Connecting => ('…', Role::Warning),
        TabStatus::Paused => (glyph::PAUSE, Role::Warning),
        TabStatus::Lost | TabStatus::Failed => (glyph::FAILED, Role::Failed),
        TabStatus::Ended => (glyph::DONE, Role::Done),
    }
}

/// Draws the tab bar.
pub fn render(buffer: &mut Buffer, theme: &Theme, tabs: &TabBar, area: Rect) {
    if area.height == 0 {
        return;
    }
    let VisibleTabs { first, columns } = visible_tabs(tabs, area.width);
    for (slot, (index, tab)) in (0_u16..).zip(tabs.all.iter().enumerate().skip(first)) {
        let Some(left) = slot.checked_mul(columns).filter(|left| *left < area.width) else { break };
        let inside = Rect { x: area.x + left, width: columns.min(area.width - left), ..area };
        put_tab(buffer, theme, inside, index, tab, index == tabs.shown);
    }
}

fn put_tab(buffer: &mut Buffer, theme: &Theme, area: Rect, index: usize, tab: &Tab, is_shown: bool) {
    let lead = format!(" {} ", index + 1);
    let after = if tab.is_new { " NEW" } else { "" };
    let name_width = usize::from(area.width).saturating_sub(lead.len() + 3 + after.len());
    let line = format!("{lead}  {}{after}", text::truncate(&tab.name, name_width));
    let role = match (is_shown, tab.is_new) {
        (true, _) => Role::Selected,
        (false, true) => Role::Warning,
        (false, false) => Role::Dim,
    };
    put_text(buffer, area, (0, 0), &text::fit(&line, usize::from(area.width.saturating_sub(1))), theme.style(role));
    let (glyph, role) = tab_mark(tab.status);
    put_mark(buffer, area, (u16::try_from(lead.len()).unwrap_or(0), 0), glyph, theme.style(role));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_tab_is_always_visible() {
        let tab = Tab { name: "a".into(), status: TabStatus::Live, is_new: false };
        for count in 1..20 {
            for index in 0..count {
                let tabs = TabBar { all: vec![tab.clone(); count], shown: index };
                for width in [10, 40, 80, 200] {
                    let VisibleTabs { first, columns } = visible_tabs(&tabs, width);
                    let left = (index - first) * usize::from(columns);
                    assert!(first <= index && left < usize::from(width), "{index} of {count} in {width}");
                }
            }
        }
    }
}
