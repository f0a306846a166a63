//! The bar of tabs, one a session, where there is more than one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::glyph;
use super::pen::{mark, put};
use super::text;
use super::theme::{Role, Theme};
use crate::app::{Standing, Tab, Tabs};

/// Columns of one tab: its number, its mark and some of its name.
const COLUMNS_MIN: u16 = 12;
const COLUMNS_MAX: u16 = 34;

/// Which tabs are shown, and how wide each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub first: usize,
    pub columns: u16,
}

/// What of `tabs` is seen in `width` columns: the one that is shown always is.
pub fn shown(tabs: &Tabs, width: u16) -> Shown {
    let count = u16::try_from(tabs.all.len()).unwrap_or(u16::MAX).max(1);
    let columns = (width / count).clamp(COLUMNS_MIN, COLUMNS_MAX);
    let fit = usize::from(width / columns).max(1);
    Shown { first: (tabs.shown + 1).saturating_sub(fit), columns }
}

fn standing(standing: Standing) -> (char, Role) {
    match standing {
        Standing::Live => (glyph::RUNNING, Role::Running),
        Standing::Reaching => ('…', Role::Warning),
        Standing::Paused => (glyph::PAUSE, Role::Warning),
        Standing::Lost | Standing::Failed => (glyph::FAILED, Role::Failed),
        Standing::Ended => (glyph::DONE, Role::Done),
    }
}

/// Draws the bar.
pub fn render(buffer: &mut Buffer, theme: &Theme, tabs: &Tabs, area: Rect) {
    if area.height == 0 {
        return;
    }
    let Shown { first, columns } = shown(tabs, area.width);
    for (place, (index, tab)) in (0_u16..).zip(tabs.all.iter().enumerate().skip(first)) {
        let Some(left) = place.checked_mul(columns).filter(|left| *left < area.width) else { break };
        let inside = Rect { x: area.x + left, width: columns.min(area.width - left), ..area };
        one(buffer, theme, inside, index, tab, index == tabs.shown);
    }
}

fn one(buffer: &mut Buffer, theme: &Theme, area: Rect, index: usize, tab: &Tab, is_shown: bool) {
    let lead = format!(" {} ", index + 1);
    let after = if tab.is_new { " NEW" } else { "" };
    let room = usize::from(area.width).saturating_sub(lead.len() + 3 + after.len());
    let line = format!("{lead}  {}{after}", text::cut(&tab.name, room));
    let role = match (is_shown, tab.is_new) {
        (true, _) => Role::Selected,
        (false, true) => Role::Warning,
        (false, false) => Role::Dim,
    };
    put(buffer, area, (0, 0), &text::fit(&line, usize::from(area.width.saturating_sub(1))), theme.style(role));
    let (glyph, role) = standing(tab.standing);
    mark(buffer, area, (u16::try_from(lead.len()).unwrap_or(0), 0), glyph, theme.style(role));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tab_that_is_shown_is_always_on_the_screen() {
        let tab = Tab { name: "a".into(), standing: Standing::Live, is_new: false };
        for count in 1..20 {
            for index in 0..count {
                let tabs = Tabs { all: vec![tab.clone(); count], shown: index };
                for width in [10, 40, 80, 200] {
                    let Shown { first, columns } = shown(&tabs, width);
                    let left = (index - first) * usize::from(columns);
                    assert!(first <= index && left < usize::from(width), "{index} of {count} in {width}");
                }
            }
        }
    }
}
