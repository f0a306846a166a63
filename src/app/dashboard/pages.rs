//! The pages of the dashboard: the rules of each, choosing and following rows, and sorting tasks.

use super::{Dashboard, Pane};
use crate::app::action::Action;
use crate::app::columns::COLUMNS;
use crate::app::geometry::ScreenGeometry;
use crate::app::motion::Motion;
use crate::app::page::{DashboardPage, ListPosition};
use crate::app::task_rows::RowOrder;
use crate::insight::TaskSample;
use crate::insight::{Finding, Findings};
use crate::session::interface::Session;
use crate::trace::{Axis, Nanos, ResourceId, TaskId, Trace, WakeSource};

/// What a page does with its rows.
pub(super) struct PageRules {
    /// Name of the page, as shown and typed.
    name: &'static str,
    /// Whether the page lists rows other than tasks.
    has_list: bool,
    /// Whether the list is chronological: it opens at the newest row, and follows it.
    follows_end: bool,
    /// Returns the number of rows.
    count: fn(&Dashboard, &Trace, Option<&Findings>) -> usize,
    /// Shows what the chosen row refers to, or returns why that is not possible.
    follow: fn(&mut Dashboard, ChosenRow<'_>) -> Result<(), &'static str>,
    /// Continues incremental work before a frame.
    pub(super) refresh: fn(&mut Dashboard, &Trace),
    /// Whether incremental work is left, even if no further events arrive.
    pub(super) has_pending_work: fn(&Dashboard, &Trace) -> bool,
}

/// The chosen row of a page's list, and what following it may need.
pub(super) struct ChosenRow<'a> {
    row: Option<usize>,
    session: &'a dyn Session,
    /// Findings of a run that has ended.
    ended: Option<&'a Findings>,
    geometry: &'a ScreenGeometry,
}

/// Rules of a page that lists tasks. Pages with another list replace them.
const TASK_ROWS: PageRules = PageRules {
    name: "",
    has_list: false,
    follows_end: false,
    count: |dashboard, trace, _| dashboard.rows.count(trace),
    follow: |_, _| Err("enter works on the pages, where it goes to the task or time of a row; p shows the pages"),
    refresh: |_, _| {},
    has_pending_work: |_, _| false,
};

/// Rules of a page with a list of its own.
const LIST: PageRules = PageRules { has_list: true, ..TASK_ROWS };

impl DashboardPage {
    /// Returns what the page does: the one place in `app` where a new page is registered. The view registers it in
    /// `view::page`.
    pub(super) fn rules(self) -> PageRules {
        match self {
            Self::Timeline => PageRules { name: "timeline", ..TASK_ROWS },
            Self::Tasks => PageRules {
                name: "tasks",
                follow: |dashboard, _| {
                    dashboard.show_page(Self::Timeline);
                    Ok(())
                },
                ..TASK_ROWS
            },
            Self::Resources => PageRules {
                name: "resources",
                count: |dashboard, _, _| dashboard.resource_usage.listed.len(),
                follow: Dashboard::follow_resource,
                refresh: Dashboard::refresh_resources,
                has_pending_work: |dashboard, trace| dashboard.resource_usage.has_pending_work(trace),
                ..LIST
            },
            Self::Wakes => PageRules {
                name: "wakes",
                follows_end: true,
                count: |dashboard, trace, _| dashboard.visible_wakes(trace),
                follow: Dashboard::follow_wake,
                ..LIST
            },
            Self::Findings => PageRules {
                name: "findings",
                count: |dashboard, _, ended| dashboard.findings(ended).map_or(0, |found| found.listed.len()),
                follow: Dashboard::follow_finding,
                ..LIST
            },
            Self::Log => PageRules {
                name: "log",
                follows_end: true,
                count: |dashboard, _, _| dashboard.log.entries().len(),
                follow: Dashboard::follow_log_entry,
                ..LIST
            },
        }
    }

    /// Returns the name of the page.
    pub fn name(self) -> &'static str {
        self.rules().name
    }

    /// Returns the first page whose name starts with `name`; `None` for an empty `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| !name.is_empty() && page.name().starts_with(name))
    }

    /// Whether the page lists rows other than tasks.
    pub fn has_list(self) -> bool {
        self.rules().has_list
    }

    /// Returns the initial position in the page's list.
    pub(super) fn first_position(self) -> ListPosition {
        if self.rules().follows_end { ListPosition::AT_END } else { ListPosition::AT_TOP }
    }
}

impl Dashboard {
    /// Returns the chosen row and scroll position of the current page's list.
    pub fn current_list(&self) -> &ListPosition {
        &self.lists[self.page as usize]
    }

    pub(super) fn show_page(&mut self, page: DashboardPage) {
        self.page = page;
        self.focus = Pane::Timeline;
    }

    /// Returns the chosen resource.
    pub fn chosen_resource(&self) -> Option<ResourceId> {
        let row = self.lists[DashboardPage::Resources as usize].chosen_row(self.resource_usage.listed.len())?;
        self.resource_usage.listed.get(row).copied()
    }

    /// Returns the number of wakes of the selected task up to the time that is viewed.
    pub fn visible_wakes(&self, trace: &Trace) -> usize {
        let until = self.viewed_time().unwrap_or(Nanos::MAX);
        self.selected.and_then(|id| trace.task(id)).map_or(0, |task| task.wakes_until(until))
    }

