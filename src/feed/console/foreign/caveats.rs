//! What a person should know of what they see: what was not told, cut, dropped or set right.

use std::time::Duration;

use console_api::RegisterMetadata;

use crate::feed::console::facts::is_spawn;
use crate::feed::console::stamps::Stamps;

/// See the module. Everything counts from the session's beginning.
#[derive(Debug, Default)]
pub struct Caveats {
    /// Tasks that nobody told of.
    pub untold: u64,
    /// Tasks for which there was no room, as this update tells of them.
    pub unshown_now: u64,
    /// The most of them that one update told of.
    unshown: u64,
    /// Things of updates that could not be taken in.
    pub cut: u64,
    /// Events that the program says it dropped.
    pub dropped: u64,
    /// tokio's own span for tasks was told.
    pub knows_of_tasks: bool,
}

impl Caveats {
    /// Takes note of the spans that a program says it knows.
    pub fn hear_of(&mut self, new: &RegisterMetadata) {
        let spans = new.metadata.iter().filter_map(|new| new.metadata.as_ref());
        self.knows_of_tasks |= spans.into_iter().any(is_spawn);
    }

    /// Another update begins.
    pub fn begin(&mut self) {
        self.unshown = self.unshown.max(std::mem::take(&mut self.unshown_now));
    }

    pub fn text(&self, unshown: u64, stamps: &Stamps, late: Option<Duration>, advice: Option<&str>) -> String {
        let unshown = self.unshown.max(self.unshown_now).saturating_add(unshown);
        let sentences = [
            (
                self.untold,
                "tasks have no name: the program told of them before, and its first message was too long for it",
            ),
            (self.dropped, "events were dropped by the program, whose buffer was full (TOKIO_CONSOLE_BUFFER_CAPACITY)"),
            (unshown, "tasks, resources or awaits are not shown: there are too many"),
            (self.cut, "entries of its messages were too long and are left out"),
            (stamps.steps(), "times its clock stepped; loop time went on"),
            (stamps.strays(), "times lay outside what can be, and the nearest is shown"),
        ];
        let told =
            sentences.iter().filter(|(count, _)| *count > 0).map(|(count, sentence)| format!("{count} {sentence}"));
        let late = late.map(|late| {
            let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
            let seconds = late.as_secs().max(1);
            format!(
                "its console cannot keep up: what it tells as new is {seconds} s old, and more is not told yet{advice}"
            )
        });
        late.into_iter().chain(told).collect::<Vec<_>>().join("; ")
    }
}
