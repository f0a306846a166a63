//! Actions on the pages of the dashboard: choosing rows, following them, and sorting tasks.

use super::{Dashboard, Pane};
use crate::app::action::Action;
use crate::app::columns::COLUMNS;
use crate::app::geometry::ScreenGeometry;
use crate::app::motion::Motion;
use crate::app::page::{DashboardPage, ListPosition};
use crate::app::task_rows::RowOrder;
use crate::insight::Findings;
use crate::session::interface::Session;
use crate::trace::{Axis, Nanos, ResourceId, TaskId, Trace, WakeSource};

impl Dashboard {
    /// Returns the chosen row and scroll position of the current page's list.
    pub fn current_list(&self) -> &ListPosition {
        &self.lists[self.page as usize]
    }

    pub(super) fn show_page(&mut self, page: DashboardPage) {
        self.page = page;
        self.focus = Pane::Timeline;
    }

    pub(super) fn refresh_resources(&mut self, trace: &Trace) {
        if self.page != DashboardPage::Resources {
            return;
        }
        let chosen = self.chosen_resource();
        if self.resource_usage.advance(trace) {
            // Keep the chosen resource by id: rows move.
            let row = chosen.and_then(|chosen| self.resource_usage.listed.iter().position(|id| *id == chosen));
            self.lists[DashboardPage::Resources as usize].row = Some(row.unwrap_or(0));
        }
    }

    /// Returns the chosen resource.
    pub fn chosen_resource(&self) -> Option<ResourceId> {
        let row = self.lists[DashboardPage::Resources as usize].chosen_row(self.resource_usage.listed.len())?;
        self.resource_usage.listed.get(row).copied()
    }

    /// Returns the number of rows in the current page's list. `findings` are those of a run that has ended.
    pub fn list_count(&self, trace: &Trace, findings: Option<&Findings>) -> usize {
        match self.page {
            DashboardPage::Timeline | DashboardPage::Tasks => self.rows.count(trace),
            DashboardPage::Resources => self.resource_usage.listed.len(),
            DashboardPage::Wakes => self.visible_wakes(trace),
            DashboardPage::Findings => self.findings(findings).map_or(0, |found| found.listed.len()),
            DashboardPage::Log => self.log.entries().len(),
        }
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

    pub(super) fn move_in_list(&mut self, motion: Motion, session: &dyn Session, geometry: &ScreenGeometry) {
        let count = geometry.page_row_count.min(self.list_limit(session.trace()));
        // These lists are chronological and follow their end.
        let follows = matches!(self.page, DashboardPage::Wakes | DashboardPage::Log);
        self.lists[self.page as usize].move_by(motion, count, geometry.rows.height.into(), follows);
    }

    fn list_limit(&self, trace: &Trace) -> usize {
        if self.page == DashboardPage::Findings { usize::MAX } else { self.list_count(trace, None) }
    }

    /// Chooses the row at `offset` below the first visible one.
    pub(super) fn choose_row(&mut self, offset: usize, geometry: &ScreenGeometry) {
        let count = geometry.page_row_count;
        let row = self.current_list().top(count, geometry.rows.height.into()) + offset;
        if row < count {
            self.lists[self.page as usize].row = Some(row);
        }
    }

    /// Shows what the chosen row refers to, or returns why that is not possible.
    pub fn follow_row(
        &mut self,
        session: &dyn Session,
        ended: Option<&Findings>,
        geometry: &ScreenGeometry,
    ) -> Result<(), &'static str> {
        let trace = session.trace();
        let row = self.current_list().chosen_row(self.list_count(trace, ended));
        match self.page {
            DashboardPage::Timeline => return Err("enter goes to a row's task or time on the pages; p shows them"),
            DashboardPage::Tasks => self.show_page(DashboardPage::Timeline),
            DashboardPage::Resources => {
                let id = self.chosen_resource().ok_or("no resource is selected")?;
                let first_of = |tasks: Option<&crate::app::resource_usage::TaskSample>| {
                    tasks.and_then(|tasks| tasks.first.first().copied())
                };
                let task = first_of(self.resource_usage.holders(id)).or(first_of(self.resource_usage.waiters(id)));
                self.select(task.ok_or("no known owner or waiter")?, session, geometry);
            }
            DashboardPage::Wakes => {
                let waker = self.waker(trace, row.ok_or("no known wakes")?);
                self.select(waker.ok_or("the source of this wake is not another task")?, session, geometry);
                self.lists[DashboardPage::Wakes as usize] = ListPosition::AT_END;
            }
            DashboardPage::Findings => {
                let found = self.findings(ended).and_then(|found| found.listed.get(row?));
                let (task, at) = found.map(|found| (found.task, found.at_ns)).ok_or("no finding is selected")?;
                if let Some(task) = task {
                    self.select(task, session, geometry);
                }
                self.jump_to_time(at, session);
            }
            DashboardPage::Log => {
                let note = row.and_then(|row| self.log.entries().get(row)).ok_or("the log is empty")?;
                self.jump_to_time(note.at, session);
            }
        }
        Ok(())
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
            WakeSource::SelfWake | WakeSource::Driver | WakeSource::Thread | WakeSource::User => None,
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
