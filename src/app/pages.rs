//! The pages of the dashboard: the timeline, and the tables and lists that can be shown in its place.

use super::action::Step;
use super::picker::moved;

/// What is shown in the middle of the dashboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    #[default]
    Timeline,
    /// Every task with every column.
    Tasks,
    /// What tasks share.
    Resources,
    /// Who woke the selected task.
    Wakes,
    Findings,
    /// What there is to say of the session itself.
    Log,
}

impl Page {
    pub const ALL: [Self; 6] = [Self::Timeline, Self::Tasks, Self::Resources, Self::Wakes, Self::Findings, Self::Log];

    pub fn name(self) -> &'static str {
        match self {
            Self::Timeline => "timeline",
            Self::Tasks => "tasks",
            Self::Resources => "resources",
            Self::Wakes => "wakes",
            Self::Findings => "findings",
            Self::Log => "log",
        }
    }

    /// The one called `name`, or whose name begins so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| !name.is_empty() && page.name().starts_with(name))
    }

    /// The page `steps` after this one; past the last is the first.
    #[must_use]
    pub fn beside(self, steps: usize) -> Self {
        Self::ALL[(self as usize + steps) % Self::ALL.len()]
    }

    /// It has rows of its own, rather than the tasks'.
    pub fn has_list(self) -> bool {
        !matches!(self, Self::Timeline | Self::Tasks)
    }
}

/// The place in a page's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The chosen row; `None` for the last one, whatever comes.
    pub row: Option<usize>,
    /// The first row on the screen, as far as the chosen one lets it.
    top: usize,
}

impl List {
    /// At the last row, whatever comes.
    pub const AT_END: Self = Self { row: None, top: 0 };
    pub const AT_TOP: Self = Self { row: Some(0), top: 0 };

    /// Where one begins on `page`: with what happened last, or with the first of what there is.
    pub fn of(page: Page) -> Self {
        if matches!(page, Page::Wakes | Page::Log) { Self::AT_END } else { Self::AT_TOP }
    }

    /// The chosen row of `count`; `None` where there is none.
    pub fn chosen(&self, count: usize) -> Option<usize> {
        let last = count.checked_sub(1)?;
        Some(self.row.map_or(last, |row| row.min(last)))
    }

    /// The first row that is shown of `count`, where `page` fit.
    pub fn top(&self, count: usize, page: usize) -> usize {
        let Some(row) = self.chosen(count) else { return 0 };
        let page = page.max(1);
        self.top.min(count.saturating_sub(page)).clamp((row + 1).saturating_sub(page), row)
    }

    /// Chooses another row. At the end of a list that grows one stays at its end.
    pub fn step(&mut self, step: Step, count: usize, page: usize, stays_at_end: bool) {
        let Some(row) = self.chosen(count) else { return };
        let row = moved(row, step, page.max(1), count);
        self.top = self.top(count, page);
        self.row = Some(row).filter(|row| !(stays_at_end && *row + 1 == count));
        self.top = self.top(count, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_on_the_screen_and_the_end_of_a_list_follows_it() {
        let mut list = List::default();
        assert_eq!((list.chosen(0), list.chosen(50), list.top(50, 10)), (None, Some(49), 40));
        list.step(Step::Up, 50, 10, true);
        assert_eq!((list.chosen(60), list.top(60, 10)), (Some(48), 40), "what comes moves nothing");
        list.step(Step::Last, 60, 10, true);
        assert_eq!(list.chosen(70), Some(69));
        list.step(Step::First, 70, 10, true);
        assert_eq!((list.chosen(70), list.top(70, 10)), (Some(0), 0));
        list.step(Step::PageDown, 70, 10, true);
        assert_eq!((list.chosen(5), list.top(5, 10)), (Some(4), 0), "a list may shrink");
    }

    #[test]
    fn pages_go_round_and_have_names() {
        assert_eq!(Page::Log.beside(1), Page::Timeline);
        assert_eq!(Page::Timeline.beside(Page::ALL.len() - 1), Page::Log);
        assert_eq!(
            (Page::from_name("wak"), Page::from_name("x"), Page::from_name("")),
            (Some(Page::Wakes), None, None)
        );
    }
}
