//! Merges the records of all threads into one sequence: by time, except where something must have happened before.
//!
//! A thread may be preempted between reading the time and writing its record, so times order the records of two threads
//! only roughly. Records are therefore taken one round late, when those that were about to be written have arrived. A
//! record that depends on one that has not been taken yet waits for it, and so do the later ones of its thread. It is taken
//! anyway, as a doubtful one, once all records of [`ROUNDS_MAX`] later rounds have arrived.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rustc_hash::FxHashMap;

use super::timed_record::TimedRecord;

/// Rounds after its own for which a record waits at most. While it waits, the records of other threads are taken, so with a
/// higher limit these run farther ahead.
const ROUNDS_MAX: usize = 3;

/// Threads of one stream.
const THREADS_MAX: usize = 1 << 14;

/// Records that wait at most, in all threads: 48 MiB. Past it, they are taken without waiting.
const RECORDS_MAX: usize = 1 << 20;

/// What a record depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// Something about this task.
    Task(u64),
    /// The creation of this resource.
    Resource(u64),
    /// The creation of this operation.
    Operation(u64),
    /// A later record of the same thread, given by its index.
    NextRecord(usize),
}

/// Whether the first record of a thread can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordVerdict<T> {
    /// It can; what was found out about it.
    Ready(T),
    /// It depends on what has not happened yet. Past the limit it is taken as `T`.
    Wait(Dependency, T),
}

/// The records of one thread that were not taken yet.
#[derive(Debug)]
pub struct ThreadQueue {
    /// The thread's id.
    pub id: u32,
    /// Its index, from 0, in the order in which threads are seen.
    pub index: usize,
    /// Its records, in order.
    pub records: VecDeque<TimedRecord>,
    /// It is in the heap, or the current thread.
    is_queued: bool,
    /// It is in the list of threads that wait.
    is_listed: bool,
    /// What its first record waits for.
    blocked: Option<Dependency>,
    /// Ticks of the earliest record of another thread that waits for the task of its first record.
    pub waiting_since_ticks: Option<u64>,
}

impl ThreadQueue {
    /// Returns its place in the order of threads, if it has records and is not queued.
    fn key(&self) -> Option<ThreadKey> {
        let first = self.records.front().filter(|_| !self.is_queued)?;
        Some((first.ticks, self.id, self.index))
    }
}

/// A record that was taken.
#[derive(Clone, Copy, Debug)]
pub struct TakenRecord<T> {
    /// Index of its thread.
    pub thread: usize,
    /// The record.
    pub record: TimedRecord,
    /// What was found out about it.
    pub verdict: T,
    /// What it waited for in vain.
    pub missing: Option<Dependency>,
}

/// Ticks of the first record, id and index of a thread, in the order in which threads are taken.
type ThreadKey = (u64, u32, usize);

/// Merges threads.
#[derive(Debug, Default)]
pub struct ThreadMerger {
    threads: Vec<ThreadQueue>,
    by_id: FxHashMap<u32, usize>,
    /// Each thread that has records and does not wait, except `current`.
    heap: BinaryHeap<Reverse<ThreadKey>>,
    /// The thread whose record was taken last, if its next one may follow: threads record several events in a row.
    current: Option<ThreadKey>,
    /// Threads by what they wait for; may hold outdated entries.
    waiting: FxHashMap<Dependency, Vec<usize>>,
    /// Threads that wait; may hold outdated entries.
    blocked: Vec<usize>,
    /// Records with smaller ticks are complete, unless a thread was preempted for longer than a round.
    horizon: u64,
    /// Ticks of the last round.
    last_round: u64,
    /// Ticks of the last [`ROUNDS_MAX`] rounds and the one before, the oldest first.
    recent_rounds: VecDeque<u64>,
    /// Records that were not taken yet.
    count: usize,
    is_finished: bool,
}

impl ThreadMerger {
    /// Returns the index of a thread; `None` if there are too many threads.
    pub fn index_of(&mut self, id: u32) -> Option<usize> {
        if let Some(index) = self.by_id.get(&id) {
            return Some(*index);
        }
        let index = self.threads.len();
        if index >= THREADS_MAX {
            return None;
        }
        self.by_id.insert(id, index);
        let (is_queued, is_listed) = (false, false);
        let records = VecDeque::new();
        let (blocked, waiting_since_ticks) = (None, None);
        self.threads.push(ThreadQueue { id, index, records, is_queued, is_listed, blocked, waiting_since_ticks });
        Some(index)
    }

    /// Adds records of the thread with this index.
    pub fn push(&mut self, index: usize, records: Vec<TimedRecord>) {
        self.count += records.len();
        self.threads[index].records.extend(records);
        // The new records may show what the first one is.
        if let Some(dependency) = self.threads[index].blocked {
            self.stop_waiting(index, dependency);
        }
        self.enqueue(index);
    }

