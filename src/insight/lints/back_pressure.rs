//! Back-pressure: whoever sends waits for room most of the time.
//!
//! *Sees* a task whose sends into one channel (awaits of kind channel whose source is a `send`) take up most of the time
//! between its first and its last.
//! *Bad*, where it is not wanted: the sender goes only as fast as the slowest receiver. Where it is wanted, it is the
//! bounded channel doing its work.
//! *To do*: more receivers or faster ones; a larger channel only helps against bursts.

use std::collections::BTreeMap;

use super::super::units::{how_many, human_ns};
use super::{Case, Lint, Looking, Severity, Sighting};
use crate::trace::{Await, AwaitKind, Nanos, ResourceId, Site, SiteId, TaskId};

pub const LINT: Lint = Lint {
    name: "back-pressure",
    severity: Severity::Note,
    advice: "the receivers are slower; more of them, or faster ones, would help, a larger channel only against bursts",
    look: || Box::new(Channels::default()),
};

/// What one task's sends into one channel came to.
#[derive(Default)]
struct Sends {
    waited: u64,
    waited_ns: u64,
    first: Nanos,
    last: Nanos,
    /// The first that waited.
    example: Option<Await>,
}

impl Sends {
    fn percent(&self) -> u64 {
        self.waited_ns.saturating_mul(100) / self.last.saturating_sub(self.first).max(1)
    }
}

/// `send`, `channel.send`, `channel.send(orders)`.
fn is_send(site: &Site) -> bool {
    let called = site.source.split('(').next().unwrap_or_default();
    site.kind == AwaitKind::Channel && called.rsplit('.').next() == Some("send")
}

/// The channel, or where it is not known, the place that sends.
type Channel = (Option<ResourceId>, Option<SiteId>);

#[derive(Default)]
struct Channels(BTreeMap<Channel, BTreeMap<TaskId, Sends>>);

impl Looking for Channels {
    fn looks_at_awaits(&self) -> bool {
        true
    }

    fn found_await(&mut self, case: &Case, found: &Await) {
        if !case.site(found).is_some_and(is_send) {
            return;
        }
        let channel = (found.resource(), found.resource().is_none().then_some(found.site));
        let sends = self
            .0
            .entry(channel)
            .or_default()
            .entry(found.task)
            .or_insert(Sends { first: found.start, ..Sends::default() });
        sends.last = sends.last.max(case.end(found));
        if case.length_ns(found) > 0 {
            sends.waited += 1;
            sends.waited_ns = sends.waited_ns.saturating_add(case.length_ns(found));
            sends.example.get_or_insert(*found);
        }
    }

    fn last_word(&mut self, case: &Case) -> Vec<Sighting> {
        let channels = std::mem::take(&mut self.0).into_iter();
        channels.filter_map(|(channel, senders)| of_channel(case, channel, &senders)).collect()
    }
}

fn of_channel(case: &Case, channel: Channel, senders: &BTreeMap<TaskId, Sends>) -> Option<Sighting> {
    let limits = case.limits;
    let pressed = senders.iter().filter(|(_, sends)| {
        sends.waited >= limits.back_pressure_sends && sends.percent() > limits.back_pressure_percent
    });
    let pressed: Vec<_> = pressed.collect();
    let (task, worst) = pressed.iter().max_by_key(|(task, sends)| (sends.percent(), std::cmp::Reverse(*task)))?;
    let example = worst.example?;
    let into = channel.0.map_or_else(String::new, |id| format!(" into {}", case.resource_name(id)));
    Some(Sighting {
        task: Some(**task),
        at_ns: example.start,
        seen: format!("{} waited for room {} % of the time that it sent{into}", case.name(**task), worst.percent()),
        evidence: format!(
            "{} waited {} in all: {}; {} under pressure",
            how_many(worst.waited, "send"),
            human_ns(worst.waited_ns),
            case.place(&example),
            how_many(pressed.len() as u64, "sender"),
        ),
    })
}
