//! What the system reports of the process of an app: when its threads wait for a processor, and whether something outside
//! of it can wake it.

mod outside_input;
mod processor_wait;

use super::epoch_clock::EpochClock;
use crate::trace::{Event, Nanos, Trace};
use outside_input::OutsideInputCheck;
use processor_wait::ProcessorWaitSampler;

/// Examines the process of an app from time to time.
#[derive(Debug)]
pub struct ProcessCheck {
    clock: EpochClock,
    processor_wait: ProcessorWaitSampler,
    outside_input: OutsideInputCheck,
}

impl ProcessCheck {
    /// Creates a check of a process that is about to start. `clock` is that of its trace.
    pub fn of_new_process(clock: EpochClock) -> Self {
        let processor_wait = ProcessorWaitSampler::of_new_process(clock);
        Self { clock, processor_wait, outside_input: OutsideInputCheck::default() }
    }

    /// Creates a check of a process that has been running for some time.
    pub fn of_running_process(pid: u32) -> Self {
        let clock = EpochClock::start();
        let processor_wait = ProcessorWaitSampler::of_running_process(pid, clock);
        Self { clock, processor_wait, outside_input: OutsideInputCheck::default() }
    }

    /// Applies what the system reports of the process `pid`, if a check is due. Its console listens on `console_port`.
    /// `loop_time` converts nanoseconds since 1970.
    pub fn apply_if_due(
        &mut self,
        pid: u32,
        console_port: Option<u16>,
        trace: &mut Trace,
        mut loop_time: impl FnMut(u64) -> Nanos,
    ) {
        if let Some(is_possible) = self.outside_input.check_if_due(pid, console_port) {
            trace.apply(Event::OutsideInput { is_possible });
        }
        if let Some(waited) = self.processor_wait.sample_if_due(pid, self.clock) {
            let [from, to, known_until] = [waited.from, waited.to, waited.known_until].map(&mut loop_time);
            if waited.is_notable() {
                trace.apply(Event::ProcessorWait { from, to, waited_ns: waited.waited_ns });
            }
            trace.set_processor_waits_known_until(known_until);
        }
    }
}