    /// Ends a round: all records with smaller ticks have been added.
    pub fn finish_round(&mut self, ticks: u64) {
        self.horizon = self.last_round;
        self.last_round = self.last_round.max(ticks);
        if self.recent_rounds.len() > ROUNDS_MAX {
            self.recent_rounds.pop_front();
        }
        self.recent_rounds.push_back(self.last_round);
    }

    /// Returns the ticks up to which records can be taken.
    pub fn horizon(&self) -> u64 {
        self.horizon.min(self.last_round)
    }

    /// Ends the stream: all records have been added, and can be taken without waiting.
    pub fn finish(&mut self) {
        self.is_finished = true;
        self.horizon = u64::MAX;
    }

    /// Notes that something happened on which records may depend.
    #[inline]
    pub fn resolve(&mut self, dependency: Dependency) {
        if self.waiting.is_empty() {
            return;
        }
        for index in self.waiting.remove(&dependency).unwrap_or_default() {
            if self.threads[index].blocked == Some(dependency) {
                self.threads[index].blocked = None;
                self.enqueue(index);
            }
        }
    }

    /// Takes the next record. `judge` says whether the first record of a thread can be taken.
    pub fn take<T>(&mut self, judge: impl Fn(&ThreadQueue) -> RecordVerdict<T>) -> Option<TakenRecord<T>> {
        loop {
            let is_full = self.count > RECORDS_MAX;
            match self.next_thread(is_full) {
                Some(index) => {
                    self.threads[index].is_queued = false;
                    let Some(first) = self.threads[index].records.front() else { continue };
                    self.threads[index].waiting_since_ticks = self.first_waiting_for(first.subject, index);
                    match judge(&self.threads[index]) {
                        RecordVerdict::Ready(verdict) => return self.pop(index, verdict, None),
                        RecordVerdict::Wait(dependency, _) => self.block(index, dependency),
                    }
                }
                None => {
                    let (index, dependency) = self.overdue(is_full)?;
                    self.stop_waiting(index, dependency);
                    let verdict = match judge(&self.threads[index]) {
                        RecordVerdict::Ready(verdict) => return self.pop(index, verdict, None),
                        RecordVerdict::Wait(_, verdict) => verdict,
                    };
                    return self.pop(index, verdict, Some(dependency));
                }
            }
        }
    }

    /// Takes the thread with the earliest record out of those that do not wait, if that record is complete.
    #[inline]
    fn next_thread(&mut self, is_full: bool) -> Option<usize> {
        if let Some(current) = self.current.take() {
            if self.heap.peek().is_none_or(|Reverse(first)| current < *first) && self.is_complete(current, is_full) {
                return Some(current.2);
            }
            self.heap.push(Reverse(current));
        }
        let Reverse(first) = *self.heap.peek()?;
        if !self.is_complete(first, is_full) {
            return None;
        }
        self.heap.pop();
        Some(first.2)
    }

    fn is_complete(&self, (ticks, ..): ThreadKey, is_full: bool) -> bool {
        ticks < self.horizon || self.is_finished || is_full
    }

    /// Returns the ticks of the earliest record of a thread other than `except` that waits for this task.
    fn first_waiting_for(&self, task: u64, except: usize) -> Option<u64> {
        if self.waiting.is_empty() {
            return None;
        }
        let dependency = Dependency::Task(task);
        let waiting = self.waiting.get(&dependency)?.iter().filter(|index| **index != except);
        let blocked = waiting.filter(|index| self.threads[**index].blocked == Some(dependency));
        blocked.filter_map(|index| Some(self.threads[*index].records.front()?.ticks)).min()
    }

    /// Returns the thread with the earliest record that waits, if that is old enough.
    fn overdue(&mut self, is_full: bool) -> Option<(usize, Dependency)> {
        let Self { threads, blocked, recent_rounds, is_finished, .. } = self;
        blocked.retain(|index| {
            threads[*index].is_listed = threads[*index].blocked.is_some();
            threads[*index].is_listed
        });
        let first_ticks = |index: usize| threads[index].records.front().map_or(0, |record| record.ticks);
        let oldest_round = recent_rounds.front().filter(|_| recent_rounds.len() > ROUNDS_MAX);
        let is_overdue =
            |index: &usize| *is_finished || is_full || oldest_round.is_some_and(|ticks| first_ticks(*index) < *ticks);
        // The earliest one first: others may depend on what follows it.
        let earliest = blocked.iter().copied().min_by_key(|index| (first_ticks(*index), threads[*index].id));
        let index = earliest.filter(is_overdue)?;
        Some((index, threads[index].blocked?))
    }

