//! Table of the retained tasks, by id.
//!
//! Ids are dense and never reused, so an evicted task leaves an empty slot. Pages of empty slots are freed. That leaves
//! less than one byte for each evicted task, so a program may spawn tasks without limit.

use super::id::TaskId;
use super::task::Task;

/// Number of slots in a page, which is freed once all its tasks are evicted.
const PAGE_TASKS: usize = 128;

/// Number of pages in a group. A look-up by row walks groups, then pages, then slots.
const GROUP_PAGES: usize = 256;

/// The retained tasks, indexed by id and by row.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pages: Vec<Option<Box<TaskPage>>>,
    /// Number of retained tasks in each group of pages.
    groups: Vec<u32>,
    count: usize,
    retained: usize,
    /// Number of allocated pages.
    page_count: usize,
}

#[derive(Clone, Debug)]
struct TaskPage {
    retained: usize,
    slots: [Option<Box<Task>>; PAGE_TASKS],
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
        self.retained
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

    /// Returns the task at `row`: the rows number the retained tasks from 0 in spawn order.
    pub fn nth(&self, row: usize) -> Option<&Task> {
        if self.retained == self.count {
            return if row < self.count { self.get(TaskId::from_index(row)) } else { None };
        }
        let mut remaining = row;
        let mut skips = |retained: usize| {
            let is_passed = remaining >= retained;
            remaining -= if is_passed { retained } else { 0 };
            is_passed
        };
        let group = self.groups.iter().position(|retained| !skips(*retained as usize))?;
        let mut pages = self.pages.get(group * GROUP_PAGES..)?.iter().flatten();
        let page = pages.find(|page| !skips(page.retained))?;
        page.slots.iter().flatten().nth(remaining).map(|task| &**task)
    }

    /// Returns the row of task `id`: the number of retained tasks that were spawned before it.
    pub fn row_of(&self, id: TaskId) -> usize {
        if self.retained == self.count {
            return id.index().min(self.count);
        }
        let (page, slot) = slot_of(id.index().min(self.count));
        let group = page / GROUP_PAGES;
        let groups: usize = self.groups.iter().take(group).map(|retained| *retained as usize).sum();
        let pages = self.pages.get(group * GROUP_PAGES..page).unwrap_or_default();
        let pages: usize = pages.iter().flatten().map(|page| page.retained).sum();
        let own = self.pages.get(page).and_then(Option::as_ref);
        groups + pages + own.map_or(0, |page| page.slots.iter().take(slot).flatten().count())
    }

    /// Appends the next task.
    pub(super) fn push(&mut self, task: Task) {
        let (page, slot) = slot_of(self.count);
        if page == self.pages.len() {
            self.pages.push(None);
        }
        if page / GROUP_PAGES == self.groups.len() {
            self.groups.push(0);
        }
        self.count += 1;
        let Some(entry) = self.pages.get_mut(page) else { return };
        if entry.is_none() {
            self.page_count += 1;
        }
        let filled =
            entry.get_or_insert_with(|| Box::new(TaskPage { retained: 0, slots: std::array::from_fn(|_| None) }));
        filled.slots[slot] = Some(Box::new(task));
        filled.retained += 1;
        self.retained += 1;
        self.groups[page / GROUP_PAGES] += 1;
    }

    /// Removes a task, and frees its page if that is now empty.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Box<Task>> {
        let (page, slot) = slot_of(id.index());
        let from = self.pages.get_mut(page)?;
        let task = from.as_mut()?.slots.get_mut(slot)?.take()?;
        if let Some(left) = from {
            left.retained -= 1;
            // The last page stays, because new tasks go there.
            if left.retained == 0 && (page + 1) * PAGE_TASKS <= self.count {
                *from = None;
                self.page_count -= 1;
            }
        }
        self.retained -= 1;
        self.groups[page / GROUP_PAGES] -= 1;
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
    use super::*;

    fn task(index: usize) -> Task {
        Task::placeholder(TaskId::from_index(index))
    }

    #[test]
    fn finds_rows_among_retained_tasks() {
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
            for row in (0..retained.len()).step_by(97) {
                let id = TaskId::from_index(retained[row]);
                assert_eq!(tasks.nth(row).map(|task| task.id), Some(id), "row {row}");
                assert_eq!(tasks.row_of(id), row);
            }
            assert!(tasks.nth(retained.len()).is_none());
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
        assert_eq!(tasks.nth(0).map(|task| task.id.index()), Some(COUNT));
    }
}
