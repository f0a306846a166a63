//! What called a waker outside any poll, on the thread of the loop or of an external program.
//!
//! Timers and I/O do, but so do the end of a deferred yield and, in another program, the blocking pool and other
//! threads. In a recording they look alike; only the await of the woken task shows which one it was.

use crate::trace::{AwaitKind, Cycle, Nanos, TaskId, Trace, WakeSource};

/// Number of the newest polls among which the one before a wake is searched if several have its time.
const NEWEST_MAX: usize = 64;

/// The source of a wake outside any poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutsideWake {
    /// The timer or I/O driver.
    Driver,
    /// The runtime, at the end of a yield of the task itself.
    Deferred,
    /// One of them, the blocking pool or another thread.
    Unknown,
}

impl OutsideWake {
    /// Returns the source of the wake of `task` at `at`, which is recorded as one by the driver.
    pub fn of(trace: &Trace, task: TaskId, at: Nanos) -> Self {
        let Some(lane) = trace.task(task).map(|task| &task.lane) else { return Self::after(trace, None) };
        let is_followed = |cycle: &Cycle| cycle.first_wake() == Some((at, WakeSource::Driver));
        let last = lane.cycle_at(at);
        // On a virtual clock, the wake and the next polls can have the same time.
        let before = || at.checked_sub(1).and_then(|before| lane.cycle_at(before)).filter(is_followed);
        let newest = || lane.cycles().rev().take(NEWEST_MAX).find(is_followed);
        Self::after(trace, last.filter(is_followed).or_else(before).or_else(newest).or(last).as_ref())
    }

    /// Returns the source of a wake that follows the poll of this cycle.
    pub fn after(trace: &Trace, cycle: Option<&Cycle>) -> Self {
        match cycle.map(Cycle::waiting_on) {
            Some((Some(_), AwaitKind::Yield)) => Self::Deferred,
            Some((Some(_), AwaitKind::Timer | AwaitKind::Io)) => Self::Driver,
            // The lab reports other threads as such.
            _ if !trace.is_external() => Self::Driver,
            _ => Self::Unknown,
        }
    }

    /// Returns the name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
        }
    }

    /// Describes it in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Driver => "timer or I/O driver",
            Self::Deferred => "end of its yield",
            Self::Unknown => "outside any task",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{AwaitId, AwaitSite, Event, SiteId, TaskMeta};

    /// Returns the source of a wake outside any poll of a task that awaits this kind.
    fn source(kind: Option<AwaitKind>, is_external: bool) -> OutsideWake {
        let mut trace = Trace::with_budget(1 << 20);
        if is_external {
            trace.set_external();
        }
        let (task, site) = (TaskId::from_index(0), SiteId::from_index(0));
        trace.apply(Event::Spawn { task, at: 0, meta: Box::new(TaskMeta::default()) });
        trace.apply(Event::PollStart { task, at: 1 });
        if let Some(kind) = kind {
            let described = AwaitSite { kind, source: "it".into(), location: None, chain: None };
            trace.apply(Event::NewAwaitSite { id: site, site: Box::new(described) });
            trace.apply(Event::AwaitStart { id: AwaitId::from_index(0), task, at: 2, site });
        }
        trace.apply(Event::PollEnd { task, at: 3 });
        trace.apply(Event::Wake { task, at: 5, source: WakeSource::Driver });
        OutsideWake::of(&trace, task, 5)
    }

    #[test]
    fn await_shows_the_source_of_a_wake() {
        for is_external in [false, true] {
            assert_eq!(source(Some(AwaitKind::Yield), is_external), OutsideWake::Deferred);
            assert_eq!(source(Some(AwaitKind::Timer), is_external), OutsideWake::Driver);
        }
        assert_eq!(source(None, true), OutsideWake::Unknown);
        assert_eq!(source(Some(AwaitKind::Sync), true), OutsideWake::Unknown);
        assert_eq!(source(None, false), OutsideWake::Driver);
    }
}