    fn block(&mut self, index: usize, dependency: Dependency) {
        self.threads[index].blocked = Some(dependency);
        self.waiting.entry(dependency).or_default().push(index);
        if !std::mem::replace(&mut self.threads[index].is_listed, true) {
            self.blocked.push(index);
        }
    }

    fn stop_waiting(&mut self, index: usize, dependency: Dependency) {
        self.threads[index].blocked = None;
        if let Some(waiting) = self.waiting.get_mut(&dependency) {
            waiting.retain(|other| *other != index);
            if waiting.is_empty() {
                self.waiting.remove(&dependency);
            }
        }
    }

    fn pop<T>(&mut self, index: usize, verdict: T, missing: Option<Dependency>) -> Option<TakenRecord<T>> {
        let record = self.threads[index].records.pop_front()?;
        self.count -= 1;
        // A thread that waited may have been queued meanwhile.
        if self.current.is_none()
            && let Some(key) = self.threads[index].key()
        {
            self.threads[index].is_queued = true;
            self.current = Some(key);
        } else {
            self.enqueue(index);
        }
        Some(TakenRecord { thread: index, record, verdict, missing })
    }

    fn enqueue(&mut self, index: usize) {
        let Some(key) = self.threads[index].key() else { return };
        self.threads[index].is_queued = true;
        self.heap.push(Reverse(key));
    }
}

#[cfg(test)]
mod tests {
    use loopscope_probe::record::RecordKind;

    use super::*;

    fn wake(ticks: u64, subject: u64) -> TimedRecord {
        TimedRecord::new(RecordKind::Wake, ticks, subject)
    }

    fn push(merger: &mut ThreadMerger, id: u32, records: Vec<TimedRecord>) {
        let index = merger.index_of(id).expect("few threads");
        merger.push(index, records);
    }

    /// Takes everything that can be taken. Records of task 9 depend on one of task 8.
    fn take_all(merger: &mut ThreadMerger) -> Vec<(u64, bool)> {
        let mut taken: Vec<(u64, bool)> = Vec::new();
        let mut has_eight = false;
        while let Some(found) = merger.take(|queue| match queue.records.front() {
            Some(first) if first.subject == 9 && !has_eight => RecordVerdict::Wait(Dependency::Task(8), ()),
            _ => RecordVerdict::Ready(()),
        }) {
            has_eight |= found.record.subject == 8;
            merger.resolve(Dependency::Task(found.record.subject));
            taken.push((found.record.ticks, found.missing.is_some()));
        }
        taken
    }

    #[test]
    fn takes_by_time_one_round_late() {
        let mut merger = ThreadMerger::default();
        push(&mut merger, 2, vec![wake(1, 1), wake(4, 1), wake(9, 1)]);
        merger.finish_round(9);
        assert_eq!(take_all(&mut merger), []);
        push(&mut merger, 1, vec![wake(2, 1), wake(4, 1)]);
        merger.finish_round(20);
        assert_eq!(take_all(&mut merger).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 4, 4]);
        merger.finish();
        assert_eq!((take_all(&mut merger), merger.count), (vec![(9, false)], 0));
    }

    #[test]
    fn waits_for_what_a_record_depends_on() {
        let mut merger = ThreadMerger::default();
        push(&mut merger, 1, vec![wake(1, 9), wake(2, 1)]);
        push(&mut merger, 2, vec![wake(3, 1)]);
        merger.finish_round(10);
        merger.finish_round(11);
        assert_eq!(take_all(&mut merger), [(3, false)], "the other thread goes on");
        push(&mut merger, 2, vec![wake(5, 8), wake(6, 1)]);
        merger.finish_round(20);
        assert_eq!(take_all(&mut merger), [(5, false), (1, false), (2, false), (6, false)]);
    }

    /// Records that wait in vain are taken at the same age each, not one after the other.
    #[test]
    fn waits_for_some_rounds_at_most() {
        let mut merger = ThreadMerger::default();
        push(&mut merger, 1, vec![wake(1, 9), wake(2, 9), wake(3, 1), wake(25, 9)]);
        for round in 1..=ROUNDS_MAX as u64 {
            merger.finish_round(10 * round);
            assert_eq!(take_all(&mut merger), [], "round {round}");
        }
        merger.finish_round(1_000);
        assert_eq!(take_all(&mut merger), [(1, true), (2, true), (3, false)]);
        merger.finish_round(1_001);
        assert_eq!(take_all(&mut merger), []);
        merger.finish_round(1_002);
        assert_eq!(take_all(&mut merger), [(25, true)]);
    }
}
