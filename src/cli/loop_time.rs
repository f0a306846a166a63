//! Lengths of loop time on the command line.

use crate::trace::Nanos;
use crate::workload::duration;

/// Parses a length of loop time: a number of seconds, or text such as `10ms`.
pub(super) fn loop_time(text: &str) -> Result<Nanos, String> {
    let duration = duration::parse(text)?;
    Nanos::try_from(duration.as_nanos()).map_err(|_| format!("`{text}` is too long: the limit is 584 years"))
}
