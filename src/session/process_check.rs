//! What the system reports of the process of an app: when its threads wait for a processor, and whether something outside
//! of it can wake it.

mod outside_input;
mod processor_wait;

use rustc_hash::FxHashSet;

use super::epoch_clock::EpochClock;
use crate::trace::{Event, Nanos, Trace, WorkerId};
use outside_input::OutsideInputCheck;
use processor_wait::{ProcessorWaitSampler, WAIT_NS_MIN};

/// Examines the process of an app from time to time.
#[derive(Debug)]
pub struct ProcessCheck {
    clock: EpochClock,
    processor_wait: ProcessorWaitSampler,
    outside_input: OutsideInputCheck,
    /// Workers whose waits have been reported.
    workers: FxHashSet<WorkerId>,
}

impl ProcessCheck {
    /// Creates a check of a process that is about to start. `clock` is that of its trace.
    pub fn of_new_process(clock: EpochClock) -> Self {
        let processor_wait = ProcessorWaitSampler::of_new_process(clock);
        Self { clock, processor_wait, outside_input: OutsideInputCheck::default(), workers: FxHashSet::default() }
    }

    /// Creates a check of a process that has been running for some time.
    pub fn of_running_process(pid: u32) -> Self {
        let clock = EpochClock::start();
        let processor_wait = ProcessorWaitSampler::of_running_process(pid, clock);
        Self { clock, processor_wait, outside_input: OutsideInputCheck::default(), workers: FxHashSet::default() }
    }

    /// Applies what the system reports of the process `pid`, if a check is due. Its console listens on `console_port`.
    /// `loop_time` converts nanoseconds since 1970. `workers` are the workers, each with its thread if that is known.
    pub fn apply_if_due(
        &mut self,
        pid: u32,
        console_port: Option<u16>,
        trace: &mut Trace,
        mut loop_time: impl FnMut(u64) -> Nanos,
        workers: impl Iterator<Item = (WorkerId, Option<u32>)>,
    ) {
        if let Some(is_possible) = self.outside_input.check_if_due(pid, console_port) {
            trace.apply(Event::OutsideInput { is_possible });
        }
        let Some(waited) = self.processor_wait.sample_if_due(pid, self.clock) else { return };
        let interval = (loop_time(waited.from), loop_time(waited.to));
        if waited.is_notable() {
            trace.apply(Event::ProcessorWait { interval, worker: None, waited_ns: waited.waited_ns });
        }
        for (worker, thread) in workers {
            let waited_ns = waited.of_thread(thread);
            let is_new = self.workers.insert(worker);
            if is_new || waited_ns >= WAIT_NS_MIN {
                trace.apply(Event::ProcessorWait { interval, worker: Some(worker), waited_ns });
            }
        }
        trace.set_processor_waits_known_until(loop_time(waited.known_until));
    }
}
