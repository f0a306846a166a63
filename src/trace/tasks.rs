//! Table of the retained tasks, by id.
//!
//! Ids are dense and never reused, so an evicted task leaves an empty slot. Pages of empty slots are freed. That leaves
//! less than one byte for each evicted task, so a program may spawn tasks without limit.

use super::id::TaskId;
use super::task::Task;

/// Number of slots in a page, which is freed once all its tasks are evicted.
const PAGE_TASKS: usize = 128;

/// Number of pages in a group. A look-up by position walks groups, then pages, then slots.
const GROUP_PAGES: usize = 256;

/// The retained tasks, indexed by id and, separately for both roles, by position in spawn order.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pages: Vec<Option<Box<TaskPage>>>,
    /// Numbers of retained tasks in each group of pages.
    groups: Vec<RoleCounts>,
    count: usize,
    retained: RoleCounts,
    /// Number of allocated pages.
    page_count: usize,
}

#[derive(Clone, Debug)]
struct TaskPage {
    retained: RoleCounts,
    slots: [Option<Box<Task>>; PAGE_TASKS],
}

/// Numbers of tasks by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleCounts {
    /// Tasks of the program.
    pub program: usize,
    /// Workers, `block_on` futures and blocking closures.
    pub other: usize,
}

impl RoleCounts {
    /// Returns the number of all tasks.
    pub fn total(self) -> usize {
        self.program + self.other
    }

    fn of(self, is_program: bool) -> usize {
        if is_program { self.program } else { self.other }
    }

    fn of_mut(&mut self, task: &Task) -> &mut usize {
        if task.meta.kind.is_task() { &mut self.program } else { &mut self.other }
    }

    fn plus(self, more: Self) -> Self {
        Self { program: self.program + more.program, other: self.other + more.other }
    }
}

/// Returns the page of the task at `index`, and its slot in that page.
fn slot_of(index: usize) -> (usize, usize) {
    (index / PAGE_TASKS, index % PAGE_TASKS)
}

impl Tasks {
    /// Returns the number of tasks spawned so far, including evicted ones.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether no task was ever spawned.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the number of retained tasks.
    pub fn retained(&self) -> usize {
        self.retained.total()
    }

    /// Returns whether the position of each task is its id index: all are retained and belong to the program.
    fn is_dense(&self) -> bool {
        self.retained.program == self.count
    }