    /// Returns the findings of the whole run if it has ended, otherwise those of the last search.
    pub fn findings<'a>(&'a self, ended: Option<&'a Findings>) -> Option<&'a Findings> {
        ended.or(self.interim_findings.as_ref().map(|(_, found)| found))
    }

    pub(super) fn move_in_list(&mut self, motion: Motion, geometry: &ScreenGeometry) {
        let (count, height) = (geometry.page_row_count, geometry.rows.height.into());
        self.lists[self.page as usize].move_by(motion, count, height, self.page.rules().follows_end);
    }

    /// Chooses the row at `offset` below the first visible one.
    pub(super) fn choose_row(&mut self, offset: usize, geometry: &ScreenGeometry) {
        let count = geometry.page_row_count;
        let row = self.current_list().top(count, geometry.rows.height.into()) + offset;
        if row < count {
            self.lists[self.page as usize].row = Some(row);
        }
    }

    /// Returns the number of rows in the current page's list. `ended` are the findings of a run that has ended.
    pub fn list_count(&self, trace: &Trace, ended: Option<&Findings>) -> usize {
        (self.page.rules().count)(self, trace, ended)
    }

    /// Shows what the chosen row refers to, or returns why that is not possible. `ended` are the findings of a run that
    /// has ended.
    pub fn follow_row(
        &mut self,
        session: &dyn Session,
        ended: Option<&Findings>,
        geometry: &ScreenGeometry,
    ) -> Result<(), &'static str> {
        let row = self.current_list().chosen_row(self.list_count(session.trace(), ended));
        (self.page.rules().follow)(self, ChosenRow { row, session, ended, geometry })
    }

    /// Returns the chosen finding, if the page lists findings. `ended` are those of a run that has ended.
    pub fn chosen_finding<'a>(&'a self, trace: &Trace, ended: Option<&'a Findings>) -> Option<&'a Finding> {
        let row = self.current_list().chosen_row(self.list_count(trace, ended));
        let findings = self.findings(ended).filter(|_| self.page == DashboardPage::Findings);
        findings.and_then(|found| found.listed.get(row?))
    }

    fn follow_resource(&mut self, chosen: ChosenRow<'_>) -> Result<(), &'static str> {
        let id = self.chosen_resource().ok_or("no resource is selected")?;
        let first_of = |tasks: Option<&TaskSample>| tasks.and_then(|tasks| tasks.first.first().copied());
        let task = first_of(self.resource_usage.holders(id)).or(first_of(self.resource_usage.waiters(id)));
        self.select(task.ok_or("no known owner or waiter")?, chosen.session, chosen.geometry);
        Ok(())
    }

    fn follow_wake(&mut self, chosen: ChosenRow<'_>) -> Result<(), &'static str> {
        let waker = self.waker(chosen.session.trace(), chosen.row.ok_or("no known wakes")?);
        let waker = waker.ok_or("the source of this wake is not another task")?;
        self.select(waker, chosen.session, chosen.geometry);
        self.lists[DashboardPage::Wakes as usize] = ListPosition::AT_END;
        Ok(())
    }

    fn follow_finding(&mut self, chosen: ChosenRow<'_>) -> Result<(), &'static str> {
        let found = self.findings(chosen.ended).and_then(|found| found.listed.get(chosen.row?));
        let (task, at) = found.map(|found| (found.task, found.at_ns)).ok_or("no finding is selected")?;
        if let Some(task) = task {
            self.select(task, chosen.session, chosen.geometry);
        }
        self.jump_to_time(at, chosen.session);
        Ok(())
    }

    fn follow_log_entry(&mut self, chosen: ChosenRow<'_>) -> Result<(), &'static str> {
        let entry = chosen.row.and_then(|row| self.log.entries().get(row)).ok_or("the log is empty")?;
        self.jump_to_time(entry.at, chosen.session);
        Ok(())
    }

    fn refresh_resources(&mut self, trace: &Trace) {
        let chosen = self.chosen_resource();
        if self.resource_usage.advance(trace) {
            // Keep the chosen resource by id: rows move.
            let row = chosen.and_then(|chosen| self.resource_usage.listed.iter().position(|id| *id == chosen));
            self.lists[DashboardPage::Resources as usize].row = Some(row.unwrap_or(0));
        }
    }

    fn jump_to_time(&mut self, at: Nanos, session: &dyn Session) {
        self.show_page(DashboardPage::Timeline);
        // The lanes have no columns until the timeline is drawn again.
        self.set_time_cursor(at, (self.axis_end(session, Axis::Time), 0));
    }

    /// Returns the task behind the `row`-th wake of the selected task, if a task woke it.
    fn waker(&self, trace: &Trace, row: usize) -> Option<TaskId> {
        match trace.task(self.selected?)?.wakes().nth(row)?.1 {
            WakeSource::Task(id) => Some(id),
            WakeSource::SelfWake | WakeSource::Driver | WakeSource::Thread | WakeSource::User | WakeSource::Unknown => {
                None
            }
        }
    }

    pub(super) fn sort(&mut self, action: Action, session: &dyn Session, geometry: &ScreenGeometry) {
        let now = self.rows.order();
        let order = match action {
            Action::ReverseSort => RowOrder { is_descending: !now.is_descending, ..now },
            Action::SortBy(column) if column == now.column => RowOrder { is_descending: !now.is_descending, ..now },
            Action::SortBy(column) => RowOrder::by(column),
            _ => RowOrder::by((now.column + 1) % COLUMNS.len()),
        };
        self.rows.set_order(order, session.trace());
        self.reveal_selected(session, geometry);
    }
}
