//! What the person does on the pages: choosing rows, going to what they are about, and putting tasks in order.

use super::{Dashboard, Pane};
use crate::app::action::{Action, Step};
use crate::app::columns::COLUMNS;
use crate::app::geometry::Geometry;
use crate::app::pages::{List, Page};
use crate::app::rows::Order;
use crate::app::session::Session;
use crate::insight::Findings;
use crate::trace::{Axis, Cause, Nanos, ResourceId, TaskId, Trace};

impl Dashboard {
    /// Where the person is in the list of the page.
    pub fn list(&self) -> &List {
        &self.lists[self.page as usize]
    }

    pub(super) fn show_page(&mut self, page: Page) {
        self.page = page;
        self.focus = Pane::Timeline;
    }

    pub(super) fn refresh_page(&mut self, trace: &Trace) {
        if self.page != Page::Resources {
            return;
        }
        let chosen = self.resource();
        if self.sharing.go_on(trace) {
            // By id, never by row.
            let row = chosen.and_then(|chosen| self.sharing.listed.iter().position(|id| *id == chosen));
            self.lists[Page::Resources as usize].row = Some(row.unwrap_or(0));
        }
    }

    /// The chosen resource.
    pub fn resource(&self) -> Option<ResourceId> {
        let row = self.lists[Page::Resources as usize].chosen(self.sharing.listed.len())?;
        self.sharing.listed.get(row).copied()
    }

    /// How many rows the list of the page has. `findings` are those of a run that is over.
    pub fn list_count(&self, trace: &Trace, findings: Option<&Findings>) -> usize {
        match self.page {
            Page::Timeline | Page::Tasks => self.rows.count(trace),
            Page::Resources => self.sharing.listed.len(),
            Page::Wakes => self.wakes_shown(trace),
            Page::Findings => self.findings(findings).map_or(0, |found| found.listed.len()),
            Page::Log => self.log.notes().len(),
        }
    }

    /// Wakes of the selected task up to where the person looks.
    pub fn wakes_shown(&self, trace: &Trace) -> usize {
        let until = self.looking_at().unwrap_or(Nanos::MAX);
        self.selected.and_then(|id| trace.task(id)).map_or(0, |task| task.wakes_until(until))
    }

    /// What was found: in the whole run once it is over, and else when it was looked for.
    pub fn findings<'a>(&'a self, over: Option<&'a Findings>) -> Option<&'a Findings> {
        over.or(self.found.as_ref().map(|(_, found)| found))
    }

    pub(super) fn step_in_list(&mut self, step: Step, session: &dyn Session, geometry: &Geometry) {
        let count = geometry.list_rows.min(self.list_limit(session.trace()));
        // What happened last is at the end of these, and one stays there.
        let follows = matches!(self.page, Page::Wakes | Page::Log);
        self.lists[self.page as usize].step(step, count, geometry.rows.height.into(), follows);
    }

    fn list_limit(&self, trace: &Trace) -> usize {
        if self.page == Page::Findings { usize::MAX } else { self.list_count(trace, None) }
    }

    /// Chooses the row at `offset` below the first one that is shown.
    pub(super) fn choose(&mut self, offset: usize, geometry: &Geometry) {
        let count = geometry.list_rows;
        let row = self.list().top(count, geometry.rows.height.into()) + offset;
        if row < count {
            self.lists[self.page as usize].row = Some(row);
        }
    }

    /// Goes to what the chosen row is about, or says why there is nowhere to go.
    pub fn go_there(
        &mut self,
        session: &dyn Session,
        over: Option<&Findings>,
        geometry: &Geometry,
    ) -> Result<(), &'static str> {
        let trace = session.trace();
        let row = self.list().chosen(self.list_count(trace, over));
        match self.page {
            Page::Timeline => return Err("p shows the pages; on them, enter goes to what a row is about"),
            Page::Tasks => self.show_page(Page::Timeline),
            Page::Resources => {
                let id = self.resource().ok_or("there is no resource")?;
                let first =
                    |tasks: Option<&crate::app::sharing::Tasks>| tasks.and_then(|tasks| tasks.named.first().copied());
                let task = first(self.sharing.holders(id)).or(first(self.sharing.waiters(id)));
                self.select(task.ok_or("nobody is known to hold it or to wait for it")?, session, geometry);
            }
            Page::Wakes => {
                let waker = self.waker(trace, row.ok_or("it was never woken, as far as is known")?);
                self.select(waker.ok_or("this wake came from no other task")?, session, geometry);
                self.lists[Page::Wakes as usize] = List::AT_END;
            }
            Page::Findings => {
                let found = self.findings(over).and_then(|found| found.listed.get(row?));
                let (task, at) = found.map(|found| (found.task, found.at_ns)).ok_or("there is no finding to go to")?;
                if let Some(task) = task {
                    self.select(task, session, geometry);
                }
                self.go_to(at, session);
            }
            Page::Log => {
                let note = row.and_then(|row| self.log.notes().get(row)).ok_or("there is nothing in the log")?;
                self.go_to(note.at, session);
            }
        }
        Ok(())
    }

    fn go_to(&mut self, at: Nanos, session: &dyn Session) {
        self.show_page(Page::Timeline);
        // The lanes have no columns until the timeline is there again.
        self.look_back_to(at, (self.axis_end(session, Axis::Time), 0));
    }

    /// Who is behind the `row`-th wake of the selected task, if a task is.
    fn waker(&self, trace: &Trace, row: usize) -> Option<TaskId> {
        match trace.task(self.selected?)?.wakes().nth(row)?.1 {
            Cause::Task(id) => Some(id),
            Cause::Own | Cause::Driver | Cause::Thread | Cause::Person => None,
        }
    }

    pub(super) fn sort(&mut self, action: Action, session: &dyn Session, geometry: &Geometry) {
        let now = self.rows.order();
        let order = match action {
            Action::SortOtherWay => Order { is_descending: !now.is_descending, ..now },
            Action::SortBy(column) if column == now.column => Order { is_descending: !now.is_descending, ..now },
            Action::SortBy(column) => Order::by(column),
            _ => Order::by((now.column + 1) % COLUMNS.len()),
        };
        self.rows.set_order(order, session.trace());
        self.show_selected(session, geometry);
    }
}
