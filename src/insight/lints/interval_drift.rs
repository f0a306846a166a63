//! Interval drift: an interval's ticks come later and later.
//!
//! *Sees* an interval whose last tick is later, by more than a period, than its first tick and its period promise:
//! ticks were skipped, put off, or are still being caught up with.
//! *Bad*, because what counts on the ticks counts wrong: sixty of them are no longer a minute.
//! *To do*: do the work of a tick elsewhere, or read the clock instead of counting ticks.

use super::super::units::{how_many, human_ns};
use super::{Case, Lint, Severity, Sighting, last};
use crate::trace::{Await, Outcome, ResourceId, ResourceKind};

pub const LINT: Lint = Lint {
    name: "interval-drift",
    severity: Severity::Warn,
    advice: "let something else do the work of a tick, or read the clock instead of counting ticks",
    look: || last(look),
};

fn look(case: &Case) -> Vec<Sighting> {
    let intervals = case.awaits_of(ResourceKind::Interval);
    intervals.into_iter().filter_map(|(interval, awaits)| of_interval(case, interval, awaits)).collect()
}

fn of_interval(case: &Case, interval: ResourceId, awaits: &[Await]) -> Option<Sighting> {
    // tokio's own intervals do not come with a period that is a number.
    let period_ns = Some(case.trace.resources().get(interval)?.size).filter(|period_ns| *period_ns > 0)?;
    let mut ticks: Vec<_> = awaits.iter().filter(|tick| tick.outcome() == Outcome::Ready).collect();
    ticks.sort_by_key(|tick| case.end(tick));
    let (first, last) = (ticks.first()?, ticks.last()?);
    let late_ns = |index: usize, tick: &Await| {
        case.end(tick).saturating_sub(case.end(first)).saturating_sub(period_ns.saturating_mul(index as u64))
    };
    let drift_ns = late_ns(ticks.len() - 1, last);
    let allowed_ns = period_ns.saturating_mul(case.limits.interval_drift_percent) / 100;
    if (ticks.len() as u64) < case.limits.interval_drift_ticks || drift_ns <= allowed_ns {
        return None;
    }
    let (_, seen_first) = ticks.iter().enumerate().find(|(index, tick)| late_ns(*index, tick) > allowed_ns)?;
    Some(Sighting {
        task: Some(last.task),
        at_ns: case.end(seen_first),
        seen: format!("{} of {} ended {} late", case.resource_name(interval), human_ns(period_ns), human_ns(drift_ns)),
        evidence: format!(
            "{} took {} instead of {}: {}",
            how_many(ticks.len() as u64, "tick"),
            human_ns(case.end(last) - case.end(first)),
            human_ns(period_ns.saturating_mul(ticks.len() as u64 - 1)),
            case.place(last),
        ),
    })
}
