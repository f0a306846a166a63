//! Every task that is kept, by its id. Ids are dense and never used again, so a task that is forgotten leaves nobody in
//! its place; what that takes is a bit of a byte for each, so that a program may spawn for as long as it likes.

use super::id::TaskId;
use super::task::Task;

/// Tasks of a page, which goes once all of them are forgotten.
const PAGE_TASKS: usize = 128;

/// Pages whose tasks are counted together: to find a row one walks groups, pages and places.
const GROUP_PAGES: usize = 256;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pages: Vec<Option<Box<Page>>>,
    /// Tasks that are kept in each group of pages.
    groups: Vec<u32>,
    count: usize,
    kept: usize,
    /// Pages that are there.
    kept_pages: usize,
}

#[derive(Clone, Debug)]
struct Page {
    kept: usize,
    places: [Option<Box<Task>>; PAGE_TASKS],
}

/// Where a task is: its page, and the place there.
fn place(index: usize) -> (usize, usize) {
    (index / PAGE_TASKS, index % PAGE_TASKS)
}

impl Tasks {
    /// How many there ever were.
    pub fn len(&self) -> usize {
        self.count
    }

    /// There never was any.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many are kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The one that `id` means; `None` where there is none, or it is forgotten.
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        let (page, place) = place(id.index());
        self.pages.get(page)?.as_ref()?.places.get(place)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        let (page, place) = place(id.index());
        self.pages.get_mut(page)?.as_mut()?.places.get_mut(place)?.as_deref_mut()
    }

    /// The oldest that is kept.
    pub fn first(&self) -> Option<&Task> {
        self.iter().next()
    }

    /// Every one that is kept, in order of spawning.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Task> + Clone {
        self.pages.iter().flatten().flat_map(|page| page.places.iter().flatten().map(|task| &**task))
    }

    /// Every one that is kept from the `index`-th on that there ever was, in order of spawning.
    pub fn from(&self, index: usize) -> impl Iterator<Item = &Task> + Clone {
        let (page, place) = place(index);
        let pages = self.pages.get(page..).unwrap_or_default().iter().flatten();
        let is_first_there = self.pages.get(page).is_some_and(Option::is_some);
        let skipped = if is_first_there { place } else { 0 };
        let places = pages.flat_map(|page| page.places.iter());
        places.skip(skipped).flatten().map(|task| &**task)
    }

    /// The ids of those that [`Self::from`] gives, without a look at any of them.
    pub fn ids_from(&self, index: usize) -> impl Iterator<Item = TaskId> + '_ {
        let (first, place) = place(index);
        let pages = self.pages.iter().enumerate().skip(first).filter_map(|(page, tasks)| Some((page, tasks.as_ref()?)));
        pages.flat_map(move |(page, tasks)| {
            let from = if page == first { place } else { 0 };
            let kept = move |(place, task): (usize, &Option<Box<Task>>)| {
                task.as_ref().map(|_| TaskId::from_index(page * PAGE_TASKS + place))
            };
            tasks.places.iter().enumerate().skip(from).filter_map(kept)
        })
    }

    /// The task of a row, where each that is kept has one, in order of spawning.
    pub fn nth(&self, row: usize) -> Option<&Task> {
        if self.kept == self.count {
            return if row < self.count { self.get(TaskId::from_index(row)) } else { None };
        }
        let mut left = row;
        let mut passes = |kept: usize| {
            let is_passed = left >= kept;
            left -= if is_passed { kept } else { 0 };
            is_passed
        };
        let group = self.groups.iter().position(|kept| !passes(*kept as usize))?;
        let mut pages = self.pages.get(group * GROUP_PAGES..)?.iter().flatten();
        let page = pages.find(|page| !passes(page.kept))?;
        page.places.iter().flatten().nth(left).map(|task| &**task)
    }

    /// How many of those that are kept were spawned before `id`: its row.
    pub fn before(&self, id: TaskId) -> usize {
        if self.kept == self.count {
            return id.index().min(self.count);
        }
        let (page, place) = place(id.index().min(self.count));
        let group = page / GROUP_PAGES;
        let groups: usize = self.groups.iter().take(group).map(|kept| *kept as usize).sum();
        let pages = self.pages.get(group * GROUP_PAGES..page).unwrap_or_default();
        let pages: usize = pages.iter().flatten().map(|page| page.kept).sum();
        let own = self.pages.get(page).and_then(Option::as_ref);
        groups + pages + own.map_or(0, |page| page.places.iter().take(place).flatten().count())
    }

    /// Adds the next one.
    pub(super) fn push(&mut self, task: Task) {
        let (page, place) = place(self.count);
        if page == self.pages.len() {
            self.pages.push(None);
        }
        if page / GROUP_PAGES == self.groups.len() {
            self.groups.push(0);
        }
        self.count += 1;
        let Some(into) = self.pages.get_mut(page) else { return };
        if into.is_none() {
            self.kept_pages += 1;
        }
        let page_of = into.get_or_insert_with(|| Box::new(Page { kept: 0, places: std::array::from_fn(|_| None) }));
        page_of.places[place] = Some(Box::new(task));
        page_of.kept += 1;
        self.kept += 1;
        self.groups[page / GROUP_PAGES] += 1;
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Box<Task>> {
        let (page, place) = place(id.index());
        let from = self.pages.get_mut(page)?;
        let task = from.as_mut()?.places.get_mut(place)?.take()?;
        if let Some(left) = from {
            left.kept -= 1;
            // The page that is being filled stays.
            if left.kept == 0 && (page + 1) * PAGE_TASKS <= self.count {
                *from = None;
                self.kept_pages -= 1;
            }
        }
        self.kept -= 1;
        self.groups[page / GROUP_PAGES] -= 1;
        Some(task)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.pages.iter_mut().flatten().flat_map(|page| page.places.iter_mut().flatten().map(|task| &mut **task))
    }

    /// What it takes to find them.
    pub(super) fn kept_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Option<Box<Page>>>() + self.kept_pages * size_of::<Page>()
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
        Task::nobody(TaskId::from_index(index))
    }

    #[test]
    fn rows_are_found_among_what_is_kept_whatever_is_forgotten() {
        const COUNT: usize = PAGE_TASKS * GROUP_PAGES + 3 * PAGE_TASKS + 7;
        let mut tasks = Tasks::default();
        let mut kept: Vec<usize> = (0..COUNT).collect();
        (0..COUNT).for_each(|index| tasks.push(task(index)));
        let forget = |tasks: &mut Tasks, kept: &mut Vec<usize>, is_gone: &dyn Fn(usize) -> bool| {
            for index in kept.iter().filter(|index| is_gone(**index)) {
                assert!(tasks.remove(TaskId::from_index(*index)).is_some());
            }
            kept.retain(|index| !is_gone(*index));
        };
        let check = |tasks: &Tasks, kept: &[usize]| {
            assert_eq!((tasks.len(), tasks.kept()), (COUNT, kept.len()));
            let listed: Vec<usize> = tasks.iter().map(|task| task.id.index()).collect();
            assert_eq!(listed, kept);
            for row in (0..kept.len()).step_by(97) {
                let id = TaskId::from_index(kept[row]);
                assert_eq!(tasks.nth(row).map(|task| task.id), Some(id), "row {row}");
                assert_eq!(tasks.before(id), row);
            }
            assert!(tasks.nth(kept.len()).is_none());
            for from in (0..COUNT + 10).step_by(1_013) {
                let first = kept.iter().find(|index| **index >= from).copied();
                assert_eq!(tasks.from(from).next().map(|task| task.id.index()), first, "from {from}");
                assert_eq!(tasks.ids_from(from).next().map(TaskId::index), first, "from {from}");
            }
        };
        check(&tasks, &kept);
        forget(&mut tasks, &mut kept, &|index| index % 3 == 1);
        check(&tasks, &kept);
        forget(&mut tasks, &mut kept, &|index| index > 5 && index < 30_000);
        check(&tasks, &kept);
        assert!(tasks.kept_pages < COUNT / PAGE_TASKS / 2, "pages of nobody are gone");
        assert!(tasks.get(TaskId::from_index(7)).is_none() && tasks.remove(TaskId::from_index(7)).is_none());
        forget(&mut tasks, &mut kept, &|_| true);
        check(&tasks, &kept);
        tasks.push(task(COUNT));
        assert_eq!(tasks.nth(0).map(|task| task.id.index()), Some(COUNT));
    }
}
