//! Lint `back-pressure`: a sender spends most of its time waiting for channel capacity.
//!
//! *Detects* tasks whose sends into one channel take up most of the time between the first and the last of them. Sends
//! are awaits of kind channel whose source is a `send`, and in an external app calls of `Acquire::new`: that is how
//! tokio's bounded channel waits for capacity. Only sends that completed count: one that is still open waits for a
//! receiver that does not receive at all.
//! *Problem*: the sender runs at the speed of the slowest receiver. This can be intended; it is what a bounded channel
//! is for.
//! *Fix*: use more or faster receivers. A larger channel only absorbs bursts.

use std::collections::BTreeMap;

use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, LintPass, Severity};
use crate::trace::{Await, AwaitKind, AwaitOutcome, AwaitSite, Nanos, ResourceId, SiteId, TaskId};

pub const LINT: Lint = Lint {
    name: "back-pressure",
    severity: Severity::Note,
    summary: "a sender spends most of its time waiting for capacity of a channel",
    advice: "use more or faster receivers; a larger channel only absorbs bursts",
    new_pass: || Box::new(BackPressurePass::default()),
};

/// Why a finding may be due to other programs.
const BUSY_MACHINE: &str = "the machine was busy: the app may have waited for a processor meanwhile";

/// Sends of one task into one channel.
#[derive(Default)]
struct SenderStats {
    /// Sends that had to wait.
    waits: u64,
    waited_ns: u64,
    /// The part of `waited_ns` that was observed and in which the app did not wait for a processor.
    observed_ns: u64,
    first_start: Nanos,
    last_end: Nanos,
    /// The first send that had to wait.
    first_wait: Option<Await>,
}

impl SenderStats {
    /// Share of the sending time that was spent waiting, in percent.
    fn waited_percent(&self) -> u64 {
        self.percent_of(self.waited_ns)
    }

    fn percent_of(&self, waited_ns: u64) -> u64 {
        waited_ns.saturating_mul(100) / self.last_end.saturating_sub(self.first_start).max(1)
    }
}

/// The wait of tokio's bounded channel for capacity. Other waits for a semaphore have a source of their own.
const MPSC_SEND: &str = "Acquire::new";

/// Minimum duration of a send in an external app that waited for capacity.
const EXTERNAL_WAIT_NS_MIN: u64 = 1_000_000;

/// Matches `send`, `channel.send`, `channel.send(orders)` and a send into a channel of tokio.
fn is_send(site: &AwaitSite) -> bool {
    if site.kind == AwaitKind::Sync && &*site.source == MPSC_SEND {
        return true;
    }
    let called = site.source.split('(').next().unwrap_or_default();
    site.kind == AwaitKind::Channel && called.rsplit('.').next() == Some("send")
}

/// The channel, or the await site if the channel is unknown.
type ChannelKey = (Option<ResourceId>, Option<SiteId>);

#[derive(Default)]
struct BackPressurePass(BTreeMap<ChannelKey, BTreeMap<TaskId, SenderStats>>);

impl LintPass for BackPressurePass {
    fn visits_awaits(&self) -> bool {
        true
    }

    fn visit_await(&mut self, cx: &LintContext, found: &Await) {
        if found.outcome() != AwaitOutcome::Ready || !cx.site(found).is_some_and(is_send) {
            return;
        }
        let channel = (found.resource(), found.resource().is_none().then_some(found.site));
        let stats = self
            .0
            .entry(channel)
            .or_default()
            .entry(found.task)
            .or_insert(SenderStats { first_start: found.start, ..SenderStats::default() });
        stats.last_end = stats.last_end.max(cx.end_of(found));
        // Reporting an await takes time, too.
        if cx.duration_ns(found) > if cx.trace.is_external() { EXTERNAL_WAIT_NS_MIN } else { 0 } {
            stats.waits += 1;
            stats.waited_ns = stats.waited_ns.saturating_add(cx.duration_ns(found));
            let observed_ns = cx.observed_ns(found.start, cx.end_of(found));
            stats.observed_ns = stats.observed_ns.saturating_add(observed_ns);
            stats.first_wait.get_or_insert(*found);
        }
    }

    fn finish(&mut self, cx: &LintContext) -> Vec<Diagnostic> {
        let channels = std::mem::take(&mut self.0).into_iter();
        channels.filter_map(|(channel, senders)| check_channel(cx, channel, &senders)).collect()
    }
}

fn check_channel(cx: &LintContext, channel: ChannelKey, senders: &BTreeMap<TaskId, SenderStats>) -> Option<Diagnostic> {
    let thresholds = cx.thresholds;
    let slowed = senders.iter().filter(|(_, stats)| {
        stats.waits >= thresholds.back_pressure_sends && stats.waited_percent() > thresholds.back_pressure_percent
    });
    let slowed: Vec<_> = slowed.collect();
    let (task, worst) = slowed.iter().max_by_key(|(task, stats)| (stats.waited_percent(), std::cmp::Reverse(*task)))?;
    let first_wait = worst.first_wait?;
    let of_channel = match channel.0 {
        // The semaphore inside a channel of tokio has no name of the user.
        Some(id) if cx.site(&first_wait).is_none_or(|site| &*site.source != MPSC_SEND) => {
            format!(" of {}", cx.resource_name(id))
        }
        _ => " of a channel".to_owned(),
    };
    let (name, percent) = (cx.task_name(**task), worst.waited_percent());
    let problem = format!("{name} waited for capacity{of_channel} during {percent} % of its sending time");
    let spawned_at = cx.spawn_location(**task);
    let evidence = format!(
        "{} waited {} in total: {}; {} under back-pressure: {}",
        pluralize(worst.waits, "send"),
        human_ns(worst.waited_ns),
        cx.describe_await(&first_wait),
        pluralize(slowed.len() as u64, "sender"),
        cx.describe_tasks(&slowed.iter().map(|(task, _)| **task).collect()),
    );
    let diagnostic = Diagnostic::new(Some(**task), first_wait.start, problem, evidence);
    let diagnostic = diagnostic.at(cx.location_of(&first_wait).or(spawned_at)).counting(slowed.len() as u64);
    let is_certain = worst.percent_of(worst.observed_ns) > thresholds.back_pressure_percent;
    Some(diagnostic.doubted(cx.missing_awaits()).doubted((!is_certain).then_some(BUSY_MACHINE)))
}
