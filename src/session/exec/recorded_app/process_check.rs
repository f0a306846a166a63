//! What the system reports of the process of an app.

use super::RecordedApp;
use crate::trace::Event;

impl RecordedApp {
    /// Records when the app waits for a processor, and whether something outside of it can wake it.
    pub(super) fn check_process(&mut self) {
        let (Some(app), Some(port), false) = (&self.app, &self.port, self.app_end.has_ended()) else { return };
        let Some(pid) = app.pid() else { return };
        if let Some(is_possible) = self.outside_input.check_if_due(pid, port.number()) {
            self.trace.apply(Event::OutsideInput { is_possible });
        }
        if let Some(waited) = self.processor_wait.sample_if_due(pid, self.clock) {
            let clock = self.recording.clock_mut();
            let [from, to, known_until] =
                [waited.from, waited.to, waited.known_until].map(|epoch_ns| clock.loop_time(epoch_ns));
            if waited.is_notable() {
                self.trace.apply(Event::ProcessorWait { from, to, waited_ns: waited.waited_ns });
            }
            self.trace.set_processor_waits_known_until(known_until);
        }
    }
}
