//! A sealed block of a lane: its cycles as columns, which a look-up reads without unpacking the rest.
//!
//! A cycle is kept as how long it ran, waited and was scheduled, so that its start is the sum of what came before it in
//! the block, and an instant is found by walking three columns. What is rarely asked for (steps, wakes, awaits) is read
//! by itself, at one place.

use super::super::event::{AwaitKind, Cause, Nanos};
use super::super::id::{AwaitId, TaskId};
use super::super::pack::{Column, first_not, push_column, push_number, take_number};
use super::steps::StepGlance;
use super::walk::Walk;
use super::{Cycle, NEVER, Totals};

/// Cycles in a block: the longest walk that a look-up makes.
pub(in crate::trace) const BLOCK_CYCLES: usize = 32;

/// The wake came during the poll: `wait` says how long before its end, and nothing was waited for.
const IN_POLL: u8 = 1 << 3;
/// No wake came until the next poll.
const UNWOKEN: u8 = 1 << 4;
/// Nobody told when the poll ended.
const UNENDED: u8 = 1 << 5;
pub(super) const KIND: u8 = IN_POLL - 1;

/// Codes of causes; a task's is its number after these.
const NOBODY: u64 = 0;
const OWN: u64 = 1;
const DRIVER: u64 = 2;
const THREAD: u64 = 3;
const PERSON: u64 = 4;

pub(in crate::trace) fn cause_code(cause: Option<Cause>) -> u64 {
    match cause {
        None => NOBODY,
        Some(Cause::Own) => OWN,
        Some(Cause::Driver) => DRIVER,
        Some(Cause::Thread) => THREAD,
        Some(Cause::Person) => PERSON,
        Some(Cause::Task(id)) => PERSON + u64::from(id.number()),
    }
}

/// The cause of a code; `None` for nobody, and for a number that no task has.
pub(in crate::trace) fn cause_of(code: u64) -> Option<Cause> {
    match code {
        NOBODY => None,
        OWN => Some(Cause::Own),
        DRIVER => Some(Cause::Driver),
        THREAD => Some(Cause::Thread),
        PERSON => Some(Cause::Person),
        _ => u32::try_from(code - PERSON).ok().and_then(TaskId::from_number).map(Cause::Task),
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(in crate::trace) struct Block {
    /// Totals of the lane up to the start of this block's first cycle.
    pub before: Totals,
    /// When its first cycle starts, and as the how many-th poll of the loop.
    pub start: Nanos,
    pub step: u32,
    /// When what follows it starts.
    until: Nanos,
    count: u8,
    /// Cycles with a wake of which is known who called it, and how many the lane's blocks before it have.
    wakes: u8,
    pub(super) wakes_before: u32,
    bytes: Box<[u8]>,
}

/// The columns that say what was going on when.
pub(super) struct Times<'a> {
    busy: Column<'a>,
    marks: Marks<'a>,
    wait: Column<'a>,
    scheduled: Column<'a>,
}

/// What was awaited after each poll.
#[derive(Clone, Copy)]
pub(super) struct Awaited<'a> {
    least_await: u64,
    awaits: Column<'a>,
}

/// The columns that say more of one cycle.
struct Rest<'a> {
    awaits: Awaited<'a>,
    steps: Column<'a>,
    woken_steps: Column<'a>,
    causes: Column<'a>,
}

/// When a cycle that starts at `start` is over. A file that lies may say of it what does not fit before what follows.
#[inline]
pub(super) fn after(start: Nanos, (busy, wait, scheduled): (u64, u64, u64), until: Nanos) -> Nanos {
    start.saturating_add(busy).saturating_add(wait).saturating_add(scheduled).min(until)
}

/// Flags and kind of each cycle, as places in a list of those that there are.
#[derive(Default)]
struct Marks<'a> {
    known: &'a [u8],
    places: Column<'a>,
}

impl Marks<'_> {
    #[inline]
    fn get(&self, index: usize) -> u8 {
        match self.known {
            [only] => *only,
            known => known.get(self.places.get(index) as usize).copied().unwrap_or(0),
        }
    }
}

