//! Findings of a running session, for the badge in the header. They are searched again and again, at a bounded cost.

use crate::insight::{Findings, LintRunner, Thresholds};
use crate::trace::Trace;

/// Awaits that one refresh examines, or work of the same cost: about 0.1 ms. The end of one lint takes a whole refresh.
const SEARCHED_PER_REFRESH: usize = 2_000;

/// A search that takes some refreshes is followed by this many times as many without one. A search takes at least one
/// refresh for each lint, so there is at most one every few seconds.
const PAUSE_FACTOR: u32 = 8;

/// The search for the findings of a running session.
#[derive(Clone, Debug, Default)]
pub struct LiveFindings {
    /// The search in progress, and the number of refreshes that it has taken.
    search: Option<(LintRunner, u32)>,
    /// Number of refreshes before the next search.
    pause: u32,
    /// Findings of the last complete search.
    found: Findings,
}

impl LiveFindings {
    /// Returns the findings of the last complete search.
    pub fn found(&self) -> &Findings {
        &self.found
    }

    /// Continues the search, or begins the next one if it is due.
    pub fn advance(&mut self, trace: &Trace, thresholds: &Thresholds) {
        if self.search.is_none() && self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let (mut search, refreshes) = self.search.take().unwrap_or_else(|| (LintRunner::new(thresholds), 0));
        match search.advance(trace, SEARCHED_PER_REFRESH) {
            None => self.search = Some((search, refreshes + 1)),
            Some(found) => {
                self.found = found;
                self.pause = (refreshes + 1).saturating_mul(PAUSE_FACTOR);
            }
        }
    }
}
