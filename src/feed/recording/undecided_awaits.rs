//! Ended awaits of a recording whose outcome is not reported yet.

use std::collections::VecDeque;

use crate::feed::await_resolver::{AwaitResolver, Readiness, ReportedSpan};
use crate::trace::{AwaitId, Event};

/// Ended awaits whose outcome is undecided; that of further ones stays unknown.
const UNDECIDED_MAX: usize = 1 << 16;

/// Awaits that have ended, by span, in the order in which they are checked.
#[derive(Debug, Default)]
pub struct UndecidedAwaits(VecDeque<(u64, AwaitId)>);

impl UndecidedAwaits {
    /// Adds an await of `span`, unless there are too many.
    pub fn push(&mut self, span: u64, id: AwaitId) {
        if self.0.len() < UNDECIDED_MAX {
            self.0.push_back((span, id));
        }
    }

    /// Checks up to `count_max` awaits, and emits the outcomes that are reported by now.
    pub fn decide(&mut self, count_max: usize, resolver: &impl AwaitResolver, out: &mut impl FnMut(Event)) {
        for _ in 0..count_max.min(self.0.len()) {
            let Some((span, id)) = self.0.pop_front() else { return };
            let is_ready = match resolver.reported(span) {
                ReportedSpan::Operation { readiness: Readiness::Undecided, .. } | ReportedSpan::Unreported => {
                    self.0.push_back((span, id));
                    continue;
                }
                ReportedSpan::Operation { readiness: Readiness::Ready, .. } => true,
                ReportedSpan::Operation { readiness: Readiness::NotReady, .. } => false,
                _ => continue,
            };
            out(Event::AwaitOutcomeKnown { id, is_ready });
        }
    }
}