impl Times<'_> {
    /// How long the cycle at `index` ran, waited and was scheduled, and in which place of the kinds it waited.
    #[inline]
    pub fn spent(&self, index: usize) -> ((u64, u64, u64), usize) {
        let mark = self.marks.get(index);
        let wait = if mark & IN_POLL == 0 { self.wait.get(index) } else { 0 };
        ((self.busy.get(index), wait, self.scheduled.get(index)), usize::from(mark & KIND))
    }

    /// The cycle at `index`, which starts at `start`, as far as these columns tell.
    pub fn cycle(&self, index: usize, start: Nanos, until: Nanos) -> Cycle {
        let (mark, wait) = (self.marks.get(index), self.wait.get(index));
        let end = start.saturating_add(self.busy.get(index)).min(until);
        let wake = match mark & (UNWOKEN | IN_POLL) {
            0 => end.saturating_add(wait).min(until),
            IN_POLL => end.saturating_sub(wait).max(start),
            _ => NEVER,
        };
        let end = if mark & UNENDED == 0 { end } else { NEVER };
        Cycle { end, wake, kind: AwaitKind::ALL[usize::from(mark & KIND)], ..Cycle::begin(start, 0) }
    }
}

impl Awaited<'_> {
    pub fn get(&self, index: usize) -> Option<AwaitId> {
        let place = self.awaits.get(index).checked_sub(1)?;
        u32::try_from(self.least_await.wrapping_add(place)).ok().and_then(AwaitId::from_number)
    }
}

impl Rest<'_> {
    fn fill(&self, index: usize, first_step: u32, cycle: &mut Cycle) {
        cycle.waiting_on = self.awaits.get(index);
        cycle.step = first_step.wrapping_add(self.steps.get(index) as u32);
        if cycle.wake != NEVER {
            cycle.woken_step = cycle.step.wrapping_add(self.woken_steps.get(index) as u32);
            cycle.cause = cause_of(self.causes.get(index));
        }
    }
}

impl Block {
    /// Packs `cycles`, of which there is at least one and at most [`BLOCK_CYCLES`]; what follows them starts at `until`.
    /// Gives back the totals up to there too.
    pub fn pack(cycles: &[Cycle], before: Totals, until: Nanos, scratch: &mut Vec<u8>) -> (Self, Totals) {
        debug_assert!(!cycles.is_empty() && cycles.len() <= BLOCK_CYCLES);
        let count = cycles.len().min(BLOCK_CYCLES);
        let mut columns = [[0_u64; BLOCK_CYCLES]; 8];
        let [busy, places, wait, scheduled, awaits, steps, woken_steps, causes] = &mut columns;
        let (mut known, mut known_count) = ([0_u8; BLOCK_CYCLES], 0);
        let mut totals = before;
        let step = cycles[0].step;
        for (index, cycle) in cycles.iter().take(count).enumerate() {
            let next = cycles.get(index + 1).map_or(until, |next| next.start).max(cycle.start);
            let end = cycle.end.min(next);
            let woken = cycle.wake.clamp(end, next);
            busy[index] = end - cycle.start;
            scheduled[index] = next - woken;
            let mut mark = cycle.kind as u8;
            if cycle.end == NEVER {
                mark |= UNENDED;
            }
            if cycle.wake == NEVER {
                mark |= UNWOKEN;
                wait[index] = next - end;
            } else {
                // A wake after the next poll's start is told too late; it counts as having come in time.
                let wake = cycle.wake.min(next);
                mark |= if wake < end { IN_POLL } else { 0 };
                wait[index] = wake.abs_diff(end);
                woken_steps[index] = u64::from(cycle.woken_step.saturating_sub(cycle.step));
            }
            let place = known[..known_count].iter().position(|known| *known == mark).unwrap_or_else(|| {
                known[known_count] = mark;
                known_count += 1;
                known_count - 1
            });
            places[index] = place as u64;
            awaits[index] = cycle.waiting_on.map_or(0, |id| u64::from(id.number()));
            steps[index] = u64::from(cycle.step.saturating_sub(step));
            causes[index] = cause_code(cycle.cause);
            totals.busy_ns += end - cycle.start;
            totals.wait(cycle.kind, woken - end);
            totals.scheduled_ns += next - woken;
        }
        totals.polls += count as u64;
        scratch.clear();
        push_column(scratch, &busy[..count]);
        scratch.push(known_count as u8);
        scratch.extend_from_slice(&known[..known_count]);
        push_column(scratch, &places[..count]);
        for column in [wait, scheduled] {
            push_column(scratch, &column[..count]);
        }
        // Nothing awaited is 0, and would be far from the rest.
        let least = awaits[..count].iter().copied().filter(|id| *id > 0).min().unwrap_or(1);
        awaits[..count].iter_mut().for_each(|id| *id = (*id + 1).saturating_sub(least));
        push_number(scratch, least);
        for column in [awaits, steps, woken_steps, causes] {
            push_column(scratch, &column[..count]);
        }
        let wakes = cycles.iter().filter(|cycle| cycle.wake().is_some()).count() as u8;
        let (start, bytes) = (cycles[0].start, scratch.as_slice().into());
        let (until, count, wakes_before) = (until.max(start), count as u8, 0);
        let block = Self { before, start, step, until, count, wakes, wakes_before, bytes };
        (block, totals)
    }

    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Wakes that its cycles and those of the lane's blocks before it tell of.
    pub fn wakes_until(&self) -> u32 {
        self.wakes_before.wrapping_add(self.wakes.into())
    }

