//! Lint `interval-drift`: the ticks of an interval come later and later.
//!
//! *Detects* intervals whose last tick is late by more than a period, computed from the first tick and the period.
//! Ticks were skipped, delayed, or are still being caught up with.
//! *Problem*: code that counts ticks is wrong: sixty ticks of a second are no longer a minute.
//! *Fix*: do the work of a tick in another task, or read the clock instead of counting ticks.

use super::super::units::{human_ns, pluralize};
use super::{Diagnostic, Lint, LintContext, Severity, whole_trace};
use crate::trace::{Await, AwaitOutcome, ResourceId, ResourceKind};

pub const LINT: Lint = Lint {
    name: "interval-drift",
    severity: Severity::Warn,
    summary: "the ticks of an interval come later and later",
    advice: "do the work of a tick in another task, or read the clock instead of counting ticks",
    new_pass: || whole_trace(check),
};

fn check(cx: &LintContext) -> Vec<Diagnostic> {
    let intervals = cx.awaits_by_kind(ResourceKind::Interval);
    intervals.into_iter().filter_map(|(interval, awaits)| check_interval(cx, interval, awaits)).collect()
}

fn check_interval(cx: &LintContext, interval: ResourceId, awaits: &[Await]) -> Option<Diagnostic> {
    // tokio's own intervals do not report their period as a number.
    let period_ns = Some(cx.trace.resources().get(interval)?.size).filter(|period_ns| *period_ns > 0)?;
    let mut ticks: Vec<_> = awaits.iter().filter(|tick| tick.outcome() == AwaitOutcome::Ready).collect();
    ticks.sort_by_key(|tick| cx.end_of(tick));
    let (first, last) = (ticks.first()?, ticks.last()?);
    let late_ns = |index: usize, tick: &Await| {
        cx.end_of(tick).saturating_sub(cx.end_of(first)).saturating_sub(period_ns.saturating_mul(index as u64))
    };
    let drift_ns = late_ns(ticks.len() - 1, last);
    let allowed_ns = period_ns.saturating_mul(cx.thresholds.interval_drift_percent) / 100;
    if (ticks.len() as u64) < cx.thresholds.interval_drift_ticks || drift_ns <= allowed_ns {
        return None;
    }
    let (_, first_late) = ticks.iter().enumerate().find(|(index, tick)| late_ns(*index, tick) > allowed_ns)?;
    let name = cx.resource_name(interval);
    let problem = format!("{name} (period {}) is {} late", human_ns(period_ns), human_ns(drift_ns));
    let evidence = format!(
        "{} took {} instead of {}: {}",
        pluralize(ticks.len() as u64, "tick"),
        human_ns(cx.end_of(last) - cx.end_of(first)),
        human_ns(period_ns.saturating_mul(ticks.len() as u64 - 1)),
        cx.describe_await(last),
    );
    let diagnostic = Diagnostic::new(Some(last.task), cx.end_of(first_late), problem, evidence);
    let location = cx.location_of(last);
    Some(diagnostic.at(location).grouped(location.map(|location| format!("{location} {name}")), drift_ns))
}
