//! The pages of the dashboard: the timeline, and the tables and lists that replace it.

use super::motion::{Motion, apply_motion};

/// A page of the dashboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DashboardPage {
    #[default]
    /// The lanes of all tasks over time.
    Timeline,
    /// The table of tasks, with every column.
    Tasks,
    /// The table of resources, with owners and waiters.
    Resources,
    /// The wakes of the selected task.
    Wakes,
    /// The findings of the lints.
    Findings,
    /// The session log.
    Log,
}

impl DashboardPage {
    /// All pages, in order. What each does is in `dashboard::pages`.
    pub const ALL: [Self; 6] = [Self::Timeline, Self::Tasks, Self::Resources, Self::Wakes, Self::Findings, Self::Log];

    /// Returns the page `steps` after this one, wrapping around.
    #[must_use]
    pub fn nth_after(self, steps: usize) -> Self {
        Self::ALL[(self as usize + steps) % Self::ALL.len()]
    }
}

/// The chosen row and the scroll position in a page's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListPosition {
    /// The chosen row; `None` follows the last row as the list grows.
    pub row: Option<usize>,
    /// The first visible row, before it is adjusted to keep the chosen row visible.
    top: usize,
}

impl ListPosition {
    /// Follows the last row.
    pub const AT_END: Self = Self { row: None, top: 0 };
    /// The first row.
    pub const AT_TOP: Self = Self { row: Some(0), top: 0 };

    /// Returns the chosen row of `count`; `None` if the list is empty.
    pub fn chosen_row(&self, count: usize) -> Option<usize> {
        let last = count.checked_sub(1)?;
        Some(self.row.map_or(last, |row| row.min(last)))
    }

    /// Returns the first visible row of `count`, if `page` rows are visible.
    pub fn top(&self, count: usize, page: usize) -> usize {
        let Some(row) = self.chosen_row(count) else { return 0 };
        let page = page.max(1);
        self.top.min(count.saturating_sub(page)).clamp((row + 1).saturating_sub(page), row)
    }

    /// Moves to another row. With `stays_at_end`, choosing the last row follows the end of the growing list.
    pub fn move_by(&mut self, motion: Motion, count: usize, page: usize, stays_at_end: bool) {
        let Some(row) = self.chosen_row(count) else { return };
        let row = apply_motion(row, motion, page.max(1), count);
        self.top = self.top(count, page);
        self.row = Some(row).filter(|row| !(stays_at_end && *row + 1 == count));
        self.top = self.top(count, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_row_is_visible_and_can_follow_the_end() {
        let mut list = ListPosition::default();
        assert_eq!((list.chosen_row(0), list.chosen_row(50), list.top(50, 10)), (None, Some(49), 40));
        list.move_by(Motion::Up, 50, 10, true);
        assert_eq!((list.chosen_row(60), list.top(60, 10)), (Some(48), 40), "new rows do not move the chosen one");
        list.move_by(Motion::Last, 60, 10, true);
        assert_eq!(list.chosen_row(70), Some(69));
        list.move_by(Motion::First, 70, 10, true);
        assert_eq!((list.chosen_row(70), list.top(70, 10)), (Some(0), 0));
        list.move_by(Motion::PageDown, 70, 10, true);
        assert_eq!((list.chosen_row(5), list.top(5, 10)), (Some(4), 0), "a list may shrink");
    }

    #[test]
    fn pages_wrap_around_and_have_names() {
        assert_eq!(DashboardPage::Log.nth_after(1), DashboardPage::Timeline);
        assert_eq!(DashboardPage::Timeline.nth_after(DashboardPage::ALL.len() - 1), DashboardPage::Log);
        assert_eq!(
            (DashboardPage::from_name("wak"), DashboardPage::from_name("x"), DashboardPage::from_name("")),
            (Some(DashboardPage::Wakes), None, None)
        );
    }
}