    pub fn until(&self) -> Nanos {
        self.until
    }

    /// When it is over, its counts of cycles and wakes, and its columns.
    pub fn parts(&self) -> (Nanos, u8, u8, &[u8]) {
        (self.until, self.count, self.wakes, &self.bytes)
    }

    /// A block of such parts; `None` where they cannot be a block's.
    pub fn from_parts(
        before: Totals,
        (start, step): (Nanos, u32),
        (until, count, wakes, bytes): (Nanos, u8, u8, &[u8]),
    ) -> Option<Self> {
        let block = Self { before, start, step, until, count, wakes, wakes_before: 0, bytes: bytes.into() };
        if !(1..=BLOCK_CYCLES).contains(&block.len()) {
            return None;
        }
        let (times, rest) = block.times()?;
        let (rest, after) = block.rest(rest)?;
        let is_told =
            |index: &usize| times.marks.get(*index) & UNWOKEN == 0 && cause_of(rest.causes.get(*index)).is_some();
        let told = (0..block.len()).filter(is_told).count();
        (after.is_empty() && told == usize::from(wakes)).then_some(block)
    }

    /// Bytes that it takes, with what an allocator adds.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + super::super::ALLOCATION_BYTES
    }

    /// `None` never, for blocks that were packed here or passed [`Block::from_parts`].
    fn times(&self) -> Option<(Times<'_>, &[u8])> {
        let (mut rest, count) = (&*self.bytes, self.len());
        let busy = Column::take(&mut rest, count)?;
        let (known_count, after) = rest.split_first()?;
        let (known, after) = after.split_at_checked(usize::from(*known_count))?;
        rest = after;
        let places = Column::take(&mut rest, count)?;
        let wait = Column::take(&mut rest, count)?;
        let scheduled = Column::take(&mut rest, count)?;
        Some((Times { busy, marks: Marks { known, places }, wait, scheduled }, rest))
    }

    fn rest<'a>(&self, mut rest: &'a [u8]) -> Option<(Rest<'a>, &'a [u8])> {
        let (least_await, count) = (take_number(&mut rest)?, self.len());
        let awaits = Column::take(&mut rest, count)?;
        let steps = Column::take(&mut rest, count)?;
        let woken_steps = Column::take(&mut rest, count)?;
        let causes = Column::take(&mut rest, count)?;
        Some((Rest { awaits: Awaited { least_await, awaits }, steps, woken_steps, causes }, rest))
    }

    /// The walk to the last cycle that starts at or before `at`, which is not before this block. `after`, the totals up
    /// to its end, lets it come from there where that is nearer.
    #[inline]
    pub(super) fn walk_to(&self, at: Nanos, after: Option<&Totals>) -> Option<Walk<'_>> {
        let (times, rest) = self.times()?;
        let is_late = at.saturating_sub(self.start) > self.until.saturating_sub(self.start) / 2;
        let (start, totals) = (self.start, self.before);
        let mut walk = Walk { block: self, times, rest, awaits: None, index: 0, start, totals };
        match after.filter(|_| is_late) {
            Some(after) => {
                (walk.index, walk.start, walk.totals) = (self.len(), self.until, *after);
                walk.back_to(at);
            }
            None => walk.on_to(at),
        }
        Some(walk)
    }

    /// What the task waited on after each poll, of which `rest` are the columns behind the times.
    pub(super) fn awaits<'a>(&self, mut rest: &'a [u8]) -> Option<Awaited<'a>> {
        let least_await = take_number(&mut rest)?;
        Some(Awaited { least_await, awaits: Column::take(&mut rest, self.len())? })
    }

    /// The last cycle that starts at or before `at`.
    pub fn cycle_at(&self, at: Nanos) -> Option<Cycle> {
        let walk = self.walk_to(at, None)?;
        let mut cycle = walk.times.cycle(walk.index, walk.start, self.until);
        self.rest(walk.rest)?.0.fill(walk.index, self.step, &mut cycle);
        Some(cycle)
    }

    /// What it tells of the loop's `step`-th poll; `None` where none of its polls was at or before that.
    pub fn glance_at_step(&self, step: u32) -> Option<StepGlance> {
        let (times, rest) = self.times()?;
        let (rest, _) = self.rest(rest)?;
        let step_of = |index: usize| self.step.wrapping_add(rest.steps.get(index) as u32);
        let polls = first_not(0..self.len(), |index| step_of(index) <= step);
        let index = polls.checked_sub(1)?;
        let mark = times.marks.get(index);
        let is_woken = mark & UNWOKEN == 0;
        let woken_step = is_woken.then(|| step_of(index).wrapping_add(rest.woken_steps.get(index) as u32));
        let waiting_on = rest.awaits.get(index);
        let kind = AwaitKind::ALL[usize::from(mark & KIND)];
        let polls = self.before.polls.wrapping_add(polls as u64);
        Some(StepGlance { polls, woken_step, waiting_on: (waiting_on, kind) })
    }

    /// How long its polls took that ended, the newest first.
    pub fn polls_ns(&self) -> impl Iterator<Item = u64> + '_ {
        let times = self.times().map(|(times, _)| times);
        let length = |times: &Times<'_>, index| (times.marks.get(index) & UNENDED == 0).then(|| times.busy.get(index));
        (0..self.len()).rev().filter_map(move |index| times.as_ref().and_then(|times| length(times, index)))
    }

    /// Every wake of which is known who called it, in order, and in which cycle; no other column is read.
    pub fn wakes(&self) -> Vec<(usize, Nanos, Cause)> {
        let Some((times, rest)) = self.times() else { return Vec::new() };
        let Some((rest, _)) = self.rest(rest) else { return Vec::new() };
        let (mut start, mut wakes) = (self.start, Vec::with_capacity(self.wakes.into()));
        for index in 0..self.len() {
            if let Some(cause) = cause_of(rest.causes.get(index)) {
                let wake = times.cycle(index, start, self.until).wake;
                wakes.extend((wake != NEVER).then_some((index, wake, cause)));
            }
            start = after(start, times.spent(index).0, self.until);
        }
        wakes
    }

    /// Every cycle, in order.
    pub fn cycles(&self) -> Vec<Cycle> {
        let Some((times, rest)) = self.times() else { return Vec::new() };
        let Some((rest, _)) = self.rest(rest) else { return Vec::new() };
        let mut start = self.start;
        (0..self.len())
            .map(|index| {
                let mut cycle = times.cycle(index, start, self.until);
                rest.fill(index, self.step, &mut cycle);
                start = after(start, times.spent(index).0, self.until);
                cycle
            })
            .collect()
    }
}