    /// Returns the task `id`, or `None` if it does not exist or was evicted.
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        let (page, slot) = slot_of(id.index());
        self.pages.get(page)?.as_ref()?.slots.get(slot)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        let (page, slot) = slot_of(id.index());
        self.pages.get_mut(page)?.as_mut()?.slots.get_mut(slot)?.as_deref_mut()
    }

    /// Returns the oldest retained task.
    pub fn first(&self) -> Option<&Task> {
        self.iter().next()
    }

    /// Returns the retained tasks, in spawn order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Task> + Clone {
        self.pages.iter().flatten().flat_map(|page| page.slots.iter().flatten().map(|task| &**task))
    }

    /// Returns the retained tasks with an id index of at least `index`, in spawn order.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &Task> + Clone {
        let (page, slot) = slot_of(index);
        let pages = self.pages.get(page..).unwrap_or_default().iter().flatten();
        let is_first_there = self.pages.get(page).is_some_and(Option::is_some);
        let skipped = if is_first_there { slot } else { 0 };
        let slots = pages.flat_map(|page| page.slots.iter());
        slots.skip(skipped).flatten().map(|task| &**task)
    }

    /// Returns the ids of the tasks that [`Self::iter_from`] returns, without reading the tasks.
    pub fn ids_from(&self, index: usize) -> impl Iterator<Item = TaskId> + '_ {
        let (first, slot) = slot_of(index);
        let pages = self.pages.iter().enumerate().skip(first).filter_map(|(page, tasks)| Some((page, tasks.as_ref()?)));
        pages.flat_map(move |(page, tasks)| {
            let from = if page == first { slot } else { 0 };
            let retained = move |(slot, task): (usize, &Option<Box<Task>>)| {
                task.as_ref().map(|_| TaskId::from_index(page * PAGE_TASKS + slot))
            };
            tasks.slots.iter().enumerate().skip(from).filter_map(retained)
        })
    }

    /// Returns the retained task at `position` in spawn order, from 0, among the tasks of the program or among the
    /// others.
    pub fn nth(&self, is_program: bool, position: usize) -> Option<&Task> {
        if is_program && self.is_dense() {
            return if position < self.count { self.get(TaskId::from_index(position)) } else { None };
        }
        let mut remaining = position;
        let mut skips = |retained: RoleCounts| {
            let is_passed = remaining >= retained.of(is_program);
            remaining -= if is_passed { retained.of(is_program) } else { 0 };
            is_passed
        };
        let group = self.groups.iter().position(|retained| !skips(*retained))?;
        let mut pages = self.pages.get(group * GROUP_PAGES..)?.iter().flatten();
        let page = pages.find(|page| !skips(page.retained))?;
        let mut tasks = page.slots.iter().flatten().filter(|task| task.meta.kind.is_task() == is_program);
        tasks.nth(remaining).map(|task| &**task)
    }

    /// Returns the numbers of retained tasks with an id index below `index`.
    pub fn counts_before(&self, index: usize) -> RoleCounts {
        if index >= self.count {
            return self.retained;
        }
        if self.is_dense() {
            return RoleCounts { program: index, other: 0 };
        }
        let (page, slot) = slot_of(index);
        let group = page / GROUP_PAGES;
        let groups = self.groups.iter().take(group).copied();
        let pages = self.pages.get(group * GROUP_PAGES..page).unwrap_or_default();
        let pages = pages.iter().flatten().map(|page| page.retained);
        let mut counts = groups.chain(pages).fold(RoleCounts::default(), RoleCounts::plus);
        let own = self.pages.get(page).and_then(Option::as_ref);
        for task in own.into_iter().flat_map(|page| page.slots.iter().take(slot).flatten()) {
            *counts.of_mut(task) += 1;
        }
        counts
    }

    /// Appends the next task.
    pub(super) fn push(&mut self, task: Task) {
        let (page, slot) = slot_of(self.count);
        if page == self.pages.len() {
            self.pages.push(None);
        }
        if page / GROUP_PAGES == self.groups.len() {
            self.groups.push(RoleCounts::default());
        }
        self.count += 1;
        let Some(entry) = self.pages.get_mut(page) else { return };
        if entry.is_none() {
            self.page_count += 1;
        }
        let filled = entry.get_or_insert_with(|| {
            Box::new(TaskPage { retained: RoleCounts::default(), slots: std::array::from_fn(|_| None) })
        });
        for counts in [&mut filled.retained, &mut self.retained, &mut self.groups[page / GROUP_PAGES]] {
            *counts.of_mut(&task) += 1;
        }
        filled.slots[slot] = Some(Box::new(task));
    }

    /// Removes a task, and frees its page if that is now empty.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Box<Task>> {
        let (page, slot) = slot_of(id.index());
        let from = self.pages.get_mut(page)?;
        let task = from.as_mut()?.slots.get_mut(slot)?.take()?;
        if let Some(left) = from {
            *left.retained.of_mut(&task) -= 1;
            // The last page stays, because new tasks go there.
            if left.retained.total() == 0 && (page + 1) * PAGE_TASKS <= self.count {
                *from = None;
                self.page_count -= 1;
            }
        }
        *self.retained.of_mut(&task) -= 1;
        *self.groups[page / GROUP_PAGES].of_mut(&task) -= 1;
        Some(task)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.pages.iter_mut().flatten().flat_map(|page| page.slots.iter_mut().flatten().map(|task| &mut **task))
    }

    /// Returns the memory use of pages and their index in bytes, without the tasks.
    pub(super) fn retained_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Option<Box<TaskPage>>>() + self.page_count * size_of::<TaskPage>()
    }
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = &'a Task;
    type IntoIter = Box<dyn Iterator<Item = &'a Task> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::task_meta::{TaskKind, TaskMeta};
    use super::*;

    fn is_program(index: usize) -> bool {
        index % 5 != 2
    }

    fn task(index: usize) -> Task {
        let kind = if is_program(index) { TaskKind::Task } else { TaskKind::Blocking };
        let meta = Arc::new(TaskMeta { kind, ..TaskMeta::default() });
        Task { meta, ..Task::placeholder(TaskId::from_index(index)) }
    }

    #[test]
    fn finds_positions_among_retained_tasks() {
        const COUNT: usize = PAGE_TASKS * GROUP_PAGES + 3 * PAGE_TASKS + 7;
        let mut tasks = Tasks::default();
        let mut retained: Vec<usize> = (0..COUNT).collect();
        (0..COUNT).for_each(|index| tasks.push(task(index)));
        let evict = |tasks: &mut Tasks, retained: &mut Vec<usize>, is_evicted: &dyn Fn(usize) -> bool| {
            for index in retained.iter().filter(|index| is_evicted(**index)) {
                assert!(tasks.remove(TaskId::from_index(*index)).is_some());
            }
            retained.retain(|index| !is_evicted(*index));
        };
        let check = |tasks: &Tasks, retained: &[usize]| {
            assert_eq!((tasks.len(), tasks.retained()), (COUNT, retained.len()));
            let listed: Vec<usize> = tasks.iter().map(|task| task.id.index()).collect();
            assert_eq!(listed, retained);
            for role in [true, false] {
                let of_role: Vec<usize> = retained.iter().copied().filter(|index| is_program(*index) == role).collect();
                for position in (0..of_role.len()).step_by(97) {
                    let index = of_role[position];
                    let found = tasks.nth(role, position).map(|task| task.id.index());
                    assert_eq!(found, Some(index), "position {position}");
                    assert_eq!(tasks.counts_before(index).of(role), position);
                }
                assert!(tasks.nth(role, of_role.len()).is_none());
                assert_eq!(tasks.counts_before(COUNT).of(role), of_role.len());
            }
            for from in (0..COUNT + 10).step_by(1_013) {
                let first = retained.iter().find(|index| **index >= from).copied();
                assert_eq!(tasks.iter_from(from).next().map(|task| task.id.index()), first, "from {from}");
                assert_eq!(tasks.ids_from(from).next().map(TaskId::index), first, "from {from}");
            }
        };
        check(&tasks, &retained);
        evict(&mut tasks, &mut retained, &|index| index % 3 == 1);
        check(&tasks, &retained);
        evict(&mut tasks, &mut retained, &|index| index > 5 && index < 30_000);
        check(&tasks, &retained);
        assert!(tasks.page_count < COUNT / PAGE_TASKS / 2, "empty pages are freed");
        assert!(tasks.get(TaskId::from_index(7)).is_none() && tasks.remove(TaskId::from_index(7)).is_none());
        evict(&mut tasks, &mut retained, &|_| true);
        check(&tasks, &retained);
        tasks.push(task(COUNT));
        assert_eq!(tasks.nth(is_program(COUNT), 0).map(|task| task.id.index()), Some(COUNT));
    }
}
