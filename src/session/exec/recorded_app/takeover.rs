//! The end of the observation of an app through its recording: it has connected with its probe.

use std::collections::VecDeque;

use super::super::app_parts::AppParts;
use super::super::output::{AppOutput, TimedOutput};
use super::RecordedApp;
use crate::session::process_check::ProcessCheck;
use crate::trace::{ERROR_MARK, OutputLine};

impl RecordedApp {
    /// Takes the parts of the app, which is observed in another way from now on. Its console is disconnected. `None` if it
    /// has ended.
    pub fn take_parts(&mut self) -> Option<AppParts> {
        let (app, pipe, port) = (self.app.take()?, self.pipe.take()?, self.port.take()?);
        self.console = None;
        Some(AppParts {
            name: self.label.name.clone(),
            app,
            pipe,
            port,
            earlier_output: self.earlier_output(),
            output: std::mem::replace(&mut self.output, AppOutput::empty()),
            source_reader: self.source_reader.restarted(),
            wakeup: self.wakeup.clone(),
            wakeup_sender: self.wakeup_sender.take()?,
            process_check: ProcessCheck::of_new_process(self.clock),
        })
    }

    /// Returns what the app has printed so far. A Python program connects when its first loop runs.
    fn earlier_output(&mut self) -> VecDeque<TimedOutput> {
        self.time_queue.apply_all(&mut self.trace);
        let (output, origin) = (self.trace.output(), self.clock.origin());
        let piece = |line: &OutputLine, is_pending| TimedOutput {
            arrived_at: origin.saturating_add(line.at),
            is_error: line.text.starts_with(ERROR_MARK),
            is_pending,
            ends_pending: false,
            text: line.text.clone(),
        };
        let lines = output.lines().iter().map(|line| piece(line, false));
        lines.chain(output.pending().map(|line| piece(line, true))).collect()
    }
}
